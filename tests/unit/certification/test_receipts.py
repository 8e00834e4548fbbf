from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from synthema.canonical import digest_bytes
from synthema.certification import Registry
from synthema.errors import DeniedError, InputError, IntegrityError, NotFoundError, PeerError
from synthema.identity.credentials import verify
from synthema.provenance import Activity
from tests.unit.certification.world import CANDIDATE, START, World


class Channel:
    """Carries receipts from the registry to the hub, or loses them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.hub = world.receipts("hub")
        self.broken = False
        self.sent: list[dict[str, Any]] = []

    def __call__(self, did: str, document: dict[str, Any]) -> None:
        if self.broken:
            raise PeerError("nobody answers", fix="try again later")
        assert did == self.world.hub.did
        self.sent.append(document)
        self.hub.take(document, self.world.parties["registry"].did)


@pytest.fixture
def registry(world: World, tmp_path: Path) -> Registry:
    return world.registry(tmp_path / "packages")


@pytest.fixture
def channel(world: World) -> Channel:
    channel = Channel(world)
    world.receipts("registry").deliver(channel)  # what earlier tests left owed
    channel.sent.clear()
    return channel


def events(world: World, certificate: str) -> list[str]:
    return [row["event"] for row in reversed(world.receipts("hub").all(certificate))]


def test_the_issuer_gets_a_signed_receipt_that_both_sides_keep_and_log(
    world: World, registry: Registry, channel: Channel
) -> None:
    record = world.issue()
    package = world.package(record)
    outcome = registry.ingest(package, world.use)
    book = world.receipts("registry")
    assert book.deliver(channel) == ()
    (document,) = channel.sent
    verified = verify(document, world.resolver, world.clock.now())
    assert verified.types == ("VerifiableCredential", "SyntheticDataReceipt")
    subject = document["credentialSubject"]
    assert subject["event"] == "accepted"
    assert subject["package"] == digest_bytes(package)
    assert subject["artefact"] == CANDIDATE
    assert subject["log"]["position"] == outcome.log_position
    (here,), (there,) = world.receipts("hub").all(record.id), book.all(record.id)
    assert here["document"] == there["document"] == document
    assert (here["direction"], there["direction"]) == ("received", "sent")
    assert there["delivered_at"] is not None
    for party, word in (("hub", "ReceiptTaken"), ("registry", "ReceiptDelivered")):
        log = world.parties[party].log
        assert word.encode() in log.entry(log.size() - 1).body
        assert document["id"].encode() in log.entry(log.size() - 1).body


def test_a_receipt_stays_owed_until_it_was_taken(world: World, registry: Registry, channel: Channel) -> None:
    record = world.issue()
    registry.ingest(world.package(record), world.use)
    channel.broken = True
    (failure,) = world.receipts("registry").deliver(channel)
    assert "stays owed" in failure
    channel.broken = False
    assert world.receipts("registry").deliver(channel) == ()
    assert world.receipts("registry").deliver(channel) == ()
    assert len(channel.sent) == 1


def test_the_same_receipt_twice_changes_nothing(world: World, registry: Registry, channel: Channel) -> None:
    record = world.issue()
    registry.ingest(world.package(record), world.use)
    world.receipts("registry").deliver(channel)
    size = world.hub.log.size()
    channel(world.hub.did, channel.sent[0])
    assert world.hub.log.size() == size
    assert events(world, record.id) == ["accepted"]


def test_the_issuer_hears_of_every_change_of_standing(world: World, registry: Registry, channel: Channel) -> None:
    record = world.issue()
    registry.ingest(world.package(record), world.use)
    registry.suspend(record.id, "a question")
    registry.reinstate(record.id, "it was answered")
    registry.withdraw(record.id, "the study was withdrawn")
    assert world.receipts("registry").deliver(channel) == ()
    assert events(world, record.id) == ["accepted", "suspended", "reinstated", "withdrawn"]


def test_a_refusal_is_told_only_to_an_issuer_that_signed(world: World, registry: Registry, channel: Channel) -> None:
    record = world.issue()
    registry.ingest(world.package(record).replace(b"61,F", b"62,F"), world.use)
    world.receipts("registry").deliver(channel)
    assert events(world, record.id) == ["refused"]
    assert "check 3" in channel.sent[0]["credentialSubject"]["reason"]
    other = world.issue()
    strict = world.package(other).replace(b'"rows":2', b'"rows":3')  # the signature does not hold any more
    registry.ingest(strict, world.use)
    world.receipts("registry").deliver(channel)
    assert events(world, other.id) == []


def test_a_receipt_of_someone_else_is_refused(world: World, registry: Registry, channel: Channel) -> None:
    record = world.issue()
    registry.ingest(world.package(record), world.use)
    world.receipts("registry").deliver(channel)
    document = channel.sent[0]
    hub = world.receipts("hub")
    with pytest.raises(DeniedError, match="not by the one who sends it"):
        hub.take(document, world.sites[0].did)
    changed = {**document, "credentialSubject": {**document["credentialSubject"], "event": "refused"}}
    with pytest.raises(IntegrityError):
        hub.take(changed | {"id": "http://127.0.0.1:8105/id/receipt/other"}, world.parties["registry"].did)
    with pytest.raises(InputError):
        hub.take({"type": "receipt"}, world.parties["registry"].did)


def test_a_receipt_whose_log_says_something_else_is_refused(world: World, registry: Registry, channel: Channel) -> None:
    party, record = world.parties["registry"], world.issue()
    registry.ingest(world.package(record), world.use)
    book = world.receipts("registry")
    other = party.log.record(Activity("urn:other", "Maintenance", "something else", START, START)).sequence

    def owe(connection: Any) -> None:
        from synthema.certification.receipts import About

        about = About(world.hub.did, record.id, CANDIDATE, digest_bytes(b"x"))
        book.owe(connection, about, "accepted", "", other)

    book.deliver(channel)
    party.database.write(owe)
    (failure,) = book.deliver(channel)
    assert "no entry of the registry's log" in failure


def test_a_certificate_nobody_here_issued_has_no_receipts(world: World, registry: Registry, channel: Channel) -> None:
    record = world.issue()
    registry.ingest(world.package(record), world.use)
    world.receipts("registry").deliver(channel)
    with pytest.raises(NotFoundError):
        world.receipts("alpha").take(channel.sent[-1], world.parties["registry"].did)
