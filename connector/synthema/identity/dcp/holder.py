"""The holder's side: answers verifiers, asks issuers for credentials, takes in what they deliver and offer.

Source: Decentralized Claims Protocol 1.0.1, "Resolution API", "Storage API", "Credential Request", "Credential Offer".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import Connection, insert, select, update

from synthema.canonical import digest
from synthema.clock import Clock
from synthema.errors import ConflictError, DeniedError, InputError, PeerError
from synthema.identity import tokens
from synthema.identity.dcp import messages as m
from synthema.identity.dcp.access import SecureTokenService
from synthema.identity.dcp.envelope import read_container
from synthema.identity.dcp.scopes import read_scope
from synthema.identity.dcp.store import ClaimsLog, ClaimStep, credential_offers, credential_requests
from synthema.identity.dcp.wallet import Checked, Wallet, payload_text
from synthema.ids import new_id
from synthema.storage import Database


class Post(Protocol):
    """Sends a message to another party's service, with our self-issued token; ``dataspace.PeerClient`` does it."""

    def post_service(
        self, did: str, service: str, path: str, json: Mapping[str, Any], *, token: str | None = None
    ) -> tuple[int, Mapping[str, str], Any]:
        """Post to ``path`` below a service that the party's DID document names; status, headers and JSON."""
        ...

    def get_service(self, did: str, service: str, path: str) -> Any:
        """The JSON value at a path below a service; raises :class:`PeerError` for anything but success."""
        ...


