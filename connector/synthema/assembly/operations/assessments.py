"""Operations on impact assessments (GDPR Art. 35): write, compare, sign, watch, declare, hand out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from synthema.assembly.operations.registry import Input, Nothing, hexadecimal, operation
from synthema.assembly.remeasure import remeasure
from synthema.clock import to_text
from synthema.dpia import (
    Declaration,
    Dpia,
    DpiaVersion,
    Gate,
    confirm_gates,
    declaration_bytes,
    describe,
    dump_yaml,
    read_dpia,
    signing_bytes,
)
from synthema.dpia.check import Evidence, judge_gate
from synthema.dpia.cnil import import_cnil
from synthema.dpia.diff import compare
from synthema.dpia.page import page
from synthema.dpia.rdf import to_nquads, to_turtle

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector

Form = Literal["html", "turtle", "nquads", "yaml"]


class ProposeAssessment(Input):
    """An impact assessment; ``confirm`` is the officer's word for its thresholds, ``thresholds`` other ones."""

    text: str
    file: str = "dpia.yaml"
    confirm: bool = False
    thresholds: dict[str, float] = Field(default_factory=dict, description="gate → threshold the site sets instead")


@operation("dpia/propose")
def propose_assessment(connector: Connector, given: ProposeAssessment) -> dict[str, Any]:
    """Keep an impact assessment for signature, and say what changes against the one in force."""
    assessment = read_dpia(given.text.encode(), given.file)
    if given.confirm:
        assessment = confirm_gates(assessment, thresholds=given.thresholds)
    version = connector.dpias.propose(assessment)
    return _assessment_json(version) | {
        "unconfirmed": list(version.dpia.unconfirmed()),
        "changes": _changes(connector, version),
    }


class CheckAssessment(Input):
    """An impact assessment to be understood and not kept."""

    text: str
    file: str = "dpia.yaml"


@operation("dpia/check")
def check_assessment(connector: Connector, given: CheckAssessment) -> dict[str, Any]:
    """Say in sentences how each risk leads to a gate; nothing is kept."""
    assessment = read_dpia(given.text.encode(), given.file)
    return {
        "title": assessment.title,
        "version": assessment.version,
        "digest": assessment.digest,
        "sentences": list(describe(assessment)),
        "unconfirmed": list(assessment.unconfirmed()),
    }


class ImportAssessment(Input):
    """A JSON export of the CNIL's PIA tool."""

    text: str
    file: str = "cnil.json"


@operation("dpia/import")
def import_assessment(connector: Connector, given: ImportAssessment) -> dict[str, Any]:
    """Make a draft of an assessment from the CNIL tool's export; names of persons become roles, nothing is kept."""
    draft = import_cnil(given.text.encode(), given.file)
    return {"yaml": draft.yaml, "toAdd": list(draft.to_add), "leftOut": list(draft.left_out)}


class OneAssessment(Input):
    """A version of an impact assessment by its identifier."""

    dpia: str


@operation("dpia/show")
def show_assessment(connector: Connector, given: OneAssessment) -> dict[str, Any]:
    """A version: its risks down to its gates, what changes against the one in force, and its YAML."""
    version = connector.dpias.version(given.dpia)
    return _assessment_json(version) | {
        "sentences": list(describe(version.dpia)),
        "unconfirmed": list(version.dpia.unconfirmed()),
        "changes": _changes(connector, version),
        "yaml": dump_yaml(version.dpia),
    }


class SignAssessment(Input):
    """One person's signature under an impact assessment."""

    dpia: str
    person: str
    signature: str


@operation("dpia/sign")
def sign_assessment(connector: Connector, given: SignAssessment) -> dict[str, Any]:
    """Sign an impact assessment; the second signature puts it in force."""
    signature = hexadecimal(given.signature, "signature")
    return _assessment_json(connector.dpias.sign(given.dpia, given.person, signature))


@operation("dpia/withdraw")
def withdraw_assessment(connector: Connector, given: OneAssessment) -> dict[str, Any]:
    """Take an impact assessment out of force: what it covered is denied from now on."""
    return _assessment_json(connector.dpias.withdraw(given.dpia))


@operation("dpia/list")
def list_assessments(connector: Connector, given: Nothing) -> list[dict[str, Any]]:
    """The impact assessments, newest first."""
    return [_assessment_json(version) for version in connector.dpias.versions()]


@operation("dpia/status")
def assessment_status(connector: Connector, given: OneAssessment) -> dict[str, Any]:
    """What holds now: each measure and gate with its evidence and age, what fails and what would change it."""
    version = connector.dpias.version(given.dpia)
    now = connector.clock.now()
    found = connector.dpias.examine(version, now)
    figures = connector.dpias.figures(version)
    return (
        _assessment_json(version)
        | found.as_dict()
        | {
            "dpia": version.id,
            "sentences": list(found.sentences()),
            "gates": [_gate_json(version.dpia, gate, figures.get(gate.metric), now) for gate in version.dpia.gates],
        }
    )


