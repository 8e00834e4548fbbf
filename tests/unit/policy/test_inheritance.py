"""What a policy inherits is written out in full before it decides anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from synthema.errors import NotFoundError, PolicyLoadError
from synthema.policy import (
    AccessRequest,
    Constraint,
    Kind,
    LawReference,
    Layer,
    Operator,
    Policy,
    Rule,
    SiteDecision,
    compile_policies,
    decide,
    union_law,
)
from synthema.policy.inheritance import resolve
from synthema.policy.model import Parent
from synthema.vocabulary import expand
from tests.unit.policy.sample import AT, DATASET, HUB, V, all_policies, request

USE = (expand("odrl:use"),)
FIRST, LAST = datetime(2026, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)


def policy(name: str, *rules: Rule, inherits: tuple[str, ...] = (), **other: object) -> Policy:
    parents = tuple(Parent(f"urn:policy:{parent}", "1") for parent in inherits)
    return Policy(f"urn:policy:{name}", Layer.SITE, "1", name, rules, inherits=parents, **other)  # type: ignore[arg-type]


def rule(name: str, kind: Kind = Kind.PERMISSION, **other: object) -> Rule:
    return Rule(f"urn:rule:{name}", kind, USE, **other)  # type: ignore[arg-type]


def among(*policies: Policy) -> Callable[[Parent], Policy]:
    def find(parent: Parent) -> Policy:
        for each in policies:
            if each.id == parent.policy:
                return each
        raise NotFoundError("there is no such version", fix="list them")

    return find


def test_a_policy_without_parents_stays_as_it_is() -> None:
    alone = policy("alone", rule("a"))
    assert resolve(alone, among()) is alone


def test_rules_keep_what_they_had_from_their_own_policy() -> None:
    law = LawReference("GDPR", "9(2)(j)", "urn:gdpr")
    decided = SiteDecision(expand("syn:cohortSize"), "enough")
    parent = policy("parent", rule("p"), targets=(DATASET,), assignees=(HUB,), law=(law,), site_decisions=(decided,))
    child = policy("child", rule("c"), inherits=("parent",), targets=("urn:other",), assignees=("did:web:x",))
    found = resolve(child, among(parent))
    own, taken = found.rules
    assert (own.id, own.targets, own.assignees, own.origin) == ("urn:rule:c", ("urn:other",), ("did:web:x",), "")
    assert (taken.id, taken.targets, taken.assignees) == ("urn:rule:p", (DATASET,), (HUB,))
    assert (taken.law, taken.origin) == ((law,), "urn:policy:parent")
    assert found.inherits == ()
    assert found.site_decisions == (decided,)


def test_a_prohibition_for_everybody_is_not_narrowed_by_the_child_that_inherits_it() -> None:
    parent = policy("parent", rule("never", Kind.PROHIBITION))
    child = policy("child", rule("may"), inherits=("parent",), assignees=("did:web:somebody.example",))
    others = [each for each in all_policies() if each.layer is not Layer.SITE]
    found = decide(compile_policies([*others, resolve(child, among(parent))], V), request())
    assert found.effect == "deny"
    assert ("urn:policy:parent", "urn:rule:never") in {(reason.policy, reason.rule) for reason in found.reasons}


def test_what_is_inherited_twice_counts_once() -> None:
    top = policy("top", rule("t", Kind.PROHIBITION))
    left, right = policy("left", rule("l"), inherits=("top",)), policy("right", rule("r"), inherits=("top",))
    child = policy("child", inherits=("left", "right"))
    found = resolve(child, among(top, left, right))
    assert [each.id for each in found.rules] == ["urn:rule:l", "urn:rule:t", "urn:rule:r"]
    beside = compile_policies([union_law(V), found, resolve(left, among(top))], V)
    asked = AccessRequest("r", expand("syn:analyse"), DATASET, HUB, AT)
    said = [reason for reason in decide(beside, asked).reasons if reason.rule == "urn:rule:t"]
    assert len(said) == 1


def test_a_circle_is_refused() -> None:
    first, second = policy("first", rule("a"), inherits=("second",)), policy("second", rule("b"), inherits=("first",))
    with pytest.raises(PolicyLoadError, match="inherits from itself"):
        resolve(first, among(first, second))


def test_an_endless_line_is_refused() -> None:
    line = [policy(str(n), rule(str(n)), inherits=(str(n + 1),)) for n in range(40)]
    with pytest.raises(PolicyLoadError, match="more than 16 steps"):
        resolve(line[0], among(*line))


def test_an_unknown_parent_is_refused_with_what_to_do() -> None:
    with pytest.raises(PolicyLoadError, match="not to be had: there is no such version") as refused:
        resolve(policy("child", inherits=("nobody",)), among())
    assert refused.value.fix == "list them"


def test_another_version_or_layer_is_refused() -> None:
    child = policy("child", inherits=("parent",))
    with pytest.raises(PolicyLoadError, match="another policy was found"):
        resolve(child, among(replace(policy("parent", rule("a")), version="2")))
    with pytest.raises(PolicyLoadError, match="another layer"):
        resolve(child, among(replace(policy("parent", rule("a")), layer=Layer.DATASET)))


def test_two_versions_of_one_parent_are_refused() -> None:
    old, new = policy("top", rule("t")), replace(policy("top", rule("u")), version="2")
    left = policy("left", inherits=("top",))
    right = replace(policy("right"), inherits=(Parent("urn:policy:top", "2"),))

    def find(parent: Parent) -> Policy:
        return next(p for p in (old, new, left, right) if (p.id, p.version) == (parent.policy, parent.version))

    with pytest.raises(PolicyLoadError, match="versions 1 and 2"):
        resolve(policy("child", inherits=("left", "right")), find)


def test_two_rules_of_one_name_are_refused() -> None:
    parent = policy("parent", rule("same", Kind.PROHIBITION))
    with pytest.raises(PolicyLoadError, match="two different rules"):
        resolve(policy("child", rule("same"), inherits=("parent",)), among(parent))


@pytest.mark.parametrize(
    ("starts", "ends", "fits"),
    [(FIRST, LAST, True), (AT, AT.replace(year=2027), True), (None, LAST, False), (FIRST, None, False)],
)
def test_nobody_prolongs_a_rule_by_inheriting_it(starts: datetime | None, ends: datetime | None, fits: bool) -> None:
    parent = policy("parent", rule("a"), effective_from=FIRST, effective_to=LAST)
    child = policy("child", inherits=("parent",), effective_from=starts, effective_to=ends)
    if fits:
        assert resolve(child, among(parent)).effective_to == ends
        return
    with pytest.raises(PolicyLoadError, match="at times at which"):
        resolve(child, among(parent))


def test_what_is_not_resolved_is_never_compiled() -> None:
    with pytest.raises(PolicyLoadError, match="still names parents"):
        compile_policies([policy("child", rule("a"), inherits=("parent",))], V)


def test_the_origin_of_a_rule_is_part_of_what_the_digest_pins() -> None:
    parent, child = policy("parent", rule("a")), policy("child", inherits=("parent",))
    found = resolve(child, among(parent))
    plain = replace(found, rules=tuple(replace(each, origin="") for each in found.rules))
    assert compile_policies([found], V).digest != compile_policies([plain], V).digest


def test_an_inherited_condition_decides_as_if_it_stood_in_the_child() -> None:
    bound = Constraint(expand("syn:epsilonRequested"), Operator.GT, 1.0)
    parent = policy("parent", rule("much", Kind.PROHIBITION, when=bound))
    child = resolve(policy("child", rule("may"), inherits=("parent",)), among(parent))
    rules = compile_policies([*all_policies(), child], V)
    assert decide(rules, request(epsilon=1.0)).permitted
    denied = decide(rules, request(epsilon=1.5))
    assert [change.after for change in denied.changes] == [1.0]
    assert denied.reasons[0].policy == "urn:policy:parent"
