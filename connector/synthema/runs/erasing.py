"""Erases what runs released: from one transaction on nobody can fetch it, then its bytes are deleted."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, update

from synthema.runs.store import artefacts

ERASED: Final = "erased"


def mark_erased(connection: Connection, run: str, digest: str) -> bool:
    """Stop handing out a released file of a run (or study); False where there was none to stop."""
    wanted = (artefacts.c.run == run) & (artefacts.c.digest == digest) & (artefacts.c.state == "released")
    return connection.execute(update(artefacts).where(wanted).values(state=ERASED)).rowcount == 1


def delete_file(home: Path, run: str, digest: str) -> None:
    """Delete the bytes; a file that is gone already is as good."""
    folder = home / "artefacts" / run
    (folder / digest.removeprefix("sha256:")).unlink(missing_ok=True)
    if folder.exists() and not any(folder.iterdir()):
        folder.rmdir()
