"""What every target has in common: it is given rows whose certificate holds, and gives them up again."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final, Literal, Protocol

import polars as pl

from synthema.datasets.codebook import Codebook
from synthema.errors import StorageError
from synthema.ids import new_id

Kind = Literal["parquet", "postgres", "fhir"]
_OWN: Final = re.compile(r"synthetic_[0-9a-f]{24}\.(?:parquet|fhir\.json)")
KINDS: Final[tuple[Kind, ...]] = ("parquet", "postgres", "fhir")


@dataclass(frozen=True, slots=True)
class Rows:
    """The checked rows of one dataset with what must travel with them wherever they go.

    ``artefact`` is the digest of the dataset, ``dataset`` its IRI; ``uses`` are the allowed uses in words.
    """

    artefact: str
    dataset: str
    certificate: str
    title: str
    table: pl.DataFrame
    codebook: Codebook
    uses: tuple[str, ...]
    issued: datetime
    valid_until: datetime
    highly_sensitive: bool

    @property
    def name(self) -> str:
        """A short name for files and tables that follows from the digest alone."""
        return f"synthetic_{self.artefact.removeprefix('sha256:')[:24]}"

    @property
    def notice(self) -> str:
        """What everyone who meets the rows must be told, in one paragraph."""
        sensitive = " Highly sensitive in the sense of EHDS Art. 88." if self.highly_sensitive else ""
        return (
            f"SYNTHETIC DATA: no row describes a real person. {self.title}. Certificate: {self.certificate}, valid "
            f"until {self.valid_until:%Y-%m-%d}.{sensitive} {' '.join(self.uses)} "
            "Nobody may try to find persons (EHDS Art. 61(3))."
        )


class Target(Protocol):
    """A place for rows. Both verbs may be repeated without harm."""

    kind: Kind

    def load(self, rows: Rows) -> str:
        """Put the rows there, whole or not at all, and say where; raises :class:`StorageError`."""
        ...

    def remove(self, place: str) -> None:
        """Take away what :meth:`load` put there, if it is still there; raises :class:`StorageError`."""
        ...


def write_whole(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """A file that appears complete and durable, or not at all."""
    partial = path.with_name(f"{new_id('partial')}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("xb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StorageError(
            f"the rows could not be written: {error.strerror}", fix="check disk space and rights"
        ) from error


def remove_file(folder: Path, place: str) -> None:
    """Remove a file that was put into a folder of ours; only its name counts, so the folder may have moved since."""
    path = folder / Path(place).name
    if _OWN.fullmatch(path.name) is None:
        raise StorageError("this file is not one of the registry's own", fix="remove the file by hand")
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"the rows could not be removed: {error.strerror}", fix="remove the file by hand") from error
