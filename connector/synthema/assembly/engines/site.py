"""A site's engine: takes part over FLARE in the studies of hubs it has an agreement with, and ends with the connector.

There is one process of FLARE for each hub. Its key is made here, its certificate is asked for
under the agreement, and the authority must be the one that the decided plan names.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from synthema.assembly.asking import ask
from synthema.assembly.engines.common import (
    CERTIFICATES,
    enrolment,
    environment_of,
    folder_of,
    why_not_in_force,
)
from synthema.assembly.requests import member_of
from synthema.dataspace import PeerClient
from synthema.dataspace.addresses import is_loopback, resolve
from synthema.errors import DeniedError, PeerError, SynthemaError
from synthema.federation import CarriedBy, Channel, StudyPlan, require_loopback
from synthema.federation.flare import FlareSite, SiteGate, fingerprint, flare_name
from synthema.runs.rooms import Rooms

SECONDS_BETWEEN_LOOKS = 2.0
LONGEST_PAUSE = 60.0
_log = logging.getLogger(__name__)


class SiteEngine:
    """What carries this site's part in studies. Thread-safe."""

    def __init__(self, rooms: Rooms, peers: PeerClient) -> None:
        self._rooms = rooms
        self._peers = peers
        self._settings = rooms.settings
        self._hubs: dict[str, _Connection] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def require(self, plan: StudyPlan) -> None:
        """Raise the :class:`SynthemaError` that says why this site cannot take part in a study in the plan's way."""
        hub = self._peers.peer(plan.coordinator).url
        if plan.engine is None:
            require_loopback(hub)
            return
        if self._settings.engine.carries != "nvflare":
            raise DeniedError(
                "NVIDIA FLARE carries the rounds of this study, and this site has not switched it on",
                fix="run 'synthema study engine FOLDER', then set engine.carries and engine.environment",
            )
        _require_host_of(plan.engine, hub)
        environment_of(self._settings)

    def connect(self, plan: StudyPlan) -> None:
        """See that FLARE runs here for the plan's coordinator, under a certificate of the authority the plan names.

        Does nothing where the connectors' own channel carries the study.
        """
        if plan.engine is not None:
            self._connection(plan).begin(plan)

    @contextmanager
    def carrying(self, plan: StudyPlan, permitted: Callable[[], None], ended: Callable[[], None]) -> Iterator[Channel]:
        """The channel of a study that FLARE carries, for as long as this lasts.

        ``permitted`` is asked before each task and each result, ``ended`` while the site waits; each raises the
        :class:`SynthemaError` that ends this site's part.
        """
        connection = self._connection(plan)
        agreement = member_of(plan, self._settings.did).agreement
        channel = connection.gate.open(plan.id, agreement, permitted)
        connection.plan, connection.restarts = plan, 0
        try:
            yield _WhileUnderWay(channel, ended)
        finally:
            connection.gate.close(plan.id)

    def stands(self) -> str:
        """How FLARE stands, in words; raises :class:`PluginError` where it is missing."""
        version = environment_of(self._settings).version()
        with self._lock:
            running = sum(1 for connection in self._hubs.values() if connection.site.alive)
        return f"NVIDIA FLARE {version}; runs for {running} hubs"

    def close(self) -> None:
        """End FLARE at this site."""
        self._closing.set()
        with self._lock:
            for connection in self._hubs.values():
                connection.site.close()

    def _connection(self, plan: StudyPlan) -> _Connection:
        with self._lock:
            if self._closing.is_set():
                raise DeniedError("this connector stops", fix="order it again later")
            if not self._hubs:
                threading.Thread(target=self._look_after, name="engine", daemon=True).start()
            if plan.coordinator not in self._hubs:
                self._hubs[plan.coordinator] = _Connection(self._rooms, self._peers, plan.coordinator)
            return self._hubs[plan.coordinator]

    def _look_after(self) -> None:
        """Start FLARE again where it ended in a study."""
        while not self._closing.wait(SECONDS_BETWEEN_LOOKS):
            with self._lock:
                connections = list(self._hubs.values())
            for connection in connections:
                try:
                    connection.begin_again()
                except SynthemaError as error:
                    _log.warning("FLARE cannot be started again: %s", error.message)


