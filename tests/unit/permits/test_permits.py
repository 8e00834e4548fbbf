from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from synthema.clock import FixedClock
from synthema.errors import ConflictError, InputError, NotFoundError, StorageError
from synthema.permits import TRANSITIONS, Agreement, AgreementState, Permit, PermitContent, PermitState, PermitStore
from synthema.provenance import ProvenanceLog
from synthema.storage import Database
from tests.unit.datasets.support import log_text, make_log

HUB = "did:web:hub.example"
SYN = "https://w3id.org/synthema/ns#"
STATE = f"{SYN}permitState"


def content(**changes: Any) -> PermitContent:
    values: dict[str, Any] = {
        "holder": HUB,
        "data": {
            "datasets": ["mgus"],
            "categories": [f"{SYN}Art51-1-l"],
            "specification": "all variables of the dictionary mgus 1.0",
            "format": "anonymised",
            "sources": ["did:web:site.example"],
        },
        "purpose": "https://w3id.org/dpv/legal/eu/ehds#HealthcareScientificResearch",
        "principal_investigator": "person-1",
        "authorised_persons": ["person-2"],
        "valid_from": date(2026, 1, 1),
        "valid_to": date(2027, 12, 31),
    }
    return PermitContent.model_validate(values | changes)


@pytest.fixture
def log(database: Database, clock: FixedClock) -> ProvenanceLog:
    return make_log(database, clock)


@pytest.fixture
def store(database: Database, log: ProvenanceLog, clock: FixedClock) -> PermitStore:
    return PermitStore(database, log, clock)


@pytest.fixture
def granted(store: PermitStore) -> Permit:
    return store.decide(store.apply(content(), issuer="did:web:site.example").id, "grant")


def state(store: PermitStore, basis: str, at: datetime, **changes: Any) -> Any:
    facts = store.facts(basis, **({"requester": HUB, "dataset_id": "mgus", "at": at} | changes))
    return facts[STATE].value if STATE in facts else None


@pytest.mark.article("EHDS 68(10)")
def test_a_permit_says_a_to_h() -> None:
    assert {
        "data", "purpose", "opt_out_exception", "principal_investigator", "authorised_persons",
        "valid_from", "valid_to", "tools", "fees", "conditions",
    } <= set(PermitContent.model_fields)  # fmt: skip


@pytest.mark.article("EHDS 68(12)")
def test_ten_years_at_most_and_one_extension(store: PermitStore, granted: Permit) -> None:
    content(valid_from=date(2024, 2, 29), valid_to=date(2034, 2, 28))
    for last in (date(2036, 1, 2), date(2025, 12, 31)):
        with pytest.raises(ValidationError):
            content(valid_to=last)
    with pytest.raises(InputError):
        store.extend(granted.id, date(2038, 1, 1), reason="long study")
    with pytest.raises(InputError):
        store.extend(granted.id, granted.valid_to, reason="same day")
    assert store.extend(granted.id, date(2037, 12, 31), reason="long study").valid_to == date(2037, 12, 31)
    with pytest.raises(ConflictError, match="extended once"):
        store.extend(granted.id, date(2038, 12, 31), reason="longer")


@pytest.mark.article("EHDS 66(3)")
def test_pseudonymised_data_need_a_justification() -> None:
    data = content().data.model_dump()
    with pytest.raises(ValidationError, match="66"):
        content(data=data | {"format": "pseudonymised"})
    content(data=data | {"format": "pseudonymised", "justification": "linkage over time"})
    with pytest.raises(ValidationError):
        content(opt_out_exception=" ")


def test_only_listed_steps_happen(store: PermitStore) -> None:
    for start, path in {
        PermitState.REQUESTED: [],
        PermitState.REFUSED: ["refuse"],
        PermitState.ISSUED: ["grant"],
        PermitState.SUSPENDED: ["grant", "suspend"],
        PermitState.REVOKED: ["grant", "revoke"],
    }.items():
        for event in ("grant", "refuse", "suspend", "resume", "revoke"):
            permit = store.apply(content(), issuer="did:web:site.example")
            for step in path:
                permit = store.decide(permit.id, step, reason="because")  # type: ignore[arg-type]
            assert permit.state is start
            if (start, event) in TRANSITIONS:
                after = store.decide(permit.id, event, reason="because")  # type: ignore[arg-type]
                assert after.state is TRANSITIONS[(start, event)]  # type: ignore[index]
            else:
                with pytest.raises(ConflictError):
                    store.decide(permit.id, event, reason="because")  # type: ignore[arg-type]


def test_what_takes_away_needs_a_reason(store: PermitStore, granted: Permit) -> None:
    for event in ("suspend", "revoke"):
        with pytest.raises(InputError, match="reason"):
            store.decide(granted.id, event)  # type: ignore[arg-type]
    with pytest.raises(InputError):
        store.decide(granted.id, "expire")


