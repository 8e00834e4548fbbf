"""Which rules speak of a request, and what a policy says when several do."""

from __future__ import annotations

import pytest

from synthema.errors import PolicyLoadError
from tests.unit.policy.evaluator.worlds import asking, comparing, evaluated, only_rule, permission, rules, saying

OURS = "odrl:action odrl:read ; odrl:target ex:samples ; odrl:assignee ex:lab"
EVALUATED = "sotw:evaluatedAction odrl:read ; sotw:evaluatedTarget ex:samples ; sotw:evaluatedParty ex:lab"
ANY = "odrl:permission [ odrl:action odrl:use ]"
NEVER = "odrl:prohibition [ odrl:action odrl:distribute ; odrl:target ex:samples ]"


@pytest.mark.parametrize(
    ("request_", "effect"),
    [
        (asking(), "permit"),
        (asking(party="ex:stranger"), "deny"),
        (asking(target="ex:files"), "deny"),
        (asking(action="odrl:sell"), "deny"),
        (asking(action="odrl:use"), "deny"),
        (f"ex:r a fs:EvaluationRequest ; {OURS} .", "permit"),
        (f"ex:r a odrl:Request ; odrl:permission [ {OURS} ] .", "permit"),
        (f"ex:r a sotw:EvaluationRequest ; {EVALUATED} .", "permit"),
        ("ex:r a sotw:EvaluationRequest ; sotw:requestedAction odrl:read ; sotw:requestedTarget ex:samples .", "deny"),
        ("ex:r a sotw:EvaluationRequest ; sotw:requestedAction odrl:read ; sotw:requestingParty ex:lab .", "deny"),
    ],
)  # fmt: skip
def test_a_permission_is_for_its_action_asset_and_party(request_: str, effect: str) -> None:
    evaluation = evaluated(permission(), request_)
    assert evaluation.effect == effect
    assert only_rule(evaluation).active


@pytest.mark.parametrize(
    ("asked", "permitted"),
    [
        ("odrl:read", "odrl:use"),
        ("odrl:display", "odrl:use"),
        ("odrl:write", "odrl:modify"),
        ("odrl:append", "odrl:write"),
        ("odrl:give", "odrl:transfer"),
        ("<http://creativecommons.org/ns#Sharing>", "odrl:share"),
        ("ex:sequence", "odrl:reproduce"),
    ],
)
def test_an_action_includes_those_in_it_and_means_its_exact_matches(asked: str, permitted: str) -> None:
    policy = rules(f"odrl:permission [ odrl:action {permitted} ]") + " ex:sequence odrl:includedIn odrl:extract ."
    assert evaluated(policy, asking(asked)).effect == "permit"


def test_whoever_asks_does_not_widen_an_action_or_a_group() -> None:
    policy = rules("odrl:permission [ odrl:action odrl:play ; odrl:assignee ex:group ]")
    claim = " odrl:sell odrl:includedIn odrl:play . ex:lab odrl:partOf ex:group . odrl:sell a odrl:play ."
    assert evaluated(policy, asking("odrl:sell") + claim).effect == "deny"
    assert evaluated(policy, asking("odrl:play") + claim).effect == "deny"
    assert evaluated(policy, asking("odrl:play"), saying(rest="ex:lab odrl:partOf ex:group .")).effect == "permit"


@pytest.mark.parametrize(
    ("collection", "member", "effect"),
    [
        ("ex:cohort", "ex:samples odrl:partOf ex:cohort .", "permit"),
        ("ex:cohort", "ex:samples odrl:partOf ex:batch . ex:batch odrl:partOf ex:cohort .", "permit"),
        ("[ a odrl:AssetCollection ; odrl:source ex:cohort ]", "ex:samples odrl:partOf ex:cohort .", "permit"),
        ("ex:cohort", "ex:samples odrl:partOf ex:other .", "deny"),
        ("ex:cohort", "ex:cohort odrl:partOf ex:samples .", "deny"),
    ],
)
def test_a_collection_stands_for_its_members(collection: str, member: str, effect: str) -> None:
    policy = rules(f"odrl:permission [ odrl:action odrl:read ; odrl:target {collection} ]")
    assert evaluated(policy, asking(), saying(rest=member)).effect == effect


