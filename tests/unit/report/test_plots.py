from __future__ import annotations

import sys

import pytest

from synthema.errors import InputError
from synthema.report import BudgetLine, BudgetPlot, ReceivedVectorPlot, SurvivalPlot, SurvivalSeries
from synthema.report.plots import draw, own_ids, table_of
from tests.unit.report.stories import BUDGET, GRAPH, MARGINALS, RECEIVED, SURVIVAL


@pytest.mark.parametrize("plot", [SURVIVAL, MARGINALS, RECEIVED])
def test_a_plot_without_the_extra_names_the_extra(plot: SurvivalPlot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(InputError) as caught:
        draw(plot, prefix="p")
    assert "synthema[report]" in caught.value.fix


@pytest.mark.parametrize("plot", [BUDGET, GRAPH])
def test_budget_and_graph_need_no_extra(plot: BudgetPlot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "altair", None)
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    assert draw(plot, prefix="p").startswith("<svg")


def test_plots_take_the_colour_of_the_page() -> None:
    svg = draw(SURVIVAL, prefix="p")
    assert 'fill="currentColor"' in svg
    assert 'fill="#000"' not in svg
    assert 'fill="white"' not in svg


def test_two_drawings_share_no_id() -> None:
    clipped = '<g clip-path="url(#clip0)"><clipPath id="clip0"/><use xlink:href="#clip0"/></g>'
    assert own_ids(clipped, "a") == clipped.replace("clip0", "a-clip0")
    assert 'id="a-tip"' in draw(GRAPH, prefix="a")
    assert 'id="a-' not in draw(GRAPH, prefix="b")


def test_a_budget_over_its_ceiling_is_marked() -> None:
    svg = draw(BUDGET, prefix="p")
    assert 'class="used over"' in svg
    assert 'class="used fine"' in svg


def test_a_budget_without_a_ceiling_is_refused() -> None:
    with pytest.raises(InputError, match="no ceiling"):
        draw(BudgetPlot("B", (BudgetLine("x", 1.0, 0.0),), "alt"), prefix="p")


def test_a_series_of_two_lengths_is_refused() -> None:
    uneven = SurvivalPlot("S", (SurvivalSeries("A", "real", (1.0, 2.0), (0.9,)),), "alt")
    with pytest.raises(InputError, match=r"of 3 places and 2 values"):
        draw(uneven, prefix="p")


def test_an_empty_histogram_is_refused() -> None:
    with pytest.raises(InputError, match="no bins"):
        draw(ReceivedVectorPlot("R", (), "alt", "t", 0.0, 1.0), prefix="p")


def test_the_survival_table_reads_the_steps() -> None:
    table = table_of(SurvivalPlot("S", (SurvivalSeries("A", "real", (3.0, 12.0), (0.8, 0.5)),), "alt"))
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert row["0"] == 1.0
    assert row["2"] == 1.0
    assert row["3"] == 0.8
    assert row["11"] == 0.8
    assert row["12"] == 0.5


def test_the_graph_table_names_things_by_label() -> None:
    assert ("DPO", "", "Run") in table_of(GRAPH).rows
