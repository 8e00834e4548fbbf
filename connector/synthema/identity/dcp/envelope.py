"""Credentials and presentations in their signed forms.

Two forms of credential are read, and never mixed in one presentation:

==========  ==============================================================================================
``jwt``     VC 2.0 enveloped in JOSE (``vc+jwt``): the protocol's profile ``vc20-bssl/jwt``
``ldp``     VC 2.0 with an ``eddsa-jcs-2022`` proof inside, as this connector's certificates and permits
==========  ==============================================================================================

A presentation is always enveloped in JOSE (``vp+jwt``) and signed by its holder.

Sources: VC Data Model 2.0 §4.13 (presentations); Securing Verifiable Credentials using JOSE and COSE §3.1
(both W3C Recommendations, 2025).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from synthema.canonical import parse_json_strictly
from synthema.clock import from_text
from synthema.errors import InputError
from synthema.identity.jose import Jws, read_compact, sign_compact
from synthema.identity.keys import Signer
from synthema.identity.statuslist import CONTEXT
from synthema.ids import new_id

Form = Literal["jwt", "ldp"]

VC_TYPE: Final = "vc+jwt"
VP_TYPE: Final = "vp+jwt"
ENVELOPED: Final = "EnvelopedVerifiableCredential"
MAX_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 32
MAX_CREDENTIALS: Final = 50
LIFETIME: Final = timedelta(minutes=5)
_DATA: Final = f"data:application/{VC_TYPE},"
_FORMATS: Final[Mapping[str, Form]] = {
    "jwt": "jwt", "vc20-bssl/jwt": "jwt", VC_TYPE: "jwt", "VC2_0_JOSE": "jwt",
    "json-ld": "ldp", "ldp_vc": "ldp", "vc20-bssl/eddsa-jcs-2022": "ldp",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Enclosed:
    """A credential as it travels: its form, its text or value, and what it says (proven by nothing yet)."""

    form: Form
    payload: str | Mapping[str, Any]
    credential: Mapping[str, Any]
    jws: Jws | None

    @property
    def types(self) -> tuple[str, ...]:
        """Its types beside ``VerifiableCredential``."""
        found = self.credential.get("type")
        names = found if isinstance(found, list) else [found]
        return tuple(name for name in names if isinstance(name, str) and name != "VerifiableCredential")

    @property
    def issuer(self) -> str:
        """Who is named as its issuer; empty where nobody is."""
        named = self.credential.get("issuer")
        value = named.get("id") if isinstance(named, Mapping) else named
        return value if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class Presentation:
    """A presentation taken apart: who holds it, what it is signed with, what it encloses."""

    jws: Jws
    holder: str
    enclosed: tuple[Enclosed, ...]

    def moment(self, name: str) -> datetime | None:
        """A time among its claims; raises :class:`InputError` where it is none."""
        value = self.jws.payload.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**33:
            raise InputError(f"'{name}' is not a time", fix="give seconds since 1970 as a whole number")
        return datetime.fromtimestamp(value, UTC)


def envelop(credential: Mapping[str, Any], signer: Signer, verification_method: str) -> str:
    """The credential as ``vc+jwt``, signed by its issuer; the signer's key id is the fragment of the method."""
    context, issuer = credential.get("@context"), credential.get("issuer")
    if not isinstance(context, list) or not context or context[0] != CONTEXT or "proof" in credential:
        raise InputError("only an unsigned credential of VC 2.0 can be enveloped", fix=f"put {CONTEXT} first")
    did, _, key = verification_method.partition("#")
    if (issuer.get("id") if isinstance(issuer, Mapping) else issuer) != did:
        raise InputError("the key does not belong to the issuer", fix="sign with a key of the credential's issuer")
    claims = {"iss": did, **credential}
    for claim, member in (("nbf", "validFrom"), ("exp", "validUntil")):
        if member in credential:
            claims[claim] = int(from_text(credential[member]).timestamp())
    return sign_compact(claims, verification_method, lambda data: signer.sign(key, data), typ=VC_TYPE, cty="vc")


