"""Outside suites: what others say our implementation must do. Run all with ``python -m tests.conformance``."""
