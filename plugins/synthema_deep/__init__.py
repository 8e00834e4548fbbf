"""Deep generators in torch: a variational autoencoder or a diffusion model, with a survival head.

Optional differentially private training (DP-SGD by Opacus). For cohorts of a few thousand patients they lose
against the other generators of this house in most respects: the README says where, with figures.
"""

from __future__ import annotations

from synthema.datasets.codebook import Codebook
from synthema.spi.hookspecs import hookimpl
from synthema.spi.model import Generated, Parameters, Table
from synthema.spi.sampling import keep_rules, rows_of, subgroup

__all__ = ["generate"]


@hookimpl
def generate(table: Table, codebook: Codebook, parameters: Parameters, rows: int) -> Generated:
    """Synthetic rows, of the whole cohort or of a subgroup, that keep every rule of the codebook.

    With ``epsilon`` above 0 every step of training is private and ``Generated`` tells the loss really spent.
    """
    if rows < 1:
        raise ValueError("at least one synthetic row must be asked for")
    try:
        from synthema_deep.training import Settings, learn  # noqa: PLC0415 - torch is an extra and loads slowly
    except ImportError as error:
        raise ValueError("the deep generators need torch and opacus: install synthema[deep]") from error
    where = dict(parameters.get("where") or {})
    wanted = subgroup(codebook, where)
    learned = learn(table, codebook, Settings.of(parameters))

    def draw(number: int) -> Table:
        return keep_rules(learned.draw, codebook, number)

    made = rows_of(draw, wanted, rows) if where else draw(rows)
    return Generated(made, learned.epsilon, learned.delta, notes=learned.notes)
