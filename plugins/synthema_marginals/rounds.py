"""The three rounds: shares of each variable, which pairs belong together, the chosen pairs in detail.

1. every node alone, outcomes counted with a greater weight (survival curves need them);
2. candidate pairs in few groups: their noisy phi² chooses the heaviest spanning tree and, in wide tables, siblings;
3. the chosen pairs in finer groups, as fine as the remaining noise allows.

Rounds 2 and 3 count the outcomes again, in few groups: a survival curve adds up cells, and fewer cells add up less
noise. They leave out what is usual (``queries``). The design of a round uses only what earlier rounds released.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from synthema.datasets.codebook import Codebook
from synthema.spi.model import Aggregate, Contribution, Plan, State, Table
from synthema_marginals.estimate import (
    Measured,
    estimate_shares,
    heaviest_forest,
    heaviest_tree,
    known_part,
    read_measured,
)
from synthema_marginals.gaps import GAPS, POOL, gap_cells, gap_chances, gap_limit, gap_queries, gaps_shape, has_gaps
from synthema_marginals.implied import implied_pairs, without_impossible
from synthema_marginals.nodes import Floats, Node, Shape, encode, nodes_of
from synthema_marginals.pairs import (
    Basis,
    Dependence,
    Signal,
    basis,
    contrast_signs,
    dependence,
    joint_shares,
    signal,
    tilted,
    usual_strength,
)
from synthema_marginals.queries import (
    ALL_COUNTED,
    MAX_LENGTH,
    MAX_WEIGHT,
    POOLS,
    Limits,
    Query,
    balanced_groups,
    check_cells,
    check_length,
    count,
    every_cell,
    limits_from,
    sensitivity,
)

NO_LIMITS = (0,) * POOLS
SPLIT = (0.35, 0.2, 0.45)
SPLIT_OF_WIDE = (0.2, 0.3, 0.5)
UNIT_WEIGHT = 8  # pairs count this much, so that a limited row can count in smaller whole numbers
ROOM_FOR_RARE = (2.0, 4.0)  # in rounds 2 and 3: the limit of a row's silent load, as a multiple of its mean
ROOM_OF_WIDE = (0.8, 2.0)
WORTH_SAVING = 0.8  # silent queries are used where the limit is below this part of what they could add
USUAL = 0.6  # a group holding this share is left uncounted
ROWS_PER_CELL = (4.0, 2.0)  # times its noise, in the tables of round 3: of pairs with an outcome, of other pairs
FINEST_GROUPS = 12
FEWEST_BESIDE_CONTRAST = 3  # fewer groups say little of a pair that its contrast does not
GROUPS_ALONE = 5
CONTRASTS = 2  # the pool of silent contrasts, and of rare findings counted alone
OUTCOME_PREFERENCE = 4.0
ALL_PAIRS_UP_TO = 20
OUTCOME_GROUPS = (5, 8)  # in how many groups outcomes are counted again in rounds 2 and 3
OUTCOME_PART = (0.15, 0.4)  # the outcomes' part of those rounds: at least, and at most
CURVE_NOISE = 0.01  # and between them, so much that a survival curve is off by no more than this
GAPS_PART = 0.15  # the gaps' part of round 2
VISIBLE = 0.2  # the noise in a correlation at which pairs of other nodes are not worth asking for
WORTH_AN_EDGE = 0.03  # phi² of siblings


def first_state(plan: Plan) -> State:
    """The state before the first round; raises ``ValueError`` if the plan's codebook or privacy loss is unusable."""
    if not plan.rho > 0:
        raise ValueError("the plan grants no privacy loss: give rho greater than 0")
    nodes = nodes_of(plan.codebook)
    shapes = model_shapes(nodes)
    check_cells(shapes)
    weight = int(plan.parameters.get("outcome_weight") or _outcome_weight(shapes))
    queries = tuple(
        Query((name,), (every_cell(shape),), weight if shape.outcome else 1) for name, shape in shapes.items()
    )
    values: dict[str, Any] = {
        "shapes": [shape.as_dict() for shape in shapes.values()],
        "anchored": _anchored_pairs(plan.codebook),
        "implied": implied_pairs(plan.codebook, nodes),
        "shares_of_rho": _split(plan, shapes),
        "rho": plan.rho,
        "pairs": str(plan.parameters.get("pairs", "auto")),
        "measured": [],
        "tree": [],
        "siblings": [],
    }
    return _asking(1, queries, NO_LIMITS, values)


