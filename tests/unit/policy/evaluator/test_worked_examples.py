"""Examples with the structure of those in the W3C draft of the formal semantics, in our own field.

For each: activation state, control state and deontic states, read from the report in the draft's names.
"""

from __future__ import annotations

import pytest

from synthema.policy.evaluator import compliance_report
from synthema.policy.evaluator.terms import FS
from synthema.policy.intake import Syntax, read_graph
from tests.unit.policy.evaluator.worlds import act, asking, comparing, evaluated, permission, rules, saying

UNTIL_2027 = comparing("odrl:dateTime", "lt", '"2027-01-01"^^xsd:date')
CONSTRAINED = permission(f"odrl:constraint {UNTIL_2027}")
REFINED = rules(
    "odrl:permission [ odrl:target ex:samples ; odrl:action [ rdf:value odrl:read ; odrl:refinement "
    f"{comparing('ex:rows', 'lteq', '1200', more='odrl:unit ex:row')} ] ]"
)
FIVE_EUROS = comparing("odrl:payAmount", "eq", "5.00", more="odrl:unit ex:euro")
FEE = f"odrl:action [ rdf:value odrl:compensate ; odrl:refinement {FIVE_EUROS} ]"
CONDITIONED = permission(f"odrl:assigner ex:registry ; odrl:duty [ {FEE} ]")
WINTER = comparing("ex:season", "eq", '"winter"')
WINTER_FEE = permission(f"odrl:duty [ {FEE} ; odrl:constraint {WINTER} ]")
PAID = act("payment", "odrl:compensate", more="odrl:payAmount 5.00 ; odrl:unit ex:euro ;")
PROHIBITED = rules(
    "odrl:prohibition [ odrl:action odrl:archive ; odrl:target ex:samples ; odrl:assignee ex:lab ; "
    f"odrl:constraint {UNTIL_2027} ]"
)
OBLIGED = rules(f"odrl:obligation [ odrl:assignee ex:lab ; odrl:assigner ex:registry ; {FEE} ]")


def archived(day: str) -> str:
    """The lab archived the samples on a day."""
    return act("archiving", "odrl:archive", f"{day}T08:00:00Z", "odrl:assignee ex:lab ; odrl:target ex:samples ;")


EXAMPLES = {
    "constraint holds": (CONSTRAINED, asking(), saying(), ["Active", "Permit"]),
    "constraint fails": (CONSTRAINED, asking(), saying(at="2027-06-01T00:00:00"), ["Inactive", "Deny"]),
    "refinement holds": (REFINED, asking(more="ex:rows 1000 ;"), saying(), ["Active", "Permit"]),
    "refinement fails": (REFINED, asking(more="ex:rows 1300 ;"), saying(), ["Active", "Deny"]),
    "condition open": (CONDITIONED, asking(), saying(), ["Inactive", "Deny", "Active", "NotSet"]),
    "condition fulfilled": (CONDITIONED, asking(), saying(rest=PAID), ["Active", "Permit", "Active", "Fulfilled"]),
    "condition does not arise": (
        WINTER_FEE, asking(), saying('ex:season "summer" ;'), ["Active", "Permit", "Inactive", "NotSet"],
    ),
    "condition arises, open": (
        WINTER_FEE, asking(), saying('ex:season "winter" ;'), ["Inactive", "Deny", "Active", "NotSet"],
    ),
    "condition arises, fulfilled": (
        WINTER_FEE, asking(), saying('ex:season "winter" ;', rest=PAID), ["Active", "Permit", "Active", "Fulfilled"],
    ),
    "prohibition violated": (PROHIBITED, None, saying(rest=archived("2026-11-20")), ["Active", "Violated"]),
    "prohibition kept": (PROHIBITED, None, saying(), ["Active", "NotSet"]),
    "prohibition over": (
        PROHIBITED, None, saying(at="2027-06-01T00:00:00", rest=archived("2027-05-01")), ["Inactive", "NotSet"],
    ),
    "obligation fulfilled": (
        OBLIGED, None,
        saying(rest=PAID + "ex:payment odrl:assignee ex:lab ; odrl:compensatedParty ex:registry ."),
        ["Active", "Fulfilled"],
    ),
    "obligation open": (OBLIGED, None, saying(), ["Active", "NotSet"]),
}  # fmt: skip


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_states_are_those_of_the_draft(name: str) -> None:
    policy, request, world, states = EXAMPLES[name]
    report = compliance_report(evaluated(policy, request, world), "w3c", Syntax.N_TRIPLES)
    graph = read_graph(report, Syntax.N_TRIPLES)
    told = [
        node.value.removeprefix(FS)
        for kind in ("RuleReport", "ConditionReport")
        for subject in graph.of_type(FS + kind)
        for state in ("activationState", "controlState", "deonticState")
        for node in graph.objects(subject, FS + state)
    ]
    assert told == states
