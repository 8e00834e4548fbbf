from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from synthema.datasets import Codebook, Quality, Rule, assess, dictionary
from synthema.datasets.rules import broken
from synthema.errors import InputError
from tests.unit.datasets.test_source import codebook


def with_rule() -> Codebook:
    rule = {
        "id": "old",
        "sentence": "Nobody is observed longer than they live.",
        "left": "time",
        "comparison": "<=",
        "right": "age",
    }
    return codebook(rules=[rule])


def table(hgb: list[float | None], **changes: list[Any]) -> pl.DataFrame:
    n = len(hgb)
    values = {"id": [f"P-{i}" for i in range(n)], "age": [60] * n, "sex": ["F"] * n, "hgb": hgb, "time": [10] * n}
    return pl.DataFrame(values | changes, schema_overrides={"hgb": pl.Float64, "age": pl.Int64, "time": pl.Int64})


def test_a_good_table_passes() -> None:
    quality = assess(table([13.0, 12.0, None]), with_rule())
    assert quality.passes
    assert quality.completeness["hgb"] == pytest.approx(2 / 3)
    assert quality.rule_violations == {"old": 0}
    assert Quality.from_dict(quality.as_dict()) == quality
    quality.require("here")


def test_a_column_in_the_wrong_unit_is_kept_out() -> None:
    quality = assess(table([8.1, 8.4, 7.9]), codebook())  # mmol/L: possible as g/dL, but no cohort's median
    assert not quality.passes
    with pytest.raises(InputError, match="fits the unit mmol/L"):
        quality.require("data.csv")


def test_an_unusual_median_without_an_explanation_only_warns() -> None:
    quality = assess(table([18.0, 18.5, 19.0]), codebook())
    assert quality.passes
    assert "where 10 to 17 g/dL is usual" in quality.findings[0].sentence


def test_sparse_columns_warn_and_empty_ones_block() -> None:
    assert assess(table([13.0, None, None]), codebook()).findings[0].severity == "warn"
    assert not assess(table([None, None]), codebook()).passes


def test_many_broken_rules_block_and_few_warn() -> None:
    few = assess(table([13.0] * 200, time=[70] + [10] * 199), with_rule())
    assert few.passes
    assert few.rule_violations == {"old": 1}
    assert few.findings[0].severity == "warn"
    many = assess(table([13.0] * 200, time=[70] * 3 + [10] * 197), with_rule())
    assert not many.passes


@pytest.mark.parametrize(
    ("comparison", "right", "expected"),
    [
        ("<=", "b", [False, False, True]),
        ("<", "b", [False, True, True]),
        ("==", "b", [True, False, True]),
        ("!=", "b", [False, True, False]),
        (">=", "b", [True, False, False]),
        (">", 1.0, [True, False, False]),
    ],
)
def test_rules_mean_what_they_say(comparison: Any, right: Any, expected: list[bool]) -> None:
    frame = pl.DataFrame({"a": [1, 2, 3], "b": [2, 2, 2], "c": ["x", "x", "y"]})
    rule = Rule(id="r", sentence="s", left="a", comparison=comparison, right=right)
    assert broken(frame, rule).to_list() == expected
    limited = rule.model_copy(update={"when": {"c": "x"}})
    assert broken(frame, limited).to_list() == [*expected[:2], False]
    unknown = frame.with_columns(pl.lit(None, dtype=pl.Int64).alias("a"))
    assert broken(unknown, rule).to_list() == [False] * 3


