"""The issuer's side: takes requests for credentials, lets people decide, and delivers what was decided.

A request is acknowledged at once and answered later: the answer is written into
the holder's credential service, and tried again until it is there.

Source: Decentralized Claims Protocol 1.0.1, Credential Issuance Protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Protocol

from sqlalchemy import Connection, insert, select, update

from synthema.clock import Clock
from synthema.errors import ConflictError, InputError, NotFoundError, SynthemaError
from synthema.identity import tokens
from synthema.identity.dcp import messages as m
from synthema.identity.dcp.holder import Post
from synthema.identity.dcp.kinds import KINDS
from synthema.identity.dcp.store import ClaimsLog, ClaimStep, issuance_requests
from synthema.ids import new_id
from synthema.storage import Database


class Issues(Protocol):
    """Makes credentials and keeps their status: the authority of a data space does it."""

    def issue_within(
        self,
        connection: Connection,
        holder: str,
        type_: str,
        said: Mapping[str, Any],
        lifetime: timedelta,
        *,
        by: str | None = None,
    ) -> str:
        """A signed credential (``vc+jwt``) that says something of ``holder`` (DID), within the caller's transaction."""
        ...


class IssuerService:
    """What an issuer does with requests; ``services`` is the public address of its service."""

    def __init__(
        self,
        database: Database,
        log: ClaimsLog,
        issues: Issues,
        peers: Post,
        did: str,
        services: str,
        clock: Clock,
    ) -> None:
        self._database = database
        self._log = log
        self._issues = issues
        self._peers = peers
        self._did = did
        self._services = services
        self._clock = clock

    def metadata(self) -> m.IssuerMetadata:
        """Who issues here, and what; the id of an entry is the type of the credential."""
        entries = m.supported(((type_, type_) for type_ in KINDS), f"{self._services}/schemas")
        return m.IssuerMetadata(issuer=self._did, credentials_supported=entries)

    def requested(self, caller: tokens.Claims, request: m.CredentialRequest) -> str:
        """Note a request; returns its id (issuerPid). The same request again is the same request."""
        types = [reference.id for reference in request.credentials]
        if unknown := next((type_ for type_ in types if type_ not in KINDS), None):
            raise InputError(f"there is no credential '{unknown[:80]}' here", fix="ask for one of our metadata")
        pid, now = new_id("issuance"), self._clock.now()
        row = {
            "issuer_pid": pid, "holder": caller.issuer, "holder_pid": request.holder_pid, "types": types,
            "status": "RECEIVED", "received_at": now,
        }  # fmt: skip
        same = (issuance_requests.c.holder == caller.issuer) & (issuance_requests.c.holder_pid == request.holder_pid)

        def work(connection: Connection) -> str:
            known = connection.execute(select(issuance_requests).where(same)).mappings().one_or_none()
            if known is not None and known["types"] != types:
                raise ConflictError("this holderPid names another request already", fix="choose a new holderPid")
            if known is not None:
                return str(known["issuer_pid"])
            connection.execute(insert(issuance_requests).values(**row))
            said = {"requested": ", ".join(types)}
            self._log.record_claim_step(connection, ClaimStep("IssuanceRequested", caller.issuer, now, pid, None, said))
            return pid

        return self._database.write(work)

    def status(self, caller: tokens.Claims, issuer_pid: str) -> m.CredentialStatus:
        """How far a request is, for the party that made it; :class:`NotFoundError` for everybody else."""
        row = self._row(issuer_pid)
        if row["holder"] != caller.issuer:
            raise _unknown()
        return m.CredentialStatus(issuer_pid=issuer_pid, holder_pid=row["holder_pid"], status=row["status"])

    def approve(
        self, issuer_pid: str, said: Mapping[str, Mapping[str, Any]], lifetime: timedelta, *, by: str | None = None
    ) -> None:
        """Issue what a request asks for; ``said`` gives, by type, what each credential says of the holder."""

        def work(connection: Connection) -> None:
            row = self._open(connection, issuer_pid)
            containers = [
                m.CredentialContainer(
                    credential_type=type_,
                    payload=self._issues.issue_within(
                        connection, row["holder"], type_, said.get(type_, {}), lifetime, by=by
                    ),
                    format=m.PROFILE,
                ).model_dump(by_alias=True)
                for type_ in row["types"]
            ]
            self._decide(connection, issuer_pid, {"status": "ISSUED", "credentials": containers})
            said_in_log = {"requested": ", ".join(row["types"])}
            step = ClaimStep("IssuanceApproved", row["holder"], self._clock.now(), issuer_pid, None, said_in_log, by)
            self._log.record_claim_step(connection, step)

        self._database.write(work)

    def refuse(self, issuer_pid: str, reason: str, *, by: str | None = None) -> None:
        """Refuse a request; the holder is told the reason."""
        if not reason.strip():
            raise InputError("no reason is given", fix="say why in one sentence; the holder reads it")

        def work(connection: Connection) -> None:
            row = self._open(connection, issuer_pid)
            self._decide(connection, issuer_pid, {"status": "REJECTED", "reason": reason.strip()})
            step = ClaimStep("IssuanceRefused", row["holder"], self._clock.now(), issuer_pid, None,
                             {"reason": reason.strip()}, by)  # fmt: skip
            self._log.record_claim_step(connection, step)

        self._database.write(work)

    def deliver(self) -> tuple[str, ...]:
        """Write what was decided into the holders' credential services; returns what could not be handed over."""
        problems: list[str] = []
        due = (issuance_requests.c.decided_at.is_not(None)) & (issuance_requests.c.delivered_at.is_(None))
        with self._database.read() as connection:
            rows = [dict(row) for row in connection.execute(select(issuance_requests).where(due)).mappings()]
        for row in rows:
            try:
                status, _, _ = self._peers.post_service(
                    row["holder"], "CredentialService", "/credentials", _message(row).wire()
                )
            except SynthemaError as error:
                problems.append(error.message)
                continue
            if not 200 <= status < 300:
                problems.append(f"{row['holder']} answered {status} to what was issued to it")
                continue
            self._delivered(row["issuer_pid"])
        return tuple(problems)

    def offer(self, holder: str, types: list[str], reason: str) -> None:
        """Tell a holder that it may ask for credentials, e.g. because they are to be issued again."""
        entries = {entry.id: entry for entry in self.metadata().credentials_supported}
        offered = [entries[type_].model_copy(update={"offer_reason": reason}) for type_ in types]
        message = m.CredentialOffer(issuer=self._did, credentials=offered)
        status, _, _ = self._peers.post_service(holder, "CredentialService", "/offers", message.wire())
        if not 200 <= status < 300:
            raise ConflictError(f"the holder answered {status} to the offer", fix="ask the holder's operator")

    def all(self) -> list[dict[str, Any]]:
        """Every request, the latest first."""
        query = select(issuance_requests).order_by(issuance_requests.c.received_at.desc())
        with self._database.read() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def _open(self, connection: Connection, issuer_pid: str) -> Any:
        own = issuance_requests.c.issuer_pid == issuer_pid
        row = connection.execute(select(issuance_requests).where(own)).mappings().one_or_none()
        if row is None:
            raise _unknown()
        if row["status"] != "RECEIVED":
            raise ConflictError("this request was decided already", fix="offer a new credential instead")
        return row

    def _decide(self, connection: Connection, issuer_pid: str, values: Mapping[str, Any]) -> None:
        own = issuance_requests.c.issuer_pid == issuer_pid
        connection.execute(update(issuance_requests).where(own).values(**values, decided_at=self._clock.now()))

    def _delivered(self, issuer_pid: str) -> None:
        own = issuance_requests.c.issuer_pid == issuer_pid
        # What was handed over is no longer kept here: it is the holder's.
        done = update(issuance_requests).where(own).values(delivered_at=self._clock.now(), credentials=None)
        self._database.write(lambda connection: connection.execute(done))

    def _row(self, issuer_pid: str) -> Any:
        with self._database.read() as connection:
            own = issuance_requests.c.issuer_pid == issuer_pid
            row = connection.execute(select(issuance_requests).where(own)).mappings().one_or_none()
        if row is None:
            raise _unknown()
        return row


def _message(row: Mapping[str, Any]) -> m.CredentialMessage:
    return m.CredentialMessage(
        issuer_pid=row["issuer_pid"],
        holder_pid=row["holder_pid"],
        status=row["status"],
        credentials=[m.CredentialContainer.model_validate(each) for each in row["credentials"] or ()],
        rejection_reason=row["reason"],
    )


def _unknown() -> NotFoundError:
    return NotFoundError("there is no such request of this party", fix="use the address that came with the answer")
