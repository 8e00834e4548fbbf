"""The strongest membership attack: the generator is run many times, with each patient in half of the runs (LiRA).

The hook ``evaluate`` sees one synthetic table and cannot do this. Whoever can run the generator
(``synthema evaluate --generator``, a benchmark) calls :func:`shadow_audit` with a function that makes rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthema.datasets.codebook import Codebook, Variable
from synthema.spi.model import Evaluation, Metric, Table
from synthema_evaluation.columns import Floats, Space, compared_variables, nearest
from synthema_evaluation.intervals import Z95, area
from synthema_evaluation.membership import MILLE, PER_CENT, auc_metric, roc, tpr_metric

FEWEST_SHADOWS = 8
TARGETS = 0.25
LEAST_SPREAD = 1e-3
RESAMPLES = 100

Generate = Callable[[Table, int, int], Table]
"""Training rows, the number of rows to make, and a seed, to synthetic rows."""
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Attacked:
    """Scores of the attacked runs, and who was in; both of shape (runs, patients)."""

    scores: Floats
    inside: Flags

    def sides(self, patients: NDArray[np.int64] | slice) -> tuple[Floats, Floats]:
        """Scores of members and of others among some patients, over all attacked runs."""
        scores, inside = self.scores[:, patients], self.inside[:, patients]
        return scores[inside], scores[~inside]


def shadow_audit(
    generate: Generate,
    real: Table,
    codebook: Codebook,
    *,
    shadows: int = 32,
    canaries: int = 20,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """LiRA (Carlini et al. 2022) against a generator, with planted rows (canaries) as the worst case.

    Runs ``shadows`` times on a random half of the rows (complementary halves in turn). A quarter of the
    runs are attacked; the others tell for each patient how far the nearest synthetic row lies
    when the patient was in and when not. ``progress`` is told runs done and runs in all.
    Raises ``ValueError`` with fewer than 8 shadows or 40 rows: the figures would mean nothing.
    """
    if shadows < FEWEST_SHADOWS or real.height < 40:
        raise ValueError("an audit with shadows needs at least 8 of them and 40 rows")
    random = np.random.Generator(np.random.PCG64(seed))
    variables = compared_variables(codebook, real)
    planted = _canaries(canaries, real, codebook, random)
    everyone = pl.concat([real, planted], how="vertical_relaxed")
    space = Space(variables, real)
    points = space.vectors(everyone)
    inside = _halves(shadows, everyone.height, random)
    distances = np.zeros(inside.shape)
    for run, chosen in enumerate(inside):
        rows = everyone.filter(pl.Series(chosen))
        made = space.vectors(generate(rows, rows.height, seed + run + 1))
        distances[run] = np.log(nearest(points, made, 1)[0][:, 0] + LEAST_SPREAD)
        if progress:
            progress(run + 1, shadows)
    attacked = _likelihood_ratios(distances, inside, max(2, round(TARGETS * shadows)))
    return _reported(attacked, real.height, shadows, random)


def _halves(runs: int, rows: int, random: np.random.Generator) -> Flags:
    """Who is in each run: a random half, then the other half, and so on."""
    masks: list[Flags] = []
    while len(masks) < runs:
        chosen = np.zeros(rows, dtype=bool)
        chosen[random.permutation(rows)[: rows // 2]] = True
        masks += [chosen, ~chosen]
    return np.array(masks[:runs])


def _canaries(number: int, real: Table, codebook: Codebook, random: np.random.Generator) -> Table:
    """Rows that nobody has: each value drawn evenly from what the codebook allows."""
    columns: dict[str, pl.Series] = {}
    for name in real.columns:
        kind = real.schema[name]
        variable = next((v for v in codebook.variables if v.name == name), None)
        values: list[object] = [None] * number if variable is None else _drawn(variable, number, random)
        if name == codebook.patient_key:
            values = _new_keys(real[name], number)
        columns[name] = pl.Series(name, values, strict=False).cast(kind, strict=False)
    return pl.DataFrame(columns)


def _new_keys(column: pl.Series, number: int) -> list[object]:
    if column.dtype == pl.String:
        return [f"canary-{i}" for i in range(number)]
    largest = int(str(column.cast(pl.Int64, strict=False).max() or 0))
    return [largest + 1 + i for i in range(number)]


def _drawn(variable: Variable, number: int, random: np.random.Generator) -> list[object]:
    if variable.type == "category":
        return [variable.categories[i] for i in random.integers(0, len(variable.categories), size=number)]
    if variable.type == "text":
        return [f"canary-{i}" for i in range(number)]
    values = random.uniform(float(variable.minimum or 0.0), float(variable.maximum or 0.0), size=number)
    return [round(float(v)) if variable.type == "integer" else float(v) for v in values]


def _likelihood_ratios(distances: Floats, inside: Flags, targets: int) -> _Attacked:
    """Log-likelihood of each attacked run's distance had the patient been in, less that had they been out."""
    seen, who = distances[targets:], inside[targets:]
    means, spreads = [], []
    for chosen in (who, ~who):
        known = np.where(chosen, seen, np.nan)
        count = np.maximum(chosen.sum(axis=0), 1)
        mean = np.where(chosen.any(axis=0), np.nansum(known, axis=0) / count, seen.mean(axis=0))
        squares = np.where(chosen, (seen - mean) ** 2, 0.0).sum(axis=0)
        # few runs per patient: half of the spread is the patient's own, half that of all
        own, common = squares / np.maximum(count - 1, 1), float(squares.sum() / max(chosen.sum() - chosen.shape[1], 1))
        means.append(mean)
        spreads.append(np.sqrt((own + common) / 2) + LEAST_SPREAD)
    target = distances[:targets]
    likely = [-0.5 * ((target - m) / s) ** 2 - np.log(s) for m, s in zip(means, spreads, strict=True)]
    return _Attacked(np.asarray(likely[0] - likely[1]), inside[:targets])


