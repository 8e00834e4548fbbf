from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from synthema.datasets import Codebook, inspect_source, read_source
from synthema.errors import InputError

HEADER = "id,age,sex,hgb,time"


def codebook(**changes: Any) -> Codebook:
    values: dict[str, Any] = {
        "id": "small",
        "version": "1",
        "title": "Small",
        "disease": "http://www.orpha.net/ORDO/Orphanet_519",
        "patient_key": "id",
        "variables": [
            {"name": "id", "label": "Patient", "type": "text", "role": "identifier"},
            {"name": "age", "label": "Age", "type": "integer", "minimum": 0, "maximum": 110},
            {"name": "sex", "label": "Sex", "type": "category", "categories": ["F", "M"]},
            {
                "name": "hgb", "label": "Haemoglobin", "type": "decimal", "unit": "g/dL", "minimum": 3, "maximum": 22,
                "typical": [10, 17],
                "other_units": [{"unit": "g/L", "factor": 10}, {"unit": "mmol/L", "factor": 0.6206}],
            },
            {"name": "time", "label": "Time", "type": "integer", "minimum": 0, "maximum": 600, "may_be_missing": False},
        ],
    }  # fmt: skip
    return Codebook.model_validate(values | changes)


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "data.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refusal(tmp_path: Path, text: str | bytes) -> str:
    with pytest.raises(InputError) as error:
        read_source(write(tmp_path, text), codebook())
    assert str(tmp_path) in str(error.value.where)
    return error.value.diagnostics()


def test_a_good_file_becomes_a_typed_table(tmp_path: Path) -> None:
    text = f"\ufeff{HEADER}\r\nP-1,70,F,13.1,30\r\nP-2,NA,,-0.0e0,12.0\r\n".replace("-0.0e0", "")
    table = read_source(write(tmp_path, text), codebook())
    assert table.schema == {"id": pl.String, "age": pl.Int64, "sex": pl.String, "hgb": pl.Float64, "time": pl.Int64}
    assert table.rows() == [("P-1", 70, "F", 13.1, 30), ("P-2", None, None, None, 12)]


def test_columns_may_come_in_any_order(tmp_path: Path) -> None:
    table = read_source(write(tmp_path, "time,sex,id,hgb,age\n1,F,P-1,13,70\n"), codebook())
    assert table.columns == ["id", "age", "sex", "hgb", "time"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("P-1,seventy,F,13,30", "line 2, column age: a cell is not a whole number"),
        ("P-1,70.5,F,13,30", "line 2, column age: a cell is not a whole number"),
        ("P-1,1e2,F,13,30", "line 2, column age: a cell is not a whole number"),
        ("P-1,70,F,13.1.2,30", "line 2, column hgb: a cell is not a number"),
        ("P-1,70,F,nan,30", "line 2, column hgb: a cell is not a number"),
        ("P-1,70,F,inf,30", "line 2, column hgb: a cell is not a number"),
        ('P-1,70,F,"13,1",30', "line 2, column hgb: a number is written with a comma"),
        ("P-1,111,F,13,30", "line 2, column age: a value lies outside 0 to 110"),
        ("P-1,-1,F,13,30", "line 2, column age: a value lies outside"),
        ("P-1,70,F,131,30", "it would fit the unit g/L: give all values in g/dL"),
        ("P-1,70,F,9999,30", "check the value at its source"),
        ("P-1,70,f,13,30", "'f' is not a category of this column (did you mean 'F'?)"),
        ("P-1,70,female,13,30", "'female' is not a category"),
        ("P-1,70,F,13,", "line 2, column time: a value is missing"),
        (",70,F,13,30", "line 2, column id: a value is missing"),
        ("P-1,=1+1,F,13,30", "line 2, column age: a cell holds a formula"),
        ("=cmd(),70,F,13,30", "line 2, column id: a cell holds a formula"),
        ("P-1,70,@SUM(A1),13,30", "line 2, column sex: a cell holds a formula"),
        ("P-1,70,F,13", "line 2: a row does not have 5 fields"),
        ("P-1,70,F,13,30,1", "line 2: a row does not have 5 fields"),
        (f"{'P' * 65},70,F,13,30", "line 2, column id: an identifier is too long"),
        ("P-1,99999999999999999999,F,13,30", "a cell is not a whole number"),
        (
            "P-1,70,F,13,30\nP-1,71,M,12,3",
            "line 3, column id: a patient's key comes again (one row for each patient; the first such row is line 2)",
        ),
        ('P-1,70,"F,13,30', "is not CSV"),
        ('P-1,70,"F"x,13,30', "line 2 is not CSV"),
    ],
)  # fmt: skip
def test_every_fault_names_line_and_column(tmp_path: Path, row: str, said: str) -> None:
    assert said in refusal(tmp_path, f"{HEADER}\n{row}\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "the file is empty"),
        (b"id,age,sex,hgb,time\n", "a header but no rows"),
        (b"id;age;sex;hgb;time\nP-1;70;F;13;30\n", "not separated by commas"),
        (b"id,age,sex,hgb,tme\nP-1,70,F,13,30\n", "does not know this column (did you mean 'time'?)"),
        (b"id,age,sex,hgb,TIME\nP-1,70,F,13,30\n", "did you mean 'time'?"),
        (b"id,age,sex,hgb,time,zzz\nP-1,70,F,13,30,1\n", "remove it, or describe it in the codebook"),
        (b"id,age,sex,hgb\nP-1,70,F,13\n", "column time: the column is missing"),
        (b"id,age,age,sex,hgb,time\nP-1,70,70,F,13,30\n", "column age: the column comes twice"),
        (b"id,age,sex,hgb,time\nP-\xff,70,F,13,30\n", "line 2 is not UTF-8"),
        (b"PK\x03\x04\x00\x00", "the file is not text"),
        ("id,age,sex,hgb,time\nP-1,70,F,13,30\n".encode("utf-16"), "not text"),
    ],
)
def test_files_that_are_no_such_table(tmp_path: Path, text: bytes, said: str) -> None:
    assert said in refusal(tmp_path, text)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            read_source(path, codebook())


