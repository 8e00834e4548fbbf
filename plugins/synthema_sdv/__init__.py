"""SDV adapter: GaussianCopula, CTGAN and TVAE of the Synthetic Data Vault, in an interpreter of their own.

SDV is under the Business Source Licence 1.1, which is no open-source licence: the manifest says so, so that it is
read before the plugin is approved, and nothing runs until a run states that the licence was read.
"""

from __future__ import annotations

from synthema.datasets.codebook import Codebook
from synthema.spi.hookspecs import hookimpl
from synthema.spi.model import Generated, Parameters, Table
from synthema.spi.sampling import keep_rules, rows_of, subgroup

__all__ = ["LICENCE_NOTE", "generate"]

LICENCE_NOTE = (
    "Made with SDV under the Business Source Licence 1.1 (licensor DataCebo): no commercial offering may let third "
    "parties use its synthetic data creation."
)
NOTES = (
    LICENCE_NOTE,
    "No differential privacy: the rows rest on an evaluation's attacks, not on a proof.",
    "Bounds of numbers come from the data, then from the codebook; identifiers are not made up.",
)


@hookimpl
def generate(table: Table, codebook: Codebook, parameters: Parameters, rows: int) -> Generated:
    """Synthetic rows of one SDV synthesiser, held to the codebook's rules, or as SDV drew them (``keep_rules``)."""
    if not parameters.get("licence_accepted"):
        raise ValueError("SDV is under the Business Source Licence 1.1: read it and set licence_accepted to true")
    if rows < 1:
        raise ValueError("at least one synthetic row must be asked for")
    try:
        from synthema_sdv.synthesisers import fitted  # noqa: PLC0415 - SDV lives in an environment of its own
    except ImportError as error:
        raise ValueError("this interpreter has no SDV: make the environment that the plugin's README says") from error
    where = dict(parameters.get("where") or {})
    wanted = subgroup(codebook, where)
    sample = fitted(table, codebook, parameters)

    def draw(number: int) -> Table:
        return keep_rules(sample, codebook, number) if parameters.get("keep_rules", True) else sample(number)

    return Generated(rows_of(draw, wanted, rows) if where else draw(rows), epsilon=None, delta=0.0, notes=NOTES)
