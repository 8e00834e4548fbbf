"""What the connector counts on an anonymised table itself, and what it says of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from synthema.datasets.codebook import Codebook
from synthema.errors import InputError, PluginError
from synthema.runs.anonymising import check_anonymisation
from synthema.runs.anonymity import count, figures_of, in_no_order, statement
from synthema.runs.model import RunRequest
from synthema.spi.loader import find
from synthema.spi.model import Anonymised

BOOK = Codebook.model_validate(
    {
        "id": "small",
        "version": "1",
        "title": "Three variables",
        "disease": "http://www.orpha.net/ORDO/Orphanet_232",
        "patient_key": "id",
        "variables": [
            {"name": "id", "label": "Patient", "type": "text", "role": "identifier"},
            {"name": "sex", "label": "Sex", "type": "category", "role": "quasi-identifier", "categories": ["F", "M"]},
            {"name": "hb", "label": "Haemoglobin", "type": "decimal", "role": "sensitive", "minimum": 0, "maximum": 30},
        ],
    }
)
BEFORE = pl.DataFrame({"id": list("abcde"), "sex": ["F", "M", "F", "M", "M"], "hb": [9.0, 12.0, 11.0, 8.0, 7.0]})
AFTER = BEFORE.drop("id")
KEPT = BOOK.keep(("sex", "hb"))
WISH: dict[str, Any] = {
    "id": "run-1",
    "requester": "did:web:clinic.example",
    "dataset": "dataset-1",
    "purpose": "health research",
    "action": "anonymise",
    "anonymise": {"plugin": "minimise"},
    "compute": {"plugin": "anonymise", "parameters": {"k": 2}},
    "kind": "anonymiser",
    "output": "anonymised",
    "holdout": 0.0,
    "agreement": "permit-1",
}


def made(table: pl.DataFrame = AFTER, codebook: Codebook = KEPT, **measures: float) -> Anonymised:
    return Anonymised(table, codebook, 6, {"smallestClass": 2.0, **measures})


def test_classes_are_counted_on_the_table_itself() -> None:
    counted = count(made(uniqueness=0.0), BEFORE, BOOK)
    assert (counted.smallest_class, counted.unique, counted.rows) == (2, 0.0, 5)
    assert count(made(smallestClass=1.0), BEFORE, BOOK).smallest_class == 1  # patients may be fewer than rows
    alone = made(AFTER[:3], smallestClass=1.0)
    assert count(alone, BEFORE, BOOK).unique == pytest.approx(1 / 3)
    assert figures_of(alone, count(alone, BEFORE, BOOK))["uniqueShare"] == pytest.approx(1 / 3)


@pytest.mark.article("GDPR 4(5)")
@pytest.mark.parametrize(
    ("result", "said"),
    [
        (made(BEFORE, BOOK), "identifier or a pseudonym"),
        (made(BEFORE.select("id", "sex"), KEPT), "identifier or a pseudonym"),
        (made(AFTER.with_columns(pl.lit(1).alias("more"))), "not made of"),
        (made(AFTER.drop("hb")), "not as its codebook says"),
        (made(pl.concat([AFTER, AFTER])), "more rows"),
        (made(AFTER[:0]), "no rows"),
        (made(smallestClass=3.0), "the connector counts 2"),
    ],
)
def test_a_table_that_is_not_as_its_plugin_says_goes_nowhere(result: Anonymised, said: str) -> None:
    with pytest.raises(PluginError, match=said):
        count(result, BEFORE, BOOK)


def test_a_variable_that_a_plugin_calls_harmless_still_counts_as_known() -> None:
    changed = KEPT.model_dump() | {
        "variables": [v | {"role": "other"} if v["name"] == "sex" else v for v in KEPT.model_dump()["variables"]]
    }
    relabelled = Codebook.model_validate(changed)
    assert relabelled.names("quasi-identifier") == ()
    assert count(made(AFTER[:3], relabelled, smallestClass=1.0), BEFORE, BOOK).smallest_class == 1


def test_the_place_of_a_row_tells_nothing() -> None:
    assert in_no_order(AFTER).equals(in_no_order(AFTER[::-1]))
    assert in_no_order(AFTER)["sex"].to_list() == ["F", "F", "M", "M", "M"]


@pytest.mark.article("GDPR recital 26")
def test_the_statement_has_grades_and_no_bare_yes() -> None:
    request, at = RunRequest.model_validate(WISH), datetime(2026, 11, 22, tzinfo=UTC)
    result = made(uniqueness=0.0, uniquenessBefore=0.4, presence=0.25)
    said = statement(request, find("anonymise").manifest, result, count(result, BEFORE, BOOK), "the clinic", at)
    assert "under permit-1" in said[0]
    assert "has 2 patients" in said[1]
    assert "that promise is proven" in said[1]
    assert "Measured by the plugin: the share of patients who stand alone is 0 (before: 0.4)." in said
    assert "Not measured: the fewest different sensitive values in a class (l)." in said
    assert any("at most the share 0.25 is in the table" in sentence for sentence in said)
    assert said[-1].startswith("Whether this is anonymous in law is a judgement")


@pytest.mark.parametrize(
    "change",
    [{"epsilon": 1.0}, {"holdout": 0.1}, {"rows": 1}, {"evaluate": {"plugin": "evaluation"}}, {"agreement": None}],
    ids=lambda change: next(iter(change)),
)
def test_a_request_for_something_else_is_refused(change: dict[str, Any]) -> None:
    check_anonymisation(RunRequest.model_validate(WISH))
    with pytest.raises(InputError):
        check_anonymisation(RunRequest.model_validate(WISH | change))
