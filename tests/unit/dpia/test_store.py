from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synthema.clock import FixedClock
from synthema.dpia import Dpia, DpiaState, DpiaStore, DpiaVersion, confirm_gates, load_dpia, signing_bytes
from synthema.errors import ConflictError, DeniedError, IntegrityError, NotFoundError, StorageError
from synthema.identity import People, PersonKey
from synthema.provenance import PeopleLog, ProvenanceLog
from synthema.resources import bundled
from synthema.storage import Database
from tests.unit.datasets.support import log_text, make_log

SYN = "https://w3id.org/synthema/ns#"


class Cast:
    """Three role accounts and their keys."""

    def __init__(self, people: People) -> None:
        self.keys: dict[str, PersonKey] = {}
        self.ids: dict[str, str] = {}
        for role in ("dpo", "data steward", "operator"):
            key = PersonKey(Ed25519PrivateKey.generate())
            self.keys[role] = key
            self.ids[role] = people.register([role], key.public_key).id

    def sign(self, store: DpiaStore, version: DpiaVersion, role: str) -> DpiaVersion:
        return store.sign(version.id, self.ids[role], self.keys[role].sign(signing_bytes(version.digest)))


@pytest.fixture
def log(database: Database, clock: FixedClock) -> ProvenanceLog:
    return make_log(database, clock)


@pytest.fixture
def people(database: Database, log: ProvenanceLog, clock: FixedClock) -> People:
    return People(database, PeopleLog(log), clock)


@pytest.fixture
def cast(people: People) -> Cast:
    return Cast(people)


@pytest.fixture
def store(database: Database, log: ProvenanceLog, clock: FixedClock, people: People) -> DpiaStore:
    return DpiaStore(database, log, clock, people)


@pytest.fixture(scope="module")
def draft() -> Dpia:
    return load_dpia(bundled("legal") / "dpia" / "synthetic-data.yaml")


@pytest.fixture(scope="module")
def ready(draft: Dpia) -> Dpia:
    return confirm_gates(draft)


@pytest.mark.article("GDPR 35(2)")
def test_two_people_one_of_them_the_officer_put_it_in_force(
    store: DpiaStore, cast: Cast, ready: Dpia, log: ProvenanceLog
) -> None:
    version = store.propose(ready)
    assert version.state is DpiaState.PROPOSED
    assert store.propose(ready) == version
    assert cast.sign(store, version, "data steward").state is DpiaState.PROPOSED
    with pytest.raises(DeniedError):
        store.active("mgus")
    signed = cast.sign(store, version, "dpo")
    assert signed.state is DpiaState.ACTIVE
    assert signed.signed_by == (cast.ids["data steward"], cast.ids["dpo"])
    assert store.active("mgus").digest == ready.digest
    assert store.active("mgus", "syn:synthesise").id == version.id
    said = log_text(log)
    for step in ("DpiaProposal", "DpiaSignature", "DpiaActivation"):
        assert step in said


def test_without_an_officer_it_does_not(store: DpiaStore, cast: Cast, ready: Dpia) -> None:
    version = store.propose(ready)
    cast.sign(store, version, "data steward")
    with pytest.raises(DeniedError, match="no data protection officer"):
        cast.sign(store, version, "operator")
    assert store.version(version.id).signed_by == (cast.ids["data steward"],)
    assert cast.sign(store, version, "dpo").state is DpiaState.ACTIVE


def test_nobody_signs_twice(store: DpiaStore, cast: Cast, ready: Dpia) -> None:
    version = store.propose(ready)
    cast.sign(store, version, "dpo")
    with pytest.raises(ConflictError, match="signed already"):
        cast.sign(store, version, "dpo")


