"""What comes out of a finished study: figures on patients held out, the weights, or rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthema.datasets.codebook import Codebook
from synthema.datasets.rules import broken
from synthema.spi.model import Evaluation, Json, Metric
from synthema.spi.ranking import concordance
from synthema_learning.nets import Autoencoder, Image, Survival
from synthema_learning.problem import Problem
from synthema_learning.state import unpacked

REDRAWS = 50
Z = 1.959963984540054


def figures(found: Problem, values: dict[str, Any], fewest: int) -> Evaluation:
    """Concordance or share of images named rightly, with intervals that hold noise, and the network itself.

    No figure rests on fewer than ``fewest`` patients. The network is given only under noise: all patients stand behind
    all weights, but without noise a weight may still show the few who had a rare value.
    """
    noise, patients = float(values["sigma"]), max(0, round(float(values["patients"])))
    notes = [_protection(found, noise)]
    if patients < fewest:
        notes.append(f"Nothing is given: fewer than {fewest} patients were learned from.")
        return Evaluation((), {"patients": None}, notes=tuple(notes))
    series: dict[str, Json] = {"method": found.method, "rounds": int(values["taken"]), "patients": patients}
    if noise > 0:
        shapes = [list(shape) for shape in found.net.shapes]
        coding = "base64 of 32-bit floats, little-endian"
        series["network"] = {"shapes": shapes, "weights": values["weights"], "coding": coding}
    metrics: list[Metric] = []
    if "judged" in values:
        table = np.asarray(values["judged"], dtype=np.float64)
        metrics = [each for each in _judged(found, table, float(values["judged_sigma"])) if each.n >= fewest]
        if not metrics:
            notes.append("No figure is given: too few patients are held out, or noise would leave it too wide.")
    elif isinstance(found.net, Autoencoder):
        notes.append("An autoencoder has no figure of its own: judge its rows with an evaluator.")
    return Evaluation(tuple(metrics), series, notes=tuple(notes))


def _judged(found: Problem, table: NDArray[np.float64], sigma: float) -> list[Metric]:
    net = found.net
    if isinstance(net, Survival):
        said = f"{net.event.name} = {net.value}, patients held out"
        ranking = concordance(table, net.bins, sigma)
        if ranking is None:
            return []
        return [Metric("concordance", ranking.value, ranking.patients, ranking.lower, ranking.upper, definition=said)]
    if not isinstance(net, Image):
        return []
    kinds = len(net.outcome.categories)
    seen, right = float(table.sum()), float(np.trace(table.reshape(kinds, kinds)))
    if seen < 1 or seen <= 4 * sigma * kinds:
        return []
    share = min(max(right / seen, 0.0), 1.0)
    half = Z * math.sqrt(share * (1 - share) / seen + sigma**2 * kinds**2 / seen**2)
    ends = max(0.0, share - half), min(1.0, share + half)
    return [Metric("accuracy", share, round(seen), *ends, definition=f"{net.outcome.name}, images held out")]


def _protection(found: Problem, sigma: float) -> str:
    if sigma == 0:
        return (
            "The sums hold no noise: they are protected by the secure sum alone. The network is not given, since its "
            "weights may show what they were learned from; plan the study with noise to get it."
        )
    whose = "one patient" if found.method == "patients" else "one patient, who may turn a whole site's update"
    return f"Each sum holds noise of {sigma:.3g} times the bound on an update; what it hides is {whose}."


def rows(found: Problem, values: dict[str, Any], codebook: Codebook, wanted: int) -> pl.DataFrame:
    """Synthetic rows that keep the codebook's rules: rows that break one are drawn again."""
    net = found.net
    if not isinstance(net, Autoencoder):
        raise TypeError("this study's network makes no rows: plan one with model 'table'")
    weights = unpacked(values["weights"], found.weights)
    random = np.random.default_rng(int(values["asked"].get("seed", 0)))  # after the noise: nothing secret rests on it
    kept = net.coded.table(net.draw(weights, 0, random), random)
    for _ in range(REDRAWS):
        drawn = net.coded.table(net.draw(weights, max(wanted, 64), random), random)
        kept = pl.concat([kept, _keeping_rules(drawn, codebook)])
        if kept.height >= wanted:
            return kept[:wanted]
    raise ValueError("the network makes too few rows that keep the codebook's rules: learn longer, or with less noise")


def _keeping_rules(table: pl.DataFrame, codebook: Codebook) -> pl.DataFrame:
    for rule in codebook.rules:
        if rule.variables <= set(table.columns):
            table = table.filter(~broken(table, rule))
    return table
