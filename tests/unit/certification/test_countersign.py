"""The data protection officer's signature, made outside the connector, on a certificate that was issued."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NoReturn

import pytest

from synthema.certification import payload_of, write_package
from synthema.certification.countersign import Countersigning, method_of, signing_bytes
from synthema.errors import ConflictError, DeniedError, IntegrityError, PeerError
from synthema.identity import DidResolver, People, PersonKey
from synthema.provenance.accounts import PeopleLog
from tests.unit.certification.world import PASSPHRASE, World


class Office:
    """The hub's officers, their keys, and who adds their signatures."""

    def __init__(self, world: World) -> None:
        hub = world.hub
        self.world = world
        self.people = People(hub.database, PeopleLog(hub.log), world.clock)
        self.adding = Countersigning(hub.database, hub.log, self.people, hub.did, world.clock)

    def officer(self, role: str = "dpo") -> tuple[str, PersonKey]:
        key = PersonKey.create(self.world.folder / f"{len(self.people.all())}-{role}.pem", PASSPHRASE)
        person = self.people.register([role], key.public_key)
        self.world.hub.people.update(self.adding.published_keys())
        return person.id, key

    def sign(self, record: Any, person: str, key: PersonKey, at: datetime | None = None) -> Any:
        created = at or self.world.clock.now()
        signature = key.sign(signing_bytes(record.document, self.world.hub.did, person, created))
        return self.adding.add(record.id, person, created, signature)


@pytest.fixture
def office(world: World) -> Office:
    return Office(world)


def test_an_officers_signature_is_added_logged_and_verified(world: World, office: Office) -> None:
    record, (person, key) = world.issue(), office.officer()
    payload = payload_of(world.package(record))
    signed = office.sign(record, person, key)
    log = world.hub.log
    assert b"Countersignature" in log.entry(log.size() - 1).body
    del payload["certificate.json"]
    package = write_package(signed.document, payload)
    world.resolver = world.resolver_for(world.parties)
    policy = replace(world.policy, require_second_signature=True)
    report = world.verify(package, policy=policy, resolver=world.resolver)
    assert report.ok, report.lines()
    assert method_of(world.hub.did, person) in report.results[3].note
    assert world.package(world.issuer.find(record.id)) == package
    unsigned = write_package(record.document, payload)
    assert world.verify(unsigned, policy=policy, resolver=world.resolver).failed == (4, 11)


def test_only_an_officer_signs_and_only_what_was_shown(world: World, office: Office) -> None:
    record, (person, key), (clerk, clerks) = world.issue(), office.officer(), office.officer("researcher")
    with pytest.raises(DeniedError, match="role 'dpo'"):
        office.sign(record, clerk, clerks)
    other = world.issue()
    created = world.clock.now()
    signature = key.sign(signing_bytes(other.document, world.hub.did, person, created))
    with pytest.raises(IntegrityError):
        office.adding.add(record.id, person, created, signature)
    with pytest.raises(DeniedError, match="not made now"):
        office.sign(record, person, key, world.clock.now() - timedelta(hours=1))
    assert world.issuer.find(record.id).document == record.document


def test_a_certificate_is_signed_by_one_officer_while_it_is_valid(world: World, office: Office) -> None:
    record, (person, key) = world.issue(), office.officer()
    signed = office.sign(record, person, key)
    with pytest.raises(ConflictError, match="two signatures"):
        office.sign(signed, person, key)
    revoked = world.issue()
    world.status.revoke(revoked.id, "faulty")
    with pytest.raises(ConflictError, match="not valid any more"):
        office.sign(revoked, person, key)


def test_the_key_of_an_officer_who_signed_stays_published(world: World, office: Office) -> None:
    record, (signer, key), (other, _) = world.issue(), office.officer(), office.officer()
    office.sign(record, signer, key)
    assert {signer, other} <= set(office.adding.published_keys())
    office.people.revoke(signer)
    office.people.revoke(other)
    assert signer in office.adding.published_keys()
    assert other not in office.adding.published_keys()


def test_a_package_is_checked_without_any_network(world: World, package: bytes) -> None:
    """Keys and status lists may be brought along: nothing is fetched, and what was not brought fails its check."""

    def nobody(_url: str) -> NoReturn:
        raise AssertionError("something was fetched")

    own = {party.did: party.document() for party in world.parties.values()}
    lists = {
        world.status.list_url(purpose): world.status.credential(purpose) for purpose in ("revocation", "suspension")
    }
    offline = DidResolver(nobody, {}, world.clock, own=own)
    assert world.verify(package, resolver=offline, status=lists.__getitem__).ok

    def absent(url: str) -> NoReturn:
        raise PeerError("it was not given", fix="give it")

    assert world.verify(package, resolver=offline, status=absent).failed == (6,)
