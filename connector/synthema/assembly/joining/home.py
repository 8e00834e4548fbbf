"""The home folder of an authority: its settings file, keys and management token."""

from __future__ import annotations

import secrets
import tomllib
from pathlib import Path
from typing import Final

from synthema.assembly.setup import KEYS, MANAGEMENT_TOKEN, PASSPHRASE, settings_text
from synthema.config import Settings
from synthema.errors import ConflictError, InputError
from synthema.identity import FileSigner, create_passphrase_file

SETTINGS_FILE: Final = "authority.toml"
_KEYS: Final = frozenset({"mode", "name", "public_url", "management_url", "public_listen", "management_listen"})


def initialise_authority(
    home: Path, *, name: str, public_url: str, management_url: str, mode: str = "production"
) -> Settings:
    """Make an authority in an empty folder; raises :class:`ConflictError` where something lives already."""
    if (home / SETTINGS_FILE).exists() or (home / "connector.toml").exists():
        raise ConflictError(
            "there is an authority or a connector here already",
            fix="choose an empty folder; keys are never overwritten",
        )
    values = {"mode": mode, "name": name, "public_url": public_url, "management_url": management_url}
    text = settings_text(values, ())
    _read(home, text)  # wrong settings must not leave half an authority behind
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)
    FileSigner.create(home / KEYS, create_passphrase_file(home / PASSPHRASE))
    token = home / MANAGEMENT_TOKEN
    token.touch(mode=0o600)
    token.write_text(secrets.token_urlsafe(32))
    (home / SETTINGS_FILE).write_text(text, encoding="utf-8")
    return load_authority(home)


def load_authority(home: Path) -> Settings:
    """The settings of the authority in a folder; raises :class:`InputError`."""
    path = home / SETTINGS_FILE
    try:
        return _read(home, path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            "there is no authority here", where=str(path), fix=f"make one with: synthema authority init --home {home}"
        ) from error


def _read(home: Path, text: str) -> Settings:
    """An authority uses few of a connector's settings; its role is none of theirs and nothing asks for it."""
    where = str(home / SETTINGS_FILE)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"not valid TOML: {error}", where=where, fix="mend the line named above") from error
    if unknown := sorted(values.keys() - _KEYS):
        raise InputError(f"'{unknown[0]}' is not a setting of an authority", where=where, fix="remove it")
    try:
        return Settings(**values, role="hub", home=home.resolve())
    except ValueError as error:
        raise InputError(f"the settings do not hold: {str(error).splitlines()[2].strip()}", where=where,
                         fix="correct this setting") from error  # fmt: skip
