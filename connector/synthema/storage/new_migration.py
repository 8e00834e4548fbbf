"""Writes a new migration from the difference between the tables the rooms define and the migrations there are.

Usage: ``python -m synthema.storage.new_migration "what changes"``
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import tempfile
from pathlib import Path

from alembic import command
from sqlalchemy import URL

import synthema
from synthema.storage.migrate import alembic_config

_RUN_ON_IMPORT = ("__main__", ".boot", ".worker")


def main(message: str) -> None:
    """Import every room, so that all tables are known, and let Alembic compare."""
    for module in pkgutil.walk_packages(synthema.__path__, "synthema."):
        if (
            ".migrations" not in module.name
            and ".synthema_relay" not in module.name
            and not module.name.endswith(_RUN_ON_IMPORT)
        ):
            importlib.import_module(module.name)
    with tempfile.TemporaryDirectory() as folder:
        url = URL.create("sqlite", database=str(Path(folder) / "empty.sqlite"))
        config = alembic_config(url)
        command.upgrade(config, "head")
        command.revision(config, message=message, autogenerate=True)


if __name__ == "__main__":
    main(sys.argv[1])
