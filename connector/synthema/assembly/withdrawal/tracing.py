"""Finds all that was derived at this connector: from people's records at a site, from a partner's notice elsewhere.

The consent room knows which dataset versions hold a person (by keyed token), the runs say what was read when, and
the log's lineage says what was made of it. What cannot be told apart counts as derived.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import Connection, Text, select, type_coerce

from synthema.assembly import study_store
from synthema.assembly.study_store import ConductedStudy, ConductState
from synthema.assembly.withdrawal.judging import PastUse, Person, gravest, touch
from synthema.assembly.withdrawal.model import Derived, Kind, Touch, Trace
from synthema.assembly.withdrawal.walking import LogWalk
from synthema.canonical import canonical_json
from synthema.certification import candidate_iri
from synthema.certification.study_report import REPORT_TYPE
from synthema.config import Settings
from synthema.consent import OptOut, OptOutState, Question, machine_for
from synthema.consent import store as consent_store
from synthema.datasets import DatasetStore, DatasetVersion
from synthema.dataspace import Dataspace
from synthema.errors import NotFoundError
from synthema.provenance import Lineage, ProvenanceIndex, ProvenanceLog
from synthema.provenance.model import SYNTHEMA
from synthema.runs import store as run_store
from synthema.runs.facts import FactFinder
from synthema.runs.model import FINAL_STATES, IN_ROUNDS, Artefact, RunRequest, RunState
from synthema.runs.store import RunRecord
from synthema.storage import Database

OUTPUTS: Final[Mapping[str, Kind]] = {
    "Evidence": Kind.EVIDENCE,
    "Certificate": Kind.CERTIFICATE,
    "SyntheticDataset": Kind.SYNTHETIC,
    REPORT_TYPE: Kind.AGGREGATE,
    "MaskedVector": Kind.MASKED,
    "Aggregate": Kind.MASKED,
}
"""Types of things in the log that are outputs, beside the artefacts of runs."""

_SAFE_SENTENCES: Final = 6


@dataclass(frozen=True, slots=True)
class Sources:
    """What a tracer reads."""

    settings: Settings
    database: Database
    log: ProvenanceLog
    index: ProvenanceIndex
    lineage: Lineage
    datasets: DatasetStore
    dataspace: Dataspace
    facts: FactFinder


def copy_iri(thing: str, holder: str) -> str:
    """The copy of a thing that a partner holds."""
    return f"{thing}#at={quote(holder, safe='')}"


class SiteTracer:
    """Walks from people's records to everything this site made of them."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._walk = LogWalk(sources.index)

    def names_of(self, tokens: Iterable[str]) -> frozenset[str]:
        """The datasets in which any of these people (by token for consent or opt-out) is enrolled."""
        versions = self._sources.datasets.versions()
        with self._sources.database.read() as connection:
            enrolled = _versions_with(connection, tokens)
        return frozenset(version.name for version in versions if version.id in enrolled)

    def took_back(self, dataset: str, token: str) -> bool:
        """Whether a person whose consent ended had ever agreed, as far as is known here.

        A list may name people whose consent had ended before anybody here heard of it: they were never read.
        """
        with self._sources.database.read() as connection:
            return Person(consent_store.history(connection, dataset, token)).ever_agreed

    def trace(self, dataset: str, tokens: frozenset[str], now: datetime) -> Trace:
        """Everything that was derived from the records of these people in a dataset."""
        things: list[Derived] = []
        complete, unfinished = True, False
        for version in self._sources.datasets.versions(dataset):
            with self._sources.database.read() as connection:
                people = _people(connection, version, tokens)
            if not people:
                continue
            things.append(self._rows(version, people, now))
            for run, how in self._used_in(version, people, now):
                if run.state not in FINAL_STATES:
                    unfinished = True
                made, whole = self._made_by(run, how)
                things += made
                complete = complete and whole
        if not complete:
            beyond = self._iri("dataset", dataset) + "#beyond"
            things.append(Derived(beyond, Kind.OTHER, "what lies beyond the things that can be walked at once"))
        return Trace(tuple(things), complete, unfinished)

    # the rows themselves ----------------------------------------------------------------

    def _rows(self, version: DatasetVersion, people: tuple[Person, ...], now: datetime) -> Derived:
        """A version that holds the records; it is touched where nobody may use them any more."""
        return Derived(
            self._sources.datasets.iri(version),
            Kind.ROWS,
            f"{version.title}, version {version.version}",
            touch=gravest(_held(person, version, now) for person in people) or Touch.COVERED,
            digest=version.digest,
            gone=version.erased_at is not None,
            details={"version": version.id},
        )

    # runs -------------------------------------------------------------------------------

    def _used_in(
        self, version: DatasetVersion, people: tuple[Person, ...], now: datetime
    ) -> Iterator[tuple[RunRecord, Touch]]:
        """The runs in which a record of these people was read, and how the withdrawal bears on each."""
        with self._sources.database.read() as connection:
            opened = [
                (run, moments)
                for run in _runs_naming(connection, "dataset", version.id)
                if (moments := _opened_at(connection, run))
            ]
        for run, moments in opened:
            ground = self._sources.facts.consent_ground(version, run.request, moments[0])
            how = gravest(touch(person, PastUse(ground, moments), now) for person in people)
            if how is not None:
                yield run, how

    def _made_by(self, run: RunRecord, how: Touch) -> tuple[list[Derived], bool]:
        made = [self._running(run, how)] if run.state not in FINAL_STATES else []
        with self._sources.database.read() as connection:
            files = run_store.artefacts_of(connection, run.id)
        made += [self._file(run, how, file, state) for file, state in files]
        made += self._stated(run, how)
        copy = self._copy(run, how)
        if copy is not None:
            made.append(copy)
        further, complete = self._walked(made, how)
        return [*made, *further], complete

    def _running(self, run: RunRecord, how: Touch) -> Derived:
        in_rounds = run.request.kind in (*IN_ROUNDS, "evaluator") and run.state is RunState.RUNNING
        kind = Kind.QUARANTINED if run.state in (RunState.QUARANTINED, RunState.AWAITING) else Kind.RUN
        label = f"run for {run.request.purpose}, {run.request.action}, begun {run.created_at:%Y-%m-%d %H:%M} UTC"
        details = {"rounds": in_rounds, "study": run.request.study}
        return Derived(self._iri("run", run.id), kind, label, how, run=run.id, details=details)

    def _file(self, run: RunRecord, how: Touch, file: Artefact, state: str) -> Derived:
        """A file of a run. One in quarantine goes with its run, one that was withheld is deleted already."""
        kind = kind_of_file(run.request, file)
        return Derived(
            self._iri("artefact", file.digest.removeprefix("sha256:")),
            kind,
            f"{file.name} of the run begun {run.created_at:%Y-%m-%d}",
            how,
            digest=file.digest,
            run=run.id,
            shown=shown_by(run) if state == "released" else (),
            gone=state in ("withheld", "erased"),
            details={"artefact": file.digest},
        )

    def _stated(self, run: RunRecord, how: Touch) -> list[Derived]:
        """The evidence that states what a run measured."""
        found = self._walk.evidence_of(self._iri("run", run.id))
        return [Derived(iri, Kind.EVIDENCE, "evidence signed by this site", how, run=run.id) for iri in sorted(found)]

    def _copy(self, run: RunRecord, how: Touch) -> Derived | None:
        """What the party that asked holds of a run, where that is another one and something has left."""
        holder, study = run.request.requester, run.request.study
        if holder == self._sources.settings.did or run.request.kind == "evaluator":
            return None
        if study is None:
            return Derived(
                copy_iri(self._iri("run", run.id), holder), Kind.COPY, "what was released to the party that asked",
                how, run=run.id, holder=holder, gone=run.state is not RunState.RELEASED,
                details={"things": [self._iri("run", run.id)], "studies": []},
            )  # fmt: skip
        candidates = sorted(self._candidates(run))
        return Derived(
            copy_iri(f"urn:synthema:study:{study}", holder), Kind.COPY,
            "what the hub made of this site's part in a study", how, run=run.id, holder=holder,
            details={"things": candidates, "studies": [study]},
        )  # fmt: skip

    def _candidates(self, run: RunRecord) -> set[str]:
        """What this site measured or judged of a study: synthetic rows in an evaluation, a report beside its part."""
        with self._sources.database.read() as connection:
            runs = _runs_naming(connection, "study", run.request.study or "")
        kinds = ("evaluator", "federated-analysis")
        measured = [r for r in runs if r.request.kind in kinds and r.request.plan_digest == run.request.plan_digest]
        return {thing for one in measured for thing in self._walk.measured_in(self._iri("run", one.id))}

    def _walked(self, made: Iterable[Derived], how: Touch) -> tuple[list[Derived], bool]:
        """What the log says was made of all this; nothing that is only about it, such as decisions and tasks."""
        known = {thing.subject for thing in made}
        found: dict[str, Derived] = {}
        complete = True
        for thing in made:
            if thing.kind in (Kind.RUN, Kind.QUARANTINED, Kind.COPY) or thing.gone:
                continue
            answer = self._sources.lineage.derived_from(thing.subject)
            complete = complete and answer.complete
            for reached in answer.things:
                kind = _kind_of_types(reached.types)
                if kind is not None and reached.iri not in known:
                    found[reached.iri] = Derived(reached.iri, kind, reached.label, how, digest=reached.digest)
        return list(found.values()), complete

    def sums_left_before(self, study: str, at: datetime) -> int:
        """How many masked sums of a study had left this site before a moment."""
        return self._walk.sums_left_before(self._iri("study", study), at)

    def _iri(self, kind: str, identifier: str) -> str:
        return self._sources.log.iri(kind, identifier)