def model_shapes(nodes: tuple[Node, ...]) -> dict[str, Shape]:
    """The shapes of all that is counted: the codebook's nodes and, beside an outcome, the number of gaps."""
    shapes = {node.name: node.shape for node in nodes}
    gaps = gaps_shape(shapes) if _has_outcome(shapes) else None
    return shapes | ({GAPS: gaps} if gaps else {})


def _outcome_weight(shapes: dict[str, Shape]) -> int:
    """The weight at which all outcomes together take half of the round, two thirds in wide tables; at least 2.

    Wide tables count what is rare once more in round 2.
    """
    outcomes = sum(shape.outcome for shape in shapes.values())
    others = (len(shapes) - outcomes) * (2 if _is_wide(shapes) else 1)
    return min(MAX_WEIGHT, max(2, round(math.sqrt(others / max(outcomes, 1)))))


def _is_wide(shapes: dict[str, Shape]) -> bool:
    """Whether counting all pairs alike would drown them in noise, and there is an outcome to put first."""
    return len(shapes) > ALL_PAIRS_UP_TO and _has_outcome(shapes)


def _has_outcome(shapes: dict[str, Shape]) -> bool:
    return any(shape.outcome for shape in shapes.values())


def _split(plan: Plan, shapes: dict[str, Shape]) -> list[float]:
    """Shares of the privacy loss for the three rounds; rounds that are not needed give theirs away."""
    nodes = len(shapes)
    given = plan.parameters.get("split") or list(SPLIT_OF_WIDE if _is_wide(shapes) else SPLIT)
    if len(given) != 3 or min(given) <= 0:
        raise ValueError("parameter 'split' needs three numbers greater than 0, one for each round")
    shares = np.asarray(given, dtype=np.float64)
    if nodes == 1:
        shares[1:] = 0
    elif nodes == 2:
        shares[1] = 0
    return [float(share) for share in shares / shares.sum()]


def _anchored_pairs(codebook: Codebook) -> list[list[str]]:
    """Pairs that are always modelled together: a time kept as a share of a later time, and that later time."""
    nodes = nodes_of(codebook)
    owner = {variable.name: node.name for node in nodes for variable in node.variables}
    return [[owner[node.anchor.name], node.name] for node in nodes if node.anchor is not None]


def _asking(number: int, queries: tuple[Query, ...], limits: Limits, values: dict[str, Any]) -> State:
    values = {**values, "queries": [query.as_dict() for query in queries], "limits": list(limits)}
    rho = values["rho"] * values["shares_of_rho"][number - 1]
    return State(number, check_length(queries), rho, sensitivity(queries, limits), finished=False, values=values)


def shapes_of(state: State) -> dict[str, Shape]:
    """The shapes of the nodes in a state, by name."""
    return {value["name"]: Shape(**value) for value in state.values["shapes"]}


def contribution(state: State, table: Table, codebook: Codebook) -> Contribution:
    """The site's counts for the round.

    A state comes from the coordinator, so nothing in it is believed: the shapes must be
    those of this site's own codebook, and the declared sensitivity must cover the queries.
    """
    nodes = nodes_of(codebook)
    shapes = model_shapes(nodes)
    if shapes_of(state) != shapes:
        raise ValueError("the round was made for another codebook: agree on one codebook and start the study again")
    queries = tuple(Query.from_dict(value, shapes) for value in state.values["queries"])
    if not queries or check_length(queries) != state.length:
        raise ValueError(f"the round's queries do not have the announced length {state.length}: refuse the round")
    limits = limits_from(state.values["limits"])
    if state.sensitivity < sensitivity(queries, limits) * (1 - 1e-9):
        raise ValueError(
            f"the round announces a sensitivity of {state.sensitivity:.4f}, but one row can change the counts by "
            f"{sensitivity(queries, limits):.4f}: refuse the round"
        )
    cells = {node.name: encode(node, table) for node in nodes}
    if GAPS in shapes:
        cells[GAPS] = gap_cells(cells, shapes)
    return Contribution(count(queries, cells, limits))


