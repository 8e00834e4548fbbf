"""The embedded engine keeps the contract, carries nothing too large, and never leaves the machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synthema.clock import FixedClock
from synthema.errors import ConflictError, DeniedError, InputError, IntegrityError, SynthemaError
from synthema.federation import (
    EmbeddedEngine,
    FederationEngine,
    LoopbackChannel,
    Outcome,
    Parcel,
    Participant,
    Passage,
    SiteLimits,
    StudyPlan,
    StudyResult,
)
from synthema.federation.messages import Message, seal
from tests.unit.federation.world import HUB, SecureSum, Session, Summing, World, replace_limits
from tests.unit.federation_engine.contract import EngineContract

ADDRESS = "http://127.0.0.1:8100"


class OnOneMachine:
    """All parties of a study in one process, each behind an embedded engine of its own."""

    def __init__(self, folder: Path, clock: FixedClock, answer_seconds: float = 20.0) -> None:
        self.world = World(folder, clock, answer_seconds=answer_seconds)
        self.passage = Passage()
        self.outcomes: dict[str, Outcome | SynthemaError] = {}

    def run(
        self, plan: StudyPlan, algorithm: Any = None, limits: dict[str, dict[str, Any]] | None = None
    ) -> StudyResult | SynthemaError:
        w, algorithm = self.world, algorithm or Summing()

        def take_part(did: str) -> None:
            channel = LoopbackChannel(w.coordinator, did, wait_seconds=0.2, passage=self.passage)
            me = Participant(
                w.databases[did], w.logs[did], w.keys[did], w.resolver, w.clock, did, channel, silence_seconds=150
            )
            w.sessions[did].plugins["summing"] = algorithm
            allowed = replace_limits(SiteLimits.of_plan(plan), (limits or {}).get(did, {}))
            self.outcomes[did] = EmbeddedEngine(ADDRESS, participant=me).participate(plan, w.sessions[did], allowed)

        def when_invited(did: str) -> None:
            while not invited():
                time.sleep(0.01)
            take_part(did)

        def invited() -> bool:
            try:
                return bool(w.coordinator.study(plan.id))
            except SynthemaError:
                return False

        threads = [threading.Thread(target=when_invited, args=(did,), daemon=True) for did in w.dids]
        for thread in threads:
            thread.start()
        hub = Session({"summing": algorithm, "secure-sum": SecureSum()})
        try:
            result: StudyResult | SynthemaError = EmbeddedEngine(ADDRESS, coordinator=w.coordinator).coordinate(
                plan, hub
            )
        except SynthemaError as error:
            result = error
        for thread in threads:
            thread.join(timeout=20)
        return result

    def bare(self) -> FederationEngine:
        return EmbeddedEngine(ADDRESS)


class TestEmbedded(EngineContract):
    """The contract, over the embedded engine."""

    @pytest.fixture
    def carried(self, tmp_path: Path, clock: FixedClock) -> Iterator[OnOneMachine]:
        made = OnOneMachine(tmp_path, clock)
        yield made
        made.world.close()


@pytest.mark.parametrize(
    "address", ["https://hub.example", "http://10.0.0.7:8100", "http://[2001:db8::1]:1", "", "hub"]
)
def test_another_machine_is_refused_and_the_other_engine_named(address: str) -> None:
    with pytest.raises(DeniedError, match="one machine only") as refused:
        EmbeddedEngine(address)
    assert "FLARE engine" in refused.value.fix


def test_a_parcel_that_is_too_large_is_not_carried() -> None:
    with pytest.raises(InputError, match="larger than the 10"), Passage(largest=10).hold(11):
        raise AssertionError("held")


def test_who_comes_when_hands_are_full_waits_until_room_is_free() -> None:
    passage = Passage(largest=10, in_hand=10)
    entered: list[str] = []
    leave = threading.Event()

    def first() -> None:
        with passage.hold(8):
            entered.append("first")
            leave.wait(10)
        entered.append("out")

    def second() -> None:
        with passage.hold(8):
            entered.append("second")

    one = threading.Thread(target=first)
    one.start()
    while entered != ["first"]:
        time.sleep(0.001)
    two = threading.Thread(target=second)
    two.start()
    assert entered == ["first"]
    leave.set()
    one.join(10)
    two.join(10)
    assert sorted(entered) == ["first", "out", "second"]


def test_who_waits_too_long_is_told_so() -> None:
    passage = Passage(largest=10, in_hand=10, wait_seconds=0.01)
    with passage.hold(8), pytest.raises(ConflictError, match="too many parcels"), passage.hold(8):
        raise AssertionError("held")
    with passage.hold(8):
        pass


def test_a_mangled_vector_is_not_the_one_its_message_names(tmp_path: Path, clock: FixedClock) -> None:
    made = OnOneMachine(tmp_path, clock)
    try:
        plan, did = made.world.plan(), made.world.dids[0]
        made.world.coordinator.invite(plan)
        message = Message(
            kind="masked", study=plan.id, plan=plan.digest, sender=did, recipient=HUB, sequence=1, body={}
        )
        data = seal(message, b"vector", made.world.keys[did]).to_bytes()
        assert Parcel.from_bytes(data).attachment == b"vector"
        channel = LoopbackChannel(made.world.coordinator, did)
        with pytest.raises(IntegrityError, match="not the one the message names"):
            channel.post(plan.id, data[:-1] + b"R")
    finally:
        made.world.close()
