from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from synthema.clock import FixedClock, to_text
from synthema.errors import InputError, IntegrityError, NotFoundError, PeerError
from synthema.identity import (
    DidResolver,
    FileSigner,
    PersonKey,
    StatusList,
    credentials,
    did_document,
    status_entry,
    status_list_credential,
)
from synthema.identity.multibase import decode_base58btc, encode_base58btc
from tests.unit.identity.conftest import HOSPITAL, PASSPHRASE, REGISTRY, Web

LIST = "https://hospital.example/status/1"


@pytest.fixture
def plain(clock: FixedClock) -> dict[str, Any]:
    return {
        "@context": ["https://www.w3.org/ns/credentials/v2", "https://w3id.org/synthema/credentials/v1"],
        "id": "https://hospital.example/id/certificate/1",
        "type": ["VerifiableCredential", "SyntheticDataCertificate"],
        "issuer": {"id": HOSPITAL, "name": "Hôpital – Beispiel"},
        "validFrom": to_text(clock.now()),
        "validUntil": to_text(clock.now() + timedelta(days=700)),
        "credentialSubject": {"id": "https://hospital.example/id/dataset/1", "rows": 1384, "epsilon": 1.5},
    }


@pytest.fixture
def signed(plain: dict[str, Any], signer: FileSigner, clock: FixedClock) -> dict[str, Any]:
    return credentials.issue(plain, signer, f"{HOSPITAL}#assertion", clock.now())


@pytest.fixture
def listed(signer: FileSigner, clock: FixedClock) -> Callable[..., dict[str, Any]]:
    def make(*, revoked: int | None = None, purpose: Any = "revocation", **changes: Any) -> dict[str, Any]:
        bits = StatusList()
        if revoked is not None:
            bits.set(revoked, True)
        now = clock.now()
        plain = status_list_credential(LIST, HOSPITAL, bits, purpose, now, now + timedelta(days=1)) | changes
        return credentials.issue(plain, signer, f"{HOSPITAL}#assertion", now)

    return make


def fails(check: int, secured: Any, resolver: DidResolver, clock: FixedClock, **arguments: Any) -> None:
    with pytest.raises(IntegrityError, match=f"^.*check {check} of 8 failed"):
        credentials.verify(secured, resolver, clock.now(), **arguments)


def test_a_credential_verifies(signed: dict[str, Any], resolver: DidResolver, clock: FixedClock) -> None:
    verified = credentials.verify(signed, resolver, clock.now())
    assert verified.issuer == HOSPITAL
    assert verified.types == ("VerifiableCredential", "SyntheticDataCertificate")
    assert verified.signers == (f"{HOSPITAL}#assertion",)
    assert verified.subject["rows"] == 1384
    assert verified.valid_from == clock.now()


def test_an_outside_reader_verifies_it(
    signed: dict[str, Any], signer: FileSigner, clock: FixedClock, plain: dict[str, Any]
) -> None:
    from openvc.proof.di_jcs import EddsaJcsProofSuite
    from openvc.proof.errors import ProofError

    jwk = _jwk(signer.public_key("assertion"))
    suite = EddsaJcsProofSuite()
    assert suite.verify(signed, public_key_jwk=jwk, now=clock.now()).issuer == HOSPITAL
    signed["credentialSubject"]["rows"] = 1385
    with pytest.raises(ProofError):
        suite.verify(signed, public_key_jwk=jwk, now=clock.now())


def test_we_verify_what_an_outsider_issued(
    plain: dict[str, Any], web: Web, resolver: DidResolver, clock: FixedClock, signer: FileSigner
) -> None:
    from openvc.keys import Ed25519SigningKey
    from openvc.proof.di_jcs import EddsaJcsProofSuite

    key = Ed25519SigningKey.generate(kid=f"{HOSPITAL}#issuer")
    web.publish(
        "https://hospital.example/.well-known/did.json",
        did_document(HOSPITAL, signer, "https://hospital.example", people={"issuer": key.public_key_raw()}),
    )
    secured = EddsaJcsProofSuite().add_proof(
        plain, signing_key=key, verification_method=f"{HOSPITAL}#issuer", created=clock.now()
    )
    assert credentials.verify(secured, resolver, clock.now()).signers == (f"{HOSPITAL}#issuer",)


def test_an_outside_reader_verifies_the_status_list(
    listed: Callable[..., dict[str, Any]], signer: FileSigner, clock: FixedClock
) -> None:
    from openvc.proof.di_jcs import EddsaJcsProofSuite
    from openvc.status.bitstring import decode_bitstring, get_status_bit

    secured = listed(revoked=4711)
    EddsaJcsProofSuite().verify(secured, public_key_jwk=_jwk(signer.public_key("assertion")), now=clock.now())
    bits = decode_bitstring(secured["credentialSubject"]["encodedList"])
    assert get_status_bit(bits, 4711)
    assert not get_status_bit(bits, 4712)


