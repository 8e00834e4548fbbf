"""What a study asks for: terms, target, rounds and how they share the privacy loss, from codebook and parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthema.datasets.codebook import Codebook
from synthema.spi.axes import Cells
from synthema.spi.ranking import RISK_BINS, held_out, ranked
from synthema.spi.sums import Whole, check_size, patients_summed, scale_for, whole_sensitivity
from synthema_additive.cells import Term, term_of
from synthema_additive.targets import Answers, Target, target_of

Floats = NDArray[np.float64]

ROUNDS, RATE, LEAVES, RIDGE, HELD_OUT = 40, 0.1, 4, 5.0, 0.2
MOST_PATIENTS = 2**14
MOST_CELLS = 20_000
FARTHEST = 30.0
FIRST_SHARE, LAST_SHARE = 0.1, 0.1


@dataclass(frozen=True, slots=True)
class Rows:
    """A table as the model reads it: the cell of each term, shape ``(rows, terms)``, and the answers."""

    cells: Cells
    answers: Answers


@dataclass(frozen=True, slots=True)
class Problem:
    """A model with the sums that its rounds ask for.

    Round 1 counts; rounds 2 to ``steps + 1`` move the scores; one more ranks the patients held out, if any are.
    ``marks`` are the columns whose values say who is held out.
    """

    terms: tuple[Term, ...]
    target: Target
    steps: int
    rate: float
    most_leaves: int
    ridge: float
    held_out: float
    most_patients: int
    marks: tuple[str, ...]

    @property
    def rounds(self) -> int:
        """Number of all rounds."""
        return self.steps + 1 + (self.held_out > 0)

    @property
    def scale(self) -> int:
        """How the pulls of the steps become whole numbers."""
        return scale_for(self.most_patients)

    def phase(self, number: int) -> str:
        """What round ``number`` is for: counts, step or ranking."""
        if number == 1:
            return "counts"
        return "step" if number <= self.steps + 1 else "ranking"

    def length(self, number: int) -> int:
        """Entries of a round's vector."""
        if self.phase(number) == "ranking":
            return self.target.bins * RISK_BINS * 2
        if self.phase(number) == "counts":
            return sum(term.cells for term in self.terms) + 2 * self.target.bins
        return len(self.target.baseline_labels) + sum(int(leaf.max()) + 1 for leaf in self.leaves(number))

    def sensitivity(self, number: int) -> float:
        """L2 change of a round's vector of integers when one row comes or goes.

        A patient is in one cell of each term. In a step the patient's pull on each term is at most ``most``, that on
        the baseline at most √(1 + most²): one event, less an expected number cut at ``most``.
        """
        if self.phase(number) == "ranking":
            return 1.0
        if self.phase(number) == "counts":
            return math.sqrt(len(self.terms) + 1)
        baseline, most = len(self.target.baseline_labels), self.target.most
        square = len(self.terms) + (1.0 if baseline == 1 else (1 + most**2) / most**2)
        return whole_sensitivity(math.sqrt(square), len(self.terms) + baseline, self.scale)

    def rho_of(self, number: int, rho: float) -> float:
        """The loss of one round: a tenth for the counts, a tenth for the ranking, the rest in equal steps."""
        if self.phase(number) == "counts":
            return rho * FIRST_SHARE
        if self.phase(number) == "ranking":
            return rho * LAST_SHARE
        return rho * (1 - FIRST_SHARE - LAST_SHARE * (self.held_out > 0)) / self.steps

    def leaves(self, number: int) -> list[Cells]:
        """The leaf of each cell of each term in round ``number``."""
        return [term.leaves(number, place, self.most_leaves) for place, term in enumerate(self.terms)]

    def read(self, table: pl.DataFrame, *, kept_out: bool) -> Rows:
        """The rows to learn from, or those held out."""
        answers, known = self.target.read(table)
        out = held_out(table, list(self.marks), self.held_out) if self.held_out else np.zeros(table.height, dtype=bool)
        chosen = known & (out if kept_out else ~out)
        cells = np.stack([term.place(table) for term in self.terms], axis=1)[chosen]
        return Rows(cells, Answers(answers.place[chosen], answers.happened[chosen], answers.followed[chosen]))

    def add_up(self, number: int, table: pl.DataFrame, baseline: Floats, scores: list[Floats]) -> Whole:
        """A site's vector of a round at these scores; raises ``ValueError`` where it could overflow."""
        check_size(table.height, self.most_patients)
        phase = self.phase(number)
        rows = self.read(table, kept_out=phase == "ranking")
        place, happened = rows.answers.place, rows.answers.happened
        if phase == "counts":
            counted = [np.bincount(rows.cells[:, n], minlength=term.cells) for n, term in enumerate(self.terms)]
            counted.append(np.bincount(place * 2 + happened, minlength=2 * self.target.bins))
            return np.concatenate(counted).astype(np.int64)
        total = np.zeros(len(place))
        for number_of, score in enumerate(scores):
            total += score[rows.cells[:, number_of]]
        if phase == "ranking":
            return ranked(place, self.target.bins, self.target.risk(baseline, total), happened)
        on_baseline, pull = self.target.pulls(rows.answers, baseline, total)
        whole = np.rint(np.clip(pull / self.target.most, -1.0, 1.0) * self.scale)
        parts = [patients_summed(on_baseline, self.scale, largest=self.target.most)]
        for n, leaf in enumerate(self.leaves(number)):
            # whole numbers below 2^53: the sum of floats is exact
            summed = np.bincount(leaf[rows.cells[:, n]], weights=whole, minlength=int(leaf.max()) + 1)
            parts.append(summed.astype(np.int64))
        return np.concatenate(parts)


