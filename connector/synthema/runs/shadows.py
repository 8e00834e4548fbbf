"""The strongest membership attack inside a governed run: its generator learns again and again, each time from a half.

The shadow runs happen in the sandbox session of the run itself, on rows it has opened already, and their synthetic rows
go to the evaluator and nowhere else. What leaves are the figures of the attack. They are computed on real rows, so they
are no post-processing of anything private: like all figures of an evaluation they carry no noise, and no ε covers them.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from synthema.errors import InputError, PluginError
from synthema.runs.model import Step
from synthema.runs.session import GovernedSession
from synthema.spi.model import Evaluation, Table

SHADOWS = "shadows"
"""The parameter of an evaluator that says how many shadow runs to make."""
FEWEST = 8


def check_shadows(evaluator: Step) -> int:
    """How many shadow runs a request asks for; raises :class:`InputError` for a number that tells nothing."""
    asked = evaluator.parameters.get(SHADOWS, 0)
    if isinstance(asked, int) and 0 < asked < FEWEST:
        raise InputError(
            f"{asked} shadow runs tell nothing of who was in them",
            where=f"request: evaluate.parameters.{SHADOWS}",
            fix=f"ask for at least {FEWEST}, for 16 or more where it is affordable, or for 0",
        )
    return int(asked)


def with_shadows(
    session: GovernedSession, evaluator: Step, found: Evaluation, generate: Callable[[Table, int], Table]
) -> Evaluation:
    """``found`` with the figures of the attack, where the request asks for shadow runs.

    ``generate`` makes as many synthetic rows as it is given real ones; it is told the number of the run, from 1.
    """
    if not check_shadows(evaluator):
        return found
    prepared = session.prepared
    given = {
        "table": pl.concat([prepared.train, prepared.holdout]),
        "codebook": prepared.codebook,
        "parameters": evaluator.parameters,
    }
    halves = session.call(evaluator.plugin, "shadow_rows", **given)
    made = [generate(rows, number) for number, rows in enumerate(halves, start=1)]
    attack = session.call(evaluator.plugin, "shadow_attack", made=made, **given)
    if not isinstance(attack, Evaluation):
        raise PluginError(
            f"the evaluator '{evaluator.plugin}' gave no figures of the attack",
            fix="use an evaluator that passes its contract tests",
        )
    return Evaluation(found.metrics + attack.metrics, _joined(found, attack), found.notes + attack.notes)


def _joined(found: Evaluation, attack: Evaluation) -> dict[str, object]:
    """The series of both; those of attacks lie side by side."""
    sides = [series.get("attacks", {}) for series in (found.series, attack.series)]
    attacks = {name: series for side in sides if isinstance(side, dict) for name, series in side.items()}
    return {**found.series, **attack.series, "attacks": attacks}
