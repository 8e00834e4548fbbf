"""One process works in a connector's home at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from synthema.errors import ConflictError


@contextmanager
def home_lock(home: Path) -> Iterator[None]:
    """Hold a connector's home, or raise :class:`ConflictError` when another process does."""
    handle = os.open(home / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConflictError(
                "this connector is running already", fix="use its management address, or stop it first"
            ) from error
        yield
    finally:
        os.close(handle)