class TwoAssessments(Input):
    """Two versions by their identifiers; without an old one, the version in force."""

    new: str
    old: str = ""


@operation("dpia/diff")
def compare_assessments(connector: Connector, given: TwoAssessments) -> dict[str, Any]:
    """What changed between two versions, in sentences: first what lets more pass."""
    new = connector.dpias.version(given.new)
    old = connector.dpias.version(given.old) if given.old else connector.dpias.in_force(new.dpia.id)
    return {
        "old": None if old is None else old.id,
        "new": new.id,
        "changes": [] if old is None else [change.as_dict() for change in compare(old.dpia, new.dpia)],
    }


class ExportAssessment(OneAssessment):
    """A version and the form to have it in."""

    to: Form = "html"


@operation("dpia/export")
def export_assessment(connector: Connector, given: ExportAssessment) -> dict[str, Any]:
    """A version as a page to print with what holds now, as DPV RDF, or as YAML."""
    version = connector.dpias.version(given.dpia)
    iri = connector.log.iri("dpia", version.id)
    match given.to:
        case "html":
            now = connector.clock.now()
            text = page(
                version.dpia,
                now,
                conformance=connector.dpias.examine(version, now),
                figures=connector.dpias.figures(version),
                state=str(version.state),
                signed_by=version.signed_by,
            )
        case "turtle":
            text = to_turtle(version.dpia, iri)
        case "nquads":
            text = to_nquads(version.dpia, iri).decode()
        case "yaml":
            text = dump_yaml(version.dpia)
    return {"dpia": version.id, "to": given.to, "text": text}


class SayOfAssessment(OneAssessment):
    """Something to be declared of a version: an item done, a trigger raised, a signature withdrawn and so on."""

    kind: Declaration
    subject: str = Field(min_length=1, description="item of the plan, trigger, person or release")
    text: str = Field(min_length=3, description="what was done or found, in words; no names of persons")


@operation("dpia/declaring")
def declaring(connector: Connector, given: SayOfAssessment) -> dict[str, Any]:
    """What a person signs to declare something of an assessment."""
    version = connector.dpias.version(given.dpia)
    data = declaration_bytes(given.kind, version.digest, given.subject, given.text)
    return {"dpia": version.id, "sign": data.hex()}


class DeclareOfAssessment(SayOfAssessment):
    """The same with the person's signature."""

    person: str
    signature: str


@operation("dpia/declare")
def declare(connector: Connector, given: DeclareOfAssessment) -> dict[str, Any]:
    """Keep what a person declares of an assessment, signed; what it changes holds from the next decision on."""
    signature = hexadecimal(given.signature, "signature")
    version = connector.dpias.declare(given.dpia, given.kind, given.subject, given.text, given.person, signature)
    return _assessment_json(version) | {"conformant": connector.dpias.examine(version).conformant}


class OneRelease(Input):
    """A release as the status lists it."""

    release: str


@operation("dpia/remeasure")
def measure_again(connector: Connector, given: OneRelease) -> dict[str, Any]:
    """Measure a release of this site again and hold it against the post-release gates."""
    report = remeasure(connector.governor, given.release)
    return {"release": given.release, "passed": report.conformant, "sentences": list(report.sentences())}


def _assessment_json(version: DpiaVersion) -> dict[str, Any]:
    return {
        "dpia": version.id,
        "name": version.dpia.id,
        "version": version.dpia.version,
        "title": version.dpia.title,
        "state": str(version.state),
        "digest": version.digest,
        "signedBy": list(version.signed_by),
        "sign": signing_bytes(version.digest).hex(),
    }


def _changes(connector: Connector, version: DpiaVersion) -> list[dict[str, str]]:
    """What a version changes against the one in force, for those who are to sign it."""
    old = connector.dpias.in_force(version.dpia.id)
    if old is None or old.id == version.id:
        return []
    return [change.as_dict() for change in compare(old.dpia, version.dpia)]


def _gate_json(dpia: Dpia, gate: Gate, figure: Evidence | None, now: Any) -> dict[str, Any]:
    """A gate with the last figure measured for it, as it stood when it was measured."""
    found: dict[str, Any] = {
        "gate": gate.id,
        "phase": gate.phase,
        "sentence": gate.sentence(),
        "confirmed": gate.confirmed_by_site,
        "passed": None,
        "measured": None,
    }
    if figure is None:
        return found
    (result,) = judge_gate(dpia, gate, [figure], figure.measured_at)
    return found | {
        "passed": result.passed,
        "sentence": result.sentence,
        "measured": {
            "value": figure.value,
            "lower": figure.lower,
            "upper": figure.upper,
            "n": figure.n,
            "at": to_text(figure.measured_at),
            "ageSeconds": int((now - figure.measured_at).total_seconds()),
            "evidence": figure.source,
        },
    }
