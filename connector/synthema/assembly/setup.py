"""Making a new connector: its home folder, settings file, keys and management token."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from synthema.config import Peer, Role, Settings, load_settings, read_settings
from synthema.errors import ConflictError
from synthema.identity import FileSigner, create_passphrase_file

PASSPHRASE = Path("secrets") / "passphrase"
MANAGEMENT_TOKEN = Path("secrets") / "management-token"
KEYS = Path("keys")
INCOMING = Path("incoming")  # tables on their way in; emptied at each start, as they hold rows


def initialise(
    home: Path,
    *,
    name: str,
    role: Role,
    public_url: str,
    management_url: str,
    mode: str = "production",
    peers: Sequence[Peer] = (),
) -> Settings:
    """Make a connector in an empty folder; raises :class:`ConflictError` where there is one already."""
    settings_file = home / "connector.toml"
    if settings_file.exists():
        raise ConflictError(
            "there is a connector here already", fix="choose an empty folder; a connector's keys are never overwritten"
        )
    values = {"mode": mode, "name": name, "role": role, "public_url": public_url, "management_url": management_url}
    text = settings_text(values, peers)
    read_settings(home, text)  # wrong settings must not leave half a connector behind
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)
    passphrase = create_passphrase_file(home / PASSPHRASE)
    FileSigner.create(home / KEYS, passphrase)
    token = home / MANAGEMENT_TOKEN
    token.touch(mode=0o600)
    token.write_text(secrets.token_urlsafe(32))
    settings_file.write_text(text, encoding="utf-8")
    return load_settings(home)


def settings_text(values: dict[str, Any], peers: Sequence[Peer]) -> str:
    """The text of ``connector.toml``: one line a setting, one table a peer."""
    lines = ["# Settings of this connector; every key is explained by: synthema doctor --settings", ""]
    lines += [f"{key} = {_toml(value)}" for key, value in values.items()]
    for peer in peers:
        lines += ["", "[[peers]]"] + [
            f"{key} = {_toml(value)}" for key, value in peer.model_dump(exclude_none=True).items()
        ]
    return "\n".join(lines) + "\n"


def _toml(value: str | bool) -> str:  # noqa: FBT001 - a value of a setting, no switch
    if isinstance(value, bool):
        return "true" if value else "false"
    text = value
    escaped = "".join(
        {"\\": "\\\\", '"': '\\"'}.get(c, c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}") for c in text
    )
    return f'"{escaped}"'
