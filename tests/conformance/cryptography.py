"""Reference vectors of the canonical, hashed and signed forms we rest on."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pymerkle
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from openvc.keys import Ed25519SigningKey
from openvc.proof.di_jcs import EddsaJcsProofSuite
from openvc.proof.errors import ProofError

from synthema.canonical import canonical_json
from synthema.clock import FixedClock
from synthema.errors import InputError, IntegrityError
from synthema.identity import DidResolver, FileSigner, credentials, did_document, verify_signature
from synthema.identity.keys import KEY_IDS
from synthema.identity.multibase import encode_base64url
from synthema.provenance import merkle
from synthema.provenance.checkpoint import VerifierKey, parse_note
from synthema.provenance.merkle import Node
from tests.conformance.suite import Case

# Leaves, roots and proofs of the Certificate Transparency reference tests (RFC 6962; same trees in RFC 9162).
LEAVES = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
_A, _B, _C, _D, _E = (
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
)
# (leaf counted from 0, size) → path
INCLUSION: dict[tuple[int, int], list[str]] = {
    (0, 1): [],
    (0, 8): [_A, _B, _C],
    (5, 8): [_D, _E, ROOTS[3]],
    (2, 3): [ROOTS[1]],
    (1, 5): [ROOTS[0], _B, _D],
}
# (old size, new size) → proof
CONSISTENCY: dict[tuple[int, int], list[str]] = {
    (1, 1): [],
    (1, 8): [_A, _B, _C],
    (6, 8): ["0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a", _E, ROOTS[3]],
    (2, 5): [_B, _D],
}


def merkle_trees() -> Iterator[Case]:
    """RFC 6962/9162: the roots, the inclusion and the consistency proofs; each proof is also verified."""
    for size, expected in enumerate(ROOTS, start=1):
        yield _same(f"root of {size}", merkle.root(size, _lookup).hex(), expected)
    for (leaf, size), path in INCLUSION.items():
        proof = merkle.inclusion_proof(leaf, size, _lookup)
        merkle.verify_inclusion(leaf, size, merkle.leaf_hash(LEAVES[leaf]), proof, bytes.fromhex(ROOTS[size - 1]))
        yield _same(f"leaf {leaf} of {size}", [step.hex() for step in proof], path)
    for (old, new), path in CONSISTENCY.items():
        proof = merkle.consistency_proof(old, new, _lookup)
        merkle.verify_consistency(old, new, bytes.fromhex(ROOTS[old - 1]), bytes.fromhex(ROOTS[new - 1]), proof)
        yield _same(f"{old} in {new}", [step.hex() for step in proof], path)


def merkle_against_pymerkle() -> Iterator[Case]:
    """The roots of an independent implementation, for every size up to 40."""
    oracle = pymerkle.InmemoryTree(algorithm="sha256")
    leaves = [f"entry {number}".encode() for number in range(40)]
    for size, leaf in enumerate(leaves, start=1):
        oracle.append_entry(leaf)
        yield _same(
            f"root of {size}",
            merkle.root(size, lambda nodes: [_total(node, leaves) for node in nodes]).hex(),
            oracle.get_root().hex(),
        )


def _lookup(nodes: Any) -> Sequence[bytes]:
    return [_total(node, LEAVES) for node in nodes]


def _total(node: Node, leaves: Sequence[bytes]) -> bytes:
    if node.level == 0:
        return merkle.leaf_hash(leaves[node.position])
    level, position = node.level - 1, node.position * 2
    return merkle.node_hash(_total(Node(level, position), leaves), _total(Node(level, position + 1), leaves))


def signed_notes() -> Iterator[Case]:
    """C2SP signed-note: the example in common use (Go's sumdb tests), and the same with a changed text."""
    key = VerifierKey.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    line = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    signature = parse_note(f"{text}\n{line}\n").signatures[0]
    yield _same("the key's name and id", signature.by(key), expected=True)
    yield _holds("the signature", lambda: verify_signature(key.public_key, text.encode(), signature.value))
    changed = text.replace("your", "my").encode()
    yield _fails(
        "the signature over another text",
        partial(verify_signature, key.public_key, changed, signature.value),
        IntegrityError,
    )


def data_integrity_proofs() -> Iterator[Case]:
    """eddsa-jcs-2022 both ways with openvc: each verifies the other's proof, and neither a changed document."""
    issuer, now = "did:web:hospital.example", datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
    signer = FileSigner({name: Ed25519PrivateKey.generate() for name in KEY_IDS}, X25519PrivateKey.generate())
    theirs = Ed25519SigningKey.generate(kid=f"{issuer}#issuer")
    document = did_document(issuer, signer, "https://hospital.example", people={"issuer": theirs.public_key_raw()})
    resolver = DidResolver(
        lambda _url: json.dumps(document).encode(), {issuer: "https://hospital.example"}, FixedClock(now)
    )
    suite = EddsaJcsProofSuite()
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": encode_base64url(signer.public_key("assertion"))}
    for number, subject in enumerate(_SUBJECTS):
        plain = {
            "@context": ["https://www.w3.org/ns/credentials/v2"],
            "id": f"https://hospital.example/{number}",
            "type": ["VerifiableCredential"],
            "issuer": issuer,
            "validFrom": "2026-11-21T10:00:00Z",
            "credentialSubject": subject,
        }
        ours = credentials.issue(plain, signer, f"{issuer}#assertion", now)
        foreign = suite.add_proof(plain, signing_key=theirs, verification_method=f"{issuer}#issuer", created=now)
        theirs_reads = partial(suite.verify, public_key_jwk=jwk, now=now)
        we_read = partial(credentials.verify, resolver=resolver, at=now)
        yield _holds(f"openvc reads ours, {number}", partial(theirs_reads, ours))
        yield _holds(f"we read openvc's, {number}", partial(we_read, foreign))
        yield _fails(f"we refuse ours changed, {number}", partial(we_read, _changed(ours)), IntegrityError)
        yield _fails(f"we refuse openvc's changed, {number}", partial(we_read, _changed(foreign)), IntegrityError)
        yield _fails(f"openvc refuses ours changed, {number}", partial(theirs_reads, _changed(ours)), ProofError)


_SUBJECTS: tuple[dict[str, Any], ...] = (
    {"rows": 1384, "epsilon": 1.5},
    {"names": ["Hôpital", "דּ", "😀", "\u20ac\r\n\t"], "nothing": None, "deep": {"z": [1e21, 1e-7, -0.0], "a": {}}},
)


def _changed(document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "credentialSubject": {**document["credentialSubject"], "rows": 1}}


# RFC 8785, appendix B: the 64 bits of a number and how it is written.
NUMBERS = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}
NOT_NUMBERS = ("7fffffffffffffff", "7ff0000000000000")


