"""DUO codes become rules that decide as the codes say, and are found again in what they became."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from synthema.errors import InputError
from synthema.policy import (
    AccessRequest,
    Policy,
    access_request,
    analyse,
    compile_policies,
    decide,
    parse_policy,
    union_law,
)
from synthema.policy.duo import DuoHead, contradictions, policy_from_duo
from synthema.policy.duo_codes import CODES, find_code, parse_codes
from synthema.policy.duo_match import codes_of, fits
from synthema.policy.model import Value
from synthema.resources import bundled
from tests.unit.policy.sample import AT, V

STANDARDS = Path(__file__).resolve().parents[4] / "shared" / "standards" / "vocabularies" / "duo"
DATASET = "https://hospital.example/id/dataset/aml"
USER = "did:web:university.example"
PERSON = "https://hospital.example/id/person/person-1"
HEAD = DuoHead("aml", "AML registry", DATASET)
WITH_VALUES = {
    "DS": "DS=ORPHA:519",
    "RS": "RS=training of algorithms",
    "GS": "GS=EEA",
    "MOR": "MOR=2028-01-01",
    "TS": "TS=24",
    "US": f"US={PERSON}",
    "PS": "PS=study-1",
    "IS": f"IS={USER}",
}
FITTING: dict[str, Value] = {
    "purpose": "health research",
    "legal basis": "explicit consent",
    "consent state": "given",
    "regime": "pre-EHDS",
    "disease": "AML",
    "data format": "pseudonymised",
    "output": "aggregate",
    "dpia outcome": "risks mitigated",
    "public sector body": False,
    "place": "Germany",
    "recipient place": "France",
    "ethics approval": True,
    "not for profit": True,
    "authorised person": PERSON,
    "project": "study-1",
}


def made(*codes: str, **options: bool) -> Policy:
    return parse_policy(policy_from_duo(parse_codes(codes), HEAD, V, **options), V)


def asked(action: str = "analyse", **changes: Value | None) -> AccessRequest:
    facts = {**FITTING, **{name.replace("_", " "): value for name, value in changes.items()}}
    known = {name: value for name, value in facts.items() if value is not None}
    return access_request(V, id="r", action=action, target=DATASET, assignee=USER, at=AT, facts=known)


def effect(policy: Policy, request: AccessRequest) -> str:
    beside = [
        parse_policy((bundled("policies") / "cases" / "beside" / f"permissive-{layer}.yaml").read_text("utf-8"), V)
        for layer in ("site", "agreement")
    ]
    return decide(compile_policies([union_law(V), *beside, policy], V), request).effect


def test_all_codes_of_the_ontology_are_known() -> None:
    assert len(CODES) == 25
    assert sum(code.kind == "permission" for code in CODES) == 5
    assert sum(code.kind == "modifier" for code in CODES) == 18
    if not STANDARDS.is_dir():
        pytest.skip("the copy of DUO is not beside this checkout")
    with (STANDARDS / "duo.csv").open(encoding="utf-8") as file:
        rows = {(row["id"], row["shorthand"]) for row in csv.DictReader(file)}
    assert {(code.curie, code.code) for code in CODES} == rows
    owl = (STANDARDS / "duo.owl").read_text(encoding="utf-8")
    in_owl = set(re.findall(r'owl:Class rdf:about="(http://purl\.obolibrary\.org/obo/DUO_\d+)"', owl))
    assert {code.iri for code in CODES} - in_owl == {find_code("NPOA").iri}, "the misprint of DUO's OWL file"


@pytest.mark.parametrize(
    "text",
    ["NPOA", "npoa", "DUO:0000044", "duo_0000044", "http://purl.obolibrary.org/obo/DUO_0000044", "DUO_00000044"],
)
def test_a_code_is_found_by_any_of_its_names_the_misprint_included(text: str) -> None:
    assert find_code(text).code == "NPOA"


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["GRX"], "is not a code"),
        (["DUO:0000001"], "says nothing by itself"),
        (["DS"], "needs a value: a disease"),
        (["HMB=x"], "takes no value"),
        (["HMB", "hmb"], "given twice"),
        (["PS=a\npermit: []"], "several lines"),
        ([], "no DUO code"),
    ],
)
def test_codes_are_read_strictly(texts: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_codes(texts)


@pytest.mark.parametrize("code", [c.code for c in CODES if c.kind == "modifier"])
def test_every_modifier_becomes_a_clean_policy_and_is_found_again(code: str) -> None:
    policy = made("GRU", WITH_VALUES.get(code, code))
    assert analyse(policy, V) == ()
    holds = {match.code: match.holds for match in codes_of(policy, V)}
    assert holds[code] == "yes"
    implied = {"NPUNCU": {"NPU", "NCU"}}.get(code, set())
    others = {c.code for c in CODES if c.kind == "modifier"} - {code} - implied
    assert {other for other in others if holds[other] != "no"} == set()


@pytest.mark.parametrize("code", ["NRES", "GRU", "HMB", "DS", "POA"])
def test_every_permission_is_found_again_and_no_other(code: str) -> None:
    matches = codes_of(made(WITH_VALUES.get(code, code)), V)
    assert [m.code for m in matches if m.holds == "yes"] == [code]


def test_values_are_found_again() -> None:
    values = {m.code: m.value for m in codes_of(made("HMB", "DS=ORPHA:519,MDS", "GS=EEA", f"IS={USER}"), V)}
    assert (values["DS"], values["GS"], values["IS"]) == ("AML,MDS", "EEA", USER)


@pytest.mark.parametrize(
    ("codes", "changes", "expected"),
    [
        (["NRES"], {"purpose": "education"}, "permit"),
        (["GRU"], {"purpose": "dpv:AcademicResearch"}, "permit"),
        (["GRU"], {"purpose": "population origins research"}, "permit"),
        (["GRU"], {"purpose": "education"}, "deny"),
        (["HMB"], {}, "permit"),
        (["HMB"], {"purpose": "population origins research"}, "deny"),
        (["HMB"], {"purpose": ("health research", "population origins research")}, "deny"),
        (["DS=AML"], {"disease": "APL"}, "permit"),
        (["DS=AML"], {"disease": "MDS"}, "deny"),
        (["GRU", "DS=AML"], {"disease": "MDS"}, "deny"),
        (["POA"], {"purpose": "population origins research"}, "permit"),
        (["POA"], {}, "deny"),
        (["HMB", "NPU"], {}, "permit"),
        (["HMB", "NPU"], {"not_for_profit": False}, "deny"),
        (["HMB", "NPU"], {"not_for_profit": None}, "deny"),
        (["GRU", "NCU"], {"purpose": "dpv:CommercialResearch"}, "deny"),
        (["GRU", "NPUNCU"], {"not_for_profit": False}, "deny"),
        (["GRU", "NPOA"], {"purpose": "population origins research"}, "deny"),
        (["HMB", "NMDS"], {"purpose": "training of algorithms"}, "deny"),
        (["HMB", "NMDS"], {}, "deny"),  # health research is wider than the training of algorithms: say which
        (["HMB", "NMDS"], {"purpose": "genetic study"}, "permit"),
        (["HMB", "GSO"], {"purpose": "genetic study"}, "permit"),
        (["HMB", "GSO"], {}, "deny"),
        (["HMB", "RS=training of algorithms"], {"purpose": "training of algorithms"}, "permit"),
        (["HMB", "RS=training of algorithms"], {}, "deny"),
        (["HMB", "GS=EEA"], {}, "permit"),
        (["HMB", "GS=EEA"], {"recipient_place": "third country"}, "deny"),
        (["HMB", f"US={PERSON}"], {}, "permit"),
        (["HMB", f"US={PERSON}"], {"authorised_person": PERSON + "2"}, "deny"),
        (["HMB", "PS=study-1"], {"project": "study-2"}, "deny"),
        (["HMB", f"IS={USER}"], {}, "permit"),
        (["HMB", "IS=did:web:other.example"], {}, "deny"),
        (["HMB", "IRB"], {"ethics_approval": None}, "deny"),
        (["HMB", "PUB", "RTN"], {}, "permit"),
        (["HMB", "COL"], {}, "deny"),  # until the agreement to work together is shown
        (["HMB", "CC"], {"purpose": "clinical care"}, "permit"),
        (["HMB"], {"purpose": "clinical care"}, "deny"),
    ],
)
def test_the_rules_decide_as_the_codes_say(codes: list[str], changes: dict[str, Value | None], expected: str) -> None:
    assert effect(made(*codes), asked(**changes)) == expected


def test_time_limit_and_moratorium_follow_the_calendar() -> None:
    limited = made("HMB", "TS=12")
    assert effect(limited, asked(elapsed_time=V_DURATION(365))) == "permit"
    assert effect(limited, asked(elapsed_time=V_DURATION(366))) == "deny"
    held_back = made("HMB", "MOR=2028-01-01")
    assert effect(held_back, asked("distribute")) == "deny"
    assert effect(made("HMB", "MOR=2026-01-01"), asked("distribute")) == "permit"


def V_DURATION(days: int) -> Value:  # noqa: N802 - a value, read like one
    from datetime import timedelta

    return timedelta(days=days)


@pytest.mark.article("EHDS 61(3)")
def test_identification_is_always_forbidden_and_training_where_asked() -> None:
    assert effect(made("NRES"), asked("reidentify")) == "deny"
    assert effect(made("GRU"), asked("train model", purpose="training of algorithms")) == "permit"
    strict = made("GRU", no_ai_training=True)
    assert effect(strict, asked("train model", purpose="training of algorithms")) == "deny"
    assert effect(strict, asked(purpose="training of algorithms")) == "deny"


@pytest.mark.parametrize(
    ("codes", "sentence"),
    [
        (["NPU"], "No permission is among the codes"),
        (["NRES", "NPU"], "NRES says that any use is allowed"),
        (["POA", "HMB"], "have nothing in common"),
        (["POA", "NPOA"], "NPOA forbids it"),
        (["POA", "GSO"], "by hand"),
        (["POA", "CC"], "clinical care"),
        (["HMB", "RS=education"], "lies outside what HMB allows"),
        (["GRU", "RS=training of algorithms", "NMDS"], "NMDS forbids it"),
        (["GRU", "RS=dpv:CommercialResearch", "NCU"], "which is commercial"),
    ],
)
def test_contradictions_are_refused_with_an_explanation(codes: list[str], sentence: str) -> None:
    assert any(sentence in found for found in contradictions(parse_codes(codes), V))
    with pytest.raises(InputError, match="contradict one another"):
        made(*codes)


@pytest.mark.parametrize("codes", [["GRU", "HMB"], ["GRU", "HMB", "DS=AML"], ["GRU", "POA"]])
def test_nested_permissions_mean_the_narrowest(codes: list[str]) -> None:
    assert contradictions(parse_codes(codes), V) == ()
    assert "the narrowest counts" in policy_from_duo(parse_codes(codes), HEAD, V)


@pytest.mark.parametrize(
    ("code", "message"),
    [("DS=no such disease", "not a known"), ("TS=soon", "number of months"), ("TS=0", "number of months"),
     ("MOR=next year", "not a date"), ("IS=Heidelberg", "not a full identifier"), ("GS=Atlantis", "not a known")],
)  # fmt: skip
def test_values_are_read_strictly(code: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        made("GRU", code)


def test_a_request_is_matched_code_by_code() -> None:
    chosen = parse_codes(["HMB", "NPU", "DS=AML", "GS=EEA", "COL", "NCU"])
    request = asked(not_for_profit=None, disease="MDS")
    found = {fit.code.partition("=")[0]: fit for fit in fits(chosen, request, V)}
    assert {code: fit.fit for code, fit in found.items()} == {
        "HMB": "fits", "NPU": "open", "DS": "does not fit", "GS": "fits", "COL": "does not fit", "NCU": "fits",
    }  # fmt: skip
    assert "disease" in found["DS"].sentences[0]
    assert "nothing is known" in found["NPU"].sentences[0].casefold()