class _Connection:
    """FLARE at this site for one hub; ``plan`` is that of its latest study, ``restarts`` how often it ended in it."""

    def __init__(self, rooms: Rooms, peers: PeerClient, hub: str) -> None:
        self._rooms = rooms
        self._peers = peers
        self._hub = hub
        self._turn = threading.Lock()
        self._engine: CarriedBy | None = None
        self.plan: StudyPlan | None = None
        self.restarts = 0
        self._not_before = 0.0
        me, folder = rooms.settings.did, folder_of(rooms.settings) / flare_name(hub)
        self.gate = SiteGate(me, rooms.database, rooms.log, rooms.clock, lambda a: why_not_in_force(rooms, a, hub))
        self.site = FlareSite(folder, environment_of(rooms.settings), self.gate, me)

    def begin(self, plan: StudyPlan) -> None:
        """Start FLARE for this plan's engine, unless it runs for it under a certificate that lasts."""
        assert plan.engine is not None  # noqa: S101 - asked for studies that FLARE carries only
        with self._turn:
            fits = self._engine == plan.engine and (self.gate.busy or self.site.lasts(self._rooms.clock.now()))
            if self.site.alive and fits:
                return
            self.site.close()
            self._enrol(plan.engine, member_of(plan, self._rooms.settings.did).agreement)
            self.site.start()
            self._engine = plan.engine

    def begin_again(self) -> None:
        """Start FLARE again where it ended in a study; the more often it did, the later."""
        if self.plan is None or not self.gate.busy or self.site.alive or time.monotonic() < self._not_before:
            return
        self.restarts += 1
        self._not_before = time.monotonic() + min(2.0**self.restarts, LONGEST_PAUSE)
        self.begin(self.plan)

    def _enrol(self, engine: CarriedBy, agreement: str) -> None:
        rooms = self._rooms
        if (refusal := why_not_in_force(rooms, agreement, self._hub)) is not None:
            raise DeniedError(refusal, fix="negotiate an agreement that holds")
        if engine.host != "localhost":
            resolve(engine.host, engine.port)
        wish = self.site.request_certificate(agreement, engine.authority, rooms.signer)
        answer = ask(self._peers, self._hub, CERTIFICATES, wish.model_dump(mode="json"))
        certificate, authority = answer.get("certificate"), answer.get("authority")
        if not (isinstance(certificate, str) and isinstance(authority, str)):
            raise PeerError("the hub's answer holds no certificate", fix="ask its operator")
        self.site.install(
            certificate.encode(), authority.encode(), engine.authority, host=engine.host, port=engine.port
        )
        label = f"certificate of the engine received from {self._hub}"
        rooms.log.record(enrolment(rooms, label, agreement, engine.authority, fingerprint(certificate.encode())))


class _WhileUnderWay:
    """A channel that tells the one who waits on it when his run has been ended from elsewhere."""

    def __init__(self, channel: Channel, ended: Callable[[], None]) -> None:
        self._channel = channel
        self._ended = ended

    def post(self, study_id: str, data: bytes) -> None:
        """See :class:`Channel`."""
        self._channel.post(study_id, data)

    def poll(self, study_id: str, after: int) -> bytes | None:
        """See :class:`Channel`; raises what ``ended`` raises."""
        self._ended()
        return self._channel.poll(study_id, after)


def _require_host_of(engine: CarriedBy, hub: str) -> None:
    """Refuse to call a machine other than the registered one of the hub, whatever its plan says."""
    host, registered = engine.host.lower().rstrip("."), (urlsplit(hub).hostname or "").lower().rstrip(".")
    same = host == registered or host.endswith("." + registered)
    if not (same or (is_loopback(registered) and host == "localhost")):
        raise DeniedError(
            f"the plan's engine is at {engine.host}, and the hub is registered at {registered}",
            fix=f"the hub's engine.host has to be {registered}, or a name below it",
        )