def test_expiry_is_an_event_of_the_clock(
    store: PermitStore, granted: Permit, clock: FixedClock, log: ProvenanceLog
) -> None:
    ended: list[tuple[str, str]] = []
    store.on_end(lambda _, identifier, reached: ended.append((identifier, reached)))
    last = datetime(2027, 12, 31, 23, 59, tzinfo=UTC)
    assert state(store, granted.id, last).endswith("PermitIssued")
    assert state(store, granted.id, last + timedelta(minutes=1)).endswith("PermitExpired")
    assert store.expire_due() == []
    clock.advance(timedelta(days=500))
    assert store.permit(granted.id).state is PermitState.EXPIRED  # before anybody noticed
    with pytest.raises(ConflictError):
        store.decide(granted.id, "suspend", reason="late")
    assert ended == [(granted.id, "PermitExpired")]
    assert "PermitExpiry" in log_text(log)
    assert store.expire_due() == []
    assert store.permits()[0].state is PermitState.EXPIRED


def test_facts_are_for_this_holder_this_dataset_and_this_time(
    store: PermitStore, granted: Permit, clock: FixedClock
) -> None:
    now = clock.now()
    facts = store.facts(granted.id, requester=HUB, dataset_id="mgus", at=now, person="person-2")
    assert facts[STATE].value == f"{SYN}PermitIssued"
    assert facts[f"{SYN}authorisedPerson"].value == "person-2"
    assert facts[f"{SYN}permitDuration"].value == timedelta(days=729)
    assert facts[STATE].evidence == f"http://127.0.0.1:8101/id/permit/{granted.id}"
    assert store.approved_at(granted.id) == now
    for changes in ({"requester": "did:web:other.example"}, {"dataset_id": "mds"}):
        assert state(store, granted.id, now, **changes) is None
    assert state(store, granted.id, datetime(2025, 12, 31, 23, 59, tzinfo=UTC)) is None
    assert state(store, "permit-none", now) is None
    assert store.facts(None, requester=HUB, dataset_id="mgus", at=now) == {}
    other = store.facts(granted.id, requester=HUB, dataset_id="mgus", at=now, person="person-9")
    assert f"{SYN}authorisedPerson" not in other


def test_a_suspended_permit_says_so(store: PermitStore, granted: Permit, clock: FixedClock) -> None:
    store.decide(granted.id, "suspend", reason="audit")
    assert state(store, granted.id, clock.now()).endswith("PermitSuspended")
    store.decide(granted.id, "resume")
    assert state(store, granted.id, clock.now()).endswith("PermitIssued")
    assert store.approved_at(granted.id) == granted.approved_at


def agreement(clock: FixedClock, **changes: Any) -> Agreement:
    values: dict[str, Any] = {
        "id": "agreement-1",
        "counterparty": HUB,
        "dataset_id": "mgus",
        "policy": {"@type": "odrl:Agreement"},
        "agreed_at": clock.now(),
        "valid_to": clock.now() + timedelta(days=30),
    }
    return Agreement.model_validate(values | changes)


def test_an_agreement_is_kept_with_the_negotiation_and_reads_like_a_permit(
    store: PermitStore, clock: FixedClock, database: Database
) -> None:
    made = agreement(clock)
    for _ in range(2):  # the same message twice is one agreement
        database.write(lambda connection: store.keep_agreement(connection, made))
    assert store.agreements(HUB) == [made]
    with pytest.raises(ConflictError):
        database.write(lambda connection: store.keep_agreement(connection, agreement(clock, dataset_id="mds")))
    assert state(store, made.id, clock.now()).endswith("PermitIssued")
    assert state(store, made.id, clock.now() + timedelta(days=30)).endswith("PermitExpired")
    assert state(store, made.id, clock.now(), requester="did:web:other.example") is None
    assert store.approved_at(made.id) == made.agreed_at
    ended = database.write(lambda connection: store.terminate_agreement(connection, made.id, "breach"))
    assert ended.state is AgreementState.TERMINATED
    assert state(store, made.id, clock.now()).endswith("PermitRevoked")
    again = database.write(lambda connection: store.terminate_agreement(connection, made.id, "other"))
    assert again.reason == "breach"


def test_what_is_not_logged_does_not_happen(
    store: PermitStore, granted: Permit, log: ProvenanceLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StorageError("the log is full", fix="make room")

    monkeypatch.setattr(log, "append", fail)
    with pytest.raises(StorageError):
        store.decide(granted.id, "suspend", reason="audit")
    assert store.permit(granted.id).state is PermitState.ISSUED


def test_unknown_things_are_not_found(store: PermitStore) -> None:
    for look in (store.permit, store.agreement):
        with pytest.raises(NotFoundError):
            look("none")


def test_the_clock_ends_an_agreement_too(store: PermitStore, clock: FixedClock, database: Database) -> None:
    ended: list[tuple[str, str]] = []
    store.on_end(lambda _, identifier, reached: ended.append((identifier, reached)))
    made = agreement(clock)
    database.write(lambda connection: store.keep_agreement(connection, made))
    assert store.expire_due() == []
    clock.advance(timedelta(days=30))
    assert store.expire_due() == [made.id]
    assert ended == [(made.id, "EXPIRED")]
    assert store.agreement(made.id).state is AgreementState.EXPIRED
    assert store.expire_due() == []
    assert state(store, made.id, clock.now()).endswith("PermitExpired")
    assert store.ended(made.id, clock.now()) == "the agreement it rests on has expired: its last moment has passed"
