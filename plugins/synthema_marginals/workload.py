"""What the rounds count more exactly than the rest: the pairs that published findings about the disease speak of.

A generator that spreads its privacy loss over all pairs alike keeps few of them well, and those that a clinician looks
for first need not be among them. Which findings are published is public, and so is which variables of a codebook they
name: their pairs may have a greater weight in the workload (as in AIM; McKenna, Mullins, Sheldon and Miklau 2022) at no
cost but the noise that the others then carry. Nothing here looks at data, and nothing assumes that a finding is true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any

from synthema.datasets.codebook import Codebook
from synthema.spi.published import Check, Named, checks_of
from synthema_marginals.nodes import Node
from synthema_marginals.queries import Query

FEW = 0.5  # of the rows, that a heavier query counts
POOL = 3  # of the silent queries about pairs that findings speak of
WEIGHT = 3  # times that of another pair
MOST_WEIGHT = 8
ROOM = 3  # times the heaviest query, beside the mean load


def declared_pairs(codebook: Codebook, nodes: tuple[Node, ...]) -> list[list[str]]:
    """The pairs of nodes that published findings about the codebook's disease speak of, each in the nodes' order.

    A finding counts where the codebook has all that it names. Of an effect on survival, the outcome is one of a pair.
    """
    order = {node.name: number for number, node in enumerate(nodes)}
    owner = {variable.name: node.name for node in nodes for variable in node.variables}
    named = Named(codebook, tuple(v for v in codebook.variables if v.name in owner))
    spoken = (_nodes_of(check, named, owner) for check in checks_of(codebook.disease))
    pairs = (tuple(sorted(pair, key=order.__getitem__)) for names in spoken for pair in combinations(names, 2))
    return [list(pair) for pair in dict.fromkeys(pairs)]


def _nodes_of(check: Check, named: Named, owner: dict[str, str]) -> list[str]:
    """The nodes a finding is about; none where the codebook lacks one of them."""
    variables = [named.variable(concept) for concept in sorted(check.concepts)]
    names = [owner[variable.name] for variable in variables if variable is not None]
    outcome = named.outcome(check.outcome) if check.kind == "hazard" else None
    if len(names) < len(variables) or (check.kind == "hazard" and (outcome is None or outcome.time not in owner)):
        return []
    return list(dict.fromkeys([*names, *([owner[outcome.time]] if outcome is not None else [])]))


def workload_values(codebook: Codebook, nodes: tuple[Node, ...], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What a state keeps: the declared pairs, and how many times as heavily they are counted; 1 asks for none.

    Raises ``ValueError`` on a weight out of bounds.
    """
    weight = int(parameters.get("published", WEIGHT))
    if not 1 <= weight <= MOST_WEIGHT:
        raise ValueError(f"parameter 'published' is a whole number from 1 to {MOST_WEIGHT}")
    return {"declared": declared_pairs(codebook, nodes) if weight > 1 else [], "heavier": weight}


class Workload:
    """The declared pairs of a state and their weight."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._pairs = frozenset(frozenset(pair) for pair in values["declared"])
        self._weight = int(values["heavier"])

    def names(self, nodes: Iterable[str]) -> bool:
        """Whether findings speak of these two nodes together."""
        return frozenset(nodes) in self._pairs

    def weighed(self, queries: Iterable[Query], share: Callable[[Query], float]) -> tuple[Query, ...]:
        """The queries; those of declared pairs that count few rows with their weight, in a pool of their own.

        Others cost their weight in every row, and need it less: what many rows show stands out as it is.
        ``share`` tells the share of rows that a silent query counts, by noisy shares that were released before.
        """
        return tuple(
            replace(query, weight=query.weight * self._weight, pool=POOL)
            if self.names(query.nodes) and query.is_silent and share(query) <= FEW
            else query
            for query in queries
        )

    @staticmethod
    def limit(queries: tuple[Query, ...], share: Callable[[Query], float]) -> int:
        """The limit of the declared pairs' pool: above the mean load, so that rows with a few of them count in full."""
        mine = [query for query in queries if query.pool == POOL and query.is_silent]
        heaviest = max((query.weight**2 for query in mine), default=0)
        return int(sum(share(query) * query.weight**2 for query in mine)) + ROOM * heaviest
