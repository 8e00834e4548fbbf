"""Whole studies through the real classes: coordinator and sites in threads, the real secure sum, real noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from synthema.clock import FixedClock
from synthema.errors import ConflictError, DeniedError, NotFoundError, PeerError, StorageError, SynthemaError
from synthema.federation import ParticipationState, SiteLimits, StudyResult, StudyState, kept_vector
from synthema.spi.model import Contribution
from tests.unit.federation.world import HUB, LENGTH, Gone, Session, Summing, world

REFUSED, FAILED, FINISHED = ParticipationState.REFUSED, ParticipationState.FAILED, ParticipationState.FINISHED


def test_a_study_ends_with_the_noisy_sum_and_every_log_says_what_happened(tmp_path: Path, clock: FixedClock) -> None:
    with world(tmp_path, clock) as w:
        plan = w.plan()
        result = w.run(plan, algorithm=Summing(rounds=2, rho=0.2))
        assert isinstance(result, StudyResult)
        assert len(result.rounds) == 2
        exact = np.sum(list(w.vectors.values()), axis=0)
        for total, record in zip(result.state.values["totals"], result.rounds, strict=True):
            assert record.survivors == tuple(w.dids)
            # Two honest sites of three carry the noise: variance 1/(2ρ), so that of three is 1.5 times as much.
            planned = np.sqrt(1.5 / (2 * 0.2))
            assert planned <= record.sigma < 1.1 * planned
            assert np.abs(np.array(total) - exact).max() < 20 * record.sigma
        assert result.rho <= plan.rho
        assert w.coordinator.study(plan.id).state == StudyState.FINISHED
        assert w.coordinator.study(plan.id).result["finished"] is True
        assert w.coordinator.opened_rounds(plan.id) == result.rounds
        assert {outcome.state for outcome in w.outcomes.values()} == {FINISHED}
        opened = ["RoundStart", "RoundOpening"] * 2
        assert w.logs[HUB].types() == ["StudyInvitation", "StudyStart", *opened, "StudyCompletion"]
        for did in w.dids:
            rounds = ["RoundStart", "RoundContribution", "RoundUnmasking"] * 2
            assert w.logs[did].types() == ["StudyAcceptance", *rounds, "StudyCompletion"]
            assert len(w.outcomes[did].rounds) == 2
            assert w.outcomes[did].rho == pytest.approx(result.rho)


def test_what_the_coordinator_keeps_of_one_site_is_not_its_vector(tmp_path: Path, clock: FixedClock) -> None:
    with world(tmp_path, clock) as w:
        plan = w.plan()
        result = w.run(plan)
        assert isinstance(result, StudyResult)
        for did in w.dids:
            kept = np.load(kept_vector(tmp_path / "received", plan.id, result.rounds[0].round_id, did))
            assert kept.dtype == np.uint64
            assert np.all(np.abs(kept.view(np.int64).astype(float)) > 2**40)  # chance of one small number: 2^-20
            digests = [left.digest for left in w.outcomes[did].rounds]
            assert len(digests) == 1


def test_a_site_that_dies_before_masking_is_left_out_when_enough_remain(tmp_path: Path, clock: FixedClock) -> None:
    with world(tmp_path, clock, sites=4, answer_seconds=5.0) as w:
        victim = w.dids[1]
        w.sessions[victim].before = die_at("federated_contribute")
        plan = w.plan()
        result = w.run(plan, algorithm=Summing(rounds=2, rho=0.2))
        assert isinstance(result, StudyResult)
        first, second = result.rounds
        assert first.dropped == (victim,)
        assert second.survivors == first.survivors
        exact = sum(w.vectors[did] for did in w.dids if did != victim)
        for total in result.state.values["totals"]:
            assert np.abs(np.array(total) - exact).max() < 30 * first.sigma


def test_a_site_that_dies_ends_the_study_when_too_few_remain(tmp_path: Path, clock: FixedClock) -> None:
    with world(tmp_path, clock, answer_seconds=5.0) as w:
        victim = w.dids[2]
        w.sessions[victim].before = die_at("federated_contribute")
        plan = w.plan()
        error = w.run(plan)
        assert isinstance(error, PeerError)
        assert victim in error.message
        row = w.coordinator.study(plan.id)
        assert row.state == StudyState.FAILED
        assert row.reason == error.message
        for did in w.dids[:2]:
            assert w.outcomes[did].state == FAILED
            assert victim in (w.outcomes[did].reason or "")
            assert w.logs[did].types()[-1] == "StudyFailure"
        assert w.logs[HUB].types()[-1] == "StudyFailure"
        # Nothing of the round was opened, and it cannot be run again.
        assert w.coordinator.opened_rounds(plan.id) == ()
        with pytest.raises(ConflictError):
            w.coordinator.run_study(plan.id, Session({}))
        with pytest.raises(ConflictError):
            w.coordinator.invite(plan)


def test_a_site_that_does_not_accept_ends_the_study_before_it_starts(tmp_path: Path, clock: FixedClock) -> None:
    with world(tmp_path, clock, answer_seconds=0.3) as w:
        plan = w.plan()
        w.coordinator.invite(plan)
        with pytest.raises(PeerError, match=w.dids[0]):
            w.coordinator.run_study(plan.id, Session({}))
        assert w.coordinator.study(plan.id).state == StudyState.FAILED


def test_a_refusal_names_site_and_reason_and_reaches_the_others(tmp_path: Path, clock: FixedClock) -> None:
    with world(tmp_path, clock) as w:
        plan = w.plan()
        error = w.run(plan, limits={w.dids[0]: {"rho": 0.01}})
        assert isinstance(error, DeniedError)
        assert w.dids[0] in error.message
        assert "rho" in error.message
        assert w.outcomes[w.dids[0]].state == REFUSED
        assert w.logs[w.dids[0]].types() == ["StudyRefusal"]
        assert w.sessions[w.dids[0]].calls == []
        for did in w.dids[1:]:
            assert "rho" in (w.outcomes[did].reason or "")


def test_a_plugin_failure_keeps_its_words_inside_the_site(tmp_path: Path, clock: FixedClock) -> None:
    class Talkative(Summing):
        def federated_contribute(self, *_: object, **__: object) -> Contribution:
            raise ValueError("patient P4711Q has an odd value")

    with world(tmp_path, clock) as w:
        plan = w.plan()
        error = w.run(plan, algorithm=Talkative())
        assert isinstance(error, SynthemaError)
        assert "P4711Q" not in error.message
        for did in w.dids:
            logged = b"".join(activity.nquads("urn:g") for activity in w.logs[did].activities)
            assert b"P4711Q" not in logged


def test_an_algorithm_that_wants_more_than_planned_ends_the_study(tmp_path: Path, clock: FixedClock) -> None:
    with world(tmp_path, clock) as w:
        error = w.run(w.plan(rounds=1), algorithm=Summing(rounds=2))
        assert isinstance(error, SynthemaError)
        assert "more than the 1 agreed rounds" in error.message
        assert {outcome.state for outcome in w.outcomes.values()} == {FAILED}
    with world(tmp_path / "..", clock) as w:
        error = w.run(w.plan(), algorithm=Summing(rho=100.0))
        assert isinstance(error, SynthemaError)
        assert "plan's rho" in error.message


def test_a_contribution_of_another_length_is_refused(tmp_path: Path, clock: FixedClock) -> None:
    with world(tmp_path, clock) as w:
        w.sessions[w.dids[0]].table = np.zeros(LENGTH + 1, np.int64)
        error = w.run(w.plan())
        assert isinstance(error, DeniedError)
        assert "a plugin failed" in error.message
        assert "64-bit integers" in (w.outcomes[w.dids[0]].reason or "")


def test_if_the_log_cannot_be_written_nothing_leaves_the_site(tmp_path: Path, clock: FixedClock) -> None:
    with world(tmp_path, clock, answer_seconds=1.5) as w:
        silent = w.dids[0]
        w.logs[silent].broken_for = "RoundContribution"
        plan = w.plan()
        error = w.run(plan)
        assert isinstance(error, PeerError)
        assert silent in error.message
        received = tmp_path / "received" / plan.id
        senders = [path.name for path in received.rglob("*.npy")]
        assert len(senders) == 2
        assert not any("site0" in name for name in senders)


def test_a_participation_that_is_not_kept_at_a_restart_has_failed(tmp_path: Path, clock: FixedClock) -> None:
    with world(tmp_path, clock) as w:
        plan, did = w.plan(), w.dids[0]
        w.coordinator.invite(plan)
        participant = w.participant(did)
        participant.accept(plan, SiteLimits.of_plan(plan))
        assert w.participant(did).recover() == (plan.id,)  # as after kill -9
        assert participant.participation(plan.id).state == FAILED
        outcome = w.participant(did).run(plan, w.sessions[did], SiteLimits.of_plan(plan))
        assert outcome.state == REFUSED
        assert "already taken part" in (outcome.reason or "")


def test_a_stranger_learns_nothing_about_a_study(tmp_path: Path, clock: FixedClock) -> None:
    with world(tmp_path, clock) as w:
        plan = w.plan()
        w.coordinator.invite(plan)
        for study in (plan.id, "study-" + 32 * "0"):
            with pytest.raises(NotFoundError, match="there is no study"):
                w.coordinator.next(study, "did:web:stranger.example", 0, 0.0)


def test_the_owner_can_stop_a_study(tmp_path: Path, clock: FixedClock) -> None:
    with world(tmp_path, clock) as w:
        plan = w.plan()
        w.sessions[w.dids[0]].before = lambda hook: (
            w.coordinator.stop(plan.id, "stopped by its owner") if hook == "federated_contribute" else None
        )
        error = w.run(plan)
        assert isinstance(error, DeniedError)
        assert w.coordinator.study(plan.id).reason == "stopped by its owner"


def test_a_broken_log_at_the_coordinator_stops_the_invitation(tmp_path: Path, clock: FixedClock) -> None:
    with world(tmp_path, clock) as w:
        w.logs[HUB].broken_for = "StudyInvitation"
        plan = w.plan()
        with pytest.raises((OSError, StorageError)):
            w.coordinator.invite(plan)
        with pytest.raises(NotFoundError):
            w.coordinator.study(plan.id)


def die_at(hook: str):  # type: ignore[no-untyped-def]  # noqa: ANN201
    def check(called: str) -> None:
        if called == hook:
            raise Gone

    return check
