"""A hub's candidate in quarantine, as it lies on disk."""

from __future__ import annotations

from pathlib import Path

from synthema.canonical import digest_bytes
from synthema.errors import IntegrityError


def kept_candidate(path: Path, digest: str | None) -> bytes:
    """The bytes that were placed in quarantine; raises :class:`IntegrityError` where they are gone or others."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise IntegrityError("the candidate in quarantine is not there any more", fix="start the study anew") from error
    if digest is None or digest_bytes(content) != digest:
        raise IntegrityError(
            "the candidate in quarantine is not the one that was made: it is withheld",
            fix="look for what changed it on disk; start the study anew",
        )
    return content
