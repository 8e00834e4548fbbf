"""Models that rank patients: federated against pooled against local only, at AMLSG's real centres; a table in Markdown.

Run it: ``python -m tests.plugins.learning_by_centre``, with ``--splits 3`` for more splits. It needs the cohort (see
``tests/plugins/amlsg.py``), and PyTorch for the networks; it says so where one is absent. Each figure is the
concordance on the 30 % of patients held out, mean and standard deviation over splits. *Pooled* is the same learning on
one table; *federated* on the 45 centres; *local only* at each centre with 25 or more training patients alone, the mean
over centres. Under noise (delta 1e-5, on the federated study) fewer covariates are given, chosen beforehand as what
every centre measures at diagnosis; the concordance of the same study without noise stands beside it.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

import synthema_additive
import synthema_learning
from synthema.budget import rho_of
from synthema.spi.model import State
from synthema_additive.problem import checked_scores
from synthema_additive.problem import problem as additive_problem
from synthema_learning.nets import Survival
from synthema_learning.problem import problem as learning_problem
from synthema_learning.state import unpacked
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
# what one centre learns by itself hardly differs between the methods of a network
ALONE = ("additive", "network, FedAvg")
UNDER_NOISE: dict[str, dict[str, Any]] = {
    "additive": {"covariates": FEW, "steps": 10, "largest_risk": 1.0, "rate": 0.2},
    "network by patients": {"covariates": FEW, "steps": 25, "hidden": 4, "rate": 0.1},
}


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
        return np.sum([score[term.place(table)] for score, term in zip(scores, made.terms, strict=True)], axis=0)
    found = learning_problem(amlsg.CODEBOOK, asked)
    assert isinstance(found.net, Survival)
    return found.net.risk(unpacked(state.values["weights"], found.weights), table)


def measured(model: str, sites: list[pl.DataFrame], test: pl.DataFrame, seed: int, **how: Any) -> float:
    """Concordance of one study; ``changes`` to the parameters and ``epsilon`` in ``how``."""
    plugin, asked = MODELS[model]
    asked = {"covariates": ALL} | asked | how.get("changes", {})
    rho = rho_of(how["epsilon"], DELTA) if "epsilon" in how else None
    state, _ = study(plugin, sites, amlsg.CODEBOOK, asked, rho=rho, seed=seed)
    return concordance(test, risk_of(plugin, asked, state, test))


def line(model: str, splits: int) -> dict[str, list[float]]:
    """All figures of a model over splits."""
    found: dict[str, list[float]] = {}
    for seed in range(splits):
        sites, test = split(seed)
        pooled, federated = measured(model, [pl.concat(sites)], test, seed), measured(model, sites, test, seed)
        found.setdefault("pooled", []).append(pooled)
        found.setdefault("federated", []).append(federated)
        found.setdefault("loss", []).append(pooled - federated)
        if model in ALONE:
            alone = [measured(model, [site], test, seed) for site in sites if site.height >= LARGE]
            found.setdefault("local", []).append(float(np.mean(alone)))
        if model in UNDER_NOISE:
            changes = UNDER_NOISE[model]
            found.setdefault("few", []).append(measured(model, sites, test, seed, changes=changes))
            for epsilon in (5.0, 1.0):
                noisy = measured(model, sites, test, seed, changes=changes, epsilon=epsilon)
                found.setdefault(f"{epsilon:g}", []).append(noisy)
    return found


def lines(models: list[str], splits: int) -> Iterator[str]:
    """The table, line by line."""
    sites, _ = split(0)
    large = sum(site.height >= LARGE for site in sites)
    patients = sum(site.height for site in sites)
    yield f"{patients} training patients, {len(sites)} centres, {large} of them with {LARGE} or more"
    yield ""
    yield "| model | pooled | federated | federation loss | local only | fewer covariates | ε = 5 | ε = 1 |"
    yield "|---|---|---|---|---|---|---|---|"
    for model in models:
        found = line(model, splits)
        names = ("pooled", "federated", "loss", "local", "few", "5", "1")
        yield f"| {model} | {' | '.join(_cell(found.get(name)) for name in names)} |"


def _cell(values: list[float] | None) -> str:
    return "–" if values is None else f"{np.mean(values):.4f} ± {np.std(values):.4f}"


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
    for text in lines(wanted, given.splits):
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
