"""How long a whole evaluation takes, and what it says of tables whose worth is known.

``python -m tests.plugins.evaluation_quality --data amlsg --seeds 3 --shadows 32``

For each seed: a 70/30 split, 1,000 training rows at most, as many synthetic rows, every step of the evaluator and,
with ``--shadows``, the attack that runs the generator many times. ``copy`` draws training rows anew (the worst
privacy), ``independent`` shuffles each column (the worst structure); the others are our generators.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

import synthema_evaluation
import synthema_marginals
import synthema_trees
from synthema.datasets.codebook import Codebook
from tests.plugins import amlsg, mgus

COHORTS: dict[str, Any] = {
    "amlsg": (amlsg.CODEBOOK, amlsg.split, amlsg.amlsg_table),
    "mgus2": (mgus.CODEBOOK, mgus.split, mgus.mgus_table),
}
MOST_ROWS = 1000
SHOWN = (
    "pairSimilarity", "classifierAUC", "survivalDistance", "hazardRatioCorrelation", "concordanceGap", "aucGap",
    "knowledgeReproduced", "ruleViolations", "membershipAUC", "membershipTPR", "linkabilityRisk", "inferenceRisk",
    "shadowMembershipAUC", "shadowMembershipTPR", "shadowMembershipTPRStrict", "canaryAUC",
)  # fmt: skip
Make = Callable[[pl.DataFrame, Codebook, int, int], pl.DataFrame]


def _copy(table: pl.DataFrame, _codebook: Codebook, rows: int, seed: int) -> pl.DataFrame:
    return table.sample(rows, with_replacement=True, seed=seed)


def _independent(table: pl.DataFrame, _codebook: Codebook, rows: int, seed: int) -> pl.DataFrame:
    columns = [table[c].sample(rows, with_replacement=True, seed=seed + i) for i, c in enumerate(table.columns)]
    return pl.DataFrame(columns)


def _trees(table: pl.DataFrame, codebook: Codebook, rows: int, seed: int) -> pl.DataFrame:
    return synthema_trees.generate(table, codebook, {"seed": seed}, rows).table


def _marginals(table: pl.DataFrame, codebook: Codebook, rows: int, _seed: int) -> pl.DataFrame:
    return synthema_marginals.generate(table, codebook, {"epsilon": 5.0, "delta": 1e-5}, rows).table


GENERATORS: dict[str, Make] = {
    "copy": _copy,
    "independent": _independent,
    "trees": _trees,
    "marginals": _marginals,
}


def measured(cohort: str, generator: str, seed: int, shadows: int) -> dict[str, float]:
    """The figures of one split and the seconds they took (the making of the synthetic rows is not counted)."""
    codebook, split, _ = COHORTS[cohort]
    train, holdout = split(seed)
    train, make = train[:MOST_ROWS], GENERATORS[generator]
    synthetic = make(train, codebook, train.height, seed)
    start, used = time.perf_counter(), time.process_time()
    found = list(synthema_evaluation.evaluate(train, holdout, synthetic, codebook, {"seed": seed}).metrics)
    seconds, spent = time.perf_counter() - start, time.process_time() - used
    if shadows:
        start = time.perf_counter()
        whole = pl.concat([train, holdout])
        found += synthema_evaluation.shadow_audit(
            lambda table, rows, number: make(table, codebook, rows, number), whole, codebook, shadows=shadows, seed=seed
        ).metrics
    values = {metric.id: metric.value for metric in found}
    figures = {name: values[name] for name in SHOWN if name in values}
    figures |= {"seconds": seconds, "seconds of processor": spent}
    return figures | ({"seconds with shadows": seconds + time.perf_counter() - start} if shadows else {})


def line(found: list[dict[str, float]]) -> str:
    """Mean and standard deviation of each figure."""
    return ", ".join(
        f"{name} {np.mean([f[name] for f in found]):.3f} ± {np.std([f[name] for f in found]):.3f}" for name in found[0]
    )


def main(arguments: list[str] | None = None) -> int:
    """Print one line a generator; returns 2 where the data are absent."""
    parser = argparse.ArgumentParser(prog="python -m tests.plugins.evaluation_quality", description="Measure.")
    parser.add_argument("--data", choices=sorted(COHORTS), default="mgus2")
    parser.add_argument("--generators", nargs="+", choices=sorted(GENERATORS), default=sorted(GENERATORS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--shadows", type=int, default=0, help="runs of the generator for LiRA; 0 for none")
    given = parser.parse_args(arguments)
    if given.data == "amlsg" and not amlsg.present():
        sys.stderr.write(f"the data do not lie in {amlsg.FOLDER}: set SYNTHEMA_TEST_DATA\n")
        return 2
    for generator in given.generators:
        found = [measured(given.data, generator, seed, given.shadows) for seed in range(given.seeds)]
        sys.stdout.write(f"{given.data}, {generator}, {given.seeds} seeds: {line(found)}\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
