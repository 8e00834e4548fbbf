from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from synthema.consent import ConsentItem, ConsentState, read_consent_list
from synthema.errors import InputError

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
HEADER = "patient_key,state,date,opt_out_date,opt_in_date,legal_basis,items,valid_to,notice_version"


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "consents.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refusal(tmp_path: Path, text: str | bytes) -> str:
    with pytest.raises(InputError) as error:
        read_consent_list(write(tmp_path, text), NOW)
    return error.value.diagnostics()


def test_reads_a_full_line(tmp_path: Path) -> None:
    text = f"{HEADER}\nK-1,ConsentGiven,2025-03-01,2026-01-02,,A9-2-a,secondary-use; for-profit,2030-01-01,v2\n"
    (line,) = read_consent_list(write(tmp_path, "\ufeff" + text), NOW).lines
    assert line.state is ConsentState.GIVEN
    assert line.date == datetime(2025, 3, 1, tzinfo=UTC)
    assert line.items == {ConsentItem.SECONDARY_USE, ConsentItem.FOR_PROFIT}
    assert (line.notice_version, line.opt_out_date) == ("v2", datetime(2026, 1, 2, tzinfo=UTC))


def test_the_short_form_is_enough(tmp_path: Path) -> None:
    taken = read_consent_list(
        write(tmp_path, "patient_key,state,date\nK-1,dpv:ConsentGiven,2025-03-01T12:00:00+01:00\n"), NOW
    )
    assert not taken.has_opt_outs
    assert taken.lines[0].date == datetime(2025, 3, 1, 11, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (",ConsentGiven,2025-03-01", "line 2, field patient_key: is empty"),
        ("K-1,Given,2025-03-01", "line 2, field state: 'Given' is not one of"),
        ("K-1,,2025-03-01", "line 2, field state"),
        ("K-1,ConsentGiven,", "line 2, field date: is empty"),
        ("K-1,ConsentGiven,01.03.2025", "line 2, field date: not a date"),
        ("K-1,ConsentGiven,2027-03-01", "line 2, field date: lies in the future"),
        ("K-1,ConsentGiven", "line 2: 2 fields where the header has 3"),
        ("K-1,ConsentGiven,2025-03-01,x", "line 2: 4 fields where the header has 3"),
        ('K-1,"Consent"Given,2025-03-01', "line 2 is not CSV"),
        (
            "K-1,ConsentGiven,2025-03-01\nK-1,ConsentGiven,2025-03-01",
            "line 3, field patient_key: the same person as in line 2",
        ),
    ],
)
def test_every_fault_names_line_and_field(tmp_path: Path, line: str, said: str) -> None:
    assert said in refusal(tmp_path, f"patient_key,state,date\n{line}\n")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("K-1,ConsentGiven,2025-03-01,2025-13-01,,,,,", "field opt_out_date: not a date"),
        ("K-1,ConsentGiven,2025-03-01,,2025-03-01,,,,", "field opt_in_date: reverses an opt-out"),
        ("K-1,ConsentGiven,2025-03-01,2026-01-01,2025-01-01,,,,", "field opt_in_date: reverses an opt-out"),
        ("K-1,ConsentGiven,2025-03-01,,,A9-2-z,,,", "field legal_basis"),
        ("K-1,ConsentGiven,2025-03-01,,,,everything,,", "field items: has an item"),
    ],
)
def test_faults_of_the_optional_fields(tmp_path: Path, line: str, said: str) -> None:
    assert said in refusal(tmp_path, f"{HEADER}\n{line}\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("patient_key,state,date\n", "names no person"),
        ("patient,state,date\nK-1,ConsentGiven,2025-03-01\n", "column 'patient' is not known"),
        ("patient_key,state\nK-1,ConsentGiven\n", "column 'date' is missing"),
        ("patient_key,state,date,date\nK,ConsentGiven,2025-03-01,2025-03-01\n", "column 'date' comes twice"),
        (b"patient_key,state,date\nK\xff,ConsentGiven,2025-03-01\n", "not UTF-8"),
    ],
)
def test_files_that_are_no_consent_list(tmp_path: Path, text: str | bytes, said: str) -> None:
    assert said in refusal(tmp_path, text)


def test_all_faults_are_told_at_once_and_no_key_is_repeated(tmp_path: Path) -> None:
    lines = "\n".join(f"SECRET-{number},Maybe,2025-03-01" for number in range(25))
    said = refusal(tmp_path, f"patient_key,state,date\n{lines}\n")
    assert "25 wrong fields" in said
    assert "and 5 more" in said
    assert "SECRET" not in said


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_consent_list(tmp_path / "none.csv", NOW)
