"""The claims protocol of one connector, put together: what it shows of itself, and what others have shown it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self
from urllib.parse import urlsplit

from synthema.canonical import parse_json_strictly
from synthema.clock import Clock
from synthema.config import Settings
from synthema.dataspace import PeerClient, fetch_did_document
from synthema.dataspace.services import PeerServices
from synthema.errors import InputError, NotFoundError
from synthema.identity import DidResolver, ReplayStore, Signer, tokens
from synthema.identity.dcp import (
    ACCESS_BODY,
    KINDS,
    MEMBERSHIP,
    PERMIT_HOLDER,
    ROLE,
    Claim,
    Counterparties,
    CredentialService,
    SecureTokenService,
    TokenClients,
    Verifier,
    Wallet,
)
from synthema.provenance import ProvenanceLog
from synthema.provenance.claims import ClaimsBook
from synthema.storage import Database

CREDENTIAL_SERVICE: Final = "/dcp"
"""Where the credential service answers, below the public address."""

_ROLES: Final[Mapping[str, str]] = {ACCESS_BODY: "access body", PERMIT_HOLDER: "data user"}

Trusts = Mapping[str, Collection[str]]
"""Issuers (DID) with the kinds of credential they are believed for."""


class Anchors:
    """Whom this connector believes about other parties: the issuers of its settings, and those of spaces it joined."""

    def __init__(self, settings: Settings) -> None:
        self._configured = {issuer.did: frozenset(issuer.kinds) for issuer in settings.trusted_issuers}
        self._more: list[Callable[[], Trusts]] = []

    def also(self, more: Callable[[], Trusts]) -> None:
        """Believe these as well; asked anew each time."""
        self._more.append(more)

    def kinds(self, issuer: str) -> frozenset[str]:
        """The kinds an issuer is believed for; none for a stranger."""
        found = self._configured.get(issuer, frozenset())
        return found.union(*(more().get(issuer, ()) for more in self._more))

    def all_kinds(self) -> frozenset[str]:
        """The kinds that anybody is believed for."""
        every = [*self._configured.values(), *(kinds for more in self._more for kinds in more().values())]
        return frozenset().union(*every)


@dataclass(frozen=True, slots=True)
class Claims:
    """What the claims protocol needs of one connector."""

    did: str
    resolver: DidResolver
    replay: ReplayStore
    clock: Clock
    anchors: Anchors
    sts: SecureTokenService
    clients: TokenClients
    wallet: Wallet
    holder: CredentialService
    counterparties: Counterparties

    @classmethod
    def make(
        cls,
        settings: Settings,
        database: Database,
        log: ProvenanceLog,
        signer: Signer,
        resolver: DidResolver,
        peers: PeerClient,
        clock: Clock,
        *,
        origins: Mapping[str, str],
        own_list: Callable[[str], Mapping[str, Any]],
    ) -> Self:
        """Put it together. ``origins`` are the addresses of all whose word is read (DID to address).

        ``own_list`` finds the status lists that this connector publishes itself.
        """
        book, anchors, services = ClaimsBook(log, settings.did), Anchors(settings), PeerServices(peers, resolver)
        lists = _StatusLists(settings, origins, own_list)
        verifier = Verifier(settings.did, resolver, anchors.kinds, lists.find, clock)
        wallet = Wallet(database, book, signer, settings.did, verifier, clock)
        return cls(
            settings.did,
            resolver,
            ReplayStore(database),
            clock,
            anchors,
            peers.tokens,
            TokenClients(database, book, settings.did, clock),
            wallet,
            CredentialService(database, book, wallet, peers.tokens, services, clock),
            Counterparties(
                database,
                book,
                verifier,
                services,
                peers.tokens,
                clock,
                believed=anchors.all_kinds,
                exempt=_agreed_by_hand(settings),
            ),
        )

    def caller(self, token: str) -> tokens.Claims:
        """Who sent a self-issued token; the token is spent. Raises :class:`DeniedError` naming the failed step."""
        return tokens.verify(token, self.did, self.resolver, self.clock, self.replay)

    def role_of(self, did: str, at: datetime, agreed: str | None) -> tuple[str, str] | None:
        """The role of a party and what shows it (see :class:`synthema.runs.facts.FactFinder`).

        What a credential says goes before what was agreed when the party was
        registered. Where memberships are required, a party without one that is
        in force has no role at all, whatever was agreed.
        """
        if did == self.did:
            return None if agreed is None else (agreed, did)
        known = {claim.type: claim for claim in self.counterparties.claims_of(did, at)}
        if not set(self.counterparties.required_of(did)) <= known.keys():
            return None
        shown = next((_shown(known[kind]) for kind in (ROLE, ACCESS_BODY, PERMIT_HOLDER) if kind in known), None)
        if shown is not None:
            return shown
        if MEMBERSHIP in known:
            return agreed or "participant", known[MEMBERSHIP].id
        return None if agreed is None else (agreed, did)


def _shown(claim: Claim) -> tuple[str, str]:
    said: Any = claim.subject
    return (said.role if claim.type == ROLE else _ROLES[claim.type]), claim.id


def published_schema(name: str) -> dict[str, Any] | None:
    """The JSON Schema of the subject of a kind of credential, by its file name; ``None`` for another name."""
    kind = KINDS.get(name.removesuffix(".json"))
    return None if kind is None or name != kind.schema_name else kind.json_schema()


def _agreed_by_hand(settings: Settings) -> frozenset[str]:
    """The partners of the settings, where the settings themselves ask nobody for a membership.

    Who joins a data space does not break with the partners it has outside of it.
    """
    asked = any(MEMBERSHIP in issuer.kinds for issuer in settings.trusted_issuers)
    return frozenset() if asked else frozenset(peer.did for peer in settings.peers)


class _StatusLists:
    """Fetches status lists, from the known addresses of parties and from nowhere else."""

    def __init__(self, settings: Settings, origins: Mapping[str, str], own: Callable[[str], Mapping[str, Any]]) -> None:
        self._own_url = settings.public_url
        self._allows_plain_http = settings.mode == "demo"
        self._origins = origins
        self._own = own

    def find(self, address: str) -> str | Mapping[str, Any]:
        """The signed list at an address: a signed text, or a JSON document with its proof."""
        parts = urlsplit(address)
        origin = f"{parts.scheme}://{parts.netloc}"
        if origin == self._own_url:
            return self._own(address)
        if origin not in {known.rstrip("/") for known in self._origins.values()}:
            raise NotFoundError(
                f"{origin[:120]} is not the address of a known party", fix="register the issuer with this address"
            )
        content = fetch_did_document(address, allow_http=self._allows_plain_http)
        if not content.lstrip().startswith(b"{"):
            return content.decode("ascii", errors="replace").strip()
        value = parse_json_strictly(content)
        if not isinstance(value, dict):
            raise InputError("the status list is not a JSON object", fix="publish the signed list at this address")
        return value