def _reported(attacked: _Attacked, patients: int, shadows: int, random: np.random.Generator) -> Evaluation:
    members, others = attacked.sides(slice(0, patients))
    chance = random.permuted(attacked.inside[:, :patients], axis=1)
    control = area(attacked.scores[:, :patients][chance], attacked.scores[:, :patients][~chance])
    runs = f"LiRA with {shadows} runs of the generator (Carlini et al. 2022), n counts patients times attacked runs"
    draws = [area(*attacked.sides(random.integers(0, patients, size=patients))) for _ in range(RESAMPLES)]
    auc = area(members, others)
    half = Z95 * float(np.std(draws, ddof=1))
    metrics = [
        Metric("shadowMembershipAUC", auc, len(members) + len(others), max(0.0, auc - half), min(1.0, auc + half),
               control, f"area under the ROC curve of {runs}, patients resampled; control: members drawn anew"),
        tpr_metric("shadowMembershipTPR", members, others, PER_CENT, random,
                   f"share of members recognised at one per cent of false positives by {runs}; control: that share"),
        tpr_metric("shadowMembershipTPRStrict", members, others, MILLE, random,
                   f"share of members recognised at one per mille of false positives by {runs}; control: that share"),
    ]  # fmt: skip
    planted = attacked.sides(slice(patients, None))
    if min(map(len, planted)) > 0:
        metrics.append(
            auc_metric("canaryAUC", planted[0], planted[1], 0.5, random,
                       "the same area for planted rows whose values are drawn evenly from what the codebook allows: "
                       "the worst case of a patient unlike all others; control: chance")
        )  # fmt: skip
    return Evaluation(
        tuple(metrics),
        {"attacks": {"shadows": {"runs": shadows, "roc": {"LiRA": roc(members, others)}}}},
        (
            (
                f"Each of {shadows} runs learned from a random half of the rows, so the figures are those of a table "
                "that size; a generator learning from more rows leaks less."
            ),
        ),
    )
