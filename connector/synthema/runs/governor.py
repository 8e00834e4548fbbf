"""The governor: the only way from a request to a released result.

    request ─▶ decision ─▶ grant ─▶ sandboxed run ─▶ quarantine ─▶ release checks ─▶ release

Each step is one transaction that moves the run, changes what belongs to it
(grant, privacy budget, artefacts) and writes the log. What cannot be logged does not happen.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from synthema.budget import rho_of
from synthema.canonical import digest
from synthema.dpia import Evidence, GateReport, Phase
from synthema.errors import DeniedError, InputError, SynthemaError
from synthema.ids import new_id
from synthema.policy import Decision, Fact
from synthema.runs import spending, store
from synthema.runs.anew import require_permitted_anew
from synthema.runs.at_work import AtWork
from synthema.runs.facts import FactFinder
from synthema.runs.grants import DataDoor, check_grant, sign_grant
from synthema.runs.kept_files import KeptFiles
from synthema.runs.measured import evidence_of
from synthema.runs.model import Artefact, Grant, RunRequest, RunState
from synthema.runs.records import RunRecords
from synthema.runs.release import DecidedAct, ReleaseDesk
from synthema.runs.rooms import Rooms
from synthema.runs.sandbox import clear_leftovers
from synthema.runs.session import GovernedSession, foresee, prepare
from synthema.spi import KINDS, ApprovedPlugin

GRANT_LIFETIME = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request got: the decision; on permit the grant, on deny what of the assessment stands in the way."""

    run: str
    decision: Decision
    grant: Grant | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the release checks said of a run's output: the gates, and where they held, the policies."""

    run: str
    released: bool
    report: GateReport
    artefacts: tuple[Artefact, ...]
    acts: tuple[DecidedAct, ...] = ()

    def sentences(self) -> tuple[str, ...]:
        """One sentence for each gate, and what the policies decided."""
        return (*self.report.sentences(), *(said for act in self.acts for said in act.decision.sentences()))


