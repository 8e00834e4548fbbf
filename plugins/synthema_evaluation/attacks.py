"""Attacks on the synthetic table, each with held-out patients as its control.

What an attacker finds out about a patient in the training rows counts only as far as
it exceeds what the same attack finds out about a patient who was never there:
the rest is knowledge about the disease, which is what the data are for
(Giomi et al. 2023; Pilgram et al. 2025).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from synthema.datasets.codebook import Variable
from synthema.spi.model import Metric
from synthema_evaluation.columns import Codes, Floats, Space, Tables, bin_count, binned, nearest, numbers
from synthema_evaluation.intervals import RESAMPLES, around, difference, wilson

VOTERS = 5
PREDICATES = 400
SUBSAMPLES = 10


def attribute_metric(tables: Tables, variables: tuple[Variable, ...]) -> tuple[Metric | None, dict[str, Any]]:
    """Guess what is sensitive from what neighbours know; what counts is the lead over held-out patients."""
    targets = [v for v in variables if v.role == "sensitive"] or [v for v in variables if v.role == "event"]
    known = tuple(v for v in variables if v.role == "quasi-identifier")
    known = known or tuple(v for v in variables if v not in targets and v.role not in ("time", "event"))
    if not targets or not known or tables.synthetic.height == 0:
        return None, {}
    space = Space(known, pl.concat([tables.train, tables.holdout], how="vertical_relaxed"))
    synthetic = space.vectors(tables.synthetic)
    hits: list[list[float]] = [[], []]
    neighbours = [nearest(space.vectors(t), synthetic, VOTERS)[1] for t in (tables.train, tables.holdout)]
    for target in targets:
        votes = binned(tables.synthetic, target)
        for side, table in enumerate((tables.train, tables.holdout)):
            guess = _majority(votes[neighbours[side]], bin_count(target))
            hits[side].append(float((guess == binned(table, target)).mean()))
    on_train, on_held = float(np.mean(hits[0])), float(np.mean(hits[1]))
    lower, upper = difference(on_train, tables.train.height, on_held, tables.holdout.height)
    metric = Metric(
        "attributeInferenceAdvantage",
        on_train - on_held,
        tables.train.height,
        lower,
        upper,
        0.0,
        "share of right guesses of sensitive values (in the codebook's bins) from the five synthetic rows nearest in "
        "the quasi-identifiers, training rows minus held-out rows, mean over the sensitive variables; control: no lead",
    )
    each = {
        target.name: {"train": round(hits[0][i], 4), "holdout": round(hits[1][i], 4)}
        for i, target in enumerate(targets)
    }
    return metric, each


def _majority(votes: Codes, codes: int) -> Codes:
    """The most frequent code in each row; the nearest neighbour's breaks a tie."""
    counts = np.zeros((len(votes), codes))
    for rank in range(votes.shape[1]):
        counts[np.arange(len(votes)), votes[:, rank]] += 1.0 - 0.01 * rank
    return np.asarray(counts.argmax(axis=1), dtype=np.int64)


def singling_out_metric(
    tables: Tables, variables: tuple[Variable, ...], random: np.random.Generator
) -> tuple[Metric | None, dict[str, Any]]:
    """Descriptions that fit one synthetic row: how often they fit exactly one real patient, beyond chance."""
    size = min(tables.train.height, tables.holdout.height)
    if size == 0 or tables.synthetic.height < 2:
        return None, {}
    columns = [[_plain(t, v) for v in variables] for t in (tables.train, tables.holdout, tables.synthetic)]
    numeric = [v.type != "category" for v in variables]
    predicates = _unique_predicates(columns[2], numeric, random)
    if not predicates:
        return None, {}
    on_train = _isolated(predicates, columns[0], tables.train.height, size, random)
    on_held = _isolated(predicates, columns[1], tables.holdout.height, size, random)
    risk = (on_train - on_held) / max(1.0 - on_held, 1e-9)
    n = len(predicates)
    lower, upper = difference(on_train, n, on_held, n)
    metric = Metric(
        "singlingOutRisk",
        max(0.0, risk),
        n,
        max(0.0, lower / max(1.0 - on_held, 1e-9)),
        min(1.0, max(0.0, upper / max(1.0 - on_held, 1e-9))),
        on_held,
        "share of descriptions unique in the synthetic table (of one variable, or of three to five) that fit exactly "
        "one training row, beyond the share on equally many held-out rows (after Giomi et al. 2023); control: the "
        "share on held-out rows, already taken off",
    )
    return metric, {"train": round(on_train, 4), "holdout": round(on_held, 4), "descriptions": n}


Predicate = tuple[tuple[int, str, float], ...]


def _plain(table: pl.DataFrame, variable: Variable) -> Floats:
    if variable.type != "category":
        return numbers(table, variable)
    return binned(table, variable).astype(np.float64)


def _fits(predicate: Predicate, columns: list[Floats]) -> Codes:
    """Rows that a description fits; a missing value fits only the description 'missing'."""
    fitting = np.ones(len(columns[0]), dtype=bool)
    for index, comparison, value in predicate:
        column = columns[index]
        if comparison == "missing":
            fitting &= np.isnan(column)
        elif comparison == "==":
            fitting &= column == value
        else:
            fitting &= column >= value if comparison == ">=" else column <= value
    return np.nonzero(fitting)[0]