def test_a_signature_over_anything_else_is_none(store: DpiaStore, cast: Cast, ready: Dpia) -> None:
    version = store.propose(ready)
    for data in (b"", version.digest.encode(), signing_bytes("sha256:00")):
        with pytest.raises(IntegrityError):
            store.sign(version.id, cast.ids["dpo"], cast.keys["dpo"].sign(data))
    with pytest.raises(IntegrityError):
        store.sign(version.id, cast.ids["dpo"], cast.keys["operator"].sign(signing_bytes(version.digest)))
    with pytest.raises(DeniedError):
        store.sign(version.id, "person-unknown", b"")


def test_unconfirmed_thresholds_cannot_be_signed(store: DpiaStore, cast: Cast, draft: Dpia) -> None:
    version = store.propose(draft)
    with pytest.raises(ConflictError, match="11 thresholds are not confirmed"):
        cast.sign(store, version, "dpo")


def test_a_new_version_supersedes_the_old(store: DpiaStore, cast: Cast, ready: Dpia, clock: FixedClock) -> None:
    old = store.propose(ready)
    for role in ("dpo", "operator"):
        cast.sign(store, old, role)
    new = store.propose(ready.model_copy(update={"version": "1.1"}))
    clock.advance(timedelta(days=1))
    for role in ("operator", "dpo"):
        cast.sign(store, new, role)
    assert store.version(old.id).state is DpiaState.SUPERSEDED
    assert store.active("mgus").id == new.id
    assert [v.id for v in store.versions()] in ([new.id, old.id], [old.id, new.id])
    with pytest.raises(ConflictError):
        cast.sign(store, old, "data steward")


def test_withdrawn_is_not_in_force(store: DpiaStore, cast: Cast, ready: Dpia) -> None:
    version = store.propose(ready)
    for role in ("dpo", "operator"):
        cast.sign(store, version, role)
    assert store.facts(store.active("mgus"))[f"{SYN}dpiaOutcome"].value.endswith("#DPIAOutcomeRisksMitigated")
    withdrawn = store.withdraw(version.id)
    assert store.facts(withdrawn) == {}
    with pytest.raises(DeniedError):
        store.check("mgus", "pre-release", [], datetime(2026, 11, 21, tzinfo=UTC))
    with pytest.raises(ConflictError):
        store.withdraw(version.id)


def test_it_covers_what_it_names(store: DpiaStore, cast: Cast, ready: Dpia) -> None:
    processing = ready.processing.model_copy(update={"datasets": ("mgus",)})
    version = store.propose(ready.model_copy(update={"processing": processing}))
    for role in ("dpo", "operator"):
        cast.sign(store, version, role)
    assert store.active("mgus").id == version.id
    for dataset, action in (("mds", None), ("mgus", "syn:link")):
        with pytest.raises(DeniedError, match="GDPR Art"):
            store.active(dataset, action)


def test_facts_carry_the_review_date(store: DpiaStore, cast: Cast, ready: Dpia) -> None:
    version = store.propose(ready)
    for role in ("dpo", "operator"):
        cast.sign(store, version, role)
    fact = store.facts(store.active("mgus"))[f"{SYN}dpiaReviewDue"]
    assert isinstance(fact.value, datetime)
    assert fact.value.date() == ready.review_due
    assert fact.evidence == f"http://127.0.0.1:8101/id/dpia/{version.id}"
    report = store.check("mgus", "pre-release", [], datetime(2026, 11, 21, tzinfo=UTC))
    assert not report.conformant


def test_an_overdue_assessment_cannot_be_signed(store: DpiaStore, cast: Cast, ready: Dpia, clock: FixedClock) -> None:
    version = store.propose(ready)
    clock.advance(timedelta(days=366))
    with pytest.raises(ConflictError, match="overdue"):
        cast.sign(store, version, "dpo")


def test_what_is_not_logged_does_not_happen(
    store: DpiaStore, ready: Dpia, log: ProvenanceLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StorageError("the log is full", fix="make room")

    monkeypatch.setattr(log, "append", fail)
    with pytest.raises(StorageError):
        store.propose(ready)
    assert store.versions() == []


def test_an_unknown_version(store: DpiaStore) -> None:
    with pytest.raises(NotFoundError):
        store.version("dpia-none")