def next_state(state: State, total: Aggregate) -> State:
    """The state after a round's noisy sum: what was measured, and what to ask next."""
    if state.finished:
        raise ValueError("the study is finished: no further sum can be absorbed")
    if total.total.shape != (state.length,):
        raise ValueError(f"the sum has {total.total.shape} entries, the round asked for {state.length}")
    shapes = shapes_of(state)
    values = dict(state.values)
    values["measured"] = [*values["measured"], *_answers(state, total, shapes)]
    values["queries"] = []
    evidence = Evidence(shapes, values)
    if state.round == 1 and len(shapes) > 2:
        return _asking(2, *evidence.sparingly(evidence.candidate_pairs(), 2), values)
    if state.round <= 2 and len(shapes) > 1:
        tree = evidence.choose_tree()
        values["tree"] = [list(pair) for pair in tree]
        siblings = evidence.choose_siblings(tree)
        values["siblings"] = [list(pair) for pair in siblings]
        return _asking(3, *evidence.sparingly(evidence.detailed_pairs([*tree, *siblings]), 3), values)
    return State(state.round + 1, 0, 0.0, 0.0, finished=True, values=values)


def _answers(state: State, total: Aggregate, shapes: dict[str, Shape]) -> list[dict[str, Any]]:
    answers, start = [], 0
    for value in state.values["queries"]:
        length = Query.from_dict(value, shapes).length
        counts = [int(number) for number in total.total[start : start + length]]
        answers.append({**value, "round": state.round, "counts": counts, "sigma": float(total.sigma)})
        start += length
    return answers


