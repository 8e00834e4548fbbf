"""How the drafts write things down: their namespaces, the names they use, and helpers to look for them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from pyoxigraph import NamedNode

from synthema.errors import InputError
from synthema.policy.evaluator import literals
from synthema.policy.evaluator.terms import DATE_TIME, DCT, FS, SOTW
from synthema.policy.intake.graph import RDF, Graph, Node, is_blank, refuse
from synthema.vocabulary.namespaces import ODRL

SPACES: Final = (SOTW, FS, "https://ex.org/sotw#", "http://example.org/")
TIME: Final = "http://www.w3.org/2006/time#"
PAY: Final = "https://www.epimorphics.com/guide-to-the-payments-ontology/"
PROV: Final = "http://www.w3.org/ns/prov#"
CURRENT_TIME: Final = "http://example.com/request/currentTime"

_FEATURES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("TemporalData", "CurrentXSDDateTime", "currentTime"), DATE_TIME),
    "accumulatedTime": ODRL + "meteredTime",
    "paidAmount": ODRL + "payAmount",
    "currentLocation": ODRL + "spatial",
    "location": ODRL + "spatial",
}
"""Features of the drafts that have another name than the left operand they describe."""

ALIASES: Final[Mapping[str, str]] = {
    PAY + "netAmount": ODRL + "payAmount",
    PAY + "payee": ODRL + "compensatedParty",
    PAY + "payer": ODRL + "compensatingParty",
    PAY + "currency": ODRL + "unit",
    PAY + "paymentDate": DATE_TIME,
}
TIMES = (DCT + "issued", DATE_TIME, TIME + "inXSDDateTime", PROV + "atTime", DCT + "created", PAY + "paymentDate")

UNIT_OF: Final = "unit of "
"""Before a left operand: the key under which the unit of its value stands."""

Values = Mapping[str, tuple[Node, ...]]


def action_of(graph: Graph, action: str) -> str:
    """The action meant: the ``rdf:value`` of a refined one, or the node itself."""
    return next(iter(graph.iris(action, RDF + "value")), action)


def action_values(graph: Graph, node: str) -> Values:
    """What is said of the action itself: its refinements with ``eq``, and operands beside its ``rdf:value``."""
    values: dict[str, list[Node]] = {}
    for action in graph.iris(node, ODRL + "action"):
        if graph.objects(action, RDF + "value"):
            collect(values, statements(graph, action))
            for refinement in graph.iris(action, ODRL + "refinement"):
                collect(values, stated(graph, refinement))
    return {key: tuple(found) for key, found in values.items()}


def statements(graph: Graph, node: str) -> list[tuple[str, tuple[Node, ...]]]:
    """What is said of a node, by the left operand it describes."""
    return [(feature(key), found) for key, found in graph.subjects.get(node, {}).items()]


def stated(graph: Graph, node: str) -> list[tuple[str, tuple[Node, ...]]]:
    """What a constraint under ``context`` states: only "left operand equals value" states anything."""
    lefts, rights = graph.iris(node, ODRL + "leftOperand"), graph.objects(node, ODRL + "rightOperand")
    if len(lefts) != 1 or not rights or graph.iris(node, ODRL + "operator") != (ODRL + "eq",):
        refuse("a context states no value", "write leftOperand, operator odrl:eq and rightOperand", where=graph.where)
    units = graph.objects(node, ODRL + "unit")
    return [(lefts[0], rights), *([(UNIT_OF + lefts[0], units)] if units else [])]


def parameter(graph: Graph, node: str) -> tuple[str, tuple[Node, ...]]:
    """What a request parameter states: a feature and its value."""
    features, found = named(graph, node, ("describesFeature",)), said(graph, node, ("value",))
    if len(features) != 1 or not found:
        refuse("a request parameter states no value", "give it a feature and a value", where=graph.where)
    return feature(features[0]), found


def feature(iri: str) -> str:
    """The left operand that a feature of a draft describes; any other name stands for itself."""
    for space in (SOTW, FS):
        if iri.startswith(space):
            name = iri.removeprefix(space)
            return _FEATURES.get(name) or ODRL + name[:1].lower() + name[1:]
    return iri


def collect(values: dict[str, list[Node]], stated: list[tuple[str, tuple[Node, ...]]]) -> None:
    """Add what is stated to what is known, each value once."""
    for key, found in stated:
        values.setdefault(key, []).extend(item for item in found if item not in values.get(key, ()))


def nodes_of(graph: Graph, names: tuple[str, ...]) -> tuple[str, ...]:
    """The nodes of a class that the drafts name, in any of their namespaces."""
    return graph.of_type(*(space + name for space in SPACES for name in names))


def said(graph: Graph, node: str, names: tuple[str, ...]) -> tuple[Node, ...]:
    """The values of properties that the drafts name, in any of their namespaces."""
    return tuple(item for space in SPACES for name in names for item in graph.objects(node, space + name))


def about(graph: Graph, node: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Like :func:`said`, nodes only."""
    return tuple(item.value for item in said(graph, node, names) if isinstance(item, NamedNode))


def named(graph: Graph, node: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Like :func:`said`, as text."""
    return tuple(item.value for item in said(graph, node, names))


def moment(item: Node, graph: Graph) -> datetime:
    """A time that is stated; raises :class:`PolicyLoadError`."""
    try:
        return literals.moment(item.value)
    except InputError as error:
        refuse(error.message, error.fix, where=graph.where)


def exactly_one(graph: Graph, found: list[str], what: str) -> str:
    """The one thing a request names; refuses none and several."""
    one = at_most_one(graph, found, what)
    if one is None or is_blank(one):
        refuse(f"the request names no {what}", f"name the {what}", where=graph.where)
    return one


def at_most_one(graph: Graph, found: list[str], what: str) -> str | None:
    """The one thing a request names, or ``None``; refuses several."""
    if len(set(found)) > 1:
        refuse(f"the request names several of its {what}", "ask for one after the other", where=graph.where)
    return found[0] if found else None
