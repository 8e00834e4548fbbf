"""A whole certificate, its evidence, its receipt and its status lists, read by an independent implementation."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from openvc.keys import Ed25519SigningKey
from openvc.proof.di_jcs import EddsaJcsProofSuite
from openvc.proof.errors import ProofError
from openvc.status.bitstring import decode_bitstring, get_status_bit

from synthema.errors import IntegrityError
from synthema.identity import credentials
from synthema.identity.multibase import encode_base64url
from tests.conformance.cryptography import _fails, _holds, _same
from tests.conformance.suite import Case
from tests.unit.certification.world import World

_SUITE = EddsaJcsProofSuite()


def certificates() -> Iterator[Case]:
    """Certificate with two signatures, evidence and receipt: each proof by itself, none once it is changed."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        record = world.issue(second=world.second())
        registry, site = world.parties["registry"], world.sites[0]
        world.registry(Path(folder) / "packages").ingest(world.package(record), world.use)
        sent: list[dict[str, Any]] = []
        world.receipts("registry").deliver(lambda _did, document: sent.append(document))
        keys = {
            f"{world.hub.did}#assertion": world.hub.signer.public_key("assertion"),
            f"{world.hub.did}#dpo": world.dpo.public_key,
            f"{site.did}#assertion": site.signer.public_key("assertion"),
            f"{registry.did}#assertion": registry.signer.public_key("assertion"),
        }
        documents = {
            "certificate": record.document,
            "evidence": record.document["credentialSubject"]["evidence"][0]["credential"],
            "receipt": sent[0],
            "status list": world.status.credential("revocation"),
        }
        for name, document in documents.items():
            for single in _single_proofs(document):
                method = single["proof"]["verificationMethod"]
                reads = partial(_SUITE.verify, public_key_jwk=_jwk(keys[method]), now=world.clock.now())
                yield _holds(f"openvc reads the {name}, {method.partition('#')[2]}", partial(reads, single))
                changed = {**single, "issuer": "did:web:another.example"}
                yield _fails(f"openvc refuses it changed, {name}", partial(reads, changed), ProofError)
        yield from _second_signature_of_openvc(world, record.document)
        yield from _status(world, record.id)
        world.close()


def _second_signature_of_openvc(world: World, document: Mapping[str, Any]) -> Iterator[Case]:
    """A proof set of which one proof is by us and one by openvc is whole to us; a third party's key is not."""
    theirs = Ed25519SigningKey.generate(kid="theirs")
    world.hub.people["theirs"] = theirs.public_key_raw()
    resolver = world.resolver_for(world.parties)
    bare = {name: value for name, value in document.items() if name != "proof"}
    signed = _SUITE.add_proof(
        bare, signing_key=theirs, verification_method=f"{world.hub.did}#theirs", created=world.clock.now()
    )
    both = {**bare, "proof": [_proofs(document)[0], signed["proof"]]}
    reads = partial(credentials.verify, resolver=resolver, at=world.clock.now(), status=world.look_up)
    yield _holds("we read a certificate that openvc signed second", partial(reads, both))
    yield _fails("we refuse it changed", partial(reads, {**both, "name": "another"}), IntegrityError)


def _status(world: World, certificate: str) -> Iterator[Case]:
    """Openvc reads the same bit of our lists as we set: valid, suspended, valid again, revoked."""
    steps: tuple[tuple[str, Callable[[], None] | None, tuple[int, int]], ...] = (
        ("valid", None, (0, 0)),
        ("suspended", lambda: world.status.suspend(certificate, "a doubt"), (0, 1)),
        ("reinstated", lambda: world.status.reinstate(certificate, "no doubt"), (0, 0)),
        ("revoked", lambda: world.status.revoke(certificate, "faulty"), (1, 0)),
    )
    index = world.issuer.find(certificate).status_index
    for name, step, expected in steps:
        if step is not None:
            step()
        bits = tuple(
            get_status_bit(
                decode_bitstring(world.status.credential(purpose)["credentialSubject"]["encodedList"]), index
            )
            for purpose in ("revocation", "suspension")
        )
        yield _same(f"status bits of a certificate that is {name}", bits, expected)


def _single_proofs(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{**document, "proof": proof} for proof in _proofs(document)]


def _proofs(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = document["proof"]
    return list(found) if isinstance(found, list) else [found]


def _jwk(key: bytes) -> dict[str, str]:
    return {"kty": "OKP", "crv": "Ed25519", "x": encode_base64url(key)}
