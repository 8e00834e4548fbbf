"""From RDF to what a policy says: ODRL 2.2 Information Model, sections 2.1 to 2.7.

Strict about ODRL: a property of ODRL where it has no meaning, two operators, a missing
operand, an unknown operator refuse the policy, naming the node and the nearest term.
Statements in other vocabularies are handed on in ``other``, for the caller to judge.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NoReturn

from pyoxigraph import Literal, NamedNode

from synthema.policy.intake.graph import RDF, TYPE, Graph, Node, is_blank, refuse
from synthema.policy.intake.statements import (
    Comparison,
    Joined,
    Joining,
    Part,
    RuleKind,
    Written,
    WrittenPolicy,
    WrittenRule,
)
from synthema.vocabulary.namespaces import ODRL, compact

OPERATORS: Final = (
    *("eq", "neq", "lt", "lteq", "gt", "gteq"),
    *("isA", "isAnyOf", "isAllOf", "isNoneOf", "isPartOf", "hasPart"),
)
POLICY_TYPES: Final = ("Policy", "Set", "Offer", "Agreement", "Assertion", "Privacy", "Request", "Ticket")
MAX_DEPTH: Final = 32

_JOINING: tuple[Joining, ...] = ("and", "or", "xone", "andSequence")
_FUNCTIONS = frozenset(
    f"{role}{end}Party"
    for role in ("attribut", "compensat", "consent", "inform", "track", "contract")
    for end in ("ed", "ing")
) | {"payeeParty"}
_SHARED = frozenset({"action", "target", "assignee", "assigner", "constraint", "output", "relation", *_FUNCTIONS})
_POLICY = _SHARED | {"uid", "profile", "conflict", "inheritFrom", "permission", "prohibition", "obligation", "duty"}
_RULE = _SHARED | {"uid"}
_RULE_KEYS: Mapping[RuleKind, frozenset[str]] = {
    "permission": _RULE | {"duty"},
    "prohibition": _RULE | {"remedy"},
    "obligation": _RULE | {"consequence"},
    "duty": _RULE | {"consequence"},
    "consequence": _RULE | {"consequence"},
    "remedy": _RULE | {"consequence"},
}
_CONSTRAINT = frozenset(
    {
        "uid",
        "leftOperand",
        "operator",
        "rightOperand",
        "rightOperandReference",
        "unit",
        "dataType",
        "datatype",
        "status",
    }
)
_PART = frozenset(
    {"uid", "refinement", "constraint", "source", "partOf", "hasPolicy", "includedIn", "implies", "assigneeOf", "scope"}
)
_TOP: Mapping[str, RuleKind] = {
    "permission": "permission",
    "prohibition": "prohibition",
    "obligation": "obligation",
    "duty": "obligation",  # an older way to write an obligation of the policy
}


def read_policies(graph: Graph, *, hand_down: bool = True) -> tuple[WrittenPolicy, ...]:
    """Every policy in the graph; raises :class:`PolicyLoadError` if there is none or one is not understood.

    ``hand_down`` gives what a policy says as a whole to each rule that does not say otherwise.
    """
    types = tuple(ODRL + name for name in POLICY_TYPES)
    found = list(graph.of_type(*types))
    for name in ("permission", "prohibition", "obligation"):
        for subject, _ in graph.pairs(ODRL + name):
            if subject not in found:
                found.append(subject)  # no type given: an odrl:Policy, which is a Set
    if not found:
        refuse("there is no ODRL policy in it", "give one typed odrl:Set or odrl:Agreement", where=graph.where)
    return tuple(Reader(graph).policy(subject, hand_down=hand_down) for subject in found)


class Reader:
    """Reads the policies, rules, conditions and parts of one graph."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._unread: dict[tuple[str, str], None] = {}

    def policy(self, subject: str, *, hand_down: bool = True) -> WrittenPolicy:
        """The policy of this name."""
        other = self._known(subject, _POLICY, "policy")
        shared = self._rule(subject, "permission", 0, keys=_POLICY, inner=False)
        rules = [
            self._shared(self._rule(node, kind, 0), shared) if hand_down else self._rule(node, kind, 0)
            for name, kind in _TOP.items()
            for node in self._nodes(subject, name)
        ]
        conflict = self._at_most_one(subject, "conflict")
        return WrittenPolicy(
            iri=self._identity(subject),
            kind=self._kind(subject),
            rules=tuple(rules),
            shared=shared,
            conflict=None if conflict is None else self._member(conflict, ("perm", "prohibit", "invalid"), subject),
            profiles=self._texts(subject, "profile"),
            inherits=self._nodes(subject, "inheritFrom"),
            other=other,
            unread=tuple(self._unread),
        )

    def _kind(self, subject: str) -> str:
        kinds = [t.removeprefix(ODRL) for t in self._graph.types(subject) if t.startswith(ODRL)]
        unknown = [kind for kind in kinds if kind not in POLICY_TYPES]
        if unknown:
            self._fail(subject, f"odrl:{unknown[0]} is no kind of policy", "use odrl:Set or odrl:Agreement")
        special = [kind for kind in kinds if kind != "Policy"]
        if len(special) > 1:
            self._fail(subject, f"it is at once {' and '.join(special)}", "give it one kind")
        return special[0] if special else "Set"

    def _shared(self, rule: WrittenRule, shared: WrittenRule) -> WrittenRule:
        """Information Model 2.7.1: what the policy says counts for each rule that does not say otherwise."""
        return replace(
            rule,
            actions=rule.actions or shared.actions,
            targets=rule.targets or shared.targets,
            assignees=rule.assignees or shared.assignees,
            assigners=rule.assigners or shared.assigners,
            functions={**shared.functions, **rule.functions},
            constraints=(*shared.constraints, *rule.constraints),
        )

    def _rule(
        self, node: str, kind: RuleKind, depth: int, *, keys: frozenset[str] | None = None, inner: bool = True
    ) -> WrittenRule:
        if depth > MAX_DEPTH // 4:
            self._fail(node, "its duties are nested too deeply", "nest fewer levels")
        other = self._known(node, keys or _RULE_KEYS[kind], kind)
        return WrittenRule(
            node=self._identity(node),
            kind=kind,
            actions=tuple(self.part(item, "action") for item in self._nodes(node, "action")),
            targets=tuple(self.part(item, "AssetCollection") for item in self._targets(node)),
            assignees=tuple(self.part(item, "PartyCollection") for item in self._nodes(node, "assignee")),
            assigners=tuple(self.part(item, "PartyCollection") for item in self._nodes(node, "assigner")),
            functions={name: self._nodes(node, name) for name in sorted(_FUNCTIONS) if self._nodes(node, name)},
            constraints=tuple(self.condition(item, 0) for item in self._nodes(node, "constraint")),
            duties=self._rules(node, "duty", "duty", depth) if inner and kind == "permission" else (),
            remedies=self._rules(node, "remedy", "remedy", depth) if inner else (),
            consequences=self._rules(node, "consequence", "consequence", depth) if inner else (),
            other=other,
        )

    def _rules(self, node: str, name: str, kind: RuleKind, depth: int) -> tuple[WrittenRule, ...]:
        return tuple(self._rule(item, kind, depth + 1) for item in self._nodes(node, name))

    def part(self, node: str, what: str) -> Part:
        """An action, or an asset or party (collection)."""
        graph = self._graph
        if what == "action":
            value = graph.iris(node, RDF + "value")
            if len(value) > 1:
                self._fail(node, "the action has several rdf:value", "give one")
            if not value and is_blank(node):
                self._fail(node, "the action has no rdf:value", "say which action is narrowed")
            iri, source, collection = (value[0] if value else node), None, False
        else:
            source = next(iter(self._texts(node, "source")), None)
            collection = ODRL + what in graph.types(node) or source is not None
            iri = self._identity(node)
            if is_blank(iri) and source is None:
                self._fail(node, "it has neither a name nor an odrl:source", "name the asset or party")
        self._known(node, _PART | {"target"} if what == "action" else _PART, what)
        # The draft of the formal semantics also calls a constraint of an action its refinement.
        narrowing = (*self._nodes(node, "refinement"), *self._nodes(node, "constraint"))
        refinements = tuple(self.condition(item, 0) for item in narrowing)
        return Part(node, iri, source, collection, refinements)

    def condition(self, node: str, depth: int = 0) -> Written:
        """A constraint or logical constraint."""
        if depth > MAX_DEPTH:
            self._fail(node, "its conditions are nested too deeply, or in a circle", "nest fewer levels")
        logical = [how for how in _JOINING if self._graph.objects(node, ODRL + how)]
        if logical:
            return self._logical(node, logical, depth)
        self._known(node, _CONSTRAINT, "constraint")
        left, operator = self._at_most_one(node, "leftOperand"), self._at_most_one(node, "operator")
        if left is None or operator is None:
            missing = "leftOperand" if left is None else "operator"
            self._fail(node, f"a constraint without odrl:{missing}", f"add odrl:{missing}")
        rights = self._values(node, "rightOperand")
        reference = self._at_most_one(node, "rightOperandReference")
        if bool(rights) == (reference is not None):
            self._fail(node, "a constraint needs a right operand, or a reference to one", "give one of the two")
        datatype = self._at_most_one(node, "dataType") or self._at_most_one(node, "datatype")
        unit = self._at_most_one(node, "unit")
        return Comparison(
            node=self._identity(node),
            left=left.value,
            operator=self._member(operator, OPERATORS, node),
            rights=rights,
            reference=None if reference is None else reference.value,
            unit=None if unit is None else unit.value,
            datatype=None if datatype is None else datatype.value,
        )

    def _logical(self, node: str, logical: list[Joining], depth: int) -> Joined:
        if len(logical) > 1:
            self._fail(node, f"joined by {' and '.join(logical)} at once", "nest one in the other")
        how = logical[0]
        self._known(node, frozenset({"uid", how}), "logical constraint")
        parts: list[str] = []
        for item in self._values(node, how):
            if not isinstance(item, NamedNode):
                self._fail(node, f"odrl:{how} joins a value", "join constraints")
            parts.append(item.value)
        return Joined(self._identity(node), how, tuple(self.condition(part, depth + 1) for part in parts))

    def _values(self, node: str, name: str) -> tuple[Node, ...]:
        """The values of a property, with lists opened."""
        found: list[Node] = []
        for item in self._graph.objects(node, ODRL + name):
            opened = self._graph.list_items(item.value) if isinstance(item, NamedNode) else None
            found += [item] if opened is None else opened
        return tuple(found)

    def _nodes(self, node: str, name: str) -> tuple[str, ...]:
        literal = [o for o in self._graph.objects(node, ODRL + name) if isinstance(o, Literal)]
        if literal:
            self._fail(node, f"odrl:{name} is the text '{literal[0].value[:60]}'", "give an IRI")
        return tuple(dict.fromkeys(item.value for item in self._values(node, name)))

    def _targets(self, node: str) -> tuple[str, ...]:
        """The targets of a rule; some write the target of a duty inside its action."""
        inside = (item for action in self._nodes(node, "action") for item in self._nodes(action, "target"))
        return self._nodes(node, "target") or tuple(inside)

    def _texts(self, node: str, name: str) -> tuple[str, ...]:
        return tuple(item.value for item in self._graph.objects(node, ODRL + name))

    def _at_most_one(self, node: str, name: str) -> Node | None:
        found = self._graph.objects(node, ODRL + name)
        if len(found) > 1:
            self._fail(node, f"odrl:{name} is given {len(found)} times", "give it once")
        return found[0] if found else None

    def _identity(self, node: str) -> str:
        """The name of a node: its IRI, or its ``odrl:uid`` where it has none."""
        uids = {item.value for item in self._graph.objects(node, ODRL + "uid")}
        if len(uids) > 1 or (uids and not is_blank(node) and uids != {node}):
            self._fail(node, "odrl:uid differs from its IRI", "give one identifier")
        return next(iter(uids), node) if is_blank(node) else node

    def _member(self, item: Node, allowed: tuple[str, ...], node: str) -> str:
        name = item.value.removeprefix(ODRL)
        if not isinstance(item, NamedNode) or name not in allowed or item.value == name:
            near = difflib.get_close_matches(name.rpartition("/")[2], allowed, n=1, cutoff=0.4)
            fix = f"did you mean 'odrl:{near[0]}'?" if near else f"use one of: {', '.join(allowed)}"
            self._fail(node, f"'{compact(item.value)[:80]}' is not known", fix)
        return name

    def _known(self, node: str, keys: frozenset[str], what: str) -> Mapping[str, tuple[Node, ...]]:
        """Refuse a property of ODRL that means nothing here; what is said in other vocabularies."""
        other: dict[str, tuple[Node, ...]] = {}
        for predicate in self._graph.predicates(node):
            if predicate.startswith(ODRL):
                name = predicate.removeprefix(ODRL)
                if name not in keys:
                    near = difflib.get_close_matches(name, sorted(keys), n=1, cutoff=0.5)
                    fix = f"did you mean 'odrl:{near[0]}'?" if near else "remove it"
                    self._fail(node, f"odrl:{name} does not belong to a {what}", fix)
            elif predicate not in (TYPE, RDF + "value"):
                other[predicate] = self._graph.objects(node, predicate)
                self._unread[node, predicate] = None
        return other

    def _fail(self, node: str, message: str, fix: str) -> NoReturn:
        who = "a nameless node" if is_blank(node) else compact(node)
        refuse(f"{who}: {message}", fix, where=self._graph.where)
