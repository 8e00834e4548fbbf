"""Bad input is named by file, line or field, with what would mend it; and nothing has changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from synthema.demo.house import metadata
from synthema.errors import InputError, NotFoundError, PluginError, PolicyLoadError, SynthemaError
from synthema.resources import bundled
from tests.e2e.house import DATASET, EXPLICIT_CONSENT, FIELDS, House, Settled

pytestmark = pytest.mark.e2e

Case = tuple[Any, type[SynthemaError], str]


def assert_names(house: House, operation: str, value: dict[str, Any], error: type[SynthemaError], said: str) -> None:
    """The operation fails with this error, whose text holds every part of ``said``; log and state stay as they were."""
    before, size = house.snapshot(), house.connector.log.size()
    versions = len(house.connector.datasets.versions())
    with pytest.raises(error) as caught:
        house.call(operation, value)
    text = str(caught.value)
    missing = [part for part in said.split("|") if part.lower() not in text.lower()]
    assert not missing, text
    assert "Fix: " in text
    assert str(house.connector.settings.home) not in text
    assert (house.snapshot(), house.connector.log.size()) == (before, size)
    assert len(house.connector.datasets.versions()) == versions
    assert not any((house.connector.settings.home / "incoming").glob("*"))


# tables --------------------------------------------------------------------------------------------------------------


def lines(change: Callable[[list[str]], list[str]]) -> Callable[[str], str]:
    return lambda table: "\n".join(change(table.splitlines()))


TABLES: dict[str, tuple[Callable[[str], str], str]] = {
    "an open quote": (lines(lambda found: [*found[:2], '"7,3', *found[2:]]), "mgus.csv:3|mend the quotes"),
    "a short row": (lines(lambda found: [*found[:2], "7,3", *found[2:]]), "mgus.csv|line 3|11 fields"),
    "a misspelt column": (lambda table: table.replace("hgb", "hbg", 1), "line 1, column hbg|did you mean 'hgb'"),
    "text for a number": (
        lines(lambda found: [found[0], found[1].replace(found[1].split(",")[1], "old", 1), *found[2:]]),
        "line 2|a cell is not a whole number",
    ),
    "an unknown category": (lambda table: table.replace(",F,", ",female,", 1), "column sex|'female' is not a category"),
    "semicolons": (lambda table: table.replace(",", ";"), "line 1|not separated by commas"),
    "a patient twice": (lines(lambda found: [*found, found[1]]), "line 322, column id|the first such row is line 2"),
    "nothing": (lambda table: "", "mgus.csv|the file is empty"),
    "no patients": (lines(lambda found: found[:1]), "a header but no rows"),
    "no text": (lambda table: table + "\x00", "not text"),
}


@pytest.mark.parametrize("fault", TABLES)
def test_a_faulty_table_is_named_by_line_and_column(house: House, settled: Settled, fault: str) -> None:
    change, said = TABLES[fault]
    value = {
        "name": DATASET,
        "title": "MGUS cohort",
        "file": "mgus.csv",
        "table": change(settled.patients.table),
        "codebook": "mgus",
        "metadata": metadata(EXPLICIT_CONSENT),
    }
    assert_names(house, "dataset/add", value, InputError, said)


ADDING: list[Case] = [
    ({"codebook": "mgsu"}, InputError, "no dictionary 'mgsu'|mgus"),
    ({"codebook": "id: x\nvariables: []"}, InputError, "codebook|version"),
    ({"metadata": {"description": "x"}}, InputError, "metadata: categories"),
    ({"metadata": metadata(EXPLICIT_CONSENT) | {"categories": ["z"]}}, InputError, "'z' is not a letter of EHDS"),
    ({"name": "Bad Name"}, InputError, "'Bad Name' cannot be a dataset's name"),
    ({"titel": "MGUS"}, InputError, "dataset/add: titel|did you mean 'title'"),
]


@pytest.mark.parametrize(("changes", "error", "said"), ADDING)
def test_a_faulty_description_is_named_by_field(
    house: House, settled: Settled, changes: dict[str, Any], error: type[SynthemaError], said: str
) -> None:
    value = {
        "name": DATASET,
        "title": "Other title",
        "file": "mgus.csv",
        "table": settled.patients.table,
        "codebook": "mgus",
        "metadata": metadata(EXPLICIT_CONSENT),
    }
    assert_names(house, "dataset/add", value | changes, error, said)


CONSENTS: list[Case] = [
    ("patient_key,state,date\n1,Consented,2026-01-01\n", InputError, "consent.csv|line 2, field state|'Consented'"),
    ("patient_key,state,date\n1,ConsentGiven,01.02.2026\n", InputError, "line 2, field date|2026-11-21"),
    ("patient,state,date\n1,ConsentGiven,2026-01-01\n", InputError, "consent.csv:1|column 'patient_key' is missing"),
]


@pytest.mark.article("GDPR 7(1)")
@pytest.mark.parametrize(("table", "error", "said"), CONSENTS)
def test_a_faulty_consent_list_is_named_by_line(
    house: House, table: str, error: type[SynthemaError], said: str
) -> None:
    assert_names(house, "consent/import", {"dataset": DATASET, "file": "consent.csv", "table": table}, error, said)


def test_consents_for_a_dataset_that_is_not_there_are_not_taken(house: House) -> None:
    table = "patient_key,state,date\n1,ConsentGiven,2026-01-01\n"
    value = {"dataset": "mgsu", "file": "consent.csv", "table": table}
    assert_names(house, "consent/import", value, NotFoundError, "no such dataset")


# requests ------------------------------------------------------------------------------------------------------------


REQUESTS: list[Case] = [
    ({"compute": {"plugin": "marginal"}}, PluginError, "no plugin named 'marginal'|marginals"),
    ({"compute": {"plugin": "minimise"}}, InputError, "request: compute.plugin|cannot serve as generator"),
    ({"anonymise": {"plugin": "marginals"}}, InputError, "request: anonymise.plugin|cannot serve as anonymiser"),
    ({"evaluate": {"plugin": "minimise"}}, InputError, "request: evaluate.plugin|cannot serve as evaluator"),
    ({"compute": {"plugin": "marginals", "parameters": {"pair": "all"}}}, InputError, "compute.parameters.pair|pairs"),
    ({"compute": {"plugin": "marginals", "parameters": {"pairs": "some"}}}, InputError, "parameters.pairs|outcomes"),
    ({"anonymise": {"plugin": "minimise", "parameters": {"k": "five"}}}, InputError, "parameters.k|integer"),
    ({"anonymise": {"plugin": "minimise", "parameters": {"k": 0}}}, InputError, "anonymise.parameters.k"),
    ({"purpose": "ehds:HealthcareScientificResarch"}, InputError, "request: purpose|did you mean 'health research'"),
    ({"action": "synthesis"}, InputError, "request: action|synthesise"),
    ({"dataset": "mgsu"}, NotFoundError, "no such dataset"),
    ({"output": "aggregate"}, InputError, "request|'generator' gives is synthetic, not aggregate"),
    ({"action": "query aggregate"}, InputError, "request: action|another act|synthesise"),
    ({"action": "evaluate model", "output": "aggregate"}, InputError, "request"),
    ({"rows": 0}, InputError, "with rows"),
    ({"rows": -5}, InputError, "request: rows"),
    ({"kind": "evaluator", "output": "aggregate"}, InputError, "kind 'generator'"),
    ({"kind": "generater"}, InputError, "request: kind|generator"),
    ({"evaluate": None}, InputError, "evaluator"),
    ({"epsilon": -1.0}, InputError, "request: epsilon"),
    ({"epsilon": float("nan")}, InputError, "request: epsilon"),
    ({"delta": 0.0}, InputError, "delta must lie between 0 and 1"),
    ({"holdout": 1.0}, InputError, "request: holdout"),
    ({"epsilonn": 1.0}, InputError, "request: epsilonn|did you mean 'epsilon'"),
    ({"rows": "many"}, InputError, "request: rows"),
]


@pytest.mark.parametrize(("changes", "error", "said"), REQUESTS)
def test_a_faulty_request_is_named_by_field(
    house: House, changes: dict[str, Any], error: type[SynthemaError], said: str
) -> None:
    assert_names(house, "request/submit", {"request": house.wish(**changes)}, error, said)


# What shows only in the sandbox: the run fails or never starts, and says why without a patient's value.


def test_a_field_that_the_codebook_lacks_is_found_before_any_data_are_read(house: House) -> None:
    anonymise = {"plugin": "minimise", "parameters": {"fields": ["sexx"], "k": 5}}
    with pytest.raises(PluginError, match="the codebook has no variable sexx: correct the list of fields"):
        house.call("request/submit", {"request": house.wish(anonymise=anonymise)})
    after = house.snapshot()
    assert [state for _, state in after.states] == ["failed"]
    assert (after.spent, after.reserved, after.artefacts) == (0, 0, 0)
    assert "DatasetOpening" not in "".join(house.log_text())


@pytest.mark.article("GDPR 5(1)(c)")
def test_classes_smaller_than_k_are_refused_without_figures(house: House) -> None:
    anonymise = {"plugin": "minimise", "parameters": {"fields": FIELDS, "k": 400}}
    with pytest.raises(PluginError, match="fewer than k: band or drop a quasi-identifier"):
        house.call("request/submit", {"request": house.wish(anonymise=anonymise)})
    assert [state for _, state in house.snapshot().states] == ["failed"]
    assert house.snapshot().files == ()
    assert "suppress" in house.log_text()[-1]


def test_too_few_held_out_patients_to_measure_with_are_refused(house: House) -> None:
    with pytest.raises(PluginError, match="the held-out table has fewer than 10 rows"):
        house.call("request/submit", {"request": house.wish(holdout=0.0)})
    assert [state for _, state in house.snapshot().states] == ["failed"]


def test_an_empty_cohort_is_denied(house: House, settled: Settled) -> None:
    keys = [line.split(",")[0] for line in settled.patients.consents.splitlines()[1:] if "ConsentGiven" in line]
    table = "\n".join(["patient_key,state,date", *(f"{key},ConsentWithdrawn,2026-11-22" for key in keys)])
    house.call("consent/import", {"dataset": DATASET, "file": "consent.csv", "table": table})
    _, answer = house.request()
    assert answer["effect"] == "deny"
    assert "number of patients in the cohort is 0" in " ".join(answer["sentences"])


def test_a_cohort_smaller_than_the_policy_asks_is_denied(house: House, settled: Settled) -> None:
    some = settled.patients.table.splitlines()[:41]
    house.call(
        "dataset/add",
        {
            "name": DATASET,
            "title": "MGUS cohort, few",
            "file": "mgus.csv",
            "table": "\n".join(some),
            "codebook": "mgus",
            "metadata": metadata(EXPLICIT_CONSENT),
        },
    )
    _, answer = house.request()
    assert answer["effect"] == "deny"
    assert "at least 50" in " ".join(answer["sentences"])


# policies, assessments, permits, studies -----------------------------------------------------------------------------


def assessment() -> str:
    return (bundled("legal") / "dpia" / "synthetic-data.yaml").read_text(encoding="utf-8")


OTHERS: list[tuple[str, dict[str, Any], type[SynthemaError], str]] = [
    ("policy/draft", {"text": "policy: x\nlayr: site", "file": "p.yaml"}, PolicyLoadError, "p.yaml:2|'layer'"),
    ("policy/sign", {"policy": "x", "version": "1", "person": "p", "signature": "zz"}, InputError, "hexadecimal"),
    ("dpia/propose", {"text": "id: x\n", "file": "d.yaml"}, InputError, "d.yaml:1|version"),
    (
        "dpia/propose",
        {"text": assessment(), "file": "d.yaml", "confirm": True, "thresholds": {"crowds": 5}},
        InputError,
        "no gate 'crowds'|crowd",
    ),
    ("study/start", {"study": {"title": "x"}, "codebook": "mgus"}, InputError, "study: title"),
    ("study/start", {"study": {"titel": "x"}, "codebook": "mgus"}, InputError, "study: titel|did you mean 'title'"),
    ("permit/revoke", {"permit": "p", "person": "p", "reason": "because"}, SynthemaError, "dpo"),
    ("permit/apply", {"dataset": DATASET}, InputError, "permit/apply: purpose"),
    ("artefact/fetch", {"digest": "../../secrets/passphrase"}, NotFoundError, "no such artefact"),
    ("request/run", {"run": "run-1"}, NotFoundError, "no grant"),
    ("request/show", {"run": "../run"}, NotFoundError, "no such run"),
    ("log/prove", {"entry": 10**6}, SynthemaError, ""),
]


@pytest.mark.parametrize(("operation", "value", "error", "said"), OTHERS)
def test_other_faults_are_named_too(
    house: House, operation: str, value: dict[str, Any], error: type[SynthemaError], said: str
) -> None:
    assert_names(house, operation, value, error, said)


def test_an_operation_nobody_knows_is_not_found(house: House) -> None:
    with pytest.raises(NotFoundError, match="no operation 'request/sumbit'"):
        house.call("request/sumbit")
