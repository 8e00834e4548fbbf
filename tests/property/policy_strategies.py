"""Random policies and requests over a small part of the vocabulary, wrong inputs included."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
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
    Rule,
    SiteDecision,
    Timing,
)
from synthema.policy.wellformed import OPERATORS
from synthema.vocabulary import Datatype, expand, load_vocabulary

VOCABULARY = load_vocabulary()
AT = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
TARGETS = ("https://site.example/id/dataset/a", "https://site.example/id/dataset/b")
PARTIES = ("did:web:hub.example", "did:web:lab.example")
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


@st.composite
def constraints(draw: st.DrawFn) -> Constraint:
    operand = draw(st.sampled_from(OPERANDS))
    datatype = VOCABULARY.operands[operand].datatype
    operator = draw(st.sampled_from(sorted(OPERATORS[datatype])))
    if operator in _SETS:
        right = tuple(draw(st.lists(plain(operand), min_size=1, max_size=3, unique=True)))
    elif datatype is Datatype.NUMBER and draw(st.booleans()):
        names = [expand("syn:epsilonRequested"), expand("syn:epsilonRemaining")]
        right = OperandReference(names[1 - names.index(operand)])
    else:
        right = draw(plain(operand))
    return Constraint(operand, operator, right)


@st.composite
def conditions(draw: st.DrawFn, depth: int = 0, parent: str = "") -> Constraint | Combination:
    if depth == 2 or draw(st.integers(0, 2)) > 0:
        return draw(constraints())
    joined = draw(st.sampled_from([j for j in ("and", "or", "xone") if j != parent or j == "xone"]))
    parts = draw(st.lists(conditions(depth=depth + 1, parent=joined), min_size=2, max_size=3))
    return Combination(joined, tuple(parts))


LAW = (
    LawReference("EHDS", "53(1)(e)", "http://data.europa.eu/eli/reg/2025/327/oj"),
    LawReference("GDNG", "6", "https://law.example/gdng"),
)
TEXT = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=12)


@st.composite
def duties(draw: st.DrawFn) -> Duty:
    timing = draw(st.sampled_from(Timing))
    within = None if timing is Timing.PRE else draw(st.none() | st.sampled_from(DEADLINES))
    after = Event.DECISION if within is None else draw(st.sampled_from(Event))
    return Duty(draw(st.sampled_from(DUTIES)), timing, within, after, draw(st.none() | TEXT))


@st.composite
def rules(draw: st.DrawFn, rule_id: str, kinds: tuple[Kind, ...] = tuple(Kind)) -> Rule:
    kind = draw(st.sampled_from(kinds))
    how_many = (1, 1) if kind is Kind.OBLIGATION else (0, 0) if kind is Kind.PROHIBITION else (0, 2)
    return Rule(
        id=rule_id,
        kind=kind,
        actions=tuple(draw(st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=2, unique=True))),
        when=draw(st.none() | conditions()),
        unless=draw(st.none() | conditions()) if kind is Kind.PROHIBITION else None,
        targets=tuple(draw(st.lists(st.sampled_from([ANY_DATASET, *TARGETS]), max_size=2, unique=True))),
        assignees=tuple(draw(st.lists(st.sampled_from(PARTIES), max_size=1))),
        duties=tuple(draw(st.lists(duties(), min_size=how_many[0], max_size=how_many[1]))),
        law=tuple(draw(st.lists(st.sampled_from(LAW), max_size=2, unique=True))),
        sentence=draw(st.just("") | TEXT),
    )


@st.composite
def policies(draw: st.DrawFn, layer: Layer, number: int = 0, kinds: tuple[Kind, ...] = tuple(Kind)) -> Policy:
    iri = f"https://site.example/id/policy/{layer}-{number}"
    # In the order of kinds in which the form groups rules.
    found = [draw(rules(f"{iri}#r{n}", kinds)) for n in range(draw(st.integers(1, 3)))]
    found.sort(key=lambda rule: list(Kind).index(rule.kind))
    decided = draw(st.lists(st.sampled_from(OPERANDS), max_size=2, unique=True))
    return Policy(
        id=iri,
        layer=layer,
        version=draw(st.sampled_from(["1", "2.0", "2026-11"])),
        title=draw(TEXT),
        rules=tuple(found),
        targets=tuple(draw(st.lists(st.sampled_from([ANY_DATASET, *TARGETS]), min_size=1, max_size=2, unique=True))),
        assigner=draw(st.none() | st.sampled_from(PARTIES)),
        assignees=tuple(draw(st.lists(st.sampled_from(PARTIES), max_size=1))),
        law=tuple(draw(st.lists(st.sampled_from(LAW), max_size=2, unique=True))),
        effective_from=draw(st.none() | st.just(AT - timedelta(days=1)) | st.just(AT)),
        effective_to=draw(st.none() | st.just(AT + timedelta(days=1))),
        site_decisions=tuple(SiteDecision(operand, draw(TEXT)) for operand in decided),
    )


@st.composite
def lenient_policies(draw: st.DrawFn, layer: Layer) -> Policy:
    """A policy that often permits, so that both outcomes are met."""
    policy = draw(policies(layer, 9, (Kind.PERMISSION,)))
    when = draw(st.none() | constraints())
    open_rule = Rule(f"{policy.id}#open", Kind.PERMISSION, (expand("odrl:use"),), when, None, (ANY_DATASET,))
    return Policy(policy.id, layer, "1", "open", (*policy.rules, open_rule), (ANY_DATASET,))


LAW_PACK = Policy(
    "https://site.example/id/policy/law",
    Layer.UNION,
    "1",
    "law",
    (Rule("https://site.example/id/policy/law#x", Kind.PROHIBITION, (expand("syn:reidentify"),)),),
)


@st.composite
def policy_sets(draw: st.DrawFn) -> list[Policy]:
    found = [LAW_PACK] if draw(st.integers(0, 9)) else []
    layers = [layer for layer in (Layer.SITE, Layer.DATASET, Layer.AGREEMENT) if draw(st.integers(0, 14))]
    found += [draw(lenient_policies(layer)) for layer in layers]
    found += [draw(policies(draw(st.sampled_from(Layer)), number)) for number in range(draw(st.integers(0, 2)))]
    unique = {policy.id: policy for policy in found}
    return draw(st.permutations(list(unique.values())))


@st.composite
def facts(draw: st.DrawFn, operand: str) -> Fact:
    """Mostly a right value; sometimes several, of another type, unknown, or in another unit."""
    datatype = VOCABULARY.operands[operand].datatype
    good = plain(operand)
    several = st.lists(plain(operand), max_size=3).map(tuple) if datatype in (Datatype.TERM, Datatype.TEXT) else good
    wrong = st.sampled_from(["urn:unknown", True, 3, 3.5, float("nan"), timedelta(1), AT, ("x",), ()])
    value = draw(st.one_of(good, good, good, several, wrong))
    return Fact(value, draw(st.none() | st.just("urn:evidence")), draw(st.sampled_from([None] * 9 + ["patients"])))


@st.composite
def requests(draw: st.DrawFn) -> AccessRequest:
    chosen = draw(st.sets(st.sampled_from([o for o in OPERANDS if o != expand("odrl:dateTime")]), min_size=4))
    known = {operand: draw(facts(operand)) for operand in sorted(chosen)}
    if draw(st.integers(0, 9)) == 0:
        known[expand("odrl:dateTime")] = draw(st.sampled_from([Fact(AT), Fact(AT + timedelta(days=1))]))
    if draw(st.integers(0, 19)) == 0:
        known["urn:operand"] = Fact(1)
    done = st.builds(
        Fulfilment,
        st.sampled_from(DUTIES),
        st.sampled_from([AT - timedelta(days=1), AT, AT + timedelta(seconds=1)]),
        st.just(PARTIES[0]),
        st.none() | st.just("urn:evidence"),
        st.none(),
        st.sampled_from(["fulfilled"] * 9 + ["violated"]),
    )
    return AccessRequest(
        "request",
        draw(st.sampled_from([*ACTIONS, *ACTIONS, "urn:no-action"])),
        draw(st.sampled_from(TARGETS)),
        draw(st.sampled_from(PARTIES)),
        AT,
        known,
        tuple(draw(st.lists(done, max_size=3))),
    )
