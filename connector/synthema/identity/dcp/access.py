"""Access tokens for our own credential service, and the self-issued tokens that carry them.

An access token says which verifier may read which of our credentials, until
when. Only we have to understand it, so it is sealed with a secret of ours and
signed with no key: nobody could ever mistake it for something the party signed.

Source: Decentralized Claims Protocol 1.0.1, "Verifiable Presentation Access Token" and "Submitting an Access Token".
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from synthema.canonical import canonical_json, parse_json_strictly
from synthema.clock import Clock
from synthema.errors import DeniedError, InputError
from synthema.identity import tokens
from synthema.identity.dcp.kinds import KINDS
from synthema.identity.dcp.scopes import Scope, of_type, read_scope
from synthema.identity.keys import SecretSource, Signer
from synthema.identity.multibase import decode_base64url, encode_base64url

LIFETIME: Final = timedelta(minutes=2)
_SECRET: Final = "dcp/access-token"  # noqa: S105 - the name of a secret
_MAX_LENGTH: Final = 4096
EVERYTHING: Final = tuple(of_type(type_) for type_ in KINDS)
"""What a peer may read of us unless it is narrowed: the credentials that say what we are in the data space."""


class Keys(Signer, SecretSource, Protocol):
    """Signs, and hands out secrets by name."""


@dataclass(frozen=True, slots=True)
class Access:
    """What an access token of ours allows."""

    bearer: str
    scopes: tuple[Scope, ...]
    until: datetime


class SecureTokenService:
    """Makes the tokens by which one party shows who it is, and reads back its own access tokens."""

    def __init__(self, did: str, keys: Keys, clock: Clock) -> None:
        self.did = did
        self._keys = keys
        self._clock = clock

    def token(
        self, audience: str, scopes: Iterable[Scope] | None = EVERYTHING, *, lifetime: timedelta = LIFETIME
    ) -> str:
        """A self-issued ID token for one verifier; with ``scopes`` it lets the verifier read credentials of ours."""
        claims = {} if scopes is None else {tokens.ACCESS: self.access_token(audience, scopes, lifetime=lifetime)}
        return tokens.mint(self._keys, self.did, audience, self._clock, lifetime, claims)

    def answer(self, audience: str, access_token: str) -> str:
        """A self-issued ID token that hands a party's access token back to that party."""
        return tokens.mint(self._keys, self.did, audience, self._clock, LIFETIME, {tokens.ACCESS: access_token})

    def access_token(self, bearer: str, scopes: Iterable[Scope], *, lifetime: timedelta = LIFETIME) -> str:
        """An access token that only ``bearer`` (DID) can use."""
        until = int((self._clock.now() + lifetime).timestamp())
        payload = canonical_json({"bearer": bearer, "scopes": sorted(map(str, scopes)), "until": until})
        return f"{encode_base64url(payload)}.{encode_base64url(self._seal(payload))}"

    def read_access(self, access_token: object, bearer: str) -> Access:
        """What an access token allows this bearer; raises :class:`DeniedError` where it allows nothing."""
        if not isinstance(access_token, str) or len(access_token) > _MAX_LENGTH:
            raise _refused("there is none")
        body, _, seal = access_token.partition(".")
        try:
            payload = decode_base64url(body)
            sealed = hmac.compare_digest(self._seal(payload), decode_base64url(seal))
        except InputError as error:
            raise _refused("it cannot be read") from error
        if not sealed:
            raise _refused("it was not made here")
        values = parse_json_strictly(payload, max_depth=4)
        if values["bearer"] != bearer:
            raise _refused("it was made for another party")
        until = datetime.fromtimestamp(values["until"], UTC)
        if until + tokens.LEEWAY <= self._clock.now():
            raise _refused("it has expired")
        return Access(bearer, tuple(read_scope(scope) for scope in values["scopes"]), until)

    def _seal(self, payload: bytes) -> bytes:
        return hmac.digest(self._keys.secret(_SECRET), payload, hashlib.sha256)


def _refused(reason: str) -> DeniedError:
    return DeniedError(
        f"the access token is refused: {reason}",
        fix="send the 'token' claim of a fresh self-issued token of the party whose credentials you ask for",
    )