def _jwk(raw: bytes) -> dict[str, str]:
    from synthema.identity.multibase import encode_base64url

    return {"kty": "OKP", "crv": "Ed25519", "x": encode_base64url(raw)}


def test_a_second_signature_makes_a_proof_set(
    signed: dict[str, Any], resolver: DidResolver, clock: FixedClock, other_signer: FileSigner
) -> None:
    both = credentials.add_proof(signed, other_signer, f"{REGISTRY}#assertion", clock.now())
    assert "proof" in signed
    assert isinstance(signed["proof"], dict)
    assert credentials.verify(both, resolver, clock.now()).signers == (
        f"{HOSPITAL}#assertion",
        f"{REGISTRY}#assertion",
    )
    both["proof"][1]["proofValue"] = both["proof"][0]["proofValue"]
    fails(5, both, resolver, clock)


def test_a_data_protection_officer_signs_with_a_key_of_their_own(
    signed: dict[str, Any], web: Web, resolver: DidResolver, clock: FixedClock, signer: FileSigner, tmp_path: Any
) -> None:
    officer = PersonKey.create(tmp_path / "dpo.pem", PASSPHRASE)
    web.publish(
        "https://hospital.example/.well-known/did.json",
        did_document(HOSPITAL, signer, "https://hospital.example", people={"dpo": officer.public_key}),
    )
    method = f"{HOSPITAL}#dpo"
    options, data = credentials.prepare_proof(signed, method, clock.now())
    apart = credentials.attach_proof(signed, options, officer.sign(data))
    together = credentials.add_proof(signed, officer.as_signer("dpo"), method, clock.now())
    assert apart == together
    assert credentials.verify(apart, resolver, clock.now()).signers[1] == method


def test_every_changed_member_is_noticed(signed: dict[str, Any], resolver: DidResolver, clock: FixedClock) -> None:
    def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        if isinstance(value, dict):
            return [leaf for key, item in value.items() for leaf in leaves(item, (*path, key))]
        if isinstance(value, list):
            return [leaf for key, item in enumerate(value) for leaf in leaves(item, (*path, key))]
        return [path]

    for path in leaves(signed):
        changed = copy.deepcopy(signed)
        parent: Any = changed
        for key in path[:-1]:
            parent = parent[key]
        before = parent[path[-1]]
        parent[path[-1]] = f"{before}x" if isinstance(before, str) else before + 1
        with pytest.raises(IntegrityError):
            credentials.verify(changed, resolver, clock.now())
        del parent[path[-1]]
        with pytest.raises(IntegrityError):
            credentials.verify(changed, resolver, clock.now())


def test_an_added_member_is_noticed(signed: dict[str, Any], resolver: DidResolver, clock: FixedClock) -> None:
    fails(5, signed | {"note": "also for insurance"}, resolver, clock)
    fails(2, signed | {"@context": [*signed["@context"], "https://evil.example/v1"]}, resolver, clock)


@pytest.mark.parametrize(
    ("check", "change"),
    [
        (1, {"@context": "https://www.w3.org/ns/credentials/v2"}),
        (1, {"@context": ["https://www.w3.org/2018/credentials/v1"]}),
        (1, {"type": ["SyntheticDataCertificate"]}),
        (1, {"type": ["VerifiableCredential", 3]}),
        (1, {"issuer": {}}),
        (1, {"credentialSubject": "x"}),
        (2, {"proof": []}),
        (2, {"proof": "x"}),
        (2, {"proof": [{}] * 9}),
        (3, {"issuer": REGISTRY}),
    ],
)
def test_each_malformed_document_fails_at_its_check(
    signed: dict[str, Any], resolver: DidResolver, clock: FixedClock, check: int, change: dict[str, Any]
) -> None:
    fails(check, signed | change, resolver, clock)


@pytest.mark.parametrize(
    ("check", "change"),
    [
        (2, {"type": "Ed25519Signature2020"}),
        (2, {"cryptosuite": "eddsa-rdfc-2022"}),
        (2, {"proofPurpose": "authentication"}),
        (2, {"previousProof": "urn:uuid:1"}),
        (2, {"verificationMethod": None}),
        (4, {"verificationMethod": f"{HOSPITAL}#grant"}),
        (4, {"verificationMethod": HOSPITAL}),
        (5, {"verificationMethod": f"{HOSPITAL}#log"}),
        (5, {"proofValue": "z1"}),
        (5, {"proofValue": "u" + "A" * 80}),
        (5, {"created": "2026-01-01T00:00:00Z"}),
    ],
)
def test_each_malformed_proof_fails_at_its_check(
    signed: dict[str, Any], resolver: DidResolver, clock: FixedClock, check: int, change: dict[str, Any]
) -> None:
    fails(check, signed | {"proof": signed["proof"] | change}, resolver, clock)


def test_two_proofs_by_one_key_are_not_two_signatures(
    signed: dict[str, Any], resolver: DidResolver, clock: FixedClock, signer: FileSigner
) -> None:
    twice = credentials.add_proof(signed, signer, f"{HOSPITAL}#assertion", clock.now())
    fails(2, twice, resolver, clock)


