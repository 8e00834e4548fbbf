"""The engine between machines: studies over NVIDIA FLARE, behind the same port as the embedded one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from synthema.errors import ConflictError, DeniedError, IntegrityError
from synthema.federation.coordinator import Coordinator
from synthema.federation.flare.desk import Desk
from synthema.federation.flare.enrolment import EnrolmentRequest, fingerprint, flare_name, key_pem, private_key
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
        """Make a key that stays in this folder, and the signed request for its certificate."""
        key = private_key()
        write_files(self.folder, {"kit/startup/client.key": key_pem(key)})
        return _request(self._me, agreement, authority, key, signer)

    def install(self, certificate: bytes, authority: bytes, expected: str, *, host: str, port: int) -> None:
        """Lay the kit out. ``expected`` is the authority's fingerprint as the agreement names it."""
        if fingerprint(authority) != expected:
            raise IntegrityError("the authority is not the one of the agreement", fix="ask the coordinator which is")
        files = site_files(flare_name(self._me), host, port)
        secret = {"startup/client.crt": certificate, "startup/rootCA.pem": authority}
        write_files(self.folder / "kit", {**files, **secret})

    def start(self) -> None:
        """Start FLARE on the kit; it calls the coordinator, and nobody calls it."""
        if self._process is not None and self._process.alive():
            raise ConflictError("FLARE runs at this site already", fix="stop it first")
        self.desk = Desk(self.gate.answer)
        code, kit = lay_out_relay(self.folder / "code"), self.folder / "kit"
        arguments = client_arguments(kit, flare_name(self._me))
        self._process = FlareProcess(self._environment, code, kit, self.desk.path, arguments)

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

    def carrying(self, plan: StudyPlan) -> AbstractContextManager[None]:
        """Carry an invited study's parcels for as long as this lasts, for whoever runs it step by step."""
        return self._session(plan).carrying(plan.id, plan.dids)

    def _session(self, plan: StudyPlan) -> HubRelay:
        if self._hub is None:
            raise DeniedError("this connector does not coordinate studies", fix="coordinate at a hub")
        agreements = {member.did: member.agreement for member in plan.members}
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
