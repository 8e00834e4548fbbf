"""State of one connector: a database, units of work, one writer that commits in groups."""

from synthema.storage.database import Database, open_database
from synthema.storage.schema import CanonicalJson, UtcDateTime, metadata

__all__ = ["CanonicalJson", "Database", "UtcDateTime", "metadata", "open_database"]
