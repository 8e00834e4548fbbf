"""A coordinator that lies: each lie is found by a site, refused, and named in that site's own log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synthema.clock import FixedClock
from synthema.errors import DeniedError, SynthemaError
from synthema.federation import ParticipationState, SiteLimits, check_plan, noise_share
from synthema.federation.messages import Message
from tests.unit.federation.world import HUB, LENGTH, Summing, World, changed, site, world

Lie = Callable[[Message], dict[str, Any] | None]


def on(kind: str, **changes: Any) -> Lie:
    """Replace fields of the body of messages of this kind."""

    def tamper(message: Message) -> dict[str, Any] | None:
        return {"body": {**message.body, **changes}} if message.kind == kind else None

    return tamper


def on_state(**changes: Any) -> Lie:
    def tamper(message: Message) -> dict[str, Any] | None:
        if message.kind != "round":
            return None
        return {"body": {**message.body, "state": changed(message.body["state"], **changes)}}

    return tamper


def refused(w: World, lie: Lie, *, algorithm: Any = None, **plan: Any) -> str:
    """Let the coordinator tell this lie to the first site; returns the reason in that site's log."""
    victim = w.dids[0]
    w.tampers[victim] = lie
    result = w.run(w.plan(**plan), algorithm=algorithm)
    assert isinstance(result, SynthemaError)
    assert w.outcomes[victim].state == ParticipationState.REFUSED
    last = w.logs[victim].activities[-1]
    assert last.type == "StudyRefusal"
    assert last.attributes["reason"] == w.outcomes[victim].reason
    assert "RoundUnmasking" not in w.logs[victim].types()
    return str(last.attributes["reason"])


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        (on("round", sigma=0.01), "announced noise of 0.01"),
        (on("round", sigma="much"), "announced noise of much"),
        (on("round", threshold=2), "threshold of 2"),
        (on("round", sites=[site(0), site(1)]), "only 2 asked sites"),
        (on("round", sites=[site(0), site(1), "did:web:invented.example"]), "not in the plan"),
        (on("round", sites="all"), "not of the form"),
        (on_state(rho=50.0), "costs rho"),
        (on_state(sensitivity=0.01), "understates"),
        (on_state(length=0), "asks for no vector"),
        (on_state(extra=1), "not an algorithm's state"),
        (lambda message: {"round": 4} if message.kind == "round" else None, "beyond the 3 rounds"),
        (lambda message: {"round": 0} if message.kind == "round" else None, "does not follow round 0"),
        (lambda message: {"round_id": "round 1>"} if message.kind == "round" else None, "not an identifier"),
        (lambda message: {"plan": "sha256:0"}, "about another plan"),
        (lambda message: {"recipient": site(1)}, "meant for another site"),
        (lambda message: {"sequence": 7}, "out of order"),
        (lambda message: {"sender": site(1)}, "not from the plan's coordinator"),
        (lambda message: {"kind": "keys"}, "does not say 'keys'"),
        (lambda message: {"kind": "agreements"} if message.kind == "roll" else None, "has the fields agreements"),
        (lambda message: {"round_id": "round-1"} if message.kind == "roll" else None, "about another round"),
        (on("survivors", survivors=[site(0), site(1)], dropped=[]), "not those this site masked for"),
        (on("survivors", survivors=[site(0), site(1)], dropped=[site(2)]), "only 2 surviving sites"),
        (on("survivors", survivors=[site(0), site(1), site(2)], dropped=[site(2)]), "overlap"),
        (on("survivors", survivors=[site(1), site(2)], dropped=[site(0)]), "cannot be among the dropped"),
        (on("survivors", survivors=None), "not lists of names"),
        (on("agreements", agreements={}), "only 0 sites signed"),
        (on("agreements", agreements=[]), "messages are missing"),
        (on("sealed", sealed=[]), "not of the agreed form"),
        (on("sealed", sealed={}), "only 1 sharing sites"),
    ],
)
def test_a_lie_is_refused_with_its_reason(tmp_path: Path, clock: FixedClock, lie: Lie, reason: str) -> None:
    with world(tmp_path, clock) as w:
        assert reason in refused(w, lie)


def test_a_coordinator_cannot_invent_a_member_key(tmp_path: Path, clock: FixedClock) -> None:
    with world(tmp_path, clock) as w:

        def swap(message: Message) -> dict[str, Any] | None:
            if message.kind != "roll":
                return None
            keys = dict(message.body["keys"])
            forged = dict(keys[site(1)])
            forged["body"] = {"public": keys[site(2)]["body"]["public"]}
            return {"body": {"keys": keys | {site(1): forged}}}

        assert f"not signed by {site(1)}" in refused(w, swap)


def test_a_coordinator_cannot_pass_one_members_key_for_anothers(tmp_path: Path, clock: FixedClock) -> None:
    with world(tmp_path, clock) as w:

        def swap(message: Message) -> dict[str, Any] | None:
            if message.kind != "roll":
                return None
            keys = message.body["keys"]
            return {"body": {"keys": keys | {site(1): keys[site(2)]}}}

        assert f"from {site(1)} is not its 'keys'" in refused(w, swap)


def test_a_coordinator_cannot_leave_out_a_site_from_the_roll(tmp_path: Path, clock: FixedClock) -> None:
    with world(tmp_path, clock) as w:

        def shorten(message: Message) -> dict[str, Any] | None:
            if message.kind != "roll":
                return None
            return {"body": {"keys": {name: key for name, key in message.body["keys"].items() if name != site(2)}}}

        assert "only 2 advertising sites" in refused(w, shorten)


