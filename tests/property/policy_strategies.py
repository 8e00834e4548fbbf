"""Random policies and requests over a small part of the vocabulary, wrong inputs included."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from hypothesis import strategies as st

from synthema.policy.model import (
    ANY_DATASET,
    AccessRequest,
    Combination,
    Constraint,
    Duty,
    Event,
    Fact,
    Fulfilment,
    Kind,
    LawReference,
    Layer,
    OperandReference,
    Operator,
    Policy,
    Refinement,
    Rule,
    SiteDecision,
    Timing,
)
from synthema.policy.wellformed import OPERATORS
from synthema.vocabulary import Datatype, expand, load_vocabulary

VOCABULARY = load_vocabulary()
EFFORT = int(os.environ.get("SYNTHEMA_EFFORT", "1"))
"""How many times the usual number of examples; for long runs."""
AT = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
TARGETS = ("https://site.example/id/dataset/a", "https://site.example/id/dataset/b")
PARTIES = ("did:web:hub.example", "did:web:lab.example")
REGISTERS = ("https://site.example/id/collection/anaemias", "https://site.example/id/collection/all")
NETWORKS = ("https://site.example/id/collection/network", "https://site.example/id/collection/partners")
ACTIONS = tuple(map(expand, ("odrl:use", "syn:processData", "syn:synthesise", "syn:export", "syn:certify")))
DEADLINES = (timedelta(days=30), timedelta(hours=5))
DUTIES = tuple(map(expand, ("syn:acknowledge", "syn:signAgreement", "odrl:delete")))
TERMS = {
    "odrl:purpose": [
        *("dpv:Marketing", "dpv:Advertising", "syn:Art54-c", "syn:Art53Purpose", "syn:Art53-1-e"),
        *("ehds:HealthcareScientificResearch", "ehds:TrainTestAndEvaluateHealthAlgorithms", "dpv:ScientificResearch"),
    ],
    "syn:dataCategory": [
        *("syn:Art51Category", "syn:Art51-1-f", "ehds:GenomicData", "syn:Art51-1-l", "ehds:MedicalRegistryData"),
    ],
    "syn:outputClass": ["dpv:PersonalData", "dpv:PseudonymisedData", "dpv:SyntheticData", "syn:AggregatedData"],
}
SIMPLE = {
    "syn:epsilonRequested": st.sampled_from([0.0, 0.5, 1.0, 6.0, 12.5]),
    "syn:epsilonRemaining": st.sampled_from([0.0, 1.0, 6.0]),
    "syn:contributingParties": st.integers(0, 5),
    "syn:publicSectorBody": st.booleans(),
    "syn:optOutListAge": st.integers(0, 3).map(lambda days: timedelta(days=days)),
    "syn:dpiaReviewDue": st.integers(-2, 2).map(lambda days: AT + timedelta(days=days)),
    "odrl:dateTime": st.integers(-2, 2).map(lambda days: AT + timedelta(days=days)),
    "syn:pluginDigest": st.sampled_from(["sha256:aa", "sha256:bb", "words with spaces"]),
}
OPERANDS = tuple(expand(name) for name in (*TERMS, *SIMPLE))
_BY_IRI = {expand(name): name for name in (*TERMS, *SIMPLE)}
_SETS = (Operator.IS_ANY_OF, Operator.IS_NONE_OF, Operator.IS_ALL_OF)


def terms(operand: str) -> st.SearchStrategy[str]:
    return st.sampled_from([expand(term) for term in TERMS[_BY_IRI[operand]]])


def plain(operand: str) -> st.SearchStrategy[Any]:
    return terms(operand) if _BY_IRI[operand] in TERMS else SIMPLE[_BY_IRI[operand]]


# Strategies are made once: making them anew in each draw takes most of the time.
_PLAIN = {operand: plain(operand) for operand in OPERANDS}
_SEVERAL = {operand: st.lists(_PLAIN[operand], min_size=1, max_size=3, unique=True).map(tuple) for operand in OPERANDS}
_OPERAND = st.sampled_from(OPERANDS)
_OPERATOR = {operand: st.sampled_from(sorted(OPERATORS[VOCABULARY.operands[operand].datatype])) for operand in OPERANDS}
_JOINED = {
    parent: st.sampled_from([j for j in ("and", "or", "xone") if j != parent or j == "xone"])
    for parent in ("", "and", "or", "xone")
}
_COIN = st.booleans()
_ONE_IN_THREE = st.sampled_from([False, False, True])
_ONE_IN_SIX = st.sampled_from([*[False] * 5, True])


@st.composite
def constraints(draw: st.DrawFn) -> Constraint:
    operand = draw(_OPERAND)
    operator = draw(_OPERATOR[operand])
    if operator in _SETS:
        right = draw(_SEVERAL[operand])
    elif VOCABULARY.operands[operand].datatype is Datatype.NUMBER and draw(_COIN):
        names = [expand("syn:epsilonRequested"), expand("syn:epsilonRemaining")]
        right = OperandReference(names[1 - names.index(operand)])
    else:
        right = draw(_PLAIN[operand])
    return Constraint(operand, operator, right)


@st.composite
def conditions(draw: st.DrawFn, depth: int = 0, parent: str = "") -> Constraint | Combination:
    if depth == 2 or not draw(_ONE_IN_THREE):
        return draw(_CONSTRAINT)
    joined = draw(_JOINED[parent])
    count = 3 if draw(_ONE_IN_THREE) else 2
    return Combination(joined, tuple(draw(_conditions(depth + 1, joined)) for _ in range(count)))


@cache
def _conditions(depth: int, parent: str) -> st.SearchStrategy[Constraint | Combination]:
    return conditions(depth, parent)


_CONSTRAINT = constraints()
_MAYBE_CONDITION = st.none() | conditions()


LAW = (
    LawReference("EHDS", "53(1)(e)", "http://data.europa.eu/eli/reg/2025/327/oj"),
    LawReference("GDNG", "6", "https://law.example/gdng"),
)
TEXT = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=12)


_LAWS = st.lists(st.sampled_from(LAW), max_size=2, unique=True).map(tuple)
_SOME_TARGETS = st.sampled_from([ANY_DATASET, ANY_DATASET, *TARGETS, *REGISTERS])
_TARGETS = st.lists(_SOME_TARGETS, min_size=1, max_size=3, unique=True).map(tuple)
_MAYBE_TARGETS = st.just(()) | _TARGETS
_MAYBE_PARTIES = st.just(()) | st.lists(st.sampled_from([*PARTIES, *NETWORKS]), max_size=2, unique=True).map(tuple)
_ACTIONS = st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=2, unique=True).map(tuple)
_TIMING = st.sampled_from(Timing)
_EVENT = st.sampled_from(Event)
_DUTY = st.sampled_from(DUTIES)
_DEADLINE = st.none() | st.sampled_from(DEADLINES)
_MAYBE_TEXT = st.none() | TEXT
_SENTENCE = st.just("") | TEXT
_UP_TO = {n: st.integers(0, n) for n in range(15)}
_FROM = st.sampled_from([None, AT - timedelta(days=1), AT])
_TO = st.sampled_from([None, AT + timedelta(days=1)])
_VERSION = st.sampled_from(["1", "2.0", "2026-11"])
_DECIDED = st.lists(_OPERAND, max_size=2, unique=True)
_LAYER = st.sampled_from(Layer)
_KIND = st.sampled_from(Kind)


@st.composite
def duties(draw: st.DrawFn) -> Duty:
    timing = draw(_TIMING)
    within = None if timing is Timing.PRE else draw(_DEADLINE)
    after = Event.DECISION if within is None else draw(_EVENT)
    action, evidence = draw(_DUTY), draw(_MAYBE_TEXT)
    when = draw(_CONSTRAINT) if draw(_ONE_IN_THREE) else None
    further = tuple(each for each in draw(_SETTLING) if each.action != action) if draw(_ONE_IN_THREE) else ()
    return Duty(action, timing, within, after, evidence, when, further)


@st.composite
def settling(draw: st.DrawFn) -> tuple[Duty, ...]:
    """What settles a violation: duties that are due at once, each act once."""
    actions = draw(st.lists(_DUTY, max_size=2, unique=True))
    return tuple(
        Duty(action, evidence=draw(_MAYBE_TEXT), when=draw(_CONSTRAINT) if draw(_ONE_IN_THREE) else None)
        for action in actions
    )


_SETTLING = settling()
_A_DUTY = duties()


@st.composite
def rules(draw: st.DrawFn, rule_id: str, kinds: tuple[Kind, ...] = tuple(Kind)) -> Rule:
    kind = kinds[draw(_UP_TO[len(kinds) - 1])]
    count = 1 if kind is Kind.OBLIGATION else 0 if kind is Kind.PROHIBITION else draw(_UP_TO[2])
    actions, targets, assignees = draw(_ACTIONS), draw(_MAYBE_TARGETS), draw(_MAYBE_PARTIES)
    return Rule(
        id=rule_id,
        kind=kind,
        actions=actions,
        when=draw(_MAYBE_CONDITION),
        unless=draw(_MAYBE_CONDITION) if kind is Kind.PROHIBITION else None,
        targets=targets,
        assignees=assignees,
        duties=tuple(draw(_A_DUTY) for _ in range(count)),
        law=draw(_LAWS),
        sentence=draw(_SENTENCE),
        # In the order in which the forms write what they narrow.
        refinements=tuple(
            Refinement(name, draw(_CONSTRAINT)) for name in (*actions, *targets, *assignees) if draw(_ONE_IN_SIX)
        ),
        remedies=draw(_SETTLING) if kind is Kind.PROHIBITION and draw(_ONE_IN_THREE) else (),
    )


_rules = cache(rules)


@st.composite
def policies(draw: st.DrawFn, layer: Layer, number: int = 0, kinds: tuple[Kind, ...] = tuple(Kind)) -> Policy:
    iri = f"https://site.example/id/policy/{layer}-{number}"
    # In the order of kinds in which the form groups rules.
    found = [draw(_rules(f"{iri}#r{n}", kinds)) for n in range(1 + draw(_UP_TO[2]))]
    found.sort(key=lambda rule: list(Kind).index(rule.kind))
    return Policy(
        id=iri,
        layer=layer,
        version=draw(_VERSION),
        title=draw(TEXT),
        rules=tuple(found),
        targets=draw(_TARGETS),
        assigner=draw(st.none() | st.sampled_from(PARTIES)),
        assignees=draw(_MAYBE_PARTIES),
        law=draw(_LAWS),
        effective_from=draw(_FROM),
        effective_to=draw(_TO),
        site_decisions=tuple(SiteDecision(operand, draw(TEXT)) for operand in draw(_DECIDED)),
    )


_policies = cache(policies)


@st.composite
def lenient_policies(draw: st.DrawFn, layer: Layer) -> Policy:
    """A policy that often permits, so that both outcomes are met."""
    iri = f"https://site.example/id/policy/{layer}-9"
    when = draw(_CONSTRAINT) if draw(_COIN) else None
    open_rule = Rule(f"{iri}#open", Kind.PERMISSION, (expand("odrl:use"),), when, None, (ANY_DATASET,))
    other = draw(_rules(f"{iri}#r", (Kind.PERMISSION,)))
    return Policy(iri, layer, "1", "open", (other, open_rule), (ANY_DATASET,))


_lenient_policies = cache(lenient_policies)


LAW_PACK = Policy(
    "https://site.example/id/policy/law",
    Layer.UNION,
    "1",
    "law",
    (Rule("https://site.example/id/policy/law#x", Kind.PROHIBITION, (expand("syn:reidentify"),)),),
)


@st.composite
def policy_sets(draw: st.DrawFn) -> list[Policy]:
    found = [LAW_PACK] if draw(_UP_TO[9]) else []
    layers = [layer for layer in (Layer.SITE, Layer.DATASET, Layer.AGREEMENT) if draw(_UP_TO[14])]
    found += [draw(_lenient_policies(layer)) for layer in layers]
    found += [draw(_policies(draw(_LAYER), number)) for number in range(draw(_UP_TO[2]))]
    unique = {policy.id: policy for policy in found}
    return list(unique.values()) if draw(_COIN) else list(reversed(unique.values()))


_OPEN = tuple(
    Policy(
        f"https://site.example/id/policy/{layer}-8",
        layer,
        "1",
        "open",
        (Rule(f"https://site.example/id/policy/{layer}-8#open", Kind.PERMISSION, (expand("odrl:use"),)),),
    )
    for layer in (Layer.SITE, Layer.DATASET, Layer.AGREEMENT)
)


@st.composite
def decisive_sets(draw: st.DrawFn) -> list[Policy]:
    """Policies in which one rule decides: all else is permitted, and that rule speaks about nearly everything.

    Its identifier is the one that records of what was done name most.
    """
    kind = draw(_KIND)
    iri = f"https://site.example/id/policy/{Layer.SITE}-0"
    rule = draw(_rules(f"{iri}#r0", (kind,)))
    wide = draw(_ONE_IN_THREE)
    actions = tuple(dict.fromkeys((*rule.actions, expand("odrl:use")))) if wide else (expand("odrl:use"),)
    names = {*actions, *rule.targets, *rule.assignees}
    of = {refinement.of: refinement for refinement in rule.refinements if refinement.of in names}
    if draw(_COIN):
        of[actions[-1]] = Refinement(actions[-1], draw(_CONSTRAINT))
    ordered = (*actions, *rule.targets, *rule.assignees)
    simple = replace(
        rule,
        actions=actions,
        when=rule.when if draw(_ONE_IN_THREE) else None,
        unless=rule.unless if draw(_ONE_IN_THREE) else None,
        refinements=tuple(of[name] for name in ordered if name in of),
    )
    others = [policy for policy in _OPEN if policy.layer is not Layer.SITE or kind is not Kind.PERMISSION]
    return [LAW_PACK, *others, Policy(iri, Layer.SITE, "1", "one rule", (simple,))]


_WRONG = st.sampled_from(["urn:unknown", True, 3, 3.5, float("nan"), timedelta(1), AT, ("x",), ()])
_MANY = {operand: st.lists(_PLAIN[operand], max_size=3).map(tuple) for operand in OPERANDS}
_EVIDENCE = st.sampled_from([None, "urn:evidence"])
_UNIT = st.sampled_from([None] * 9 + ["patients"])


@st.composite
def facts(draw: st.DrawFn, operand: str) -> Fact:
    """Mostly a right value; sometimes several, of another type, unknown, or in another unit."""
    chance = draw(_UP_TO[9])
    textual = VOCABULARY.operands[operand].datatype in (Datatype.TERM, Datatype.TEXT)
    source = _WRONG if chance == 9 else _MANY[operand] if chance > 6 and textual else _PLAIN[operand]
    return Fact(draw(source), draw(_EVIDENCE), draw(_UNIT))


_facts = cache(facts)
_STATED = tuple(operand for operand in OPERANDS if operand != expand("odrl:dateTime"))
_ONE_RULE = "https://site.example/id/policy/L2-0#r0"
_RULE_IDS = st.sampled_from(
    [*[_ONE_RULE] * 10, *(f"https://site.example/id/policy/{layer}-{n}#r0" for layer in Layer for n in (0, 1, 9))]
)
_DONE = st.lists(
    st.builds(
        Fulfilment,
        st.sampled_from([*DUTIES * 3, *ACTIONS[:2]]),
        st.sampled_from([AT - timedelta(days=2), AT - timedelta(days=1), AT, AT + timedelta(seconds=1)]),
        st.just(PARTIES[0]),
        _EVIDENCE,
        st.none() | _RULE_IDS,
        st.sampled_from(["fulfilled"] * 9 + ["violated"]),
    ),
    max_size=4,
).map(tuple)
_BROKEN = st.builds(
    Fulfilment,
    st.sampled_from([*DUTIES, ACTIONS[0]]),
    st.just(AT - timedelta(days=2)),
    st.just(PARTIES[0]),
    st.none(),
    st.none() | _RULE_IDS,
    st.just("violated"),
)
_PUT_RIGHT = tuple(Fulfilment(duty, AT - timedelta(days=1), PARTIES[0], "urn:evidence") for duty in DUTIES)
_SETTLED = st.tuples(_BROKEN, st.lists(st.sampled_from(_PUT_RIGHT), min_size=1, unique=True)).map(
    lambda found: (found[0], *found[1])
)
_ACTION = st.sampled_from([*ACTIONS, *ACTIONS, "urn:no-action"])
_TARGET, _PARTY = st.sampled_from(TARGETS), st.sampled_from(PARTIES)
_IN_REGISTERS = st.lists(st.sampled_from(REGISTERS), max_size=2, unique=True).map(tuple)
_IN_NETWORKS = st.lists(st.sampled_from(NETWORKS), max_size=2, unique=True).map(tuple)
_TIME = st.sampled_from([Fact(AT), Fact(AT + timedelta(days=1))])


@st.composite
def requests(draw: st.DrawFn) -> AccessRequest:
    known = {operand: draw(_facts(operand)) for operand in _STATED if draw(_UP_TO[9]) != 9}
    if draw(_UP_TO[9]) == 9:
        known[expand("odrl:dateTime")] = draw(_TIME)
    if draw(_UP_TO[14]) == 14:
        known["urn:operand"] = Fact(1)
    target, party = draw(_TARGET), draw(_PARTY)
    done = draw(_SETTLED) if draw(_UP_TO[9]) == 9 else draw(_DONE)
    placed = {target: draw(_IN_REGISTERS), party: draw(_IN_NETWORKS)}
    collections = {member: names for member, names in placed.items() if names}
    return AccessRequest("request", draw(_ACTION), target, party, AT, known, done, collections)
