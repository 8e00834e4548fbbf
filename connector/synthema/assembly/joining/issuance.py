"""The authority as an issuer of the Decentralized Claims Protocol: members ask, people decide, it delivers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection

from synthema.assembly.joining import admission
from synthema.assembly.joining.certificates import TYPES
from synthema.assembly.joining.office import Office
from synthema.clock import to_text
from synthema.dataspace.services import PeerServices
from synthema.identity.dcp import IssuerService
from synthema.provenance.claims import ClaimsBook

_KIND_OF: Final = {type_: kind for kind, type_ in TYPES.items()}


@dataclass(frozen=True, slots=True)
class Desk:
    """Issues through the authority's own register, so that there is one list of what was issued."""

    office: Office

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
        """A signed credential (``vc+jwt``) for an active member (see :func:`admission.issue_within`)."""
        facts = {name: str(value) for name, value in said.items()}
        now = self.office.clock.now()
        made = admission.issue_within(self.office, connection, holder, _KIND_OF[type_], facts, now, lifetime)
        return str(made["enveloped"])


def issuer_service(office: Office) -> IssuerService:
    """The issuer service of an authority; it answers at the authority's public address."""
    services = PeerServices(office.herald.peers, office.resolver)
    book = ClaimsBook(office.log, office.did)
    return IssuerService(
        office.database, book, Desk(office), services, office.did, office.settings.public_url, office.clock
    )


def request_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """A request for credentials as an operator sees it."""
    return {
        "request": row["issuer_pid"],
        "member": row["holder"],
        "asks": row["types"],
        "state": row["status"],
        "reason": row["reason"],
        "received": to_text(row["received_at"]),
        "delivered": row["delivered_at"] is not None,
    }
