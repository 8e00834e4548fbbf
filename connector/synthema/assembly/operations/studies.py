"""Operations on studies: what a hub conducts."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from synthema.assembly.conductor import read_study
from synthema.assembly.operations.datasets import codebook_of
from synthema.assembly.operations.registry import Input, Nothing, operation
from synthema.assembly.reporting import released_report
from synthema.assembly.study_store import FINAL, ConductedStudy
from synthema.canonical import digest_bytes
from synthema.certification import ReportProof, read_document, read_study_report, verify_study_report
from synthema.clock import to_text
from synthema.errors import InputError, NotFoundError
from synthema.federation import StudyPlan, kept_vector
from synthema.report import render_study_report

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector


SECONDS_BETWEEN_LOOKS = 0.2


class StartStudy(Input):
    """A study as the researcher wrote it, and the codebook of the sites' datasets (text, or a dictionary's name)."""

    study: dict[str, Any]
    codebook: str


@operation("study/start")
def start_study(connector: Connector, given: StartStudy) -> dict[str, Any]:
    """Begin a study between sites; it goes on in the background."""
    study = read_study(given.study)
    return {"study": connector.conductor.start(study, codebook_of(given.codebook))}


class OneStudy(Input):
    """A study by its id."""

    study: str


@operation("study/show")
def show_study(connector: Connector, given: OneStudy) -> dict[str, Any]:
    """A study: its state, story, progress and result."""
    return _shown(connector, connector.conductor.study(given.study))


def _shown(connector: Connector, study: ConductedStudy) -> dict[str, Any]:
    engine = None if study.plan is None else study.plan.get("engine") or {"name": "embedded"}
    return study.as_dict() | {"progress": _progress(connector, study), "engine": engine}


def _progress(connector: Connector, study: ConductedStudy) -> dict[str, Any] | None:
    """How far the rounds are, what they cost so far, and who is with the study now; None before there is a plan."""
    if study.plan is None:
        return None
    plan = StudyPlan.model_validate(study.plan)
    opened = connector.coordinator.opened_rounds(plan.id)
    return {
        "opened": len(opened),
        "planned": plan.rounds,
        "rho": sum(record.rho for record in opened),
        "rhoPlanned": plan.rho,
        "sites": len(plan.dids),
        "needed": plan.minimum_sites,
        "present": sorted(connector.coordinator.present(plan.id)),
    }


class WatchStudy(OneStudy):
    """A study, and how much of it was seen: events of its story, and opened rounds."""

    events: int = Field(default=0, ge=0)
    opened: int = Field(default=0, ge=0)
    seconds: float = Field(default=20.0, ge=0, le=55)


@operation("study/watch")
def watch_study(connector: Connector, given: WatchStudy) -> dict[str, Any]:
    """A study as soon as more of it can be seen, or it has ended, or the time is over: the same as study/show."""
    end = time.monotonic() + given.seconds
    while True:
        study = connector.conductor.study(given.study)
        opened = len(connector.coordinator.opened_rounds(given.study))
        more = len(study.events) > given.events or opened > given.opened or study.state in FINAL
        if more or time.monotonic() >= end:
            return _shown(connector, study)
        time.sleep(SECONDS_BETWEEN_LOOKS)


@operation("study/list")
def list_studies(connector: Connector, given: Nothing) -> list[dict[str, Any]]:
    """All studies, newest first."""
    return [
        {"id": s.id, "title": s.title, "state": str(s.state), "reason": s.reason} for s in connector.conductor.studies()
    ]


class WantedReport(OneStudy):
    """The report of a study, as data and, if wanted, as a page."""

    page: bool = Field(default=False, description="also as one self-contained HTML file")


@operation("study/report")
def show_report(connector: Connector, given: WantedReport) -> dict[str, Any]:
    """The released report of a study, its digest, and what shows that it was permitted; the bytes are base64."""
    content, proof = released_report(connector.governor, connector.conductor.study(given.study).result)
    report, digest = read_study_report(content), digest_bytes(content)
    found = {
        "study": given.study,
        "digest": digest,
        "report": report.as_json(),
        "content": base64.b64encode(content).decode(),
        "proof": proof,
    }
    if given.page:
        parties = {did: peer.name for did, peer in connector.parties.items()}
        names = {connector.settings.did: connector.settings.name, **parties}
        found["page"] = render_study_report(report, digest, names, to_text(connector.clock.now())[:10])
    return found


class ReportToVerify(Input):
    """A report as it was released (base64 of its bytes) and its proof."""

    content: str
    proof: dict[str, Any]


@operation("study/verify")
def verify_report(connector: Connector, given: ReportToVerify) -> dict[str, Any]:
    """Check a released report against its proof, with the identities this connector knows; its sites and protection."""
    try:
        content = base64.b64decode(given.content, validate=True)
    except ValueError as error:
        raise InputError("the content is not base64", fix="send the bytes of the report as base64") from error
    proof = read_document(ReportProof, given.proof)
    report = verify_study_report(content, proof, connector.resolver, connector.clock.now())
    return {
        "verified": True,
        "digest": proof.report,
        "title": report.title,
        "study": report.study,
        "coordinator": report.coordinator,
        "sites": list(report.sites),
        "privacy": None if report.privacy is None else report.privacy.as_json(),
        "smallestCount": report.smallest_count,
    }


class ReceivedVector(Input):
    """One masked vector that the hub received."""

    study: str
    round: int = Field(ge=1)
    site: str


@operation("study/received")
def show_received(connector: Connector, given: ReceivedVector) -> dict[str, Any]:
    """What the hub received from one site in one round, as it came: the masked vector, base64 of uint32 or uint64."""
    round_id = next(
        (r.round_id for r in connector.coordinator.opened_rounds(given.study) if r.number == given.round), None
    )
    if round_id is None:
        raise NotFoundError("the study opened no such round", fix="see its rounds with: synthema study show")
    vector = np.load(
        kept_vector(connector.settings.home / "received", given.study, round_id, given.site), allow_pickle=False
    )
    return {"dtype": str(vector.dtype), "length": len(vector), "data": base64.b64encode(vector.tobytes()).decode()}


@operation("study/rounds")
def show_rounds(connector: Connector, given: OneStudy) -> list[dict[str, Any]]:
    """The opened rounds of a study: survivors, privacy cost, noise, digests."""
    return [
        {
            "round": r.number,
            "survivors": list(r.survivors),
            "dropped": list(r.dropped),
            "rho": r.rho,
            "sigma": r.sigma,
            "totalDigest": r.total_digest,
            "transcript": r.transcript,
        }
        for r in connector.coordinator.opened_rounds(given.study)
    ]
