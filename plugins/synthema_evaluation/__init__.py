"""Evaluation: utility, attacks and clinical rules of a synthetic table, measured beside the real rows.

Runs inside the site that holds the real rows; only figures, curves and shares of
at least five people leave. Every attack and every utility figure has held-out
patients as its control. The same tables and seed give the same figures.
"""

from __future__ import annotations

import numpy as np

from synthema.datasets.codebook import Codebook
from synthema.spi.hookspecs import hookimpl
from synthema.spi.model import Evaluation, Metric, Parameters, Table
from synthema_evaluation import attacks, table_checks, utility
from synthema_evaluation.columns import Tables, compared_variables

__all__ = ["evaluate"]

SMALLEST_SAMPLE = 10


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

    marginal, marginals = utility.marginal_similarity(tables, variables, random)
    survival, curves = utility.survival_metrics(tables, codebook, codebook.outcomes, random)
    concordance = [
        metric
        for outcome in codebook.outcomes[:1]
        for metric in utility.concordance_metrics(tables, codebook, variables, outcome, random)
    ]
    membership, membership_each = attacks.membership_metrics(tables, variables, random)
    attribute, attribute_each = attacks.attribute_metric(tables, variables)
    singling, singling_each = attacks.singling_out_metric(tables, variables, random)
    rules, rules_each = table_checks.rule_metric(tables, codebook)
    found: list[Metric | None] = [
        marginal,
        utility.pair_similarity(tables, variables, random),
        *survival,
        *concordance,
        *membership,
        attribute,
        singling,
        attacks.copied_metric(tables, variables),
        attacks.nearest_ratio_metric(tables, variables, random),
        rules,
        table_checks.smallest_class_metric(tables, codebook),
    ]
    return Evaluation(
        tuple(metric for metric in found if metric is not None),
        {
            "survival": curves,
            "marginals": marginals,
            "rules": rules_each,
            "attacks": {
                "membership": membership_each,
                "attributeInference": attribute_each,
                "singlingOut": singling_each,
            },
        },
        _notes(tables, codebook),
    )


def _notes(tables: Tables, codebook: Codebook) -> tuple[str, ...]:
    notes = [
        "Shares of fewer than five real patients are left out of plots; curves end where fewer than ten are at risk."
    ]
    if not codebook.outcomes:
        notes.append("The codebook has no survival outcome: survival figures and concordance were not measured.")
    if tables.holdout.height < 100:
        notes.append(f"Only {tables.holdout.height} held-out rows: one per cent false positives is at most one person.")
    return tuple(notes)
