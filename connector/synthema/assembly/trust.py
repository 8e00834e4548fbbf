"""Evidence, certificates and the registry of one connector, given its identity and its peers."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from synthema.assembly.asking import ask
from synthema.canonical import parse_json_strictly
from synthema.certification import (
    CertificateIssuer,
    EvidenceMaker,
    ReceiptBook,
    Registry,
    StatusRegister,
    VerificationPolicy,
)
from synthema.certification.countersign import Countersigning
from synthema.certification.doubts import DoubtBook
from synthema.certification.loading import Loading
from synthema.certification.targets import FhirFolder, Kind, ParquetFolder, PostgresSchema, Target
from synthema.clock import Clock
from synthema.config import Settings
from synthema.dataspace import PeerClient, fetch_did_document
from synthema.errors import DeniedError, InputError, NotFoundError, StorageError, SynthemaError
from synthema.identity import DidResolver, Signer
from synthema.identity.parties import Parties
from synthema.provenance import COSIGNATURE, ProvenanceLog, VerifierKey, witness_name
from synthema.storage import Database

RECEIPTS_PATH: Final = "/certification/receipts"
DOUBTS_PATH: Final = "/certification/doubts"
POSTGRES_FILE: Final = "secrets/registry-postgres"


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
        *,
        countersigning: Countersigning,
        parties: Parties,
    ) -> None:
        self._parties = parties
        self.countersigning = countersigning
        self._settings = settings
        self.resolver = resolver
        self._peers = peers
        self.evidence = EvidenceMaker(log, signer, settings.did, clock)
        self.status = StatusRegister(database, log, signer, settings.did, clock)
        self.issuer = CertificateIssuer(database, log, signer, settings.did, resolver, self.status, clock)
        self.receipts = ReceiptBook(database, log, signer, settings.did, resolver, clock)
        self.doubts = DoubtBook(database, log, signer, settings.did, resolver, self.status, clock)
        self._registry: Registry | None = None
        self._loading: Loading | None = None
        if settings.role == "registry":
            self._registry = Registry(
                database,
                log,
                settings.home / "registry",
                settings.did,
                self._verification_policy,
                resolver,
                self.status_list,
                clock,
                receipts=self.receipts,
            )
            self._loading = Loading(database, log, settings.did, self._registry, self._target, clock)

    @property
    def registry(self) -> Registry:
        """The registry; raises :class:`DeniedError` in a connector that is none."""
        if self._registry is None or not self._trusts_anybody():
            raise _no_registry()
        return self._registry

    @property
    def loading(self) -> Loading:
        """Where a registry's rows lie, and who uses them; raises :class:`DeniedError` in a connector that is none."""
        if self._loading is None or not self._trusts_anybody():
            raise _no_registry()
        return self._loading

    def keep_registry(self) -> None:
        """Look at the issuers' status lists, let all places follow, and tell the issuers what they are owed.

        Each step is taken whatever became of the others; what failed is tried again next time.
        """
        if self._registry is None or self._loading is None:
            return
        problems: list[str] = []
        try:
            self._registry.refresh()
        except SynthemaError as error:
            problems.append(error.message)
        problems += self._loading.settle()
        problems += self.receipts.deliver(self._send_receipt)
        if problems:
            raise StorageError("; ".join(problems), fix="it is tried again within a minute")

    def deliver_receipts(self) -> tuple[str, ...]:
        """Send what issuers are owed now; returns what could not be handed over."""
        return self.receipts.deliver(self._send_receipt)

    def _send_receipt(self, did: str, document: dict[str, Any]) -> None:
        ask(self._peers, did, RECEIPTS_PATH, {"receipt": document})

    def _target(self, kind: Kind) -> Target:
        """A registry's place for rows of a kind; raises :class:`InputError` where it has none."""
        served = self._settings.home / "served"
        if kind == "parquet":
            return ParquetFolder(served / "parquet")
        if kind == "fhir":
            return FhirFolder(served / "fhir")
        path = self._settings.home / POSTGRES_FILE
        try:
            return PostgresSchema(path.read_text(encoding="utf-8").strip())
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                "this registry has no database to load rows into",
                where=str(path),
                fix="write the connection string of a PostgreSQL database into this file, readable by its owner only",
            ) from error

    def status_list(self, address: str) -> dict[str, Any]:
        """The status list at an address of a registered peer or trusted body; :class:`NotFoundError` for others."""
        parts = urlsplit(address)
        origin = f"{parts.scheme}://{parts.netloc}"
        if origin == self._settings.public_url:
            return self.status.credential(parts.path.rsplit("/", 1)[-1])
        for peer in self._parties.values():
            if peer.url == origin:
                found: dict[str, Any] = self._peers.get(peer.did, parts.path)
                return found
        for url in self._parties.origins.values():  # issuers that are no partners: access bodies, authorities
            if url.rstrip("/") == origin:
                content = fetch_did_document(address, allow_http=self._settings.mode == "demo")
                listed: dict[str, Any] = parse_json_strictly(content)
                return listed
        raise NotFoundError("the status list is not at a registered peer", fix="register the issuer as a peer")

    def _trusts_anybody(self) -> bool:
        return {"hub", "site"} <= {peer.role for peer in self._parties.values()}

    def _verification_policy(self) -> VerificationPolicy:
        peers, accepts = tuple(self._parties.values()), self._settings.accepts
        return VerificationPolicy(
            issuers=frozenset(peer.did for peer in peers if peer.role == "hub"),
            sites=frozenset(peer.did for peer in peers if peer.role == "site"),
            epsilon_ceiling=accepts.epsilon,
            delta_ceiling=accepts.delta,
            minimum_sites=accepts.minimum_sites,
            require_second_signature=accepts.second_signature,
            witnesses=self._witnesses() if accepts.witnesses else (),
            quorum=accepts.witnesses,
        )

    def _witnesses(self) -> tuple[VerifierKey, ...]:
        """The keys with which our peers, and we ourselves, cosign the heads of logs."""
        known = {peer.did: peer.url for peer in self._parties.values()}
        known[self._settings.did] = self._settings.public_url
        return tuple(
            VerifierKey(witness_name(url), self.resolver.verification_key(f"{did}#witness"), COSIGNATURE)
            for did, url in known.items()
        )


def _no_registry() -> DeniedError:
    return DeniedError(
        "this connector is no registry, or trusts no hub and no site",
        fix='set role = "registry" and name the peers it trusts in connector.toml',
    )
