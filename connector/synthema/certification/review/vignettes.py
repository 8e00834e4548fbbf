"""Rows become short clinical texts by the codebook alone, real and synthetic ones in exactly the same way.

A text must not give its origin away by its form. So numbers have the same decimals, fields have the same
order, and what is missing in a real row is hidden in the synthetic one beside it and the other way round.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import polars as pl

from synthema.certification.review.blinding import assignment, ranked
from synthema.certification.review.model import FEWEST_OF_A_KIND, Reason
from synthema.datasets.codebook import Codebook, Variable
from synthema.datasets.codes import unit_words
from synthema.errors import InputError

Text = tuple[str, ...]

_WORDS: Final = {"F": "female", "M": "male"}
_YES_NO: Final = {"0", "1"}
_LIKE: Final = 0.95
_MOST_DECIMALS: Final = 4
_GENERAL: Final = (
    Reason(code="combination", words="The values do not fit together"),
    Reason(code="course", words="The course over time does not fit the findings"),
    Reason(code="treatment", words="The treatment does not fit the findings"),
    Reason(code="other", words="Another reason (say it in the remark)"),
)


def reasons_of(codebook: Codebook) -> tuple[Reason, ...]:
    """The coded reasons that reviewers choose from: each variable, each rule of the dictionary, and general ones."""
    values = (
        Reason(code=f"value:{v.name}", words=f"{v.label}: implausible value") for v in codebook.variables if _said(v)
    )
    rules = (Reason(code=f"rule:{r.id}", words=f"Breaks a rule: {r.sentence}") for r in codebook.rules)
    return (*values, *rules, *_GENERAL)


def draw_sheet(
    real: pl.DataFrame, synthetic: pl.DataFrame, codebook: Codebook, seed: bytes, vignettes: int
) -> tuple[Text, ...]:
    """The texts of a sheet by place; :func:`assignment` of the same seed says which of them are synthetic.

    Raises :class:`InputError` where either table has too few rows.
    """
    kinds = assignment(seed, vignettes)
    needed = {True: sum(kinds), False: vignettes - sum(kinds)}
    tables = {True: synthetic, False: real}
    for kind, table in tables.items():
        if table.height < max(needed[kind], FEWEST_OF_A_KIND):
            raise InputError(
                f"there are too few {'synthetic' if kind else 'real'} rows for {vignettes} vignettes",
                where="vignettes",
                fix="ask for fewer vignettes",
            )
    decimals = decimals_of(codebook, real, synthetic)
    drawn = {
        kind: table[list(ranked(seed, f"rows|{kind}", table.height)[: needed[kind]])].to_dicts()
        for kind, table in tables.items()
    }
    hidden = _hidden_alike(drawn[True], drawn[False], [v.name for v in codebook.variables if _said(v)])
    left = {
        kind: iter([render(row, codebook, decimals, gone) for row, gone in zip(rows, hidden[kind], strict=True)])
        for kind, rows in drawn.items()
    }
    return tuple(next(left[kind]) for kind in kinds)


def _hidden_alike(
    synthetic: Sequence[Mapping[str, Any]], real: Sequence[Mapping[str, Any]], names: Iterable[str]
) -> dict[bool, list[frozenset[str]]]:
    """What is hidden in each row: rows stand in pairs (or threes), and what one of them lacks none of them shows."""
    pairs = min(len(synthetic), len(real))
    known = tuple(names)
    gone: list[set[str]] = [set() for _ in range(pairs)]
    for rows in (synthetic, real):
        for number, row in enumerate(rows):
            gone[number % pairs] |= {name for name in known if row.get(name) is None}
    return {
        kind: [frozenset(gone[number % pairs]) for number in range(len(rows))]
        for kind, rows in ((True, synthetic), (False, real))
    }


def decimals_of(codebook: Codebook, *tables: pl.DataFrame) -> dict[str, int]:
    """How many decimals each number is shown with.

    As many as nearly all values of every table have, and no more than the codebook's bins make sense of.
    """
    return {
        v.name: min([_sensible(v), *(_recorded(table[v.name]) for table in tables)])
        for v in codebook.variables
        if v.type == "decimal"
    }


def _sensible(variable: Variable) -> int:
    edges = variable.edges or (variable.minimum or 0.0, variable.maximum or 1.0)
    gap = min(high - low for low, high in pairwise(edges))
    return min(_MOST_DECIMALS, max(0, math.ceil(-math.log10(gap))) + 1)


def _recorded(column: pl.Series) -> int:
    values = column.drop_nulls().cast(pl.Float64)
    for decimals in range(_MOST_DECIMALS):
        same = (values.round(decimals) - values).abs() <= 1e-9 * (values.abs() + 1)
        if not len(values) or int(same.sum()) >= _LIKE * len(values):
            return decimals
    return _MOST_DECIMALS


def render(
    row: Mapping[str, Any], codebook: Codebook, decimals: Mapping[str, int], hidden: frozenset[str] = frozenset()
) -> Text:
    """One row as sentences: who, what was measured, what is present, how it went on, and what is not shown."""
    timed = {name for outcome in codebook.outcomes for name in (outcome.time, outcome.event)}
    shown = [v for v in codebook.variables if _said(v) and v.name not in timed and v.name not in hidden]
    person = [_value(v, row, decimals) for v in shown if v.role == "quasi-identifier"]
    findings = [v for v in shown if v.role != "quasi-identifier"]
    marks = [v for v in findings if _is_mark(v)]
    measured = [_value(v, row, decimals) for v in findings if not _is_mark(v)]
    present = [_lower(v.label) for v in marks if str(row[v.name]) == "1"]
    absent = [_lower(v.label) for v in marks if str(row[v.name]) == "0"]
    sentences = [
        _sentence("Patient", person),
        _sentence("Findings", measured),
        _sentence("Present", present or (["none of what was looked for"] if marks else [])),
        _sentence("Absent", absent or (["nothing of what was looked for"] if marks else [])),
        *(_outcome(outcome, row, codebook, hidden) for outcome in codebook.outcomes),
        _sentence("Not shown", [_lower(v.label) for v in codebook.variables if _said(v) and v.name in hidden]),
    ]
    return tuple(sentence for sentence in sentences if sentence)


def _outcome(outcome: Any, row: Mapping[str, Any], codebook: Codebook, hidden: frozenset[str]) -> str:
    event = codebook.variable(outcome.event)
    time = codebook.variable(outcome.time)
    if outcome.event in hidden:
        return ""
    happened = str(row[outcome.event]) == outcome.event_value
    label = event.label if happened else f"No {_lower(event.label)}"
    if outcome.time in hidden:
        return f"{label}."
    after = f"{_number(row[outcome.time], 0)} {_unit(time.unit or outcome.unit, row[outcome.time])}"
    return f"{label} after {after}." if happened else f"{label} within {after}."


def _value(variable: Variable, row: Mapping[str, Any], decimals: Mapping[str, int]) -> str:
    value = row[variable.name]
    if variable.type == "category":
        return f"{_lower(variable.label)} {_WORDS.get(str(value), str(value))}"
    number = _number(value, decimals.get(variable.name, 0))
    return f"{_lower(variable.label)} {number} {_unit(variable.unit, value)}".rstrip()


def _number(value: Any, decimals: int) -> str:
    rounded = round(float(value), decimals)
    return f"{rounded + 0.0:.{decimals}f}"


def _unit(unit: str | None, value: Any) -> str:
    return "" if unit is None else unit_words(unit, one=_number(value, 0) == "1")


def _is_mark(variable: Variable) -> bool:
    return variable.type == "category" and set(variable.categories) == _YES_NO


def _said(variable: Variable) -> bool:
    return variable.role not in ("identifier", "site") and variable.type != "text"


def _lower(label: str) -> str:
    """A label inside a sentence; abbreviations such as NPM1 stay as they are."""
    return label if label[:2].isupper() else label[:1].lower() + label[1:]


def _sentence(head: str, parts: Sequence[str]) -> str:
    return f"{head}: {'; '.join(parts)}." if parts else ""
