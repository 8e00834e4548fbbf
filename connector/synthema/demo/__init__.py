"""The demo: five connectors as processes, and the story of one certified synthetic dataset."""
