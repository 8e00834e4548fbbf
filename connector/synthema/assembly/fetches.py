"""Downloads of artefacts that go on in the background while people watch how far they have come."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from synthema.canonical import digest
from synthema.dataspace import Agreement, Dataspace
from synthema.dataspace.dataplane.fetching import Wanted
from synthema.dataspace.service import MAX_ARTEFACT_BYTES
from synthema.errors import NotFoundError, SynthemaError
from synthema.ids import new_id

FOLDER = "fetched"
_DIGEST = re.compile(r"^[0-9a-f]{64}$")


@dataclass(frozen=True, slots=True)
class Fetch:
    """A download: how much of it is there, and once it has ended its digest or what went wrong."""

    id: str
    agreement: str
    artefact: str
    state: Literal["fetching", "complete", "failed"] = "fetching"
    received: int = 0
    size: int | None = None
    digest: str | None = None
    error: dict[str, str] | None = None

    @property
    def file(self) -> str | None:
        """Where the bytes lie in the connector's home, once all have come."""
        return None if self.digest is None else f"{FOLDER}/{self.digest.removeprefix('sha256:')}"

    def as_dict(self) -> dict[str, Any]:
        """The download as JSON."""
        return {
            "fetch": self.id,
            "agreement": self.agreement,
            "artefact": self.artefact,
            "state": self.state,
            "received": self.received,
            "size": self.size,
            "digest": self.digest,
            "file": self.file,
            "error": self.error,
        }


class Fetches:
    """The downloads of one connector. What is cut off by its end is gone on with when it is asked for again."""

    def __init__(self, dataspace: Dataspace, home: Path) -> None:
        self._dataspace = dataspace
        self._home = home
        self._fetches: dict[str, Fetch] = {}
        self._lock = threading.Lock()
        self._workers = ThreadPoolExecutor(2, thread_name_prefix="fetches")

    def begin(self, agreement: Agreement, artefact: str | None, expected: str | None) -> Fetch:
        """Begin to fetch an artefact under an agreement; without a name the one the agreement is about.

        In this data space artefacts are named by their digest, so that a name tells what the bytes must be. The same
        artefact is fetched once at a time.
        """
        name = (artefact or agreement.dataset.rpartition("/")[2]).removeprefix("sha256:")
        known = f"sha256:{name}" if _DIGEST.match(name) else None
        fetch = Fetch(new_id("fetch"), agreement.id, name)
        with self._lock:
            for other in self._fetches.values():
                if (other.agreement, other.artefact, other.state) == (agreement.id, name, "fetching"):
                    return other
            self._fetches[fetch.id] = fetch
        self._workers.submit(self._fetch, fetch, agreement, expected or known)
        return fetch

    def find(self, identifier: str) -> Fetch:
        """A download of this life of the connector; raises :class:`NotFoundError`."""
        try:
            return self._fetches[identifier]
        except KeyError:
            raise NotFoundError(
                "there is no such download, or the connector was started again since",
                fix="fetch again: what has come is kept, and the download goes on from there",
            ) from None

    def close(self) -> None:
        """Take no more on; what is under way ends with the connector."""
        self._workers.shutdown(wait=False, cancel_futures=True)

    def _fetch(self, fetch: Fetch, agreement: Agreement, expected: str | None) -> None:
        try:
            folder = self._home / FOLDER
            folder.mkdir(mode=0o700, exist_ok=True)
            target = folder / digest([agreement.id, fetch.artefact]).removeprefix("sha256:")
            found = self._dataspace.fetch(
                agreement,
                Wanted(fetch.artefact, MAX_ARTEFACT_BYTES, expected),
                target,
                progress=lambda received, size: self._note(fetch.id, received=received, size=size),
            )
            target.replace(folder / found.removeprefix("sha256:"))
            self._note(fetch.id, state="complete", digest=found)
        except SynthemaError as error:
            self._note(fetch.id, state="failed", error=error.as_dict())
        except BaseException:
            told = {"code": "fault", "message": "a fault of this connector", "fix": "see its log"}
            self._note(fetch.id, state="failed", error=told)
            raise

    def _note(self, identifier: str, **changes: Any) -> None:
        with self._lock:
            self._fetches[identifier] = replace(self._fetches[identifier], **changes)
