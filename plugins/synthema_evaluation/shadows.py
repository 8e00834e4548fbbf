"""The strongest membership attack: the generator is run many times, with each patient in half of the runs (LiRA).

The hook ``evaluate`` sees one synthetic table and cannot do this. Whoever can run the generator asks for the rows of
each run (:func:`halves_of`), has them learned from, and hands the synthetic rows in (:func:`attacked`): a governed run
does so from hook to hook inside its sandbox, :func:`shadow_audit` in one call with a function that makes rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthema.datasets.codebook import Codebook, Variable
from synthema.spi.model import Evaluation, Metric, Table
from synthema_evaluation.columns import Floats, Space, compared_variables, nearest
from synthema_evaluation.intervals import Z95, area
from synthema_evaluation.membership import MILLE, PER_CENT, recognised, roc

FEWEST_SHADOWS = 8
FEWEST_ROWS = 40
CANARIES = 20
SHADOW_FIGURES = ("shadowMembershipAUC", "shadowMembershipTPR", "shadowMembershipTPRStrict", "canaryAUC")
PARTS = 4
NEIGHBOURS = 5
LEAST_SPREAD = 1e-3
RESAMPLES = 60

Generate = Callable[[Table, int, int], Table]
"""Training rows, the number of rows to make, and a seed, to synthetic rows."""
Flags = NDArray[np.bool_]
Picks = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Attacked:
    """Scores of the attacked runs, and who was in; both of shape (runs, patients)."""

    scores: Floats
    inside: Flags

    def sides(self) -> tuple[Floats, Floats]:
        """Scores of members and of others, over all runs."""
        return self.scores[self.inside], self.scores[~self.inside]

    def of(self, patients: Picks | slice) -> _Attacked:
        """The same for some patients, repeats allowed."""
        return _Attacked(self.scores[:, patients], self.inside[:, patients])

    def again(self, random: np.random.Generator) -> _Attacked:
        """Runs and patients drawn anew: scores of one patient, or of one run, are not independent."""
        runs, patients = len(self.scores), int(self.scores.shape[1])
        rows = random.integers(0, runs, size=runs)
        return _Attacked(self.scores[rows], self.inside[rows]).of(random.integers(0, patients, size=patients))


def shadow_audit(
    generate: Generate,
    real: Table,
    codebook: Codebook,
    *,
    shadows: int = 32,
    canaries: int = CANARIES,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """LiRA against a generator that can be called here: :func:`halves_of`, the runs, and :func:`attacked`.

    ``progress`` is told runs done and runs in all. Raises ``ValueError`` with fewer than 8 shadows or 40
    rows: the figures would mean nothing.
    """
    made = []
    for run, rows in enumerate(halves_of(real, codebook, shadows=shadows, canaries=canaries, seed=seed), start=1):
        made.append(generate(rows, rows.height, seed + run))
        if progress:
            progress(run, shadows)
    return attacked(made, real, codebook, canaries=canaries, seed=seed)


def halves_of(real: Table, codebook: Codebook, *, shadows: int, canaries: int = CANARIES, seed: int = 0) -> list[Table]:
    """The rows that each run learns from: a random half of all, complementary halves in turn.

    Planted rows (canaries) are among them, as the worst case. Raises ``ValueError`` with fewer than 8
    shadows or 40 rows.
    """
    everyone, inside, _ = _drawn_up(real, codebook, shadows, canaries, seed)
    return [everyone.filter(pl.Series(chosen)) for chosen in inside]


def attacked(
    made: Sequence[Table], real: Table, codebook: Codebook, *, canaries: int = CANARIES, seed: int = 0
) -> Evaluation:
    """LiRA (Carlini et al. 2022) on the synthetic rows ``made`` in each run from the rows of :func:`halves_of`.

    Each quarter of the runs is attacked with what the other three teach: for each patient, how far the
    nearest and the nearest five synthetic rows lie when the patient was in and when not; the stronger of the
    two distances counts. ``canaries`` and ``seed`` are those that the halves were drawn with.
    """
    everyone, inside, random = _drawn_up(real, codebook, len(made), canaries, seed)
    space = Space(compared_variables(codebook, real), real)
    points = space.vectors(everyone)
    distances = np.zeros((2, *inside.shape))
    for run, table in enumerate(made):
        near = nearest(points, space.vectors(table), NEIGHBOURS)[0]
        distances[:, run] = np.log(np.stack([near[:, 0], near.mean(axis=1)]) + LEAST_SPREAD)
    attacks = [_Attacked(_likelihood_ratios(signal, inside), inside) for signal in distances]
    strongest = max(attacks, key=lambda attack: area(*attack.of(slice(0, real.height)).sides()))
    return _reported(strongest, real.height, random)


def _drawn_up(
    real: Table, codebook: Codebook, shadows: int, canaries: int, seed: int
) -> tuple[Table, Flags, np.random.Generator]:
    """All rows with the planted ones, who is in each run, and the random numbers that follow."""
    if shadows < FEWEST_SHADOWS or real.height < FEWEST_ROWS:
        raise ValueError("an audit with shadows needs at least 8 of them and 40 rows")
    random = np.random.Generator(np.random.PCG64(seed))
    planted = _canaries(canaries, real, codebook, random)
    everyone = pl.concat([real, planted], how="vertical_relaxed")
    return everyone, _halves(shadows, everyone.height, random), random


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


def _likelihood_ratios(distances: Floats, inside: Flags) -> Floats:
    """For each run and patient: log-likelihood of the distance had the patient been in, less that had they been out.

    Complementary runs stay in one part: each would tell of the other who was in.
    """
    part = np.arange(len(inside)) // 2 % PARTS
    scores = np.zeros(distances.shape)
    for each in range(PARTS):
        seen, who = distances[part != each], inside[part != each]
        sides = [_normal(distances[part == each], seen, chosen) for chosen in (who, ~who)]
        scores[part == each] = sides[0] - sides[1]
    return scores


def _normal(values: Floats, seen: Floats, chosen: Flags) -> Floats:
    """Log density of each patient's distances under the normal distribution of the chosen runs."""
    count = np.maximum(chosen.sum(axis=0), 1)
    mean = np.where(chosen.any(axis=0), np.where(chosen, seen, 0.0).sum(axis=0) / count, seen.mean(axis=0))
    squares = np.where(chosen, (seen - mean) ** 2, 0.0).sum(axis=0)
    # few runs per patient: half of the spread is the patient's own, half that of all
    own, common = squares / np.maximum(count - 1, 1), float(squares.sum() / max(chosen.sum() - chosen.shape[1], 1))
    spread = np.sqrt((own + common) / 2) + LEAST_SPREAD
    return np.asarray(-0.5 * ((values - mean) / spread) ** 2 - np.log(spread))