def test_all_faults_are_told_at_once_and_no_value_is_repeated(tmp_path: Path) -> None:
    rows = "\n".join(f"P-{n},4711,F,4711,30" for n in range(9))
    inspection = inspect_source(write(tmp_path, f"{HEADER}\n{rows}\nP-1,x,Q,8,30\n"), codebook())
    assert inspection.table is None
    assert inspection.rows == 10
    told = [finding.text() for finding in inspection.findings]
    assert len(told) == 5
    assert told[0].startswith("lines 2, 3, 4, 5, 6 and 4 more, column age: a value lies outside")
    assert not any("4711" in text for text in told)


def test_line_numbers_count_line_breaks_inside_quotes_and_blank_lines(tmp_path: Path) -> None:
    said = refusal(tmp_path, f'{HEADER}\n"P\n1",70,F,13,30\n\nP-2,70,Q,13,30\n')
    assert "line 2, column id" in said
    assert "line 5, column sex" in said


def test_at_most_twenty_findings_are_shown(tmp_path: Path) -> None:
    said = refusal(tmp_path, HEADER + "".join(f",extra{n}" for n in range(25)) + "\n")
    assert "25 kinds" in said
    assert "and 5 more" in said


def test_a_codebook_must_describe_its_key(tmp_path: Path) -> None:
    lost = codebook().keep(("age", "sex"))
    with pytest.raises(InputError, match="patient key"):
        read_source(write(tmp_path, "age,sex\n70,F\n"), lost)


BANDS = {"kind": "bands", "of": "hgb", "edges": [3, 12, 22]}


def derived(**more: Any) -> Codebook:
    anaemia = {"name": "anaemia", "label": "Anaemia", "type": "category", "categories": ["yes", "no"], **more}
    book = codebook().model_dump(mode="json")
    return Codebook.model_validate(book | {"variables": [*book["variables"], {**anaemia, "derivation": BANDS}]})


def test_a_derived_column_that_the_file_lacks_is_computed(tmp_path: Path) -> None:
    table = read_source(write(tmp_path, f"{HEADER}\nP-1,70,F,13,30\nP-2,60,M,9,3\nP-3,60,M,,3\n"), derived())
    assert table.columns == [*HEADER.split(","), "anaemia"]
    assert table["anaemia"].to_list() == ["no", "yes", None]


def test_a_derived_column_that_the_file_has_is_left_for_the_rules_to_judge(tmp_path: Path) -> None:
    table = read_source(write(tmp_path, f"{HEADER},anaemia\nP-1,70,F,13,30,yes\n"), derived())
    assert table["anaemia"].to_list() == ["yes"]


def test_a_derived_column_that_must_be_filled_names_the_lines_where_it_does_not_follow(tmp_path: Path) -> None:
    text = f"{HEADER}\nP-1,70,F,13,30\nP-2,60,M,,3\n"
    (finding,) = inspect_source(write(tmp_path, text), derived(may_be_missing=False)).findings
    assert (finding.column, finding.lines) == ("anaemia", [3])
    assert "does not follow" in finding.sentence
