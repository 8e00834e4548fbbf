"""The coordinator's side of FLARE brings each site its parcels in order, and survives jobs that crash or lie."""

from __future__ import annotations

import time
from typing import Any

import pytest

from synthema.clock import FixedClock
from synthema.errors import InputError
from synthema.federation import Coordinator, StudyPlan
from synthema.federation.flare import flare_name
from synthema.federation.flare.hub import HubRelay
from synthema.federation.flare.synthema_relay.frames import join
from synthema.federation.messages import Message, seal
from tests.unit.federation.world import HUB, World


class Job:
    """FLARE's job as the relay sees it: asks for work and tells how the last exchange went."""

    def __init__(self, relay: HubRelay, did: str) -> None:
        self.relay = relay
        self.site = flare_name(did)
        self.about: dict[str, Any] = {}

    def work(self, answer: dict[str, Any] | None = None, *said: bytes, **last: Any) -> bytes:
        """Tell the last answer, if any, and take the next exchange; returns its parcel."""
        if answer is not None:
            last |= {"answer": answer}
        if last:
            last = {"study": self.about["study"], "exchange": self.about["exchange"]} | last
        self.about, parcel = self.relay.answer({"ask": "work", "site": self.site, "last": last}, join(list(said)))
        return parcel


@pytest.fixture
def plan(w: World) -> StudyPlan:
    return w.plan()


@pytest.fixture
def relay(w: World, plan: StudyPlan, clock: FixedClock) -> HubRelay:
    w.coordinator.invite(plan)
    relay = HubRelay(w.coordinator, clock)
    relay.open(plan.id, plan.dids)
    return relay


def accepts(w: World, plan: StudyPlan, did: str, **changes: Any) -> bytes:
    message = Message(kind="accept", study=plan.id, plan=plan.digest, sender=did, recipient=HUB, sequence=0, body={})
    return seal(message.model_copy(update=changes), b"", w.keys[did]).to_bytes()


def test_what_a_site_says_is_handed_in_for_that_site(w: World, plan: StudyPlan, relay: HubRelay) -> None:
    job = Job(relay, w.dids[0])
    assert job.work() == b""
    assert job.about["study"] == plan.id
    relay.end_session()
    job.work({"waits": True}, accepts(w, plan, w.dids[0]))
    assert w.coordinator.accepted(plan.id) == {w.dids[0]}
    assert job.about == {"do": "close"}


def test_a_message_of_another_site_is_refused_and_the_sender_hears_why(
    w: World, plan: StudyPlan, relay: HubRelay
) -> None:
    job = Job(relay, w.dids[0])
    job.work()
    job.work({"waits": True}, accepts(w, plan, w.dids[1]))
    assert w.coordinator.accepted(plan.id) == frozenset()
    assert "not from this site" in job.about["refused"]


def test_bytes_that_are_no_parcels_change_nothing(w: World, plan: StudyPlan, relay: HubRelay) -> None:
    job = Job(relay, w.dids[0])
    job.work()
    first = dict(job.about)
    job.about, _ = relay.answer({"ask": "work", "site": job.site, "last": first | {"answer": {}}}, b"\xff" * 11)
    assert "cut short" in job.about["refused"]
    assert w.coordinator.accepted(plan.id) == frozenset()


def test_a_job_that_takes_anothers_place_repeats_the_exchange_under_way(
    w: World, plan: StudyPlan, relay: HubRelay
) -> None:
    crashed, next_one = Job(relay, w.dids[0]), Job(relay, w.dids[0])
    crashed.work()
    next_one.work()
    assert next_one.about == crashed.about
    relay.end_session()
    next_one.work({"waits": True}, accepts(w, plan, w.dids[0]))
    assert w.coordinator.accepted(plan.id) == {w.dids[0]}


def test_after_a_restart_a_site_is_asked_once_for_what_may_not_have_arrived(
    w: World, plan: StudyPlan, relay: HubRelay
) -> None:
    job = Job(relay, w.dids[0])
    job.work()
    assert job.about["again"] is True
    job.work(failed="the site did not answer")
    assert job.about["again"] is True
    job.work({"waits": False})
    assert job.about["again"] is False
    assert relay.busy
    relay.end_session()
    relay.close(plan.id)
    assert not relay.busy


def test_an_answer_to_an_exchange_that_is_over_is_dropped(w: World, plan: StudyPlan, relay: HubRelay) -> None:
    job = Job(relay, w.dids[0])
    job.work()
    stale = job.about["exchange"] - 1
    relay.end_session()
    job.work({"waits": True}, accepts(w, plan, w.dids[0]), exchange=stale)
    assert w.coordinator.accepted(plan.id) == frozenset()


def test_a_site_that_refused_the_task_is_asked_again_after_a_while(w: World, plan: StudyPlan, relay: HubRelay) -> None:
    job = Job(relay, w.dids[0])
    job.work()
    first, start = job.about["exchange"], time.monotonic()
    job.work(failed="the site refused the task: TASK_DATA_FILTER_ERROR")
    assert job.about["exchange"] == first + 1
    assert time.monotonic() - start >= 0.9


def test_the_last_word_is_brought_and_then_the_study_is_carried_no_more(
    w: World, plan: StudyPlan, relay: HubRelay
) -> None:
    jobs = [Job(relay, did) for did in w.dids]
    for job, did in zip(jobs, w.dids, strict=True):
        job.work()
        w.coordinator.handle(plan.id, did, accepts(w, plan, did))
    w.coordinator.stop(plan.id, "the owner has changed her mind")
    for job in jobs:
        assert b"changed her mind" in job.work({"waits": True})
    relay.end_session()
    for job in jobs:
        job.work({"ended": True, "taken": True})
    start = time.monotonic()
    relay.close(plan.id)
    assert time.monotonic() - start < 5


def test_odd_questions_are_refused(w: World, clock: FixedClock) -> None:
    relay = HubRelay(w.coordinator, clock)
    assert isinstance(w.coordinator, Coordinator)
    for question in ({"ask": "work"}, {"ask": "work", "site": "site-1"}, {"ask": "play", "site": "x", "last": {}}):
        with pytest.raises(InputError, match="not a question"):
            relay.answer(question, b"")
