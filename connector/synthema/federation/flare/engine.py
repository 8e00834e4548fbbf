"""The engine between machines: studies over NVIDIA FLARE, behind the same port as the embedded one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path

from synthema.errors import ConflictError, DeniedError, IntegrityError
from synthema.federation.coordinator import Coordinator
from synthema.federation.flare.desk import Desk
from synthema.federation.flare.enrolment import (
    CERTIFICATE_DAYS,
    EnrolmentRequest,
    certificate_ends,
    fingerprint,
    flare_name,
    key_pem,
    private_key,
    require_issued,
)
from synthema.federation.flare.enrolment import request_certificate as _request
from synthema.federation.flare.environment import FlareEnvironment, FlareProcess, client_arguments
from synthema.federation.flare.hub import HubRelay
from synthema.federation.flare.kit import lay_out_relay, site_files, write_files
from synthema.federation.flare.sessions import FlareHub
from synthema.federation.flare.site import SiteGate
from synthema.federation.model import Outcome, SiteLimits, StudyPlan, StudyResult
from synthema.federation.participant import Participant
from synthema.federation.ports import Channel, Signer, SiteSession


class FlareSite:
    """A site's FLARE: its key and kit in ``folder``, its process, and the desk that answers it."""

    def __init__(self, folder: Path, environment: FlareEnvironment, gate: SiteGate, me: str) -> None:
        self.folder = folder
        self._environment = environment
        self._me = me
        self._process: FlareProcess | None = None
        self.desk: Desk | None = None
        self.gate = gate

    def request_certificate(self, agreement: str, authority: str, signer: Signer) -> EnrolmentRequest:
        """Make a key that stays in this folder, and the signed request for its certificate. A former kit is gone."""
        key = private_key()
        shutil.rmtree(self.folder / "kit", ignore_errors=True)
        write_files(self.folder, {"kit/startup/client.key": key_pem(key)})
        return _request(self._me, agreement, authority, key, signer)

    def install(self, certificate: bytes, authority: bytes, expected: str, *, host: str, port: int) -> None:
        """Lay the kit out. ``expected`` is the authority's fingerprint as the agreement names it."""
        if fingerprint(authority) != expected:
            raise IntegrityError("the authority is not the one of the agreement", fix="ask the coordinator which is")
        require_issued(certificate, authority, (self.folder / "kit/startup/client.key").read_bytes())
        files = site_files(flare_name(self._me), host, port)
        secret = {"startup/client.crt": certificate, "startup/rootCA.pem": authority}
        write_files(self.folder / "kit", {**files, **secret})

    def start(self) -> None:
        """Start FLARE on the kit; it calls the coordinator, and nobody calls it."""
        if self.alive:
            raise ConflictError("FLARE runs at this site already", fix="stop it first")
        self.close()
        self.desk = Desk(self.gate.answer)
        code, kit = lay_out_relay(self.folder / "code"), self.folder / "kit"
        arguments = client_arguments(kit, flare_name(self._me))
        self._process = FlareProcess(self._environment, code, kit, self.desk.path, arguments)

    def lasts(self, now: datetime) -> bool:
        """Whether the certificate is good for a third of its time at least."""
        issued = self.folder / "kit/startup/client.crt"
        return issued.is_file() and certificate_ends(issued.read_bytes()) - now > timedelta(days=CERTIFICATE_DAYS / 3)

    @property
    def alive(self) -> bool:
        """Whether FLARE's parent process runs."""
        return self._process is not None and self._process.alive()

    @property
    def pid(self) -> int | None:
        """The process id of FLARE's parent process, while there is one."""
        return self._process.pid if self._process is not None else None

    def close(self) -> None:
        """End FLARE at this site, its jobs with it."""
        if self._process is not None:
            self._process.kill()
        if self.desk is not None:
            self.desk.close()
            self.desk = None


class FlareEngine:
    """Rounds between machines.

    A coordinator gives ``hub`` and ``coordinator``, a site its ``site`` and ``participant``:
    what makes the site's part in studies on the channel it is given.
    """

    def __init__(
        self,
        *,
        hub: FlareHub | None = None,
        coordinator: Coordinator | None = None,
        site: FlareSite | None = None,
        participant: Callable[[Channel], Participant] | None = None,
    ) -> None:
        self._hub = hub
        self._coordinator = coordinator
        self._site = site
        self._participant = participant

    def coordinate(self, plan: StudyPlan, session: SiteSession) -> StudyResult:
        """See :class:`synthema.federation.engine.FederationEngine`."""
        if self._hub is None or self._coordinator is None:
            raise DeniedError("this connector does not coordinate studies", fix="coordinate at a hub")
        relay = self._session(plan)  # a study is stored only when there is a session to carry it
        self._coordinator.invite(plan)
        with relay.carrying(plan.id, plan.dids):
            return self._coordinator.run_study(plan.id, session)

    def carrying(self, plan: StudyPlan, without: Collection[str] = ()) -> AbstractContextManager[None]:
        """Carry an invited study's parcels for as long as this lasts, for whoever runs it step by step.

        ``without`` are members that take no part.
        """
        return self._session(plan, without).carrying(plan.id, [did for did in plan.dids if did not in without])

    def _session(self, plan: StudyPlan, without: Collection[str] = ()) -> HubRelay:
        if self._hub is None:
            raise DeniedError("this connector does not coordinate studies", fix="coordinate at a hub")
        agreements = {member.did: member.agreement for member in plan.members if member.did not in without}
        return self._hub.session(agreements, enough=plan.minimum_sites)

    def participate(self, plan: StudyPlan, session: SiteSession, limits: SiteLimits) -> Outcome:
        """See :class:`synthema.federation.engine.FederationEngine`."""
        if self._site is None or self._participant is None:
            raise DeniedError("this connector takes no part in studies", fix="take part as a site")
        me = self._site.gate.me
        agreement = next((member.agreement for member in plan.members if member.did == me), None)
        if agreement is None:
            raise DeniedError("this site is not a member of the study", fix="ask the coordinator for another plan")
        channel = self._site.gate.open(plan.id, agreement)
        try:
            return self._participant(channel).run(plan, session, limits)
        finally:
            self._site.gate.close(plan.id)