def refined(what: str, constraint: str) -> str:
    """A permission one part of which is narrowed."""
    parts = {
        "action": f"odrl:action [ rdf:value odrl:read ; odrl:refinement {constraint} ] ; odrl:target ex:samples",
        "target": f"odrl:target [ a odrl:AssetCollection ; odrl:source ex:samples ; odrl:refinement {constraint} ]",
        "party": f"odrl:assignee [ a odrl:PartyCollection ; odrl:source ex:lab ; odrl:refinement {constraint} ]",
    }
    reading = "" if what == "action" else "odrl:action odrl:read ; "
    return rules(f"odrl:permission [ {reading}{parts[what]} ]")


@pytest.mark.parametrize(
    ("what", "said", "effect"),
    [
        ("action", saying("ex:rows 10 ;"), "permit"),
        ("action", saying("ex:rows 11 ;"), "deny"),
        ("action", saying(), "deny"),
        ("target", saying(rest="ex:samples ex:rows 10 ."), "permit"),
        ("target", saying(rest="ex:samples ex:rows 11 ."), "deny"),
        ("target", saying("ex:rows 11 ;", rest="ex:samples ex:rows 10 ."), "permit"),
        ("party", saying(rest="ex:lab ex:rows 10 ."), "permit"),
        ("party", saying(rest="ex:lab ex:rows 11 ."), "deny"),
    ],
)
def test_a_refinement_narrows_what_is_meant_but_leaves_the_permission_active(what: str, said: str, effect: str) -> None:
    evaluation = evaluated(refined(what, comparing("ex:rows", "lteq", "10")), asking(), said)
    assert evaluation.effect == effect
    assert only_rule(evaluation).active


def test_the_request_describes_its_own_action() -> None:
    policy = refined("action", comparing("ex:rows", "lteq", "10"))
    narrow = "ex:r a odrl:Request ; odrl:permission [ odrl:target ex:samples ; odrl:action [ rdf:value odrl:read ; "
    eq = "odrl:refinement [ odrl:leftOperand ex:rows ; odrl:operator odrl:eq ; odrl:rightOperand 7 ] ] ] ."
    assert evaluated(policy, narrow + eq).effect == "permit"
    assert evaluated(policy, narrow + eq.replace("7", "70")).effect == "deny"


def test_what_the_world_says_counts_and_the_request_does_not_contradict_it() -> None:
    policy = permission(f"odrl:constraint {comparing('odrl:purpose', 'eq', 'ex:research')}")
    claim = asking(more="sotw:requestParameter [ sotw:describesFeature sotw:Purpose ; sotw:value ex:research ] ;")
    assert evaluated(policy, claim).effect == "permit"
    assert evaluated(policy, claim, saying("odrl:purpose ex:advertising ;")).effect == "deny"


@pytest.mark.parametrize(
    ("action", "target", "party", "effect"),
    [
        ("odrl:read", "ex:samples", "ex:lab", "permit"),
        ("odrl:print", "ex:images", "ex:hub", "permit"),
        ("odrl:sell", "ex:samples", "ex:lab", "deny"),
        ("odrl:read", "ex:files", "ex:lab", "deny"),
        ("odrl:read", "ex:samples", "ex:stranger", "deny"),
    ],
)
def test_a_compound_rule_stands_for_each_combination(action: str, target: str, party: str, effect: str) -> None:
    policy = rules(
        "odrl:permission [ odrl:action odrl:read, odrl:print ; odrl:target ex:samples, ex:images ; "
        "odrl:assignee ex:lab, ex:hub ]"
    )
    assert evaluated(policy, asking(action, target, party)).effect == effect


@pytest.mark.parametrize(
    ("rule", "asked", "effect"),
    [
        ("odrl:permission [ odrl:target ex:samples ]", asking(), "permit"),
        ("odrl:permission [ odrl:target ex:samples ]", asking("odrl:sell"), "deny"),
        ("odrl:permission [ odrl:target ex:samples ; odrl:assignee ex:hub ]", asking(party="ex:hub"), "permit"),
        ("odrl:permission [ odrl:target ex:samples ; odrl:assignee ex:hub ]", asking(party="ex:lab"), "deny"),
    ],
)
def test_what_a_policy_says_counts_for_rules_that_do_not_say_otherwise(rule: str, asked: str, effect: str) -> None:
    assert evaluated(rules(rule, action="odrl:read", assignee="ex:lab"), asked).effect == effect


