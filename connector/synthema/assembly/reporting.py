"""A hub and the report of a study: made from the opened sums in its sandbox, released once everybody permits it.

Like synthetic rows, a report lies in quarantine until every site whose data are in it has decided, by its gates and
its policies, whether it may leave; then the hub's own policies are asked. What is released is one file of canonical
JSON, and what shows that it was permitted is kept beside it (:class:`synthema.certification.ReportProof`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection

from synthema.canonical import digest_bytes
from synthema.certification import LogProof, PluginReference, ReportProof, StudyReport, read_document, reference
from synthema.certification.model import ProvenDecision
from synthema.certification.study_report import LARGEST_REPORT
from synthema.errors import InputError, NotFoundError, PluginError
from synthema.federation import StudyPlan, StudyResult
from synthema.provenance import Activity, Entity
from synthema.runs import store as run_store
from synthema.runs.formats import JSON
from synthema.runs.governor import Governor
from synthema.runs.measured import evaluation_json
from synthema.runs.rooms import Rooms
from synthema.runs.sandbox import Session
from synthema.spi.model import Evaluation

REPORT_FILE = "report.json"


def make_report(rooms: Rooms, session: Session, plan: StudyPlan, result: StudyResult) -> bytes:
    """Have the analysis make its figures of the last sums, and put them into the form that is released.

    Raises :class:`PluginError` where it gives none: there is nothing to release then, and it says why.
    """
    found = session.call(plan.algorithm.plugin, "federated_report", state=result.state, plan=plan.algorithm_plan())
    if not isinstance(found, Evaluation):
        raise PluginError("the analysis gave no figures", fix="use a plugin that passes its contract tests")
    if not found.metrics:
        said = " ".join(found.notes) or "It does not say why."
        raise PluginError(f"the analysis gives no figure: {said}"[:1500], fix="ask otherwise, in a new study")
    plugin = rooms.plugins.require(plan.algorithm.plugin)
    survivors = [record.survivors for record in result.rounds]
    noise = {"epsilon": plan.epsilon, "delta": plan.delta, "rho": plan.rho}
    try:
        report = read_document(
            StudyReport,
            {
                "study": plan.id,
                "plan": plan.digest,
                "title": plan.title,
                "purpose": plan.purpose,
                "action": plan.action,
                "coordinator": plan.coordinator,
                "sites": sorted({site for sites in survivors for site in sites}),
                "fewestSites": min(len(sites) for sites in survivors),
                "rounds": len(result.rounds),
                "transcript": result.transcript,
                "algorithm": PluginReference(
                    name=plugin.name, version=plugin.manifest.version, digest=plugin.digest
                ).as_json(),
                "parameters": plan.algorithm.parameters,
                "fields": list(plan.fields),
                "privacy": None if plan.exact else noise | {"sigma": min(record.sigma for record in result.rounds)},
                "figures": evaluation_json(found),
            },
        )
    except InputError as error:
        raise PluginError(f"the analysis gave no report: {error.message}", fix="report this to its author") from error
    content = report.as_bytes()
    if len(content) > LARGEST_REPORT:
        raise PluginError("the analysis gave more figures than a report may hold", fix="ask for fewer figures")
    return content


def proof_of(
    content: bytes,
    release: LogProof,
    decisions: tuple[ProvenDecision, ...],
    evidence: Mapping[str, Mapping[str, Any]],
) -> ReportProof:
    """What shows that a report was permitted by every site and by the hub, and released."""
    return ReportProof(
        report=digest_bytes(content),
        release=release,
        decisions=decisions,
        evidence=tuple(reference(found["credential"]) for _, found in sorted(evidence.items())),
    )


def publish_report(
    rooms: Rooms,
    governor: Governor,
    plan: StudyPlan,
    content: bytes,
    proof: ReportProof,
    finish: Callable[[Connection, dict[str, Any]], None],
) -> None:
    """Release a report at the hub. It can be fetched as soon as ``finish`` is kept with it, in one transaction."""
    artefact = governor.keep_file(plan.id, REPORT_FILE, JSON, content)
    now, log = rooms.clock.now(), rooms.log
    thing = log.iri("artefact", artefact.digest.removeprefix("sha256:"))
    kept = Activity(
        f"{log.iri('study', plan.id)}/publication", "Release", "the report can be read by the hub's people", now, now,
        used=(Entity(log.iri("study", plan.id), ("Study",), plan.title, plan.digest),),
        generated=(Entity(thing, ("Artefact",), REPORT_FILE, artefact.digest),),
        informed_by=(f"{log.iri('study', plan.id)}/release",),
    )  # fmt: skip

    def keep(connection: Connection) -> None:
        run_store.insert_artefacts(connection, plan.id, [artefact])
        run_store.settle_artefacts(connection, plan.id, "released")
        log.append(connection, kept)
        finish(connection, {"report": artefact.digest, "bytes": artefact.bytes, "proof": proof.as_json()})

    rooms.database.write(keep)


def released_report(governor: Governor, result: Mapping[str, Any] | None) -> tuple[bytes, dict[str, Any]]:
    """The bytes and the proof of a study's report; raises :class:`NotFoundError` where none was released."""
    digest, proof = (result or {}).get("report"), (result or {}).get("proof")
    if not isinstance(digest, str) or not isinstance(proof, dict):
        raise NotFoundError(
            "this study has released no report", fix="see what it came to: synthema study show; rows: its certificate"
        )
    return governor.released(digest)[1], proof
