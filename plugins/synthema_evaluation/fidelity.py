"""Is the synthetic table built like the real one? Pairs, correlations, rare categories, a classifier, composites."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthema.datasets.codebook import Variable
from synthema.spi.model import Metric
from synthema_evaluation.boosting import Boosted
from synthema_evaluation.columns import Codes, Floats, Tables, bin_count, binned, coarse_levels, numbers
from synthema_evaluation.intervals import Z95, area, around, wilson

GENES = Path(__file__).parent / "genes.txt"
RESAMPLES = 40
RARE = 0.05
FEWEST_RARE = 5
FOLDS = 3
MOST_CLASSIFIED = 3000
MOST_SHOWN = 40
COMPOSITE = (
    "mean of three parts, each from 0 to 1: overlap of shares of single variables, overlap of joint shares of pairs "
    "(both in at most five levels), and 1 minus the mean absolute difference of correlations; parts and variables "
    "stand in the series; an open definition of our own after the idea of D'Amico et al. 2023, so not comparable to "
    "the decimal with figures published elsewhere; control: held-out rows in place of synthetic ones"
)


def genomic(variable: Variable) -> bool:
    """Whether a variable is about a gene: its standard code is one of HGNC, or its name begins with a gene's symbol."""
    coded = any("hgnc" in code.lower() or "genenames.org" in code.lower() for code in variable.codes)
    return coded or re.split(r"[^A-Z0-9]", variable.name.upper())[0] in symbols()


@cache
def symbols() -> frozenset[str]:
    """Symbols of genes that studies of blood diseases report."""
    lines = GENES.read_text(encoding="utf-8").splitlines()
    return frozenset(symbol for line in lines if not line.startswith("#") for symbol in line.split())


@dataclass(frozen=True, slots=True)
class _Parts:
    """For each pair of variables: overlap of joint shares, and mean absolute difference of correlations."""

    single: Floats
    pairs: Floats
    correlations: Floats
    correlated: NDArray[np.bool_]

    def similarity(self, chosen: NDArray[np.bool_]) -> float:
        """Mean overlap of pairs among the chosen variables."""
        return float(self.pairs[_upper(chosen)].mean())

    def difference(self, chosen: NDArray[np.bool_]) -> float:
        """Mean absolute difference of correlations among the chosen variables; 0 where none can be computed."""
        used = _upper(chosen) & self.correlated
        return float(self.correlations[used].mean()) if used.any() else 0.0

    def composite(self, chosen: NDArray[np.bool_]) -> tuple[float, float, float]:
        """The three parts of a composite score."""
        return float(self.single[chosen].mean()), self.similarity(chosen), 1.0 - self.difference(chosen)