class HubTracer:
    """Walks from a study that a partner names to what this hub made of it and who holds copies."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def trace(self, studies: Iterable[ConductedStudy], certificates: Mapping[str, tuple[str, ...]]) -> Trace:
        """Everything made in these studies; ``certificates`` are ours by candidate digest."""
        things: list[Derived] = []
        unfinished = False
        for study in studies:
            unfinished = unfinished or study.state not in study_store.FINAL
            things += self._of(study, certificates.get(study.candidate or "", ()))
        return Trace(tuple(things), unfinished=unfinished)

    def _of(self, study: ConductedStudy, certificates: tuple[str, ...]) -> list[Derived]:
        iri = self._sources.log.iri("study", study.id)
        things = [Derived(f"{iri}/rounds", Kind.MASKED, f"masked sums of the study '{study.title}'")]
        if study.candidate is None:
            return things
        things.append(self._dataset(study, certificates))
        shown = _shown_by_study(study)
        title = f"certificate of '{study.title}'"
        things += [Derived(one, Kind.CERTIFICATE, title, shown=shown) for one in certificates]
        for reference in self._evidence(study):
            things.append(Derived(reference, Kind.EVIDENCE, f"evidence on '{study.title}'"))
        package = (study.result or {}).get("package")
        if isinstance(package, str):
            things += self._copies(study, package, certificates)
        return things

    def _dataset(self, study: ConductedStudy, certificates: tuple[str, ...]) -> Derived:
        candidate = study.candidate or ""
        package = (study.result or {}).get("package")
        is_report = (study.plan or {}).get("output") == "report"
        made = "report of figures" if is_report else "synthetic dataset"
        sums = "noised sums" if (study.plan or {}).get("rho") else "exact sums"
        return Derived(
            candidate_iri(candidate),
            Kind.AGGREGATE if is_report else Kind.SYNTHETIC,
            f"{made} '{study.title}' with the {sums} it was made from",
            digest=candidate,
            run=study.id,
            shown=_shown_by_study(study),
            gone=study.state in (ConductState.STOPPED, ConductState.FAILED, ConductState.REFUSED),
            details={
                "certificates": list(certificates),
                "study": study.id,
                "artefact": package or (study.result or {}).get("report"),
            },
        )

    def _evidence(self, study: ConductedStudy) -> list[str]:
        result = study.result or {}
        document: Any = result.get("document") or {}
        subject = document.get("credentialSubject") if isinstance(document, dict) else None
        subject = subject or result.get("proof")  # of a report
        named = subject.get("evidence", []) if isinstance(subject, dict) else []
        found = [one.get("credential", {}).get("id") for one in named if isinstance(one, dict)]
        return [iri for iri in found if isinstance(iri, str)]

    def _copies(self, study: ConductedStudy, package: str, certificates: tuple[str, ...]) -> list[Derived]:
        """Whoever has an agreement about the package may have fetched it."""
        offered = self._sources.log.iri("dataset", package.removeprefix("sha256:"))
        holders = {
            agreement.consumer
            for agreement in self._sources.dataspace.agreements()
            if agreement.role == "provider" and agreement.dataset == offered
        }
        things = [candidate_iri(study.candidate or ""), *certificates]
        return [
            Derived(
                copy_iri(candidate_iri(study.candidate or ""), holder),
                Kind.COPY,
                f"copy of '{study.title}'",
                holder=holder,
                details={"things": things, "studies": [], "certificates": list(certificates)},
            )
            for holder in sorted(holders)
        ]


def kind_of_file(request: RunRequest, file: Artefact) -> Kind:
    """What a file of a run is. What cannot be told is for an officer to look at."""
    name = file.name.lower()
    if name == "codebook.json":
        return Kind.DESCRIPTION
    if request.kind in IN_ROUNDS:
        return Kind.MASKED
    if name.endswith((".safetensors", ".onnx", ".pt")):
        return Kind.MODEL
    if name.endswith((".parquet", ".csv", ".arrow")):
        return Kind.SYNTHETIC if request.output == "synthetic" else Kind.EXTRACT
    if name in ("evaluation.json", "analysis.json", "anonymisation.json"):
        return Kind.AGGREGATE
    return Kind.OTHER


def shown_by(run: RunRecord) -> tuple[str, ...]:
    """What shows that the output of a run is anonymous: accounted noise, and the gates that it passed."""
    request = run.request
    told: list[str] = []
    if request.epsilon:
        told.append(
            f"It was made with noise accounted for: ε = {request.epsilon:g}, δ = {request.delta:g} per patient."
        )
    measured: Any = run.measured or {}
    if measured.get("conformant"):
        passed = [str(result.get("sentence", "")) for result in measured.get("results", []) if result.get("passed")]
        told += [sentence for sentence in passed if sentence][:_SAFE_SENTENCES]
    return tuple(told)


def _shown_by_study(study: ConductedStudy) -> tuple[str, ...]:
    plan, told = study.plan or {}, []
    if plan["epsilon"]:
        told.append(
            f"It was made with noise accounted for: ε = {plan['epsilon']:g}, δ = {plan['delta']:g} per patient."
        )
    if study.state is ConductState.RELEASED:
        did = "looked at it" if plan.get("output") == "report" else "measured attacks on it"
        told.append(f"Each of the {len(plan['members'])} sites {did}, and every gate was passed.")
    return tuple(told)


def _kind_of_types(types: Iterable[str]) -> Kind | None:
    names = [name.removeprefix(SYNTHEMA) for name in types]
    return next((OUTPUTS[name] for name in names if name in OUTPUTS), None)


def _held(person: Person, version: DatasetVersion, now: datetime) -> Touch:
    """Whether a record may still be held for secondary use: opting out (EHDS 71) does not ask for its erasure."""
    record = person.consent_at(now)
    basis = (record.legal_basis if record is not None else None) or version.legal_basis
    if record is None or machine_for(basis) == "opt-out":
        return Touch.EARLIER_USE if person.opt_out_at(now) is not None else Touch.COVERED
    if not person.ever_agreed:
        return Touch.COVERED
    least = Question(purposes=record.purposes, data_as_of=version.added_at)
    return Touch.COVERED if record.refusal(now, least) is None else Touch.USED


def _versions_with(connection: Connection, tokens: Iterable[str]) -> frozenset[str]:
    table, wanted = consent_store.consent_cohorts, list(tokens)
    named = table.c.consent_token.in_(wanted) | table.c.opt_out_token.in_(wanted)
    return frozenset(connection.execute(select(table.c.version_id).where(named).distinct()).scalars())


def _people(connection: Connection, version: DatasetVersion, tokens: Iterable[str]) -> tuple[Person, ...]:
    """The people of a version whom these tokens name, each with what is known of them."""
    table, wanted = consent_store.consent_cohorts, list(tokens)
    named = table.c.consent_token.in_(wanted) | table.c.opt_out_token.in_(wanted)
    rows = connection.execute(
        select(table.c.consent_token, table.c.opt_out_token).where(table.c.version_id == version.id, named)
    ).all()
    return tuple(
        Person(
            consent_store.history(connection, version.name, row.consent_token),
            _opt_outs(connection, row.opt_out_token),
        )
        for row in rows
    )


def _opt_outs(connection: Connection, token: str) -> list[tuple[OptOut, datetime]]:
    table = consent_store.consent_opt_outs
    rows = connection.execute(select(table).where(table.c.patient_token == token).order_by(table.c.sequence)).mappings()
    return [
        (OptOut(row["id"], row["patient_token"], OptOutState(row["state"]), row["effective_at"]), row["recorded_at"])
        for row in rows
    ]


def _runs_naming(connection: Connection, field: str, value: str) -> list[RunRecord]:
    """All runs whose request says this of itself, oldest first."""
    named = f'"{field}":{canonical_json(value).decode()}'  # requests are kept in canonical form
    table = run_store.runs
    chosen = select(table.c.id).where(type_coerce(table.c.request, Text).contains(named, autoescape=True))
    ids = connection.execute(chosen.order_by(table.c.created_at, table.c.id)).scalars().all()
    found = [run_store.find(connection, identifier) for identifier in ids]
    return [run for run in found if getattr(run.request, field) == value]


def _opened_at(connection: Connection, run: RunRecord) -> tuple[datetime, ...]:
    """The moments around which a run read the data; empty for one that never did, or has not begun."""
    table = run_store.grants
    row = connection.execute(select(table.c.consumed_at, table.c.opened_at).where(table.c.run == run.id)).one_or_none()
    if row is None or row.consumed_at is None:
        return ()
    if row.opened_at is None:  # about to be opened, with the people of the moment at which the grant was used up
        return () if run.state in FINAL_STATES else (row.consumed_at,)
    return (row.consumed_at, row.opened_at)


def study_of(connection: Connection, identifier: str) -> ConductedStudy | None:
    """A study this hub conducted, or None."""
    try:
        return study_store.find_study(connection, identifier)
    except NotFoundError:
        return None
