"""How good the marginals generator's rows are: ``python -m tests.plugins.marginals_quality --data amlsg --first 100``.

Protocol: 70/30 split by seed, as many synthetic rows as training rows, delta 1e-5. Columns: SDM, the quality score
of SDMetrics (mean of column shapes and column pair trends, written out below); C, Harrell's C on held-out real rows
of a Cox model trained on synthetic ones; real C, the same trained on the real training rows; KM, mean distance of the
survival curves of training and synthetic rows; known, the share of published findings about the disease that the
training rows show and the synthetic ones reproduce (see the evaluation plugin; ``--findings`` tells which, and
``--held-back`` what becomes of those that the generator is not told of, and ``--published 1`` counts all pairs alike);
broken, the share of rows that break a rule; seconds to fit and sample. Columns that by a rule are known only with the
outcome (a cause of death) are left out of the Cox models. Mean and standard deviation over seeds, and the lowest C.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from itertools import combinations, product
from typing import Any
from unittest.mock import patch

import numpy as np
import polars as pl
from numpy.typing import NDArray

import synthema_marginals
from synthema.datasets.codebook import Codebook, Variable
from synthema.spi.model import Aggregate, Plan
from synthema.spi.published import checks_of
from synthema.spi.sampling import broken_rows
from synthema_evaluation.columns import Tables, compared_variables
from synthema_evaluation.published import knowledge_metric
from synthema_evaluation.survival import (
    Concordance,
    Design,
    covariates,
    fit_cox,
    followed,
    horizon,
    kaplan_meier,
)
from synthema_marginals.privacy import rho_for
from synthema_marginals.workload import WEIGHT
from tests.plugins.cohorts import COHORTS

Floats = NDArray[np.float64]
Cells = NDArray[np.int64]
DELTA = 1e-5
CORRELATED = 0.5
ASSOCIATED = 0.3
SIDES = {"declared": True, "held back": False}


def synthesise(
    train: pl.DataFrame, codebook: Codebook, epsilon: float, seed: int, parameters: dict[str, Any]
) -> pl.DataFrame:
    """Rows of a one-site run with noise that a seed repeats (rounded normal); ``inf`` asks for none."""
    random = np.random.default_rng(seed)
    plan = Plan(codebook, rho_for(min(epsilon, 1e3), DELTA), train.height, parameters)
    state = synthema_marginals.federated_open(plan)
    while not state.finished:
        counts = synthema_marginals.federated_contribute(state, train, codebook).vector
        sigma = state.sensitivity / math.sqrt(2 * state.rho) if math.isfinite(epsilon) else 0.0
        noisy = counts + np.rint(random.normal(0, sigma, state.length)).astype(np.int64)
        state = synthema_marginals.federated_absorb(state, Aggregate(noisy, 1, sigma))
    return synthema_marginals.federated_sample(state, plan).table


def exactly(
    train: pl.DataFrame, codebook: Codebook, epsilon: float, seed: int, parameters: dict[str, Any]
) -> pl.DataFrame:
    """Rows of the hook as it is released, under OpenDP's discrete noise: no seed repeats it."""
    return synthema_marginals.generate(
        train, codebook, {"epsilon": epsilon, "delta": DELTA, **parameters}, train.height
    ).table


def sdmetrics_score(real: pl.DataFrame, synthetic: pl.DataFrame, codebook: Codebook) -> float:
    """The score of SDMetrics' quality report (0.32): the mean of column shapes and column pair trends.

    Shapes: 1 - Kolmogorov–Smirnov of numbers, 1 - total variation of categories, missing values left out. Trends: 1 -
    half the difference of Pearson's r of two numbers; for other pairs 1 - total variation of the table, missing
    included, each table's numbers in ten equal bins of its own range. Only pairs with |r| or Cramér's V above the
    thresholds in the real rows count.
    """
    shapes, trends = sdmetrics_parts(real, synthetic, codebook)
    return (shapes + trends) / 2


