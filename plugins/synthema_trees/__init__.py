"""Sequential trees: synthetic rows drawn column after column, each from trees grown on the columns before it.

The best utility of our generators, and no differential privacy: see the README for what was measured,
and let an evaluation's membership attack pass the rows before they are released.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from synthema.datasets.codebook import Codebook
from synthema.spi.hookspecs import hookimpl
from synthema.spi.model import Generated, Parameters, Table
from synthema.spi.sampling import balanced, keep_rules, rows_of, subgroup
from synthema_trees.bags import Settings
from synthema_trees.sequence import Sequence

__all__ = ["generate"]

NOTES = (
    "No differential privacy: the rows rest on an evaluation's attacks, not on a proof.",
    "Categories and bounds come from the codebook; where trees cut comes from the data.",
    "Identifiers are not made up.",
)


@hookimpl
def generate(table: Table, codebook: Codebook, parameters: Parameters, rows: int) -> Generated:
    """Synthetic rows, of the whole cohort or of a subgroup, that keep every rule of the codebook."""
    if rows < 1:
        raise ValueError("at least one synthetic row must be asked for")
    where = dict(parameters.get("where") or {})
    wanted = subgroup(codebook, where)
    random = np.random.default_rng(parameters.get("seed"))
    sequence = Sequence(table, codebook, settings_of(parameters), random)

    def draw(number: int) -> Table:
        return keep_rules(sequence.draw, codebook, number)

    if parameters.get("balance"):
        made = balanced(draw, codebook, str(parameters["balance"]), wanted, rows)
    else:
        made = rows_of(draw, wanted, rows) if where else draw(rows)
    made = made.select(pl.all().gather(random.permutation(rows).tolist()))
    return Generated(made, epsilon=None, delta=0.0, notes=NOTES)


def settings_of(parameters: Parameters) -> Settings:
    """The settings that the parameters ask for, defaults elsewhere."""
    default = Settings()
    return Settings(
        leaf=int(parameters.get("leaf", default.leaf)),
        trees=int(parameters.get("trees", default.trees)),
        evidence=float(parameters.get("evidence", default.evidence)),
        prior=float(parameters.get("prior", default.prior)),
    )