def read_credential(payload: str | Mapping[str, Any]) -> Enclosed:
    """A credential in either form; raises :class:`InputError` where it is neither. Proves nothing."""
    if isinstance(payload, Mapping):
        if "proof" not in payload:
            raise InputError("the credential carries no proof", fix="send it with its proof, or as a signed token")
        return Enclosed("ldp", payload, payload, None)
    jws = read_compact(payload, max_bytes=MAX_BYTES, max_depth=MAX_DEPTH)
    if jws.type not in (None, VC_TYPE, "JWT"):
        raise InputError("the signed text is not a credential", fix=f"send a credential of type {VC_TYPE}")
    registered = {"iss", "sub", "aud", "exp", "nbf", "iat", "jti"}
    credential = {name: value for name, value in jws.payload.items() if name not in registered}
    return Enclosed("jwt", payload, credential, jws)


def read_container(payload: str, format_: str) -> Enclosed:
    """A credential as an issuer delivers it, in a format that is known here."""
    form = _FORMATS.get(format_)
    if form is None:
        raise InputError(f"the format '{format_[:60]}' is not known here", fix="deliver it as 'vc20-bssl/jwt'")
    if form == "jwt":
        return read_credential(payload)
    value = parse_json_strictly(payload.encode(), max_bytes=MAX_BYTES, max_depth=MAX_DEPTH)
    if not isinstance(value, dict):
        raise InputError("the credential is not a JSON object", fix="send the credential itself as JSON text")
    return read_credential(value)


def present(
    credentials: Sequence[str | Mapping[str, Any]], holder: str, audience: str, signer: Signer, now: datetime,
    *, key: str,
) -> str:  # fmt: skip
    """A presentation of credentials of one form, for one verifier, for a few minutes."""
    seconds = int(now.timestamp())
    claims = {
        "@context": [CONTEXT],
        "type": ["VerifiablePresentation"],
        "holder": holder,
        "verifiableCredential": [_enclose(credential) for credential in credentials],
        "iss": holder,
        "aud": audience,
        "jti": new_id("presentation"),
        "iat": seconds,
        "nbf": seconds,
        "exp": seconds + int(LIFETIME.total_seconds()),
    }
    return sign_compact(claims, f"{holder}#{key}", lambda data: signer.sign(key, data), typ=VP_TYPE, cty="vp")


def _enclose(credential: str | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(credential, Mapping):
        return credential
    return {"@context": [CONTEXT], "id": _DATA + credential, "type": [ENVELOPED]}


def read_presentation(value: object) -> Presentation:
    """A presentation taken apart; raises :class:`InputError` where it is none that is known here. Proves nothing."""
    if not isinstance(value, str):
        raise InputError(
            "the presentation is not enveloped in JOSE", fix=f"answer by the profile vc20-bssl/jwt ({VP_TYPE})"
        )
    jws = read_compact(value, max_bytes=MAX_BYTES, max_depth=MAX_DEPTH)
    if jws.type not in (None, VP_TYPE, "JWT"):
        raise InputError("the signed text is not a presentation", fix=f"sign it as {VP_TYPE}")
    inner = jws.payload.get("vp", jws.payload)  # some put the presentation into a claim of its own
    if not isinstance(inner, dict) or "VerifiablePresentation" not in _list(inner.get("type")):
        raise InputError("its type does not name VerifiablePresentation", fix="answer with a presentation of VC 2.0")
    holders = {named for named in (jws.payload.get("iss"), inner.get("holder")) if named is not None}
    holder = next(iter(holders), None)
    if len(holders) != 1 or not isinstance(holder, str):
        raise InputError("it does not say, or says in two ways, who holds it", fix="name one holder")
    credentials = inner.get("verifiableCredential", [])
    found = tuple(_enclosed(each) for each in _list(credentials))
    if len(found) > MAX_CREDENTIALS or len({each.form for each in found}) > 1:
        raise InputError("it holds too many credentials, or mixes two forms", fix="present each form by itself")
    return Presentation(jws, holder, found)


def _enclosed(value: object) -> Enclosed:
    if isinstance(value, str):
        return read_credential(value)
    if not isinstance(value, dict):
        raise InputError("it holds something that is no credential", fix="present credentials only")
    if ENVELOPED not in _list(value.get("type")):
        return read_credential(value)
    address = value.get("id")
    if not isinstance(address, str) or not address.startswith(_DATA):
        raise InputError("an enveloped credential does not hold its text", fix=f"write it into 'id' after {_DATA}")
    return read_credential(address.removeprefix(_DATA))


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
