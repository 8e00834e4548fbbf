from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from synthema.canonical import canonical_json
from synthema.errors import InputError, IntegrityError, PolicyLoadError
from synthema.policy import (
    AccessRequest,
    Fact,
    Fulfilment,
    Kind,
    Layer,
    Policy,
    Rule,
    compile_policies,
    decide,
    replay,
    union_law,
)
from synthema.policy.model import Value
from synthema.vocabulary import compact, expand
from tests.unit.policy.sample import AT, DATASET, V, all_policies, compiled, decision, form, moved, request


def test_the_good_request_is_permitted_with_every_layer_named() -> None:
    found = decision()
    assert found.permitted
    assert {reason.layer for reason in found.reasons} == {Layer.SITE, Layer.DATASET, Layer.AGREEMENT}
    assert all(reason.satisfied for reason in found.reasons)
    epsilon = next(r for r in found.reasons if r.operand == expand("syn:epsilonRequested"))
    assert (epsilon.actual, epsilon.required, epsilon.operator) == (2.0, 6.0, "lteq")
    assert epsilon.article.startswith("GDPR 9(2)(j)")


def test_obligations_have_dates_where_the_event_is_known() -> None:
    found = {compact(o.action): o for o in decision().obligations}
    assert set(found) == {"syn:acknowledge", "syn:publishResults", "odrl:inform", "odrl:delete", "syn:keepLog"}
    assert found["syn:keepLog"].due == AT + timedelta(days=365)
    assert found["syn:publishResults"].due is None
    assert found["syn:publishResults"].due_from(AT) == AT + timedelta(days=548)
    assert found["odrl:delete"].article == "EHDS 68(12)"


@pytest.mark.parametrize("layer", [Layer.UNION, Layer.SITE, Layer.DATASET, Layer.AGREEMENT])
def test_a_missing_layer_denies(layer: Layer) -> None:
    policies = [policy for policy in all_policies() if policy.layer is not layer]
    found = decide(compile_policies(policies, V), request())
    assert found.effect == "deny"
    assert any(str(layer) in reason.sentence for reason in found.reasons)
    assert found.unchangeable


def test_no_policies_at_all_deny() -> None:
    assert decide(compile_policies([], V), request()).effect == "deny"


@pytest.mark.parametrize("layer", list(Layer))
def test_a_prohibition_of_any_layer_wins(layer: Layer) -> None:
    policy = Policy("urn:policy:no", layer, "1", "No", (Rule("urn:rule:no", Kind.PROHIBITION, (expand("odrl:use"),)),))
    assert decision(None, policy).effect == "deny"


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ({"epsilon": "much"}, "type"),
        ({"epsilon": True}, "type"),
        ({"epsilon": float("nan")}, "type"),
        ({"epsilon": float("inf")}, "type"),
        ({"cohort_size": 400.0}, "type"),
        ({"cohort_size": Fact(400, unit="records")}, "unit"),
        ({"purpose": "urn:example:unknown"}, "unknown-term"),
        ({"purpose": "dpv:ScientificResearch"}, "too-wide"),
        ({"purpose": ()}, "type"),
        ({"output": ("synthetic", "urn:x")}, "unknown-term"),
    ],
)
def test_what_cannot_be_judged_denies_and_says_why(facts: dict[str, Value | Fact], problem: str) -> None:
    found = decision(request(**facts))
    assert found.effect == "deny"
    assert problem in {reason.problem for reason in found.reasons}
    assert not any(reason.satisfied is True and reason.effect == "permission" for reason in found.reasons)


@pytest.mark.parametrize("left_out", ["purpose", "legal basis", "epsilon", "cohort size", "dpia outcome", "disease"])
def test_a_missing_fact_denies_and_is_named(left_out: str) -> None:
    found = decision(request(without=(left_out,)))
    assert found.effect == "deny"
    assert any(r.operand == V.operand(left_out).iri and r.problem == "missing" for r in found.reasons)


def test_a_prohibition_that_cannot_be_judged_counts() -> None:
    policy = form("forbid: [{action: use, when: {ethics approval is: false}}]")
    assert decision(None, policy).effect == "deny"
    assert decision(request(ethics_approval=True), policy).effect == "permit"
    wrong_type = decision(request(ethics_approval="no"), policy)
    assert wrong_type.effect == "deny"
    assert "type" in {reason.problem for reason in wrong_type.reasons}


def test_several_values_permission_for_all_prohibition_for_one() -> None:
    assert decision(request(purpose=("training of algorithms", "health research"))).permitted
    assert not decision(request(purpose=("training of algorithms", "education"))).permitted
    policy = form("forbid: [{action: use, when: {data category is: syn:Art51-1-f}}]")
    assert decision(request(data_category=("syn:Art51-1-l",)), policy).permitted
    assert not decision(request(data_category=("syn:Art51-1-l", "ehds:GenomicData")), policy).permitted
    # A category wider than the forbidden one may hide it.
    assert not decision(request(data_category=("syn:Art51Category",)), policy).permitted


def test_a_request_for_a_wider_act_meets_the_prohibition_of_a_narrower_one() -> None:
    policies = [union_law(V)] + [
        form("permit: [{action: use}]", layer=layer) for layer in ("site", "dataset", "agreement")
    ]
    found = decide(compile_policies(policies, V), request("use"))
    assert found.effect == "deny"
    assert any((reason.rule or "").endswith("ehds-61-3") for reason in found.reasons)