def _upper(chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.triu(np.outer(chosen, chosen), 1)


class Structure:
    """Tables as indicator columns (for shares) and signal columns (for correlations), so that one product counts all.

    A number is one signal, its rank among the real rows; a category has one signal for each level but the first.
    """

    def __init__(self, tables: Tables, variables: tuple[Variable, ...]) -> None:
        self.variables = variables
        self._levels = [coarse_levels(binned(tables.train, v), bin_count(v)) for v in variables]
        self._ranks = {
            v.name: np.sort(values[np.isfinite(values)])
            for v in variables
            if v.type != "category"
            for values in [numbers(tables.train, v)]
        }
        sizes = [int(level.max()) + 1 for level in self._levels]
        self._starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
        self._sizes = sizes

    def columns(self, table: pl.DataFrame) -> tuple[Floats, Floats]:
        """Indicators and signals of a table, each of shape (rows, columns)."""
        indicators, signals = [], []
        for variable, level, size in zip(self.variables, self._levels, self._sizes, strict=True):
            one_hot = np.eye(size)[level[binned(table, variable)]]
            indicators.append(one_hot)
            signals.append(one_hot[:, 1:] if variable.type == "category" else self._rank(table, variable))
        return np.concatenate(indicators, axis=1), np.concatenate(signals, axis=1)

    def _rank(self, table: pl.DataFrame, variable: Variable) -> Floats:
        known, values = self._ranks[variable.name], numbers(table, variable)
        place = (np.searchsorted(known, values, "left") + np.searchsorted(known, values, "right")) / 2
        rank = np.where(np.isfinite(values), place / max(len(known), 1), np.nan)
        middle = float(np.nanmean(rank)) if np.isfinite(rank).any() else 0.5
        return np.where(np.isfinite(rank), rank, middle)[:, None]

    def parts(self, first: tuple[Floats, Floats], second: tuple[Floats, Floats]) -> _Parts:
        """How far two tables, each as :meth:`columns` gives them, agree."""
        gap = np.abs(_joint(first[0]) - _joint(second[0]))
        blocks = np.add.reduceat(np.add.reduceat(gap, self._starts, axis=0), self._starts, axis=1)
        diagonal = np.add.reduceat(np.diag(gap), self._starts)
        (one, moving), (two, _) = _correlation(first[1]), _correlation(second[1])
        both = np.outer(moving, moving)
        difference = np.where(both, np.abs(one - two), 0.0)
        owner = self._owners()
        totals = _by_owner(difference, owner, len(self.variables))
        counts = _by_owner(both.astype(np.float64), owner, len(self.variables))
        return _Parts(1 - diagonal / 2, 1 - blocks / 2, totals / np.maximum(counts, 1.0), counts > 0)

    def _owners(self) -> Codes:
        """Which variable each signal column belongs to."""
        widths = [s - 1 if v.type == "category" else 1 for v, s in zip(self.variables, self._sizes, strict=True)]
        return np.repeat(np.arange(len(self.variables)), widths)


def _joint(indicators: Floats) -> Floats:
    return np.asarray(indicators.T @ indicators / max(len(indicators), 1))


def _correlation(signals: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """The correlation matrix, and which columns move at all."""
    centred = signals - signals.mean(axis=0)
    spread = np.sqrt((centred**2).mean(axis=0))
    moving = spread > 1e-9
    standard = centred / np.where(moving, spread, np.inf)
    return np.asarray(standard.T @ standard / max(len(signals), 1)), moving


def _by_owner(matrix: Floats, owner: Codes, number: int) -> Floats:
    member = np.eye(number)[owner]
    return np.asarray(member.T @ matrix @ member)


def structure_metrics(
    tables: Tables, variables: tuple[Variable, ...], random: np.random.Generator
) -> tuple[list[Metric], dict[str, Any]]:
    """Similarity of pairs, difference of correlations, and the composite fidelities; with the table of differences."""
    if len(variables) < 2:
        return [], {}
    structure = Structure(tables, variables)
    real, held, synthetic = (structure.columns(t) for t in (tables.train, tables.holdout, tables.synthetic))
    found, control = structure.parts(real, synthetic), structure.parts(real, held)
    genes = np.array([genomic(v) for v in variables])
    everything, clinical = np.ones(len(variables), dtype=bool), ~genes
    draws = [structure.parts(_again(real, random), _again(synthetic, random)) for _ in range(RESAMPLES)]
    n = tables.train.height
    metrics = [
        _figure(
            "pairSimilarity", n, found.similarity(everything), [d.similarity(everything) for d in draws],
            control.similarity(everything),
            "mean over all pairs of variables of 1 minus the total variation distance between their real and synthetic "
            "joint shares, numbers in five levels of equal real share; control: training against held-out rows",
        ),
        _figure(
            "correlationDifference", n, found.difference(everything), [d.difference(everything) for d in draws],
            control.difference(everything),
            "mean over pairs of variables of the absolute difference between their real and synthetic correlations "
            "(ranks for numbers, indicators for categories); control: training against held-out rows",
        ),
    ]  # fmt: skip
    if genes.sum() >= 2:
        metrics.append(
            _figure("genomicCorrelationDifference", n, found.difference(genes), [d.difference(genes) for d in draws],
                    control.difference(genes),
                    f"correlationDifference among the {int(genes.sum())} variables about genes: which mutations occur "
                    "together and which exclude each other; control: training against held-out rows")
        )  # fmt: skip
    composites: dict[str, Any] = {}
    for name, chosen, what in (
        ("clinicalSyntheticFidelity", clinical, "clinical variables"),
        ("genomicSyntheticFidelity", genes, "variables about genes (by code of HGNC or symbol)"),
    ):
        if chosen.sum() < 2:
            continue
        values = [float(np.mean(d.composite(chosen))) for d in draws]
        parts = found.composite(chosen)
        metrics.append(
            _figure(name, n, float(np.mean(parts)), values, float(np.mean(control.composite(chosen))),
                    f"over the {int(chosen.sum())} {what}: {COMPOSITE}")
        )  # fmt: skip
        composites[name] = {
            "variables": [v.name for v, is_in in zip(variables, chosen, strict=True) if is_in],
            "parts": dict(zip(("marginals", "pairs", "correlations"), (round(p, 4) for p in parts), strict=True)),
        }
    return metrics, {"correlation": _correlation_series(structure, found), "composites": composites}


def _again(columns: tuple[Floats, Floats], random: np.random.Generator) -> tuple[Floats, Floats]:
    rows = random.integers(0, len(columns[0]), size=len(columns[0]))
    return columns[0][rows], columns[1][rows]


def _figure(name: str, n: int, value: float, draws: list[float], control: float, definition: str) -> Metric:
    half = Z95 * float(np.std(draws, ddof=1))
    return Metric(name, value, n, max(0.0, value - half), min(1.0, value + half), control, definition)


def _correlation_series(structure: Structure, parts: _Parts) -> dict[str, Any]:
    """The mean absolute differences as a square table: the variables that differ most, in the codebook's order."""
    worst = np.argsort(-parts.correlations.sum(axis=0), kind="stable")[:MOST_SHOWN]
    shown = np.sort(worst)
    table = parts.correlations[np.ix_(shown, shown)]
    return {
        "variables": [structure.variables[i].name for i in shown],
        "difference": [[round(float(value), 3) for value in row] for row in table],
    }


def rare_metric(tables: Tables, variables: tuple[Variable, ...]) -> tuple[Metric | None, dict[str, Any]]:
    """Which rare categories of the real rows are still there."""
    kept: list[bool] = []
    held: list[bool] = []
    lost: list[str] = []
    for variable in variables:
        if variable.type != "category":
            continue
        counts = [np.bincount(binned(t, variable), minlength=bin_count(variable))[:-1]
                  for t in (tables.train, tables.holdout, tables.synthetic)]  # fmt: skip
        rare = (counts[0] >= FEWEST_RARE) & (counts[0] < RARE * tables.train.height)
        kept += (counts[2][rare] > 0).tolist()
        held += (counts[1][rare] > 0).tolist()
        lost += [f"{variable.name}: {variable.categories[i]}" for i in np.nonzero(rare & (counts[2] == 0))[0]]
    if not kept:
        return None, {}
    share = float(np.mean(kept))
    lower, upper = wilson(sum(kept), len(kept))
    metric = Metric(
        "rareCategoryRetention",
        share,
        len(kept),
        lower,
        upper,
        float(np.mean(held)),
        "share of the rare categories (five training rows or more, less than 5 % of them) that occur among the "
        "synthetic rows; n counts categories; control: the share that occurs among the held-out rows, which are fewer",
    )
    return metric, {"lost": lost}


def classifier_metric(tables: Tables, variables: tuple[Variable, ...], random: np.random.Generator) -> Metric:
    """How well a learner tells synthetic rows from real ones."""
    sizes = [bin_count(v) for v in variables]
    real, held, synthetic = (_codes(t, variables) for t in (tables.train, tables.holdout, tables.synthetic))
    yes, no = _told_apart(real, synthetic, sizes, random)
    value = area(yes, no)
    lower, upper = around(value, lambda g: area(g.choice(yes, len(yes)), g.choice(no, len(no))), random, (0.0, 1.0))
    return Metric(
        "classifierAUC",
        value,
        len(yes) + len(no),
        lower,
        upper,
        area(*_told_apart(real, held, sizes, random)),
        "area under the ROC curve of boosted trees that tell synthetic from training rows, on rows they did not learn "
        "from (classifier two-sample test, Lopez-Paz and Oquab 2017; 0.5 cannot be told apart); control: held-out "
        "rows in place of synthetic ones",
    )


def _codes(table: pl.DataFrame, variables: tuple[Variable, ...]) -> Codes:
    return np.stack([binned(table, v) for v in variables], axis=1)


def _told_apart(real: Codes, other: Codes, sizes: list[int], random: np.random.Generator) -> tuple[Floats, Floats]:
    """Out-of-fold scores of as many other rows as real rows."""
    size = min(len(real), len(other), MOST_CLASSIFIED)
    codes = np.concatenate([real[random.permutation(len(real))[:size]], other[random.permutation(len(other))[:size]]])
    labels = np.repeat([0.0, 1.0], size)
    # equal rows share a fold: else a copy of a real row would teach the learner the wrong answer for it
    alike = np.unique(codes, axis=0, return_inverse=True)[1].ravel()
    fold = random.permutation(int(alike.max()) + 1)[alike] % FOLDS
    scores = np.zeros(2 * size)
    for each in range(FOLDS):
        learner = Boosted(codes[fold != each], sizes, labels[fold != each])
        scores[fold == each] = learner.probability(codes[fold == each])
    return scores[size:], scores[:size]