def test_a_constraint_of_the_policy_is_one_of_each_rule() -> None:
    late = comparing("odrl:dateTime", "gt", '"2027-01-01T00:00:00Z"^^xsd:dateTime')
    assert evaluated(permission(constraint=late), asking()).effect == "deny"


CONFLICTING = [
    ("perm", "permitted", "permit"),
    ("prohibit", "prohibited", "deny"),
    ("invalid", "conflict", "deny"),
    (None, "conflict", "deny"),
]


@pytest.mark.parametrize(("strategy", "finding", "effect"), CONFLICTING)
def test_conflict_strategies(strategy: str | None, finding: str, effect: str) -> None:
    named = {"conflict": f"odrl:{strategy}"} if strategy else {}
    evaluation = evaluated(rules(ANY, NEVER, **named), asking("odrl:distribute"))
    assert (evaluation.policies[0].finding, evaluation.effect) == (finding, effect)
    assert evaluated(rules(ANY, NEVER, **named), asking("odrl:read")).effect == "permit"


def test_a_prohibition_whose_condition_cannot_be_told_counts_unless_told_otherwise() -> None:
    purpose = comparing("odrl:purpose", "eq", "ex:advertising")
    policy = rules(
        ANY, f"odrl:prohibition [ odrl:action odrl:read ; odrl:constraint {purpose} ]", conflict="odrl:prohibit"
    )
    assert evaluated(policy, asking()).effect == "deny"
    assert evaluated(policy, asking(), missing="closed").effect == "permit"
    assert evaluated(policy, asking(), saying("odrl:purpose ex:care ;")).effect == "permit"


def test_a_request_that_includes_something_prohibited_is_denied() -> None:
    policy = rules(ANY, NEVER, conflict="odrl:prohibit")
    assert evaluated(policy, asking("odrl:use")).effect == "deny"
    whole = rules(ANY, "odrl:prohibition [ odrl:action odrl:use ; odrl:target ex:genome ]", conflict="odrl:prohibit")
    inside = saying(rest="ex:genome odrl:partOf ex:samples .")
    assert evaluated(whole, asking(), inside).effect == "deny"
    assert evaluated(whole, asking()).effect == "permit"


@pytest.mark.parametrize(("behaviour", "effect"), [("closed", "deny"), ("default-closed", "deny"), ("open", "permit")])
def test_where_no_rule_speaks_the_behaviour_decides(behaviour: str, effect: str) -> None:
    evaluation = evaluated(permission(), asking("odrl:sell"), behaviour=behaviour)
    assert (evaluation.policies[0].finding, evaluation.policies[0].effect, evaluation.effect) == (
        "silent",
        effect,
        effect,
    )


EVALUATED_KINDS, OTHER_KINDS = ("Set", "Agreement", "Policy", "Privacy"), ("Offer", "Request")


@pytest.mark.parametrize(
    ("kind", "effect"), [*((kind, "permit") for kind in EVALUATED_KINDS), *((kind, "deny") for kind in OTHER_KINDS)]
)
def test_sets_and_agreements_are_evaluated_and_offers_are_not(kind: str, effect: str) -> None:
    policy = permission().replace("a odrl:Set", f"a odrl:{kind}")
    evaluation = evaluated(policy, asking())
    assert evaluation.effect == effect
    assert evaluation.policies[0].considered is (effect == "permit")
    if kind == "Offer":
        assert "not evaluated" in evaluation.policies[0].notes[0]
        assert evaluated(policy, asking(), offers=True).effect == "permit"


