"""What a study asks for: the network, the method, rounds and their share of the privacy loss."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthema.datasets.codebook import Codebook
from synthema.spi.columns import variable_of
from synthema.spi.ranking import RISK_BINS, held_out, ranked
from synthema.spi.sums import Whole, check_size, patients_summed, scale_for, site_rounded, whole_sensitivity
from synthema_learning.inputs import Coded, edges_of, features_of, pixels_of
from synthema_learning.nets import Autoencoder, Image, Net, Survival, size_of
from synthema_learning.training import cut, local_update, mean_gradient, patients_gradients

Floats = NDArray[np.float64]

METHODS = ("patients", "fedavg", "fedprox", "scaffold")
COUNTED = 0.1
"""What one patient adds to the number of patients, beside a gradient of norm 1: a count needs less than a gradient."""
MOST_WEIGHTS = 200_000
MOST_PATIENTS = 2**12
FARTHEST = 1e3
LAST_SHARE = 0.1
SLACK = 1e-6
"""Room for what floating point leaves to the order of rows, relative to the sensitivity."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A network, and how it is learned. Rounds 1 to ``steps`` learn; one more judges, if patients are held out."""

    net: Net
    method: str
    steps: int
    rate: float
    clip: float
    local_steps: int
    nearness: float
    decay: float
    held_out: float
    most_patients: int
    marks: tuple[str, ...]

    @property
    def judged(self) -> bool:
        """Whether a last round judges the network on patients it was not shown."""
        return self.held_out > 0 and not isinstance(self.net, Autoencoder)

    @property
    def rounds(self) -> int:
        """Number of all rounds."""
        return self.steps + self.judged

    @property
    def weights(self) -> int:
        """Number of the network's weights."""
        return size_of(self.net.shapes)

    @property
    def scale(self) -> int:
        """How figures become whole numbers: they are at most 1 for each patient, or for each site."""
        return scale_for(self.most_patients if self.method == "patients" else 1)

    @property
    def learned(self) -> int:
        """Entries of a vector that learns: a weight of the site or its patients, and one or two updates."""
        return 1 + self.weights * (2 if self.method == "scaffold" else 1)

    def length(self, number: int) -> int:
        """Entries of a round's vector."""
        if number <= self.steps:
            return self.learned
        if isinstance(self.net, Image):
            return len(self.net.outcome.categories) ** 2
        return self.net.bins * RISK_BINS * 2 if isinstance(self.net, Survival) else 0

    def sensitivity(self, number: int) -> float:
        """L2 change of a round's vector of integers when one row comes or goes.

        By patients: a gradient of norm 1 beside the count. By sites: an update of norm 1 may turn round as a whole,
        and the site's weight change by one patient; the vector is rounded once, so two may differ by 1 in each entry.
        """
        if number > self.steps:
            return 1.0
        if self.method == "patients":
            return whole_sensitivity(math.sqrt(1 + COUNTED**2), self.learned, self.scale) * (1 + SLACK)
        updates = 2 if self.method == "scaffold" else 1
        change = 2 * math.sqrt(updates) + (1 + updates) / self.most_patients
        return self.scale * change + math.sqrt(self.learned)

    def rho_of(self, number: int, rho: float) -> float:
        """The loss of one round: a tenth for judging, the rest in equal steps."""
        if number > self.steps:
            return rho * LAST_SHARE
        return rho * (1 - LAST_SHARE * self.judged) / self.steps

    def split(self, table: pl.DataFrame, *, judging: bool) -> pl.DataFrame:
        """The rows to learn from, or those held out."""
        if not self.judged:
            return table
        out = held_out(table, list(self.marks), self.held_out)
        return table.filter(pl.Series(out if judging else ~out))

    def add_up(self, number: int, table: pl.DataFrame, values: dict[str, Floats]) -> Whole:
        """A site's vector of a round; ``values`` holds the weights, and for scaffold those before and the control."""
        check_size(table.height, self.most_patients)
        rows = self.split(table, judging=number > self.steps)
        if number > self.steps:
            return self._judged(rows, values["weights"])
        inputs, known = self.net.inputs(rows, number)
        inputs = [value[known] for value in inputs]
        patients = int(known.sum())
        if self.method == "patients":
            gradients = patients_gradients(self.net, values["weights"], inputs, self.clip)
            figures = np.concatenate([np.full((patients, 1), COUNTED), np.nan_to_num(gradients)], axis=1)
            return patients_summed(figures, self.scale, bound=math.sqrt(1 + COUNTED**2))
        if patients == 0:
            return np.zeros(self.learned, dtype=np.int64)
        share = patients / self.most_patients
        return site_rounded(np.concatenate([[share], *self._updates(inputs, share, values)]), 1.0, self.scale, 1)

    def _updates(self, inputs: list[Any], share: float, values: dict[str, Floats]) -> list[Floats]:
        weights, correction, own = values["weights"], np.zeros(self.weights), []
        if self.method == "scaffold":
            mine = mean_gradient(self.net, values["before"], inputs)
            correction = values["control"] - mine if values["control"].any() else correction
            own = [share * cut(mean_gradient(self.net, weights, inputs), self.clip)]
        update = local_update(
            self.net, weights, inputs, steps=self.local_steps, rate=self.rate,
            nearness=self.nearness if self.method == "fedprox" else 0.0, correction=correction,
        )  # fmt: skip
        return [share * cut(update, self.clip), *own]

    def _judged(self, rows: pl.DataFrame, weights: Floats) -> Whole:
        net = self.net
        if isinstance(net, Image):
            kinds, known = net.kinds(rows)
            many = len(net.outcome.categories)
            place = kinds[known] * many + net.said(weights, rows)[known]
            return np.bincount(place, minlength=many * many).astype(np.int64)
        if not isinstance(net, Survival):
            raise TypeError("an autoencoder is not judged in a round")
        place, happened, _, known = net.read(rows)
        return ranked(place[known], net.bins, net.risk(weights, rows)[known], happened[known])