class Evidence:
    """What has been measured so far, ready to design the next round or to draw rows from."""

    def __init__(self, shapes: dict[str, Shape], values: dict[str, Any]) -> None:
        self.shapes = shapes
        self._values = values
        self.measured: list[Measured] = read_measured(values["measured"], shapes)
        self.shares, self.rows = estimate_shares(shapes, self.measured)
        self.chances = self._gap_chances()
        implied = {(pair["nodes"][0], pair["nodes"][1]): pair for pair in values["implied"]}
        self._impossible: dict[tuple[str, str], list[list[int]]] = {p: found["cells"] for p, found in implied.items()}
        self._decided = [pair for pair, found in implied.items() if found["decides"]]
        self.known = {name: self.shares[name][: self._known_cells(name)] for name in shapes}
        self.known = {name: shares / max(float(shares.sum()), 1e-12) for name, shares in self.known.items()}
        self.bases: dict[str, Basis] = {
            name: basis(replace(shape, missing=len(self.known[name]) > shape.bins * shape.levels), self.known[name])
            for name, shape in shapes.items()
        }
        self.pairs = [
            known_part(table, {name: self._known_cells(name) for name in table.query.nodes})
            for table in self.measured
            if len(table.query.nodes) == 2 and table.query.pool != POOL
        ]

    def _known_cells(self, name: str) -> int:
        """How many of a node's cells the pairs are about: all but that for missing, where gaps have their own node."""
        shape = self.shapes[name]
        return shape.cells - int(self._gapped(name))

    def _gapped(self, name: str) -> bool:
        return GAPS in self.shapes and has_gaps(self.shapes[name])

    def _gap_chances(self) -> dict[str, Floats]:
        """The chance that each variable is missing, for each number of gaps; empty where gaps have no node."""
        if GAPS not in self.shapes:
            return {}
        counted = {t.query.nodes[1]: (t.counts[1:, 1], t.sigma) for t in self.measured if t.query.pool == POOL}
        return gap_chances(self.shapes, self.shares, counted, self.rows)

    def candidate_pairs(self) -> tuple[Query, ...]:
        """The pairs whose strength the second round measures, in few groups."""
        outcomes = {name for name, shape in self.shapes.items() if shape.outcome}
        only_outcomes = self._only_outcomes()
        possible = [pair for pair in combinations(self.shapes, 2) if GAPS not in pair or outcomes & set(pair)]
        pairs = [pair for pair in possible if not only_outcomes or outcomes & set(pair)]
        wanted = int(np.clip(self._groups_affordable(len(pairs), number=2, rows_per_cell=4.0), 2, 4))
        contrasts = self._contrasts([pair for pair in pairs if outcomes & set(pair)])
        queries = contrasts if only_outcomes else (*contrasts, *self._pair_queries(pairs, wanted))
        if not only_outcomes or self._values["pairs"] == "outcomes":
            return queries
        rest = self._pair_queries([pair for pair in possible if not outcomes & set(pair)], 2)
        together = (*queries, *rest)
        sparse, limits = self.sparingly(together, 2)
        noise = sensitivity(sparse, limits) / UNIT_WEIGHT / np.sqrt(2 * self._rho_of(2))
        affordable = 4.0 * noise / self.rows <= VISIBLE and sum(query.length for query in sparse) <= MAX_LENGTH // 2
        return together if affordable else queries

    def _only_outcomes(self) -> bool:
        """Whether the tree is made of pairs with an outcome; other pairs may then join as siblings."""
        asked = self._values["pairs"]
        return bool(asked == "outcomes" or (asked == "auto" and _has_outcome(self.shapes)))

    def choose_siblings(self, tree: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Pairs of nodes that hang on the same outcome and say much about each other beyond it: a heaviest forest.

        A node, its outcome and its sibling make a clique of three; the cliques of a forest make a junction tree.
        """
        if not self._only_outcomes():
            return []
        held = {child: parent for pair in tree for parent, child in (pair, pair[::-1]) if self.shapes[parent].outcome}
        weights: dict[tuple[str, str], float] = {}
        for table in self.pairs:
            if any(self.shapes[name].outcome for name in table.query.nodes):
                continue
            pair = (table.query.nodes[0], table.query.nodes[1])
            if pair[0] not in held or held[pair[0]] != held.get(pair[1]):
                continue
            found = self._dependence(pair).strength
            if found >= WORTH_AN_EDGE:
                weights[pair] = found
        decided = [pair for pair in self._decided if pair[0] in held and held[pair[0]] == held.get(pair[1])]
        return heaviest_forest(list(self.shapes), weights, decided)

    def choose_tree(self) -> list[tuple[str, str]]:
        """The heaviest spanning tree, edges of outcomes preferred, anchored pairs always in it."""
        weights: dict[tuple[str, str], float] = {}
        only_outcomes = self._only_outcomes()
        for table in self.pairs:
            pair = (table.query.nodes[0], table.query.nodes[1])
            if only_outcomes and not any(self.shapes[name].outcome for name in pair):
                continue
            prefer = OUTCOME_PREFERENCE if any(self.shapes[name].outcome for name in pair) else 1.0
            weights[pair] = prefer * (self._dependence(pair).strength + 1e-9)
        forced = [(pair[0], pair[1]) for pair in self._values["anchored"]]
        forced += [pair for pair in self._decided if pair in weights]
        return heaviest_tree(list(self.shapes), weights, forced)

    def detailed_pairs(self, tree: list[tuple[str, str]]) -> tuple[Query, ...]:
        """The tree's pairs, in as many groups as their noise allows; those with an outcome by a contrast first of all.

        Tables of pairs with an outcome say the rest, so their cells must stand out from noise more clearly. Where noise
        leaves them too few groups, each other node is counted alone instead.
        """
        outcomes = {name for name, shape in self.shapes.items() if shape.outcome}
        leaning = [pair for pair in tree if outcomes & set(pair)]
        others = [pair for pair in tree if not outcomes & set(pair)]
        coarse = self._groups_affordable(len(tree), number=3, rows_per_cell=ROWS_PER_CELL[0])
        fine = self._groups_affordable(len(tree), number=3, rows_per_cell=ROWS_PER_CELL[1])
        alone: tuple[Query, ...] = ()
        if coarse < FEWEST_BESIDE_CONTRAST:
            forced = [tuple(pair) for pair in (*self._values["anchored"], *self._decided)]
            leaning, alone = [pair for pair in leaning if pair in forced or pair[::-1] in forced], self._others_alone()
        return (
            *self._contrasts([pair for pair in tree if outcomes & set(pair)]),
            *alone,
            *self._pair_queries(leaning, int(np.clip(coarse, 2, FINEST_GROUPS))),
            *self._pair_queries(others, int(np.clip(fine, 2, FINEST_GROUPS))),
        )

    def _others_alone(self) -> tuple[Query, ...]:
        """Every node but the outcomes and gaps, in few groups."""
        kept = [n for n, shape in self.shapes.items() if not shape.outcome and n != GAPS]
        return tuple(Query((n,), (balanced_groups(self.shapes[n], self.shares[n], GROUPS_ALONE),)) for n in kept)

    def _contrasts(self, pairs: list[tuple[str, str]]) -> tuple[Query, ...]:
        """One sum for each pair that tells most about how the outcome leans on the other node."""
        alike = {name: (0,) * shape.cells for name, shape in self.shapes.items()}
        signs = {name: self._signs(name) for name in self.shapes}
        return tuple(
            Query((a, b), (alike[a], alike[b]), UNIT_WEIGHT, (), CONTRASTS, (signs[a], signs[b])) for a, b in pairs
        )

    def _signs(self, name: str) -> tuple[int, ...]:
        shape, known = self.shapes[name], self.known[name]
        found = contrast_signs(replace(shape, missing=len(known) > shape.bins * shape.levels), known)
        return (*found, *(0,) * (shape.cells - len(found)))

    def sparingly(self, pairs: tuple[Query, ...], number: int) -> tuple[tuple[Query, ...], Limits]:
        """The queries of pairs without their usual groups, outcomes alone and gaps beside them, and the pools' limits.

        The limit of pairs is a little above the mean load that the noisy shares predict. Where it saves little,
        every group is counted.
        """
        contrasts = tuple(query for query in pairs if query.signs)
        sparse = tuple(self._without_usual(query) for query in pairs if not query.signs)
        silent = [query for query in sparse if query.is_silent]
        load = sum(self._counted_share(query) for query in silent)
        room = (ROOM_OF_WIDE if _is_wide(self.shapes) else ROOM_FOR_RARE)[number - 2]
        limit = int(np.ceil(room * load + 1.0))
        if limit > WORTH_SAVING * len(silent):
            sparse, limit = tuple(replace(query, silent=()) for query in sparse), 0
        rare = self._rare_alone() if number == 2 and _is_wide(self.shapes) else ()
        load = sum(self._signed_share(query) for query in contrasts if query.is_silent)
        load += sum(self._counted_share(query) for query in rare)
        signed = int(np.ceil(room * load + 1.0))
        limits: Limits = (limit * UNIT_WEIGHT**2, 0, signed * UNIT_WEIGHT**2)
        sparse = (*contrasts, *rare, *sparse)
        alone = self._outcomes_alone(number, sensitivity(sparse, limits) ** 2)
        together = (*alone, *sparse)
        if number == 2 and GAPS in self.shapes:
            gaps, limit = self._gaps(sensitivity(together, limits) ** 2)
            together, limits = (*together, *gaps), (limits[0], limit, limits[2])
        return together, limits

    def _rare_alone(self) -> tuple[Query, ...]:
        """Nodes that are nearly always the same, once more: only what is rarer is counted, which loads few rows."""
        shapes = {name: shape for name, shape in self.shapes.items() if name != GAPS}
        whole = [Query((name,), (every_cell(shape),), pool=CONTRASTS) for name, shape in shapes.items()]
        return tuple(query for query in map(self._without_usual, whole) if query.is_silent)

    def _gaps(self, others: float) -> tuple[tuple[Query, ...], int]:
        """The queries of gaps and their limit, so that they take ``GAPS_PART`` of the round."""
        noise = max(table.sigma for table in self.measured if len(table.query.nodes) == 1)
        queries = gap_queries(self.shapes, self.shares, noise / self.rows)
        limit = gap_limit(self.shares[GAPS], len(queries))
        fair = math.sqrt(GAPS_PART / (1 - GAPS_PART) * others / limit)
        weight = min(max(round(fair), 1), MAX_WEIGHT)
        return tuple(replace(query, weight=weight) for query in queries), limit * weight**2

    def _without_usual(self, query: Query) -> Query:
        """The query without the group of a node that most rows are in; an outcome is always counted in full.

        Where gaps have their own node, missing values are left out too: with the usual group, or in its place.
        """
        usual = [self._usual(name, group) for name, group in zip(query.nodes, query.groups, strict=True)]
        groups, silent = list(query.groups), usual.copy()
        for place, name in enumerate(query.nodes):
            if not self._gapped(name):
                continue
            if usual[place] != ALL_COUNTED:
                groups[place] = (*groups[place][:-1], usual[place])
            elif max(usual) != ALL_COUNTED:
                silent[place] = groups[place][-1]
        return replace(query, weight=UNIT_WEIGHT, groups=tuple(groups), silent=tuple(silent))

    def _usual(self, name: str, group: tuple[int, ...]) -> int:
        """The group that most rows with a known value are in, ``ALL_COUNTED`` where there is none."""
        if self.shapes[name].outcome:
            return ALL_COUNTED
        share = np.bincount(group[: self._known_cells(name)], self.known[name])
        usual = int(np.argmax(share))
        return usual if share[usual] >= USUAL and len(share) > 1 else ALL_COUNTED

    def _counted_share(self, query: Query) -> float:
        """The share of rows that a silent query counts, were its nodes independent."""
        counted = 1.0
        for name, group, out in zip(query.nodes, query.groups, query.left_out, strict=True):
            if out != ALL_COUNTED:
                counted *= 1.0 - float(np.bincount(group, self.shares[name])[out])
        return counted

    def _signed_share(self, query: Query) -> float:
        """The share of rows to which a contrast gives a sign, were its nodes independent."""
        sides = zip(query.nodes, query.signs, strict=True)
        return float(np.prod([self.shares[name][np.asarray(signs) != 0].sum() for name, signs in sides]))

    def _outcomes_alone(self, number: int, others: float) -> tuple[Query, ...]:
        """The outcomes in few groups, as exactly as a survival curve needs: half the groups add up in its middle."""
        names = [name for name, shape in self.shapes.items() if shape.outcome]
        if not names:
            return ()
        groups = OUTCOME_GROUPS[number - 2]
        enough = (CURVE_NOISE * self.rows) ** 2 / (groups / 2)
        part = float(np.clip(len(names) / (2 * self._rho_of(number) * enough), *OUTCOME_PART))
        fair = math.sqrt(part / (1 - part) * others / len(names))
        weight = min(max(round(fair), 1), MAX_WEIGHT)
        return tuple(
            Query((name,), (balanced_groups(self.shapes[name], self.shares[name], groups),), weight) for name in names
        )

    def _groups_affordable(self, tables: int, *, number: int, rows_per_cell: float) -> float:
        """Groups for each node so that a cell of a pair holds about ``rows_per_cell`` times its noise."""
        sigma = math.sqrt(tables / (2 * self._rho_of(number)))
        return math.sqrt(self.rows / (rows_per_cell * sigma))

    def _rho_of(self, number: int) -> float:
        return float(self._values["rho"] * self._values["shares_of_rho"][number - 1])

    def _pair_queries(self, pairs: list[tuple[str, str]], wanted: int) -> tuple[Query, ...]:
        groups = {name: balanced_groups(shape, self.shares[name], wanted) for name, shape in self.shapes.items()}
        return tuple(Query(pair, (groups[pair[0]], groups[pair[1]])) for pair in pairs)

    def _signal(self, pair: tuple[str, str]) -> Signal:
        return signal(pair, self.known, self.bases, self.rows * self._both_known(pair), self.pairs)

    def _dependence(self, pair: tuple[str, str]) -> Dependence:
        leans = any(self.shapes[name].outcome for name in pair)
        return dependence(self._signal(pair), self._usual_strength if leans else 1.0)

    @cached_property
    def _usual_strength(self) -> float:
        """How strongly the outcomes usually lean on another node: by all pairs of which there is a contrast."""
        pairs = {(t.query.nodes[0], t.query.nodes[1]) for t in self.pairs if t.query.signs}
        return usual_strength([self._signal(pair) for pair in sorted(pairs)])

    def _both_known(self, pair: tuple[str, str]) -> float:
        """The share of rows in which neither of a pair is missing."""
        there = [1.0 - self.chances[name] for name in pair if self._gapped(name)]
        return float(np.prod(there, axis=0) @ self.shares[GAPS]) if there else 1.0

    def joint(self, pair: tuple[str, str]) -> Floats:
        """The joint shares of a pair's known cells, shape (cells of one, cells of the other)."""
        first, second = pair
        found = self._dependence(pair).coefficients
        start = tilted(self.known[first], self.known[second], self.bases[first], self.bases[second], found)
        if pair in self._impossible:
            start = without_impossible(start, self._impossible[pair])
        elif (second, first) in self._impossible:
            start = without_impossible(start.T, self._impossible[second, first]).T
        return joint_shares(self.known[first], self.known[second], start)
