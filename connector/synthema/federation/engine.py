"""Which machinery carries the rounds between connectors.

:class:`EmbeddedEngine` is the connectors' own channel. It is meant for one
machine (trial, demonstration, tests) and refuses any other address. For rounds
between machines the same port will be served by an adapter to NVIDIA FLARE,
which starts and stops with the grant; nothing above this port changes then.
"""

from __future__ import annotations

import ipaddress
from typing import Protocol
from urllib.parse import urlsplit

from synthema.errors import DeniedError
from synthema.federation.coordinator import Coordinator
from synthema.federation.model import Outcome, SiteLimits, StudyPlan, StudyResult
from synthema.federation.participant import Participant
from synthema.federation.ports import SiteSession


class FederationEngine(Protocol):
    """Runs studies between connectors, from either side."""

    def coordinate(self, plan: StudyPlan, session: SiteSession) -> StudyResult:
        """Invite the members and run the study; raises the error that ended it."""
        ...

    def participate(self, plan: StudyPlan, session: SiteSession, limits: SiteLimits) -> Outcome:
        """Take part as a site until the study ends."""
        ...


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
    """A site's channel to a coordinator in the same process."""

    def __init__(self, coordinator: Coordinator, me: str, *, wait_seconds: float = 1.0) -> None:
        self._coordinator = coordinator
        self._me = me
        self._wait_seconds = wait_seconds

    def post(self, study_id: str, data: bytes) -> None:
        """Hand in one parcel."""
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
            fix="use a loopback address for a trial; between machines, wait for the FLARE engine",
        )
