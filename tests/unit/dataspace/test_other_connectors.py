"""What other connectors may do differently, and what crosses on the way, is taken as the specification allows."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from synthema.dataspace import Caller, Process, policy_text, records
from synthema.dataspace import messages as m
from synthema.dataspace.negotiation import agreement_in
from synthema.errors import ConflictError, InputError
from tests.unit.dataspace.world import DATASET, PATIENCE, World
from tests.waiting import until

TEXT = {"@id": "urn:a", "@type": "Agreement", "target": "urn:d", "assigner": "p", "assignee": "c",
        "permission": [{"action": "use"}]}  # fmt: skip
NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def process(agreement: dict[str, Any]) -> Process:
    return Process(
        "negotiation-1", "negotiation", "consumer", "did:web:p", "pid", "", "FINALIZED", "urn:d",
        {"agreement": agreement}, False, (), NOW, NOW,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("timestamp", "moment"),
    [
        (None, NOW),
        ("2026-11-21T09:00:00Z", datetime(2026, 11, 21, 9, tzinfo=UTC)),
        ("2026-11-21T10:00:00.25+01:00", datetime(2026, 11, 21, 9, 0, 0, 250_000, tzinfo=UTC)),
        ("2026-11-21T09:00:00", datetime(2026, 11, 21, 9, tzinfo=UTC)),
    ],
)
def test_the_timestamp_of_an_agreement_may_be_missing_and_without_zone(timestamp: str | None, moment: datetime) -> None:
    text = policy_text.checked_agreement(TEXT if timestamp is None else TEXT | {"timestamp": timestamp})
    assert agreement_in(process(text)).agreed == moment


@pytest.mark.parametrize("timestamp", ["", " ", "yesterday", "2026-11-21", "2026-13-01T00:00:00Z", "1", None, 5])
def test_a_timestamp_that_is_none_is_refused_at_once(timestamp: object) -> None:
    with pytest.raises(InputError):
        policy_text.checked_agreement(TEXT | {"timestamp": timestamp})


def test_participants_need_not_be_dids() -> None:
    class Log:
        def iri(self, kind: str, identifier: str) -> str:
            return f"https://us.example/id/{kind}/{identifier}"

    assert records.party(Log(), "did:web:p") == "did:web:p"  # type: ignore[arg-type]
    named = records.party(Log(), "BPNL 000000000001")  # type: ignore[arg-type]
    assert named.startswith("https://us.example/id/party/")
    assert named == records.party(Log(), "BPNL 000000000001")  # type: ignore[arg-type]


@pytest.fixture
def unanswered(two: World, monkeypatch: pytest.MonkeyPatch) -> tuple[World, str, str]:
    """The hub's request has reached the hospital, whose answer is slow to come back."""
    post = two.hub.peers.post

    def slowly(*given: Any, **more: Any) -> Any:
        answer = post(*given, **more)
        time.sleep(0.3)
        return answer

    two.hospital.dataspace.stop()  # it says nothing of its own accord
    monkeypatch.setattr(two.hub.peers, "post", slowly)
    mine = two.hub.dataspace.request_contract(two.hospital.did, DATASET).id
    theirs = until(lambda: two.hospital.dataspace.processes("negotiation"), seconds=PATIENCE)
    return two, mine, theirs[0].id


def test_who_asks_at_once_is_told_the_state_that_comes(unanswered: tuple[World, str, str]) -> None:
    two, mine, _ = unanswered
    hospital = Caller(two.hospital.did, "hospital", "site")
    assert two.hub.dataspace.process_seen_by("negotiation", hospital, mine).state == "REQUESTED"


def test_what_is_not_allowed_is_so_before_the_first_message_is_acknowledged(
    unanswered: tuple[World, str, str],
) -> None:
    two, mine, theirs = unanswered
    hospital = Caller(two.hospital.did, "hospital", "site")
    event = m.ContractNegotiationEventMessage(provider_pid=theirs, consumer_pid=mine, event_type="FINALIZED")
    with pytest.raises(ConflictError):
        two.hub.dataspace.message_received("negotiation", hospital, mine, event)
