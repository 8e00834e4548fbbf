"""How good the sequential trees' rows are, and what they tell of who was there.

``python -m tests.plugins.trees_quality --data amlsg``

Quality, for each seed: 70/30 split, as many synthetic rows as training rows. SDM, C, real C and KM as in
:mod:`tests.plugins.marginals_quality`; broken is the share of rows that break a rule of the codebook.

Membership, for each seed: the likelihood-ratio attack with shadow generators that each learn from a random half of all
patients, as the evaluation plugin makes it (:func:`synthema_evaluation.shadow_audit`, without planted rows).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

import synthema_trees
from synthema.datasets.codebook import Codebook
from synthema.spi.sampling import broken_rows
from synthema_evaluation import shadow_audit
from tests.plugins.cohorts import COHORTS
from tests.plugins.marginals_quality import concordance, sdmetrics_score, survival_distance

Maker = Callable[[pl.DataFrame, Codebook, int, int, dict[str, Any]], pl.DataFrame]


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
    """AUC, and true positives at one per cent false positives, of the audit with shadows on all patients."""
    whole, codebook = COHORTS[cohort].rows(), COHORTS[cohort].codebook

    def made(table: pl.DataFrame, rows: int, number: int) -> pl.DataFrame:
        return make(table, codebook, number, rows, parameters)

    # Runs of neighbouring seeds would share generators: the audit numbers them from its seed on.
    audit = shadow_audit(made, whole, codebook, shadows=shadows, canaries=0, seed=seed * 1000)
    found = {metric.id: metric.value for metric in audit.metrics}
    return {"LiRA AUC": found["shadowMembershipAUC"], "TPR at 1 %": found["shadowMembershipTPR"]}


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
