"""Evaluation: utility, attacks and clinical rules of a synthetic table, measured beside the real rows.

Runs inside the site that holds the real rows; only figures, curves and shares of
at least five people leave. Every attack and every utility figure has held-out
patients as its control. The same tables and seed give the same figures.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from synthema.datasets.codebook import Codebook
from synthema.spi.hookspecs import hookimpl
from synthema.spi.model import Evaluation, Metric, Parameters, Table
from synthema_evaluation.columns import Tables, compared_variables
from synthema_evaluation.shadows import SHADOW_FIGURES, attacked, halves_of, shadow_audit
from synthema_evaluation.steps import NEEDS, STEPS, Job

__all__ = ["evaluate", "shadow_attack", "shadow_audit", "shadow_rows"]

SMALLEST_SAMPLE = 10
LOG = logging.getLogger(__name__)
"""Told at level INFO which step begins; whoever wants to show progress listens."""


@hookimpl
def evaluate(train: Table, holdout: Table, synthetic: Table, codebook: Codebook, parameters: Parameters) -> Evaluation:
    """All figures; raises ``ValueError`` when a table has fewer than ten rows, for then no figure means anything."""
    for sentence, table in (
        ("the training table has fewer than 10 rows: evaluate on more rows", train),
        ("the held-out table has fewer than 10 rows: hold more patients out, or evaluate on more rows", holdout),
        ("the synthetic table has fewer than 10 rows: ask for more rows", synthetic),
    ):
        if table.height < SMALLEST_SAMPLE:
            raise ValueError(sentence)
    variables = compared_variables(codebook, train, holdout, synthetic)
    names = [variable.name for variable in variables]
    tables = Tables(*(table.select(names) for table in (train, holdout, synthetic)))
    codebook = codebook.keep(tuple(names))
    random = np.random.Generator(np.random.PCG64(int(parameters.get("seed", 0))))

    found: list[Metric | None] = []
    series: dict[str, Any] = {"attacks": {}}
    for number, (sentence, step) in enumerate(STEPS, start=1):
        LOG.info("%s of %s: %s", number, len(STEPS), sentence)
        figures, more = step(Job(tables, codebook, variables, random))
        found += figures
        series["attacks"] |= more.pop("attacks", {})
        series |= more
    metrics = tuple(metric for metric in found if metric is not None)
    elsewhere = SHADOW_FIGURES if parameters.get("shadows", 0) else ()
    return Evaluation(metrics, series, _notes(tables, codebook, {metric.id for metric in metrics} | {*elsewhere}))


@hookimpl
def shadow_rows(table: Table, codebook: Codebook, parameters: Parameters) -> list[Table]:
    """The rows that each shadow run learns from; raises ``ValueError`` with fewer than 8 runs or 40 rows."""
    shadows, seed = int(parameters.get("shadows", 0)), int(parameters.get("seed", 0))
    return halves_of(table, codebook, shadows=shadows, seed=seed)


@hookimpl
def shadow_attack(table: Table, made: list[Table], codebook: Codebook, parameters: Parameters) -> Evaluation:
    """LiRA on what the shadow runs made; raises ``ValueError`` with fewer than 8 runs or 40 rows."""
    return attacked(made, table, codebook, seed=int(parameters.get("seed", 0)))


def _notes(tables: Tables, codebook: Codebook, measured: set[str]) -> tuple[str, ...]:
    notes = [
        "Shares of fewer than five real patients are left out of plots; curves end where fewer than ten are at risk."
    ]
    if not codebook.outcomes:
        notes.append("The codebook has no survival outcome: survival figures and concordance were not measured.")
    if tables.holdout.height < 100:
        notes.append(f"Only {tables.holdout.height} held-out rows: one per cent false positives is at most one person.")
    notes += [f"Not measured: {name}, for {why}." for name, why in NEEDS.items() if name not in measured]
    return tuple(notes)