def problem(codebook: Codebook, asked: dict[str, Any]) -> Problem:
    """Read a study's parameters; raises ``ValueError`` naming what does not fit the codebook."""
    target = target_of(codebook, asked)
    names = [str(name) for name in asked.get("covariates", ())]
    if not names or len(set(names)) != len(names):
        raise ValueError("'covariates' names each variable once, and at least one")
    if set(names) & set(target.columns):
        raise ValueError("the outcome cannot explain itself: leave it out of the covariates")
    terms = tuple(term_of(codebook, name) for name in names)
    if sum(term.cells for term in terms) > MOST_CELLS:
        raise ValueError(f"the model has more than {MOST_CELLS} cells: use fewer covariates")
    made = Problem(
        terms, target, int(asked.get("steps", ROUNDS)), float(asked.get("rate", RATE)),
        int(asked.get("leaves", LEAVES)), float(asked.get("ridge", RIDGE)), float(asked.get("held_out", HELD_OUT)),
        int(asked.get("most_patients", MOST_PATIENTS)),
        tuple(name for name in codebook.names() if name not in target.columns),
    )  # fmt: skip
    within = 1 <= made.steps <= 1000 and 0 < made.rate <= 1 and 2 <= made.most_leaves <= 64
    if not (within and made.ridge > 0 and 0 <= made.held_out <= 0.5):
        raise ValueError("'steps', 'rate', 'leaves', 'ridge' or 'held_out' lies outside what the manifest allows")
    return made


def checked_scores(found: Problem, values: dict[str, Any]) -> tuple[Floats, list[Floats]]:
    """Baseline and scores of a state that came from outside; raises ``ValueError`` when they are not the model's."""
    baseline = np.asarray(values["baseline"], dtype=np.float64)
    scores = [np.asarray(score, dtype=np.float64) for score in values["scores"]]
    fits = baseline.shape == (len(found.target.baseline_labels),) and len(scores) == len(found.terms)
    if not fits or any(score.shape != (term.cells,) for score, term in zip(scores, found.terms, strict=True)):
        raise ValueError("the round's scores are not those of the model: refuse the round")
    if not (np.isfinite(baseline).all() and all(np.isfinite(score).all() for score in scores)):
        raise ValueError("the round's scores are not finite: refuse the round")
    return np.clip(baseline, -FARTHEST, FARTHEST), [np.clip(score, -FARTHEST, FARTHEST) for score in scores]