def mgus(**changes: Any) -> pl.DataFrame:
    """Two hundred patients of the dictionary with values spread over what is usual, at two centres."""
    n = 200
    book = registry()
    found: dict[str, Any] = {
        "id": list(range(1, n + 1)),
        "age": [50 + i % 40 for i in range(n)],
        "sex": ["F", "M"] * (n // 2),
        "dxyr": [1970 + i % 30 for i in range(n)],
        "hgb": [11 + (i % 50) / 10 for i in range(n)],
        "creat": [0.8 + (i % 60) / 50 for i in range(n)],
        "mspike": [0.4 + (i % 20) / 10 for i in range(n)],
        "ptime": [10 + i % 100 for i in range(n)],
        "pstat": ["0"] * (n - 5) + ["1"] * 5,
        "futime": [20 + i % 150 + i % 100 for i in range(n)],
        "death": ["1", "0"] * (n // 2),
        "centre": ["A"] * (n // 2) + ["B"] * (n // 2),
    }
    found |= {name: change(found[name]) for name, change in changes.items()}
    types = {"integer": pl.Int64, "decimal": pl.Float64, "category": pl.String, "text": pl.String}
    return pl.DataFrame({v.name: pl.Series(found[v.name], dtype=types[v.type]) for v in book.variables})


def registry() -> Codebook:
    document = dictionary("mgus").model_dump(mode="json")
    centre = {"name": "centre", "label": "Centre", "type": "category", "role": "site", "categories": ["A", "B", "C"]}
    return Codebook.model_validate(document | {"variables": [*document["variables"], centre]})


def findings(**changes: Any) -> list[tuple[str, str | None, tuple[int, ...]]]:
    return [(f.severity, f.variable, f.rows) for f in assess(mgus(**changes), registry()).findings]


def in_unit(factor: float, rows: list[int]) -> Any:
    return lambda values: [value * factor if i in rows else value for i, value in enumerate(values)]


def test_a_clean_registry_has_no_findings() -> None:
    assert findings() == []


def test_some_values_in_another_unit_are_found_with_their_rows() -> None:
    rows = [3, 40, 77, 150]
    assert findings(creat=in_unit(88.42, rows)) == [("block", "creat", tuple(rows))]
    quality = assess(mgus(creat=in_unit(88.42, rows)), registry())
    assert "4 of 200 values of creat would be usual in umol/L" in quality.findings[0].sentence
    with pytest.raises(InputError, match=r"units seem to be mixed \(lines 5, 42, 79, 152\)"):
        quality.require("mgus.csv", [row + 2 for row in range(200)])
    assert "lines" not in str(quality.as_dict())  # positions of rows are never kept


def test_one_centre_in_another_unit_is_found() -> None:
    rows = list(range(100, 200))
    found = findings(hgb=in_unit(0.6206, rows))
    assert found[0] == ("block", "hgb", tuple(rows))
    assert "at centre 'B'" in assess(mgus(hgb=in_unit(0.6206, rows)), registry()).findings[0].sentence


def test_a_code_for_missing_among_numbers_is_found() -> None:
    rows = [1, 2, 3, 4]
    coded = findings(ptime=lambda values: [599 if i in (0, 5) else v for i, v in enumerate(values)])
    assert ("warn", "ptime", (1, 2)) not in coded  # 599 is no usual code
    found = findings(dxyr=lambda values: [2035 if i in rows else v for i, v in enumerate(values)])
    assert found == []
    assert ("warn", "age", tuple(rows)) in findings(
        age=lambda v: [99 if i in rows else 40 + i % 3 for i in range(len(v))]
    )


def test_missing_everywhere_at_a_centre_is_said() -> None:
    found = assess(mgus(creat=lambda v: [*v[:100], *[None] * 100]), registry()).findings
    assert [f.sentence for f in found] == ["creat is recorded nowhere at centre B"]


def test_half_of_an_outcome_and_an_event_that_never_happens_are_said() -> None:
    found = [f.sentence for f in assess(mgus(pstat=lambda v: ["0"] * len(v)), registry()).findings]
    assert found == ["the event of progression happened to nobody (pstat is never '1')"]


def test_the_same_patient_twice_is_asked_about() -> None:
    def twice(values: list[Any]) -> list[Any]:
        return [*values[:-1], values[0]]

    names = [name for name in registry().names() if name != "id"]
    assert ("warn", "id", (199,)) in findings(**dict.fromkeys(names, twice))


def test_rule_findings_name_rows_and_derived_columns() -> None:
    found = findings(futime=lambda values: [1, *values[1:]])
    assert found == [("warn", "ptime", (0,))]
