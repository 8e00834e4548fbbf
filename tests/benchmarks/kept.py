"""Figures that took long, kept by what they depend on: a run that was interrupted goes on where it stopped."""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path

from synthema.canonical import digest_tree
from synthema.spi.loader import package_files

__all__ = ["BENCH", "ROOT", "Found", "Store", "code_digest", "say"]

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / ".bench"

Found = dict[str, float]


@cache
def code_digest(folder: Path) -> str:
    """The digest of what a plugin does: its files, less the words about it."""
    return digest_tree(folder, (name for name in package_files(folder) if not name.endswith(".md")))


class Store:
    """Figures by key, a line each in a file that several runs of a command may write to."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "results.jsonl"

    def known(self) -> dict[str, Found]:
        """All figures so far."""
        lines = self._path.read_text(encoding="utf-8").splitlines() if self._path.is_file() else []
        return {record["key"]: record["figures"] for record in map(json.loads, lines)}

    def keep(self, key: str, figures: Found) -> None:
        """Add a line."""
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"key": key, "figures": figures}) + "\n")


def say(text: str) -> None:
    """A line of progress."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
