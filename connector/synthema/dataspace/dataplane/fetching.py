"""Fetches artefacts at the consumer: piece by piece, to be gone on with after any interruption, checked at the end.

What has come lies beside its final place as ``<name>.part``, with a note of whose bytes they are. Asked for again, the
download goes on where it stopped if the provider still has the same bytes (their digest is the entity tag), and begins
anew if it has others.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from synthema.canonical import canonical_json, parse_json_strictly
from synthema.dataspace import messages as m
from synthema.dataspace.dataplane.artefacts import TOKEN
from synthema.dataspace.dataplane.ranges import PIECE, etag, given_span
from synthema.dataspace.model import Process
from synthema.dataspace.peer import DIGEST_HEADER
from synthema.errors import DeniedError, InputError, IntegrityError, PeerError

PATIENCE: Final = 5
"""How often a piece is asked for again when the provider does not answer."""

FIRST_PAUSE: Final = 0.2
_DIGEST: Final = re.compile(r"^sha256:[0-9a-f]{64}$")

Progress = Callable[[int, int], None]
"""Told (bytes that have come, bytes in all) after each piece."""


class Answer(Protocol):
    """What a peer answered to a request for a part."""

    status: int
    body: bytes

    @property
    def headers(self) -> Any: ...

    def json(self) -> Any: ...

    def require_success(self) -> None: ...


class Parts(Protocol):
    """The peer client as far as downloads need it."""

    def path_of(self, did: str, url: str) -> str: ...

    def get_part(
        self, did: str, path: str, first: int, last: int, *, max_bytes: int, tag: str | None, token: str | None
    ) -> Answer: ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be fetched: which artefact, of at most so many bytes, with which digest if that is known."""

    artefact: str
    max_bytes: int
    digest: str | None = None


def fetch(peers: Parts, process: Process, wanted: Wanted, target: Path, progress: Progress | None = None) -> str:
    """Fetch an artefact of a started transfer into a file; returns its digest.

    Raises :class:`DeniedError` where the provider's policies deny, :class:`PeerError` when it does not know the
    transfer (any more) or stays away (what has come is kept), and :class:`IntegrityError` when the bytes are not those
    of the digest (nothing is kept).
    """
    address = m.DataAddress.model_validate(process.details.get("address") or {})
    if address.endpoint is None:
        raise PeerError("the provider's start message names no endpoint", fix="ask its operator")
    base = peers.path_of(process.peer, address.endpoint).rstrip("/")
    download = _Download(target, wanted)
    path, token = f"{base}/{m.path_segment(wanted.artefact)}", address.property(TOKEN)
    while not download.whole:
        download.take(_patiently(peers, process.peer, path, token, download))
        if progress is not None:
            progress(download.there, download.size or 0)
    return download.finish()


def _patiently(peers: Parts, did: str, path: str, token: str | None, download: _Download) -> Answer:
    """The next part; a provider that does not answer for a moment is asked again."""
    first = download.there
    for attempt in range(PATIENCE):
        try:
            answer = peers.get_part(
                did, path, first, first + PIECE - 1, max_bytes=download.most, tag=download.tag, token=token
            )
        except PeerError:
            if attempt + 1 == PATIENCE:
                raise
            time.sleep(FIRST_PAUSE * 2**attempt)
        else:
            return answer
    raise AssertionError  # the loop above returns or raises


def _require_given(answer: Answer) -> None:
    """Raise :class:`DeniedError` with the provider's reasons where its policies deny, else :class:`PeerError`."""
    told = answer.json() if 400 <= answer.status < 500 else None
    if isinstance(told, dict) and told.get("code") == DeniedError.code:
        reasons = "; ".join(m.reason_texts(told.get("reason")))
        raise DeniedError(f"the provider denies it: {reasons}"[:2000], fix="talk to its data protection officer")
    answer.require_success()


class _Download:
    """The bytes that have come so far."""

    def __init__(self, target: Path, wanted: Wanted) -> None:
        self._target = target
        self._wanted = wanted
        self._part = target.with_name(target.name + ".part")
        self._note = target.with_name(target.name + ".part.json")
        self.digest, self.size = self._kept()
        self.there = self._part.stat().st_size if self.digest else 0

    @property
    def most(self) -> int:
        """The most bytes that an answer may have."""
        return max(self._wanted.max_bytes, PIECE)

    @property
    def whole(self) -> bool:
        return self.size is not None and self.there >= self.size

    @property
    def tag(self) -> str | None:
        """The entity tag of the bytes that have come, if any have."""
        return None if self.digest is None or not self.there else etag(self.digest)

    def take(self, answer: Answer) -> None:
        """Keep a part; one of other bytes than before begins anew."""
        if answer.status == 416 and self.there:
            self._forget()
            return
        _require_given(answer)
        digest = str(answer.headers.get(DIGEST_HEADER.lower(), ""))
        span = given_span(answer.headers.get("content-range")) if answer.status == 206 else None
        first, size = (span.first, span.size) if span is not None else (0, len(answer.body))
        if not _DIGEST.match(digest) or (answer.status == 206 and (span is None or span.length != len(answer.body))):
            raise PeerError("the provider's answer does not say which part of what it is", fix="ask its operator")
        if size > self._wanted.max_bytes:
            raise PeerError(f"the artefact has more than {self._wanted.max_bytes} bytes", fix="allow more bytes")
        if first not in (0, self.there) or (first and digest != self.digest) or not (answer.body or size == 0):
            raise PeerError("the provider gave another part than the one that was asked for", fix="ask its operator")
        self._keep(first, answer.body, digest, size)

    def finish(self) -> str:
        """Check the bytes against their digest and put them in their place."""
        found = hashlib.sha256()
        with self._part.open("rb") as file:
            while block := file.read(PIECE):
                found.update(block)
        digest = f"sha256:{found.hexdigest()}"
        if digest != self.digest or digest != (self._wanted.digest or digest):
            self._forget()
            raise IntegrityError(
                f"the bytes of {self._wanted.artefact} are not what their digest says",
                fix="fetch them again; if it stays so, tell the provider",
                where=self._wanted.artefact,
            )
        self._part.replace(self._target)
        self._note.unlink(missing_ok=True)
        return digest

    def _kept(self) -> tuple[str | None, int | None]:
        try:
            note = parse_json_strictly(self._note.read_bytes())
            digest, size = str(note["digest"]), int(note["size"])
            return (digest, size) if self._part.stat().st_size <= size else (None, None)
        except (OSError, InputError, KeyError, TypeError, ValueError):
            return None, None

    def _keep(self, first: int, body: bytes, digest: str, size: int) -> None:
        if first == 0:
            self._part.write_bytes(b"")
            self._note.write_bytes(canonical_json({"digest": digest, "size": size}))
        with self._part.open("ab") as file:
            file.write(body)
        self.digest, self.size, self.there = digest, size, first + len(body)

    def _forget(self) -> None:
        self._part.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)
        self.digest, self.size, self.there = None, None, 0
