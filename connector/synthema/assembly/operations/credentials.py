"""Operations on credentials: what this connector holds, what partners have shown it, requests and token clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from synthema.assembly.operations.registry import Input, Nothing, operation
from synthema.clock import to_text
from synthema.config import ClaimKind
from synthema.identity.dcp import KINDS, Known

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector


@operation("credential/list")
def list_held(connector: Connector, given: Nothing) -> list[dict[str, Any]]:
    """The credentials this connector holds about itself and shows to partners."""
    now = connector.clock.now()
    return [
        {
            "id": held.id,
            "type": held.type,
            "says": f"that this connector {KINDS[held.type].words}",
            "issuer": held.issuer,
            "validUntil": None if held.valid_until is None else to_text(held.valid_until),
            "valid": held.valid_until is None or now < held.valid_until,
        }
        for held in connector.claims.wallet.all()
    ]


@operation("credential/partners")
def list_shown(connector: Connector, given: Nothing) -> list[dict[str, Any]]:
    """What partners have shown this connector to be, by credentials that were verified."""
    found = connector.claims.counterparties.all()
    return [_known_json(connector, did, known) for did, every in found.items() for known in every]


def _known_json(connector: Connector, did: str, known: Known) -> dict[str, Any]:
    claim, now = known.claim, connector.clock.now()
    return {
        "party": did,
        "type": claim.type,
        "says": f"{did} {KINDS[claim.type].words}",
        "subject": claim.subject.model_dump(by_alias=True, mode="json"),
        "credential": claim.id,
        "issuer": claim.issuer,
        "validUntil": None if claim.valid_until is None else to_text(claim.valid_until),
        "verified": to_text(claim.at),
        "statusSeen": to_text(known.checked_at),
        "valid": claim.counts_at(now),
    }


class AskFor(Input):
    """Which issuer to ask, and for which credentials."""

    issuer: str = Field(description="did of the issuer, e.g. the authority of the data space")
    kinds: list[ClaimKind] = Field(min_length=1, description="the credentials to ask for")


@operation("credential/request")
def request_credentials(connector: Connector, given: AskFor) -> dict[str, Any]:
    """Ask an issuer for credentials; its people decide, and what it delivers is verified before it is kept."""
    return {"request": connector.claims.holder.request(given.issuer, list(given.kinds)), "state": "REQUESTED"}


@operation("credential/requests")
def list_requests(connector: Connector, given: Nothing) -> dict[str, Any]:
    """What this connector asked issuers for, and what issuers offered."""
    holder = connector.claims.holder
    requests = [
        {
            "request": row["holder_pid"],
            "issuer": row["issuer"],
            "asks": row["credentials"],
            "state": row["status"],
            "reason": row["reason"],
            "changed": to_text(row["changed_at"]),
        }
        for row in holder.requests()
    ]
    offers = [
        {
            "offer": row["id"],
            "issuer": row["issuer"],
            "credentials": row["credentials"],
            "received": to_text(row["received_at"]),
        }
        for row in holder.offers()
    ]
    return {"requests": requests, "offers": offers}


@operation("credential/client")
def make_client(connector: Connector, given: Nothing) -> dict[str, Any]:
    """Let another program of the house ask for this connector's tokens; its secret is shown once."""
    client, secret = connector.claims.clients.make()
    address = f"{connector.settings.management_url}/token"
    return {"client": client, "secret": secret, "address": address}


class EndClient(Input):
    """Which client is to get no more tokens."""

    client: str


@operation("credential/end-client")
def end_client(connector: Connector, given: EndClient) -> dict[str, Any]:
    """End a client of the secure token service."""
    connector.claims.clients.end(given.client)
    return {"client": given.client, "ended": True}


@operation("credential/clients")
def list_clients(connector: Connector, given: Nothing) -> list[dict[str, Any]]:
    """The programs that may ask for this connector's tokens; secrets are not kept."""
    return [
        {"client": row["client_id"], "made": to_text(row["made_at"]), "ended": row["ended_at"] is not None}
        for row in connector.claims.clients.all()
    ]
