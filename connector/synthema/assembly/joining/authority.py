"""A small authority: the governance body of a data space of one's own.

It has a DID and a log of its own, admits members, issues the credentials that
say what they are, publishes the lists by which a credential is suspended or
revoked, and tells each member who the others are. It sees no data, no
negotiations and no transfers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from sqlalchemy import RowMapping

from synthema.assembly.joining import store
from synthema.assembly.joining.admission import active_caller, handed
from synthema.assembly.joining.certificates import MEMBERS_LIFETIME, STATE_OF, Issuer
from synthema.assembly.joining.model import MembersList
from synthema.assembly.joining.office import Herald, Office, partners
from synthema.assembly.setup import KEYS, PASSPHRASE
from synthema.canonical import canonical_json
from synthema.clock import Clock, SystemClock, to_text
from synthema.config import Settings
from synthema.dataspace import PeerClient, fetch_did_document
from synthema.errors import NotFoundError
from synthema.identity import DidResolver, FileSigner, did_document, read_passphrase_file
from synthema.identity.parties import Live
from synthema.identity.rotation import KeyBook
from synthema.identity.statuslist import Purpose
from synthema.provenance import ProvenanceLog, former_methods
from synthema.storage import Database, open_database


@dataclass(frozen=True, slots=True)
class Authority:
    """An authority, put together. Made by :meth:`open`, ended by :meth:`close`."""

    office: Office
    keys: KeyBook

    @classmethod
    def open(cls, settings: Settings, clock: Clock | None = None) -> Self:
        """Open the state of an authority. The caller holds the home lock."""
        clock = clock or SystemClock()
        database = open_database(settings.database)
        signer = FileSigner.open(settings.home / KEYS, read_passphrase_file(settings.home / PASSPHRASE))
        keys = KeyBook(database, signer, settings.home / KEYS, clock)
        log = ProvenanceLog(database, signer, settings.public_url, clock)
        issuer = Issuer(settings.did, settings.public_url, settings.name, signer)
        herald = Herald(database, PeerClient(settings, signer, clock, parties=partners(database)))
        resolver = _resolver(settings, database, signer, log, clock)
        return cls(Office(settings, database, signer, log, resolver, issuer, clock, herald), keys)

    def close(self) -> None:
        """Tell the members what is left to tell, finish what is being written, and stop."""
        self.office.herald.close()
        self.office.database.close()

    def did_document(self) -> dict[str, Any]:
        """Who this authority is: its public keys and where it issues."""
        return _own_document(self.office.settings, self.office.signer, self.office.log)

    def describe(self) -> dict[str, Any]:
        """What everybody may know before joining: who it is, and what time it is here."""
        settings = self.office.settings
        return {"authority": settings.did, "space": settings.name, "time": to_text(self.office.clock.now())}

    def status_list(self, purpose: str) -> dict[str, Any]:
        """The signed list of revoked or suspended credentials; raises :class:`NotFoundError` for another purpose."""
        if purpose not in STATE_OF:
            raise NotFoundError("there is no such status list", fix=f"ask for one of: {', '.join(STATE_OF)}")
        known: Purpose = "revocation" if purpose == "revocation" else "suspension"
        with self.office.database.read() as connection:
            numbers = store.numbers_in(connection, STATE_OF[known])
        return self.office.issuer.status_list(known, numbers, self.office.clock.now())

    def members(self) -> MembersList:
        """Every member in whatever state, as of now."""
        with self.office.database.read() as connection:
            found = tuple(store.member_from(row) for row in store.rows(connection, store.members, "did"))
        now = self.office.clock.now()
        name, did = self.office.settings.name, self.office.did
        version = self.office.log.size()  # every change of a member is an entry of the log
        return MembersList(
            space=name, authority=did, version=version, members=found, valid_until=now + MEMBERS_LIFETIME
        )

    def signed_members(self) -> dict[str, Any]:
        """The list of members under this authority's signature."""
        return self.office.issuer.members(self.members(), self.office.clock.now())

    def for_member(self, token: str) -> dict[str, Any]:
        """What a member follows: the signed list of members, and its own credentials that are in force."""
        member = active_caller(self.office, token)
        with self.office.database.read() as connection:
            held = store.credentials_of(connection, member.did)
        now = self.office.clock.now()
        own = [handed(row) for row in held if row["state"] != "revoked" and row["valid_until"] > now]
        return {"members": self.signed_members(), "credentials": own}

    def listing(self) -> dict[str, Any]:
        """Everything an operator of the authority may look at; codes of invitations are not kept."""
        now = self.office.clock.now()
        with self.office.database.read() as connection:
            invited = store.rows(connection, store.invitations, "made_at")
            proposed = store.rows(connection, store.proposals, "made_at")
            issued = store.rows(connection, store.credentials, "number")
        return {
            "members": [member.model_dump(mode="json") for member in self.members().members],
            "invitations": [
                {name: row[name] for name in ("id", "name", "role", "address")}
                | {"expires": to_text(row["expires_at"]), "state": _invitation_state(row, now)}
                for row in invited
            ],
            "proposals": [
                {name: row[name] for name in ("id", "name", "role", "address", "proposer", "reason", "invitation")}
                for row in proposed
            ],
            "credentials": [
                {name: row[name] for name in ("id", "member", "type", "state", "reason")}
                | {"until": to_text(row["valid_until"])}
                for row in issued
            ],
        }


def _invitation_state(row: RowMapping, now: datetime) -> str:
    if row["used_at"] is not None:
        return "used"
    if row["withdrawn_at"] is not None:
        return "withdrawn"
    return "expired" if row["expires_at"] <= now else "open"


def _own_document(settings: Settings, signer: FileSigner, log: ProvenanceLog) -> dict[str, Any]:
    service = {"id": f"{settings.did}#issuer", "type": "IssuerService", "serviceEndpoint": settings.public_url}
    former = former_methods(settings.did, log.keys)
    return did_document(settings.did, signer, settings.public_url, [service], former=former)


def _resolver(
    settings: Settings, database: Database, signer: FileSigner, log: ProvenanceLog, clock: Clock
) -> DidResolver:
    """Reads the documents of members and of those whose invitation is open, at the address that was agreed."""

    def known() -> dict[str, str]:
        with database.read() as connection:
            members = {row["did"]: row["url"] for row in store.rows(connection, store.members, "did")}
            return {settings.did: settings.public_url} | members | store.invited_dids(connection)

    def fetch(url: str) -> bytes:
        if url.startswith(settings.public_url + "/"):
            return canonical_json(_own_document(settings, signer, log))
        return fetch_did_document(url, allow_http=settings.mode == "demo")

    return DidResolver(fetch, Live(known), clock)
