from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from rdflib import RDF, Graph, Literal, Namespace, URIRef

from synthema.dpia import Dpia, confirm_gates, load_dpia
from synthema.dpia.rdf import from_rdf, iri_of, to_nquads, to_turtle
from synthema.dpia.schema import FILE, dpia_schema, schema_text
from synthema.dpia.vocabulary import SHAPES
from synthema.errors import InputError
from synthema.resources import bundled

EXAMPLE = bundled("legal") / "dpia" / "synthetic-data.yaml"
SYN = Namespace("https://w3id.org/synthema/ns#")
DPV = Namespace("https://w3id.org/dpv#")
GDPR = Namespace("https://w3id.org/dpv/legal/eu/gdpr#")
RISK = Namespace("https://w3id.org/dpv/risk#")


@pytest.fixture(scope="module")
def dpia() -> Dpia:
    return load_dpia(EXAMPLE)


@pytest.fixture
def graph(dpia: Dpia) -> Graph:
    return Graph().parse(data=to_turtle(dpia), format="turtle")


def shapes() -> Graph:
    return Graph().parse(bundled("ontologies") / "shapes" / "dpia.ttl", format="turtle")


def conforms(graph: Graph) -> tuple[bool, str]:
    pyshacl = pytest.importorskip("pyshacl", reason="validates against the published shapes: pip install pyshacl")
    found, _, report = pyshacl.validate(graph, shacl_graph=shapes(), advanced=False)
    return bool(found), str(report)


def test_every_field_is_said() -> None:
    for model, shape in SHAPES.items():
        assert set(shape.fields) == set(model.model_fields), model


def test_dpv_says_what_it_has_a_word_for(graph: Graph, dpia: Dpia) -> None:
    me = URIRef(iri_of(dpia))
    assert (me, RDF.type, DPV.DPIA) in graph
    assert graph.value(me, DPV.hasOutcome) == GDPR.DPIAOutcomeRisksMitigated
    assert graph.value(me, DPV.hasRecommendation) == GDPR.DPIARecommendsProcessingContinue
    assert graph.value(me, DPV.hasStatus) == GDPR.DPIAIndicatesHighRisk
    risk = URIRef(f"{me}#risks.disappearance")
    assert (risk, RDF.type, RISK.DataLoss) in graph
    assert graph.value(risk, DPV.hasSeverity) == RISK.HighSeverity
    residual = graph.value(risk, DPV.hasResidualRisk)
    assert graph.value(residual, DPV.isResidualRiskOf) == risk
    assert URIRef(f"{me}#measures.backup") in set(graph.objects(risk, DPV.isMitigatedByMeasure))


@pytest.mark.article("GDPR 35(7)")
def test_the_shipped_assessment_has_the_published_shape(graph: Graph) -> None:
    found, report = conforms(graph)
    assert found, report


def _without(predicate: URIRef) -> Callable[[Graph], object]:
    return lambda graph: graph.remove((None, predicate, None))


def _instead(predicate: URIRef, value: Literal | URIRef) -> Callable[[Graph], object]:
    def change(graph: Graph) -> None:
        subject = next(graph.subjects(predicate, None))
        graph.remove((subject, predicate, None))
        graph.add((subject, predicate, value))

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_without(SYN.principles), r"35\(7\)\(b\)"),
        (_without(DPV.hasRisk), r"35\(7\)\(c\)"),
        (_without(DPV.isMitigatedByMeasure), "met by a measure"),
        (_without(SYN.officerOpinion), r"35\(2\)"),
        (_without(SYN.viewsOfPersons), r"35\(9\)"),
        (_without(SYN.reviewDueOn), r"35\(11\)"),
        (_without(SYN.gateMetric), "judges one figure"),
        (_without(SYN.metricUnit), "has a unit"),
        (_instead(SYN.severity, Literal(5)), "from 1 to 4"),
        (_instead(SYN.gateOnMissing, Literal("allow")), "a gate denies"),
        (_instead(SYN.gatePhase, Literal("sometimes")), "four phases"),
        (_instead(DPV.hasOutcome, GDPR.DPIAConformant), "one of DPV's four"),
    ],
)
def test_what_has_another_shape_is_found(graph: Graph, change: Callable[[Graph], object], said: str) -> None:
    change(graph)
    found, report = conforms(graph)
    assert not found
    assert re.search(said, report), report


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('syn:gatePhase "pre-run"', 'syn:gatePhase "pre-run" ; syn:mood "good"', "cannot be understood"),
        ('syn:gatePhase "pre-run"', 'syn:gatePhase "pre-run", "in-run"', "said 2 times"),
        ("syn:gateMinimumN 1", 'syn:gateMinimumN "one"', "minimum_n"),
        ("syn:position 1 ", "syn:position 1, 2 ", "no one place"),
        ("eu-gdpr:DPIARecommendsProcessingContinue", "eu-gdpr:DPIARecommendsProcessingNotContinue", "hasRecommend"),
        ("a syn:Gate", "a syn:Gate, [ ]", "without an IRI"),
        ("a dpv:DPIA", "a dpv:Process", "holds 0 assessments"),
        ("@prefix dpv:", "@prefics dpv:", "not valid turtle"),
        ("eu-gdpr:DPIAOutcomeRisksMitigated", '"fine"', "where an IRI does"),
    ],
)
def test_what_cannot_be_understood_is_refused(dpia: Dpia, old: str, new: str, said: str) -> None:
    text = to_turtle(dpia)
    assert old in text
    with pytest.raises(InputError, match=said):
        from_rdf(text.replace(old, new, 1).encode(), "turtle")


def test_a_removed_type_is_refused(dpia: Dpia) -> None:
    lines = [line for line in to_nquads(dpia).splitlines() if b"<https://w3id.org/dpv#hasRiskX>" not in line]
    kept = [
        line for line in lines if b"risks.disappearance> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type>" not in line
    ]
    with pytest.raises(InputError, match="type"):
        from_rdf(b"\n".join(kept), "nquads")


# schema --------------------------------------------------------------------------------------------------------------


def test_the_published_schema_is_current() -> None:
    published = (bundled("legal") / FILE).read_text(encoding="utf-8")
    assert published == schema_text(), "run: python -c 'from synthema.dpia.schema import publish; publish()'"


def test_the_schema_accepts_the_shipped_assessment_and_sees_a_wrong_word() -> None:
    validator = jsonschema.Draft202012Validator(dpia_schema())
    document = json.loads(json.dumps(yaml.safe_load(EXAMPLE.read_text()), default=date.isoformat))
    assert list(validator.iter_errors(document)) == []
    document["gates"][0]["phase"] = "before"
    document["risks"][0]["type"] = "risk:Nonsense"
    assert len(list(validator.iter_errors(document))) == 2


def test_a_confirmed_assessment_is_another_one(dpia: Dpia) -> None:
    assert to_nquads(confirm_gates(dpia)) != to_nquads(dpia)
