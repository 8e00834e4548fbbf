"""A certificate outlives the log keys of its issuer and sites: its proofs hold after each of them got another key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from synthema.certification import payload_of
from synthema.identity import DidResolver, did_document
from synthema.provenance import Agent, former_methods, hand_over
from tests.unit.certification.world import PASSPHRASE, Party, World, nobody_answers


@pytest.fixture
def own_world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()


def rotate(world: World, party: Party) -> None:
    party.signer.prepare_successor("log", PASSPHRASE)
    hand_over(party.log, "the key was two years old", (Agent(party.did, "Organization"),), world.clock.now())
    party.signer.adopt_successor("log")


def read_anew(world: World, *, handovers: bool = True) -> DidResolver:
    """What a registry that reads every DID document now knows."""
    own = {
        party.did: did_document(
            party.did,
            party.signer,
            party.url,
            people=party.people,
            former=former_methods(party.did, party.log.keys) if handovers else (),
        )
        for party in world.parties.values()
    }
    return DidResolver(nobody_answers, {}, world.clock, own=own)


def test_a_package_from_before_is_still_verified_whole(own_world: World) -> None:
    package = own_world.package()
    for party in (own_world.hub, *own_world.sites):
        rotate(own_world, party)
    assert own_world.verify(package, resolver=read_anew(own_world)).ok
    # Without the handovers nobody could know that the old keys were those of these logs.
    assert own_world.verify(package, resolver=read_anew(own_world, handovers=False)).failed == (9,)


def test_evidence_before_and_certificate_after(own_world: World) -> None:
    content = own_world.content()
    for party in (own_world.hub, *own_world.sites):
        rotate(own_world, party)
    own_world.issuer._resolver = read_anew(own_world)
    package = own_world.package(own_world.issue(content))
    assert own_world.verify(package, resolver=read_anew(own_world)).ok
    assert payload_of(package)


def test_a_registry_with_an_old_copy_of_the_documents_reads_them_again(own_world: World) -> None:
    kept = read_anew(own_world)
    for party in (own_world.hub, *own_world.sites):
        rotate(own_world, party)
    own_world.issuer._resolver = read_anew(own_world)
    package = own_world.package()
    own = read_anew(own_world)._own
    assert own_world.verify(package, resolver=kept).failed == (9,)
    kept._own = own  # as after asking again
    assert own_world.verify(package, resolver=kept).ok
