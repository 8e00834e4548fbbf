"""Verifies what a party presents: twelve numbered checks, each with what to do when it fails.

Nothing is taken from a presentation before it has passed. Only credentials of
the kinds that were asked for are read; whatever else is presented says nothing.

Source: Decentralized Claims Protocol 1.0.1, Verifiable Presentation Protocol, "Presentation Validation".
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from synthema.clock import Clock, from_text
from synthema.errors import DeniedError, InputError, IntegrityError, PeerError, SynthemaError
from synthema.identity import credentials
from synthema.identity.dcp.envelope import Enclosed, Presentation, read_credential, read_presentation
from synthema.identity.dcp.kinds import KINDS, Subject
from synthema.identity.dcp.messages import PresentationResponse
from synthema.identity.did import DidResolver
from synthema.identity.jose import Jws
from synthema.identity.methods import Relationship, key_of
from synthema.identity.statuslist import CONTEXT, is_set
from synthema.identity.tokens import LEEWAY

CHECKS: Final = (
    "the presentation can be read",
    "its holder signed it with a key listed under authentication",
    "the party that calls made it for this connector, and just now",
    "the credential can be read",
    "it names as its issuer the party whose key signed it",
    "the issuer's signature fits, with a key listed under assertionMethod",
    "its issuer is trusted to say this",
    "it is valid now",
    "it is neither revoked nor suspended",
    "it speaks of the party that presents it",
    "it says what its kind of credential must say",
    "everything that was asked for is there",
)
"""What is checked, in this order; an error names the number and the sentence."""

_FIXES: Final = (
    "answer with presentations by the profile vc20-bssl/jwt (a JSON Web Signature of type vp+jwt)",
    "sign presentations with a key that the holder's DID document lists under 'authentication'",
    "make a fresh presentation for this verifier: holder, 'aud' and the times must be right",
    "present credentials of VC 2.0, enveloped (vc+jwt) or with an eddsa-jcs-2022 proof",
    "have the credential issued again, by the issuer it names",
    "have the credential issued again; the issuer may have changed its key since",
    "have the issuer added under [[trusted_issuers]] for this kind, or get the credential from one that is there",
    "ask the issuer for a credential that is valid today",
    "ask the issuer why; a revoked credential never comes back, a new one has to be issued",
    "present credentials that were issued to the party that calls",
    "ask the issuer to issue the credential as its schema says",
    "get the credential that is missing issued and stored, and let this verifier read it (scope)",
)
# Which of our checks a failed check of a credential with an inner proof belongs to.
_INNER: Final = {1: 4, 2: 4, 3: 5, 4: 6, 5: 6, 6: 8, 7: 8, 8: 9}

Trusted = Callable[[str], Collection[str]]
"""The kinds of credential that an issuer (DID) is trusted to issue; none for a stranger."""

StatusSource = Callable[[str], str | Mapping[str, Any]]
"""Finds the signed status list at an address, in either form; raises when it cannot."""


class VerificationError(IntegrityError):
    """Something presented failed one of the numbered :data:`CHECKS`."""

    def __init__(self, check: int, reason: str) -> None:
        sentence = f"check {check} of {len(CHECKS)} failed ({CHECKS[check - 1]}): {reason}"
        super().__init__(sentence, fix=_FIXES[check - 1])
        self.check = check


@dataclass(frozen=True, slots=True)
class Claim:
    """What a credential says of a party, verified at the moment ``at``."""

    id: str
    type: str
    issuer: str
    subject: Subject
    valid_from: datetime | None
    valid_until: datetime | None
    status: tuple[Mapping[str, Any], ...]
    at: datetime

    def counts_at(self, at: datetime) -> bool:
        """Whether it is within its time; its status is another question (:meth:`Verifier.check_status`)."""
        begun = self.valid_from is None or self.valid_from <= at + LEEWAY
        return begun and (self.valid_until is None or at < self.valid_until)


class Verifier:
    """Verifies presentations and credentials for one connector (``did``)."""

    def __init__(self, did: str, resolver: DidResolver, trusted: Trusted, status: StatusSource, clock: Clock) -> None:
        self._did = did
        self._resolver = resolver
        self._trusted = trusted
        self._status = status
        self._clock = clock

    def response(self, answer: PresentationResponse, holder: str, wanted: Collection[str]) -> tuple[Claim, ...]:
        """The claims of the wanted kinds in an answer; raises :class:`VerificationError` with the first failed check.

        When keys or lists cannot be fetched now, :class:`PeerError` is raised
        instead: nothing is known then, and nothing is believed.
        """
        claims = [claim for each in answer.presentation for claim in self.presentation(each, holder, wanted)]
        found = {claim.type for claim in claims}
        if missing := sorted(set(wanted) - found):
            shown = "nothing" if not found else ", ".join(sorted(found))
            raise VerificationError(12, f"no {' and no '.join(missing)}; presented was {shown}")
        return tuple(claims)

    def presentation(self, value: object, holder: str, wanted: Collection[str]) -> tuple[Claim, ...]:
        """The claims of the wanted kinds in one presentation (checks 1 to 11)."""
        try:
            presentation = read_presentation(value)
        except InputError as error:
            raise VerificationError(1, error.message) from error
        self._check_signature(2, presentation.jws, presentation.holder, "authentication", self._clock.now())
        self._check_occasion(presentation, holder)
        asked = [each for each in presentation.enclosed if set(each.types) & set(wanted)]
        return tuple(self._believe(each, holder) for each in asked)

    def credential(self, enclosed: Enclosed, subject: str) -> Claim:
        """What one credential says of a party (checks 4 to 11)."""
        return self._believe(enclosed, subject)

    def check_status(self, claim: Claim) -> None:
        """Check 9 again, for a claim that was verified earlier."""
        for entry in claim.status:
            self._check_entry(entry, claim.issuer)

    def _believe(self, enclosed: Enclosed, subject: str) -> Claim:
        credential, now = enclosed.credential, self._clock.now()
        type_ = self._readable(enclosed)
        if enclosed.jws is None:
            self._check_inner(credential)
        else:
            self._check_envelope(enclosed, now)
        if type_ not in self._trusted(enclosed.issuer):
            raise VerificationError(7, f"{enclosed.issuer[:120]} may not issue a {type_} here")
        begins, ends = self._check_validity(credential, now)
        entries = _entries(credential)
        for entry in entries:
            self._check_entry(entry, enclosed.issuer)
        said = credential.get("credentialSubject")
        if not isinstance(said, Mapping) or said.get("id") != subject:
            raise VerificationError(10, f"its subject is not {subject[:120]}")
        schema = _checked_schema(credential, type_)
        try:
            shape = KINDS[schema].read(said)
        except InputError as error:
            raise VerificationError(11, error.message) from error
        identifier = credential.get("id")
        name = identifier if isinstance(identifier, str) else f"{enclosed.issuer}#unnamed"
        return Claim(name, type_, enclosed.issuer, shape, begins, ends, entries, now)

    def _readable(self, enclosed: Enclosed) -> str:
        """Check 4; returns the kind."""
        context, types = enclosed.credential.get("@context"), enclosed.credential.get("type")
        if not isinstance(context, list) or not context or context[0] != CONTEXT:
            raise VerificationError(4, "@context does not begin with that of VC 2.0")
        if not isinstance(types, list) or "VerifiableCredential" not in types:
            raise VerificationError(4, "its type does not name VerifiableCredential")
        kinds = [type_ for type_ in enclosed.types if type_ in KINDS]
        if len(kinds) != 1:
            raise VerificationError(4, f"its type is {', '.join(enclosed.types)[:120] or 'missing'}")
        return kinds[0]

    def _check_envelope(self, enclosed: Enclosed, now: datetime) -> None:
        """Checks 5, 6 and 8 of a credential that is enveloped in JOSE."""
        jws, issuer = enclosed.jws, enclosed.issuer
        assert jws is not None  # noqa: S101 - asked by the caller
        signer = (jws.kid or "").partition("#")[0] or issuer
        if not issuer or signer != issuer or jws.payload.get("iss", issuer) != issuer:
            raise VerificationError(5, f"it names {issuer[:120] or 'nobody'}, and {signer[:120] or 'nobody'} signed it")
        begun = jws.payload.get("iat", jws.payload.get("nbf"))
        made_at = datetime.fromtimestamp(begun, UTC) if type(begun) is int and 0 <= begun < 2**33 else now
        self._check_signature(6, jws, issuer, "assertionMethod", min(made_at, now))
        for name, late in (("exp", True), ("nbf", False)):
            value = jws.payload.get(name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int):
                raise VerificationError(8, f"'{name}' is not a time")
            if (late and value <= now.timestamp()) or (not late and value > (now + LEEWAY).timestamp()):
                raise VerificationError(8, f"its '{name}' lies in the {'past' if late else 'future'}")

    def _check_inner(self, credential: Mapping[str, Any]) -> None:
        """The checks of a credential that carries its proof inside."""
        try:
            credentials.verify(credential, self._resolver, self._clock.now(), self._json_list)
        except credentials.FailedCheckError as error:
            raise VerificationError(_INNER[error.check], error.reason) from error

    def _check_signature(self, check: int, jws: Jws, did: str, relationship: Relationship, made_at: datetime) -> None:
        try:
            jws.verify(key_of(self._resolver, did, jws.kid, relationship, made_at))
        except (DeniedError, IntegrityError) as error:
            raise VerificationError(check, error.message) from error

    def _check_occasion(self, presentation: Presentation, holder: str) -> None:
        """Check 3: who, for whom, when."""
        now = self._clock.now()
        if presentation.holder != holder:
            raise VerificationError(3, f"it is held by {presentation.holder[:120]}, and {holder[:120]} calls")
        if presentation.jws.payload.get("aud") not in (self._did, [self._did]):
            raise VerificationError(3, "it was made for another verifier")
        try:
            ends, begins, made = (presentation.moment(name) for name in ("exp", "nbf", "iat"))
        except InputError as error:
            raise VerificationError(3, error.message) from error
        if ends is None or ends + LEEWAY <= now:
            raise VerificationError(3, "it has no end, or has expired")
        if any(moment is not None and moment - LEEWAY > now for moment in (begins, made)):
            raise VerificationError(3, "it begins later; compare the clocks of the two machines")

    def _check_validity(self, credential: Mapping[str, Any], now: datetime) -> tuple[datetime | None, datetime | None]:
        begins, ends = _moment(credential, "validFrom"), _moment(credential, "validUntil")
        if begins is not None and begins > now + LEEWAY:
            raise VerificationError(8, f"it is not valid yet: it begins on {begins:%Y-%m-%d %H:%M} UTC")
        if ends is not None and ends <= now:
            raise VerificationError(8, f"it expired on {ends:%Y-%m-%d %H:%M} UTC")
        return begins, ends

    def _check_entry(self, entry: Mapping[str, Any], issuer: str) -> None:
        """Check 9 for one entry: the list is the issuer's, holds by itself, and does not set the bit."""
        address = entry.get("statusListCredential")
        if not isinstance(address, str):
            raise VerificationError(9, "it does not say where its status list lies")
        try:
            listed = self._status_list(self._status(address), issuer)
            stopped = is_set(entry, listed)
        except PeerError:
            raise
        except SynthemaError as error:
            raise VerificationError(9, f"its status list does not hold: {error.message}") from error
        if stopped:
            raise VerificationError(
                9, "it was revoked" if entry["statusPurpose"] == "revocation" else "it is suspended"
            )

    def _status_list(self, found: str | Mapping[str, Any], issuer: str) -> Mapping[str, Any]:
        enclosed = read_credential(found)
        if enclosed.issuer != issuer:
            raise VerificationError(9, "its status list is by another issuer")
        if enclosed.jws is None:
            credentials.verify(enclosed.credential, self._resolver, self._clock.now())
        else:
            self._check_envelope(enclosed, self._clock.now())
        self._check_validity(enclosed.credential, self._clock.now())
        return enclosed.credential

    def _json_list(self, address: str) -> Mapping[str, Any]:
        found = self._status(address)
        if isinstance(found, str):
            raise InputError("its status list is enveloped, and it is not", fix="publish the list in the same form")
        return found


def _entries(credential: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    value = credential.get("credentialStatus", [])
    entries = value if isinstance(value, list) else [value]
    if not all(isinstance(entry, Mapping) for entry in entries):
        raise VerificationError(9, "its status cannot be read")
    return tuple(entries)


def _checked_schema(credential: Mapping[str, Any], type_: str) -> str:
    """The kind whose shape the subject must have; a schema that nobody here knows cannot be said to hold."""
    value = credential.get("credentialSchema")
    for schema in [] if value is None else value if isinstance(value, list) else [value]:
        address = schema.get("id") if isinstance(schema, Mapping) else None
        if not isinstance(address, str) or address.rpartition("/")[2] != KINDS[type_].schema_name:
            raise VerificationError(11, f"its schema is not that of a {type_}")
    return type_


def _moment(credential: Mapping[str, Any], name: str) -> datetime | None:
    text = credential.get(name)
    if text is None:
        return None
    try:
        return from_text(text)
    except (InputError, TypeError) as error:
        raise VerificationError(8, f"'{name}' is not a time") from error
