"""Federated against pooled against local-only, on the AMLSG cohort split by its real centres; a table in Markdown.

Run it: ``python -m tests.plugins.analyses_by_centre``. It needs the cohort (see ``tests/plugins/amlsg.py``) and says so
where it is absent. *Pooled* is what statsmodels finds in one table with all rows (Cox: stratified by centre); the
piecewise model is pooled by our own code. *Federated* is under the real secure sum: the largest distance of a
coefficient from the pooled one. *Local only* is what the centres with 25 or more patients find alone: the median
distance over centres and coefficients. Distances are in pooled standard errors. Noise is on the whole study, with
fewer covariates and delta 1e-5.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import statsmodels.api as sm
from numpy.typing import NDArray

import synthema_regression
import synthema_statistics
from synthema.budget import rho_of
from synthema.datasets.codebook import Codebook
from synthema.spi.model import Evaluation
from tests.plugins import amlsg
from tests.plugins.analyses import coefficients, study

Floats = NDArray[np.float64]

LARGE = 25
DELTA = 1e-5
COVARIATES = ["AOD", "gender", "wbc", "NPM1", "TP53"]
MODELS: dict[str, dict[str, Any]] = {
    "logistic": {"model": "logistic", "outcome": "Status", "positive": "1", "covariates": COVARIATES},
    "cox": {"model": "cox", "outcome": "survival", "covariates": COVARIATES},
    "piecewise": {"model": "piecewise", "outcome": "survival", "covariates": COVARIATES, "largest_risk": 1000},
}
FEW = {"covariates": ["AOD", "NPM1"], "range": "inner"}
UNDER_NOISE: dict[str, dict[str, Any]] = {
    "logistic": FEW | {"steps": 3},
    "piecewise": FEW | {"steps": 5, "largest_risk": 3, "time_edges": [365]},
}
FIGURES: dict[str, Any] = {"variables": ["AOD", "wbc"], "time_step": 1, "group": "gender"}


def codebook() -> Codebook:
    """The columns that the comparison uses."""
    return amlsg.CODEBOOK.keep((*COVARIATES, "OS", "Status"))


def by_centre() -> list[pl.DataFrame]:
    """One table for each real centre."""
    table = amlsg.amlsg_table().select(codebook().names()).with_columns(centre=pl.Series(amlsg.centres()))
    return [site.drop("centre") for site in table.partition_by("centre", maintain_order=True)]


@dataclass(frozen=True)
class Line:
    """One model: distances from the pooled coefficients, in pooled standard errors."""

    model: str
    federated: float
    local: float
    alone: int


def compare(model: str, sites: list[pl.DataFrame], *, secure: bool = True) -> Line:
    """Fit a model in all three ways."""
    asked = MODELS[model]
    truth, errors = pooled(asked, sites)

    def away(found: Evaluation) -> Floats:
        return np.abs(np.array(list(coefficients(found).values())) - truth) / errors

    _, federated = study(synthema_regression, sites, codebook(), asked, secure=secure)
    alone = [study(synthema_regression, [site], codebook(), asked)[1] for site in sites if site.height >= LARGE]
    fitted = [away(found) for found in alone if found.metrics]
    return Line(model, float(away(federated).max()), float(np.median(fitted)), len(fitted))


def pooled(asked: dict[str, Any], sites: list[pl.DataFrame]) -> tuple[Floats, Floats]:
    """Coefficients and standard errors of all rows in one table, by statsmodels where it has the model."""
    if asked["model"] == "piecewise":
        _, found = study(synthema_regression, [pl.concat(sites)], codebook(), asked)
        errors = np.array([found.series["standardErrors"][words] for words in coefficients(found)])
        return np.array(list(coefficients(found).values())), errors
    numbered = pl.concat([site.with_columns(site=pl.lit(number)) for number, site in enumerate(sites)])
    table = numbered.drop_nulls(asked["covariates"])
    x, dead = _columns(table, asked["covariates"]), (table["Status"] == "1").cast(pl.Float64).to_numpy()
    if asked["model"] == "logistic":
        fit = sm.Logit(dead, sm.add_constant(x)).fit(disp=0)
    else:
        days = table["OS"].cast(pl.Float64).to_numpy()
        fit = sm.PHReg(days, x, status=dead, strata=table["site"].to_numpy(), ties="breslow").fit()
    return np.asarray(fit.params), np.asarray(fit.bse)


def _columns(table: pl.DataFrame, names: list[str]) -> Floats:
    found = []
    for variable in map(codebook().variable, names):
        if variable.type == "category":
            found += [(table[variable.name] == value).cast(pl.Float64).to_numpy() for value in variable.categories[1:]]
        else:
            found.append(table[variable.name].cast(pl.Float64).to_numpy())
    return np.stack(found, axis=1)


def under_noise(model: str, sites: list[pl.DataFrame], epsilon: float) -> str:
    """How wide the intervals become, against those without noise; or that nothing is given."""
    asked = MODELS[model] | UNDER_NOISE[model]
    _, exact = study(synthema_regression, sites, codebook(), asked | {"steps": 20})
    _, noisy = study(synthema_regression, sites, codebook(), asked, rho=rho_of(epsilon, DELTA), seed=1)
    if not noisy.metrics:
        return "nothing given"
    wide = [
        noisy.series["standardErrors"][w] / e for w, e in exact.series["standardErrors"].items() if w != "intercept"
    ]
    return f"{np.median(wide):.1f} times as wide"


def survival(sites: list[pl.DataFrame], epsilon: float | None) -> Evaluation:
    """Kaplan–Meier and log-rank by sex; with noise in the codebook's bins of time instead of days."""
    asked = {name: value for name, value in FIGURES.items() if epsilon is None or name != "time_step"}
    rho = None if epsilon is None else rho_of(epsilon, DELTA)
    return study(synthema_statistics, sites, codebook(), asked, secure=epsilon is None, rho=rho)[1]


