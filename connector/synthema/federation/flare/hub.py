"""A coordinator's side of FLARE: what lies ready for each site is brought to it, and its answers are handed in."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from synthema.clock import Clock
from synthema.errors import InputError, IntegrityError, SynthemaError
from synthema.federation.coordinator import Coordinator
from synthema.federation.flare.enrolment import flare_name
from synthema.federation.flare.synthema_relay.frames import FrameError, split
from synthema.federation.messages import Parcel

_IDLE_SECONDS = 10.0
_PAUSE = 0.02
_RETRY = 1.0


@dataclass
class _Post:
    """Where one site stands in one study: the number of the last parcel it has, and the exchange under way.

    ``fresh`` until the site was heard: a coordinator that was killed asks first what it may have missed.
    """

    did: str
    study: str
    number: int
    after: int = 0
    parcel: bytes = b""
    outstanding: bool = False
    listening: bool = True
    fresh: bool = True
    refused: str | None = None
    due: float = 0.0
    done: bool = False


class HubRelay:
    """The studies of one session as FLARE's job at the coordinator sees them. Thread-safe.

    Everything that must outlive a job is here and not in it: when a job crashes, the next one is told to
    repeat the exchange that was under way, and the study goes on with the very message it had come to.
    """

    def __init__(self, coordinator: Coordinator, clock: Clock) -> None:
        self._coordinator = coordinator
        self._first = int(clock.now().timestamp() * 1000)
        self._posts: dict[str, dict[str, _Post]] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def open(self, study: str, members: Sequence[str]) -> None:
        """Carry a study between the coordinator and these sites (dids)."""
        with self._lock:
            for did in members:
                self._posts.setdefault(flare_name(did), {})[study] = _Post(did, study, self._first)

    def close(self, study: str, seconds: float = 10.0) -> None:
        """Carry no more of a study; its last words have so long to reach those who still listen."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self._told(study) and not self._closing.is_set():
            time.sleep(_PAUSE)
        with self._lock:
            for posts in self._posts.values():
                posts.pop(study, None)

    @contextmanager
    def carrying(self, study: str, members: Sequence[str]) -> Iterator[None]:
        """:meth:`open` a study, and :meth:`close` it however it ends."""
        self.open(study, members)
        try:
            yield
        finally:
            self.close(study)

    @property
    def busy(self) -> bool:
        """Whether it carries any study."""
        with self._lock:
            return any(self._posts.values())

    def end_session(self) -> None:
        """Tell the job to end."""
        self._closing.set()

    def answer(self, question: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
        """Answer the job: take what a site said, and say what to bring to it next."""
        site, last = question.get("site"), question.get("last")
        if question.get("ask") != "work" or not isinstance(site, str) or not isinstance(last, dict):
            raise InputError("this is not a question for this connector", fix="use the relay of this release")
        if last:
            self._hand_in(site, last, payload)
        end = time.monotonic() + _IDLE_SECONDS
        while not self._closing.is_set():
            post = self._next(site)
            if post is not None:
                about = {"do": "exchange", "study": post.study, "exchange": post.number, "refused": post.refused,
                         "again": post.fresh}  # fmt: skip
                return about, post.parcel
            if time.monotonic() > end:
                return {"do": "wait"}, b""
            time.sleep(_PAUSE)
        return {"do": "close"}, b""

    def _next(self, site: str) -> _Post | None:
        with self._lock:
            posts = [post for post in self._posts.get(site, {}).values() if not post.done]
        for post in posts:
            if post.outstanding:  # the job that carried it has crashed: the very same again
                return post
            if time.monotonic() < post.due:
                continue
            parcel = self._parcel(post)
            if parcel or post.listening:
                post.number, post.parcel, post.outstanding = post.number + 1, parcel, True
                return post
        return None

    def _parcel(self, post: _Post) -> bytes:
        try:
            return self._coordinator.next(post.study, post.did, post.after, 0.0) or b""
        except SynthemaError:
            return b""  # not invited yet, or forgotten: the site is asked what it has to say, and hears why

    def _hand_in(self, site: str, last: dict[str, Any], payload: bytes) -> None:
        with self._lock:
            post = self._posts.get(site, {}).get(str(last.get("study")))
        if post is None or not post.outstanding or last.get("exchange") != post.number:
            return
        about = last.get("answer")
        post.outstanding, delivered, post.refused = False, bool(post.parcel), None
        if not isinstance(about, dict):  # refused there, or gone: said again after a while, in a new exchange
            post.due, post.listening = time.monotonic() + _RETRY, True
            return
        post.fresh = False
        if delivered and about.get("taken") is True:
            post.after = Parcel.from_bytes(post.parcel).message.sequence
        if isinstance(about.get("after"), int):
            post.after = about["after"]
        try:
            for parcel in _parcels(payload):
                self._coordinator.handle(post.study, post.did, parcel)
        except SynthemaError as error:
            post.refused = error.message
        post.done = about.get("ended") is True
        post.listening = post.refused is not None or not (payload or about.get("waits") is True)

    def _told(self, study: str) -> bool:
        with self._lock:
            return all(post.done for posts in self._posts.values() for key, post in posts.items() if key == study)


def _parcels(payload: bytes) -> list[bytes]:
    try:
        return split(payload)
    except FrameError as error:
        raise IntegrityError(str(error), fix="use the relay of this release at the site") from error