def test_sites_that_were_told_different_survivors_do_not_answer(tmp_path: Path, clock: FixedClock) -> None:
    """Told different sets, sites would give shares of both secrets of one member, and its vector would be open."""
    with world(tmp_path, clock, sites=4, answer_seconds=2.0) as w:
        others = [site(0), site(1), site(2)]
        w.tampers[site(0)] = on("survivors", survivors=others, dropped=[site(3)])
        result = w.run(w.plan())
        # Its signature does not fit what the coordinator's own machine expects, and no forgery of the others' would.
        assert w.outcomes[site(0)].state != ParticipationState.FINISHED
        assert "RoundUnmasking" not in w.logs[site(0)].types()
        assert result is not None


def test_an_agreement_for_other_survivors_is_refused(tmp_path: Path, clock: FixedClock) -> None:
    with world(tmp_path, clock) as w:

        def repeat(message: Message) -> dict[str, Any] | None:
            if message.kind != "agreements":
                return None
            agreements = dict(message.body["agreements"])
            agreements[site(1)] = {**agreements[site(1)], "body": {"survivors": [site(1)], "dropped": [], "roll": ""}}
            return {"body": {"agreements": agreements}}

        assert f"not signed by {site(1)}" in refused(w, repeat)


def test_a_message_that_the_coordinator_did_not_sign_is_refused(tmp_path: Path, clock: FixedClock) -> None:
    with world(tmp_path, clock) as w:
        w.keys[HUB].sign = w.keys[site(1)].sign  # type: ignore[method-assign]
        result = w.run(w.plan())
        assert isinstance(result, DeniedError)
        assert f"not signed by {HUB}" in str(w.outcomes[site(0)].reason)


def test_a_round_on_the_same_state_is_never_run_again(tmp_path: Path, clock: FixedClock) -> None:
    class Stuck(Summing):
        def federated_absorb(self, state: Any, total: Any) -> Any:
            return state

    with world(tmp_path, clock) as w:
        result = w.run(w.plan(), algorithm=Stuck())
        assert isinstance(result, DeniedError)
        assert "on this very state" in result.message
        for did in w.dids:
            assert w.logs[did].types().count("RoundContribution") == 1


def test_a_site_refuses_a_round_id_it_has_seen_before(tmp_path: Path, clock: FixedClock) -> None:
    seen: list[str | None] = []

    def replay(message: Message) -> dict[str, Any] | None:
        seen.append(message.round_id)
        return {"round_id": seen[0]} if message.round == 2 else None

    with world(tmp_path, clock) as w:
        victim = site(0)
        w.tampers[victim] = replay
        w.run(w.plan(), algorithm=Summing(rounds=2))
        assert "was used before" in str(w.outcomes[victim].reason)


def test_all_rounds_together_stay_within_the_granted_rho(tmp_path: Path, clock: FixedClock) -> None:
    """The coordinator makes the second round dearer and announces noise that fits it: the grant is used up."""

    def dearer(message: Message) -> dict[str, Any] | None:
        if message.kind != "round" or message.round != 2:
            return None
        sigma = noise_share(0.9, 1.0, 2, LENGTH).sigma
        return {"body": {**message.body, "sigma": sigma, "state": changed(message.body["state"], rho=0.9)}}

    with world(tmp_path, clock) as w:
        victim = site(0)
        w.tampers[victim] = dearer
        result = w.run(w.plan(), algorithm=Summing(rounds=2, rho=0.4))
        assert isinstance(result, DeniedError)
        outcome = w.outcomes[victim]
        assert outcome.state == ParticipationState.REFUSED
        assert "granted is left" in str(outcome.reason)
        assert [left.number for left in outcome.rounds] == [1]


def test_a_plan_beyond_the_grant_is_refused_before_anything_starts(tmp_path: Path, clock: FixedClock) -> None:
    with world(tmp_path, clock) as w:
        plan = w.plan()
        limits = SiteLimits.of_plan(plan)
        check_plan(plan, limits, site(0))
        beyond: list[tuple[dict[str, Any], str]] = [
            ({"plan_digest": "sha256:0"}, "not the one the grant names"),
            ({"algorithm_digest": "sha256:0"}, "algorithm is not the one approved"),
            ({"aggregator_digest": "sha256:0"}, "aggregator is not the one approved"),
            ({"rounds": 1}, "more than the 1 rounds"),
            ({"rho": plan.rho / 2}, "spends more than the rho"),
            ({"minimum_sites": 5}, "fewer than 5 sites"),
            ({"tolerated_colluders": 2}, "2 colluding sites"),
            ({"parameters_digest": "sha256:0"}, "parameters are not those of the grant"),
            ({"bound": 10}, "the grant at 10"),
        ]
        for changes, reason in beyond:
            with pytest.raises(DeniedError, match=reason):
                check_plan(plan, limits.model_copy(update=changes), site(0))
        with pytest.raises(DeniedError, match="not a member"):
            check_plan(plan, limits, "did:web:stranger.example")
        with pytest.raises(DeniedError, match="up to 2 rows"):
            check_plan(plan, limits.model_copy(update={"stability": 2}), site(0))


def test_noise_below_the_grants_floor_is_refused(tmp_path: Path, clock: FixedClock) -> None:
    with world(tmp_path, clock) as w:
        result = w.run(w.plan(), limits={site(0): {"lowest_sigma": 1000.0}})
        assert isinstance(result, DeniedError)
        assert "grant asks for 1000" in result.message