def test_a_policy_inherits_the_rules_of_those_it_names() -> None:
    own = rules(ANY, inheritFrom="ex:parent", conflict="odrl:prohibit")
    parent = "ex:parent a odrl:Set ; odrl:inheritFrom ex:eldest ; odrl:permission [ odrl:action odrl:sell ] ."
    eldest = "ex:eldest a odrl:Set ; odrl:prohibition [ odrl:action odrl:read ] ."
    evaluation = evaluated(f"{own} {parent} {eldest}", asking())
    child = next(state for state in evaluation.policies if state.policy.iri.endswith("/policy"))
    assert [rule.rule.kind for rule in child.rules] == ["prohibition", "permission", "permission"]
    assert child.finding == "prohibited"


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (rules(ANY, inheritFrom="ex:elsewhere"), "not given"),
        (rules(ANY, inheritFrom="ex:policy"), "inherits from itself"),
        ("ex:policy a odrl:Set .", "has no rules"),
        (rules(ANY, conflict="odrl:permit"), "odrl:perm"),
        ("ex:a a ex:B .", "no ODRL policy"),
        (rules(ANY, uid="ex:other"), "odrl:uid differs"),
        (rules("odrl:permission 'anything'"), "give an IRI"),
        (rules("odrl:permissions [ odrl:action odrl:use ]", ANY), "did you mean 'odrl:permission'"),
        (rules("odrl:permission [ odrl:actions odrl:use ]"), "did you mean 'odrl:action'"),
        (rules("odrl:permission [ odrl:action [ odrl:refinement [] ] ]"), "rdf:value"),
        (rules("odrl:permission [ odrl:target [] ]"), "neither a name"),
        (rules("odrl:prohibition [ odrl:duty [ odrl:action odrl:pay ] ]"), "odrl:duty does not belong"),
        ("ex:policy a odrl:Set, odrl:Offer ; odrl:permission [ odrl:action odrl:use ] .", "at once"),
        ("ex:policy a odrl:Licence ; odrl:permission [ odrl:action odrl:use ] .", "no kind of policy"),
    ],
)  # fmt: skip
def test_a_policy_that_is_not_understood_is_refused_whole(policy: str, said: str) -> None:
    with pytest.raises(PolicyLoadError, match=said):
        evaluated(policy, asking())


def test_strategies_that_contradict_each_other_void_the_policy() -> None:
    policy = rules(ANY, conflict="odrl:perm", inheritFrom="ex:parent")
    parent = " ex:parent a odrl:Set ; odrl:conflict odrl:prohibit ; odrl:permission [ odrl:action odrl:use ] ."
    child = evaluated(policy + parent, asking()).policies[0]
    assert (child.finding, child.effect) == ("conflict", "deny")


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ("ex:r rdfs:label 'none' .", "no request"),
        (asking() + asking().replace("ex:request", "ex:second"), "2 requests"),
        (asking("odrl:read, odrl:sell"), "several"),
        ("ex:r a sotw:EvaluationRequest ; sotw:requestedTarget ex:samples .", "no action"),
        (asking(more=f"sotw:context {comparing('odrl:purpose', 'isA', 'ex:a')} ;"), "states no value"),
        (asking(more="sotw:requestParameter [ sotw:value 5 ] ;"), "states no value"),
        (asking(more='sotw:requestParameter [ sotw:value "" ; sotw:describesFeature sotw:TemporalData ] ;'), "no time"),
    ],
)  # fmt: skip
def test_a_request_that_is_not_understood_is_refused(request_: str, said: str) -> None:
    with pytest.raises(PolicyLoadError, match=said):
        evaluated(permission(), request_)


def test_what_other_vocabularies_say_of_a_rule_is_told_and_not_evaluated() -> None:
    policy = permission("ex:onlyIf ex:fullMoon ; dct:title 'reading'", profile="ex:profile")
    notes = evaluated(policy, asking()).policies[0].notes
    assert any("onlyIf" in note for note in notes)
    assert any("ex" in note and "profile" in note for note in notes)
    assert not any("title" in note for note in notes)


def test_the_order_of_rules_makes_no_difference() -> None:
    for lines in ((ANY, NEVER), (NEVER, ANY)):
        assert evaluated(rules(*lines, conflict="odrl:prohibit"), asking("odrl:distribute")).effect == "deny"


def test_a_time_that_only_the_request_names_is_noted() -> None:
    dated = asking(more='dct:issued "2026-01-01T00:00:00Z"^^xsd:dateTime ;')
    until = comparing("odrl:dateTime", "lt", '"2026-06-01"^^xsd:date')
    policy = permission(f"odrl:constraint {until}")
    claimed, known = evaluated(policy, dated, "ex:world a sotw:SotW ."), evaluated(policy, dated)
    assert (claimed.effect, known.effect) == ("permit", "deny")
    assert any("the request names" in note for note in claimed.policies[0].notes)
    assert not any("the request names" in note for note in known.policies[0].notes)
