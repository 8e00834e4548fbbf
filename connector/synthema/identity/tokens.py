"""Self-issued ID tokens: how one connector proves to another who it is, without anybody in between.

A token is a JSON Web Token that its bearer signed itself, for one verifier, for
a few minutes and for one use. Nothing in it can bring its own key.

Source: Decentralized Claims Protocol 1.0.1, "Self-Issued ID Tokens" and "Validating Self-Issued ID Tokens".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Column, Connection, String, Table, delete, insert, select

from synthema.clock import Clock
from synthema.errors import DeniedError, InputError, IntegrityError
from synthema.identity.did import DidResolver
from synthema.identity.jose import Jws, read_compact, sign_compact
from synthema.identity.keys import Signer
from synthema.identity.methods import key_of
from synthema.identity.versions import current_key
from synthema.ids import new_id
from synthema.storage import Database, UtcDateTime, metadata

KEY_ID = "assertion"
MAX_LIFETIME = timedelta(minutes=10)
LEEWAY = timedelta(seconds=60)
ACCESS: Final = "token"
"""The claim that lets the verifier ask the bearer's credential service for presentations."""

STEPS: Final = (
    "issuer and subject are the same party",
    "it is meant for this verifier",
    "it is signed with a key the party lists under capabilityInvocation",
    "the party's DID document is its own",
    "it is valid already",
    "it has not expired",
    "it was not used before",
)
"""How :func:`verify` goes about it; a refusal names the number and the sentence."""

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
            raise refused(7, "it was used before")
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
    payload = {"sub": issuer} | values
    payload |= {"iss": issuer, "aud": audience, "jti": new_id("token")}
    payload |= {"iat": now, "nbf": now, "exp": now + int(lifetime.total_seconds())}
    key = current_key(signer, KEY_ID)
    return sign_compact(payload, f"{issuer}#{key}", lambda data: signer.sign(key, data))


def verify(token: str, audience: str, resolver: DidResolver, clock: Clock, replay: ReplayStore) -> Claims:
    """Take a token through all of :data:`STEPS` and spend it.

    Raises :class:`DeniedError` whatever is wrong with it, and
    :class:`~synthema.errors.PeerError` when the issuer's keys cannot be read now.
    """
    jws = _read(token)
    payload = jws.payload
    issuer, subject = _require_text(1, payload, "iss"), _require_text(1, payload, "sub")
    if issuer != subject:
        raise refused(1, "it speaks of another party than the one that issued it")
    # A token for several audiences could be carried from one to the next.
    if payload.get("aud") not in (audience, [audience]):
        raise refused(2, "it is meant for another audience")
    _check_signature(jws, issuer, resolver, clock.now())
    issued_at, expires_at = _check_times(payload, clock.now())
    token_id = _require_text(7, payload, "jti")
    replay.spend(issuer, token_id, expires_at, clock.now())
    rest = {name: value for name, value in payload.items() if name not in _REGISTERED}
    return Claims(issuer, subject, audience, token_id, issued_at, expires_at, rest)


def refused(step: int, reason: str, fix: str = "ask the issuer for a new token for this audience") -> DeniedError:
    """The one answer to a token that is not good; it does not repeat the token."""
    return DeniedError(f"the token is refused at step {step} of {len(STEPS)} ({STEPS[step - 1]}): {reason}", fix=fix)


def _read(token: str) -> Jws:
    try:
        jws = read_compact(token)
    except InputError as error:
        raise refused(3, f"it is not a signed JSON Web Token: {error.message}") from error
    if jws.type not in (None, "JWT"):
        raise refused(3, "it is a signed text of another kind")
    return jws


def _check_signature(jws: Jws, issuer: str, resolver: DidResolver, now: datetime) -> None:
    """Steps 3 and 4: the resolver gives the party's own document only."""
    try:
        key = key_of(resolver, issuer, jws.kid, "capabilityInvocation", now)
    except DeniedError as error:
        raise refused(3, error.message, error.fix) from error
    try:
        jws.verify(key)
    except IntegrityError as error:
        raise refused(3, f"its signature is not the issuer's: {error.message}") from error


def _check_times(payload: Mapping[str, Any], now: datetime) -> tuple[datetime, datetime]:
    """Steps 5 and 6, with a minute's leeway for clocks that differ."""
    issued_at, expires_at = _require_moment(5, payload, "iat"), _require_moment(6, payload, "exp")
    not_before = _require_moment(5, payload, "nbf") if "nbf" in payload else issued_at
    if not_before - LEEWAY > now or issued_at - LEEWAY > now:
        raise refused(5, "it begins later; compare the clocks of the two machines")
    if expires_at + LEEWAY <= now:
        raise refused(6, f"it ended at {expires_at:%Y-%m-%d %H:%M:%S} UTC")
    if not timedelta(0) < expires_at - issued_at <= MAX_LIFETIME:
        raise refused(6, "it lives longer than ten minutes, or ends before it begins")
    return issued_at, expires_at


def _require_moment(step: int, payload: Mapping[str, Any], name: str) -> datetime:
    value = payload.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**33:
        raise refused(step, f"its claim '{name}' is missing or not a time")
    return datetime.fromtimestamp(value, UTC)


def _require_text(step: int, payload: Mapping[str, Any], name: str) -> str:
    value = payload.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 512:
        raise refused(step, f"its claim '{name}' is missing or not a text")
    return value
