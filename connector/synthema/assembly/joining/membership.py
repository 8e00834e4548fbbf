"""Membership of a data space, as a connector lives it: it follows its authority, and leaves when it wishes to.

What a connector knows of the other members comes from the authority's signed
list. The list is asked for once a minute and whenever the authority says that
something changed; an older list never replaces a newer one; and a list that has
ended counts for nothing, so that a member who was excluded while the authority
could not be reached does not stay in by its silence.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, RowMapping

from synthema.assembly.joining import store
from synthema.assembly.joining.certificates import LIST_TYPE
from synthema.assembly.joining.client import AuthorityClient
from synthema.assembly.joining.model import MembersList, read_members
from synthema.assembly.joining.records import MembershipRecords
from synthema.clock import Clock, from_text, to_text
from synthema.config import Peer, Settings
from synthema.dataspace import PeerClient
from synthema.errors import ConflictError, DeniedError, IntegrityError, NotFoundError, PeerError, SynthemaError
from synthema.identity import DidResolver, ReplayStore, credentials, tokens
from synthema.identity.dcp import KINDS, Wallet
from synthema.identity.parties import Parties
from synthema.permits import PermitStore
from synthema.permits.model import AgreementState
from synthema.provenance import ProvenanceLog
from synthema.storage import Database

STANDING_PATH: Final = "/dataspace/standing"
"""Where a partner asks whether we know it."""
PROFILE: Final = "vc20-bssl/jwt"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The rooms of a connector that its membership touches."""

    settings: Settings
    database: Database
    log: ProvenanceLog
    resolver: DidResolver
    parties: Parties
    peers: PeerClient
    permits: PermitStore
    authorities: AuthorityClient
    wallet: Wallet
    clock: Clock


