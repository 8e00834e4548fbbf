"""De-identification in minimise: pseudonyms of a permit, dates moved consistently, identifiers gone."""

from __future__ import annotations

from collections import Counter
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import synthema_minimise
from synthema.datasets.codebook import Codebook
from synthema.spi.simulated import check_conforms
from synthema_minimise.deidentify import pseudonym, shift

KEY, OTHER = "1f" * 32, "2e" * 32
CODEBOOK = Codebook.model_validate(
    {
        "id": "visits",
        "version": "1",
        "title": "Visits",
        "disease": "http://www.orpha.net/ORDO/Orphanet_519",
        "patient_key": "patient",
        "variables": [
            {"name": "patient", "label": "Patient", "type": "text", "role": "identifier"},
            {"name": "insurance", "label": "Number", "type": "text", "role": "identifier"},
            {"name": "first", "label": "First", "type": "integer", "unit": "d", "minimum": 0, "maximum": 20000},
            {"name": "second", "label": "Second", "type": "decimal", "unit": "d", "minimum": 0, "maximum": 20000},
            {"name": "since", "label": "Months", "type": "integer", "unit": "mo", "minimum": 0, "maximum": 900},
        ],
        "rules": [
            {"id": "order", "sentence": "s", "left": "first", "comparison": "<=", "right": "second"},
            {"id": "after-opening", "sentence": "s", "left": "first", "comparison": ">=", "right": 10.0},
        ],
    }
)
TABLE = pl.DataFrame(
    {
        "patient": ["a", "b", "a", "c"],
        "insurance": ["1", "2", "1", "3"],
        "first": [100, 200, 300, None],
        "second": [150.5, 250.0, 20000.0, 0.0],
        "since": [1, 2, 3, 4],
    }
)
ALL: dict[str, Any] = {"k": 1, "pseudonyms": True, "shift_dates": ["first", "second"], "permit_key": KEY}


@pytest.mark.article("GDPR 4(5)")
def test_a_patient_has_one_pseudonym_in_a_permit_and_another_in_the_next() -> None:
    one = synthema_minimise.anonymise(TABLE, CODEBOOK, ALL).table["patient"].to_list()
    other = synthema_minimise.anonymise(TABLE, CODEBOOK, ALL | {"permit_key": OTHER}).table["patient"].to_list()
    assert one[0] == one[2]
    assert len({*one, *other}) == 6
    assert all(len(name) == 26 and name.isalnum() for name in one)


def test_all_dates_of_a_patient_move_together() -> None:
    found = synthema_minimise.anonymise(TABLE, CODEBOOK, ALL).table
    moves = [shift(bytes.fromhex(KEY), patient, 182) for patient in TABLE["patient"]]
    assert (found["second"] - TABLE["second"]).to_list() == moves
    assert found["first"].to_list() == [100 + moves[0], 200 + moves[1], 300 + moves[2], None]
    assert found["since"].to_list() == [1, 2, 3, 4]


@given(st.binary(min_size=32, max_size=32), st.text(max_size=20), st.integers(1, 3650))
def test_a_date_is_always_moved_and_never_further_than_asked(key: bytes, patient: str, days: int) -> None:
    assert 1 <= abs(shift(key, patient, days)) <= days
    assert shift(key, patient, days) == shift(key, patient, days)
    assert pseudonym(key, patient) == pseudonym(key, patient)


def test_every_move_is_about_as_likely() -> None:
    found = Counter(shift(b"k" * 32, str(number), 3) for number in range(6000))
    assert sorted(found) == [-3, -2, -1, 1, 2, 3]
    assert all(800 < times < 1200 for times in found.values())


def test_the_codebook_has_room_for_moved_dates_and_keeps_the_rules_that_still_hold() -> None:
    found = synthema_minimise.anonymise(TABLE, CODEBOOK, ALL)
    assert found.codebook == synthema_minimise.anonymised_codebook(
        CODEBOOK, {name: value for name, value in ALL.items() if name != "permit_key"}
    )
    assert (found.codebook.variable("first").minimum, found.codebook.variable("first").maximum) == (-182, 20182)
    assert [rule.id for rule in found.codebook.rules] == ["order"]
    assert found.table.columns == list(found.codebook.names())
    check_conforms(found.table.drop("patient"), found.codebook.keep(("first", "second", "since")))
    assert found.stability == 1


def test_without_pseudonyms_every_identifier_is_gone() -> None:
    found = synthema_minimise.anonymise(TABLE, CODEBOOK, {"k": 1})
    assert not found.codebook.names("identifier")
    assert found.table.columns == ["first", "second", "since"]


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"permit_key": None}, "need the secret of the permit"),
        ({"permit_key": "short"}, "32 bytes"),
        ({"shift_dates": ["since"]}, "not a number of days"),
        ({"shift_dates": ["patient"]}, "not a number of days"),
        ({"fields": ["since"]}, "not among the kept fields"),
        ({"shift_days": 0}, "at least 1"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_said(parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        synthema_minimise.anonymise(TABLE, CODEBOOK, ALL | parameters)


def test_a_row_without_a_patient_is_refused() -> None:
    with pytest.raises(ValueError, match="patient key"):
        synthema_minimise.anonymise(TABLE.with_columns(patient=pl.lit(None, dtype=pl.String)), CODEBOOK, ALL)
