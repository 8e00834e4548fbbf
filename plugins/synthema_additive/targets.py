"""What is explained: the odds of a category's value, or the hazard of an outcome.

A target says what a patient adds to the first count, and how the patient's own part pulls at the scores: the gradient,
observed less expected. Under ``Odds`` it lies between −1 and 1 by itself. Under ``Hazard`` (piecewise exponential, a
rate for each bin of time) a patient's expected number of events is cut at ``most``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthema.datasets.codebook import Codebook, Variable
from synthema.spi.columns import numbers, texts, variable_of

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Cells = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Answers:
    """What happened to each patient: bin of time, whether the event happened, share of each bin that was followed."""

    place: Cells
    happened: Flags
    followed: Floats


class Target(Protocol):
    """What a model explains."""

    @property
    def bins(self) -> int: ...
    @property
    def most(self) -> float: ...
    @property
    def columns(self) -> list[str]: ...
    @property
    def words(self) -> str: ...
    @property
    def baseline_labels(self) -> list[str]: ...

    def read(self, table: pl.DataFrame) -> tuple[Answers, Flags]:
        """Each row's answers, and which rows have them."""
        ...

    def start(self, leaving: Floats) -> tuple[Floats, Floats, float]:
        """Baseline, weight of each baseline entry, and weight of one patient, from counts ``(bins, 2)``."""
        ...

    def pulls(self, answers: Answers, baseline: Floats, scores: Floats) -> tuple[Floats, Floats]:
        """Observed less expected: for each baseline entry ``(rows, bins)``, and for each patient ``(rows,)``."""
        ...

    def risk(self, baseline: Floats, scores: Floats) -> Floats:
        """Predicted risk between 0 and 1, for ranking."""
        ...


@dataclass(frozen=True, slots=True)
class Odds:
    """The odds of one value of a category. Its table of answers has one bin for those with it, and one for the others.

    The patients without the value count as followed longer, so that the concordance is the area under the ROC curve.
    """

    variable: Variable
    positive: str
    bins: int = 2
    most: float = 1.0

    @property
    def columns(self) -> list[str]:
        return [self.variable.name]

    @property
    def words(self) -> str:
        return f"the odds of {self.variable.name} = {self.positive}"

    @property
    def baseline_labels(self) -> list[str]:
        return ["all"]

    def read(self, table: pl.DataFrame) -> tuple[Answers, Flags]:
        said = texts(table, self.variable)
        known = np.array([text in self.variable.categories for text in said], dtype=bool)
        yes = np.array([text == self.positive for text in said], dtype=bool)
        return Answers(np.where(yes, 0, 1).astype(np.int64), yes, np.ones((table.height, 1))), known

    def start(self, leaving: Floats) -> tuple[Floats, Floats, float]:
        everyone = max(float(leaving.sum()), 2.0)
        share = min(max(float(leaving[0, 1]) / everyone, 0.01), 0.99)
        each = share * (1 - share)
        return np.array([np.log(share / (1 - share))]), np.array([everyone * each]), each

    def pulls(self, answers: Answers, baseline: Floats, scores: Floats) -> tuple[Floats, Floats]:
        pull = answers.happened - self.risk(baseline, scores)
        return pull[:, None], pull

    def risk(self, baseline: Floats, scores: Floats) -> Floats:
        return np.asarray(1 / (1 + np.exp(-np.clip(baseline[0] + scores, -30, 30))))


@dataclass(frozen=True, slots=True)
class Hazard:
    """The hazard of an outcome, with a rate that is constant in each bin of the codebook's time."""

    time: Variable
    event: Variable
    value: str
    edges: tuple[float, ...]
    unit: str
    most: float

    @property
    def bins(self) -> int:
        return len(self.edges) - 1

    @property
    def columns(self) -> list[str]:
        return [self.time.name, self.event.name]

    @property
    def words(self) -> str:
        return f"the hazard of {self.event.name} = {self.value}"

    @property
    def baseline_labels(self) -> list[str]:
        return [f"from {edge:g} {self.unit}" for edge in self.edges[:-1]]

    def read(self, table: pl.DataFrame) -> tuple[Answers, Flags]:
        times, said = numbers(table, self.time), texts(table, self.event)
        known = np.isfinite(times) & np.array([text in self.event.categories for text in said], dtype=bool)
        edges = np.asarray(self.edges)
        times = np.where(known, times, edges[0])
        share = np.clip((times[:, None] - edges[:-1]) / np.diff(edges), 0.0, 1.0)
        place = np.clip(np.searchsorted(edges, times, side="left") - 1, 0, self.bins - 1).astype(np.int64)
        return Answers(place, np.array([text == self.value for text in said], dtype=bool), share), known

    def start(self, leaving: Floats) -> tuple[Floats, Floats, float]:
        events = np.clip(leaving[:, 1], 0.5, None)
        gone = np.clip(leaving, 0, None).sum(axis=1)
        entering = np.cumsum(gone[::-1])[::-1]
        followed = np.clip(entering - gone / 2, 1.0, None)
        return np.log(events / followed), events, float(events.sum() / max(gone.sum(), 1.0))

    def pulls(self, answers: Answers, baseline: Floats, scores: Floats) -> tuple[Floats, Floats]:
        expected = answers.followed * np.exp(np.clip(baseline + scores[:, None], -30, 30))
        expected *= np.minimum(1.0, self.most / np.maximum(expected.sum(axis=1, keepdims=True), 1e-300))
        events = np.zeros_like(expected)
        events[np.arange(len(scores)), answers.place] = answers.happened
        return events - expected, answers.happened - expected.sum(axis=1)

    def risk(self, baseline: Floats, scores: Floats) -> Floats:
        """The mean over bins of time of the share that has had the event."""
        hazard = np.exp(np.clip(baseline + scores[:, None], -30, 30))
        return np.asarray(1 - np.exp(-np.cumsum(hazard, axis=1)).mean(axis=1))


def target_of(codebook: Codebook, asked: dict[str, object]) -> Target:
    """The target that the parameters name; raises ``ValueError`` saying what does not fit the codebook."""
    kind, name = str(asked.get("model")), str(asked.get("outcome"))
    if kind == "odds":
        variable = variable_of(codebook, name)
        if variable.type != "category" or asked.get("positive") not in variable.categories:
            raise ValueError("the odds need a category as outcome, and 'positive' as one of its values")
        return Odds(variable, str(asked["positive"]))
    if kind != "hazard":
        raise ValueError("'model' is odds or hazard")
    for outcome in codebook.outcomes:
        if outcome.name == name:
            time, event = codebook.variable(outcome.time), codebook.variable(outcome.event)
            if time.type == "category" or event.type != "category":
                break
            low, high = time.minimum or 0.0, time.maximum or 0.0
            edges = time.edges or tuple(np.linspace(low, high, 13).tolist())
            most = float(str(asked.get("largest_risk", 3.0)))
            if not most > 0:
                raise ValueError("'largest_risk' must be greater than 0")
            return Hazard(time, event, outcome.event_value, tuple(map(float, edges)), outcome.unit, max(1.0, most))
    raise ValueError("the 'outcome' of a hazard is the name of one of the codebook's outcomes")
