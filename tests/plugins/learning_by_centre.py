"""Models that rank patients: federated against pooled against local only, at AMLSG's real centres; a table in Markdown.

Run it: ``python -m tests.plugins.learning_by_centre --splits 3``. It needs the cohort (see ``tests/plugins/amlsg.py``),
and PyTorch for the networks; it says so where one is absent. Each figure is kept in ``.bench/learning`` under the
digest of plugin, parameters and split, so that an interrupted run goes on where it stopped.

Each figure is the concordance on the 30 % of patients held out, mean and standard deviation over splits. *Pooled* is
the same learning on one table; *federated* on the real centres; *local only* at each centre with 25 or more training
patients alone, the mean over centres. Under noise (delta 1e-5, on the whole study; at a centre alone the same epsilon)
fewer covariates are given, chosen beforehand as what every centre measures at diagnosis; the same study without noise
stands above.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

import synthema_additive
import synthema_learning
from synthema.budget import rho_of
from synthema.canonical import digest
from synthema.spi.model import State
from synthema_additive.problem import checked_scores
from synthema_additive.problem import problem as additive_problem
from synthema_learning.nets import Survival
from synthema_learning.problem import problem as learning_problem
from synthema_learning.state import unpacked
from tests.benchmarks.kept import BENCH, Store, code_digest, say
from tests.plugins import amlsg
from tests.plugins.analyses import study

Floats = NDArray[np.float64]

LARGE = 25
DELTA = 1e-5
ALL = [name for name in amlsg.CODEBOOK.names() if name not in amlsg.REQUIRED]
FEW = ["AOD", "gender", "wbc", "HB", "platelet", "LDH", "NPM1", "FLT3_ITD", "TP53", "complex", "M_Risk"]
NETWORK = {"model": "survival", "outcome": "survival", "hidden": 8, "held_out": 0.0}
HAZARD = {"model": "hazard", "outcome": "survival", "held_out": 0.0}
MODELS: dict[str, tuple[ModuleType, dict[str, Any]]] = {
    "additive": (synthema_additive, HAZARD),
    "network by patients": (synthema_learning, NETWORK | {"method": "patients", "steps": 60}),
    "network, FedAvg": (synthema_learning, NETWORK | {"method": "fedavg"}),
    "network, FedProx": (synthema_learning, NETWORK | {"method": "fedprox"}),
    "network, SCAFFOLD": (synthema_learning, NETWORK | {"method": "scaffold"}),
}
UNDER_NOISE: dict[str, dict[str, Any]] = {
    "additive": {"covariates": FEW, "steps": 10, "largest_risk": 1.0, "rate": 0.2},
    "network by patients": {"covariates": FEW, "steps": 25, "hidden": 4, "rate": 0.1},
}
# what a method of networks does between sites does not matter at one centre alone
ALONE_LIKE = {"network, FedProx": "network, FedAvg", "network, SCAFFOLD": "network, FedAvg"}
WAYS = ("pooled", "federated", "local only")


@dataclass(frozen=True, slots=True)
class Study:
    """A model as it is measured: with all covariates or few, and with how much noise."""

    model: str
    few: bool = False
    epsilon: float | None = None

    @property
    def plugin(self) -> ModuleType:
        """The algorithm."""
        return MODELS[self.model][0]

    @property
    def asked(self) -> dict[str, Any]:
        """Its parameters."""
        return {"covariates": ALL} | MODELS[self.model][1] | (UNDER_NOISE[self.model] if self.few else {})

    @property
    def words(self) -> str:
        """What kind of privacy, and which covariates."""
        noise = "none" if self.epsilon is None else f"ε = {self.epsilon:g}"
        return f"{noise} | {len(self.asked['covariates'])}"

    def key(self, way: str, seed: int) -> str:
        """The digest of all that a figure depends on."""
        plugin = code_digest(Path(str(self.plugin.__file__)).parent)
        return digest({"plugin": plugin, "asked": self.asked, "epsilon": self.epsilon, "way": way, "split": seed})


STUDIES = (
    *(Study(model) for model in MODELS),
    *(Study(model, few=True, epsilon=epsilon) for model in UNDER_NOISE for epsilon in (None, 5.0, 1.0)),
)


def split(seed: int) -> tuple[list[pl.DataFrame], pl.DataFrame]:
    """Training tables by centre, and the patients held out."""
    table = amlsg.amlsg_table().with_columns(centre=pl.Series(amlsg.centres()))
    order = np.random.default_rng(seed).permutation(table.height)
    size = round(0.7 * table.height)
    train, test = table[order[:size].tolist()], table[order[size:].tolist()].drop("centre")
    return [site.drop("centre") for site in train.partition_by("centre", maintain_order=True)], test


def concordance(table: pl.DataFrame, risk: Floats) -> float:
    """Harrell's C: of two patients, the one with the event first has the higher risk; equal risk counts half."""
    time, dead = table["OS"].to_numpy(), (table["Status"] == "1").to_numpy()
    first = dead[:, None] & (time[:, None] < time[None, :])
    right = (risk[:, None] > risk[None, :]) + 0.5 * (risk[:, None] == risk[None, :])
    return float(right[first].mean())


