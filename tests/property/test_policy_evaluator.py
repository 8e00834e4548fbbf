"""What must be true of ODRL from outside, whatever it says: reading it back, and never opening by not knowing."""

from __future__ import annotations

import contextlib
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from synthema.errors import PolicyLoadError
from synthema.policy.evaluator import compliance_report
from synthema.policy.intake import Syntax, import_policies, read_graph, read_policies
from synthema.policy.model import Policy
from synthema.policy.odrl import to_odrl
from synthema.policy.rdf import to_nquads, to_turtle
from tests.property import policy_strategies as some
from tests.unit.policy.evaluator.worlds import act, asking, comparing, evaluated, rules, saying

EFFORT = some.EFFORT
LEFTS = ("ex:size", "odrl:purpose", "odrl:count")
ACTIONS = ("odrl:use", "odrl:read", "odrl:write", "odrl:sell", "odrl:display")
TARGETS, PARTIES = ("ex:samples", "ex:images", "ex:cohort"), ("ex:lab", "ex:hub", "ex:network")
MEMBERS = "ex:samples odrl:partOf ex:cohort . ex:lab odrl:partOf ex:network . "

_COMPARISON = st.one_of(
    st.builds(
        comparing,
        st.sampled_from(("ex:size", "odrl:count")),
        st.sampled_from(("eq", "neq", "lt", "gteq")),
        st.sampled_from(("0", "1", "2.5", '"3"')),
    ),
    st.builds(
        comparing,
        st.just("odrl:purpose"),
        st.sampled_from(("eq", "neq", "isA", "isAnyOf", "isNoneOf", "isAllOf", "isPartOf")),
        st.sampled_from(("ex:research", "ex:care")),
    ),
)
_CONDITION = st.recursive(
    _COMPARISON,
    lambda inner: st.builds(
        lambda how, parts: f"[ odrl:{how} {', '.join(parts)} ]",
        st.sampled_from(("and", "or", "xone")),
        st.lists(inner, min_size=2, max_size=3),
    ),
    max_leaves=4,
)