class Membership:
    """The data space a connector belongs to, if any."""

    def __init__(self, rooms: Surroundings) -> None:
        self.rooms = rooms
        self._records = MembershipRecords(rooms.log, rooms.settings.did, rooms.clock)
        self._following = threading.Lock()
        self.apply()

    def current(self) -> RowMapping | None:
        """The row of the data space it belongs to; ``None`` outside of any."""
        with self.rooms.database.read() as connection:
            found = store.rows(connection, store.memberships, "joined_at")
        return next((row for row in found if row["state"] not in ("left", "revoked")), None)

    def require(self) -> RowMapping:
        """As :meth:`current`; raises :class:`ConflictError` outside of any data space."""
        row = self.current()
        if row is None:
            raise ConflictError(
                "this connector belongs to no data space", fix="join one with: synthema site join invitation.json"
            )
        return row

    def members(self) -> MembersList | None:
        """The members' list as it was last seen."""
        row = self.current()
        return None if row is None else _listed(row)

    def apply(self) -> None:
        """Deal with the members as the list says, as long as it holds."""
        row = self.current()
        if row is None:
            self.rooms.parties.follow((), (), {})
            return
        listed, own = _listed(row), self.rooms.settings.did
        fresh = listed.valid_until > self.rooms.clock.now() and row["state"] == "active"
        members = [member.as_peer() for member in listed.active() if member.did != own] if fresh else []
        barred = {member.did for member in listed.members if member.state in ("suspended", "revoked")}
        self.rooms.parties.follow(members, barred, {row["authority"]: row["url"]})

    def heard(self, token: str) -> None:
        """The authority says that something changed: ask it. Raises :class:`DeniedError` for anybody else."""
        row = self.require()
        claims = self._claims(token)
        if claims.issuer != row["authority"]:
            raise DeniedError("this is for the authority of the data space", fix="nothing is to be done")
        self.follow()

    def trusts(self) -> dict[str, Collection[str]]:
        """The authority we follow, with the kinds of credential it is believed for."""
        row = self.current()
        return {} if row is None else {row["authority"]: tuple(KINDS)}

    def standing_of(self, did: str) -> dict[str, Any]:
        """How we see a partner that asks."""
        peer = self.rooms.parties.get(did)
        if peer is None:  # it was let in a moment ago
            raise NotFoundError("there is nothing here for this caller", fix="check the address and the token")
        listed = self.members()
        return {"name": peer.name, "role": peer.role, "listVersion": None if listed is None else listed.version}

    def follow(self) -> None:
        """Ask the authority for the members and for our credentials, and live by its answer.

        Raises :class:`PeerError` when it cannot be reached: then what was seen last counts until it ends.
        """
        with self._following:
            row = self.current()
            if row is None:
                return
            try:
                self._follow(row)
            finally:
                self.apply()

    def follow_quietly(self) -> None:
        """:meth:`follow`, for the housekeeping: an authority that does not answer is asked again next time."""
        try:
            self.follow()
        except PeerError:
            return

    def leave(self, reason: str) -> dict[str, Any]:
        """Leave the data space: the authority revokes our credentials, and agreements with members end.

        Raises :class:`PeerError` when the authority cannot be told: then nothing has changed here.
        """
        row = self.require()
        answer = self.rooms.authorities.leave(row["authority"], row["url"], reason)
        with self._following:
            listed = _listed(row)
            gone = [m.did for m in listed.members if not self.rooms.parties.is_configured(m.did)]
            ended = self.rooms.database.write(lambda c: self._left(c, row, "left", reason, gone))
            self.apply()
        return {"space": row["space"], "state": answer.get("state"), "agreementsEnded": ended}

    def begin(self, members: MembersList, url: str, document: Mapping[str, Any], own: list[dict[str, Any]]) -> None:
        """Keep a new membership with its first list (verified, and as it was signed) and credentials."""
        authority, now = members.authority, self.rooms.clock.now()
        values = {"url": url, "space": members.space, "state": "active", "joined_at": now, "left_at": None}
        values |= {"list_version": members.version, "list_seen_at": now, "list": dict(document), "credentials": own}

        def work(connection: Connection) -> None:
            if store.find(connection, store.memberships, authority) is None:
                store.put(connection, store.memberships, {"authority": authority} | values)
            else:
                store.change(connection, store.memberships, authority, **values)
            self._records.write(
                connection, "DataspaceJoin", f"Joined {members.space}", authority,
                memberCount=len(members.active()), membersListVersion=members.version,
            )  # fmt: skip

        with self._following:
            self.rooms.database.write(work)
            self.apply()
            self._stock_wallet(own)

    def read_list(
        self, document: Mapping[str, Any], authority: str, at_least: int, resolver: DidResolver | None = None
    ) -> MembersList:
        """The members in a signed list; raises :class:`IntegrityError` unless it is the authority's newest."""
        verified = credentials.verify(document, resolver or self.rooms.resolver, self.rooms.clock.now())
        if verified.issuer != authority or LIST_TYPE not in verified.types:
            raise IntegrityError("this is not the authority's list of members", fix="ask the operator of the authority")
        listed = read_members(verified.subject, authority, verified.valid_until)
        if listed.version < at_least:
            raise IntegrityError(
                f"the authority gave an older list of members ({listed.version}) than before ({at_least})",
                fix="ask the operator of the authority whether it was restored from a backup",
            )
        return listed

    def _follow(self, row: RowMapping) -> None:
        authority, url = row["authority"], row["url"]
        standing = self.rooms.authorities.standing(authority, url)
        state = str(standing.get("state"))
        if state not in ("active", "suspended"):
            gone = [m.did for m in _listed(row).members if not self.rooms.parties.is_configured(m.did)]
            reason = str(standing.get("reason") or "the authority ended it")
            self.rooms.database.write(lambda c: self._left(c, row, state, reason, gone))
            return
        if state != row["state"]:
            self.rooms.database.write(lambda c: self._changed(c, row, state, standing))
        if state == "active":
            answer = self.rooms.authorities.follow(authority, url)
            listed = self.read_list(answer["members"], authority, row["list_version"])
            self.rooms.database.write(lambda c: self._seen(c, row, listed, answer))
            self._stock_wallet(answer["credentials"])

    def _seen(self, connection: Connection, row: RowMapping, listed: MembersList, answer: Mapping[str, Any]) -> None:
        before = {member.did: member for member in _listed(row).members}
        now = self.rooms.clock.now()
        store.change(
            connection, store.memberships, row["authority"],
            list_version=listed.version, list_seen_at=now, list=answer["members"], credentials=answer["credentials"],
        )  # fmt: skip
        for member in listed.members:
            known = before.get(member.did)
            if known is not None and (known.state, known.url) == (member.state, member.url):
                continue
            self._records.write(
                connection, "MembersChange", f"{member.name} is {member.state} in {listed.space}",
                row["authority"], about=member.did, memberState=member.state,
            )  # fmt: skip
            if member.state in ("left", "revoked") and not self.rooms.parties.is_configured(member.did):
                self._end_agreements(connection, [member.did], f"{member.name} is no member any more")

    def _stock_wallet(self, own: list[dict[str, Any]]) -> None:
        """Keep our credentials where partners ask for them (Decentralized Claims Protocol)."""
        for held in own:
            if not self.rooms.wallet.holds(held["enveloped"]):
                self.rooms.wallet.keep(held["enveloped"], PROFILE)

    def _changed(self, connection: Connection, row: RowMapping, state: str, standing: Mapping[str, Any]) -> None:
        store.change(connection, store.memberships, row["authority"], state=state)
        reason = str(standing.get("reason") or "no reason was given")
        label = f"Our membership of {row['space']} is {state}"
        self._records.write(connection, "MembershipChange", label, row["authority"], memberState=state, reason=reason)

    def _left(self, connection: Connection, row: RowMapping, state: str, reason: str, gone: list[str]) -> int:
        now = self.rooms.clock.now()
        store.change(connection, store.memberships, row["authority"], state=state, left_at=now, credentials=[])
        ended = self._end_agreements(connection, gone, f"{self.rooms.settings.name} is no member of the data space")
        self._records.write(
            connection, "DataspaceDeparture", f"Left {row['space']}", row["authority"],
            memberState=state, reason=reason, agreementsEnded=ended,
        )  # fmt: skip
        return ended

    def _end_agreements(self, connection: Connection, dids: list[str], reason: str) -> int:
        found = [
            agreement
            for did in dids
            for agreement in self.rooms.permits.agreements(did)
            if agreement.state is AgreementState.FINALIZED
        ]
        for agreement in found:
            self.rooms.permits.terminate_agreement(connection, agreement.id, reason)
        return len(found)

    def _claims(self, token: str) -> tokens.Claims:
        rooms = self.rooms
        return tokens.verify(token, rooms.settings.did, rooms.resolver, rooms.clock, ReplayStore(rooms.database))


