"""Two connectors that talk to each other."""

from __future__ import annotations

from tests.unit.dataspace.conftest import two

__all__ = ["two"]
