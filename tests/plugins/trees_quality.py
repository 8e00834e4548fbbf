"""How good the sequential trees' rows are, and what they tell of who was there.

``python -m tests.plugins.trees_quality --data amlsg``

Quality, for each seed: 70/30 split, as many synthetic rows as training rows. SDM, C, real C and KM as in
:mod:`tests.plugins.marginals_quality`; broken is the share of rows that break a rule of the codebook.

Membership, for each seed: the likelihood-ratio attack (Carlini et al. 2022) with shadow generators. Each shadow
learns from a random half of all patients. For each patient the logarithm of the distance to the synthetic rows
(nearest, and mean of the five nearest) follows one normal distribution where the patient was in, another where not;
a quarter of the shadows at a time is attacked with what the others teach. The stronger of the two distances counts.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

import synthema_trees
from synthema.datasets.codebook import Codebook
from synthema.spi.sampling import broken_rows
from synthema_evaluation.columns import Space, nearest
from tests.plugins.cohorts import COHORTS
from tests.plugins.marginals_quality import concordance, sdmetrics_score, survival_distance

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Maker = Callable[[pl.DataFrame, Codebook, int, int, dict[str, Any]], pl.DataFrame]
NEIGHBOURS = 5
QUARTERS = 4


def quality(cohort: str, seed: int, parameters: dict[str, Any]) -> dict[str, float]:
    """The figures of one split."""
    codebook = COHORTS[cohort].codebook
    train, holdout = COHORTS[cohort].split(seed)
    start = time.perf_counter()
    made = synthema_trees.generate(train, codebook, {"seed": seed, **parameters}, train.height).table
    seconds = time.perf_counter() - start
    return {
        "SDM": sdmetrics_score(train, made, codebook),
        "C": concordance(made, holdout, codebook),
        "real C": concordance(train, holdout, codebook),
        "KM": survival_distance(train, made, codebook),
        "broken": float(broken_rows(made, codebook).mean()),
        "seconds": seconds,
    }


def made_by_trees(
    table: pl.DataFrame, codebook: Codebook, seed: int, rows: int, parameters: dict[str, Any]
) -> pl.DataFrame:
    """Synthetic rows of one shadow."""
    return synthema_trees.generate(table, codebook, {"seed": seed, **parameters}, rows).table


def membership(
    cohort: str, seed: int, shadows: int, parameters: dict[str, Any], make: Maker = made_by_trees
) -> dict[str, float]:
    """AUC, and true positives at one per cent false positives, of the stronger of two distances."""
    whole, codebook = COHORTS[cohort].rows(), COHORTS[cohort].codebook
    inside, distances = _shadowed(whole, codebook, seed, shadows, parameters, make)
    found = [_attacked(inside, one) for one in distances]
    return {"LiRA AUC": max(f[0] for f in found), "TPR at 1 %": max(f[1] for f in found)}


def _shadowed(
    table: pl.DataFrame, codebook: Codebook, seed: int, shadows: int, parameters: dict[str, Any], make: Maker
) -> tuple[Flags, Floats]:
    """Who was in which shadow (shadows, patients), and the two log distances (2, shadows, patients)."""
    random = np.random.default_rng([seed, shadows])
    space = Space(tuple(v for v in codebook.variables if v.role != "identifier"), table)
    points, size = space.vectors(table), table.height // 2
    inside = np.zeros((shadows, table.height), dtype=bool)
    distances = np.zeros((2, shadows, table.height))
    for shadow in range(shadows):
        rows = random.permutation(table.height)[:size]
        inside[shadow, rows] = True
        made = make(table[rows.tolist()], codebook, int(random.integers(2**31)), size, parameters)
        near = nearest(points, space.vectors(made), NEIGHBOURS)[0]
        distances[:, shadow] = np.log(np.stack([near[:, 0], near.mean(axis=1)]) + 1e-3)
    return inside, distances


def _attacked(inside: Flags, distances: Floats) -> tuple[float, float]:
    areas, hits = [], []
    for quarter in range(QUARTERS):
        target = np.arange(len(inside)) % QUARTERS == quarter
        known, values = inside[~target], distances[~target]
        scores = _log_normal(distances[target], values, known) - _log_normal(distances[target], values, ~known)
        members, others = np.sort(scores[inside[target]]), np.sort(scores[~inside[target]])
        below = np.searchsorted(others, members, "left") + np.searchsorted(others, members, "right")
        areas.append(float(below.mean() / 2 / len(others)))
        hits.append(float((members > np.quantile(others, 0.99, method="higher")).mean()))
    return float(np.mean(areas)), float(np.mean(hits))


def _log_normal(values: Floats, seen: Floats, picked: Flags) -> Floats:
    """Log density of each patient's value under the normal distribution of the picked shadows."""
    number = np.maximum(picked.sum(axis=0), 1)
    mean = (seen * picked).sum(axis=0) / number
    variance = ((seen - mean) ** 2 * picked).sum(axis=0) / number
    variance = (variance + variance.mean()) / 2 + 1e-12  # few shadows: each patient's spread is drawn to the common one
    return np.asarray(-np.log(variance) / 2 - (values - mean) ** 2 / (2 * variance))


def line(found: list[dict[str, float]]) -> str:
    """Mean and standard deviation of each figure."""
    return ", ".join(
        f"{name} {np.mean([f[name] for f in found]):.4f} ± {np.std([f[name] for f in found]):.4f}" for name in found[0]
    )


def main(arguments: list[str] | None = None) -> int:
    """Print the figures; returns 2 where the data are absent."""
    parser = argparse.ArgumentParser(prog="python -m tests.plugins.trees_quality", description="Measure.")
    parser.add_argument("--data", choices=sorted(COHORTS), default="mgus2")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="the first seed: figures to rely on come from fresh ones")
    parser.add_argument("--shadows", type=int, default=32, help="shadow generators for each seed; 0 for no attack")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=NUMBER", help="parameters, e.g. evidence=4")
    chosen = parser.parse_args(arguments)
    if COHORTS[chosen.data].absent:
        sys.stderr.write(f"{COHORTS[chosen.data].absent}: see tests/plugins/{chosen.data}.py or cohorts.py\n")
        return 2
    seeds = range(chosen.first, chosen.first + chosen.seeds)
    parameters = {name: float(value) for name, value in (text.split("=") for text in chosen.set)}
    start = f"{chosen.data}, seeds {seeds[0]} to {seeds[-1]}"
    sys.stdout.write(f"{start}: {line([quality(chosen.data, seed, parameters) for seed in seeds])}\n")
    sys.stdout.flush()
    if chosen.shadows:
        found = [membership(chosen.data, seed, chosen.shadows, parameters) for seed in seeds]
        sys.stdout.write(f"{start}, {chosen.shadows} shadows each: {line(found)}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
