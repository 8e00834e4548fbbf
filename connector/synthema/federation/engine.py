"""Which machinery carries the rounds between connectors.

An engine brings parcels from the coordinator to each site and back; what they say, and who may
say it, is settled above it, and every parcel is signed and bound to its vector by a digest. So an
engine can lose, delay, repeat or mangle parcels, and the worst it can do is to end a study.

:class:`EmbeddedEngine` is the connectors' own channel, for one machine (trial, demonstration, tests): it
refuses any other address and names :class:`synthema.federation.flare.FlareEngine`, which serves the same
port over NVIDIA FLARE between machines. ``tests/unit/federation_engine/contract.py`` says what
every engine must do.
"""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol
from urllib.parse import urlsplit

from synthema.errors import ConflictError, DeniedError, InputError
from synthema.federation.coordinator import Coordinator
from synthema.federation.model import Outcome, SiteLimits, StudyPlan, StudyResult
from synthema.federation.participant import Participant
from synthema.federation.ports import SiteSession

LARGEST_PARCEL = 512 * 1024 * 1024
"""Bytes of one parcel: a vector of 10^8 numbers of 32 bits and its message fit."""
MOST_IN_HAND = 2 * LARGEST_PARCEL


class FederationEngine(Protocol):
    """Runs studies between connectors, from either side."""

    def coordinate(self, plan: StudyPlan, session: SiteSession) -> StudyResult:
        """Invite the members and run the study; raises the error that ended it."""
        ...

    def participate(self, plan: StudyPlan, session: SiteSession, limits: SiteLimits) -> Outcome:
        """Take part as a site until the study ends."""
        ...


class Passage:
    """A narrow door for parcels: none too large, and together no more bytes in hand than agreed. Thread-safe.

    Whoever comes when the hands are full waits; a site thus sends no faster than the coordinator takes.
    """

    def __init__(
        self, *, largest: int = LARGEST_PARCEL, in_hand: int = MOST_IN_HAND, wait_seconds: float = 60.0
    ) -> None:
        self.largest = largest
        self._room = in_hand
        self._wait_seconds = wait_seconds
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """While a parcel of so many bytes is dealt with.

        Raises :class:`InputError` for one that is too large, :class:`ConflictError` when no room came free in time.
        """
        if size > self.largest:
            raise InputError(
                f"a parcel of {size} bytes is larger than the {self.largest} that are carried",
                fix="ask for shorter vectors",
            )
        with self._changed:
            if not self._changed.wait_for(lambda: self._room >= size, self._wait_seconds):
                raise ConflictError("too many parcels are under way", fix="send it again in a while")
            self._room -= size
        try:
            yield
        finally:
            with self._changed:
                self._room += size
                self._changed.notify_all()


class EmbeddedEngine:
    """Rounds over the connectors' own channel, on one machine.

    ``address`` is the public address of the coordinator; a site gives its
    ``participant``, a coordinator its ``coordinator``.
    """

    def __init__(
        self, address: str, *, coordinator: Coordinator | None = None, participant: Participant | None = None
    ) -> None:
        require_loopback(address)
        self._coordinator = coordinator
        self._participant = participant

    def coordinate(self, plan: StudyPlan, session: SiteSession) -> StudyResult:
        """See :class:`FederationEngine`."""
        if self._coordinator is None:
            raise DeniedError("this connector does not coordinate studies", fix="coordinate at a hub")
        self._coordinator.invite(plan)
        return self._coordinator.run_study(plan.id, session)

    def participate(self, plan: StudyPlan, session: SiteSession, limits: SiteLimits) -> Outcome:
        """See :class:`FederationEngine`."""
        if self._participant is None:
            raise DeniedError("this connector takes no part in studies", fix="take part as a site")
        return self._participant.run(plan, session, limits)


class LoopbackChannel:
    """A site's channel to a coordinator in the same process; all its sites may share one ``passage``."""

    def __init__(
        self, coordinator: Coordinator, me: str, *, wait_seconds: float = 1.0, passage: Passage | None = None
    ) -> None:
        self._coordinator = coordinator
        self._me = me
        self._wait_seconds = wait_seconds
        self._passage = passage or Passage()

    def post(self, study_id: str, data: bytes) -> None:
        """Hand in one parcel."""
        with self._passage.hold(len(data)):
            self._coordinator.handle(study_id, self._me, data)

    def poll(self, study_id: str, after: int) -> bytes | None:
        """The next parcel, if it comes in time."""
        return self._coordinator.next(study_id, self._me, after, self._wait_seconds)


def require_loopback(address: str) -> None:
    """Raise :class:`DeniedError` unless an http(s) address is on this machine."""
    host = urlsplit(address).hostname or ""
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise DeniedError(
            f"the embedded engine carries rounds on one machine only, not to '{host}'",
            fix="use a loopback address for a trial; between machines, let the FLARE engine carry the rounds: "
            'engine.carries = "nvflare" in connector.toml',
        )
