"""Synthema: the governed connector for rare blood disease data."""