def sdmetrics_parts(real: pl.DataFrame, synthetic: pl.DataFrame, codebook: Codebook) -> tuple[float, float]:
    """Column shapes and column pair trends."""
    kept = [v for v in codebook.variables if v.role != "identifier"]
    numeric = {v.name for v in kept if v.type != "category"}
    values = {v.name: [_values(t[v.name], v) for t in (real, synthetic)] for v in kept}
    shapes = [(_ks if v.name in numeric else _tv)(*values[v.name]) for v in kept]
    codes = {
        name: [_ten_bins(one) if name in numeric else one.astype(np.int64) for one in pair]
        for name, pair in values.items()
    }
    trends = []
    for a, b in combinations(values, 2):
        if a in numeric and b in numeric:
            r = [_pearson(values[a][side], values[b][side]) for side in (0, 1)]
            if abs(r[0]) > CORRELATED:
                trends.append(1 - abs(r[0] - r[1]) / 2)
            continue
        first, second = (_table(codes[a][side], codes[b][side]) for side in (0, 1))
        if _cramer(first) > ASSOCIATED:
            trends.append(1 - float(np.abs(first / first.sum() - second / second.sum()).sum()) / 2)
    return float(np.mean(shapes)), float(np.mean(trends))


def _values(series: pl.Series, variable: Variable) -> Floats:
    """Numbers as they are with NaN for missing; categories as their number, -1 for missing."""
    if variable.type != "category":
        return np.asarray(series.cast(pl.Float64).fill_null(float("nan")).to_numpy(), dtype=np.float64)
    number = {category: float(i) for i, category in enumerate(variable.categories)}
    return np.array([number.get(text, -1.0) if text is not None else -1.0 for text in series.to_list()])


def _ks(real: Floats, synthetic: Floats) -> float:
    first, second = np.sort(real[np.isfinite(real)]), np.sort(synthetic[np.isfinite(synthetic)])
    if not len(second):
        return 0.0
    grid = np.concatenate([first, second])
    below = [np.searchsorted(one, grid, side="right") / len(one) for one in (first, second)]
    return 1 - float(np.abs(below[0] - below[1]).max())


def _tv(real: Floats, synthetic: Floats) -> float:
    known = [one[one >= 0].astype(np.int64) for one in (real, synthetic)]
    if not len(known[1]):
        return 0.0
    shares = [np.bincount(one, minlength=100) / len(one) for one in known]
    return 1 - float(np.abs(shares[0] - shares[1]).sum()) / 2


def _ten_bins(values: Floats) -> Cells:
    edges = np.histogram_bin_edges(values[np.isfinite(values)])
    return np.asarray(np.digitize(values, edges), dtype=np.int64)


def _table(first: Cells, second: Cells) -> Floats:
    return np.bincount((first + 1) * 100 + second + 1, minlength=10_000).reshape(100, 100).astype(np.float64)


def _cramer(table: Floats) -> float:
    """Cramér's V."""
    kept = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    if min(kept.shape) < 2:
        return 0.0
    expected = np.outer(kept.sum(axis=1), kept.sum(axis=0)) / kept.sum()
    return float(np.sqrt(((kept - expected) ** 2 / expected).sum() / kept.sum() / (min(kept.shape) - 1)))


def _pearson(a: Floats, b: Floats) -> float:
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < 3 or a[both].std() == 0 or b[both].std() == 0:
        return 0.0
    return float(np.corrcoef(a[both], b[both])[0, 1])


def survival_distance(train: pl.DataFrame, synthetic: pl.DataFrame, codebook: Codebook) -> float:
    """Mean distance of the curves of the first outcome, up to the last time with ten at risk."""
    outcome = codebook.outcomes[0]
    real, made = (followed(table, outcome, codebook) for table in (train, synthetic))
    grid = np.linspace(0, horizon(real), 200)
    return float(np.abs(kaplan_meier(real, grid) - kaplan_meier(made, grid)).mean())


