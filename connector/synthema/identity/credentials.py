"""Verifiable credentials: W3C VC Data Model 2.0 with Data Integrity proofs ``eddsa-jcs-2022``.

The document is signed in its RFC 8785 form, so nobody has to fetch or process
a JSON-LD context to check it. A credential may carry several proofs (a proof
set): each signs the document alone, and each must hold.

Sources: VC Data Model 2.0; Data Integrity EdDSA Cryptosuites 1.0 §3.3 (both W3C Recommendations, 2025).
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from synthema.canonical import canonical_json
from synthema.clock import from_text
from synthema.errors import DeniedError, InputError, IntegrityError, PeerError, SynthemaError
from synthema.identity.did import DidResolver
from synthema.identity.keys import Signer, verify_signature
from synthema.identity.multibase import decode_base58btc, encode_base58btc
from synthema.identity.statuslist import CONTEXT, is_set

SUITE: Final = "eddsa-jcs-2022"
LEEWAY: Final = timedelta(seconds=60)
MAX_PROOFS: Final = 8

CHECKS: Final = (
    "the document is a credential",
    "its proofs are of a kind that can be checked",
    "one proof is by its issuer",
    "the keys belong to registered parties",
    "the signatures fit the document",
    "the signatures were made before now",
    "the credential is valid now",
    "the credential is neither revoked nor suspended",
)
"""What :func:`verify` checks, in this order; an error names the number and the sentence."""


class FailedCheckError(IntegrityError):
    """A credential failed one of the numbered :data:`CHECKS`: ``check``, for ``reason``."""

    def __init__(self, check: int, reason: str) -> None:
        super().__init__(
            f"check {check} of {len(CHECKS)} failed ({CHECKS[check - 1]}): {reason}",
            fix="do not rely on this credential; ask its issuer",
        )
        self.check = check
        self.reason = reason


StatusLookup = Callable[[str], Mapping[str, Any]]
"""Finds the signed status list credential at an address; raises when it cannot."""


@dataclass(frozen=True, slots=True)
class VerifiedCredential:
    """A credential that passed all of :data:`CHECKS` at the moment ``at``."""

    credential: Mapping[str, Any]
    issuer: str
    types: tuple[str, ...]
    subject: Mapping[str, Any]
    signers: tuple[str, ...]
    valid_from: datetime | None
    valid_until: datetime | None
    at: datetime


def issue(credential: Mapping[str, Any], signer: Signer, verification_method: str, created: datetime) -> dict[str, Any]:
    """The credential with its issuer's proof. The signer's key id is the fragment of ``verification_method``."""
    if "proof" in credential:
        raise InputError("this credential is signed already", fix="use add_proof for a further signature")
    if _identifier(credential.get("issuer")) != verification_method.partition("#")[0]:
        raise InputError("the key does not belong to the issuer", fix="sign with a key of the credential's issuer")
    return add_proof(credential, signer, verification_method, created)


def add_proof(
    credential: Mapping[str, Any], signer: Signer, verification_method: str, created: datetime
) -> dict[str, Any]:
    """The credential with one more proof beside those it has."""
    options, data = prepare_proof(credential, verification_method, created)
    return attach_proof(credential, options, signer.sign(verification_method.partition("#")[2], data))


def prepare_proof(
    credential: Mapping[str, Any], verification_method: str, created: datetime
) -> tuple[dict[str, Any], bytes]:
    """The options of a proof and the 64 bytes to sign, for a key that is held elsewhere."""
    context = credential.get("@context")
    if not isinstance(context, list) or not context or context[0] != CONTEXT:
        raise InputError("the credential does not name its context", fix=f"put {CONTEXT} first in @context")
    if "#" not in verification_method:
        raise InputError("a key is named without its fragment", fix="name it like did:web:host#assertion")
    options = {
        "@context": copy.deepcopy(context),
        "type": "DataIntegrityProof",
        "cryptosuite": SUITE,
        "created": created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "verificationMethod": verification_method,
        "proofPurpose": "assertionMethod",
    }
    return options, _signed_bytes(credential, options)


def attach_proof(credential: Mapping[str, Any], options: Mapping[str, Any], signature: bytes) -> dict[str, Any]:
    """The credential with the proof that :func:`prepare_proof` began and a key holder signed."""
    signed = copy.deepcopy(dict(credential))
    proofs = [*_as_list(signed.pop("proof", [])), {**options, "proofValue": encode_base58btc(signature)}]
    signed["proof"] = proofs if len(proofs) > 1 else proofs[0]
    return signed


def verify(
    credential: Mapping[str, Any], resolver: DidResolver, at: datetime, status: StatusLookup | None = None
) -> VerifiedCredential:
    """Run all of :data:`CHECKS`; raises :class:`IntegrityError` with the first that fails.

    A credential with a status that cannot be looked up fails check 8. When the
    keys or the list cannot be fetched now, :class:`~synthema.errors.PeerError`
    is raised instead: nothing is known then, and the caller may try again.
    """
    issuer, types, subject = _check_document(credential)
    proofs = _check_proofs(credential)
    if not any(proof["verificationMethod"].partition("#")[0] == issuer for proof in proofs):
        raise _failed(3, f"no proof by {issuer}")
    keys = [_key_of(proof, resolver) for proof in proofs]
    for proof, key in zip(proofs, keys, strict=True):
        _check_signature(credential, proof, key)
    for proof in proofs:
        _check_proof_time(proof, at)
    valid_from, valid_until = _check_validity(credential, at)
    for entry in _as_list(credential.get("credentialStatus", [])):
        _check_status(entry, issuer, resolver, at, status)
    signers = tuple(proof["verificationMethod"] for proof in proofs)
    return VerifiedCredential(credential, issuer, types, subject, signers, valid_from, valid_until, at)


def _check_document(credential: Mapping[str, Any]) -> tuple[str, tuple[str, ...], Mapping[str, Any]]:
    context, types = credential.get("@context"), credential.get("type")
    issuer, subject = _identifier(credential.get("issuer")), credential.get("credentialSubject")
    if not isinstance(context, list) or not context or context[0] != CONTEXT:
        raise _failed(1, "@context does not begin with that of VC 2.0")
    if not isinstance(types, list) or "VerifiableCredential" not in types:
        raise _failed(1, "type does not name VerifiableCredential")
    if not all(isinstance(name, str) for name in types) or issuer is None or not isinstance(subject, Mapping):
        raise _failed(1, "type, issuer or credentialSubject is malformed")
    return issuer, tuple(types), subject


def _check_proofs(credential: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    proofs = _as_list(credential.get("proof", []))
    if not 1 <= len(proofs) <= MAX_PROOFS:
        raise _failed(2, f"it has {len(proofs)} proofs")
    for proof in proofs:
        if (
            not isinstance(proof, Mapping)
            or proof.get("type") != "DataIntegrityProof"
            or proof.get("cryptosuite") != SUITE
            or proof.get("proofPurpose") != "assertionMethod"
            or not isinstance(proof.get("verificationMethod"), str)
            or not isinstance(proof.get("proofValue"), str)
            or "previousProof" in proof
        ):
            raise _failed(2, f"a proof is not a Data Integrity proof {SUITE} for assertionMethod")
        # The suite lets a reader accept contexts added after signing; we accept the document as it was signed.
        if proof.get("@context", credential["@context"]) != credential["@context"]:
            raise _failed(2, "its @context is not the one that was signed")
    if len({proof["verificationMethod"] for proof in proofs}) != len(proofs):
        raise _failed(2, "two proofs are by one key")
    return proofs


def _key_of(proof: Mapping[str, Any], resolver: DidResolver) -> bytes:
    try:
        return resolver.verification_key(proof["verificationMethod"], made_at=_moment(6, proof, "created"))
    except (DeniedError, InputError) as error:
        raise _failed(4, error.message) from error


def _check_signature(credential: Mapping[str, Any], proof: Mapping[str, Any], key: bytes) -> None:
    options = {name: value for name, value in proof.items() if name != "proofValue"}
    # The signed options always hold the document's context, whether or not the proof repeats it.
    options["@context"] = credential["@context"]
    try:
        verify_signature(key, _signed_bytes(credential, options), decode_base58btc(proof["proofValue"]))
    except (InputError, IntegrityError) as error:
        raise _failed(5, f"not so the one by {proof['verificationMethod']}") from error


def _check_proof_time(proof: Mapping[str, Any], at: datetime) -> None:
    created = _moment(6, proof, "created")
    expires = _moment(6, proof, "expires")
    if created is None or created > at + LEEWAY:
        raise _failed(6, "a proof has no time, or one in the future")
    if expires is not None and expires <= at:
        raise _failed(6, "a proof has expired")


def _check_validity(credential: Mapping[str, Any], at: datetime) -> tuple[datetime | None, datetime | None]:
    valid_from, valid_until = _moment(7, credential, "validFrom"), _moment(7, credential, "validUntil")
    if valid_from is not None and valid_from > at + LEEWAY:
        raise _failed(7, f"it begins on {valid_from:%Y-%m-%d}")
    if valid_until is not None and valid_until <= at:
        raise _failed(7, f"it ended on {valid_until:%Y-%m-%d}")
    return valid_from, valid_until


def _check_status(entry: Any, issuer: str, resolver: DidResolver, at: datetime, status: StatusLookup | None) -> None:
    address = entry.get("statusListCredential") if isinstance(entry, Mapping) else None
    if status is None or not isinstance(address, str):
        raise _failed(8, "its status cannot be looked up")
    try:
        listed = verify(status(address), resolver, at)
        if listed.issuer != issuer:
            raise _failed(8, "its status list is by another issuer")
        stopped = is_set(entry, listed.credential)
    except PeerError:
        raise
    except SynthemaError as error:
        raise _failed(8, f"its status list does not hold: {error.message}") from error
    if stopped:
        raise _failed(8, "it was revoked" if entry["statusPurpose"] == "revocation" else "it is suspended")


def _signed_bytes(credential: Mapping[str, Any], options: Mapping[str, Any]) -> bytes:
    document = {name: value for name, value in credential.items() if name != "proof"}
    return b"".join(hashlib.sha256(canonical_json(part)).digest() for part in (dict(options), document))


def _moment(check: int, values: Mapping[str, Any], name: str) -> datetime | None:
    text = values.get(name)
    if text is None:
        return None
    try:
        return from_text(text)
    except (InputError, TypeError) as error:
        raise _failed(check, f"'{name}' is not a time") from error


def _identifier(issuer: Any) -> str | None:
    value = issuer.get("id") if isinstance(issuer, Mapping) else issuer
    return value if isinstance(value, str) and value else None


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _failed(check: int, reason: str) -> FailedCheckError:
    return FailedCheckError(check, reason)
