"""Turns figures of the demo into plots and tables of the report."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthema.provenance.model import SYNTHEMA
from synthema.report import (
    BudgetLine,
    BudgetPlot,
    Check,
    Checks,
    Item,
    Marginal,
    MarginalsPlot,
    ReceivedVectorPlot,
    SurvivalPlot,
    SurvivalSeries,
    Table,
)

BINS = 16
SHOWN_VARIABLES = ("age", "hgb", "creat", "mspike")


@dataclass(frozen=True, slots=True)
class Uniformity:
    """A chi-square test of a masked vector against the flat distribution over the whole ring."""

    counts: tuple[int, ...]
    statistic: float
    p_value: float


def uniformity(vector: NDArray[np.unsignedinteger[Any]]) -> Uniformity:
    """Test the top four bits of every element: 16 equal bins over the whole ring, of 32 or 64 bits."""
    from scipy.stats import chisquare  # noqa: PLC0415 - slow to import

    counts = np.bincount((vector >> vector.dtype.type(8 * vector.itemsize - 4)).astype(np.int64), minlength=BINS)
    statistic, p_value = chisquare(counts)
    return Uniformity(tuple(int(count) for count in counts), float(statistic), float(p_value))


def received_plot(test: Uniformity) -> ReceivedVectorPlot:
    """What the hub sees of one hospital: flat noise."""
    return ReceivedVectorPlot(
        title="One hospital's vector as the hub received it",
        counts=test.counts,
        alt="The bars are level within chance: the masked vector looks like uniform noise.",
        test="chi-square against uniform",
        statistic=test.statistic,
        p_value=test.p_value,
    )


def rounds_table(rounds: Iterable[Mapping[str, Any]]) -> Table:
    """The opened rounds: cost and noise."""
    return Table(
        "Rounds of secure sums",
        ("round", "sites", "cost ρ", "noise σ of the sum", "digest of the opened sum"),
        tuple(
            (
                str(r["round"]),
                len(r["survivors"]),
                round(r["rho"], 5),
                round(r["sigma"], 2),
                r["totalDigest"][:23] + "…",
            )
            for r in rounds
        ),
        note="σ is the standard deviation of the noise in a count; each hospital adds its share before masking.",
    )


def comparison(series: Mapping[str, Any], names: Mapping[str, str]) -> list[Item]:
    """Survival curves of every hospital, and marginals of the first, real against synthetic."""
    curves = [
        SurvivalSeries(names[site], source, tuple(curve["times"]), tuple(curve[source]))
        for site, found in series.items()
        for curve in [next(iter(found["survival"].values()))]
        for source in ("real", "synthetic")
    ]
    first = next(iter(series))
    marginals = [
        Marginal(name, tuple(values["labels"]), _known(values["real"]), _known(values["synthetic"]))
        for name, values in series[first]["marginals"].items()
        if name in SHOWN_VARIABLES
    ]
    return [
        SurvivalPlot(
            title="Survival: virtual patients against each hospital's real patients",
            series=tuple(curves),
            alt="At every hospital the curve of the virtual patients follows that of the real ones.",
        ),
        MarginalsPlot(
            title=f"Shares of values: virtual patients against real patients of {names[first]}",
            marginals=tuple(marginals),
            alt="The bars of real and virtual patients are of similar height; counts under five are left out.",
        ),
    ]


def _known(values: Iterable[float | None]) -> tuple[float, ...]:
    return tuple(0.0 if value is None else float(value) for value in values)


def budget_plot(budgets: Mapping[str, list[Mapping[str, Any]]]) -> BudgetPlot:
    """What each hospital's agreement with the hub has spent."""
    lines = [
        BudgetLine(name, used=gauge["spent"], ceiling=gauge["ceiling"])
        for name, gauges in budgets.items()
        for gauge in gauges
        if gauge["basis"]
    ]
    return BudgetPlot(
        title="Privacy budget of the study agreement at each hospital",
        lines=tuple(lines),
        alt="What each agreement has spent of the ε it allows; refused requests cost nothing.",
    )


def checks_of(title: str, report: Mapping[str, Any]) -> Checks:
    """A registry's numbered checks from their JSON."""
    return Checks(
        title,
        tuple(
            Check(str(c["title"]), bool(c["ok"]), str(c.get("reason") or ""), str(c.get("fix") or ""))
            for c in report["checks"]
        ),
    )


def number_of(body: str, attribute: str) -> int:
    """An integer attribute in a log entry; 0 where it is not there."""
    found = re.search(rf'<{re.escape(SYNTHEMA + attribute)}> "(\d+)"', body)
    return int(found[1]) if found else 0