def test_policies_count_only_in_their_time() -> None:
    first, last = datetime(2026, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)
    assert decision(moved(request(), at=first)).permitted
    assert not decision(moved(request(), at=first - timedelta(seconds=1))).permitted
    assert decision(moved(request(), at=last - timedelta(seconds=1))).permitted
    assert not decision(moved(request(), at=last)).permitted


def test_other_parties_and_datasets_are_not_meant() -> None:
    assert not decision(moved(request(), assignee="did:web:stranger.example")).permitted
    assert not decision(moved(request(), target=DATASET + "-2")).permitted


def test_prior_duties_must_be_done_with_evidence_and_in_time() -> None:
    body = "permit: [{action: synthesise, duties: [{do: sign agreement, shown by: signature}]}]"
    policies = [p for p in all_policies() if p.layer is not Layer.SITE] + [form(body)]
    rules = compile_policies(policies, V)
    asked = request("synthesise")
    signed = Fulfilment(expand("syn:signAgreement"), AT, "did:web:hub.example", "urn:evidence:1")
    denied = decide(rules, asked)
    assert denied.effect == "deny"
    assert "sign the data use agreement" in " ".join(denied.sentences())
    assert [change.operand for change in denied.changes] == [expand("syn:signAgreement")]
    for done, effect in [
        (signed, "permit"),
        (Fulfilment(signed.action, AT + timedelta(seconds=1), signed.by, signed.evidence), "deny"),
        (Fulfilment(signed.action, AT, signed.by, None), "deny"),
        (Fulfilment(signed.action, AT, signed.by, signed.evidence, rule="urn:another-rule"), "deny"),
        (Fulfilment(expand("syn:acknowledge"), AT, signed.by, signed.evidence), "deny"),
    ]:
        assert decide(rules, moved(asked, fulfilled=(done,))).effect == effect


def test_an_open_prior_obligation_and_a_violated_duty_deny() -> None:
    policy = form("oblige: [{action: use, duty: inform}]")
    assert decision(None, policy).effect == "deny"
    done = Fulfilment(expand("odrl:inform"), AT, "x")
    assert decision(moved(request(), fulfilled=(done,)), policy).effect == "permit"
    broken = Fulfilment(expand("syn:publishResults"), AT, "x", state="violated")
    late = decision(moved(request(), fulfilled=(broken,)))
    assert late.effect == "deny"
    assert "publish the results" in late.sentences()[1]


def test_settled_facts_cannot_be_contradicted() -> None:
    standing = {expand("syn:regime"): Fact(expand("syn:EHDS"))}
    rules = compile_policies(all_policies(), V, standing=standing)
    assert decide(rules, request()).effect == "deny"
    assert "contradicts" in " ".join(decide(rules, request()).sentences())
    later = request(time=AT + timedelta(days=1))
    assert decision(later).effect == "deny"
    assert decision(request(time=AT)).effect == "permit"


def test_unknown_operands_and_actions_deny() -> None:
    strange = moved(request(), facts={**request().facts, "urn:operand": Fact(1)})
    assert decision(strange).effect == "deny"
    unknown = decision(moved(request(), action="https://w3id.org/synthema/ns#sintesise"))
    assert unknown.effect == "deny"
    assert "synthesise" in unknown.sentences()[1]


def test_decisions_replay_and_changed_records_are_found() -> None:
    rules = compiled()
    found = decide(rules, request())
    recorded = json.loads(canonical_json(found.as_dict()))
    assert replay(recorded, rules) == found
    assert replay(recorded, compiled()).digest == found.digest
    tampered = recorded | {"effect": "deny"}
    with pytest.raises(IntegrityError, match="another decision"):
        replay(tampered, rules)
    with pytest.raises(IntegrityError, match="not the policies"):
        replay(recorded, compile_policies(all_policies()[:-1], V))
    with pytest.raises(InputError):
        replay(recorded | {"request": {"id": "x"}}, rules)


def test_the_digest_pins_policies_vocabulary_and_standing_facts() -> None:
    standing = {expand("syn:regime"): Fact(expand("syn:PreEHDS"))}
    digests = {compiled().digest, compile_policies(all_policies(), V, standing=standing).digest}
    digests.add(compile_policies(all_policies()[1:], V).digest)
    assert len(digests) == 3
    assert decision().vocabulary_version == V.version


def test_values_of_other_types_never_become_facts() -> None:
    for value in (None, [1], {"a": 1}, ("x", 1), datetime(2026, 1, 1)):  # noqa: DTZ001
        with pytest.raises(InputError):
            Fact(value)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no zone"):
        AccessRequest("x", "y", "z", "w", datetime(2026, 1, 1))  # noqa: DTZ001


def test_a_policy_that_is_not_understood_is_never_compiled() -> None:
    rule = Rule("urn:rule:x", Kind.PERMISSION, ("urn:no-action",))
    with pytest.raises(PolicyLoadError, match="not a known action"):
        compile_policies([Policy("urn:policy:x", Layer.SITE, "1", "x", (rule,))], V)
    with pytest.raises(PolicyLoadError, match="same identifier"):
        compile_policies([union_law(V), union_law(V)], V)
