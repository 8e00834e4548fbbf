"""The actions, operators and left operands of ODRL 2.2 as facts: identifiers and links, no texts.

Source: ODRL Vocabulary & Expression 2.2 (``odrl:includedIn`` and ``skos:exactMatch``).
``odrl:use`` includes every action of the common vocabulary but those of ``odrl:transfer``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from synthema.policy.intake.graph import Graph
from synthema.vocabulary.namespaces import ODRL, SKOS

CC: Final = "http://creativecommons.org/ns#"
RDFS: Final = "http://www.w3.org/2000/01/rdf-schema#"
DCT: Final = "http://purl.org/dc/terms/"
VCARD: Final = "http://www.w3.org/2006/vcard/ns#"
OWL: Final = "http://www.w3.org/2002/07/owl#"
REPORT: Final = "https://w3id.org/force/compliance-report#"
SOTW: Final = "https://w3id.org/force/sotw#"
FS: Final = "https://w3id.org/odrl-fs#"

USE, TRANSFER = ODRL + "use", ODRL + "transfer"
DATE_TIME, COUNT, ELAPSED = ODRL + "dateTime", ODRL + "count", ODRL + "elapsedTime"

_USE = """
acceptTracking aggregate annotate anonymize archive attribute compensate concurrentUse delete derive digitize
distribute ensureExclusivity execute grantUse include index inform install modify move nextPolicy obtainConsent play
present print read reproduce reviewPolicy stream synchronize textToSpeech transform translate uninstall watermark
"""
_USE_OF_CC = "Attribution CommercialUse DerivativeWorks Distribution Notice Reproduction ShareAlike Sharing SourceCode"

INCLUDED_IN: Final[Mapping[str, str]] = {
    **{ODRL + name: USE for name in _USE.split()},
    **{CC + name: USE for name in _USE_OF_CC.split()},
    ODRL + "display": ODRL + "play",
    ODRL + "extract": ODRL + "reproduce",
    ODRL + "give": TRANSFER,
    ODRL + "sell": TRANSFER,
}
EXACT_MATCH: Final[Mapping[str, str]] = {
    **{ODRL + name: ODRL + "modify" for name in ("append", "appendTo", "write", "writeTo")},
    ODRL + "copy": ODRL + "reproduce",
    ODRL + "export": ODRL + "transform",
    ODRL + "license": ODRL + "grantUse",
    ODRL + "pay": ODRL + "compensate",
    ODRL + "attachPolicy": CC + "Notice",
    ODRL + "attachSource": CC + "SourceCode",
    ODRL + "shareAlike": CC + "ShareAlike",
    ODRL + "commercialize": CC + "CommercialUse",
    ODRL + "share": CC + "Sharing",
    ODRL + "device": ODRL + "systemDevice",
    ODRL + "system": ODRL + "systemDevice",
    ODRL + "payeeParty": ODRL + "compensatedParty",
}
"""Deprecated term → the one that means the same."""

_SAME = (SKOS + "exactMatch", OWL + "sameAs")
_KINDS = (RDFS + "subClassOf", SKOS + "broader", SKOS + "broaderTransitive", ODRL + "includedIn")
_PARTS = (ODRL + "partOf", DCT + "isPartOf", SKOS + "broader", SKOS + "broaderTransitive")


class Links:
    """A reflexive and transitive relation over names; a circle makes its members mean the same."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._up: dict[str, set[str]] = {}
        self._above: dict[str, frozenset[str]] = {}
        for low, high in pairs:
            self._up.setdefault(low, set()).add(high)

    def above(self, name: str) -> frozenset[str]:
        """The name itself and everything it leads to."""
        known = self._above.get(name)
        if known is None:
            found, waiting = {name}, [name]
            while waiting:
                new = self._up.get(waiting.pop(), set()) - found
                found |= new
                waiting += new
            known = self._above[name] = frozenset(found)
        return known

    def leads(self, low: str, high: str) -> bool:
        """Whether one name is, or leads to, the other."""
        return low == high or high in self.above(low)


class Terms:
    """What means the same, what is a kind of what, and what is part of what.

    Believed are ODRL, the policy and the state of the world. A request may only say of
    which class a node is that none of them mentions, such as its own description of a purpose:
    whoever asks does not widen what an action includes or who belongs to a group.
    """

    def __init__(self, graph: Graph, claims: Graph) -> None:
        pairs = [(low, node.value) for name in _SAME for low, node in graph.pairs(name)]
        pairs += EXACT_MATCH.items()
        self._same = _representatives(pairs)
        kinds = [*INCLUDED_IN.items(), *_links(graph, _KINDS)]
        kinds += [(s, t) for s in graph.subjects for t in graph.types(s)]
        spoken = {*graph.subjects, *(o.value for said in graph.subjects.values() for os in said.values() for o in os)}
        kinds += [(s, t) for s in claims.subjects if s not in spoken for t in claims.types(s)]
        parts = [*_links(graph, _PARTS), *((node.value, s) for s, node in graph.pairs(VCARD + "hasMember"))]
        self._kinds = Links(self._pairs(kinds))
        self._parts = Links(self._pairs(parts))
        self._actions = Links(self._pairs([*INCLUDED_IN.items(), *_links(graph, (ODRL + "includedIn",))]))

    def _pairs(self, pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        return [(self.of(low), self.of(high)) for low, high in pairs]

    def of(self, name: str) -> str:
        """The one name for everything that means the same."""
        return self._same.get(name, name)

    def includes(self, wide: str, narrow: str) -> bool:
        """Whether an action includes another."""
        return self._actions.leads(self.of(narrow), self.of(wide))

    def member(self, name: str, of: str) -> bool:
        """Whether an asset or party is, or is part of, another."""
        return self._parts.leads(self.of(name), self.of(of))

    def kinds_above(self, name: str) -> frozenset[str]:
        """What a term is a kind or an instance of, itself included."""
        return self._kinds.above(self.of(name))

    def parts_above(self, name: str) -> frozenset[str]:
        """What a term is part of, itself included."""
        return self._parts.above(self.of(name))


def _links(graph: Graph, predicates: Iterable[str]) -> list[tuple[str, str]]:
    return [(low, node.value) for name in predicates for low, node in graph.pairs(name)]


def _representatives(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Every name of a group that means the same → one of them, an undeprecated term of ODRL first."""
    groups: dict[str, set[str]] = {}
    for one, other in pairs:
        both = groups.get(one, {one}) | groups.get(other, {other})
        for name in both:
            groups[name] = both
    return {name: min(group, key=lambda n: (n in EXACT_MATCH, n)) for name, group in groups.items()}
