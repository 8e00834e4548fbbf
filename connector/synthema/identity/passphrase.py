"""Passphrases in files: random for a demonstration, handed over by the service manager in production.

A passphrase never comes from the environment, because the environment is
inherited by every process that is started.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from synthema.errors import InputError
from synthema.identity.keys import read_private_file, write_private_file


def create_passphrase_file(path: Path) -> bytes:
    """Write a random 256-bit passphrase that only its owner may read, and return it."""
    passphrase = secrets.token_urlsafe(32).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private_file(path, passphrase + b"\n")
    return passphrase


def read_passphrase_file(path: Path) -> bytes:
    """The passphrase in a file, without the line end; raises :class:`InputError` when it is empty."""
    passphrase = read_private_file(path).rstrip(b"\r\n")
    if not passphrase:
        raise InputError("this passphrase file is empty", where=str(path), fix="write the passphrase into it")
    return passphrase
