"""The files that runs made, below the connector's home, each named by the digest of its bytes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from synthema.canonical import digest_bytes
from synthema.datasets.seal import write_durably
from synthema.errors import IntegrityError
from synthema.runs import store
from synthema.runs.model import Artefact

if TYPE_CHECKING:
    from synthema.runs.rooms import Rooms


class KeptFiles:
    """Keeps and gives the files of runs; what may be given, the database says."""

    def __init__(self, rooms: Rooms) -> None:
        self.rooms = rooms

    def released(self, artefact_digest: str) -> tuple[Artefact, bytes]:
        """A released file and its bytes; raises :class:`NotFoundError` for any other."""
        with self.rooms.database.read() as connection:
            run, artefact = store.released_artefact(connection, artefact_digest)
        return artefact, self._read(run, artefact)

    def released_file(self, artefact_digest: str) -> tuple[str, Artefact, Path]:
        """The run of a released file, what it is and where it lies; its bytes are not looked at."""
        with self.rooms.database.read() as connection:
            run, artefact = store.released_artefact(connection, artefact_digest)
        return run, artefact, self._path(run, artefact.digest)

    def _artefacts(self, run: str) -> Path:
        # Equal bytes of two runs may be withheld for one and released for the other.
        return self.rooms.settings.home / "artefacts" / run

    def _path(self, run: str, file: str) -> Path:
        return self._artefacts(run) / file.removeprefix("sha256:")

    def keep_file(self, run: str, name: str, media_type: str, content: bytes) -> Artefact:
        """Keep bytes a run (or study) made; nobody can fetch them before a transaction releases them."""
        made = Artefact(digest=digest_bytes(content), name=name, media_type=media_type, bytes=len(content))
        write_durably(self._path(run, made.digest), content)
        return made

    def _read(self, run: str, artefact: Artefact) -> bytes:
        try:
            content = self._path(run, artefact.digest).read_bytes()
        except OSError as error:
            raise IntegrityError("a stored artefact is missing on disk", fix="restore it from a backup") from error
        if digest_bytes(content) == artefact.digest:
            return content
        raise IntegrityError("a stored artefact was changed on disk", fix="restore it from a backup")

    def _forget(self, run: str) -> None:
        """Delete the outputs of a run that released none."""
        shutil.rmtree(self._artefacts(run), ignore_errors=True)
