from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from synthema.datasets import dictionary, load_codebook, read_source
from synthema.datasets.importing import Draft, import_schema
from synthema.errors import InputError

PUBLIC = Path(os.environ.get("SYNTHEMA_STANDARDS", "../shared/standards")) / "synthema-aml-schema" / "AML_schema.json"
AML = "http://www.orpha.net/ORDO/Orphanet_519"
SCHEMA: dict[str, Any] = {
    "disease": "AML",
    "data": {
        "clinical": {
            "ID": ["string"],
            "AGE": ["int"],
            "BM BLASTS": ["float", 0, 100, "%"],
            "Response": ["string", "CR", "PR", "none"],
            "STATUS_OS": ["int"],
            "Overall survival": ["int", 0, 9000, "d"],
            "Fit": ["bool"],
        },
        "mutations": {"NPM1": ["int"], "7other": ["int"]},
    },
}


def draft(value: Any, **changes: Any) -> Draft:
    given: dict[str, Any] = {"name": "test", "title": "Test", "disease": AML, "known": dictionary("aml")} | changes
    return import_schema(value, **given)


def test_a_schema_that_says_enough_becomes_a_codebook_that_reads_its_file(tmp_path: Path) -> None:
    found = draft(SCHEMA)
    assert found.open_points == []
    codebook = found.codebook()
    assert codebook.patient_key == "ID"
    blasts = codebook.variable("BM_BLASTS")
    assert (blasts.heading, blasts.minimum, blasts.unit) == ("BM BLASTS", 0, "%")
    assert codebook.variable("AGE").role == "quasi-identifier"  # as in the dictionary
    assert codebook.variable("Response").categories == ("CR", "PR", "none")
    assert codebook.variable("STATUS_OS").role == "event"
    assert codebook.variable("Overall_survival").role == "time"
    assert codebook.variable("NPM1").codes == dictionary("aml").variable("npm1").codes
    assert codebook.variable("v_7other").categories == ("0", "1")
    path = tmp_path / "data.csv"
    path.write_text("ID,AGE,BM BLASTS,Response,STATUS_OS,Overall survival,Fit,NPM1,7other\nP1,61,70,CR,1,400,1,1,0\n")
    assert read_source(path, codebook)["BM_BLASTS"].to_list() == [70.0]


def test_what_nobody_says_is_open_and_never_guessed(tmp_path: Path) -> None:
    found = draft({"data": {"clinical": {"FERRITIN": ["float"], "WHO": ["category"], "Notes": ["string"]}}})
    assert found.open_points == [
        "FERRITIN: give minimum and maximum, in which unit",
        "WHO: list its categories",
        "patient_key: no variable is an identifier; say which one names the patient",
    ]
    assert found.left_out == ["Notes: free text; describe it as a category with its values to take it in"]
    with pytest.raises(InputError, match="leaves 3 points open"):
        found.codebook()
    path = tmp_path / "draft.yaml"
    path.write_text(found.text())
    with pytest.raises(InputError, match="variables"):
        load_codebook(path)  # not filled in, not a codebook


def test_a_draft_filled_in_by_a_person_is_a_codebook(tmp_path: Path) -> None:
    found = draft({"data": {"clinical": {"ID": ["string"], "FERRITIN": ["float"]}}})
    path = tmp_path / "draft.yaml"
    path.write_text(found.text().replace("minimum: null", "minimum: 1").replace("maximum: null", "maximum: 90000"))
    assert load_codebook(path).variable("FERRITIN").maximum == 90000


def test_the_schema_of_others_goes_before_the_dictionary() -> None:
    said = {"data": {"clinical": {"ID": ["string"], "HB": ["float", 4, 20], "AGE": ["int", 18, 90]}}}
    codebook = draft(said).codebook()
    assert (codebook.variable("HB").minimum, codebook.variable("HB").unit) == (4, "g/dL")
    in_grams = {"data": {"clinical": {"ID": ["string"], "HB": ["float", 20, 220, "g/L"]}}}
    other = draft(in_grams).codebook().variable("HB")
    assert (other.unit, other.other_units, other.typical) == ("g/L", (), None)  # another unit is another variable


def test_a_flat_json_schema_is_read_too() -> None:
    value = {
        "type": "object",
        "required": ["patient_id", "stage"],
        "properties": {
            "patient_id": {"type": "string"},
            "stage": {"enum": ["I", "II", None], "description": "Stage at diagnosis"},
            "albumin": {"type": ["number", "null"], "minimum": 1, "maximum": 7, "x-unit": "g/dL"},
        },
    }
    codebook = draft(value, known=None).codebook()
    assert codebook.variable("stage").label == "Stage at diagnosis"
    assert not codebook.variable("stage").may_be_missing
    assert codebook.variable("albumin").unit == "g/dL"


@pytest.mark.parametrize(
    "value", [[], {}, {"data": {"clinical": []}}, {"properties": {"a": 1}}, {"data": {"c": {"HB": ["colour"]}}}]
)
def test_anything_else_is_refused_by_name(value: Any) -> None:
    with pytest.raises(InputError) as error:
        draft(value, where="schema.json")
    assert error.value.where == "schema.json"


def test_names_that_come_to_the_same_stay_apart() -> None:
    value = {"data": {"mutations": {"del(5q)": ["int"], "del-5q": ["int"]}}}
    assert [v["name"] for v in draft(value).document["variables"]] == ["del_5q", "del_5q_2"]


@pytest.mark.skipif(not PUBLIC.is_file(), reason="the public SYNTHEMA schema is not here (SYNTHEMA_STANDARDS)")
def test_the_public_synthema_schema_becomes_a_draft() -> None:
    found = draft(json.loads(PUBLIC.read_text()))
    names = {variable["name"] for variable in found.document["variables"]}
    assert len(names) == len(found.document["variables"]) == 134
    assert {"HB", "NPM1", "t_8_21", "TIME_TO_RELAPSE"} <= names
    assert len(found.open_points) + len(found.left_out) < 30
    assert yaml.safe_load(found.text())["patient_key"] == "ID"
