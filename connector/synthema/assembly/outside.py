"""What a connector knows of others and shows them: partners, keys, witnesses, claims, its data space."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from synthema.assembly.claims import CREDENTIAL_SERVICE, Claims
from synthema.assembly.inside import Inside
from synthema.assembly.joining.client import AuthorityClient
from synthema.assembly.joining.membership import Membership, Surroundings
from synthema.assembly.trust import Trust
from synthema.canonical import canonical_json
from synthema.certification.countersign import Countersigning
from synthema.clock import Clock
from synthema.config import Settings
from synthema.dataspace import PeerClient, fetch_did_document
from synthema.dataspace.transport import trust as trust_authorities
from synthema.identity import DidResolver, FileSigner, did_document
from synthema.identity.parties import Live, Parties
from synthema.provenance import (
    Heads,
    LogKeys,
    ProvenanceLog,
    Witness,
    former_methods,
    log_keys,
    log_name,
    witness_name,
)


@dataclass(frozen=True, slots=True)
class Outside:
    """The partners of a connector, how their keys are found, and who vouches for whom."""

    parties: Parties
    resolver: DidResolver
    witness: Witness
    heads: Heads
    peers: PeerClient
    trust: Trust
    claims: Claims
    membership: Membership

    @classmethod
    def open(cls, inside: Inside) -> Outside:
        """Put together what speaks with others, over the rooms inside."""
        rooms = inside.rooms
        settings, database, log, signer, clock = rooms.settings, rooms.database, rooms.log, rooms.signer, rooms.clock
        if settings.trusted_authorities is not None:
            trust_authorities(settings.home / settings.trusted_authorities)
        parties = Parties(settings.peers, _read_origins(settings))
        countersigning = Countersigning(database, log, inside.people, settings.did, clock)
        resolver = _resolver(settings, parties, signer, clock, countersigning, log)
        witness = Witness(database, signer, settings.public_url, clock, _log_keys(parties, resolver))
        names = Live(lambda: {peer.did: witness_name(peer.url) for peer in parties.values()})
        heads = Heads(log, witness, names, lambda did: resolver.verification_key(f"{did}#witness"))
        peers = PeerClient(settings, signer, clock, heads, parties=parties, origins=parties.origins)
        trust = Trust(
            settings, database, log, signer, resolver, peers, clock, countersigning=countersigning, parties=parties
        )
        claims = Claims.make(
            settings, database, log, signer, resolver, peers, clock, origins=parties.origins, own_list=trust.status_list
        )
        authorities = AuthorityClient(settings, signer, clock)
        around = Surroundings(
            settings, database, log, resolver, parties, peers, rooms.permits, authorities, claims.wallet, clock
        )
        membership = Membership(around)
        claims.anchors.also(membership.trusts)
        return cls(parties, resolver, witness, heads, peers, trust, claims, membership)


def own_did_document(
    settings: Settings,
    signer: FileSigner,
    officers: Mapping[str, bytes] | None = None,
    log: LogKeys | None = None,
) -> dict[str, object]:
    """The DID document of a connector as it is now.

    Officers' keys are in it, since certificates may carry theirs, and the log's former keys with the
    proof of what followed them, so that what they signed in their time can be checked.
    """
    # The protocol's schema wants the address of the catalogue here, not the base of all its addresses.
    endpoint = f"{settings.public_url}/dsp/catalog"
    former = former_methods(settings.did, log) if log is not None else ()
    services = [
        {"id": "dsp", "type": "CatalogService", "serviceEndpoint": endpoint},
        {
            "id": "credentials",
            "type": "CredentialService",
            "serviceEndpoint": settings.public_url + CREDENTIAL_SERVICE,
        },
    ]
    return did_document(settings.did, signer, settings.public_url, services, people=officers, former=former)


def _resolver(
    settings: Settings,
    parties: Parties,
    signer: FileSigner,
    clock: Clock,
    officers: Countersigning,
    log: ProvenanceLog,
) -> DidResolver:
    """Finds the keys of registered peers, and our own without asking the network."""
    local = settings.mode == "demo"

    def fetch(url: str) -> bytes:
        if url.startswith(settings.public_url + "/"):
            return canonical_json(own_did_document(settings, signer, officers.published_keys(), log.keys))
        return fetch_did_document(url, allow_http=local)

    return DidResolver(fetch, parties.origins, clock)


def _read_origins(settings: Settings) -> dict[str, str]:
    """Where the documents lie of those whose signatures are read and who are no partners."""
    found = {body.did: body.url for body in settings.access_bodies}
    return found | {each.did: each.url for each in settings.trusted_issuers} | {settings.did: settings.public_url}


def _log_keys(parties: Parties, resolver: DidResolver) -> Callable[[str, str], LogKeys | None]:
    """Finds the keys of a registered peer's log by the log's origin line; None for any other log."""

    def keys_of(origin: str, note: str) -> LogKeys | None:
        dids = {log_name(peer.url): peer.did for peer in parties.values()}
        return log_keys(dids[origin], resolver, [note]) if origin in dids else None

    return keys_of