def lines() -> Iterator[str]:
    """The table, line by line."""
    sites = by_centre()
    large = sum(site.height >= LARGE for site in sites)
    yield f"{sum(site.height for site in sites)} patients, {len(sites)} centres, {large} of them with {LARGE} or more"
    yield ""
    yield "| model | federated, without noise | local only (centres that can fit it) | ε = 5 | ε = 1 |"
    yield "|---|---|---|---|---|"
    for model in MODELS:
        line = compare(model, sites)
        noisy = [under_noise(model, sites, epsilon) if model in UNDER_NOISE else "use piecewise" for epsilon in (5, 1)]
        yield f"| {model} | {line.federated:.1e} | {line.local:.1f} ({line.alone}) | {noisy[0]} | {noisy[1]} |"
    yield ""
    yield "| statistic | without noise | ε = 5 | ε = 1 |"
    yield "|---|---|---|---|"
    found = [survival(sites, epsilon) for epsilon in (None, 5.0, 1.0)]
    for metric in ("mean", "medianSurvival", "logRankP"):
        for first in (m for m in found[0].metrics if m.id == metric):
            # the test's statistic stands behind the colon, and differs
            name = first.definition.split(":")[0]
            cells = [_cell(each, metric, name) for each in found]
            yield f"| {metric}: {name} | {cells[0]} | {cells[1]} | {cells[2]} |"


def _cell(found: Evaluation, metric: str, name: str) -> str:
    for each in found.metrics:
        if each.id == metric and each.definition.split(":")[0] == name:
            interval = "" if each.lower is None or each.upper is None else f" ({each.lower:.4g} to {each.upper:.4g})"
            return f"{each.value:.4g}{interval}"
    return "not shown"


if __name__ == "__main__":
    if not amlsg.present():
        sys.stdout.write(f"The AMLSG cohort is not at {amlsg.FOLDER}; set SYNTHEMA_TEST_DATA to the folder above it.\n")
        sys.exit(1)
    sys.stdout.writelines(line + "\n" for line in lines())