def concordance(source: pl.DataFrame, holdout: pl.DataFrame, codebook: Codebook) -> float:
    """C on ``holdout`` of a Cox model of all covariates trained on ``source``."""
    outcome = codebook.outcomes[0]
    used = covariates(codebook, tuple(v for v in codebook.variables if v.role != "identifier"))
    design = Design(source, used)
    beta = fit_cox(design.matrix(source), followed(source, outcome, codebook))
    return Concordance(design.matrix(holdout) @ beta, followed(holdout, outcome, codebook)).value()


def known_beforehand(codebook: Codebook) -> Codebook:
    """The codebook without what is known only when the outcome is: a rule says which event must have happened.

    A cause of death would tell a model who died.
    """
    events = {outcome.event for outcome in codebook.outcomes}
    told = {name for rule in codebook.rules if rule.left in events and rule.comparison == "==" for name in rule.when}
    return codebook.keep(tuple(name for name in codebook.names() if name not in told - events))


def findings(cohort: str, epsilon: float, seeds: range, parameters: dict[str, Any]) -> str:
    """Of each published finding, in how many runs the training rows show it, and in how many of them synthetic ones."""
    codebook = COHORTS[cohort].codebook
    asked: dict[str, list[bool]] = {}
    for seed in seeds:
        train, holdout = COHORTS[cohort].split(seed)
        made = synthesise(train, codebook, epsilon, seed, parameters)
        for each in _shown(Tables(train, holdout, made), codebook):
            asked.setdefault(each["sentence"], []).append(each["verdict"] == "reproduced")
    told = (f"  {sum(kept)} of {len(kept)}: {sentence}" for sentence, kept in asked.items())
    return "\n".join((f"{cohort}, eps {epsilon:g}, seeds {seeds[0]} to {seeds[-1]}:", *told))


def held_back(cohort: str, epsilon: float, seeds: range, parameters: dict[str, Any]) -> str:
    """The share reproduced of findings that the generator is told of, and of the others; each half is told once."""
    codebook = COHORTS[cohort].codebook
    checks = checks_of(codebook.disease)
    order = np.random.default_rng(0).permutation(len(checks))
    kept: dict[bool, list[bool]] = {True: [], False: []}
    for seed, half in product(seeds, (0, 1)):
        told = tuple(checks[place] for place in order[half::2])
        train, holdout = COHORTS[cohort].split(seed)
        with patch("synthema_marginals.workload.checks_of", lambda _, told=told: told):
            made = synthesise(train, codebook, epsilon, seed, parameters)
        for each in _shown(Tables(train, holdout, made), codebook):
            kept[each["id"] in {check.id for check in told}].append(each["verdict"] == "reproduced")
    shares = (f"{name} {np.mean(kept[side]):.3f} of {len(kept[side])}" for name, side in SIDES.items())
    return f"{cohort}, eps {epsilon:g}, seeds {seeds[0]} to {seeds[-1]}: " + ", ".join(shares)


def _shown(tables: Tables, codebook: Codebook) -> list[dict[str, Any]]:
    """The published findings that the training rows show, with what became of each in the synthetic ones."""
    _, series = knowledge_metric(tables, codebook, compared_variables(codebook, tables.train, tables.synthetic))
    return [each for each in series.get("checks", []) if not each["verdict"].startswith("not asked")]


def known(train: pl.DataFrame, holdout: pl.DataFrame, synthetic: pl.DataFrame, codebook: Codebook) -> float:
    """The share of published findings that synthetic rows reproduce; NaN where none is asked."""
    tables = Tables(train, holdout, synthetic)
    metric, _ = knowledge_metric(tables, codebook, compared_variables(codebook, train, synthetic))
    return float("nan") if metric is None else metric.value


