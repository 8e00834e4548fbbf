"""Sites that come late, drop, come back, refuse midway or run out of what they may spend; coordinators that stop."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from synthema.clock import FixedClock
from synthema.errors import DeniedError, NotFoundError
from synthema.federation import Closing, Participant, ParticipationState, SiteLimits, StudyResult, StudyState
from synthema.federation.going_on import heard, progress, sent
from tests.unit.federation.world import HUB, SecureSum, Session, Summing, World, world
from tests.waiting import until

REFUSED, FAILED, FINISHED = ParticipationState.REFUSED, ParticipationState.FAILED, ParticipationState.FINISHED
SOON = 5.0
UNMASK = "secure_sum_unmask"


def sums_over(w: World, result: object) -> list[list[str]]:
    assert isinstance(result, StudyResult), result
    exact = {did: np.array(w.vectors[did]) for did in w.dids}
    for total, record in zip(result.state.values["totals"], result.rounds, strict=True):
        assert np.abs(np.array(total) - sum(exact[did] for did in record.survivors)).max() < 40 * record.sigma
    return [sorted(set(w.dids) - set(record.survivors)) for record in result.rounds]


def test_a_slow_site_is_left_out_of_a_round_and_comes_back_at_the_next(tmp_path: Path, clock: FixedClock) -> None:
    with world(tmp_path, clock, sites=4, answer_seconds=SOON) as w:
        slow, plan = w.dids[1], w.plan(rounds=3)

        def dawdle(hook: str) -> None:
            if hook == "federated_contribute":
                until(lambda: len(w.coordinator.opened_rounds(plan.id)) >= 1)

        def await_the_slow(hook: str) -> None:
            if hook == UNMASK and w.coordinator.opened_rounds(plan.id):
                until(lambda: slow in w.coordinator.present(plan.id))

        for did in w.dids:
            w.sessions[did].before = dawdle if did == slow else await_the_slow
        result = w.run(plan, algorithm=Summing(rounds=3, rho=0.2))
        absent = sums_over(w, result)
        assert absent[0] == [slow]
        assert absent[-1] == []
        outcome = w.outcomes[slow]
        assert outcome.state == FINISHED
        assert [left.number for left in outcome.rounds] == [1, 3], "what left it too late counts as spent"
        assert w.logs[slow].types().count("RoundAbsence") == 1
        assert isinstance(result, StudyResult)
        assert outcome.rho < result.rho, "it spent nothing on a round it was not asked in"


def test_a_site_that_accepts_late_takes_part_from_the_next_round_on(tmp_path: Path, clock: FixedClock) -> None:
    with world(tmp_path, clock, sites=4, answer_seconds=SOON) as w:
        late, began, plan = w.dids[3], threading.Event(), w.plan(rounds=2)
        w.coordinator.invite(plan)
        algorithm = Summing(rounds=2, rho=0.2)

        def await_the_late(hook: str) -> None:
            began.set()
            if hook == UNMASK:
                until(lambda: late in w.coordinator.present(plan.id))

        def take_part(did: str) -> None:
            w.sessions[did].plugins["summing"] = algorithm
            if did == late:
                began.wait(20)
            else:
                w.sessions[did].before = await_the_late
            w.outcomes[did] = w.participant(did).run(plan, w.sessions[did], SiteLimits.of_plan(plan))

        threads = [threading.Thread(target=take_part, args=(did,), daemon=True) for did in w.dids]
        for thread in threads:
            thread.start()
        result = w.coordinator.run_study(plan.id, Session({"summing": algorithm, "secure-sum": SecureSum()}))
        for thread in threads:
            thread.join(20)
        assert sums_over(w, result) == [[late], []]
        assert w.outcomes[late].state == FINISHED


@pytest.mark.article("GDPR 7(3)")
def test_a_site_that_may_not_go_on_refuses_the_round_and_the_others_finish(tmp_path: Path, clock: FixedClock) -> None:
    """Consent taken back until too few patients are left, an exclusion list too old, a permit gone: one way for all."""
    with world(tmp_path, clock, sites=4) as w:
        stops = w.dids[0]
        rounds: list[int] = []

        def check() -> None:
            rounds.append(len(rounds) + 1)
            if len(rounds) == 2:
                raise DeniedError("48 of 50 patients are left after a withdrawal", fix="make a new request")

        w.checks[stops] = check
        w.tell = lambda _error: "this site stops"
        result = w.run(w.plan(rounds=3), algorithm=Summing(rounds=3, rho=0.2))
        assert sums_over(w, result) == [[], [stops], [stops]]
        outcome = w.outcomes[stops]
        assert outcome.state == REFUSED
        assert [left.number for left in outcome.rounds] == [1]
        assert w.logs[stops].activities[-1].attributes["reason"] == "48 of 50 patients are left after a withdrawal"
        assert {w.outcomes[did].state for did in w.dids[1:]} == {FINISHED}
        told = b"".join(activity.nquads("urn:g") for did in [HUB, *w.dids[1:]] for activity in w.logs[did].activities)
        assert b"48 of 50" not in told


def test_refusals_end_a_study_only_when_too_few_are_left(tmp_path: Path, clock: FixedClock) -> None:
    with world(tmp_path, clock, sites=5, answer_seconds=SOON) as w:
        plan = w.plan(minimum_sites=4)
        result = w.run(plan, limits={did: {"bound": 10} for did in w.dids[:2]})
        assert isinstance(result, DeniedError)
        assert "cuts numbers at" in str(w.outcomes[w.dids[0]].reason)
        assert w.coordinator.study(plan.id).state == StudyState.FAILED
        again = w.run(w.plan(minimum_sites=4), limits={w.dids[0]: {"parameters_digest": "sha256:0"}})
        assert sums_over(w, again) == [[w.dids[0]]]
        assert "parameters are not those of the grant" in str(w.outcomes[w.dids[0]].reason)


def test_by_default_a_coordinator_hears_only_that_a_site_stopped(tmp_path: Path, clock: FixedClock) -> None:
    with world(tmp_path, clock) as w:
        defaults = Participant.__init__.__kwdefaults__
        assert defaults is not None
        w.tell = defaults["tell"]
        plan = w.plan()
        w.coordinator.invite(plan)
        site = w.participant(w.dids[0])
        outcome = site.run(plan, w.sessions[w.dids[0]], SiteLimits.of_plan(plan).model_copy(update={"rho": 0.01}))
        assert "rho of 0.01" in str(outcome.reason)
        with pytest.raises(DeniedError) as caught:
            w.coordinator.run_study(plan.id, Session({}))
        assert caught.value.message.endswith("this site stopped taking part; why stands in its own log")
        assert "0.01" not in caught.value.message
        assert "rho of 0.01" in str(w.logs[w.dids[0]].activities[-1].attributes["reason"])


class Following:
    """A channel to whichever coordinator there is now; ``changing`` is held while one takes the other's place."""

    def __init__(self, w: World, me: str, changing: threading.Lock) -> None:
        self._w, self._me, self._changing = w, me, changing

    def post(self, study_id: str, data: bytes) -> None:
        with self._changing:
            self._w.coordinator.handle(study_id, self._me, data)

    def poll(self, study_id: str, after: int) -> bytes | None:
        with self._changing:
            found = self._w.coordinator.next(study_id, self._me, after, 0.0)
        if found is None:
            time.sleep(0.02)
        return found