def _reported(attacked: _Attacked, patients: int, random: np.random.Generator) -> Evaluation:
    shadows = len(attacked.scores)
    real, planted = attacked.of(slice(0, patients)), attacked.of(slice(patients, None))
    again = [real.again(random).sides() for _ in range(RESAMPLES)]
    chance = area(*_Attacked(real.scores, random.permuted(real.inside, axis=1)).sides())
    runs = (
        f"LiRA with {shadows} runs of the generator (Carlini et al. 2022), each attacked; n counts patients times "
        "runs; interval: patients and runs drawn anew"
    )
    metrics = [
        _figure("shadowMembershipAUC", real, again, area, chance,
                f"area under the ROC curve of {runs}; control: members drawn anew"),
        _figure("shadowMembershipTPR", real, again, lambda m, o: recognised(m, o, PER_CENT)[0], PER_CENT,
                f"share of members recognised at one per cent of false positives by {runs}; control: that share"),
        _figure("shadowMembershipTPRStrict", real, again, lambda m, o: recognised(m, o, MILLE)[0], MILLE,
                f"share of members recognised at one per mille of false positives by {runs}; control: that share"),
    ]  # fmt: skip
    if min(map(len, planted.sides())) > 0:
        drawn = [planted.again(random).sides() for _ in range(RESAMPLES)]
        metrics.append(
            _figure("canaryAUC", planted, drawn, area, 0.5,
                    "shadowMembershipAUC of planted rows whose values are drawn evenly from what the codebook allows: "
                    "the worst case of a patient unlike all others; control: chance")
        )  # fmt: skip
    return Evaluation(
        tuple(metrics),
        {"attacks": {"shadows": {"runs": shadows, "roc": {"LiRA": roc(*real.sides())}}}},
        (
            (
                f"Each of {shadows} runs learned from a random half of the rows, so the figures are those of a table "
                "that size; a generator learning from more rows leaks less."
            ),
        ),
    )


def _figure(
    name: str,
    attacked: _Attacked,
    again: list[tuple[Floats, Floats]],
    figure: Callable[[Floats, Floats], float],
    control: float,
    definition: str,
) -> Metric:
    value = figure(*attacked.sides())
    half = Z95 * float(np.std([figure(*sides) for sides in again], ddof=1))
    return Metric(
        name, value, attacked.scores.size, max(0.0, value - half), min(1.0, value + half), control, definition
    )