def _maybe(name: str, values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(st.just(""), values.map(lambda value: f"odrl:{name} {value} ;"))


def _rule(kind: str) -> st.SearchStrategy[str]:
    more = _maybe("duty" if kind == "permission" else "remedy", st.just("[ odrl:action odrl:inform ]"))
    return st.builds(
        lambda *parts: f"odrl:{kind} [ {' '.join(parts)} ]",
        st.sampled_from(ACTIONS).map(lambda action: f"odrl:action {action} ;"),
        _maybe("target", st.sampled_from(TARGETS)),
        _maybe("assignee", st.sampled_from(PARTIES)),
        _maybe("constraint", _CONDITION),
        more if kind != "obligation" else st.just(""),
    )


_RULES = st.lists(st.one_of(_rule("permission"), _rule("prohibition"), _rule("obligation")), min_size=1, max_size=4)
_REQUESTS = st.builds(asking, st.sampled_from(ACTIONS), st.sampled_from(TARGETS), st.sampled_from(PARTIES))
_FACTS = st.lists(
    st.sampled_from(("ex:size 1 ;", "ex:size 2.5 ;", "odrl:purpose ex:research ;", "odrl:purpose ex:care ;")),
    max_size=3,
    unique=True,
)
_DONE = st.lists(
    st.builds(
        lambda action, target: act(
            f"{action}-{target}".replace("odrl:", "").replace("ex:", ""),
            action,
            more=f"odrl:target {target} ; odrl:assignee ex:lab ;",
        ),
        st.sampled_from(("odrl:inform", "odrl:read")),
        st.sampled_from(TARGETS),
    ),
    max_size=2,
    unique=True,
).map("".join)


@settings(max_examples=60 * EFFORT, deadline=None)
@given(some.policy_sets())
def test_a_policy_of_ours_comes_back_from_rdf_the_same(policies: list[Policy]) -> None:
    for policy in policies:
        for text, syntax in (
            (to_turtle(policy).encode(), Syntax.TURTLE),
            (json.dumps(to_odrl(policy)).encode(), Syntax.JSON_LD),
        ):
            assert import_policies(read_graph(text, syntax), some.VOCABULARY) == (policy,)
        (sorted_,) = import_policies(read_graph(to_nquads(policy), Syntax.N_QUADS), some.VOCABULARY)
        assert {rule.id for rule in sorted_.rules} == {rule.id for rule in policy.rules}


@settings(max_examples=100 * EFFORT, deadline=None)
@given(_RULES, _rule("prohibition"), _REQUESTS, _FACTS, _DONE)
def test_adding_a_prohibition_never_permits_more(
    lines: list[str], extra: str, request: str, facts: list[str], done: str
) -> None:
    world = saying(" ".join(facts), rest=MEMBERS + done)
    before = evaluated(rules(*lines, conflict="odrl:prohibit"), request, world)
    after = evaluated(rules(*lines, extra, conflict="odrl:prohibit"), request, world)
    assert not (before.effect == "deny" and after.effect == "permit")


@settings(max_examples=100 * EFFORT, deadline=None)
@given(_RULES, _rule("permission"), _REQUESTS, _FACTS, _DONE)
def test_adding_a_permission_never_denies_more(
    lines: list[str], extra: str, request: str, facts: list[str], done: str
) -> None:
    world = saying(" ".join(facts), rest=MEMBERS + done)
    for strategy in ("odrl:prohibit", "odrl:perm"):
        before = evaluated(rules(*lines, conflict=strategy), request, world)
        after = evaluated(rules(*lines, extra, conflict=strategy), request, world)
        assert not (before.effect == "permit" and after.effect == "deny")


@settings(max_examples=150 * EFFORT, deadline=None)
@given(_RULES, _REQUESTS, _FACTS, st.data())
def test_knowing_less_never_permits_more(lines: list[str], request: str, facts: list[str], data: st.DataObject) -> None:
    # Without an open list of values: two values for one operand may well say less than one.
    single = list({fact.split()[0]: fact for fact in facts}.values())
    kept = data.draw(st.lists(st.sampled_from(single), unique=True)) if single else []
    policy = rules(*lines, conflict="odrl:prohibit")
    knowing = evaluated(policy, request, saying(" ".join(single), rest=MEMBERS))
    less = evaluated(policy, request, saying(" ".join(kept), rest=MEMBERS))
    assert not (knowing.effect == "deny" and less.effect == "permit")


@settings(max_examples=60 * EFFORT, deadline=None)
@given(_RULES, _REQUESTS, _FACTS, _DONE, st.randoms(use_true_random=False))
def test_the_order_of_rules_is_irrelevant(
    lines: list[str], request: str, facts: list[str], done: str, turn: object
) -> None:
    world = saying(" ".join(facts), rest=MEMBERS + done)
    turned = list(lines)
    turn.shuffle(turned)  # type: ignore[attr-defined]
    one, other = (evaluated(rules(*order), request, world).policies[0] for order in (lines, turned))
    assert (one.finding, one.effect) == (other.finding, other.effect)


@settings(max_examples=60 * EFFORT, deadline=None)
@given(_RULES, _REQUESTS, _FACTS, _DONE)
def test_strict_duties_never_permit_more_than_lax_ones_and_a_report_can_always_be_written(
    lines: list[str], request: str, facts: list[str], done: str
) -> None:
    world = saying(" ".join(facts), rest=MEMBERS + done)
    policy = rules(*lines, conflict="odrl:prohibit")
    strict, lax = (evaluated(policy, request, world, duties=duties) for duties in ("strict", "lax"))
    assert not (strict.effect == "permit" and lax.effect == "deny")
    for evaluation in (strict, evaluated(policy, None, world)):
        for words in ("force", "w3c"):
            assert b"_:" not in compliance_report(evaluation, words, Syntax.N_QUADS)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(("use", "http://x.example/a", "@id", "dateTime", "lt")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                (
                    "@context",
                    "@id",
                    "@type",
                    "uid",
                    "permission",
                    "action",
                    "target",
                    "constraint",
                    "leftOperand",
                    "and",
                    "x",
                )
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200 * EFFORT, deadline=None)
@given(_JSON)
def test_any_json_is_read_or_refused(value: object) -> None:
    document = {"@context": "http://www.w3.org/ns/odrl.jsonld", "@type": "Set", "permission": value}
    with contextlib.suppress(PolicyLoadError):
        read_policies(read_graph(json.dumps(document).encode(), Syntax.JSON_LD))
