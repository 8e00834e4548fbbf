"""Reports: the Compliance Report Model, the draft's names, and our own decisions with their provenance."""

from __future__ import annotations

import json

import pytest

from synthema.errors import InputError
from synthema.policy.evaluator import as_json, compliance_report, decision_report, sentences
from synthema.policy.evaluator.statements import PROV
from synthema.policy.evaluator.terms import FS, REPORT
from synthema.policy.intake import Graph, Syntax, read_graph
from synthema.vocabulary.namespaces import SYN
from tests.unit.policy import sample
from tests.unit.policy.evaluator.worlds import act, asking, comparing, evaluated, permission, rules, saying

LATE = comparing("odrl:dateTime", "gt", '"2027-01-01T00:00:00Z"^^xsd:dateTime')
POLICY = permission(f"odrl:constraint {LATE} ; odrl:duty [ odrl:action odrl:inform ]")


def reported(policy: str, request: str | None, world: str | None = None, words: str = "force") -> Graph:
    """The report as a graph."""
    text = compliance_report(evaluated(policy, request, world), words, Syntax.N_QUADS)  # type: ignore[arg-type]
    return read_graph(text, Syntax.N_QUADS)


def test_a_report_has_the_parts_of_the_compliance_report_model() -> None:
    graph = reported(POLICY, asking(target="ex:other"))
    (whole,) = graph.of_type(REPORT + "PolicyReport")
    (rule,) = graph.iris(whole, REPORT + "ruleReport")
    assert graph.types(rule) == (REPORT + "PermissionReport",)
    assert graph.iris(rule, REPORT + "activationState") == (REPORT + "Inactive",)
    assert graph.iris(rule, REPORT + "attemptState") == (REPORT + "Attempted",)
    satisfied = {
        graph.types(premise)[0].removeprefix(REPORT): graph.iris(premise, REPORT + "satisfactionState")[0]
        for premise in graph.iris(rule, REPORT + "premiseReport")
    }
    assert satisfied == {
        "TargetReport": REPORT + "Unsatisfied",
        "PartyReport": REPORT + "Satisfied",
        "ActionReport": REPORT + "Satisfied",
        "ConstraintReport": REPORT + "Unsatisfied",
    }
    (duty,) = graph.iris(rule, REPORT + "conditionReport")
    assert graph.types(duty) == (REPORT + "DutyReport",)
    assert graph.iris(duty, REPORT + "deonticState") == (REPORT + "NonSet",)


def test_with_force_an_unmet_premise_makes_a_rule_inactive_and_with_w3c_it_does_not() -> None:
    for words, namespace, state in (("force", REPORT, "Inactive"), ("w3c", FS, "Active")):
        graph = reported(permission(), asking(target="ex:other"), words=words)
        assert [node.value for _, node in graph.pairs(namespace + "activationState")] == [namespace + state]
    assert [node.value for _, node in graph.pairs(FS + "controlState")] == [FS + "Deny"]


@pytest.mark.parametrize("words", ["force", "w3c"])
@pytest.mark.parametrize("request_", [asking(), None])
def test_a_report_is_the_same_each_time_and_has_no_blank_nodes(words: str, request_: str | None) -> None:
    world = saying(rest=act("letter", "odrl:inform"))
    texts = {compliance_report(evaluated(POLICY, request_, world), words, Syntax.N_QUADS) for _ in range(2)}  # type: ignore[arg-type]
    assert len(texts) == 1
    assert b"_:" not in texts.pop()
    for syntax in (Syntax.TURTLE, Syntax.JSON_LD):
        text = compliance_report(evaluated(POLICY, request_, world), words, syntax)  # type: ignore[arg-type]
        assert REPORT.encode() in text or FS.encode() in text


def test_what_cannot_be_told_is_said_in_the_report() -> None:
    graph = reported(permission(f"odrl:constraint {comparing('ex:unknown', 'eq', '1')}"), asking())
    comments = [node.value for _, node in graph.pairs("http://www.w3.org/2000/01/rdf-schema#comment")]
    assert any("cannot be told" in comment for comment in comments)


def test_monitoring_tells_each_act() -> None:
    world = saying(rest=act("selling", "odrl:sell", more="odrl:target ex:samples ;"))
    evaluation = evaluated(rules("odrl:prohibition [ odrl:action odrl:sell ]"), world=world)
    text = compliance_report(evaluation).decode()
    assert "report:Violated" in text
    value = as_json(evaluation)
    assert (value["compliant"], value["policies"][0]["acts"][0]["effect"]) == (False, "deny")
    assert any("not permitted" in sentence for sentence in sentences(evaluation))


def test_sentences_name_what_stands_against_a_request() -> None:
    told = "\n".join(sentences(evaluated(POLICY, asking(target="ex:other"))))
    for words in ("does not speak of it", "odrl:dateTime gt", "The asset is not the one named", "not fulfilled yet"):
        assert words in told
    assert json.loads(json.dumps(as_json(evaluated(POLICY, asking()))))["effect"] == "deny"


# ── our own decisions ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("permitted", [True, False])
def test_a_decision_is_an_activity_that_used_facts_and_made_reports(permitted: bool) -> None:
    decision = sample.decision() if permitted else sample.decision(sample.request(purpose="marketing"))
    assert decision.permitted is permitted
    text = decision_report(decision, Syntax.N_QUADS)
    graph = read_graph(text, Syntax.N_QUADS)
    (activity,) = graph.of_type(SYN + "Decision")
    used = graph.iris(activity, PROV + "used")
    assert len(used) == len(decision.request.facts) + 1
    assert set(graph.iris(used[1], PROV + "wasDerivedFrom")) <= set(graph.subjects)
    reports = graph.of_type(REPORT + "PolicyReport")
    assert {graph.iris(report, REPORT + "policy")[0] for report in reports} == {
        reason.policy for reason in decision.reasons if reason.policy
    }
    assert all(graph.iris(report, PROV + "wasGeneratedBy") == (activity,) for report in reports)
    assert b"_:" not in text
    assert decision_report(decision.as_dict(), Syntax.N_QUADS) == text


def test_a_permit_has_active_permissions_and_a_denial_says_what_stood_against_it() -> None:
    permit = read_graph(decision_report(sample.decision(), Syntax.N_QUADS), Syntax.N_QUADS)
    deny = read_graph(
        decision_report(sample.decision(sample.request(purpose="marketing")), Syntax.N_QUADS), Syntax.N_QUADS
    )
    assert {node.value for _, node in permit.pairs(REPORT + "activationState")} == {REPORT + "Active"}
    assert deny.of_type(REPORT + "ProhibitionReport")
    assert [node.value for _, node in deny.pairs(SYN + "effect")] == ["deny"]


def test_the_report_can_have_the_name_the_log_gave_the_decision() -> None:
    name = "https://hospital.example/id/decision/run-1"
    text = decision_report(sample.decision(), Syntax.N_QUADS, iri=name)
    assert all(line.endswith(f"<{name}> .") for line in text.decode().splitlines())


def test_something_else_than_a_decision_is_refused() -> None:
    with pytest.raises(InputError, match="no recorded decision"):
        decision_report({"effect": "permit"})
