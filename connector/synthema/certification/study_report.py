"""The report of a federated study: aggregate figures made from opened sums, and what shows that they may be known.

Its proof holds what every contributing site signed of it (its gates, and its policies' decision to let it leave), the
hub's own decisions, and the entry of the hub's log that released it. Anyone who can look up the parties' identities
checks it offline, as a certificate is checked (:func:`verify_study_report`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator

from synthema.canonical import canonical_json, digest_bytes, parse_json_strictly
from synthema.certification.document import NAMESPACE, Did, Digest, Document, Text, read_document
from synthema.certification.evidence import (
    candidate_iri,
    names_decision,
    states,
    verify_evidence,
    verify_log_proof,
)
from synthema.certification.model import (
    EvidenceReference,
    LogProof,
    PluginReference,
    ProvenDecision,
    failures_of,
    undecided,
)
from synthema.errors import InputError, IntegrityError
from synthema.identity import DidResolver
from synthema.provenance.model import PROV, RDF_TYPE, SYNTHEMA, Activity, Agent, Entity, literal, node
from synthema.provenance.succession import log_keys

REPORT_TYPE: Final = "StudyReport"
"""What a report is in the log."""
LARGEST_REPORT: Final = 16 * 1024 * 1024
COUNTED: Final = "patients"
"""The key under which a federated analysis puts numbers of patients in its series."""
COUNT: Final = "groupSize"
"""The metric whose value is itself a number of patients."""
NEEDED_ACTS: Final[Mapping[str, str]] = {
    NAMESPACE + "export": "letting the report leave the secure environment (EHDS Article 73(2))"
}
"""What every contributing site, and the hub, must have permitted."""


class ReportFigure(Document):
    """One figure of a report; ``lower`` and ``upper`` bound a 95 % interval."""

    id: Text
    value: float
    n: Annotated[int, Field(ge=0)]
    lower: float | None = None
    upper: float | None = None
    control: float | None = None
    definition: str = ""


class ReportFigures(Document):
    """What the analysis gave: figures, series for plots (JSON, no rows), and sentences a reader has to know."""

    metrics: Annotated[tuple[ReportFigure, ...], Field(min_length=1)]
    series: dict[str, Any] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()


class ReportPrivacy(Document):
    """The loss that noise bounds for one patient of one site; ``sigma`` is the least noise of an opened sum."""

    epsilon: Annotated[float, Field(gt=0)]
    delta: Annotated[float, Field(gt=0, lt=1)]
    rho: Annotated[float, Field(gt=0)]
    sigma: Annotated[float, Field(gt=0)]
    unit: Literal["one patient"] = "one patient"


class StudyReport(Document):
    """The figures of a study with what they were made from. Without ``privacy`` the sums were exact."""

    kind: Literal["synthema-study-report-1"] = "synthema-study-report-1"
    study: Text
    plan: Digest
    title: Text
    purpose: Text
    action: Text
    coordinator: Did
    sites: Annotated[tuple[Did, ...], Field(min_length=1, description="whose data are in an opened sum")]
    fewest_sites: Annotated[int, Field(ge=1, description="the fewest sites in any opened sum")]
    rounds: Annotated[int, Field(ge=1)]
    transcript: Digest
    algorithm: PluginReference
    parameters: dict[str, Any]
    fields: tuple[Text, ...]
    privacy: ReportPrivacy | None
    figures: ReportFigures

    @model_validator(mode="after")
    def _names_each_site_once(self) -> Self:
        if tuple(sorted(set(self.sites))) != self.sites or self.fewest_sites > len(self.sites):
            raise ValueError("sites: each once, in order, and no sum holds more than all of them")
        return self

    def as_bytes(self) -> bytes:
        """The report as it is released: canonical JSON."""
        return canonical_json(self.as_json())

    @property
    def smallest_count(self) -> int:
        """The fewest patients that stand behind a figure, or are themselves a figure, as the report shows them.

        A count of nobody (under noise, one of 0 or less) is left out here: an analysis shows one only where it tells
        of nobody, as when no value is missing. A figure with nobody behind it counts as 0.
        """
        behind = [figure.n for figure in self.figures.metrics]
        counted = [round(figure.value) for figure in self.figures.metrics if figure.id == COUNT]
        shown = [*counted, *(round(number) for number in _counts(self.figures.series))]
        return min([*behind, *(number for number in shown if number > 0)])


class ReportProof(Document):
    """What shows that a report was permitted and released; ``report`` is the digest of its bytes."""

    report: Digest
    release: LogProof
    decisions: Annotated[tuple[ProvenDecision, ...], Field(min_length=1)]
    evidence: Annotated[tuple[EvidenceReference, ...], Field(min_length=1)]


def read_study_report(content: bytes) -> StudyReport:
    """Read a report strictly; raises :class:`InputError` for anything that is not exactly the form of one."""
    if len(content) > LARGEST_REPORT:
        raise InputError("this is too large for a report of figures", fix="ask for fewer figures")
    found = read_document(StudyReport, parse_json_strictly(content))
    if found.as_bytes() != content:
        raise InputError("the report is not in its canonical form", fix="send the bytes as they were released")
    return found


def report_release(iri: str, report: str, did: str, at: datetime, **parts: Any) -> Activity:
    """How a hub records that a report may be known: the entry that its proof shows."""
    return Activity(
        iri=iri,
        type="Release",
        label="a report of aggregate figures was released",
        started=at,
        ended=at,
        agents=(Agent(did, "Organization"),),
        generated=(Entity(candidate_iri(report), (REPORT_TYPE,), "study report", report),),
        **parts,
    )


def verify_study_report(content: bytes, proof: ReportProof, resolver: DidResolver, at: datetime) -> StudyReport:
    """Check a report against its proof, offline but for identities; returns the report.

    Raises :class:`InputError` for another form, :class:`IntegrityError` with the first thing that does not hold:
    the digest, a site's evidence or what it says, the hub's decisions, the entry of the release.
    """
    report = read_study_report(content)
    if digest_bytes(content) != proof.report:
        raise _broken("these are not the bytes that were released")
    stated = {each.site: each.credential for each in proof.evidence}
    if tuple(sorted(stated)) != report.sites or len(stated) != len(proof.evidence):
        raise _broken("there is not one statement of each site whose data are in the sums")
    for site, credential in sorted(stated.items()):
        statement = verify_evidence(credential, proof.report, resolver, at).statement
        if statement.site != site:
            raise _broken(f"the evidence of {site} is another's")
        if failures := failures_of(statement, NEEDED_ACTS):
            raise _broken(f"{site} did not permit it: {'; '.join(failures)}")
    _check_hub(report, proof, resolver)
    return report


def _check_hub(report: StudyReport, proof: ReportProof, resolver: DidResolver) -> None:
    proofs = [proof.release, *(each.proof for each in proof.decisions)]
    if any(each.party != report.coordinator for each in proofs):
        raise _broken("the release rests on another party's log")
    key = log_keys(report.coordinator, resolver, [each.bundle for each in proofs])
    if not _releases(verify_log_proof(proof.release, key).body, proof.report):
        raise _broken("the hub's log does not name this release")
    for each in proof.decisions:
        body = verify_log_proof(each.proof, key).body
        if each.decision.effect != "permit" or not names_decision(body, each.decision):
            raise _broken(f"the hub's log does not permit '{each.decision.action}'")
    if undecided([each.decision for each in proof.decisions], NEEDED_ACTS):
        raise _broken("the hub did not decide whether the report may leave")


def _releases(body: bytes, report: str) -> bool:
    """Whether a log entry is that of the release of exactly these bytes, and not of their quarantine, say."""
    thing = candidate_iri(report)
    made = re.compile(rf"{re.escape(node(thing))} {re.escape(node(PROV + 'wasGeneratedBy'))} <([^<> ]+)> ")
    steps = [found[1] for line in body.decode(errors="replace").split("\n") if (found := made.match(line))]
    return states(body, thing, SYNTHEMA + "digest", literal(report)) and any(
        states(body, step, RDF_TYPE, node(SYNTHEMA + "Release")) for step in steps
    )


def _counts(value: Any, under: str = "") -> Iterator[float]:
    """Every number that a series gives as one of patients."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _counts(each, str(key))
    elif isinstance(value, list):
        for each in value:
            yield from _counts(each, under)
    elif under == COUNTED and isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)


def _broken(reason: str) -> IntegrityError:
    return IntegrityError(reason, fix="do not rely on this report; ask the hub for it again")