class Governor(KeptFiles):
    """Takes requests, grants, runs, and lets out only what passes."""

    def __init__(self, rooms: Rooms, facts: FactFinder) -> None:
        super().__init__(rooms)
        self._facts = facts
        self.desk = ReleaseDesk(rooms, facts)
        self._records = RunRecords(rooms.log.origin, rooms.settings.did, rooms.settings.name)
        self.at_work = AtWork()
        self._kept: set[str] = set()
        rooms.datasets.guard_with(DataDoor(rooms.signer, rooms.clock))

    # request → decision → grant -------------------------------------------------------

    def request(self, request: RunRequest) -> Answer:
        """Decide a request; on permit issue the grant and set its privacy budget aside.

        Request, decision, grant, reservation and log entries are one transaction. Raises
        :class:`InputError` where the request itself is wrong (unknown plugin, bad parameter),
        :class:`DeniedError` where the privacy budget ran out since the decision; that is kept as a denied run.
        """
        rooms = self.rooms
        if rooms.datasets.version(request.dataset).id != request.dataset:
            raise InputError("a request names one version of a dataset", fix="give the identifier of the version")
        plugins = self._plugins(request)
        now = rooms.clock.now()
        access = self._facts.access_request(request, plugins, now)
        decision, compiled = rooms.policies.decide(access, request.agreement)
        dataset = rooms.datasets.version(request.dataset).name
        in_the_way = rooms.dpias.why_not(dataset, access.action)

        def keep(connection: Connection) -> Grant | None:
            store.insert_run(connection, request, now)
            rooms.log.append(
                connection,
                self._records.decided(request, decision.effect, decision.digest, decision.policy_digest, now),
            )
            rooms.obligations.take_on(
                connection, decision, compiled, run=request.id, dataset=dataset, basis=request.agreement
            )
            if decision.effect != "permit":
                reason = " ".join(in_the_way) or None
                store.move(connection, request.id, "deny", now, decision=decision.as_dict(), reason=reason)
                return None
            if in_the_way:
                raise DeniedError(" ".join(in_the_way), fix="see all of it with: synthema dpia status")
            grant = self._new_grant(request, decision, {name: p.digest for name, p in plugins.items()})
            reservation = spending.set_aside(rooms, connection, request, grant)
            store.insert_grant(connection, grant)
            store.move(connection, request.id, "grant", now, decision=decision.as_dict(), reservation=reservation)
            rooms.log.append(connection, self._records.granted(request, grant, now))
            return grant

        try:
            grant = rooms.database.write(keep)
            return Answer(request.id, decision, grant, in_the_way if grant is None else ())
        except DeniedError as refusal:
            self._keep_denial(request, decision, refusal.message)
            raise

    def pinned(self, request: RunRequest) -> RunRequest:
        """The request for the version of its dataset that is the latest now; raises :class:`NotFoundError`."""
        return request.model_copy(update={"dataset": self.rooms.datasets.version(request.dataset).id})

    def _plugins(self, request: RunRequest) -> dict[str, ApprovedPlugin]:
        """The plugins of a request by name, each fit for its place in the chain; raises naming the field."""
        plugins: dict[str, ApprovedPlugin] = {}
        for field, step, kind in request.chain:
            plugin = plugins[step.plugin] = self.rooms.plugins.require(step.plugin)
            if not set(KINDS[kind]) <= set(plugin.manifest.capabilities):
                raise InputError(
                    f"plugin '{plugin.name}' cannot serve as {kind.replace('-', ' ')}",
                    where=f"request: {field}.plugin",
                    fix=f"name another plugin; this one can {', '.join(plugin.manifest.capabilities)}",
                )
            try:
                plugin.manifest.validate_parameters(step.parameters)
            except InputError as error:
                raise InputError(error.message, where=f"request: {field}.{error.where}", fix=error.fix) from error
        return plugins

    def _keep_denial(self, request: RunRequest, decision: Decision, reason: str) -> None:
        """Two requests may see the same rest of a budget; the one that comes second is denied, and the log says so."""
        now = self.rooms.clock.now()

        def keep(connection: Connection) -> None:
            store.insert_run(connection, request, now)
            self.rooms.log.append(
                connection, self._records.decided(request, "deny", decision.digest, decision.policy_digest, now)
            )
            store.move(connection, request.id, "deny", now, decision=decision.as_dict(), reason=reason)

        self.rooms.database.write(keep)

    def _new_grant(self, request: RunRequest, decision: Decision, plugin_digests: dict[str, str]) -> Grant:
        rooms = self.rooms
        now = rooms.clock.now()
        dataset = rooms.datasets.version(request.dataset)
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
            dpia_digest=rooms.dpias.rules_digest(dataset.name, self._facts.action_of(request)),
            not_before=now,
            expires_at=now + GRANT_LIFETIME,
        )
        return sign_grant(grant, rooms.signer)

    # grant → sandboxed run ------------------------------------------------------------

    def start(self, grant: Grant, request: RunRequest) -> GovernedSession:
        """Consume a grant and open the sandbox with the prepared table inside.

        The isolation is established first: where it cannot be, the data stays shut. What was
        permitted is decided again, since a policy, a permit or an assessment may have gone
        meanwhile. Raises :class:`DeniedError`, :class:`PluginError` or :class:`IsolationError`
        (and records the refusal) for a grant that is forged, expired, used, no longer permitted,
        or not for this request and these files; the run then stays as it is.
        """
        return self._enter(grant, request, self._check_unused, self._consume)

    def resume(self, run: str) -> GovernedSession:
        """Open the sandbox and the data of a run once more, which a crash had ended and :meth:`recover` has kept.

        Its grant is checked and its policies are asked as at its start; the budget it was given and what of it is
        spent stay as they are. Once for each restart. Raises like :meth:`start`; the run then stays as it is.
        """
        record = self.run(run)
        return self._enter(self.grant(run), record.request, self._check_kept, self._reopen)

    def _enter(
        self,
        grant: Grant,
        request: RunRequest,
        check: Callable[[Grant, RunRequest], dict[str, ApprovedPlugin]],
        admit: Callable[[Grant, RunRequest, dict[str, Any]], int],
    ) -> GovernedSession:
        """Establish the isolation, decide anew, ``admit`` the grant, and prepare the table inside."""
        rooms = self.rooms
        with ExitStack() as undo:
            try:
                plugins = check(grant, request)
                sandbox = rooms.sandbox.open_session(
                    list(plugins.values()),
                    self._work(),
                    limits=rooms.settings.limits,
                    minimum_level=grant.minimum_isolation,
                )
                undo.callback(sandbox.close)
                foresee(sandbox, request, rooms.datasets.version(grant.dataset).codebook)
                self.require_still_permitted(request.id)
                times = admit(grant, request, sandbox.isolation.as_attributes())
            except SynthemaError as refusal:
                self._refuse(grant, refusal)
                raise
            undo.push(self._fail_on_error(request.id))
            dataset = rooms.datasets.version(grant.dataset)
            ground = self._facts.ground_of(dataset, request, rooms.clock)
            session = self.at_work.add(self, prepare(rooms, self._records, grant, request, sandbox, ground, times))
            self._check_inside(session, "pre-run")
            session.watch_with(lambda: self._check_inside(session, "in-run"))
            undo.pop_all()
        return session

    def _check_unused(self, grant: Grant, request: RunRequest) -> dict[str, ApprovedPlugin]:
        """The plugins of an unused grant for exactly this request and these files."""
        plugins = self._check_grant(grant, request)
        if self.run(grant.run).state is not RunState.GRANTED:
            raise DeniedError("this grant was used before", fix="make a new request; each grant works once")
        return plugins

    def _check_kept(self, grant: Grant, request: RunRequest) -> dict[str, ApprovedPlugin]:
        """The plugins of a run that was under way when the connector stopped, and was kept."""
        plugins = self._check_grant(grant, request)
        if grant.run not in self._kept or self.run(grant.run).state is not RunState.RUNNING:
            raise DeniedError("this run does not wait to go on", fix="make a new request")
        return plugins

    def _check_grant(self, grant: Grant, request: RunRequest) -> dict[str, ApprovedPlugin]:
        """The plugins of a grant for exactly this request and these files."""
        check_grant(grant, self.rooms.signer, self.rooms.clock.now())
        if grant.request_digest != request.digest:
            raise DeniedError("the request was changed after the decision", fix="make a new request")
        plugins = self._plugins(request)
        for plugin in plugins.values():
            if grant.plugin_digests.get(plugin.name) != plugin.digest:
                raise DeniedError(f"plugin '{plugin.name}' is not the one the grant names", fix="make a new request")
        return plugins

    def require_still_permitted(self, run: str) -> None:
        """Raise :class:`DeniedError` where a run would not be permitted any more, whatever state it is in."""
        record = self.run(run)
        access = self._facts.access_request(record.request, self._plugins(record.request), self.rooms.clock.now())
        require_permitted_anew(self.rooms, record, access)

    def _check_inside(self, session: GovernedSession, phase: Phase) -> None:
        """The gates on what is known once the table is prepared, and again before each call that computes on it."""
        rooms = self.rooms
        now = rooms.clock.now()
        self._require_in_force(rooms.permits.ended(session.request.agreement, now))
        evidence = evidence_of(session, None, rooms.log.iri("run", session.request.id), now)
        report = self.hold(session.request, phase, evidence)
        if not report.conformant:
            raise DeniedError(
                "; ".join(report.failures()), fix="change what the gates measure, or ask the data protection officer"
            )

    def _consume(self, grant: Grant, request: RunRequest, isolation: dict[str, Any]) -> int:
        rooms = self.rooms
        now = rooms.clock.now()

        def consume(connection: Connection) -> None:
            store.consume_grant(connection, grant, now)
            store.move(connection, grant.run, "start", now)
            spending.begin(rooms, connection, grant.run)
            rooms.log.append(connection, self._records.started(request, grant, isolation, now))

        rooms.database.write(consume)
        return 0

    def _reopen(self, grant: Grant, request: RunRequest, isolation: dict[str, Any]) -> int:
        """Let the data of a kept run be opened once more; returns how often that has been done."""
        rooms, now = self.rooms, self.rooms.clock.now()
        self._kept.discard(grant.run)

        def reopen(connection: Connection) -> int:
            times = store.reopen(connection, grant)
            rooms.log.append(connection, self._records.resumed(request, grant, isolation, times, now))
            return times

        return rooms.database.write(reopen)

    def _refuse(self, grant: Grant, refusal: SynthemaError) -> None:
        self.rooms.log.record(self._records.refused(grant.id, refusal.message, self.rooms.clock.now()))

    # sandboxed run → quarantine → release ----------------------------------------------

    def quarantine(self, session: GovernedSession, files: dict[str, tuple[str, bytes]]) -> tuple[Artefact, ...]:
        """Put a run's outputs (name → media type and bytes) where nobody can fetch them yet."""
        now = self.rooms.clock.now()
        run = session.request.id
        kept = tuple(self.keep_file(run, name, kind, content) for name, (kind, content) in sorted(files.items()))

        def move(connection: Connection) -> None:
            store.insert_artefacts(connection, run, list(kept))
            store.move(connection, run, "quarantine", now)
            self.rooms.log.append(connection, self._records.quarantined(session.request, kept, now))

        self.rooms.database.write(move)
        return kept

    def settle(
        self,
        session: GovernedSession,
        evidence: Sequence[Evidence],
        phase: Phase = "pre-release",
        *,
        figures: Sequence[Evidence] = (),
    ) -> Verdict:
        """Check the DPIA's gates on what was measured, ask the policies, then release the outputs or withhold them.

        ``figures`` are further measurements of the run, for the policies alone. What was decided stands in the
        log with the release, or with the withholding, or neither happens.
        """
        rooms, request = self.rooms, session.request
        now = rooms.clock.now()
        report = self.hold(request, phase, evidence)
        acts = self.desk.of_output(session, (*evidence, *figures)) if report.conformant else ()
        refusals = (*report.failures(), *(act.refusal() for act in acts if not act.permitted))
        verdict = "withheld" if refusals or not report.conformant else "released"
        passed = verdict == "released"
        left = passed and phase == "pre-release"
        run = rooms.log.iri("run", request.id)
        measured = report.as_dict()

        def settle(connection: Connection) -> tuple[Artefact, ...]:
            self._require_in_force(rooms.permits.ended_within(connection, request.agreement, now))
            files = tuple(file for file, _ in store.artefacts_of(connection, request.id))
            reason = "; ".join(refusals) or None
            store.move(connection, request.id, "release" if passed else "stop", now, evidence=measured, reason=reason)
            self.desk.keep(connection, request, acts, now)
            store.settle_artefacts(connection, request.id, verdict)
            spending.end(rooms, connection, store.find(connection, request.id))
            rooms.obligations.run_ended(connection, request.id, now, released=passed)
            rooms.dpias.keep(connection, report, evidence, about=run if left else None, released=left)
            rooms.log.append(connection, self._records.settled(request, files, verdict, digest(measured), now))
            return files

        files = rooms.database.write(settle)
        if not passed:
            self._forget(request.id)
        return Verdict(request.id, passed, report, files, acts)

    def decide_on_candidate(
        self, session: GovernedSession, figures: Sequence[Evidence], candidate: str, contribution: str
    ) -> tuple[DecidedAct, ...]:
        """Whether a study's candidate, measured in a run here, may leave and be certified; kept with that run.

        Nothing of it lies here: what is denied is told to the study's coordinator in the site's evidence.
        """
        rooms, request = self.rooms, session.request
        acts = self.desk.of_candidate(session, figures, candidate, contribution)
        now = rooms.clock.now()

        def keep(connection: Connection) -> tuple[DecidedAct, ...]:
            self._require_in_force(rooms.permits.ended_within(connection, request.agreement, now))
            kept = self.desk.keep(connection, request, acts, now)
            rooms.obligations.run_ended(connection, request.id, now, released=True)  # its own figures have left
            return kept

        return rooms.database.write(keep)

    def _require_in_force(self, ended: str | None) -> None:
        """A permit that was revoked stops what is under way, not only what comes (EHDS Art. 63)."""
        if ended is not None:
            raise DeniedError(ended, fix="nothing more comes out of this run; ask who issued the permit")

    def hold(self, request: RunRequest, phase: Phase, evidence: Sequence[Evidence]) -> GateReport:
        """Hold figures against the gates of the assessment in force for the act a request is."""
        rooms = self.rooms
        dataset = rooms.datasets.version(request.dataset).name
        return rooms.dpias.check(dataset, phase, evidence, rooms.clock.now(), self._facts.action_of(request))

    def _fail_on_error(self, run: str) -> Callable[..., None]:
        def leave(_kind: object, error: BaseException | None, _trace: object) -> None:
            if error is not None:
                self.give_up(run, error)

        return leave

    def give_up(self, run: str, why: BaseException | str) -> None:
        """Fail a run because of an error or for a reason in words; one that has ended keeps its own.

        If not even that can be written, the next start does.
        """
        known = why.message if isinstance(why, SynthemaError) else "an internal fault"
        reason = why if isinstance(why, str) else known
        with suppress(SynthemaError):
            self.fail(run, reason)

    def fail(self, run: str, reason: str, *, crashed: bool = False) -> None:
        """End a run without a result. What it has spent stays spent, what it has not is free (:mod:`.spending`)."""
        rooms = self.rooms
        now = rooms.clock.now()

        def end(connection: Connection) -> None:
            record = store.find(connection, run)
            spending.end(rooms, connection, record, crashed=crashed)
            store.move(connection, run, "fail", now, reason=reason)
            started = crashed or record.state is not RunState.GRANTED
            rooms.obligations.run_failed(connection, run, now, started=started)
            store.settle_artefacts(connection, run, "withheld")
            rooms.log.append(connection, self._records.failed(record.request, reason, now))

        rooms.database.write(end)
        self._forget(run)

    def expire_due(self) -> list[str]:
        """End the runs that never started and whose grant has expired; returns their ids."""
        now = self.rooms.clock.now()
        with self.rooms.database.read() as connection:
            waiting = [run.id for run in store.unfinished(connection) if run.state is RunState.GRANTED]
            due = [run for run in waiting if store.grant_of(connection, run).expires_at <= now]
        for run in due:
            self.give_up(run, "its grant expired before it was started")
        return due

    def recover(self, keep: Collection[str] = ()) -> list[str]:
        """After a restart: every run that was under way fails cleanly; returns their ids.

        Those in ``keep`` wait for :meth:`resume` instead. Nothing else works yet, so every working folder is a
        left-over (it may hold rows), and so is every output of a run that released none.
        """
        self._kept = set(keep)
        clear_leftovers(self._work())
        with self.rooms.database.read() as connection:
            left = [record for record in store.unfinished(connection) if record.id not in self._kept]
            released = store.runs_with_releases(connection)
        for record in left:
            self.fail(record.id, "the connector stopped while the run was under way", crashed=True)
        for folder in (self.rooms.settings.home / "artefacts").glob("*"):
            if folder.name not in released:
                shutil.rmtree(folder)
        return [record.id for record in left]

    # reading ---------------------------------------------------------------------------

    def known(self, request: RunRequest) -> dict[str, Fact]:
        """What this house knows now about a request's dataset, basis and party, whatever is to run."""
        now = self.rooms.clock.now()
        return {**self._facts.of_site(request, now), **self._facts.of_party(request.requester, now)}

    def changed_since(self, at: datetime) -> list[store.RunRecord]:
        """The runs to which something happened since a time, oldest first."""
        with self.rooms.database.read() as connection:
            return store.changed_since(connection, at)

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

    def _work(self) -> Path:
        """Where sandbox sessions make their folders; each deletes its own when it is closed."""
        (folder := self.rooms.settings.home / "runs").mkdir(parents=True, exist_ok=True)
        return folder