def risk_of(plugin: ModuleType, asked: dict[str, Any], state: State, table: pl.DataFrame) -> Floats:
    """What a finished study predicts for these patients."""
    if plugin is synthema_additive:
        made = additive_problem(amlsg.CODEBOOK, asked)
        _, scores = checked_scores(made, state.values)
        each = [score[term.place(table)] for score, term in zip(scores, made.terms, strict=True)]
        return np.asarray(np.sum(each, axis=0))
    found = learning_problem(amlsg.CODEBOOK, asked)
    assert isinstance(found.net, Survival)
    return found.net.risk(unpacked(state.values["weights"], found.weights), table)


def measured(asked: Study, way: str, seed: int) -> float:
    """Concordance of one study in one of the three ways."""
    sites, test = split(seed)
    rho = None if asked.epsilon is None else rho_of(asked.epsilon, DELTA)

    def learned(tables: list[pl.DataFrame]) -> float:
        state, _ = study(asked.plugin, tables, amlsg.CODEBOOK, asked.asked, rho=rho, seed=seed)
        return concordance(test, risk_of(asked.plugin, asked.asked, state, test))

    if way == "pooled":
        return learned([pl.concat(sites)])
    if way == "federated":
        return learned(sites)
    return float(np.mean([learned([site]) for site in sites if site.height >= LARGE]))


def figures(asked: Study, splits: int, store: Store) -> dict[str, list[float]]:
    """The concordances of a study over splits, by way; what is not kept yet is measured."""
    found: dict[str, list[float]] = {}
    for seed in range(splits):
        for way in WAYS:
            if way == "local only" and asked.model in ALONE_LIKE:
                continue
            key = asked.key(way, seed)
            known = store.known()
            if key not in known:
                say(f"{asked.model}, {asked.words}, split {seed}, {way}")
                store.keep(key, {"c": measured(asked, way, seed)})
                known = store.known()
            found.setdefault(way, []).append(known[key]["c"])
    return found


def lines(models: list[str], splits: int, store: Store) -> Iterator[str]:
    """The table, line by line."""
    sites, _ = split(0)
    large = sum(site.height >= LARGE for site in sites)
    patients = sum(site.height for site in sites)
    yield f"First of {splits} splits: {patients} training patients, {len(sites)} centres, {large} with {LARGE} or more."
    yield ""
    yield "| model | noise | covariates | pooled | federated | federation loss | local only |"
    yield "|---|---|---|---|---|---|---|"
    for asked in STUDIES:
        if asked.model not in models:
            continue
        found = figures(asked, splits, store)
        loss = [pooled - federated for pooled, federated in zip(found["pooled"], found["federated"], strict=True)]
        alone = f"as {ALONE_LIKE[asked.model]}" if asked.model in ALONE_LIKE else _cell(found["local only"])
        cells = [_cell(found["pooled"]), _cell(found["federated"]), _cell(loss), alone]
        yield f"| {asked.model} | {asked.words} | {' | '.join(cells)} |"


def _cell(values: list[float]) -> str:
    return f"{np.mean(values):.4f} ± {np.std(values):.4f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Federated against pooled against local only, at real centres.")
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--models", nargs="*", choices=list(MODELS), default=list(MODELS))
    given = parser.parse_args()
    if not amlsg.present():
        sys.stdout.write(f"The AMLSG cohort is not at {amlsg.FOLDER}; set SYNTHEMA_TEST_DATA to the folder above it.\n")
        sys.exit(1)
    wanted = given.models
    if importlib.util.find_spec("torch") is None:
        sys.stdout.write("PyTorch is not installed (extra 'deep'): the networks are left out.\n")
        wanted = [model for model in wanted if MODELS[model][0] is synthema_additive]
    for text in lines(wanted, given.splits, Store(BENCH / "learning")):
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
