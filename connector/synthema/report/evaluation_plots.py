"""Drawings of an evaluation: differences of correlations, attacks, hazard ratios; each as a chart and as a table."""

from __future__ import annotations

from typing import Any

from synthema.errors import InputError
from synthema.report.colours import REAL, SYNTHETIC
from synthema.report.model import CorrelationPlot, ForestPlot, RocPlot, Table

EvaluationPlot = CorrelationPlot | RocPlot | ForestPlot

_SIDE = 420
_WIDE = 560
_RATIOS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.33, 0.5, 0.67, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_STEP = 17
_LEAST = 0.001  # the left end of the logarithmic axes
_LISTED = 20


def chart(altair: Any, plot: EvaluationPlot) -> Any:
    """The plot as an Altair chart; raises :class:`InputError` on a series that is not well formed."""
    if isinstance(plot, CorrelationPlot):
        return _correlation(altair, plot)
    if isinstance(plot, RocPlot):
        return _roc(altair, plot)
    return _forest(altair, plot)


def table(plot: EvaluationPlot) -> Table:
    """The same figures as a table."""
    if isinstance(plot, CorrelationPlot):
        pairs = [
            (plot.variables[i], plot.variables[j], plot.difference[i][j])
            for i in range(len(plot.variables))
            for j in range(i + 1, len(plot.variables))
        ]
        pairs.sort(key=lambda pair: -pair[2])
        return Table(
            plot.title,
            ("Variable", "Variable with it", "Difference"),
            tuple(pairs[:_LISTED]),
            note=f"The {_LISTED} largest differences." if len(pairs) > _LISTED else "",
        )
    if isinstance(plot, RocPlot):
        rows = tuple(
            (roc.attack, wrong, right)
            for roc in plot.attacks
            for wrong, right in zip(roc.false_positives, roc.true_positives, strict=True)
        )
        return Table(plot.title, ("Attack", "Wrongly recognised", "Rightly recognised"), rows)
    return Table(
        plot.title,
        ("Covariate", "Source", "Hazard ratio", "95 % from", "to"),
        tuple((each.covariate, each.source, each.ratio, each.lower, each.upper) for each in plot.ratios),
    )


def _correlation(altair: Any, plot: CorrelationPlot) -> Any:
    size = len(plot.variables)
    if len(plot.difference) != size or any(len(row) != size for row in plot.difference):
        raise InputError(f"the plot '{plot.title}' is no square", fix="give one row and one column for each variable")
    rows = [
        {"row": one, "column": other, "difference": plot.difference[i][j]}
        for i, one in enumerate(plot.variables)
        for j, other in enumerate(plot.variables)
        if i != j
    ]
    side = min(640, max(160, size * _STEP))
    order = list(plot.variables)
    return (
        altair.Chart(altair.Data(values=rows), width=side, height=side)
        .mark_rect()
        .encode(
            x=altair.X("column:N", title=None, sort=order, axis=altair.Axis(labelAngle=-60)),
            y=altair.Y("row:N", title=None, sort=order),
            color=altair.Color(
                "difference:Q",
                scale=altair.Scale(domain=[0, 0.5], range=["#8881", SYNTHETIC], clamp=True),
                legend=altair.Legend(title="Difference"),
            ),
        )
    )


def _roc(altair: Any, plot: RocPlot) -> Any:
    rows = [
        {"attack": roc.attack, "wrong": wrong, "right": max(right, _LEAST)}
        for roc in plot.attacks
        for wrong, right in zip(roc.false_positives, roc.true_positives, strict=True)
    ]
    axis = altair.Axis(format="%", values=[0.001, 0.01, 0.1, 1.0])
    scale = altair.Scale(type="log", domain=[_LEAST, 1.0])
    x = altair.X("wrong:Q", title="Others wrongly recognised", scale=scale, axis=axis)
    y = altair.Y("right:Q", title="Members rightly recognised", scale=scale, axis=axis)
    base = altair.Chart(altair.Data(values=rows), width=_SIDE, height=_SIDE)
    lines = base.mark_line(strokeWidth=2, interpolate="step-after").encode(
        x=x,
        y=y,
        color=altair.Color(
            "attack:N",
            scale=altair.Scale(domain=[roc.attack for roc in plot.attacks], range=[SYNTHETIC, REAL, "#2f8f5b"]),
            legend=altair.Legend(),
        ),
    )
    chance = altair.Chart(altair.Data(values=[{"wrong": _LEAST, "right": _LEAST}, {"wrong": 1.0, "right": 1.0}]))
    return chance.mark_line(color="#888", strokeDash=[4, 4]).encode(x=x, y=y) + lines


def _forest(altair: Any, plot: ForestPlot) -> Any:
    rows = [
        {
            "covariate": each.covariate,
            "source": each.source,
            "ratio": each.ratio,
            "lower": max(each.lower, 0.01),
            "upper": min(each.upper, 100.0),
        }
        for each in plot.ratios
    ]
    order = list(dict.fromkeys(each.covariate for each in plot.ratios))
    scale, axis = _ratio_axis(altair, rows)
    colour = altair.Color(
        "source:N", scale=altair.Scale(domain=["real", "synthetic"], range=[REAL, SYNTHETIC]), legend=altair.Legend()
    )
    y, offset = altair.Y("covariate:N", title=None, sort=order), altair.YOffset("source:N")
    base = altair.Chart(altair.Data(values=rows), width=_WIDE)
    bars = base.mark_rule(strokeWidth=2).encode(
        x=altair.X("lower:Q", title="Hazard ratio, 95 % interval", scale=scale, axis=axis),
        x2="upper:Q", y=y, yOffset=offset, color=colour,
    )  # fmt: skip
    points = base.mark_point(filled=True, size=40, opacity=1).encode(x="ratio:Q", y=y, yOffset=offset, color=colour)
    one = altair.Chart(altair.Data(values=[{"one": 1.0}])).mark_rule(color="#888", strokeDash=[4, 4])
    return one.encode(x=altair.X("one:Q", scale=scale, axis=axis)) + bars + points


def _ratio_axis(altair: Any, rows: list[dict[str, Any]]) -> tuple[Any, Any]:
    """A logarithmic scale as wide as the intervals are, at least from 0.5 to 2, and round ratios along it."""
    low = min([0.5, *(row["lower"] for row in rows)])
    high = max([2.0, *(row["upper"] for row in rows)])
    ticks = [ratio for ratio in _RATIOS if low <= ratio <= high]
    return altair.Scale(type="log", domain=[low, high], nice=False), altair.Axis(values=ticks, format="~g")
