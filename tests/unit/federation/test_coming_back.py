"""A site whose connector is started anew in the midst of a study: the round it was in is lost, later ones are not."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synthema.clock import FixedClock
from synthema.errors import DeniedError
from synthema.federation import Participant, ParticipationState, SiteLimits, StudyPlan, StudyResult
from synthema.federation.taking_part import Stopping
from tests.unit.federation.test_coming_and_going import SOON, UNMASK, sums_over
from tests.unit.federation.world import Gone, SecureSum, Session, Summing, World, world
from tests.waiting import until

ROUNDS, RHO = 3, 0.2
FINISHED, REFUSED = ParticipationState.FINISHED, ParticipationState.REFUSED


class Restarting:
    """A study of four sites, one of which dies at a hook of its first round and is started anew at once."""

    def __init__(self, w: World, dies_at: str, back: dict[str, Any] | None = None) -> None:
        self.w, self.dies_at, self.did = w, dies_at, w.dids[1]
        self.plan: StudyPlan = w.plan(rounds=ROUNDS, minimum_sites=3)
        self.back = back or {}
        self.spent: dict[str, float] = {}

    def runs(self) -> StudyResult:
        w, algorithm = self.w, Summing(rounds=ROUNDS, rho=RHO)
        w.coordinator.invite(self.plan)
        for did in w.dids:
            w.sessions[did].plugins["summing"] = algorithm
            if did != self.did:
                w.sessions[did].before = self.await_the_other
        threads = [threading.Thread(target=self.take_part, args=(did,), daemon=True) for did in w.dids]
        for thread in threads:
            thread.start()
        hub = Session({"summing": algorithm, "secure-sum": SecureSum()}, before=self.await_its_reading)
        result = w.coordinator.run_study(self.plan.id, hub)
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()
        return result

    def await_the_other(self, hook: str) -> None:
        """No round ends before the one that was restarted can be asked in the next."""
        if hook == UNMASK:
            self.until_there()

    def await_its_reading(self, hook: str) -> None:
        """No round begins before it has read that the last one ended without it: only then is it asked."""
        if hook == "federated_absorb":
            self.until_there()

    def until_there(self) -> None:
        until(lambda: self.did in self.w.outcomes or self.did in self.w.coordinator.present(self.plan.id))

    def take_part(self, did: str) -> None:
        limits = SiteLimits.of_plan(self.plan)
        if did != self.did:
            self.w.outcomes[did] = self.w.participant(did).run(self.plan, self.w.sessions[did], limits)
            return
        self.first_life(limits)
        again = self.participant()
        assert again.recover(keep={self.plan.id}) == ()
        session = Session({"summing": Summing(rounds=ROUNDS, rho=RHO), "secure-sum": SecureSum()}, self.w.vectors[did])
        now = limits.model_copy(update=self.back)
        self.w.outcomes[did] = again.go_on(self.plan, session, now)

    def first_life(self, limits: SiteLimits) -> None:
        site, dead = self.participant(), threading.Event()
        site.stopping = dead.is_set

        def die(hook: str) -> None:
            if hook == self.dies_at:
                dead.set()
                raise Gone

        self.w.sessions[self.did].before = die
        with pytest.raises((Stopping, Gone)):
            site.run(self.plan, self.w.sessions[self.did], limits)

    def participant(self) -> Participant:
        made = self.w.participant(self.did)
        made.spend = lambda _connection, left: self.spent.__setitem__(left.round_id, left.rho)
        return made


@pytest.mark.parametrize(
    ("dies_at", "left"),
    [
        ("secure_sum_advertise", [2, 3]),
        ("secure_sum_share", [2, 3]),
        ("federated_contribute", [2, 3]),
        (UNMASK, [1, 2, 3]),
    ],
)
def test_the_round_it_died_in_is_its_dropout_and_later_ones_are_not(
    tmp_path: Path, clock: FixedClock, dies_at: str, left: list[int]
) -> None:
    with world(tmp_path, clock, sites=4, answer_seconds=SOON) as w:
        study = Restarting(w, dies_at)
        result = study.runs()
        outcome, types = w.outcomes[study.did], w.logs[study.did].types()
        assert outcome.state == FINISHED, outcome.reason
        assert [each.number for each in outcome.rounds] == left, "no round is answered twice, none is made up for"
        absent = sums_over(w, result)
        assert absent == ([[study.did]] if dies_at != UNMASK else [[]]) + [[], []]
        assert study.spent == {each.round_id: each.rho for each in outcome.rounds}, "each vector is counted once"
        assert types.count("RoundContribution") == len(left)
        assert types.count("RoundUnmasking") == (2 if dies_at != UNMASK else 3)
        assert types.count("StudyReturn") == types.count("RoundAbsence") == 1
        assert types.count("StudyAcceptance") == types.count("StudyCompletion") == 1


def test_a_site_does_not_come_back_beyond_what_it_now_allows(tmp_path: Path, clock: FixedClock) -> None:
    with world(tmp_path, clock, sites=4, answer_seconds=SOON) as w:
        study = Restarting(w, "federated_contribute", back={"stability": 2})
        result = study.runs()
        outcome = w.outcomes[study.did]
        assert outcome.state == REFUSED
        assert "one patient changes up to 2 rows here" in (outcome.reason or "")
        assert outcome.rounds == ()
        assert all(study.did in absent for absent in sums_over(w, result))
        assert w.logs[study.did].types()[-1] == "StudyRefusal"


def test_what_cannot_be_counted_does_not_leave(tmp_path: Path, clock: FixedClock) -> None:
    with world(tmp_path, clock, sites=4, answer_seconds=SOON) as w:
        poor = w.dids[0]
        made = w.participant

        def participant(did: str, **given: Any) -> Participant:
            site = made(did, **given)
            if did == poor:
                site.spend = no_room
            return site

        def no_room(_connection: Any, _left: Any) -> None:
            raise DeniedError("this part costs more than was set aside", fix="ask for more")

        w.participant = participant  # type: ignore[method-assign]
        result = w.run(w.plan(minimum_sites=3))
        assert sums_over(w, result) == [[poor]]
        outcome = w.outcomes[poor]
        assert (outcome.state, outcome.rounds, outcome.rho) == (REFUSED, (), 0.0)
        assert "RoundContribution" not in w.logs[poor].types()
        senders = [path.name for path in (tmp_path / "received").rglob("*.npy")]
        assert len(senders) == len(w.dids) - 1
        assert np.all(["site0" not in name for name in senders])
