"""Rows as sentences, rules held by the machine, and answers as figures."""

from __future__ import annotations

import polars as pl
import pytest
from pydantic import ValidationError

from synthema.certification.review import Answer, Reason, check_rules, draw_sheet, reasons_of, result_of
from synthema.certification.review.vignettes import decimals_of, render
from synthema.datasets.codebook import Codebook, Rule, dictionary
from synthema.datasets.rules import broken
from synthema.errors import InputError
from tests.unit.review.worlds import CODEBOOK, rows, shown

SEED = b"s" * 32

# sentences -----------------------------------------------------------------------------------------------------------


def test_a_row_reads_like_a_clinical_note() -> None:
    row = {"age": 66, "sex": "F", "hb": 9.31, "wbc": 4.2, "risk": "high", "tp53": "1", "time": 1, "death": "1"}
    assert render(row, shown(), {"hb": 1, "wbc": 1}) == (
        "Patient: age at diagnosis 66 years; sex female.",
        "Findings: haemoglobin 9.3 g/dL; leukocytes 4.2 ×10⁹/L; risk group high.",
        "Present: TP53 mutation.",
        "Absent: nothing of what was looked for.",
        "Death after 1 month.",
    )


def test_what_is_hidden_is_named_and_what_did_not_happen_is_said() -> None:
    row = {"age": 1, "sex": "M", "hb": None, "wbc": 0.04, "risk": "low", "tp53": None, "time": 45, "death": "0"}
    found = render(row, shown(), {"hb": 1, "wbc": 1}, frozenset({"hb", "tp53", "time"}))
    assert found == (
        "Patient: age at diagnosis 1 year; sex male.",
        "Findings: leukocytes 0.0 ×10⁹/L; risk group low.",
        "No death.",
        "Not shown: haemoglobin; TP53 mutation; time until death or last contact.",
    )


@pytest.mark.parametrize("name", ["mgus", "mds", "aml", "scd"])
def test_every_dictionary_reads_in_sentences_without_codes(name: str) -> None:
    codebook = dictionary(name)
    row = {
        v.name: v.categories[-1] if v.type == "category" else "secret-key" if v.type == "text" else v.minimum
        for v in codebook.variables
    }
    text = " ".join(render(row, codebook, {v.name: 1 for v in codebook.variables if v.type == "decimal"}))
    assert "secret-key" not in text
    assert not [v.name for v in codebook.variables if "_" in v.name and v.name in text]
    assert len({reason.code for reason in reasons_of(codebook)}) == len(reasons_of(codebook))


def test_decimals_are_those_that_both_tables_have_and_the_bins_make_sense_of() -> None:
    assert decimals_of(shown(), rows(50, 1), rows(50, 2, decimals=9)) == {"hb": 1, "wbc": 1}
    assert decimals_of(shown(), rows(50, 1, decimals=0), rows(50, 2, decimals=9))["hb"] == 0
    assert decimals_of(shown(), rows(50, 1, missing=1.0), rows(50, 2, decimals=9))["hb"] == 0


def test_too_few_rows_give_no_sheet() -> None:
    with pytest.raises(InputError, match="too few real rows"):
        draw_sheet(rows(9, 1), rows(60, 2), shown(), SEED, 40)


# rules ---------------------------------------------------------------------------------------------------------------


def test_a_sum_of_two_variables_can_be_held_against_a_bound() -> None:
    rule = CODEBOOK.rules[0]
    table = pl.DataFrame({"age": [90, 90, None, 90], "time": [299, 361, 400, None]})
    assert broken(table, rule).to_list() == [False, True, False, False]
    assert rule.variables == {"age", "time"}


def test_haemoglobin_after_transfusion_is_checked() -> None:
    rule = CODEBOOK.rules[1]
    table = pl.DataFrame({"hb": [7.0, 7.0, 7.0], "units": [2, 2, 0], "hb_after": [9.9, 10.1, 7.0]})
    assert broken(table, rule).to_list() == [False, True, False]


def test_small_counts_of_real_rows_are_not_told() -> None:
    old = [pl.lit(110, pl.Int64).alias("age"), pl.lit(120, pl.Int64).alias("time")]
    real = pl.concat([rows(40, 1).with_columns(pl.lit(50, pl.Int64).alias("age")), rows(3, 2).with_columns(old)])
    synthetic = rows(40, 3).with_columns(old)
    found = {f.rule: f for f in check_rules(synthetic, real, shown())}
    assert (found["age-at-death"].synthetic, found["age-at-death"].real) == (40, None)
    assert found["age-at-death"].source == "Arithmetic"
    assert "haemoglobin-after-transfusion" not in found


