"""What other parties have shown us to be: asked for once, remembered while it is valid, and looked at again.

A party is let in when it shows the credentials that are required, by issuers we
trust. What it showed is kept for as long as it is valid; whether it was revoked
is asked again every few minutes. When that cannot be found out, the party waits
outside: not knowing is not knowing that all is well.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select, update

from synthema.canonical import digest
from synthema.clock import Clock
from synthema.errors import DeniedError, PeerError, SynthemaError
from synthema.identity import tokens
from synthema.identity.dcp import messages as m
from synthema.identity.dcp.access import SecureTokenService
from synthema.identity.dcp.holder import Post
from synthema.identity.dcp.kinds import KINDS, MEMBERSHIP
from synthema.identity.dcp.scopes import of_type
from synthema.identity.dcp.store import ClaimsLog, ClaimStep, verified_claims
from synthema.identity.dcp.verification import Claim, VerificationError, Verifier
from synthema.storage import Database

STATUS_AGE: Final = timedelta(minutes=5)
"""How old the last look at a status list may be when its party calls."""

FACT_AGE: Final = timedelta(hours=1)
"""How old that look may be for a claim to count as a fact in a decision."""


@dataclass(frozen=True, slots=True)
class Known:
    """A verified claim, and when its status was looked at last."""

    claim: Claim
    checked_at: datetime


class Counterparties:
    """Asks, verifies and remembers.

    ``believed`` tells the kinds that some issuer is trusted for: a membership is
    required as soon as anybody is trusted to issue one; the others are welcome.
    Nothing is asked of the ``exempt``.
    """

    def __init__(
        self,
        database: Database,
        log: ClaimsLog,
        verifier: Verifier,
        peers: Post,
        sts: SecureTokenService,
        clock: Clock,
        *,
        believed: Callable[[], Collection[str]],
        exempt: Collection[str] = (),
    ) -> None:
        self._database = database
        self._log = log
        self._verifier = verifier
        self._peers = peers
        self._sts = sts
        self._clock = clock
        self._believed = believed
        self._exempt = frozenset(exempt)
        self._known: dict[str, dict[str, Known]] = {}
        self._locks: dict[str, Lock] = {}
        self._guard = Lock()

    def required_of(self, did: str) -> tuple[str, ...]:
        """The kinds without which a party is not let in."""
        return (MEMBERSHIP,) if did not in self._exempt and MEMBERSHIP in self._believed() else ()

    def admit(self, caller: tokens.Claims) -> tuple[Claim, ...]:
        """What the party that sent a token is; nothing is asked where nothing is required.

        Raises :class:`VerificationError` or :class:`DeniedError` where it does not
        show what is required, :class:`PeerError` where that cannot be found out now.
        """
        required = self.required_of(caller.issuer)
        if not required:
            return ()
        access = caller.values.get(tokens.ACCESS)
        if not isinstance(access, str):
            raise DeniedError(
                "the token does not let this connector ask for credentials",
                fix="send a self-issued token with a 'token' claim for your credential service",
            )
        with self._lock_of(caller.issuer):
            if not self._has(caller.issuer, required):
                self._ask(caller.issuer, access, required)
            return tuple(self._looked_at(caller.issuer, type_).claim for type_ in required)

    def claims_of(self, did: str, at: datetime) -> tuple[Claim, ...]:
        """What is known of a party at a moment, without asking anybody: valid, and looked at not long ago."""
        return tuple(
            known.claim
            for known in self._remembered(did).values()
            if known.claim.counts_at(at) and at - known.checked_at <= FACT_AGE
        )

    def all(self) -> dict[str, tuple[Known, ...]]:
        """Everything that is remembered, by party."""
        with self._database.read() as connection:
            found = sorted(set(connection.execute(select(verified_claims.c.subject)).scalars()))
        return {did: tuple(self._remembered(did).values()) for did in found}

    def refresh(self) -> None:
        """Look at the status of all that is remembered; what does not hold any more is forgotten."""
        for did in self.all():
            for type_ in tuple(self._remembered(did)):
                try:
                    with self._lock_of(did):
                        self._looked_at(did, type_)
                except (SynthemaError, KeyError):
                    continue  # a revoked one is forgotten; the others count for as long as their last look does

    def _has(self, did: str, kinds: Collection[str]) -> bool:
        now, known = self._clock.now(), self._remembered(did)
        return all(type_ in known and known[type_].claim.counts_at(now) for type_ in kinds)

    def _ask(self, did: str, access_token: str, required: Collection[str]) -> None:
        claims = list(self._presented(did, access_token, required))
        welcome = sorted(set(self._believed()) - set(required))
        if welcome:
            with suppress(VerificationError, DeniedError, PeerError):  # what is welcome but not shown says nothing
                claims += self._presented(did, access_token, welcome, all_of_them=False)
        self._database.write(lambda connection: self._remember(connection, did, claims))
        with self._guard:
            self._known.pop(did, None)

    def _presented(
        self, did: str, access_token: str, kinds: Collection[str], *, all_of_them: bool = True
    ) -> tuple[Claim, ...]:
        query = m.PresentationQuery(scope=[str(of_type(kind)) for kind in kinds])
        status, _, value = self._peers.post_service(
            did,
            "CredentialService",
            "/presentations/query",
            query.wire(),
            token=self._sts.answer(did, access_token),
        )
        if not 200 <= status < 300:
            refused = PeerError if status >= 500 else DeniedError
            raise refused(
                f"{did} does not show its credentials: its credential service answered {status}",
                fix="send a token whose 'token' claim your credential service accepts from this connector",
            )
        answer = m.read(m.PresentationResponse, value)
        if all_of_them:
            return self._verifier.response(answer, did, kinds)
        return tuple(claim for each in answer.presentation for claim in self._verifier.presentation(each, did, kinds))

    def _remember(self, connection: Connection, did: str, claims: list[Claim]) -> None:
        connection.execute(delete(verified_claims).where(verified_claims.c.subject == did))
        for claim in {claim.type: claim for claim in claims}.values():
            said = claim.subject.model_dump(by_alias=True, mode="json")
            connection.execute(
                insert(verified_claims).values(
                    subject=did,
                    type=claim.type,
                    credential_id=claim.id,
                    issuer=claim.issuer,
                    said=said,
                    valid_from=claim.valid_from,
                    valid_until=claim.valid_until,
                    status=[dict(entry) for entry in claim.status],
                    verified_at=claim.at,
                    checked_at=claim.at,
                )
            )
            told = {"credentialType": claim.type, "credentialIssuer": claim.issuer}
            step = ClaimStep("ClaimVerified", did, claim.at, claim.id, digest(said), told)
            self._log.record_claim_step(connection, step)

    def _looked_at(self, did: str, type_: str) -> Known:
        """A remembered claim whose status was looked at lately, by looking now if need be."""
        known, now = self._remembered(did)[type_], self._clock.now()
        if timedelta(0) <= now - known.checked_at < STATUS_AGE:
            return known
        own = (verified_claims.c.subject == did) & (verified_claims.c.type == type_)
        try:
            self._verifier.check_status(known.claim)
        except VerificationError:
            self._database.write(lambda connection: connection.execute(delete(verified_claims).where(own)))
            self._known.pop(did, None)
            raise
        checked = update(verified_claims).where(own).values(checked_at=now)
        self._database.write(lambda connection: connection.execute(checked))
        fresh = Known(known.claim, now)
        self._known[did] = self._remembered(did) | {type_: fresh}
        return fresh

    def _remembered(self, did: str) -> dict[str, Known]:
        with self._guard:
            known = self._known.get(did)
        if known is None:
            query = select(verified_claims).where(verified_claims.c.subject == did)
            with self._database.read() as connection:
                known = {row["type"]: _known(row) for row in connection.execute(query).mappings()}
            with self._guard:
                self._known[did] = known
        return known

    def _lock_of(self, did: str) -> Lock:
        with self._guard:
            return self._locks.setdefault(did, Lock())


def _known(row: Any) -> Known:
    claim = Claim(
        row["credential_id"],
        row["type"],
        row["issuer"],
        KINDS[row["type"]].read(row["said"]),
        row["valid_from"],
        row["valid_until"],
        tuple(row["status"]),
        row["verified_at"],
    )
    return Known(claim, row["checked_at"])
