"""Where packages wait while they are checked, and where those lie that were taken in; each named by its digest.

A package that was refused stays in quarantine for a while, so that an officer can look into it, or check it again when
the reason has gone. One whose container is not safe is deleted at once: nobody has to look into that.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from synthema.canonical import digest_bytes, digest_file
from synthema.certification.package import Package
from synthema.errors import IntegrityError, NotFoundError, StorageError
from synthema.ids import new_id

KEPT_FOR: Final = timedelta(days=30)
KEPT_AT_MOST: Final = 50


class PackageFiles:
    """The package files of one registry: in quarantine, and taken in."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting = folder / "quarantine"

    def arrive(self, data: bytes, at: datetime) -> tuple[str, Path]:
        """Put a package into quarantine, durably; returns its digest and where it lies."""
        name = digest_bytes(data)
        path = self._waiting / name.removeprefix("sha256:")
        partial = self._waiting / f"{new_id('partial')}.partial"
        try:
            self._waiting.mkdir(parents=True, exist_ok=True)
            with partial.open("xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.utime(partial, times=(at.timestamp(), at.timestamp()))
            partial.replace(path)
        except OSError as error:
            raise StorageError(f"the package could not be kept: {error}", fix="check disk space and rights") from error
        return name, path

    def waiting(self, package: str) -> Path:
        """A package in quarantine; raises :class:`NotFoundError`."""
        path = self._waiting / package.removeprefix("sha256:")
        if not path.is_file():
            raise NotFoundError("this package is not in quarantine any more", fix="ingest the package again")
        return path

    def is_waiting(self, package: str) -> bool:
        """Whether a package is in quarantine."""
        return (self._waiting / package.removeprefix("sha256:")).is_file()

    def admit(self, package: str) -> None:
        """Move a package from quarantine to those that were taken in.

        Done before the row that names it is written: a file without a row is harmless, a row without a file is not.
        """
        with suppress(FileNotFoundError):  # the same package, taken in by somebody else at the same moment
            (self._waiting / package.removeprefix("sha256:")).replace(self._kept(package))

    def discard(self, package: str) -> None:
        """Delete a package from quarantine."""
        (self._waiting / package.removeprefix("sha256:")).unlink(missing_ok=True)

    def overdue(self, now: datetime) -> tuple[str, ...]:
        """The packages that have been in quarantine for too long, or are too many; those that came first, first."""
        try:
            found = sorted((path.stat().st_mtime, path.name) for path in self._waiting.iterdir() if path.is_file())
        except OSError:
            return ()
        oldest = (now - KEPT_FOR).timestamp()
        many = len(found) - KEPT_AT_MOST
        return tuple(f"sha256:{name}" for place, (at, name) in enumerate(found) if at < oldest or place < many)

    def open(self, package: str) -> Package:
        """A package that was taken in, after comparing it with its digest.

        Raises :class:`StorageError` when it is gone, :class:`IntegrityError` when it was changed.
        """
        path = self._kept(package)
        try:
            if digest_file(path) != package:
                raise IntegrityError("a stored package was changed on disk", fix="restore it from a backup")
            return Package.open(path)
        except OSError as error:
            raise StorageError(f"a stored package is not readable: {error}", fix="restore it from a backup") from error

    def missing(self, packages: Iterable[str]) -> tuple[str, ...]:
        """Which of these packages are not there."""
        return tuple(package for package in packages if not self._kept(package).is_file())

    def _kept(self, package: str) -> Path:
        return self._folder / package.removeprefix("sha256:")