def test_a_derived_value_that_does_not_follow_counts_like_a_broken_rule() -> None:
    values = shown().model_dump()
    doubled = {
        "name": "hb_twice", "label": "Twice the haemoglobin", "type": "decimal", "minimum": 0, "maximum": 60,
        "derivation": {"kind": "sum", "of": {"hb": 2.0}},
    }  # fmt: skip
    codebook = Codebook.model_validate(values | {"variables": [*values["variables"], doubled]})
    right = rows(40, 1).with_columns((pl.col("hb") * 2).alias("hb_twice"))
    wrong = right.with_columns(pl.lit(1.0).alias("hb_twice"))
    found = {f.rule: f for f in check_rules(wrong, right, codebook)}["derived/hb_twice"]
    assert (found.synthetic, found.real) == (wrong["hb"].count(), 0)
    assert "hb" in found.sentence


def test_a_rule_that_says_nothing_new_keeps_its_digest() -> None:
    plain = Rule(id="a", sentence="b", left="hb", comparison="<=", right=22)
    assert set(plain.model_dump()) == {"id", "sentence", "left", "comparison", "right", "when"}
    assert Rule.model_validate(CODEBOOK.rules[0].model_dump()) == CODEBOOK.rules[0]
    assert Codebook.model_validate(CODEBOOK.model_dump(mode="json")).digest == CODEBOOK.digest


# answers -------------------------------------------------------------------------------------------------------------

REASONS = (Reason(code="combination", words="does not fit"), Reason(code="other", words="another"))


def said(guess: str, sure: int = 2, plausible: bool = True) -> Answer:
    given = {"guess": guess, "confidence": sure, "plausible": plausible}
    return Answer.model_validate(given | ({} if plausible else {"reasons": ("combination",)}))


def test_figures_come_from_what_all_judged_and_nobody_recognised() -> None:
    kinds = tuple(place % 2 == 0 for place in range(24))
    first = {p: said("synthetic" if kinds[p] else "real", plausible=not kinds[p]) for p in range(24)}
    second = {**first, 3: Answer(recognised=True)}
    late = {p: first[p] for p in range(5)}
    found = result_of({1: first, 2: second, 3: late}, kinds, REASONS)
    assert (found.reviewers, found.left_out_reviewers, found.synthetic, found.real) == (2, 1, 12, 11)
    assert found.recognised is None
    figures = {f.metric: f for f in found.figures}
    assert figures["reviewDiscrimination"].value == 1.0
    assert figures["reviewPlausibleShare"].value == 0.0
    assert figures["reviewPlausibleShare"].control == 1.0
    assert figures["reviewPlausibleGap"].value == 1.0
    assert figures["reviewAgreement"].value == 1.0
    assert [(r.code, r.synthetic, r.real) for r in found.reasons] == [("combination", 24, 0)]
    assert [each.right_guesses for each in found.each] == [1.0, 1.0]
    assert all(f.lower <= f.value <= f.upper for f in found.figures)


@pytest.mark.parametrize("answers", [{}, {1: {p: said("real") for p in range(24)}}])
def test_one_reviewer_gives_no_figures(answers: dict[int, dict[int, Answer]]) -> None:
    found = result_of(answers, tuple(p % 2 == 0 for p in range(24)), REASONS)
    assert found.figures == ()
    assert "no figures" in found.notes[0]


def test_reasons_on_few_real_records_are_not_counted_out() -> None:
    kinds = tuple(place % 2 == 0 for place in range(24))
    one = {p: said("real", plausible=p not in (1, 2)) for p in range(24)}
    found = result_of({1: one, 2: one}, kinds, REASONS)
    (reason,) = found.reasons
    assert (reason.synthetic, reason.real) == (2, None)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"guess": "real"},
        {"guess": "real", "confidence": 1},
        {"guess": "real", "confidence": 1, "plausible": False},
        {"guess": "real", "confidence": 1, "plausible": True, "reasons": ("other",)},
        {"guess": "real", "confidence": 1, "plausible": False, "reasons": ("other", "other")},
        {"recognised": True, "guess": "real"},
        {"recognised": True, "remark": "it is somebody"},
        {"guess": "maybe", "confidence": 1, "plausible": True},
    ],
)
def test_half_an_answer_is_none(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Answer.model_validate(wrong)
