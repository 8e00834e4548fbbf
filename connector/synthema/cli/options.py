"""Options that several commands share, so that one word means one thing everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synthema.errors import InputError

if TYPE_CHECKING:
    from synthema.identity import PersonKey

HomeOption = Annotated[
    Path,
    typer.Option(
        "--home", help="Folder of the connector; the folder you are in if left out.", show_default=False, metavar="DIR"
    ),
]
HERE = Path()

PersonOption = Annotated[str, typer.Option("--person", help="Your role account, e.g. person-…", metavar="ID")]
KeyOption = Annotated[Path, typer.Option("--key", help="Your key file, made with: synthema person new", metavar="FILE")]
PassphraseOption = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        help="File that holds the key's passphrase; you are asked for it if left out.",
        show_default=False,
        metavar="FILE",
    ),
]
OutputOption = Annotated[
    Path, typer.Option("-o", "--output", help="File to write; never overwritten.", metavar="FILE", show_default=False)
]


def open_key(path: Path, passphrase_file: Path | None) -> PersonKey:
    """A person's key, opened with the passphrase in a file or typed in."""
    from synthema.identity import PersonKey

    return PersonKey.load(path, passphrase(passphrase_file, new=False))


def passphrase(file: Path | None, *, new: bool) -> bytes:
    """The passphrase in a file, or typed in (twice for a new key)."""
    from synthema.identity import read_passphrase_file

    if file is not None:
        return read_passphrase_file(file)
    typed: str = typer.prompt("Passphrase of the key", hide_input=True, confirmation_prompt=new, err=True)
    return typed.encode()


def assignments(texts: list[str], option: str) -> dict[str, str]:
    """``key=value`` texts as a mapping; raises :class:`InputError` on anything else."""
    values: dict[str, str] = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not separator or not key.strip() or key.strip() in values:
            raise InputError(
                f"'{text[:60]}' is not of the form key=value, or comes twice",
                where=option,
                fix=f"write: {option} epsilon=3",
            )
        values[key.strip()] = value.strip()
    return values
