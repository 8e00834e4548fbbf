"""The command line: nouns and verbs over the same operations as the management interface."""