def test_a_coordinator_that_stops_goes_on_at_its_next_start(tmp_path: Path, clock: FixedClock) -> None:
    with world(tmp_path, clock) as w:
        plan, changing, stopped = w.plan(rounds=2), threading.Lock(), threading.Event()
        algorithm = Summing(rounds=2, rho=0.2)
        first = w.coordinator
        first.invite(plan)

        def stop_once(hook: str) -> None:
            if hook == UNMASK and not stopped.is_set():
                with changing:
                    first.close()
                    stopped.wait(20)
                    w.coordinator = w.new_coordinator()
                    assert w.coordinator.recover() == (plan.id,)

        w.sessions[w.dids[0]].before = stop_once

        def take_part(did: str) -> None:
            w.sessions[did].plugins["summing"] = algorithm
            site = w.participant(did)
            site.channel = Following(w, did, changing)
            w.outcomes[did] = site.run(plan, w.sessions[did], SiteLimits.of_plan(plan))

        threads = [threading.Thread(target=take_part, args=(did,), daemon=True) for did in w.dids]
        for thread in threads:
            thread.start()
        hub = Session({"summing": algorithm, "secure-sum": SecureSum()})
        with pytest.raises(Closing):
            first.run_study(plan.id, hub)
        stopped.set()
        with changing:
            second = w.coordinator
        result = second.run_study(plan.id, hub)
        for thread in threads:
            thread.join(20)
        assert sums_over(w, result) == [[], []]
        for did in w.dids:
            assert w.outcomes[did].state == FINISHED, w.outcomes[did].reason
            assert [left.number for left in w.outcomes[did].rounds] == [1, 2]
        assert second.result(plan.id) == result
        with w.databases[HUB].read() as connection:
            assert [connection.execute(table.select()).all() for table in (sent, heard, progress)] == [[], [], []]


def test_an_unfinished_study_that_nobody_runs_can_be_abandoned(tmp_path: Path, clock: FixedClock) -> None:
    with world(tmp_path, clock) as w:
        plan = w.plan()
        w.coordinator.invite(plan)
        w.coordinator = w.new_coordinator()
        assert w.coordinator.recover() == (plan.id,)
        assert w.coordinator.next(plan.id, w.dids[0], 0, 0.0) is None
        w.coordinator.abandon(plan.id, "its owner does not want it any more")
        assert w.coordinator.study(plan.id).reason == "its owner does not want it any more"
        with pytest.raises(NotFoundError):
            w.coordinator.next(plan.id, "did:web:stranger.example", 0, 0.0)
        ended = w.participant(w.dids[0]).run(plan, w.sessions[w.dids[0]], SiteLimits.of_plan(plan))
        assert ended.state == FAILED
