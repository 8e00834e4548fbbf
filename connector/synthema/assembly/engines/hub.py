"""A hub's engine: starts FLARE when a study first needs it, and certifies the sites that have an agreement."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from synthema.assembly.engines.common import enrolment, environment_of, folder_of, why_not_in_force
from synthema.assembly.problems import input_error
from synthema.config import is_address
from synthema.dataspace.addresses import is_loopback
from synthema.errors import DeniedError, InputError
from synthema.federation import CarriedBy, Coordinator, StudyPlan, require_loopback
from synthema.federation.flare import Authority, EnrolmentRequest, FlareEngine, FlareHub, fingerprint
from synthema.identity import DidResolver
from synthema.runs.rooms import Rooms

AUTHORITY_SECRET = "engine-authority"  # noqa: S105 - the name of a secret, not one
LONGEST_LIFE = timedelta(days=60)
"""How long FLARE's server runs at most before a new one takes its place; its certificate is good for 90 days."""


class HubEngine:
    """What carries the studies that this hub conducts, as its settings say. Thread-safe."""

    def __init__(self, rooms: Rooms, coordinator: Coordinator, resolver: DidResolver) -> None:
        self._rooms = rooms
        self._coordinator = coordinator
        self._resolver = resolver
        self._settings = rooms.settings
        self._hub: FlareHub | None = None
        self._authority: Authority | None = None
        self._lock = threading.RLock()
        self._closed = False

    @property
    def is_flare(self) -> bool:
        """Whether NVIDIA FLARE carries the studies begun here."""
        return self._settings.engine.carries == "nvflare"

    def require(self) -> None:
        """Raise the :class:`SynthemaError` that says why no study could be carried now, if so."""
        if not self.is_flare:
            require_loopback(self._settings.public_url)
            return
        environment_of(self._settings)
        self._host()

    def choice(self) -> CarriedBy | None:
        """What the plan of a new study says of its engine; FLARE's server runs from here on."""
        if not self.is_flare:
            return None
        self._running()
        return CarriedBy(
            name="nvflare", authority=self._fingerprint(), host=self._host(), port=self._settings.engine.port
        )

    def carrying(self, plan: StudyPlan, without: Collection[str] = ()) -> AbstractContextManager[None]:
        """Carry a study's parcels for as long as this lasts, to all members but those ``without`` a part in it.

        Raises :class:`PeerError` where too few sites connect, :class:`DeniedError` where they refuse the session or
        the plan names another engine than this hub has now.
        """
        if plan.engine is None:
            require_loopback(self._settings.public_url)
            return nullcontext()
        if not self.is_flare or plan.engine.authority != self._fingerprint():
            raise DeniedError(
                "the study's plan names an engine that this hub does not have any more",
                fix="set it again in connector.toml, or begin the study anew",
            )
        return FlareEngine(hub=self._running()).carrying(plan, without)

    def certificate(self, caller: str, document: Any) -> Mapping[str, str]:
        """Answer a site's signed request for a certificate; raises :class:`DeniedError` without an agreement in force.

        Raises :class:`IntegrityError` when it is not signed by the caller or meant for another authority.
        """
        if not self.is_flare:
            raise DeniedError("no study of this hub is carried by FLARE", fix="ask its operator")
        try:
            wish = EnrolmentRequest.model_validate(document)
        except ValidationError as error:
            raise input_error(error, "request", EnrolmentRequest) from error
        if wish.site != caller:
            raise DeniedError("a site asks for its own certificate only", fix="ask in your own name")
        hub, authority, rooms = self._running(), self._own_authority(), self._rooms
        issued = authority.enrol(
            wish, self._resolver, lambda site, agreement: why_not_in_force(rooms, agreement, site), rooms.clock.now()
        )
        label = f"certificate of the engine issued to {caller}"
        rooms.log.record(enrolment(rooms, label, wish.agreement, wish.authority, fingerprint(issued)))
        hub.arrives(caller)
        return {"certificate": issued.decode(), "authority": authority.pem.decode()}

    def stands(self) -> str:
        """How FLARE stands, in words; raises the :class:`SynthemaError` of :meth:`require`."""
        self.require()
        version = environment_of(self._settings).version()
        hub = self._hub
        state = "does not run yet" if hub is None else "runs" if hub.alive else "has ended"
        return f"NVIDIA FLARE {version}; its server at {self._host()}:{self._settings.engine.port} {state}"

    def close(self) -> None:
        """End FLARE, whatever it carries: studies go on at the next start."""
        with self._lock:
            self._closed = True
            if self._hub is not None:
                self._hub.close()

    def _running(self) -> FlareHub:
        """FLARE's server; another one in the place of one that ended, or has become old while it carries nothing."""
        with self._lock:
            if self._closed:
                raise DeniedError("this connector stops", fix="start it again")
            hub = self._hub
            if hub is not None and hub.alive and (hub.busy or self._is_young(hub)):
                return hub
            if hub is not None:
                hub.close()
            environment, folder = environment_of(self._settings), folder_of(self._settings) / "hub"
            shutil.rmtree(folder / "submitted", ignore_errors=True)
            self._hub = FlareHub(
                folder, environment, self._own_authority(), self._coordinator, self._rooms.clock,
                host=self._host(), port=self._settings.engine.port,
            )  # fmt: skip
            return self._hub

    def _is_young(self, hub: FlareHub) -> bool:
        return self._rooms.clock.now() - hub.begun < LONGEST_LIFE

    def _own_authority(self) -> Authority:
        with self._lock:
            if self._authority is None:
                secret, name = self._rooms.signer.secret(AUTHORITY_SECRET), f"engine of {self._settings.did}"[:64]
                self._authority = Authority.kept(folder_of(self._settings), secret, name, self._rooms.clock.now())
            return self._authority

    def _fingerprint(self) -> str:
        return fingerprint(self._own_authority().pem)

    def _host(self) -> str:
        """The name by which sites reach FLARE's server."""
        host = self._settings.engine.host or urlsplit(self._settings.public_url).hostname or ""
        if is_loopback(host):
            return "localhost"
        if is_address(host):
            raise InputError(
                f"FLARE's server needs a name, and {host} is an address",
                fix="set engine.host in connector.toml to the name by which sites reach this hub",
            )
        return host
