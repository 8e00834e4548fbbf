"""The governor: the only way from a request to a released result.

    request ─▶ decision ─▶ grant ─▶ sandboxed run ─▶ quarantine ─▶ release checks ─▶ release

Each step is one transaction that moves the run, changes what belongs to it
(grant, privacy budget, artefacts) and writes the log. What cannot be logged does not happen.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from synthema.budget import BudgetLedger, rho_of
from synthema.canonical import digest, digest_bytes
from synthema.clock import Clock
from synthema.config import Settings
from synthema.consent import ConsentStore
from synthema.datasets import DatasetStore
from synthema.dpia import DpiaStore, Evidence, GateReport, Phase
from synthema.errors import ConflictError, DeniedError, SynthemaError
from synthema.identity import FileSigner
from synthema.ids import new_id
from synthema.permits import PermitStore
from synthema.policy import Decision, PolicyStore, decide
from synthema.provenance import ProvenanceLog
from synthema.runs import store
from synthema.runs.facts import FactFinder
from synthema.runs.grants import DataDoor, check_grant, sign_grant
from synthema.runs.measured import evidence_of
from synthema.runs.model import Artefact, Grant, RunRequest, RunState
from synthema.runs.records import RunRecords
from synthema.runs.sandbox import Sandbox
from synthema.runs.session import GovernedSession, prepare
from synthema.spi import PluginRegistry
from synthema.storage import Database

GRANT_LIFETIME = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Rooms:
    """The rooms a governor rests on."""

    settings: Settings
    database: Database
    log: ProvenanceLog
    clock: Clock
    signer: FileSigner
    policies: PolicyStore
    consents: ConsentStore
    dpias: DpiaStore
    permits: PermitStore
    budget: BudgetLedger
    datasets: DatasetStore
    plugins: PluginRegistry
    sandbox: Sandbox


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request got: the decision, and on permit the grant."""

    run: str
    decision: Decision
    grant: Grant | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the release checks said of a run's output."""

    run: str
    released: bool
    report: GateReport
    artefacts: tuple[Artefact, ...]


