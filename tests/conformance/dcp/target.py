"""The target: our verifier, credential service and issuer service, put together as the product does."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from sqlalchemy import Connection, delete
from starlette.concurrency import run_in_threadpool

from synthema.assembly.claims import CREDENTIAL_SERVICE, Claims
from synthema.clock import SystemClock, to_text
from synthema.config import Peer, Settings, TrustedIssuer
from synthema.dataspace import PeerClient, fetch_did_document
from synthema.dataspace.services import PeerServices
from synthema.errors import NotFoundError
from synthema.identity import DidResolver, FileSigner, did_document
from synthema.identity.dcp import IssuerService, envelop, kind_of, store
from synthema.identity.statuslist import CONTEXT
from synthema.ids import new_id
from synthema.provenance import ProvenanceLog
from synthema.provenance.claims import ClaimsBook
from synthema.storage import Database
from synthema.web.claims import credential_router, issuer_router, token_router
from synthema.web.problems import json_response
from synthema.web.security import Security, install_guards
from tests.conformance.dcp.http import listener, serving, url_of
from tests.conformance.dcp.parties import Party, fresh_signer, now, parties, post
from tests.databases import new_database

ISSUER = "/issuer"
TRIGGER = "/trigger"


class Desk:
    """Makes credentials as an authority does (an ``identity.dcp.Issues``)."""

    def __init__(self, did: str, url: str, signer: FileSigner) -> None:
        self._did, self._url, self._signer = did, url, signer

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
        subject = {**said, "id": holder}
        kind_of(type_).read(subject)
        document = {
            "@context": [CONTEXT],
            "id": f"{self._url}/id/credential/{new_id('credential')}",
            "type": ["VerifiableCredential", type_],
            "issuer": self._did,
            "validFrom": to_text(now()),
            "validUntil": to_text(now() + lifetime),
            "credentialSubject": subject,
        }
        return envelop(document, self._signer, f"{self._did}#assertion")


@dataclass
class Stage:
    """Everybody in a case: the target and those it deals with.

    The ``issuer`` is trusted for memberships and roles; ``quack`` is known and
    trusted for nothing; ``mute`` lists no key for its tokens; ``plain`` has one
    single key; ``double`` publishes another party's document.
    """

    url: str
    did: str
    claims: Claims
    issuing: IssuerService
    database: Database
    log: ProvenanceLog
    holder: Party
    issuer: Party
    third: Party
    quack: Party
    mute: Party
    plain: Party
    double: Party

    @property
    def credential_service(self) -> str:
        return self.url + CREDENTIAL_SERVICE

    @property
    def issuer_service(self) -> str:
        return self.url + ISSUER

    def trigger(self, token: str | None, *, prefix: str = "Bearer ") -> Any:
        """Call the target as a member would."""
        return post(self.url + TRIGGER, {}, token, prefix=prefix)

    def member(self, credential: dict[str, Any] | None = None, **changes: Any) -> None:
        """The holder shows a membership, or a credential given."""
        given = self.issuer.credential(self.holder.did, **changes) if credential is None else credential
        self.holder.shows(self.holder.presented([self.issuer.signed(given)], self.did))

    def reset(self) -> None:
        """Forget what happened in a case."""
        for party in (self.holder, self.issuer, self.third, self.quack, self.mute, self.plain, self.double):
            party.reset()
        tables = (store.verified_claims, store.held_credentials, store.credential_requests, store.credential_offers)
        for table in (*tables, store.issuance_requests):
            self.database.write(lambda connection, table=table: connection.execute(delete(table)))  # type: ignore[misc]
        self.claims.counterparties._known.clear()


@contextlib.contextmanager
def stage() -> Iterator[Stage]:
    """The target and the parties, serving."""
    with tempfile.TemporaryDirectory() as folder, parties(7) as made, listener() as listening:
        holder, issuer, third, quack, mute, plain, double = made
        del mute.document["capabilityInvocation"]
        plain.document["verificationMethod"] = plain.document["verificationMethod"][:1]
        double.document = third.document
        settings = _settings(Path(folder), url_of(listening), issuer, quack, (holder, third, mute, plain, double))
        database = new_database(Path(folder) / "state.sqlite")
        signer = fresh_signer()
        try:
            with PeerClient(settings, signer, SystemClock()) as peers:
                ready = _target(settings, database, made, signer, peers)
                with serving(_app(ready, settings), listening):
                    yield ready
        finally:
            database.close()


def _settings(folder: Path, url: str, issuer: Party, quack: Party, peers: tuple[Party, ...]) -> Settings:
    believed = {"kinds": ("MembershipCredential", "DataspaceRoleCredential")}
    other = {"kinds": ("PermitHolderCredential",)}
    return Settings(
        home=folder,
        mode="demo",
        name="target",
        role="site",
        public_url=url,
        management_url="http://127.0.0.1:1",
        peers=tuple(Peer(did=party.did, url=party.url, role="hub", name="party") for party in peers),
        trusted_issuers=(
            TrustedIssuer(did=issuer.did, url=issuer.url, name="authority", **believed),
            TrustedIssuer(did=quack.did, url=quack.url, name="quack", **other),
        ),
    )


def _target(
    settings: Settings, database: Database, made: tuple[Party, ...], signer: FileSigner, peers: PeerClient
) -> Stage:
    clock = SystemClock()
    log = ProvenanceLog(database, signer, settings.public_url, clock)
    origins = {party.did: party.url for party in made}
    services = [
        {"id": "cs", "type": "CredentialService", "serviceEndpoint": settings.public_url + CREDENTIAL_SERVICE},
        {"id": "is", "type": "IssuerService", "serviceEndpoint": settings.public_url + ISSUER},
    ]
    own = did_document(settings.did, signer, settings.public_url, services)
    resolver = DidResolver(fetch_did_document, origins, clock, own={settings.did: own})

    def nowhere(address: str) -> Mapping[str, Any]:
        raise NotFoundError(f"no status list at {address}", fix="publish it")

    claims = Claims.make(settings, database, log, signer, resolver, peers, clock, origins=origins, own_list=nowhere)
    book, public = ClaimsBook(log, settings.did), settings.public_url
    desk = Desk(settings.did, public, signer)
    issuing = IssuerService(database, book, desk, PeerServices(peers, resolver), settings.did, public + ISSUER, clock)
    return Stage(public, settings.did, claims, issuing, database, log, *made)


def _app(ready: Stage, settings: Settings) -> FastAPI:
    app, claims = FastAPI(), ready.claims
    install_guards(app)
    security = Security(settings, claims.resolver, claims.replay, SystemClock(), claims.counterparties.admit)

    @app.post(TRIGGER)
    async def trigger(request: Request) -> Response:
        caller = await run_in_threadpool(security.caller, request)
        return json_response({"caller": caller.did})

    @app.get("/.well-known/did.json")
    async def did() -> Response:
        return json_response(claims.resolver.resolve(ready.did))

    app.include_router(credential_router(claims))
    app.include_router(issuer_router(ready.issuing, claims.caller, ISSUER))
    app.include_router(token_router(claims))
    return app