def problem(codebook: Codebook, asked: dict[str, Any]) -> Problem:
    """Read a study's parameters; raises ``ValueError`` naming what does not fit the codebook."""
    method = str(asked.get("method", "patients"))
    if method not in METHODS:
        raise ValueError(f"'method' is one of {', '.join(METHODS)}")
    net, answers = _net(codebook, asked, int(asked.get("hidden", 16)))
    by_patients = method == "patients"
    made = Problem(
        net, method, int(asked.get("steps", 40)), float(asked.get("rate", 0.05 if by_patients else 0.2)),
        float(asked.get("clip", 1.0 if by_patients else 10.0)), int(asked.get("local_steps", 10)),
        float(asked.get("nearness", 0.1)), float(asked.get("decay", 0.001)), float(asked.get("held_out", 0.2)),
        int(asked.get("most_patients", MOST_PATIENTS)), tuple(n for n in codebook.names() if n not in answers),
    )  # fmt: skip
    numbers = (made.rate, made.clip, made.nearness + 1e-9, made.decay + 1e-9)
    if not all(math.isfinite(number) and number > 0 for number in numbers) or not 0 <= made.held_out <= 0.5:
        raise ValueError("'rate' and 'clip' must be above 0, 'nearness' and 'decay' at least 0, 'held_out' at most 0.5")
    if not (1 <= made.steps <= 1000 and 1 <= made.local_steps <= 100):
        raise ValueError("'steps' must lie between 1 and 1000, 'local_steps' between 1 and 100")
    if made.weights > MOST_WEIGHTS:
        raise ValueError(f"the network has {made.weights} weights, more than {MOST_WEIGHTS}: use a smaller one")
    return made


def _net(codebook: Codebook, asked: dict[str, Any], hidden: int) -> tuple[Net, set[str]]:
    """The network, and the columns that hold its answers."""
    if not 1 <= hidden <= 256:
        raise ValueError("'hidden' must lie between 1 and 256")
    model, names = str(asked.get("model")), [str(name) for name in asked.get("covariates", ())]
    if model == "survival":
        survival = _survival(codebook, asked, names, hidden)
        return survival, {survival.time.name, survival.event.name}
    if model == "image":
        outcome = variable_of(codebook, str(asked.get("outcome")))
        if outcome.type != "category" or len(outcome.categories) < 2:
            raise ValueError("an image's kind is a category with at least two values")
        shape = [int(side) for side in asked.get("image", ())]
        return Image(pixels_of(codebook, str(asked.get("pixels", "")), shape), outcome, hidden), {outcome.name}
    if model == "table":
        chosen = tuple(v for v in codebook.variables if v.role != "identifier" and v.type != "text")
        if len(chosen) < len(codebook.variables):
            raise ValueError("the codebook still has an identifier: make rows from an anonymised table")
        return Autoencoder(Coded(chosen), hidden, min(8, hidden)), set()
    raise ValueError("'model' is survival, image or table")


def _survival(codebook: Codebook, asked: dict[str, Any], names: list[str], hidden: int) -> Survival:
    for outcome in codebook.outcomes:
        if outcome.name == asked.get("outcome"):
            time, event = codebook.variable(outcome.time), codebook.variable(outcome.event)
            if time.type == "category" or event.type != "category":
                break
            if {time.name, event.name} & set(names):
                raise ValueError("the outcome cannot explain itself: leave it out of the covariates")
            edges = tuple(float(edge) for edge in edges_of(time))
            return Survival(features_of(codebook, names), time, event, outcome.event_value, edges, hidden)
    raise ValueError("'outcome' of a survival network is the name of one of the codebook's outcomes")
