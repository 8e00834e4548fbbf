"""Decisions per second, full decision object included: beside Cedar from Python, at 1,000 rules, and at the slow end.

Two sets: twenty rules of all five layers, each of which speaks about every request that is timed, and the whole of
the demo's policies with the law. Permits, denials with their smallest change, and a mixture that holds four denials
of different kinds to one permit. The Cedar policies are made from ours by translation, parsed once, and both engines
must agree on every request before anything is timed. No result is kept from one decision to the next: what is kept is
made of the rules alone (which of them speak about an act, a dataset, a party and a purpose, and the values worth
suggesting), and the first denial, which makes it, is a line of its own. Times are those of the processor, so that
other work on the machine does not count. Run it alone: ``python -m tests.benchmarks policy``.
"""

from __future__ import annotations

import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from synthema.policy import (
    AccessRequest,
    CompiledPolicies,
    Kind,
    Layer,
    Policy,
    Rule,
    compile_policies,
    decide,
    example_member_state_law,
)
from synthema.policy.model import Combination, Constraint, Operator
from synthema.vocabulary import expand
from tests.benchmarks.cedar_rules import Cedar
from tests.unit.policy.sample import BASE, DATASET, V, all_policies, request

SECONDS = 1.0
MANY = 1000
ROUNDS, TIMED = 8, 2_500
AT_LEAST = 10_000  # decisions/s on one core
AT_MOST = 1000.0  # µs, for 99 of 100 decisions

PURPOSES = ("dpv:Marketing", "dpv:Advertising", "dpv:FraudPreventionAndDetection", "dpv:ServiceProvision")
ACTIONS = ("syn:analyse", "syn:trainModel", "syn:export", "syn:queryAggregate", "syn:link")
LEFT_OUT = ("ehds-73-1-e",)  # the twenty-first rule that speaks about the requests

PERMIT = request()
DENIAL = request(epsilon=12.0, contributing_parties=2)
MIXTURE = (
    PERMIT,
    DENIAL,
    request(epsilon=8.0),
    request(purpose="dpv:Marketing"),
    request(legal_basis="explicit consent", consent_state="withdrawn"),
)
KINDS: dict[str, tuple[AccessRequest, ...]] = {
    "permit": (PERMIT,),
    "denial with smallest change": (DENIAL,),
    "mixture, 4 of 5 denied": MIXTURE,
}


def run() -> Iterator[dict[str, Any]]:
    """Rates beside Cedar and beside the goal, the slowdown at 1,000 rules, and the 99th percentile."""
    for policies in (twenty(), all_policies()):
        yield from _beside_cedar(policies)
    yield from _many_rules(twenty())
    first = min(_first_denial(all_policies()) for _ in range(5))
    yield _line(f"policy: first denial under new policies, {_count(all_policies())} rules", first, AT_MOST, None, "µs")


def _beside_cedar(policies: list[Policy]) -> Iterator[dict[str, Any]]:
    rules = _count(policies)
    compiled, cedar = compile_policies(policies, V), Cedar(policies)
    _check_agreement(compiled, cedar)
    work = partial(decide, compiled)
    for kind, asked in KINDS.items():
        title = f"policy: {kind}, {rules} rules"
        # One engine after the other, three times each, and the best of each: other work slows both.
        pairs = [(_rate(work, asked), _rate(cedar.allows, asked)) for _ in range(3)]
        ours, peer = (max(rates) for rates in zip(*pairs, strict=True))
        yield _line(f"{title}, vs. cedarpy (preparsed)", ours, peer, 1.0, "decisions/s")
        yield _line(f"{title}, vs. what is asked for", ours, AT_LEAST, 1.0, "decisions/s")
    slow_end = min(_slow_end(compiled, MIXTURE) for _ in range(ROUNDS))
    yield _line(f"policy: 99th percentile of the mixture, {rules} rules", slow_end, AT_MOST, 1.0, "µs")


def twenty() -> list[Policy]:
    """The rules of the demo's policies and of the example of a Member State that speak about the requests."""
    policies = [*all_policies(), example_member_state_law(V)]
    compiled = compile_policies(policies, V)
    speaking = compiled.speaking(PERMIT, PERMIT.facts)
    if speaking is None:
        raise AssertionError("the act of the request is not known")
    rules = (*speaking.prohibitions, *speaking.obligations, *speaking.permissions)
    ids = {rule.rule.id for rule in rules if rule.rule.id.rpartition("#")[2] not in LEFT_OUT}
    found = [replace(policy, rules=tuple(rule for rule in policy.rules if rule.id in ids)) for policy in policies]
    if _count(found) != 20 or {policy.layer for policy in found if policy.rules} != set(Layer):
        raise AssertionError(f"these are {_count(found)} rules")
    return found


