"""Tokens between connectors: short-lived, single-use JSON Web Tokens signed with Ed25519 (RFC 7519, RFC 8037).

One algorithm, one key source: the algorithm is pinned, and the key is the one
that ``kid`` names in the DID document of the issuer. Nothing in a token can
bring its own key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Column, Connection, String, Table, delete, insert, select

from synthema.canonical import canonical_json, parse_json_strictly
from synthema.clock import Clock
from synthema.errors import DeniedError, InputError, IntegrityError
from synthema.identity.did import DidResolver
from synthema.identity.keys import Signer, verify_signature
from synthema.identity.multibase import decode_base64url, encode_base64url
from synthema.ids import new_id
from synthema.storage import Database, UtcDateTime, metadata

KEY_ID = "assertion"
MAX_LIFETIME = timedelta(minutes=10)
LEEWAY = timedelta(seconds=60)
MAX_TOKEN_BYTES = 16 * 1024
_REGISTERED = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti"})

used_tokens = Table(
    "used_tokens",
    metadata,
    Column("issuer", String, primary_key=True),
    Column("token_id", String, primary_key=True),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
)


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says. ``values`` are the claims beside the registered ones."""

    issuer: str
    subject: str
    audience: str
    token_id: str
    issued_at: datetime
    expires_at: datetime
    values: Mapping[str, Any]


class ReplayStore:
    """Remembers each token until it has expired, so that it works once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def spend(self, issuer: str, token_id: str, expires_at: datetime, now: datetime) -> None:
        """Mark a token as used; raises :class:`DeniedError` when it was used before."""
        self._database.write(lambda connection: self.spend_within(connection, issuer, token_id, expires_at, now))

    def spend_within(
        self, connection: Connection, issuer: str, token_id: str, expires_at: datetime, now: datetime
    ) -> None:
        """As :meth:`spend`, within the caller's transaction."""
        connection.execute(delete(used_tokens).where(used_tokens.c.expires_at < now))
        same = (used_tokens.c.issuer == issuer) & (used_tokens.c.token_id == token_id)
        if connection.execute(select(used_tokens.c.token_id).where(same)).first() is not None:
            raise refused("it was used before")
        # Its end is kept with the leeway: until then a verifier would still accept it.
        row = {"issuer": issuer, "token_id": token_id, "expires_at": expires_at + LEEWAY}
        connection.execute(insert(used_tokens).values(row))


def mint(
    signer: Signer,
    issuer: str,
    audience: str,
    clock: Clock,
    lifetime: timedelta,
    claims: Mapping[str, Any] | None = None,
) -> str:
    """A token by ``issuer`` (a DID) for one audience; ``lifetime`` is at most ten minutes.

    ``claims`` may set ``sub`` (default: the issuer) and any claim that is not registered.
    """
    values = dict(claims or {})
    if forbidden := (_REGISTERED - {"sub"}) & values.keys():
        raise InputError(f"the claim '{min(forbidden)}' is set by the issuer itself", fix="leave it out")
    if not timedelta(seconds=1) <= lifetime <= MAX_LIFETIME:
        raise InputError("a token lives one second to ten minutes", fix="ask for a shorter lifetime")
    now = int(clock.now().timestamp())
    header = {"alg": "EdDSA", "typ": "JWT", "kid": f"{issuer}#{KEY_ID}"}
    payload = {"sub": issuer} | values
    payload |= {"iss": issuer, "aud": audience, "jti": new_id("token")}
    payload |= {"iat": now, "nbf": now, "exp": now + int(lifetime.total_seconds())}
    signed = f"{encode_base64url(canonical_json(header))}.{encode_base64url(canonical_json(payload))}"
    return f"{signed}.{encode_base64url(signer.sign(KEY_ID, signed.encode()))}"


def verify(token: str, audience: str, resolver: DidResolver, clock: Clock, replay: ReplayStore) -> Claims:
    """Check a token in full and spend it.

    Raises :class:`DeniedError` whatever is wrong with it, and
    :class:`~synthema.errors.PeerError` when the issuer's keys cannot be read now.
    """
    header, payload, signed, signature = _parts(token)
    issuer = _require_text(payload, "iss")
    _check_header(header, issuer)
    key = resolver.verification_key(header["kid"], "authentication")
    try:
        verify_signature(key, signed, signature)
    except IntegrityError as error:
        raise refused("its signature is not the issuer's") from error
    if payload.get("aud") != audience:
        raise refused("it is meant for another audience")
    now = clock.now()
    issued_at, expires_at = _check_times(payload, now)
    token_id = _require_text(payload, "jti")
    replay.spend(issuer, token_id, expires_at, now)
    rest = {name: value for name, value in payload.items() if name not in _REGISTERED}
    return Claims(issuer, _require_text(payload, "sub"), audience, token_id, issued_at, expires_at, rest)


def refused(reason: str) -> DeniedError:
    """The one answer to a token that is not good; it does not repeat the token."""
    return DeniedError(f"the token is refused: {reason}", fix="ask the issuer for a new token for this audience")


def _parts(token: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    parts = token.split(".")
    if len(token) > MAX_TOKEN_BYTES or len(parts) != 3:
        raise refused("it is not a signed JSON Web Token")
    try:
        header = parse_json_strictly(decode_base64url(parts[0]), max_depth=4)
        payload = parse_json_strictly(decode_base64url(parts[1]), max_depth=16)
        signature = decode_base64url(parts[2])
    except InputError as error:
        raise refused("it is not a signed JSON Web Token") from error
    if not isinstance(header, dict) or not isinstance(payload, dict):
        raise refused("it is not a signed JSON Web Token")
    return header, payload, f"{parts[0]}.{parts[1]}".encode(), signature


def _check_header(header: dict[str, Any], issuer: str) -> None:
    # Exactly these members: no embedded keys, no addresses of keys, no critical extensions.
    if header.keys() - {"typ"} != {"alg", "kid"} or header["alg"] != "EdDSA" or header.get("typ", "JWT") != "JWT":
        raise refused("its header must name EdDSA and a key id, and nothing else")
    kid = header["kid"]
    did, _, fragment = kid.partition("#") if isinstance(kid, str) else ("", "", "")
    if did != issuer or not fragment:
        raise refused("its key does not belong to its issuer")


def _check_times(payload: dict[str, Any], now: datetime) -> tuple[datetime, datetime]:
    issued_at, not_before, expires_at = (_require_moment(payload, name) for name in ("iat", "nbf", "exp"))
    if expires_at + LEEWAY <= now:
        raise refused("it has expired")
    if not_before - LEEWAY > now or issued_at - LEEWAY > now:
        raise refused("it is not valid yet")
    if not timedelta(0) < expires_at - issued_at <= MAX_LIFETIME:
        raise refused("it lives longer than ten minutes, or ends before it begins")
    return issued_at, expires_at


def _require_moment(payload: dict[str, Any], name: str) -> datetime:
    value = payload.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**33:
        raise refused(f"its claim '{name}' is missing or not a time")
    return datetime.fromtimestamp(value, UTC)


def _require_text(payload: dict[str, Any], name: str) -> str:
    value = payload.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 512:
        raise refused(f"its claim '{name}' is missing or not a text")
    return value