def canonical_values() -> Iterator[Case]:
    """RFC 8785: the numbers of appendix B, the sample of 3.2.2 and the sorting of 3.2.3."""
    for bits, text in NUMBERS.items():
        yield _same(f"number {bits}", canonical_json(_double(bits)).decode(), text)
    for bits in NOT_NUMBERS:
        yield _fails(f"number {bits}", partial(canonical_json, _double(bits)), InputError)
    sample = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000f\nA'\u0042\u0022\u005c\\\"/",
        "literals": [None, True, False],
    }
    expected = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    yield _same("the sample of 3.2.2", canonical_json(sample).decode(), expected)
    keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\x80", "\u00f6"]
    written = json.loads(canonical_json(dict.fromkeys(keys, 0)), object_pairs_hook=lambda pairs: [k for k, _ in pairs])
    yield _same("the sorting of 3.2.3", written, ["\r", "1", "\x80", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"])


def _double(bits: str) -> float:
    return float(struct.unpack(">d", bytes.fromhex(bits))[0])


def _same(name: str, found: object, expected: object) -> Case:
    return Case(name, "" if found == expected else f"{found!r} is not {expected!r}")


def _holds(name: str, check: Callable[[], object]) -> Case:
    try:
        check()
    except Exception as error:  # noqa: BLE001 - whatever a foreign library raises is a failed case
        return Case(name, f"{type(error).__name__}: {error}")
    return Case(name)


def _fails(name: str, check: Callable[[], object], refusal: type[Exception]) -> Case:
    """A case that passes when the check refuses on purpose."""
    try:
        check()
    except refusal:
        return Case(name)
    return Case(name, "it was accepted")
