"""FHIR R4 Consent; needs the extra ``fhir``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest

from synthema.consent import ConsentItem, ConsentLine, ConsentState, ConsentStore, Reading, parse_fhir
from synthema.consent.fhir import ITEMS
from synthema.errors import InputError
from tests.unit.consent.support import EHDS, HEALTH_RESEARCH, NOW, SYN

pytest.importorskip("fhir.resources")

SCOPE = "http://terminology.hl7.org/CodeSystem/consentscope"
REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"


def resource(**changes: Any) -> dict[str, Any]:
    value: dict[str, Any] = {
        "resourceType": "Consent",
        "id": "c-1",
        "meta": {"versionId": "1"},
        "status": "active",
        "scope": {"coding": [{"system": SCOPE, "code": "research"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "57016-8"}]}],
        "patient": {"reference": "Patient/K-1"},
        "dateTime": "2025-03-01",
        "policy": [{"uri": "https://registry.example/notice/2.1"}],
        "provision": {"type": "permit"},
    }
    return {key: part for key, part in (value | changes).items() if part is not None}


def purpose(code: str, system: str = REASON) -> dict[str, str]:
    return {"system": system, "code": code}


def box(*codes: str) -> list[dict[str, Any]]:
    return [{"coding": [{"system": ITEMS, "code": code}]} for code in codes]


def read(*resources: Mapping[str, Any]) -> tuple[tuple[ConsentLine, ...], list[str]]:
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": r} for r in resources]}
    taken = parse_fhir(json.dumps(bundle), "consents.json", Reading(NOW))
    return taken.lines, [problem.text() for problem in taken.problems]


def one(**changes: Any) -> ConsentLine:
    lines, problems = read(resource(**changes))
    assert problems == []
    return lines[0]


def test_a_research_consent() -> None:
    line = one()
    assert (line.patient_key, line.state, line.source) == ("K-1", ConsentState.GIVEN, ("c-1", "1"))
    assert line.purposes == {HEALTH_RESEARCH}
    assert line.items == {ConsentItem.SECONDARY_USE}
    assert line.notice_version == "https://registry.example/notice/2.1"
    assert line.date == datetime(2025, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("draft", ConsentState.REQUESTED),
        ("proposed", ConsentState.REQUESTED),
        ("rejected", ConsentState.REFUSED),
        ("inactive", ConsentState.WITHDRAWN),
        ("entered-in-error", ConsentState.INVALIDATED),
    ],
)
def test_every_status_but_active_denies(status: str, state: ConsentState) -> None:
    line = one(status=status)
    assert line.state is state
    assert line.items == frozenset()


def test_a_refusal_and_its_exceptions() -> None:
    assert one(provision={"type": "deny"}).state is ConsentState.REFUSED
    only = one(provision={"type": "deny", "provision": [{"type": "permit", "purpose": [purpose("PUBHLTH")]}]})
    assert (only.state, only.purposes) == (ConsentState.GIVEN, {SYN + "Art53-1-a"})
    named = {"type": "permit", "purpose": [purpose("HRESCH"), purpose("PUBHLTH")], "code": box("linkage", "recontact")}
    without = one(provision=named | {"provision": [{"type": "deny", "purpose": [purpose("PUBHLTH")]}]})
    assert without.purposes == {HEALTH_RESEARCH}
    unticked = one(provision=named | {"provision": [{"type": "deny", "code": box("linkage")}]})
    assert unticked.items == {ConsentItem.SECONDARY_USE, ConsentItem.RECONTACT}
    nothing = {"type": "permit", "provision": [{"type": "deny", "purpose": [purpose("HRESCH")]}]}
    assert one(provision=nothing).state is ConsentState.REFUSED


def test_periods_end_after_their_last_day() -> None:
    line = one(provision={"type": "permit", "period": {"start": "2025-04-01", "end": "2030-12-31"}})
    assert line.valid_from == datetime(2025, 4, 1, tzinfo=UTC)
    assert line.valid_to == datetime(2031, 1, 1, tzinfo=UTC)


def test_an_unverified_consent_is_only_asked_for() -> None:
    assert one(verification=[{"verified": False}]).state is ConsentState.REQUESTED
    assert one(verification=[{"verified": True}]).state is ConsentState.GIVEN


def test_purposes_may_be_named_by_iri() -> None:
    line = one(provision={"type": "permit", "purpose": [purpose("TrainTestAndEvaluateHealthAlgorithms", EHDS)]})
    assert line.purposes == {EHDS + "TrainTestAndEvaluateHealthAlgorithms"}


def test_the_identifier_comes_before_the_reference() -> None:
    both = {"reference": "Patient/17", "identifier": {"value": "K-9"}}
    assert one(patient=both).patient_key == "K-9"
    assert one(patient={"reference": "https://fhir.example/Patient/K-3/_history/2"}).patient_key == "K-3"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"provision": None}, "field provision.type: does not say whether it permits"),
        ({"provision": {"period": {"end": "2030-01-01"}}}, "field provision.type"),
        ({"provision": {"type": "permit", "actor": [{"role": {}, "reference": {}}]}}, "provision.actor: this restrict"),
        ({"provision": {"type": "permit", "securityLabel": [{"code": "R"}]}}, "securityLabel: this restriction"),
        ({"provision": {"type": "permit", "purpose": [purpose("HMARKT")]}}, "the purpose 'HMARKT' is not known"),
        ({"provision": {"type": "permit", "code": [{"coding": [{"code": "x"}]}]}}, "the code 'x' is not known"),
        ({"provision": {"type": "permit", "action": [{"coding": [{"code": "collect"}]}]}}, "neither access nor use"),
        (
            {"provision": {"type": "permit", "provision": [{"type": "permit", "purpose": [purpose("HRESCH")]}]}},
            "not a plain exception",
        ),
        (
            {
                "provision": {
                    "type": "permit",
                    "provision": [{"type": "deny", "purpose": [purpose("TrainTestAndEvaluateHealthAlgorithms", EHDS)]}],
                }
            },
            "an exception inside a wider purpose",
        ),
        ({"scope": {"coding": [{"system": SCOPE, "code": "treatment"}]}}, "is not about research or privacy"),
        ({"scope": {"coding": [{"system": SCOPE, "code": "patient-privacy"}]}}, "no purpose is named"),
        ({"status": "maybe"}, "field status"),
        ({"dateTime": None}, "field dateTime: is missing"),
        ({"dateTime": "2025-03"}, "field dateTime: is not a full date"),
        ({"dateTime": "2027-03-01"}, "lies in the future"),
        ({"patient": {"display": "somebody"}}, "field patient: does not say who"),
        ({"patient": {"reference": "#contained"}}, "field patient: does not say who"),
        ({"modifierExtension": [{"url": "urn:not", "valueBoolean": True}]}, "may change what the consent means"),
        ({"unheard": "of"}, "field unheard"),
        ({"category": None}, "field category"),
    ],
)
def test_what_is_not_understood_in_full_is_refused(change: dict[str, Any], said: str) -> None:
    lines, problems = read(resource(**change))
    assert lines == ()
    assert any(said in problem for problem in problems), problems
    assert all(problem.startswith("entry[0].resource") for problem in problems)


@pytest.mark.article("GDPR 8")
def test_who_agreed_for_a_minor() -> None:
    child = {"resourceType": "Patient", "id": "K-1", "birthDate": "2012-05-01", "address": [{"country": "IT"}]}
    mother = {
        "resourceType": "RelatedPerson",
        "id": "m",
        "patient": {"reference": "Patient/K-1"},
        "relationship": [{"coding": [{"code": "MTH"}]}],
    }
    given = resource(performer=[{"reference": "RelatedPerson/m"}])
    lines, problems = read(child, mother, given)
    assert problems == []
    assert lines[0].representative is not None
    assert (lines[0].representative.kind, lines[0].representative.until) == ("parent", date(2030, 5, 1))
    _, unknown = read(mother, given)
    assert "export the Patient with its full birthDate" in unknown[0]
    _, adult = read(child | {"birthDate": "1990-05-01"}, mother, given)
    assert "of age" in adult[0]


def test_two_consents_of_one_person_are_for_people_to_settle() -> None:
    _, problems = read(resource(), resource(id="c-2"))
    assert "another consent of the same person stands at entry[0].resource" in problems[0]


def test_versions_of_one_consent_are_taken_in_order(consents: ConsentStore) -> None:
    withdrawn = resource(status="inactive", meta={"versionId": "2"}, dateTime="2025-06-01")
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": withdrawn}, {"resource": resource()}],
    }
    for _ in range(2):
        taken = parse_fhir(json.dumps(bundle), "consents.json", Reading(NOW))
        report = consents.import_list("mgus", taken, "consents.json")
        assert (report.people, report.version) == (1, 1)
    assert consents.counts("mgus") == {"ConsentWithdrawn": 1}


@pytest.mark.parametrize("form", ["ndjson", "list", "single"])
def test_other_forms(form: str) -> None:
    two = [resource(), resource(id="c-2", patient={"reference": "Patient/K-2"})]
    texts = {
        "ndjson": "\n".join(json.dumps(each) for each in two),
        "list": json.dumps(two),
        "single": json.dumps(two[0]),
    }
    taken = parse_fhir(texts[form], "consents", Reading(NOW))
    assert len(taken.lines) == (1 if form == "single" else 2)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "[1]", '{"resourceType": "Bundle"}', '{"resourceType": "Patient", "id": "1"}', "no json"]
)
def test_files_without_consents(text: str) -> None:
    with pytest.raises(InputError):
        parse_fhir(text, "consents.json", Reading(NOW))


def test_no_patient_is_named_in_a_problem() -> None:
    _, problems = read(resource(patient={"reference": "Patient/SECRET-1"}, status="maybe", dateTime="SECRET-2"))
    assert problems
    assert "SECRET" not in str(problems)