def test_a_stranger_cannot_issue(
    plain: dict[str, Any], resolver: DidResolver, clock: FixedClock, signer: FileSigner
) -> None:
    stranger = "did:web:stranger.example"
    secured = credentials.issue(plain | {"issuer": stranger}, signer, f"{stranger}#assertion", clock.now())
    fails(4, secured, resolver, clock)


def test_a_peer_that_does_not_answer_is_told_apart(
    signed: dict[str, Any], web: Web, resolver: DidResolver, clock: FixedClock
) -> None:
    web.pages.clear()
    with pytest.raises(PeerError):
        credentials.verify(signed, resolver, clock.now())


def test_time_is_checked(
    plain: dict[str, Any], signed: dict[str, Any], resolver: DidResolver, clock: FixedClock, signer: FileSigner
) -> None:
    method = f"{HOSPITAL}#assertion"
    fails(6, credentials.issue(plain, signer, method, clock.now() + timedelta(hours=1)), resolver, clock)
    later = plain | {"validFrom": to_text(clock.now() + timedelta(hours=1))}
    fails(7, credentials.issue(later, signer, method, clock.now()), resolver, clock)
    for text in ("tomorrow", "2026-11-21", 5):
        fails(7, credentials.issue(plain | {"validUntil": text}, signer, method, clock.now()), resolver, clock)
    clock.advance(timedelta(days=701))
    fails(7, signed, resolver, clock)


def test_a_proof_may_expire(
    plain: dict[str, Any], resolver: DidResolver, clock: FixedClock, signer: FileSigner
) -> None:
    options, _ = credentials.prepare_proof(plain, f"{HOSPITAL}#assertion", clock.now())
    options["expires"] = to_text(clock.now() + timedelta(days=1))
    data = credentials._signed_bytes(plain, options)
    secured = credentials.attach_proof(plain, options, signer.sign("assertion", data))
    credentials.verify(secured, resolver, clock.now())
    clock.advance(timedelta(days=1))
    fails(6, secured, resolver, clock)


@pytest.fixture
def revocable(plain: dict[str, Any], signer: FileSigner, clock: FixedClock) -> dict[str, Any]:
    entries = [status_entry(LIST, 94567, "revocation")]
    return credentials.issue(plain | {"credentialStatus": entries}, signer, f"{HOSPITAL}#assertion", clock.now())


def test_status_fails_closed(
    revocable: dict[str, Any], resolver: DidResolver, clock: FixedClock, listed: Callable[..., dict[str, Any]]
) -> None:
    fails(8, revocable, resolver, clock)

    def nowhere(address: str) -> dict[str, Any]:
        raise NotFoundError(address, fix="publish it")

    fails(8, revocable, resolver, clock, status=nowhere)
    credentials.verify(revocable, resolver, clock.now(), lambda _: listed())
    credentials.verify(revocable, resolver, clock.now(), lambda _: listed(revoked=94568))
    fails(8, revocable, resolver, clock, status=lambda _: listed(revoked=94567))
    fails(8, revocable, resolver, clock, status=lambda _: listed(purpose="suspension"))
    fails(8, revocable, resolver, clock, status=lambda _: listed(id="https://hospital.example/status/2"))
    fails(8, revocable, resolver, clock, status=lambda _: listed(validUntil=to_text(clock.now())))
    fails(8, revocable, resolver, clock, status=lambda _: listed() | {"validUntil": "2099-01-01T00:00:00Z"})


def test_another_partys_status_list_is_refused(
    revocable: dict[str, Any], resolver: DidResolver, clock: FixedClock, other_signer: FileSigner
) -> None:
    now = clock.now()
    plain = status_list_credential(LIST, REGISTRY, StatusList(), "revocation", now, now + timedelta(days=1))
    secured = credentials.issue(plain, other_signer, f"{REGISTRY}#assertion", now)
    fails(8, revocable, resolver, clock, status=lambda _: secured)


def test_issuing_refuses_what_verification_would(
    plain: dict[str, Any], signed: dict[str, Any], signer: FileSigner, clock: FixedClock
) -> None:
    with pytest.raises(InputError, match="signed already"):
        credentials.issue(signed, signer, f"{HOSPITAL}#assertion", clock.now())
    with pytest.raises(InputError, match="issuer"):
        credentials.issue(plain, signer, f"{REGISTRY}#assertion", clock.now())
    with pytest.raises(InputError, match="context"):
        credentials.issue(plain | {"@context": []}, signer, f"{HOSPITAL}#assertion", clock.now())
    with pytest.raises(InputError, match="fragment"):
        credentials.add_proof(plain, signer, HOSPITAL, clock.now())


def test_a_signature_has_one_spelling(signed: dict[str, Any], resolver: DidResolver, clock: FixedClock) -> None:
    value = decode_base58btc(signed["proof"]["proofValue"])
    longer = signed | {"proof": signed["proof"] | {"proofValue": encode_base58btc(b"\x00" + value)}}
    fails(5, longer, resolver, clock)
