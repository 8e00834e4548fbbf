"""Evidence, certificates and the registry of one connector, given its identity and its peers."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from synthema.certification import CertificateIssuer, EvidenceMaker, Registry, StatusRegister, VerificationPolicy
from synthema.clock import Clock
from synthema.config import Settings
from synthema.dataspace import PeerClient
from synthema.errors import DeniedError, NotFoundError
from synthema.identity import DidResolver, Signer
from synthema.provenance import ProvenanceLog
from synthema.storage import Database


class Trust:
    """What a connector attests, issues and accepts."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        log: ProvenanceLog,
        signer: Signer,
        resolver: DidResolver,
        peers: PeerClient,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self.resolver = resolver
        self._peers = peers
        self.evidence = EvidenceMaker(log, signer, settings.did, clock)
        self.status = StatusRegister(database, log, signer, settings.did, clock)
        self.issuer = CertificateIssuer(database, log, signer, settings.did, resolver, self.status, clock)
        policy = self._verification_policy()
        self._registry: Registry | None = None
        if policy is not None:
            self._registry = Registry(
                database, log, settings.home / "registry", settings.did, policy, resolver, self.status_list, clock
            )

    @property
    def registry(self) -> Registry:
        """The registry; raises :class:`DeniedError` in a connector that is none."""
        if self._registry is None:
            raise DeniedError(
                "this connector is no registry, or trusts no hub and no site",
                fix='set role = "registry" and name the peers it trusts in connector.toml',
            )
        return self._registry

    def status_list(self, address: str) -> dict[str, Any]:
        """The status list published at an address of a registered peer; raises :class:`NotFoundError` for others."""
        parts = urlsplit(address)
        origin = f"{parts.scheme}://{parts.netloc}"
        if origin == self._settings.public_url:
            return self.status.credential(parts.path.rsplit("/", 1)[-1])
        for peer in self._settings.peers:
            if peer.url == origin:
                found: dict[str, Any] = self._peers.get(peer.did, parts.path)
                return found
        raise NotFoundError("the status list is not at a registered peer", fix="register the issuer as a peer")

    def _verification_policy(self) -> VerificationPolicy | None:
        peers = self._settings.peers
        issuers = frozenset(peer.did for peer in peers if peer.role == "hub")
        sites = frozenset(peer.did for peer in peers if peer.role == "site")
        if self._settings.role != "registry" or not issuers or not sites:
            return None
        accepts = self._settings.accepts
        return VerificationPolicy(
            issuers,
            sites,
            epsilon_ceiling=accepts.epsilon,
            delta_ceiling=accepts.delta,
            minimum_sites=accepts.minimum_sites,
        )
