"""What the codebook's rules say of pairs of nodes: which belong together, and which of their cells cannot be.

A rule such as "who has this fusion has favourable risk" is public. It needs no counting: the pair is modelled
together, and the share of what it forbids is nought.
"""

from __future__ import annotations

from typing import Any

from synthema.datasets.codebook import Codebook, Rule
from synthema.spi.sampling import modelled
from synthema_marginals.nodes import Floats, Node


def implied_pairs(codebook: Codebook, nodes: tuple[Node, ...]) -> list[dict[str, Any]]:
    """For each pair of nodes of which rules forbid cells: their names, the cells, and whether one decides the other."""
    owner = {variable.name: node for node in nodes for variable in node.variables}
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for rule in modelled(codebook).rules:
        if rule.value is None or len(rule.when) != 1:
            continue
        first, second = owner.get(rule.left), owner.get(next(iter(rule.when)))
        if first is None or second is None or first is second:
            continue
        if nodes.index(first) > nodes.index(second):
            first, second = second, first
        pair = found.setdefault(
            (first.name, second.name), {"nodes": [first.name, second.name], "cells": [], "decides": False}
        )
        pair["decides"] |= rule.comparison == "=="
        pair["cells"] += [
            [one, other]
            for one in _cells(first, rule)
            for other in _cells(second, rule)
            if [one, other] not in pair["cells"]
        ]
    return [pair for pair in found.values() if pair["cells"]]


def _cells(node: Node, rule: Rule) -> list[int]:
    """The cells of a node in which its side of the rule is such that the rule is broken."""
    events = node.events
    if events is None:
        return []
    if rule.left in {variable.name for variable in node.variables}:
        bad = [c != rule.value if rule.comparison == "==" else c == rule.value for c in events.categories]
        bad = bad if rule.left == events.name else [False] * len(bad)
    else:
        bad = [rule.when.get(events.name) == category for category in events.categories]
    shape = node.shape
    return [cell for cell in range(shape.bins * shape.levels) if bad[_level(cell, node)]]


def _level(cell: int, node: Node) -> int:
    """The level of the node's category in a cell: a node without an axis has its levels as bins."""
    return cell % node.shape.levels if node.axis is not None else cell


def without_impossible(joint: Floats, cells: list[list[int]]) -> Floats:
    """The start of a joint table with nothing in the cells that cannot be."""
    left = joint.copy()
    for one, other in cells:
        left[one, other] = 0.0
    return left
