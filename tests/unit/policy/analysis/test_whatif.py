from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from synthema.errors import NotFoundError
from synthema.policy import AccessRequest, CompiledPolicies, Fact, decide
from synthema.policy.analysis import Recorded, decide_again, decide_otherwise, summary, what_if
from synthema.policy.compile import compile_policies
from tests.unit.policy.sample import V, all_policies, compiled, request, template


def turns(asked: AccessRequest) -> dict[str, str]:
    return {turn.operand: turn.sentence for turn in what_if(compiled(), asked).turns}


def test_a_denial_says_what_single_fact_would_turn_it() -> None:
    found = what_if(compiled(), request(epsilon=7.0))
    assert found.decision.effect == "deny"
    assert found.complete
    (turn,) = found.turns
    assert turn.sentence == "It would be permitted if the privacy loss ε of this release is at most 6."
    assert (turn.effect, turn.by) == ("permit", "requester")


def test_a_bound_that_another_fact_sets_is_found_too() -> None:
    found = what_if(compiled(), request(epsilon=3.0, epsilon_remaining=1.5))
    told = {turn.operand: turn.sentence for turn in found.turns}
    assert "at most 1.5" in told[V.operand("epsilon").iri]
    assert "at least 3" in told[V.operand("epsilon remaining").iri]


def test_a_permit_says_what_it_rests_on() -> None:
    told = turns(request())
    assert "it would be denied if the purpose is" in told[V.operand("purpose").iri].lower()
    assert "more than 6" in told[V.operand("epsilon").iri]
    assert "not stated" in told[V.operand("epsilon").iri]
    assert "time" in told[V.operand("time").iri]


def test_every_turn_is_true() -> None:
    asked = request(contributing_parties=2)
    operand = V.operand("contributing parties").iri
    assert "at least 3" in turns(asked)[operand]
    changed = replace(asked, facts={**asked.facts, operand: Fact(3)})
    assert decide(compiled(), changed).permitted


def test_the_same_request_under_a_draft() -> None:
    asked = request(epsilon=7.0)
    site, agreement = template("research-synthetic-data", epsilon=8), template("study-agreement", epsilon=8)
    wide = compile_policies([p for p in (*all_policies(), agreement) if p.id != agreement.id or p is agreement], V)
    found = what_if(wide, asked, site)
    assert (found.decision.effect, found.draft and found.draft.effect, found.changed) == ("deny", "permit", True)
    assert json.loads(json.dumps(found.record()))["draft"]["changed"] is True
    assert not what_if(compiled(), asked, site).changed, "the agreement still stops at 6"


# replay --------------------------------------------------------------------------------------


def recorded(asked: AccessRequest) -> Recorded:
    return Recorded("run-1", "request", json.loads(json.dumps(decide(compiled(), asked).as_dict())))


def of_then(_: AccessRequest) -> CompiledPolicies:
    return compiled()


def test_a_decision_comes_out_the_same_to_the_byte() -> None:
    again = decide_again(recorded(request()), of_then)
    assert (again.same, again.effect, again.now) == (True, "permit", "permit")


def test_a_tampered_record_is_named() -> None:
    true = recorded(request(epsilon=7.0))
    false = replace(true, decision={**true.decision, "effect": "permit"})
    again = decide_again(false, of_then)
    assert again.same is False
    assert "another decision than the one recorded" in again.sentence


def test_what_cannot_be_decided_again_is_said_not_hidden() -> None:
    def other(_: AccessRequest) -> CompiledPolicies:
        return compile_policies([template("research-synthetic-data")], V)

    def gone(_: AccessRequest) -> CompiledPolicies:
        raise NotFoundError("a parent is withdrawn", fix="draft a new version")

    one = recorded(request())
    assert decide_again(one, other).same is None
    assert decide_again(one, gone).same is None
    assert decide_again(replace(one, decision={"effect": "permit"}), of_then).same is False
    empty: dict[str, Any] = {"effect": "permit", "request": {}}
    assert decide_again(replace(one, decision=empty), of_then).same is False


def test_a_draft_shows_what_it_would_have_changed() -> None:
    draft = template("research-synthetic-data", epsilon=1)
    later = replace(draft, effective_from=request().at.replace(year=2030))
    outcomes = [decide_otherwise(recorded(r), of_then, later) for r in (request(), request(epsilon=0.5))]
    assert [outcome.same for outcome in outcomes] == [False, True]
    assert outcomes[0].sentence.startswith("Permit then, deny under the draft: ")
    assert summary(outcomes, draft=True) == "Of 2 decisions 1 would change."
    assert summary([decide_again(recorded(request()), of_then)], draft=False) == (
        "Of 1 decisions 1 are the same, byte for byte, when decided again."
    )
    assert outcomes[0].record()["now"] == "deny"
