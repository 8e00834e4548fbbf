"""The machine's part of the review: the rules of the disease dictionary, held against real and synthetic rows.

A rule cannot tell what a clinician sees, and a clinician does not check arithmetic. So both are reported side by side.
"""

from __future__ import annotations

import polars as pl

from synthema.certification.review.model import RuleFinding, at_least_small
from synthema.datasets.codebook import Codebook
from synthema.datasets.rules import broken


def check_rules(synthetic: pl.DataFrame, real: pl.DataFrame, codebook: Codebook) -> tuple[RuleFinding, ...]:
    """How many rows of each table break each rule; small counts of real rows are not told."""
    return tuple(
        RuleFinding(
            rule=rule.id,
            sentence=rule.sentence,
            source=rule.source,
            synthetic=int(broken(synthetic, rule).sum()),
            synthetic_rows=synthetic.height,
            real=at_least_small(int(broken(real, rule).sum())),
            real_rows=real.height,
        )
        for rule in codebook.rules
        if rule.variables <= set(synthetic.columns) & set(real.columns)
    )
