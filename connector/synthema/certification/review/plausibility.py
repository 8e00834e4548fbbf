"""The machine's part of the review: the rule pack of the disease dictionary, held against real and synthetic rows.

A rule cannot tell what a clinician sees, and a clinician does not check arithmetic. So both are reported side by side.
"""

from __future__ import annotations

import polars as pl

from synthema.certification.review.model import RuleFinding, at_least_small
from synthema.datasets.codebook import Codebook
from synthema.datasets.rules import breach, violations


def check_rules(synthetic: pl.DataFrame, real: pl.DataFrame, codebook: Codebook) -> tuple[RuleFinding, ...]:
    """How many rows of each table break each part of the rule pack; small counts of real rows are not told.

    Rules and derived columns count alike, as everywhere else (:func:`synthema.datasets.rules.violations`).
    """
    source = {rule.id: rule.source for rule in codebook.rules}
    made, known = violations(synthetic, codebook), violations(real, codebook)
    return tuple(
        RuleFinding(
            rule=name,
            sentence=breach(codebook, name)[1],
            source=source.get(name, ""),
            synthetic=int(broken.sum()),
            synthetic_rows=synthetic.height,
            real=at_least_small(int(known[name].sum())),
            real_rows=real.height,
        )
        for name, broken in made.items()
        if name in known
    )
