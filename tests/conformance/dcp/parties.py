"""Parties that speak the protocol by hand, so that they can also speak it wrongly."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from fastapi import FastAPI, Request, Response

from synthema.clock import SystemClock, to_text
from synthema.config import did_web
from synthema.identity import FileSigner, StatusList, did_document, status_entry, status_list_credential
from synthema.identity.dcp import SecureTokenService, envelop, present
from synthema.identity.dcp.kinds import MEMBERSHIP
from synthema.identity.jose import sign_compact
from synthema.identity.keys import KEY_IDS
from synthema.identity.statuslist import CONTEXT, PURPOSES, Purpose
from synthema.ids import new_id
from synthema.web.problems import json_response
from tests.conformance.dcp.http import listener, serving, url_of

DCP = "https://w3id.org/dspace-dcp/v1.0/dcp.jsonld"
SPACE = "https://space.example"

Json = dict[str, Any]


def fresh_signer() -> FileSigner:
    """Keys in memory."""
    return FileSigner({name: Ed25519PrivateKey.generate() for name in KEY_IDS}, X25519PrivateKey.generate())


def message(type_: str, **fields: Any) -> Json:
    """A message of the protocol."""
    return {"@context": [DCP], "type": type_, **fields}


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Party:
    """A party with a DID document and services; ``answer`` is what its credential service shows."""

    url: str
    signer: FileSigner = field(default_factory=fresh_signer)
    answer: Callable[[Json], Json] | None = None
    asked: list[tuple[str, Json]] = field(default_factory=list)
    delivered: list[Json] = field(default_factory=list)
    offered: list[Json] = field(default_factory=list)
    refuses: int = 0
    revoked: set[int] = field(default_factory=set)
    suspended: set[int] = field(default_factory=set)
    supported: list[Json] = field(default_factory=list)
    document: Json = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.did = did_web(self.url)
        self.sts = SecureTokenService(self.did, self.signer, SystemClock())
        services = [
            {"id": "cs", "type": "CredentialService", "serviceEndpoint": f"{self.url}/cs"},
            {"id": "is", "type": "IssuerService", "serviceEndpoint": f"{self.url}/is"},
        ]
        self.document = did_document(self.did, self.signer, self.url, services)

    # --- what it says

    def token(
        self,
        audience: str,
        *,
        access: str | None = "access",
        kid: str | None = None,
        key: str = "assertion",
        signer: FileSigner | None = None,
        **claims: Any,
    ) -> str:
        """A self-issued token with members changed; a claim that is ``...`` is left out."""
        seconds = int(now().timestamp())
        body = {"iss": self.did, "sub": self.did, "aud": audience, "jti": new_id("jti"), "iat": seconds}
        body |= {"nbf": seconds, "exp": seconds + 120} | ({} if access is None else {"token": access}) | claims
        body = {name: value for name, value in body.items() if value is not ...}
        keys = signer or self.signer
        return sign_compact(body, kid or f"{self.did}#assertion", lambda data: keys.sign(key, data))

    def credential(
        self, holder: str, *, type_: str = MEMBERSHIP, said: Json | None = None, index: int = 7, **changes: Any
    ) -> Json:
        """A credential that this party may issue, not yet signed."""
        document: Json = {
            "@context": [CONTEXT],
            "id": f"{self.url}/id/credential/{new_id('credential')}",
            "type": ["VerifiableCredential", type_],
            "issuer": self.did,
            "validFrom": to_text(now() - timedelta(days=1)),
            "validUntil": to_text(now() + timedelta(days=1)),
            "credentialSubject": {"id": holder, **({"memberOf": SPACE} if said is None else said)},
            "credentialStatus": [status_entry(f"{self.url}/status/{purpose}", index, purpose) for purpose in PURPOSES],
        }
        return {name: value for name, value in (document | changes).items() if value is not ...}

    def signed(self, credential: Mapping[str, Any], key: str = "assertion", method: str | None = None) -> str:
        """The credential as ``vc+jwt``; a ``method`` of another party makes a forgery."""
        if method is None:
            return envelop(credential, self.signer, f"{self.did}#{key}")
        return sign_compact(credential, method, lambda data: self.signer.sign(key, data), typ="vc+jwt", cty="vc")

    def presented(self, credentials: Sequence[Any], audience: str, *, key: str = "assertion", **changes: Any) -> str:
        """A presentation by this party."""
        if not changes:
            return present(credentials, self.did, audience, self.signer, now(), key=key)
        seconds = int(now().timestamp())
        enclosed = [
            {"@context": [CONTEXT], "id": f"data:application/vc+jwt,{text}", "type": ["EnvelopedVerifiableCredential"]}
            for text in credentials
        ]
        body: Json = {"@context": [CONTEXT], "type": ["VerifiablePresentation"], "holder": self.did, "iss": self.did}
        body |= {"verifiableCredential": enclosed, "aud": audience, "exp": seconds + 120, "iat": seconds} | changes
        return sign_compact(body, f"{self.did}#{key}", lambda data: self.signer.sign(key, data), typ="vp+jwt")

    def shows(self, *presentations: Any) -> None:
        """From now on its credential service answers with these."""
        self.answer = lambda _query: message("PresentationResponseMessage", presentation=list(presentations))

    # --- what it serves

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.get("/.well-known/did.json")
        async def did() -> Response:
            return json_response(self.document)

        @app.post("/cs/presentations/query")
        async def query(request: Request) -> Response:
            body = await request.json()
            self.asked.append((request.headers["authorization"].removeprefix("Bearer "), body))
            return json_response(self.answer(body)) if self.answer else Response(status_code=401)

        @app.post("/cs/credentials")
        async def deliver(request: Request) -> Response:
            if self.refuses:
                self.refuses -= 1
                return Response(status_code=503)
            self.delivered.append(await request.json())
            return Response(status_code=200)

        @app.post("/cs/offers")
        async def offer(request: Request) -> Response:
            self.offered.append(await request.json())
            return Response(status_code=200)

        @app.get("/is/metadata")
        async def metadata() -> Response:
            return json_response(message("IssuerMetadata", issuer=self.did, credentialsSupported=self.supported))

        @app.post("/is/credentials")
        async def take(request: Request) -> Response:
            self.asked.append((request.headers["authorization"].removeprefix("Bearer "), await request.json()))
            return Response(status_code=201, headers={"location": "/is/requests/theirs-1"})

        @app.get("/status/{purpose}")
        async def status(purpose: str) -> Response:
            return Response(self.signed(self._list(purpose)), media_type="application/vc+jwt")

        return app

    def _list(self, name: str) -> Mapping[str, Any]:
        bits = StatusList()
        purpose: Purpose = "revocation" if name == "revocation" else "suspension"
        for index in self.revoked if purpose == "revocation" else self.suspended:
            bits.set(index, True)
        begun = now() - timedelta(minutes=1)
        return status_list_credential(
            f"{self.url}/status/{purpose}",
            self.did,
            bits,
            purpose,
            begun,
            begun + timedelta(hours=1),
        )

    def reset(self) -> None:
        """Forget what happened in a case."""
        self.answer = None
        self.asked.clear()
        self.delivered.clear()
        self.offered.clear()
        self.supported.clear()
        self.revoked.clear()
        self.suspended.clear()
        self.refuses = 0


@contextlib.contextmanager
def parties(number: int) -> Iterator[tuple[Party, ...]]:
    """So many parties, serving."""
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(number):
            listening = stack.enter_context(listener())
            party = Party(url_of(listening))
            stack.enter_context(serving(party.app(), listening))
            made.append(party)
        yield tuple(made)


def post(url: str, body: Any, token: str | None = None, *, prefix: str = "Bearer ") -> httpx.Response:
    """Send a message, with a token or without."""
    headers = {} if token is None else {"Authorization": prefix + token}
    return httpx.post(url, json=body, headers=headers, timeout=20, trust_env=False)


def without(value: Json, *names: str) -> Json:
    """A message with members left out."""
    return {name: item for name, item in copy.deepcopy(value).items() if name not in names}
