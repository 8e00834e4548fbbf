"""kill -9 of either connector at any moment of many negotiations: none is lost, none is doubled.

Two connectors, each a process of its own with its own database, negotiate over real HTTP. Either is
killed again and again, at moments chosen by chance all along the way, and started anew on what it left.
In the end both hold the same agreements, and each log tells each step of each negotiation once.

By default 30 negotiations go through 6 kills. ``SYNTHEMA_CRASH=full pytest tests/crash/test_negotiations.py``
sends 300 through 40, which takes a few minutes; ``SYNTHEMA_CRASH_SEED`` chooses other moments.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from synthema.dataspace import Process, store
from tests.crash.party import Party
from tests.unit.dataspace.world import DATASET, Node, listener, offer_of, url_of
from tests.waiting import until

FULL = os.environ.get("SYNTHEMA_CRASH") == "full"
NEGOTIATIONS, KILLS = (300, 40) if FULL else (30, 6)
SEED = int(os.environ.get("SYNTHEMA_CRASH_SEED", "4"))
PATIENCE = 600.0 if FULL else 120.0

MESSAGES = "SELECT count(*) FROM dataspace_messages"
FINAL = "SELECT count(*) FROM dataspace_processes WHERE state = 'FINALIZED'"
WAITING = "SELECT count(*) FROM dataspace_tasks"
SHORT = ("REQUESTED", "AGREED", "VERIFIED", "FINALIZED")
LONG = ("REQUESTED", "OFFERED", "ACCEPTED", "AGREED", "VERIFIED", "FINALIZED")
STEP = re.compile(r"/id/negotiation/(negotiation-[0-9a-f]{32})>")
STATE = re.compile(r'stateAfter> "([A-Z]+)"')

pytestmark = [pytest.mark.crash, pytest.mark.timeout(PATIENCE + 60)]


@pytest.fixture
def parties(tmp_path: Path) -> Iterator[tuple[Party, Party]]:
    """The hospital and the hub, not yet running."""
    with listener() as one, listener() as two:
        hospital = Party(tmp_path, "hospital", one, url_of(two))
        hub = Party(tmp_path, "hub", two, url_of(one))
        try:
            yield hospital, hub
        finally:
            for party in (hospital, hub):
                party.end()


@pytest.mark.article("GDPR 32(1)")
def test_nothing_is_lost_and_nothing_is_doubled(parties: tuple[Party, Party]) -> None:
    hospital, hub = parties
    with hospital.opened() as provider, hub.opened() as consumer:
        consumer.dataspace._bases[provider.did] = "/dsp"
        for _ in range(NEGOTIATIONS):
            consumer.dataspace.request_contract(provider.did, DATASET, offer_of(provider))
    for party in parties:
        party.start()
    _kill_along_the_way(parties, random.Random(SEED))  # noqa: S311 - moments, not secrets
    until(lambda: [(each.count(FINAL), each.count(WAITING)) for each in parties], _all_ended, PATIENCE)
    for party in parties:
        party.kill()
    assert sum(party.kills for party in parties) == KILLS + 2
    with hospital.opened() as provider, hub.opened() as consumer:
        _each_agreed_once(provider, consumer)
        for node in (provider, consumer):
            _each_step_is_logged_once(node)


def _kill_along_the_way(parties: tuple[Party, Party], chance: random.Random) -> None:
    """Kill one or the other whenever some more messages have gone through, until that was done often enough."""
    expected = NEGOTIATIONS * 2 * len(SHORT)
    moments = sorted(chance.randrange(1, int(expected * 0.95)) for _ in range(KILLS))
    for moment in moments:
        until(
            lambda: sum(party.count(MESSAGES) for party in parties), lambda gone, at=moment: gone >= at, PATIENCE, 0.01
        )
        victim = chance.choice(parties)
        time.sleep(chance.uniform(0, 0.02))
        victim.kill()
        time.sleep(chance.choice((0, chance.uniform(0, 0.5))))
        victim.start()


def _all_ended(counts: list[tuple[int, int]]) -> bool:
    return counts == [(NEGOTIATIONS, 0), (NEGOTIATIONS, 0)]


def _each_agreed_once(provider: Node, consumer: Node) -> None:
    theirs = {process.id: process for process in provider.dataspace.processes("negotiation")}
    ours = consumer.dataspace.processes("negotiation")
    assert len(ours) == len(theirs) == NEGOTIATIONS
    assert {process.peer_pid for process in ours} == set(theirs)
    ways = Counter(_agreed_way(provider, consumer, process, theirs[str(process.peer_pid)]) for process in ours)
    assert set(ways) == {SHORT, LONG}
    kept = [{(a.id, a.digest) for a in node.dataspace.agreements()} for node in (provider, consumer)]
    assert kept[0] == kept[1]
    assert len(kept[0]) == NEGOTIATIONS


def _agreed_way(provider: Node, consumer: Node, ours: Process, theirs: Process) -> tuple[str, ...]:
    """The states that a negotiation went through; the same on both sides, to one agreement."""
    assert theirs.peer_pid == ours.id
    assert ours.state == theirs.state == "FINALIZED"
    ways = [
        tuple(step["state"] for step in node.dataspace.timeline(process.id))
        for node, process in ((provider, theirs), (consumer, ours))
    ]
    assert ways[0] == ways[1]
    found = []
    for node, process in ((provider, theirs), (consumer, ours)):
        with node.database.read() as connection:
            found.append(store.agreement_of(connection, process.id))
    assert found[0] is not None
    assert found[1] is not None
    assert found[0].policy == found[1].policy
    return ways[0]


def _each_step_is_logged_once(node: Node) -> None:
    """The log tells exactly what the timelines tell, and each agreement once."""
    steps: Counter[tuple[str, str]] = Counter()
    agreed: Counter[str] = Counter()
    after = -1
    while page := node.log.entries(after, 1000):
        after = page[-1].sequence
        for body in (entry.body.decode() for entry in page):
            negotiation = STEP.search(body)
            assert negotiation is not None, body
            if (state := STATE.search(body)) is not None:
                steps[negotiation[1], state[1]] += 1
            else:
                assert "AgreementFinalised" in body
                agreed[negotiation[1]] += 1
    processes = node.dataspace.processes("negotiation")
    told = {(p.id, step["state"]) for p in processes for step in node.dataspace.timeline(p.id)}
    assert steps == dict.fromkeys(told, 1)
    assert agreed == {process.id: 1 for process in processes}
    assert node.log.verify().size == sum(steps.values()) + sum(agreed.values())