def _listed(row: RowMapping) -> MembersList:
    """The list as it was verified and kept."""
    subject, until = row["list"]["credentialSubject"], row["list"]["validUntil"]
    return read_members(subject, row["authority"], from_text(until))


def membership_json(membership: Membership) -> dict[str, Any]:
    """What this side sees of its membership, as JSON; raises :class:`NotFoundError` outside of any data space."""
    row, listed = membership.current(), membership.members()
    if row is None or listed is None:
        raise NotFoundError("this connector belongs to no data space", fix="synthema site join invitation.json")
    now = membership.rooms.clock.now()
    return {
        "space": row["space"],
        "authority": row["authority"],
        "state": row["state"],
        "joined": to_text(row["joined_at"]),
        "listVersion": row["list_version"],
        "listSeen": to_text(row["list_seen_at"]),
        "listHolds": listed.valid_until > now,
        "listUntil": to_text(listed.valid_until),
        "credentials": [{"type": held["type"], "until": held["document"]["validUntil"]} for held in row["credentials"]],
        "members": [member.model_dump(mode="json") for member in listed.members],
    }


def views(membership: Membership) -> dict[str, Any]:
    """Both sides of the membership: how we see it, how the authority sees us, and how each member does."""
    rooms, own = membership.rooms, membership_json(membership)
    row = membership.require()
    try:
        theirs: dict[str, Any] = rooms.authorities.standing(row["authority"], row["url"])
    except SynthemaError as error:
        theirs = {"state": "not known", "reason": error.message, "fix": error.fix}
    return own | {
        "authoritySees": theirs,
        "membersSee": [_view(rooms, peer) for _, peer in sorted(rooms.parties.items())],
    }


def _view(rooms: Surroundings, peer: Peer) -> dict[str, Any]:
    found = {"did": peer.did, "name": peer.name, "role": peer.role}
    try:
        answer = rooms.peers.get(peer.did, STANDING_PATH)
    except SynthemaError as error:
        return found | {"knowsUs": False, "said": error.message}
    return found | {"knowsUs": True, "said": f"knows us as {answer.get('name')} ({answer.get('role')})"}