def _unique_predicates(columns: list[Floats], numeric: list[bool], random: np.random.Generator) -> list[Predicate]:
    """Descriptions that fit exactly one synthetic row: half of one variable, half of several."""
    single: list[Predicate] = []
    for index, column in enumerate(columns):
        values, counts = np.unique(column[np.isfinite(column)], return_counts=True)
        single += [((index, "==", float(value)),) for value in values[counts == 1]]
        if numeric[index] and len(values):
            single += [((index, ">=", float(values[-1])),), ((index, "<=", float(values[0])),)]
    random.shuffle(single)
    chosen = [p for p in single[: PREDICATES // 2] if len(_fits(p, columns)) == 1]
    middles = [float(np.nanmedian(c)) if np.isfinite(c).any() else 0.0 for c in columns]
    most = min(5, len(columns))
    for _ in range(4 * PREDICATES):
        if len(chosen) >= PREDICATES:
            break
        row = int(random.integers(len(columns[0])))
        width = int(random.integers(min(3, most), most + 1))
        picked = random.choice(len(columns), size=width, replace=False)
        several = tuple(
            _describe(int(i), columns[int(i)][row], middles[int(i)], numeric=numeric[int(i)]) for i in picked
        )
        if len(_fits(several, columns)) == 1:
            chosen.append(several)
    return chosen


def _describe(index: int, value: float, middle: float, *, numeric: bool) -> tuple[int, str, float]:
    if not np.isfinite(value):
        return index, "missing", 0.0
    if not numeric:
        return index, "==", float(value)
    return index, ">=" if value >= middle else "<=", float(value)


def _isolated(
    predicates: list[Predicate], columns: list[Floats], rows: int, size: int, random: np.random.Generator
) -> float:
    """Mean share of descriptions that fit exactly one of ``size`` rows, over random choices of the rows."""
    fitting = [_fits(predicate, columns) for predicate in predicates]
    shares = []
    for _ in range(SUBSAMPLES if rows > size else 1):
        present = np.zeros(rows, dtype=bool)
        present[random.permutation(rows)[:size]] = True
        shares.append(np.mean([int(present[rows_].sum()) == 1 for rows_ in fitting]))
    return float(np.mean(shares))


def copied_metric(tables: Tables, variables: tuple[Variable, ...]) -> Metric | None:
    """Training rows that come back as they are, beyond what held-out rows do."""
    if tables.holdout.height == 0 or tables.train.height == 0:
        return None
    coded = [_tuples(t, variables) for t in (tables.train, tables.holdout, tables.synthetic)]
    present = set(coded[2])
    on_train, on_held = (float(np.mean([row in present for row in rows])) for rows in coded[:2])
    lower, upper = difference(on_train, len(coded[0]), on_held, len(coded[1]))
    return Metric(
        "copiedRowShare",
        max(0.0, on_train - on_held),
        len(coded[0]),
        max(0.0, lower),
        max(0.0, upper),
        on_held,
        "share of training rows with an exact twin among the synthetic rows (all variables, codebook's bins), beyond "
        "the share of held-out rows with one; control: the share of held-out rows, already taken off",
    )


def _again(scores: Floats, generator: np.random.Generator) -> Floats:
    return scores[generator.integers(0, len(scores), size=len(scores))]


def _tuples(table: pl.DataFrame, variables: tuple[Variable, ...]) -> list[bytes]:
    codes = np.stack([binned(table, variable) for variable in variables], axis=1)
    return [row.tobytes() for row in np.ascontiguousarray(codes)]


def nearest_ratio_metric(tables: Tables, variables: tuple[Variable, ...], random: np.random.Generator) -> Metric | None:
    """Median ratio of the distances to the nearest and the second nearest training row."""
    if tables.train.height < 2 or tables.synthetic.height == 0:
        return None
    space = Space(variables, pl.concat([tables.train, tables.holdout], how="vertical_relaxed"))
    train = space.vectors(tables.train)

    def ratios(table: pl.DataFrame) -> Floats:
        distances, _ = nearest(space.vectors(table), train, 2)
        return np.where(distances[:, 1] > 0, distances[:, 0] / np.maximum(distances[:, 1], 1e-12), 1.0)

    found = ratios(tables.synthetic)
    value = float(np.median(found))
    lower, upper = around(value, lambda g: float(np.median(_again(found, g))), random, (0.0, 1.0), RESAMPLES // 2)
    control = float(np.median(ratios(tables.holdout))) if tables.holdout.height else None
    return Metric(
        "nearestRecordRatio",
        value,
        len(found),
        lower,
        upper,
        control,
        "median over synthetic rows of the distance to the nearest over that to the second nearest training row; says "
        "little by itself (Yao et al. 2025: distance to the closest record misses membership leaks); control: "
        "held-out rows in place of synthetic ones",
    )


def nearest_share_metric(tables: Tables, variables: tuple[Variable, ...], random: np.random.Generator) -> Metric | None:
    """How many synthetic rows lie closer to a training row than to any of equally many held-out rows."""
    size = min(tables.train.height, tables.holdout.height)
    if size == 0 or tables.synthetic.height == 0:
        return None
    space = Space(variables, pl.concat([tables.train, tables.holdout], how="vertical_relaxed"))
    synthetic = space.vectors(tables.synthetic)
    closest = [
        nearest(synthetic, space.vectors(t)[random.permutation(t.height)[:size]], 1)[0][:, 0]
        for t in (tables.train, tables.holdout)
    ]
    share = float((closest[0] < closest[1]).mean() + (closest[0] == closest[1]).mean() / 2)
    lower, upper = wilson(share * len(synthetic), len(synthetic))
    return Metric(
        "nearestRecordShare",
        share,
        len(synthetic),
        lower,
        upper,
        0.5,
        "share of synthetic rows closer to the nearest training row than to the nearest of equally many held-out rows "
        "(distance to the closest record); for comparison with other publications only, no measure of privacy (Yao et "
        "al. 2025); control: the half expected of rows that know neither",
    )