class CredentialService:
    """What the credential service of one connector does with the messages of verifiers and issuers."""

    def __init__(
        self, database: Database, log: ClaimsLog, wallet: Wallet, sts: SecureTokenService, peers: Post, clock: Clock
    ) -> None:
        self._database = database
        self._log = log
        self.wallet = wallet
        self._sts = sts
        self._peers = peers
        self._clock = clock

    def query(self, caller: tokens.Claims, query: m.PresentationQuery) -> m.PresentationResponse:
        """Presentations for a verifier, within what the access token it brings allows.

        Scopes it is not entitled to make the answer smaller, not wrong. Raises
        :class:`DeniedError` where the access token is not good for this verifier.
        """
        access = self._sts.read_access(caller.values.get(tokens.ACCESS), caller.issuer)
        asked = [read_scope(text) for text in query.scope or ()]
        return m.PresentationResponse(presentation=list(self.wallet.present(asked, access.scopes, caller.issuer)))

    def delivered(self, caller: tokens.Claims, message: m.CredentialMessage) -> None:
        """Take in what an issuer answers to a request of ours: credentials, which are verified first, or a refusal.

        Raises :class:`DeniedError` for an answer that nobody here asked this issuer for.
        """
        request = self._request(message.holder_pid, caller.issuer)
        if request["status"] == message.status and all(map(self._holds, message.credentials)):
            return  # said before; the issuer did not hear our answer
        checked = [self._checked(container, caller.issuer) for container in message.credentials]

        def work(connection: Connection) -> None:
            self._settle(connection, message)
            for each in checked:
                self.wallet.keep_within(connection, each)

        self._database.write(work)

    def offered(self, caller: tokens.Claims, offer: m.CredentialOffer) -> str:
        """Note an offer of an issuer; whether to ask for the credentials is a person's decision. Returns its id."""
        if offer.issuer != caller.issuer:
            raise DeniedError("the offer is another issuer's than the token's", fix="offer your own credentials")
        known = None
        if any(each.credential_type is None for each in offer.credentials):
            answer = m.read(m.IssuerMetadata, self._peers.get_service(caller.issuer, "IssuerService", "/metadata"))
            known = {each.id: each for each in answer.credentials_supported}
        offered = []
        for each in offer.credentials:
            found = each if known is None or each.credential_type is not None else known.get(each.id)
            if found is None:
                raise InputError(f"the issuer's metadata has no credential '{each.id[:80]}'", fix="offer one it has")
            offered.append({"id": found.id, "type": found.credential_type, "reason": each.offer_reason})
        identifier, now = new_id("offer"), self._clock.now()
        row = {"id": identifier, "issuer": caller.issuer, "credentials": offered, "received_at": now}

        def work(connection: Connection) -> None:
            connection.execute(insert(credential_offers).values(**row))
            step = ClaimStep("CredentialOffered", caller.issuer, now, identifier, digest(offered))
            self._log.record_claim_step(connection, step)

        self._database.write(work)
        return identifier

    def request(self, issuer: str, credentials: Sequence[str], *, by: str | None = None) -> str:
        """Ask an issuer for credentials of its metadata (ids); returns the id of the request.

        The request is kept before it is sent, so that an answer finds it. Raises
        :class:`PeerError` when the issuer did not take it; then it can be sent again.
        """
        pid, now = new_id("request"), self._clock.now()
        row = {
            "holder_pid": pid, "issuer": issuer, "credentials": list(credentials), "status": "REQUESTED",
            "made_at": now, "changed_at": now,
        }  # fmt: skip

        def work(connection: Connection) -> None:
            connection.execute(insert(credential_requests).values(**row))
            said = {"requested": ", ".join(credentials)}
            self._log.record_claim_step(connection, ClaimStep("CredentialRequested", issuer, now, pid, None, said, by))

        self._database.write(work)
        wanted = [m.CredentialReference(id=identifier) for identifier in credentials]
        message = m.CredentialRequest(holder_pid=pid, credentials=wanted)
        status, headers, _ = self._peers.post_service(issuer, "IssuerService", "/credentials", message.wire())
        if status != 201:
            raise PeerError(f"the issuer did not take the request: it answered {status}", fix="ask its operator")
        issuer_pid = headers.get("location", "").rpartition("/")[2] or None
        own = credential_requests.c.holder_pid == pid
        noted = update(credential_requests).where(own).values(issuer_pid=issuer_pid)
        self._database.write(lambda connection: connection.execute(noted))
        return pid

    def requests(self) -> list[dict[str, Any]]:
        """Our requests, the latest first."""
        query = select(credential_requests).order_by(credential_requests.c.made_at.desc())
        with self._database.read() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def offers(self) -> list[dict[str, Any]]:
        """What we were offered, the latest first."""
        query = select(credential_offers).order_by(credential_offers.c.received_at.desc())
        with self._database.read() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def _holds(self, container: m.CredentialContainer) -> bool:
        return self.wallet.holds(payload_text(read_container(container.payload, container.format)))

    def _checked(self, container: m.CredentialContainer, issuer: str) -> Checked:
        checked = self.wallet.check(container.payload, container.format)
        if checked.claim.issuer != issuer or checked.claim.type != container.credential_type:
            raise InputError(
                "what is delivered is another credential than the message says",
                fix="deliver your own credential, with its type as credentialType",
            )
        return checked

    def _request(self, holder_pid: str, issuer: str) -> dict[str, Any]:
        query = select(credential_requests).where(credential_requests.c.holder_pid == holder_pid)
        with self._database.read() as connection:
            row = connection.execute(query).mappings().one_or_none()
        if row is None or row["issuer"] != issuer:
            raise DeniedError("nobody here asked this issuer for it", fix="name the holderPid of our request")
        return dict(row)

    def _settle(self, connection: Connection, message: m.CredentialMessage) -> None:
        open_ = (credential_requests.c.holder_pid == message.holder_pid) & (credential_requests.c.status == "REQUESTED")
        now = self._clock.now()
        values = {
            "status": message.status, "issuer_pid": message.issuer_pid, "reason": message.rejection_reason,
            "changed_at": now,
        }  # fmt: skip
        row = connection.execute(update(credential_requests).where(open_).values(**values).returning(
            credential_requests.c.issuer)).one_or_none()  # fmt: skip
        if row is None:
            raise ConflictError("this request was answered already", fix="offer a new credential instead")
        if message.status == "REJECTED":
            said = {"reason": message.rejection_reason or "no reason was given"}
            step = ClaimStep("CredentialRefused", row.issuer, now, message.holder_pid, None, said)
            self._log.record_claim_step(connection, step)
