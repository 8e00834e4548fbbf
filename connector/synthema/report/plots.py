"""Draws the plots of a story as SVG that sits inside the page: no script, no font file, no request.

Survival, marginals, received vectors and the figures of an evaluation are drawn by Altair and
vl-convert (the extra ``report``); the budget meter is drawn here. Text, axes and grid take
the colour of the page, so a plot reads well in light, in dark and on paper.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from typing import Any

from synthema.errors import InputError
from synthema.report import evaluation_plots
from synthema.report.colours import REAL, SYNTHETIC
from synthema.report.graph import draw_graph
from synthema.report.model import (
    BudgetLine,
    BudgetPlot,
    CorrelationPlot,
    ForestPlot,
    MarginalsPlot,
    Plot,
    ProvenanceGraph,
    ReceivedVectorPlot,
    RocPlot,
    SurvivalPlot,
    SurvivalSeries,
    Table,
)

_PANEL_WIDTH = 250
_PANEL_SIZES = {1: (560, 340), 2: (360, 260)}  # few panels are drawn larger
_TABLE_TIMES = 12


def draw(plot: Plot, *, prefix: str) -> str:
    """One plot as an SVG element whose ids start with ``prefix``.

    Raises :class:`InputError` that names the missing extra when a plot needs
    Altair and it is not installed, or when a series has two lengths.
    """
    if isinstance(plot, BudgetPlot):
        return _meters(plot)
    if isinstance(plot, ProvenanceGraph):
        return draw_graph(plot, prefix=prefix)
    if isinstance(plot, SurvivalPlot):
        return _to_svg(_survival(plot), prefix)
    if isinstance(plot, MarginalsPlot):
        return _to_svg(_marginals(plot), prefix)
    if isinstance(plot, CorrelationPlot | RocPlot | ForestPlot):
        return _to_svg(evaluation_plots.chart(_altair()[0], plot), prefix)
    return _to_svg(_received(plot), prefix)


def table_of(plot: Plot) -> Table:
    """The same figures as a table, for those who do not see the plot and those who want the numbers."""
    if isinstance(plot, BudgetPlot):
        return Table(
            plot.title,
            ("Budget", f"Spent ({plot.unit})", f"Reserved ({plot.unit})", f"Ceiling ({plot.unit})"),
            tuple((line.label, line.used, line.reserved, line.ceiling) for line in plot.lines),
        )
    if isinstance(plot, ProvenanceGraph):
        labels = {node.id: node.label for node in plot.nodes}
        rows = tuple((labels.get(e.source, e.source), e.label, labels.get(e.target, e.target)) for e in plot.edges)
        return Table(plot.title, ("From", "What happened", "To"), rows)
    if isinstance(plot, SurvivalPlot):
        return _survival_table(plot)
    if isinstance(plot, MarginalsPlot):
        shares = (
            (marginal.label, category, real, synthetic)
            for marginal in plot.marginals
            for category, real, synthetic in zip(marginal.categories, marginal.real, marginal.synthetic, strict=True)
        )
        return Table(plot.title, ("Variable", "Category", "Real", "Synthetic"), tuple(shares))
    if isinstance(plot, CorrelationPlot | RocPlot | ForestPlot):
        return evaluation_plots.table(plot)
    return Table(
        plot.title,
        ("Bin", "Values in it", "Expected by chance"),
        tuple((index + 1, count, sum(plot.counts) / len(plot.counts)) for index, count in enumerate(plot.counts)),
        note=f"{plot.test}: statistic {plot.statistic:.4g}, p-value {plot.p_value:.3g}.",
    )


def _survival_table(plot: SurvivalPlot) -> Table:
    last = max((series.times[-1] for series in plot.series if series.times), default=0.0)
    times = [round(last * step / _TABLE_TIMES, 2) for step in range(_TABLE_TIMES + 1)]
    rows = tuple(
        (f"{s.site}, {s.source}", *(_probability_at(s.times, s.probability, t, plot.start) for t in times))
        for s in plot.series
    )
    columns = ("Series", *(f"{time:g}" for time in times))
    return Table(plot.title, columns, rows, note=f"Read off at even steps of time, in {plot.time_unit}.")


def _probability_at(
    times: tuple[float, ...], probability: tuple[float, ...], moment: float, start: float
) -> float | None:
    held = [share for time, share in zip(times, probability, strict=True) if time <= moment]
    if not times or moment > times[-1]:
        return None
    return round(held[-1], 4) if held else start


def _altair() -> tuple[Any, Any]:
    try:
        import altair as alt  # noqa: PLC0415 - an extra, and slow to import
        import vl_convert  # noqa: PLC0415
    except ImportError as error:
        raise InputError(
            "plots need packages that are not installed: altair and vl-convert-python",
            fix="install the extra 'report': pip install 'synthema[report]'",
        ) from error
    return alt, vl_convert


def _to_svg(chart: Any, prefix: str) -> str:
    altair, vl_convert = _altair()
    version = ".".join(altair.SCHEMA_VERSION.split(".")[:2])
    svg: str = vl_convert.vegalite_to_svg(_styled(altair, chart).to_dict(), vl_version=version, allowed_base_urls=[])
    return own_ids(svg, prefix)


def own_ids(svg: str, prefix: str) -> str:
    """Clip paths are numbered from 0 in each drawing; several drawings on one page need ids of their own."""
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", svg)
    return re.sub(r'\b((?:xlink:)?href)="#([^"]+)"', rf'\1="#{prefix}-\2"', svg)


def _styled(altair: Any, chart: Any) -> Any:
    ink, faint = "currentColor", "#8888"
    return chart.configure(
        background="transparent",
        axis=altair.AxisConfig(
            labelColor=ink, titleColor=ink, tickColor=faint, domainColor=faint, gridColor="#8883",
            labelFontSize=11, titleFontSize=12, titleFontWeight="normal",
        ),
        header=altair.HeaderConfig(labelColor=ink, titleColor=ink, labelFontSize=13, labelFontWeight="bold"),
        legend=altair.LegendConfig(
            labelColor=ink, titleColor=ink, labelFontSize=12, orient="top", title=None, symbolStrokeWidth=2.5
        ),
        title=altair.TitleConfig(color=ink, fontSize=13, anchor="start"),
        view=altair.ViewConfig(stroke=None),
    )  # fmt: skip


def _colours(altair: Any, field: str = "source") -> Any:
    return altair.Color(
        f"{field}:N", scale=altair.Scale(domain=["real", "synthetic"], range=[REAL, SYNTHETIC]), legend=altair.Legend()
    )


def _survival(plot: SurvivalPlot) -> Any:
    altair, _ = _altair()
    rows = [
        {"site": series.site, "source": series.source, "time": time, "share": share, "lower": low, "upper": high}
        for series in plot.series
        for time, share, low, high in _steps(plot, series)
    ]
    sites = list(dict.fromkeys(series.site for series in plot.series))
    width, height = _PANEL_SIZES.get(len(sites), (_PANEL_WIDTH, 200))
    panel = altair.Chart(width=width, height=height)
    dash = altair.StrokeDash("source:N", scale=altair.Scale(domain=["real", "synthetic"], range=[[1, 0], [6, 3]]))
    layers = [
        panel.mark_line(interpolate="step-after", strokeWidth=2).encode(
            x=altair.X("time:Q", title=f"Time in {plot.time_unit}"),
            y=altair.Y("share:Q", title=plot.outcome, scale=altair.Scale(domain=[0, 1]), axis=altair.Axis(format="%")),
            color=_colours(altair),
            strokeDash=dash,
        )
    ]
    if any(series.lower for series in plot.series):
        layers.insert(
            0,
            panel.mark_area(interpolate="step-after", opacity=0.18).encode(
                x="time:Q",
                y="lower:Q",
                y2="upper:Q",
                color=_colours(altair),
            ),
        )
    return altair.layer(*layers, data=altair.Data(values=rows)).facet(
        facet=altair.Facet("site:N", title=None, sort=sites), columns=min(3, max(1, len(sites)))
    )


def _steps(plot: SurvivalPlot, series: SurvivalSeries) -> Iterator[tuple[float, float, float, float]]:
    """Time, share and band of each step, from time 0; a curve without a band is its own band."""
    times, shares = _same_length(plot.title, (0.0, *series.times), (plot.start, *series.probability))
    _, lower = _same_length(plot.title, times, (plot.start, *series.lower) if series.lower else shares)
    _, upper = _same_length(plot.title, times, (plot.start, *series.upper) if series.upper else shares)
    return zip(times, shares, lower, upper, strict=True)


def _marginals(plot: MarginalsPlot) -> Any:
    altair, _ = _altair()
    panels = []
    for marginal in plot.marginals:
        _same_length(plot.title, marginal.categories, marginal.real)
        _same_length(plot.title, marginal.categories, marginal.synthetic)
        rows = [
            {"category": category, "source": source, "share": share}
            for source, shares in (("real", marginal.real), ("synthetic", marginal.synthetic))
            for category, share in zip(marginal.categories, shares, strict=True)
        ]
        panels.append(
            altair.Chart(altair.Data(values=rows), width=_PANEL_WIDTH, title=marginal.label)
            .mark_bar()
            .encode(
                y=altair.Y("category:N", title=None, sort=list(marginal.categories)),
                yOffset=altair.YOffset("source:N"),
                x=altair.X("share:Q", title="Share of patients", axis=altair.Axis(format="%", tickCount=5)),
                color=_colours(altair),
            )
        )
    return altair.concat(*panels, columns=2)


def _received(plot: ReceivedVectorPlot) -> Any:
    altair, _ = _altair()
    if not plot.counts:
        raise InputError(f"the plot '{plot.title}' has no bins", fix="count the received values in at least one bin")
    rows = [{"bin": (index + 0.5) / len(plot.counts), "count": count} for index, count in enumerate(plot.counts)]
    bars = (
        altair.Chart(altair.Data(values=rows), width=2 * _PANEL_WIDTH, height=180)
        .mark_bar(color=REAL, width=max(1, int(1.7 * _PANEL_WIDTH / len(plot.counts))))
        .encode(
            x=altair.X(
                "bin:Q",
                title=f"Value received, as a share of the range 0 to 2^{plot.bits}",
                scale=altair.Scale(domain=[0, 1]),
                axis=altair.Axis(format="%"),
            ),
            y=altair.Y("count:Q", title="Values in the bin"),
        )
    )
    mean = sum(plot.counts) / len(plot.counts)
    level = (
        altair.Chart(altair.Data(values=[{"mean": mean}]))
        .mark_rule(color=SYNTHETIC, strokeDash=[6, 3], strokeWidth=2)
        .encode(y="mean:Q")
    )
    return bars + level


def _same_length(title: str, first: tuple[Any, ...], second: tuple[Any, ...]) -> tuple[tuple[Any, ...], ...]:
    if len(first) != len(second):
        raise InputError(
            f"the plot '{title}' has a series of {len(first)} places and {len(second)} values",
            fix="give one value for each place",
        )
    return first, second


def _meters(plot: BudgetPlot) -> str:
    """One bar a line: what is spent, what is reserved (hatched by opacity), and the ceiling as the end of the bar."""
    width, row, bar = 640, 54, 16
    height = row * len(plot.lines) + 8
    bars = "".join(_meter(line, plot.unit, row * index, width, bar) for index, line in enumerate(plot.lines))
    return (
        f'<svg class="meters" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'xmlns="http://www.w3.org/2000/svg">{bars}</svg>'
    )


def _meter(line: BudgetLine, unit: str, top: float, width: int, bar: int) -> str:
    if line.ceiling <= 0:
        raise InputError(f"the budget '{line.label}' has no ceiling", fix="give a ceiling above 0")
    used = width * min(1.0, max(0.0, line.used / line.ceiling))
    reserved = min(width - used, width * max(0.0, line.reserved / line.ceiling))
    level = "over" if line.used > line.ceiling else "high" if line.used >= 0.8 * line.ceiling else "fine"
    words = f"{unit} {line.used:.4g} spent"
    words += f", {line.reserved:.4g} reserved" if line.reserved else ""
    words += f" of {line.ceiling:.4g}"
    return (
        f'<text class="label" x="0" y="{top + 18}">{escape(line.label)}</text>'
        f'<text class="label" x="{width}" y="{top + 18}" text-anchor="end">{escape(words)}</text>'
        f'<rect class="track" x="0.5" y="{top + 26}" width="{width - 1}" height="{bar}" rx="4"/>'
        f'<rect class="used {level}" x="0.5" y="{top + 26}" width="{used:.1f}" height="{bar}" rx="4"/>'
        f'<rect class="reserved {level}" x="{used:.1f}" y="{top + 26}" width="{reserved:.1f}" height="{bar}" rx="4"/>'
    )