def _count(policies: list[Policy]) -> int:
    return sum(len(policy.rules) for policy in policies)


def _check_agreement(compiled: CompiledPolicies, cedar: Cedar) -> None:
    for asked in (*MIXTURE, request("reidentify"), request("analyse")):
        ours = decide(compiled, asked).effect
        if (ours == "permit") is not cedar.allows(asked):
            raise AssertionError(f"the two engines do not agree: {ours}")
    if [decide(compiled, asked).effect for asked in MIXTURE].count("permit") != 1:
        raise AssertionError("the mixture is another one than it says")


def _line(name: str, ours: float, peer: float, goal: float | None, unit: str) -> dict[str, Any]:
    return {
        "name": name,
        "ours": round(ours),
        "peer": round(peer),
        "ratio": round(ours / peer, 2),
        "goal": goal,
        "unit": unit,
    }


def _rate(work: Callable[[AccessRequest], object], asked: tuple[AccessRequest, ...]) -> float:
    for one in asked:
        work(one)
    count, start = 0, time.thread_time()
    while (spent := time.thread_time() - start) < SECONDS:
        for _ in range(20):
            for one in asked:
                work(one)
        count += 20 * len(asked)
    return count / spent


def _many_rules(policies: list[Policy]) -> Iterator[dict[str, Any]]:
    """How much slower the same decisions are when rules about other things stand beside them."""
    rules = _count(policies)
    few, many = compile_policies(policies, V), compile_policies([*policies, *_others(MANY - rules)], V)
    for kind, asked in KINDS.items():
        if any(decide(many, one).effect != decide(few, one).effect for one in asked):
            raise AssertionError("rules about other things changed a decision")
        pairs = [tuple(1e6 / _rate(partial(decide, each), asked) for each in (many, few)) for _ in range(2)]
        slow, quick = (min(times) for times in zip(*pairs, strict=True))
        yield _line(f"policy: {kind}, {MANY} rules, vs. {rules} rules", slow, quick, 10.0, "µs")


def _first_denial(policies: list[Policy]) -> float:
    """The time in µs of the first denial, which finds the rules that speak and makes what later ones use again."""
    compiled = compile_policies(policies, V)
    start = time.thread_time_ns()
    decide(compiled, DENIAL)
    return (time.thread_time_ns() - start) / 1000


def _others(count: int) -> list[Policy]:
    """Rules about other datasets, other parties, other acts, and other purposes on any dataset, in equal parts."""
    kinds = itertools.cycle(("dataset", "party", "act", "purpose"))
    policies: dict[str, list[Rule]] = {"dataset": [], "party": [], "act": [], "purpose": []}
    for number, kind in zip(range(count), kinds, strict=False):
        policies[kind].append(_other(number, kind))
    layers = {"dataset": Layer.DATASET, "party": Layer.SITE, "act": Layer.SITE, "purpose": Layer.MEMBER_STATE}
    return [
        Policy(f"{BASE}/id/policy/other-{kind}", layers[kind], "1", f"Other: {kind}", tuple(rules))
        for kind, rules in policies.items()
    ]


def _other(number: int, kind: str) -> Rule:
    bound = Constraint(expand("syn:epsilonRequested"), Operator.LTEQ, 1.0 + number / 1000)
    purpose = Constraint(expand("odrl:purpose"), Operator.IS_A, expand(PURPOSES[number // 4 % len(PURPOSES)]))
    forbids = kind == "purpose" or number % 8 < 4
    return Rule(
        id=f"{BASE}/id/policy/other-{kind}#r{number}",
        kind=Kind.PROHIBITION if forbids else Kind.PERMISSION,
        actions=(expand(ACTIONS[number // 4 % len(ACTIONS)] if kind == "act" else "syn:processData"),),
        when=Combination("and", (purpose, bound)) if kind == "purpose" else bound,
        targets=(f"{DATASET}-{number}",) if kind == "dataset" else (),
        assignees=(f"did:web:party-{number}.example",) if kind == "party" else (),
    )


def _slow_end(compiled: CompiledPolicies, asked: tuple[AccessRequest, ...]) -> float:
    """The time in µs within which 99 of 100 decisions are made, permits and denials in turn."""
    times = []
    for number in range(TIMED):
        one = asked[number % len(asked)]
        start = time.thread_time_ns()
        decide(compiled, one)
        times.append((time.thread_time_ns() - start) / 1000)
    return statistics.quantiles(times, n=100)[98]


if __name__ == "__main__":
    json.dump(list(run()), sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")
