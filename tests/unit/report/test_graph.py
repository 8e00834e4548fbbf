from __future__ import annotations

from itertools import pairwise

from synthema.report import GraphEdge, GraphNode, ProvenanceGraph
from synthema.report.graph import draw_graph, lay_out


def nodes(*names: str) -> list[GraphNode]:
    return [GraphNode(name, name) for name in names]


def edges(*pairs: str) -> list[GraphEdge]:
    return [GraphEdge(pair[0], pair[1]) for pair in pairs]


def column_of(layout_columns: tuple[tuple[str, ...], ...], name: str) -> int:
    return next(index for index, column in enumerate(layout_columns) if name in column)


def test_causes_stand_left_of_results() -> None:
    layout = lay_out(nodes(*"abcde"), edges("ab", "bc", "ac", "dc", "ce"))
    for pair in ("ab", "bc", "ac", "dc", "ce"):
        assert column_of(layout.columns, pair[0]) < column_of(layout.columns, pair[1])


def test_an_origin_stands_right_before_its_first_result() -> None:
    layout = lay_out(nodes(*"abcd"), edges("ab", "bc", "dc"))
    assert column_of(layout.columns, "d") == column_of(layout.columns, "b")


def test_a_long_arrow_goes_through_each_column_between() -> None:
    layout = lay_out(nodes(*"abc"), edges("ab", "bc", "ac"))
    assert len(layout.routes["a", "c"]) == 3


def test_a_cycle_is_drawn_and_keeps_its_direction() -> None:
    layout = lay_out(nodes(*"abc"), edges("ab", "bc", "ca"))
    assert set(layout.routes) == {("a", "b"), ("b", "c"), ("c", "a")}
    assert layout.routes["c", "a"][0] == "c"


def test_two_opposite_arrows_are_both_drawn() -> None:
    assert set(lay_out(nodes(*"ab"), edges("ab", "ba")).routes) == {("a", "b"), ("b", "a")}


def test_unknown_ends_and_loops_are_left_out() -> None:
    assert lay_out(nodes("a"), edges("aa", "ax")).routes == {}


def test_crossings_are_removed_where_possible() -> None:
    layout = lay_out(nodes(*"abcd"), edges("ad", "bc"))
    left, right = layout.columns
    assert [left.index("a") < left.index("b")] == [right.index("d") < right.index("c")]


def test_a_deep_chain_is_no_problem() -> None:
    names = [f"n{i}" for i in range(1500)]
    chain = [GraphEdge(a, b) for a, b in pairwise(names)]
    assert len(lay_out(nodes(*names), chain).columns) == 1500


def test_an_empty_graph_is_an_empty_drawing() -> None:
    assert draw_graph(ProvenanceGraph("g", (), (), "nothing"), prefix="p").endswith("</svg>")


def test_columns_are_numbered_and_long_labels_keep_a_title() -> None:
    label = "A very long name of a dataset that does not fit into two lines of its box"
    svg = draw_graph(ProvenanceGraph("g", (GraphNode("a", label),), (), "alt"), prefix="p")
    assert ">1</text>" in svg
    assert f"<title>{label}</title>" in svg
    assert "…" in svg