class Governor:
    """Takes requests, grants, runs, and lets out only what passes."""

    def __init__(self, rooms: Rooms, facts: FactFinder) -> None:
        self.rooms = rooms
        self._facts = facts
        self._records = RunRecords(rooms.log.origin, rooms.settings.did, rooms.settings.name)
        self._door = DataDoor(rooms.database, rooms.signer, rooms.clock)
        rooms.datasets.guard_with(self._door)

    # request → decision → grant -------------------------------------------------------

    def request(self, request: RunRequest) -> Answer:
        """Decide a request; on permit issue the grant and set its privacy budget aside.

        Request, decision, grant, reservation and log entries are one transaction. Raises
        :class:`InputError` where the request itself is wrong (unknown plugin, bad parameter).
        """
        rooms = self.rooms
        plugins = {step.plugin: rooms.plugins.require(step.plugin) for step in request.steps}
        for step in request.steps:
            plugins[step.plugin].manifest.validate_parameters(step.parameters)
        now = rooms.clock.now()
        access = self._facts.access_request(request, plugins, now)
        decision = decide(rooms.policies.compiled(access.target, request.agreement), access)

        def keep(connection: Connection) -> Grant | None:
            store.insert_run(connection, request, now)
            rooms.log.append(
                connection,
                self._records.decided(request, decision.effect, decision.digest, decision.policy_digest, now),
            )
            if decision.effect != "permit":
                store.move(connection, request.id, "deny", now, decision=decision.as_dict())
                return None
            grant = self._new_grant(request, decision, {name: p.digest for name, p in plugins.items()})
            reservation = self._reserve(connection, request, grant)
            store.insert_grant(connection, grant)
            store.move(connection, request.id, "grant", now, decision=decision.as_dict(), reservation=reservation)
            rooms.log.append(connection, self._records.granted(request, grant, now))
            return grant

        return Answer(request.id, decision, rooms.database.write(keep))

    def _reserve(self, connection: Connection, request: RunRequest, grant: Grant) -> str | None:
        if grant.rho == 0:
            return None
        name = self.rooms.datasets.version(request.dataset).name
        account = self.rooms.budget.account_for(connection, name, request.agreement, request.requester)
        return self.rooms.budget.reserve(connection, account, grant.rho, request.id).id

    def _new_grant(self, request: RunRequest, decision: Decision, plugin_digests: dict[str, str]) -> Grant:
        rooms = self.rooms
        now = rooms.clock.now()
        dataset = rooms.datasets.version(request.dataset)
        rules = rooms.dpias.active(dataset.name)
        grant = Grant(
            id=new_id("grant"),
            run=request.id,
            request_digest=request.digest,
            decision_digest=decision.digest,
            dataset=dataset.id,
            dataset_digest=dataset.digest,
            plugin_digests=plugin_digests,
            requester=request.requester,
            epsilon=request.epsilon,
            delta=request.delta,
            rho=rho_of(request.epsilon, request.delta) if request.epsilon else 0.0,
            minimum_isolation=rooms.settings.minimum_isolation,
            minimum_cohort=rooms.settings.minimum_cohort,
            minimum_parties=rooms.settings.minimum_parties,
            dpia_digest=rules.digest,
            not_before=now,
            expires_at=now + GRANT_LIFETIME,
        )
        return sign_grant(grant, rooms.signer)

    # grant → sandboxed run ------------------------------------------------------------

    def start(self, grant: Grant, request: RunRequest) -> GovernedSession:
        """Consume a grant and open the sandbox with the prepared table inside.

        The isolation is established first: where it cannot be, the data stays shut.
        Raises :class:`DeniedError` (and records the refusal) for a grant that is forged,
        expired, used, or not for this request; the run then stays as it is.
        """
        rooms = self.rooms
        try:
            check_grant(grant, rooms.signer, rooms.clock.now())
            if grant.request_digest != request.digest:
                raise DeniedError("the request was changed after the decision", fix="make a new request")
            plugins = [rooms.plugins.require(step.plugin) for step in request.steps]
            for plugin in plugins:
                if grant.plugin_digests.get(plugin.name) != plugin.digest:
                    raise DeniedError(
                        f"plugin '{plugin.name}' is not the one the grant names", fix="make a new request"
                    )
            self._has_not_started(grant)
        except SynthemaError as refusal:
            self._refuse(grant, refusal)
            raise
        with ExitStack() as undo:
            undo.callback(self._clean, request.id)
            folder = self._folder(request.id, "work")
            sandbox = rooms.sandbox.open_session(
                plugins, folder, limits=rooms.settings.limits, minimum_level=grant.minimum_isolation
            )
            undo.callback(sandbox.close)
            self._consume(grant, request, sandbox.isolation.as_attributes())
            undo.push(self._fail_on_error(request.id))
            session = prepare(rooms, self._records, grant, request, sandbox)
            self._check_inside(session)
            undo.pop_all()
        return session

    def _check_inside(self, session: GovernedSession) -> None:
        """The gates on what is known once the table is prepared, before any plugin computes on it."""
        rooms = self.rooms
        now = rooms.clock.now()
        evidence = evidence_of(session, None, rooms.log.iri("run", session.request.id), now)
        report = rooms.dpias.check(rooms.datasets.version(session.request.dataset).name, "pre-run", evidence, now)
        if not report.conformant:
            raise DeniedError(
                "; ".join(report.failures()), fix="change what the gates measure, or ask the data protection officer"
            )

    def _has_not_started(self, grant: Grant) -> None:
        with self.rooms.database.read() as connection:
            record = store.find(connection, grant.run)
        if record.state is not RunState.GRANTED:
            raise DeniedError("this grant was used before", fix="make a new request; each grant works once")

    def _consume(self, grant: Grant, request: RunRequest, isolation: dict[str, Any]) -> None:
        rooms = self.rooms
        now = rooms.clock.now()

        def consume(connection: Connection) -> None:
            store.consume_grant(connection, grant, now)
            store.move(connection, grant.run, "start", now)
            reservation = store.find(connection, grant.run).reservation
            if reservation is not None:
                rooms.budget.spend(connection, reservation)
            rooms.log.append(connection, self._records.started(request, grant, isolation, now))

        try:
            rooms.database.write(consume)
        except DeniedError as refusal:
            self._refuse(grant, refusal)
            raise

    def _refuse(self, grant: Grant, refusal: SynthemaError) -> None:
        self.rooms.log.record(self._records.refused(grant.id, refusal.message, self.rooms.clock.now()))

    # sandboxed run → quarantine → release ----------------------------------------------

    def quarantine(self, session: GovernedSession, files: dict[str, tuple[str, bytes]]) -> tuple[Artefact, ...]:
        """Put a run's outputs (name → media type and bytes) where nobody can fetch them yet."""
        now = self.rooms.clock.now()
        kept = tuple(self.keep_file(name, media_type, content) for name, (media_type, content) in sorted(files.items()))

        def move(connection: Connection) -> None:
            store.insert_artefacts(connection, session.request.id, list(kept))
            store.move(connection, session.request.id, "quarantine", now)
            self.rooms.log.append(connection, self._records.quarantined(session.request, kept, now))

        self.rooms.database.write(move)
        return kept

    def settle(self, request: RunRequest, evidence: Sequence[Evidence], phase: Phase = "pre-release") -> Verdict:
        """Check the DPIA's gates on what was measured, then release the outputs or withhold them for good."""
        rooms = self.rooms
        now = rooms.clock.now()
        report = rooms.dpias.check(rooms.datasets.version(request.dataset).name, phase, evidence, now)
        verdict = "released" if report.conformant else "withheld"
        measured = report.as_dict()

        def settle(connection: Connection) -> tuple[Artefact, ...]:
            files = tuple(file for file, _ in store.artefacts_of(connection, request.id))
            event = "release" if report.conformant else "stop"
            reason = None if report.conformant else "; ".join(report.failures())
            store.move(connection, request.id, event, now, evidence=measured, reason=reason)
            store.settle_artefacts(connection, request.id, verdict)
            rooms.log.append(connection, self._records.settled(request, files, verdict, digest(measured), now))
            return files

        files = rooms.database.write(settle)
        if not report.conformant:
            self._forget(files)
        self._clean(request.id)
        return Verdict(request.id, report.conformant, report, files)

    def _fail_on_error(self, run: str) -> Callable[..., None]:
        def leave(_kind: object, error: BaseException | None, _trace: object) -> None:
            self.fail(run, error.message if isinstance(error, SynthemaError) else "an internal fault")

        return leave

    def fail(self, run: str, reason: str) -> None:
        """End a run without a result; its budget stays as it stands (spent once started)."""
        rooms = self.rooms
        now = rooms.clock.now()

        def end(connection: Connection) -> tuple[Artefact, ...]:
            record = store.find(connection, run)
            if record.state is RunState.GRANTED and record.reservation is not None:
                rooms.budget.spend(connection, record.reservation)
            store.move(connection, run, "fail", now, reason=reason)
            store.settle_artefacts(connection, run, "withheld")
            rooms.log.append(connection, self._records.failed(record.request, reason, now))
            return tuple(file for file, _ in store.artefacts_of(connection, run))

        self._forget(rooms.database.write(end))
        self._clean(run)

    def recover(self) -> list[str]:
        """After a restart: every run that was under way fails cleanly; returns their ids."""
        with self.rooms.database.read() as connection:
            left = store.unfinished(connection)
        for record in left:
            self.fail(record.id, "the connector stopped while the run was under way")
        shutil.rmtree(self.rooms.settings.home / "runs", ignore_errors=True)
        return [record.id for record in left]

    # reading ---------------------------------------------------------------------------

    def run(self, run: str) -> store.RunRecord:
        """One run as it stands; raises :class:`NotFoundError`."""
        with self.rooms.database.read() as connection:
            return store.find(connection, run)

    def recent(self, limit: int = 200) -> list[store.RunRecord]:
        """The latest runs, newest first."""
        with self.rooms.database.read() as connection:
            return store.recent(connection, limit)

    def grant(self, run: str) -> Grant:
        """The grant of a run; raises :class:`NotFoundError`."""
        with self.rooms.database.read() as connection:
            return store.grant_of(connection, run)

    def released(self, artefact_digest: str) -> tuple[Artefact, bytes]:
        """A released file and its bytes; raises :class:`NotFoundError` for any other."""
        with self.rooms.database.read() as connection:
            artefact = store.released_artefact(connection, artefact_digest)
        return artefact, self._read(artefact)

    # files -----------------------------------------------------------------------------

    def _folder(self, run: str, name: str) -> Path:
        folder = self.rooms.settings.home / "runs" / run / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _clean(self, run: str) -> None:
        shutil.rmtree(self.rooms.settings.home / "runs" / run, ignore_errors=True)

    def _path(self, file: str) -> Path:
        return self.rooms.settings.home / "artefacts" / file.removeprefix("sha256:")

    def keep_file(self, name: str, media_type: str, content: bytes) -> Artefact:
        """Keep bytes under their digest; nobody can fetch them before a transaction releases them."""
        artefact = Artefact(digest=digest_bytes(content), name=name, media_type=media_type, bytes=len(content))
        path = self._path(artefact.digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_bytes(content)
        partial.replace(path)
        return artefact

    def _read(self, artefact: Artefact) -> bytes:
        content = self._path(artefact.digest).read_bytes()
        if digest_bytes(content) != artefact.digest:
            raise ConflictError("a stored artefact was changed on disk", fix="restore it from a backup")
        return content

    def _forget(self, files: Sequence[Artefact]) -> None:
        """Delete withheld files, unless another run released the very same bytes."""
        with self.rooms.database.read() as connection:
            kept = store.released_digests(connection)
        for file in files:
            if file.digest not in kept:
                self._path(file.digest).unlink(missing_ok=True)
