"""The round machines under any order of messages, any drop-outs, and any coordinator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from synthema.canonical import digest
from synthema.errors import ConflictError, DeniedError, SynthemaError
from synthema.federation.round import (
    COORDINATOR_PHASES,
    NEXT_MESSAGE,
    SITE_PHASES,
    CoordinatorRound,
    SiteRound,
    public_keys,
)

LENGTH = 2


def key_message(name: str) -> dict[str, Any]:
    return {"body": {"public": {"mask": name}}}


class CoordinatorRuns(RuleBasedStateMachine):
    """Sites answer, stay silent, repeat themselves or speak out of turn; time runs out at any moment."""

    @initialize(count=st.integers(3, 7), data=st.data())
    def begin(self, count: int, data: st.DataObject) -> None:
        self.sites = [f"site-{i}" for i in range(count)]
        self.minimum = data.draw(st.integers(3, count))
        self.round = CoordinatorRound(self.sites, self.minimum, LENGTH)
        self.sent: set[tuple[str, str]] = set()
        self.expected_before = set(self.sites)

    def content(self, site: str, kind: str) -> Any:
        if kind == "keys":
            return key_message(site)
        if kind == "shares":
            return {"sealed": {name: "share" for name in self.round.roll if name != site}}
        if kind == "masked":
            return np.zeros(LENGTH, np.uint64)
        if kind == "agreement":
            return {"body": self.round.sets.as_json(digest(public_keys(self.round.roll)))}
        return {"answer": {}}

    @rule(data=st.data())
    def a_site_answers(self, data: st.DataObject) -> None:
        site = data.draw(st.sampled_from(self.sites))
        kind = data.draw(st.sampled_from([*NEXT_MESSAGE, self.round.phase]))
        due = kind == self.round.phase and not self.round.ended
        if due and site in self.round.expected and (site, kind) not in self.sent:
            self.round.receive(site, kind, self.content(site, kind))
            self.sent.add((site, kind))
        else:
            with pytest.raises(ConflictError):
                self.round.receive(site, kind, self.content(site, kind) if due else {})

    @precondition(lambda self: not self.round.ended)
    @rule()
    def all_answer(self) -> None:
        for site in self.round.expected:
            if (site, self.round.phase) not in self.sent:
                self.round.receive(site, self.round.phase, self.content(site, self.round.phase))
                self.sent.add((site, self.round.phase))
        assert self.round.complete

    @rule()
    def time_runs_out(self) -> None:
        if self.round.ended:
            with pytest.raises(ConflictError):
                self.round.advance()
            return
        phase = self.round.phase
        answered = {site for site, kind in self.sent if kind == phase}
        asks = self.round.advance()
        if len(answered) < self.minimum:
            assert self.round.phase == "aborted"
            assert all(site in (self.round.reason or "") for site in self.expected_before - answered)
            assert asks == ()
        else:
            assert self.round.phase == COORDINATOR_PHASES[phase, "enough"]
            assert set(self.round.expected) == answered
            if not self.round.ended:
                assert {ask.site for ask in asks} == answered
                assert {ask.kind for ask in asks} == {NEXT_MESSAGE[self.round.phase]}
        self.expected_before = set(self.round.expected)

    @invariant()
    def only_a_whole_round_opens(self) -> None:
        if self.round.phase != "opened":
            with pytest.raises(ConflictError):
                self.round.opening()
            return
        keys, masked, answers = self.round.opening()
        sets = self.round.sets
        assert self.minimum <= len(answers) <= len(masked) <= len(keys)
        assert set(answers) <= set(masked) == set(sets.survivors)
        assert not set(sets.survivors) & set(sets.dropped)


TestCoordinatorRuns = CoordinatorRuns.TestCase
TestCoordinatorRuns.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def site_rounds(names: list[str], minimum: int) -> dict[str, SiteRound]:
    """Sites that have all masked for all."""
    made = {}
    roll = {name: key_message(name) for name in names}
    for name in names:
        machine = SiteRound(name, frozenset(names), minimum)
        machine.start(names, minimum)
        machine.take_roll(roll, roll[name])
        machine.take_sealed([other for other in names if other != name])
        made[name] = machine
    return made


@settings(max_examples=300, deadline=None)
@given(data=st.data(), count=st.integers(3, 9))
def test_honest_sites_never_answer_for_two_different_sets(data: st.DataObject, count: int) -> None:
    """A malicious coordinator with c colluding sites tells each site any survivors, and passes on any signatures.

    Honest sites sign once. Colluders sign everything. With 2 × minimum > n + c, all honest
    sites that answer do so for one and the same set (Bonawitz et al. 2017, lemma on consistency).
    """
    colluders = data.draw(st.integers(0, count - 2))
    minimum = data.draw(st.integers(max(3, (count + colluders) // 2 + 1), count))
    names = [f"site-{i}" for i in range(count)]
    honest, evil = names[colluders:], names[:colluders]
    machines = site_rounds(names, minimum)
    subsets = st.lists(st.sampled_from(names), min_size=minimum, max_size=count, unique=True).map(sorted)
    candidates = data.draw(st.lists(subsets, min_size=1, max_size=3))
    signed: dict[str, dict[str, Any]] = {}
    for name in honest:
        alive = data.draw(st.sampled_from(candidates))
        body = {"survivors": alive, "dropped": sorted(set(names) - set(alive))}
        try:
            signed[name] = machines[name].take_survivors(body)
        except DeniedError:
            assert name not in alive
    answered = []
    for name, wanted in signed.items():
        passed = {other: {"body": statement} for other, statement in signed.items() if statement == wanted}
        passed |= {other: {"body": wanted} for other in evil if other in wanted["survivors"]}
        try:
            answered.append(machines[name].take_agreements(passed))
        except DeniedError:
            continue
    assert len(set(answered)) <= 1


@settings(max_examples=200, deadline=None)
@given(steps=st.lists(st.sampled_from(["round", "roll", "sealed", "survivors", "agreements"]), max_size=8))
def test_a_site_does_each_step_once_and_in_order(steps: list[str]) -> None:
    names = ["a", "b", "c"]
    roll = {name: key_message(name) for name in names}
    machine = SiteRound("a", frozenset(names), 3)
    statement = {"survivors": names, "dropped": [], "roll": digest(public_keys(roll))}
    actions = {
        "round": lambda: machine.start(names, 3),
        "roll": lambda: machine.take_roll(roll, roll["a"]),
        "sealed": lambda: machine.take_sealed(["b", "c"]),
        "survivors": lambda: machine.take_survivors({"survivors": names, "dropped": []}),
        "agreements": lambda: machine.take_agreements({name: {"body": statement} for name in names}),
    }
    phase = "waiting"
    for step in steps:
        if (phase, step) in SITE_PHASES:
            actions[step]()
            phase = SITE_PHASES[phase, step]  # type: ignore[index]
            assert machine.phase == phase
        else:
            with pytest.raises(SynthemaError):
                actions[step]()
            phase = "aborted"
            assert machine.phase == "aborted"
