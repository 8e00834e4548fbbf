"""ODRL as a policy of ours: what we write comes back the same, and what the profile has no words for is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from synthema.errors import PolicyLoadError
from synthema.policy.intake import Syntax, import_policies, read_graph
from synthema.policy.intake.profile import Adopted
from synthema.policy.model import ANY_DATASET, PROFILE, Constraint, Kind, Layer, Operator, Policy, Timing
from synthema.policy.odrl import to_odrl
from synthema.policy.rdf import to_nquads, to_turtle
from synthema.policy.writing import write_form
from tests.unit.policy import sample
from tests.unit.policy.evaluator.worlds import PREFIXES, comparing

V = sample.V
SYN = "@prefix syn: <https://w3id.org/synthema/ns#> . @prefix ehds: <https://w3id.org/dpv/legal/eu/ehds#> . "
HEAD = (
    f'odrl:profile <{PROFILE}> ; odrl:conflict odrl:prohibit ; syn:layer "L2" ; syn:version "1" ; '
    'dct:title "Small" ; odrl:target syn:anyDataset'
)
DAY, NO_ZONE = '"2027-01-01"^^xsd:date', '"2027-01-01T00:00:00"^^xsd:dateTime'
ONCE = comparing("odrl:count", "eq", "1")
SYNTHESISE = "odrl:permission [ odrl:action syn:synthesise ; {} ]"


def read(text: str, adopted: Adopted | None = None) -> Policy:
    """The one policy in Turtle."""
    (policy,) = import_policies(read_graph((PREFIXES + SYN + text).encode(), Syntax.TURTLE), V, adopted=adopted)
    return policy


def small(more: str = "", head: str = HEAD) -> str:
    return f"ex:policy a odrl:Set ; {head} ; {SYNTHESISE.format(more)} ."


@pytest.mark.parametrize("policy", sample.all_policies(), ids=lambda policy: policy.id.rpartition("/")[2])
def test_what_we_write_comes_back_the_same(policy: Policy) -> None:
    for text, syntax in (
        (to_turtle(policy).encode(), Syntax.TURTLE),
        (json.dumps(to_odrl(policy)).encode(), Syntax.JSON_LD),
    ):
        assert import_policies(read_graph(text, syntax), V) == (policy,)
    (sorted_,) = import_policies(read_graph(to_nquads(policy), Syntax.N_QUADS), V)
    assert {rule.id for rule in sorted_.rules} == {rule.id for rule in policy.rules}


def test_a_small_policy_of_hand_written_turtle() -> None:
    policy = read(
        small(f"odrl:duty [ odrl:action odrl:inform ] ; odrl:constraint {comparing('syn:cohortSize', 'gteq', '50')}")
    )
    (rule,) = policy.rules
    assert (policy.layer, policy.targets, rule.kind) == (Layer.SITE, (ANY_DATASET,), Kind.PERMISSION)
    assert rule.when == Constraint("https://w3id.org/synthema/ns#cohortSize", Operator.GTEQ, 50)
    assert (rule.id, rule.duties[0].timing) == ("https://registry.example/policy#permit-1", Timing.PRE)
    assert "synthesise" in write_form(policy, V)


def test_several_constraints_are_joined() -> None:
    one, other = comparing("syn:cohortSize", "gteq", "50"), comparing("syn:minCellCount", "gteq", "5")
    (rule,) = read(small(f"odrl:constraint {one}, {other}")).rules
    assert getattr(rule.when, "joined", None) == "and"


def test_a_policy_of_others_is_taken_over_for_a_layer() -> None:
    text = "ex:p a odrl:Set ; odrl:permission [ odrl:action syn:synthesise ; odrl:target ex:samples ] ."
    policy = read(text, Adopted(Layer.DATASET, "2", "From a partner"))
    assert (policy.layer, policy.version, policy.title) == (Layer.DATASET, "2", "From a partner")
    assert policy.targets == ("https://registry.example/samples",)


FOREIGN = "ex:p a odrl:Set ; {} odrl:permission [ odrl:action syn:synthesise ; odrl:target ex:samples ; {} ] ."
REFUSED = [
    (FOREIGN.format("", ""), "not in the Synthema profile"),
    (FOREIGN.format("odrl:profile ex:other ;", ""), "not in the Synthema profile"),
    (small(head=HEAD.replace("odrl:prohibit", "odrl:perm")), "conflict strategy"),
    (small(head=HEAD.replace('syn:layer "L2" ;', "")), "names no layer"),
    (small(head=HEAD.replace('"L2"', '"L9"')), "use one of"),
    (small(head=HEAD.replace('"L2"', '"L4"')), "odrl:Agreement"),
    (small(head=HEAD.replace("syn:version", "syn:versoin")), "did you mean 'syn:version'"),
    (small(head=HEAD.replace("; odrl:target syn:anyDataset", "")), "names no target"),
    (small("dct:creator ex:me"), "dct/?terms?|creator"),
    (small("syn:unless [ odrl:leftOperand syn:cohortSize ; odrl:operator odrl:lt ; odrl:rightOperand 5 ]"), "unless"),
    (small(f"odrl:constraint {comparing('syn:cohortSise', 'gteq', '50')}"), "did you mean"),
    (small(f"odrl:constraint {comparing('syn:cohortSize', 'hasPart', '50')}"), "hasPart"),
    (small(f"odrl:constraint [ odrl:andSequence {comparing('syn:cohortSize', 'gteq', '5')} ]"), "andSequence"),
    (small(f"odrl:constraint {comparing('syn:cohortSize', 'eq', '5', more='odrl:dataType xsd:integer')}"), "dataType"),
    (small(f"odrl:constraint {comparing('syn:cohortSize', 'gteq', '5', '6')}"), "2 values"),
    (small(f"odrl:constraint {comparing('odrl:dateTime', 'lt', DAY)}"), "a value of the type"),
    (small(f"odrl:constraint {comparing('odrl:dateTime', 'lt', NO_ZONE)}"), "zone"),
    (small("odrl:duty [ odrl:action odrl:inform ; odrl:target ex:other ]"), "a target or party of its own"),
    (small(f"odrl:duty [ odrl:action [ rdf:value odrl:inform ; odrl:refinement {ONCE} ] ]"), "without refinements"),
    (small("odrl:duty [ odrl:action odrl:inform ; syn:dutyTiming syn:whenever ]"), "use one of"),
    (small("odrl:compensatedParty ex:registry"), "not in the profile"),
    (small("odrl:assigner ex:someone"), "assigner"),
    (small(f"odrl:constraint {comparing('syn:cohortSize', 'gteq', '50', more='ex:orSo true')}"), "orSo"),
    (small("odrl:assignee [ a odrl:PartyCollection ; odrl:source ex:group ; ex:from ex:here ]"), "from"),
    (small(head=HEAD + " ; odrl:compensatedParty ex:registry"), "not in the profile"),
    (small(head=HEAD + f" ; odrl:assignee [ odrl:source ex:group ; odrl:refinement {ONCE} ]"), "in each rule"),
    (small().replace("syn:synthesise", "syn:synthesize"), "did you mean"),
    (small().replace("odrl:permission", "odrl:obligation").replace("syn:synthesise", "odrl:inform"), "syn:triggeredBy"),
    (small() + " ex:left a odrl:Asset .", "belongs to no policy"),
    (small().replace("a odrl:Set", "a odrl:Offer"), "odrl:Offer"),
    (small(head=HEAD + " ; odrl:inheritFrom ex:parent"), "syn:inheritance"),
    (small(head=HEAD + ' ; syn:effectiveFrom "soon"'), "time"),
    (small(head=HEAD + " ; syn:lawReference [ syn:act 'EHDS' ]"), "lacks syn:"),
    (small(head=HEAD + " ; syn:ruleOrder ex:other"), "ruleOrder"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), REFUSED)
def test_what_the_profile_has_no_words_for_is_refused(text: str, said: str) -> None:
    with pytest.raises(PolicyLoadError, match=said):
        read(text)


def test_a_permission_of_others_that_wins_over_prohibitions_is_not_taken_over() -> None:
    with pytest.raises(PolicyLoadError, match="conflict strategy"):
        read(FOREIGN.format("odrl:conflict odrl:perm ;", ""), Adopted(Layer.DATASET))


def test_an_order_of_rules_is_kept() -> None:
    policy = sample.all_policies()[0]
    turned = replace(policy, rules=tuple(reversed(policy.rules)))
    assert import_policies(read_graph(json.dumps(to_odrl(turned)).encode(), Syntax.JSON_LD), V) == (turned,)