def measure(
    cohort: str,
    epsilon: float,
    seed: int,
    parameters: dict[str, Any],
    make: Callable[..., pl.DataFrame] = synthesise,
) -> dict[str, float]:
    """The figures of one seed."""
    train, holdout = COHORTS[cohort].split(seed)
    codebook = COHORTS[cohort].codebook
    before = known_beforehand(codebook)
    start = time.perf_counter()
    synthetic = make(train, codebook, epsilon, seed, parameters)
    seconds = time.perf_counter() - start
    shapes, trends = sdmetrics_parts(train, synthetic, codebook)
    return {
        "SDM": (shapes + trends) / 2,
        "shapes": shapes,
        "trends": trends,
        "C": concordance(synthetic, holdout, before),
        "real C": concordance(train, holdout, before),
        "KM": survival_distance(train, synthetic, codebook),
        "known": known(train, holdout, synthetic, codebook),
        "broken": float(broken_rows(synthetic, codebook).mean()),
        "seconds": seconds,
    }


def attacked(cohort: str, epsilon: float, seeds: range, shadows: int) -> str:
    """What the likelihood-ratio attack of :mod:`tests.plugins.trees_quality` finds, one line for a privacy loss."""
    from tests.plugins.trees_quality import line, membership  # it imports this module

    def make(
        rows: pl.DataFrame, codebook: Codebook, seed: int, number: int, parameters: dict[str, Any]
    ) -> pl.DataFrame:
        assert number == rows.height
        return synthesise(rows, codebook, epsilon, seed, parameters)

    found = line([membership(cohort, seed, shadows, {}, make) for seed in seeds])
    return f"{cohort}, eps {epsilon:g}, seeds {seeds[0]} to {seeds[-1]}, {shadows} shadows each: {found}"


def table(cohort: str, epsilons: list[float], seeds: range, parameters: dict[str, Any], *, exact: bool = False) -> str:
    """The figures over seeds, one line for each privacy loss."""
    lines = []
    for epsilon in epsilons:
        make = exactly if exact and math.isfinite(epsilon) else synthesise
        found = [measure(cohort, epsilon, seed, parameters, make) for seed in seeds]
        cells = [
            f"{name} {np.mean([f[name] for f in found]):.3f} ± {np.std([f[name] for f in found]):.3f}"
            for name in found[0]
        ]
        cells.append(f"lowest C {min(f['C'] for f in found):.3f}")
        lines.append(f"{cohort}, eps {epsilon:g}, seeds {seeds[0]} to {seeds[-1]}: " + ", ".join(cells))
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Print the figures; returns 2 where the data are absent."""
    parser = argparse.ArgumentParser(prog="python -m tests.plugins.marginals_quality", description="Measure.")
    parser.add_argument("--data", choices=sorted(COHORTS), default="mgus2")
    parser.add_argument("--epsilon", type=float, nargs="+", default=[5.0, 1.0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="the first seed: figures to rely on come from fresh ones")
    parser.add_argument("--shadows", type=int, default=0, help="attack instead, with so many shadow runs a seed")
    parser.add_argument("--exact", action="store_true", help="the hook itself, under discrete noise of OpenDP")
    parser.add_argument("--published", type=int, default=WEIGHT, help="the weight of pairs that findings speak of")
    parser.add_argument("--findings", action="store_true", help="which published findings are reproduced")
    parser.add_argument("--held-back", action="store_true", help="declare half of the findings, and ask for all")
    chosen = parser.parse_args(arguments)
    if COHORTS[chosen.data].absent:
        sys.stderr.write(f"{COHORTS[chosen.data].absent}: see tests/plugins/{chosen.data}.py or cohorts.py\n")
        return 2
    seeds = range(chosen.first, chosen.first + chosen.seeds)
    if chosen.shadows:
        for epsilon in chosen.epsilon:
            sys.stdout.write(attacked(chosen.data, epsilon, seeds, chosen.shadows) + "\n")
            sys.stdout.flush()
        return 0
    parameters = {"published": chosen.published}
    if chosen.findings or chosen.held_back:
        for epsilon in chosen.epsilon:
            told = (findings if chosen.findings else held_back)(chosen.data, epsilon, seeds, parameters)
            sys.stdout.write(told + "\n")
        return 0
    sys.stdout.write(table(chosen.data, chosen.epsilon, seeds, parameters, exact=chosen.exact) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
