"""How a connector becomes a member: a proposal, an invitation for one address, and the admission against proof."""

from __future__ import annotations

import hmac
import secrets
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping

from synthema.assembly.joining import store
from synthema.assembly.joining.certificates import LIFETIME, TYPES, subject_of
from synthema.assembly.joining.model import (
    INVITATION_LIFETIME,
    LONGEST_INVITATION,
    Invitation,
    Member,
    step,
)
from synthema.assembly.joining.office import Office
from synthema.canonical import digest_bytes
from synthema.config import Peer, Role, did_web
from synthema.errors import ConflictError, DeniedError, InputError, PeerError
from synthema.identity.multibase import encode_base58btc, encode_ed25519_key
from synthema.identity.versions import current_key
from synthema.ids import new_id
from synthema.provenance.model import Agent, Entity


def invite(
    office: Office,
    *,
    address: str,
    role: Role,
    name: str,
    place: str | None = None,
    lifetime: timedelta = INVITATION_LIFETIME,
    proposal: str | None = None,
) -> Invitation:
    """A signed invitation for the connector at one address; it works once, and for a short time.

    Raises :class:`ConflictError` for an active member, :class:`InputError` for an
    address that is none, or a time that is too long.
    """
    if not timedelta(minutes=1) <= lifetime <= LONGEST_INVITATION:
        raise InputError("an invitation is open for one minute to 14 days", fix="choose fewer hours")
    peer = checked_peer(office, address, role, name, place)
    key = current_key(office.signer, "assertion")
    unsigned = Invitation(
        invitation=new_id("invitation"),
        space=office.settings.name,
        authority=office.did,
        authority_url=office.settings.public_url,
        key=encode_ed25519_key(office.signer.public_key(key)),
        method=f"{office.did}#{key}",
        address=peer.url,
        role=role,
        name=name,
        place=place,
        code=secrets.token_hex(16),
        expires=(office.clock.now() + lifetime).replace(microsecond=0),
    )
    signature = encode_base58btc(office.signer.sign(key, unsigned.signed_bytes()))
    office.database.write(lambda connection: _keep(office, connection, unsigned, peer.did, proposal))
    return unsigned.model_copy(update={"signature": signature})


def checked_peer(office: Office, address: str, role: Role, name: str, place: str | None) -> Peer:
    """The partner an address would be; raises :class:`InputError`, or :class:`ConflictError` for a member."""
    origin = address.rstrip("/")
    allowed = ("https://",) if office.settings.mode != "demo" else ("https://", "http://")
    if not origin.startswith(allowed) or "/" in origin.partition("://")[2] or not origin.partition("://")[2]:
        raise InputError(
            f"'{address[:120]}' is not the address of a connector", fix="give scheme and host, e.g. https://a.example"
        )
    did = did_web(origin)
    with office.database.read() as connection:
        row = store.find(connection, store.members, did)
    if row is not None and row["state"] in ("active", "suspended"):
        raise ConflictError(
            f"{did} is a member already ({row['state']})", fix="look at it with: synthema authority list"
        )
    return Peer(did=did, url=origin, role=role, name=name, place=place)


def _keep(office: Office, connection: Connection, invitation: Invitation, did: str, proposal: str | None) -> None:
    if proposal is not None:
        store.require(connection, store.proposals, proposal, "proposal")
        store.change(connection, store.proposals, proposal, invitation=invitation.invitation)
    code = digest_bytes(invitation.code.encode())
    row: dict[str, Any] = {"id": invitation.invitation, "did": did, "code_digest": code}
    row |= {name: getattr(invitation, name) for name in ("address", "role", "name", "place")}
    row |= {"made_at": office.clock.now(), "expires_at": invitation.expires, "used_at": None, "withdrawn_at": None}
    store.put(connection, store.invitations, row)
    made = Entity(office.log.iri("invitation", invitation.invitation), ("Invitation",))
    office.record(
        connection, "MemberInvitation", f"{invitation.name} was invited as a {invitation.role}",
        about=(office.member_entity(did, "invited"),), made=(made,), validUntil=invitation.expires,
    )  # fmt: skip


def withdraw(office: Office, identifier: str, reason: str) -> None:
    """End an invitation that was not used; raises :class:`ConflictError` for one that was."""

    def work(connection: Connection) -> None:
        row = store.require(connection, store.invitations, identifier, "invitation")
        if row["used_at"] is not None or row["withdrawn_at"] is not None:
            raise ConflictError("this invitation was used or withdrawn already", fix="revoke the member instead")
        store.change(connection, store.invitations, identifier, withdrawn_at=office.clock.now())
        about = Entity(office.log.iri("invitation", identifier), ("Invitation",))
        office.record(connection, "InvitationWithdrawal", "An invitation was withdrawn", about=(about,), reason=reason)

    office.database.write(work)


def admit(office: Office, token: str, identifier: str, code: str) -> list[dict[str, Any]]:
    """Make the caller a member and return its credentials.

    The invitation must be open and the code its own (step 7), and the caller
    must sign with the key its DID document names at the invited address (step
    8). The same caller may ask again until it has its answer. Raises the
    :class:`~synthema.errors.SynthemaError` of the step that fails.
    """
    now = office.clock.now()
    with step(7), office.database.read() as connection:
        row = _open_invitation(connection, identifier, code, now)
    with step(8):
        did = _proven(office, token, row)
    issued = office.database.write(lambda connection: _admit(office, connection, row, code, did, now))
    office.herald.call()
    return issued


def _open_invitation(connection: Connection, identifier: str, code: str, now: datetime) -> RowMapping:
    row = store.find(connection, store.invitations, identifier)
    if row is None or not hmac.compare_digest(row["code_digest"], digest_bytes(code.encode())):
        raise DeniedError(
            "the authority does not know this invitation, or its code is wrong",
            fix="use the file exactly as the authority wrote it, or ask for a new invitation",
        )
    if row["withdrawn_at"] is not None:
        raise DeniedError("the invitation was withdrawn", fix="ask the authority why, and for a new invitation")
    member = store.find(connection, store.members, row["did"])
    repeated = member is not None and member["state"] == "active" and member["invitation"] == identifier
    if row["used_at"] is not None and not repeated:
        raise DeniedError("the invitation was used already", fix="ask the authority for a new invitation")
    if row["expires_at"] <= now and not repeated:
        raise DeniedError(
            f"the invitation expired on {row['expires_at']:%Y-%m-%d %H:%M} UTC",
            fix="ask the authority for a new invitation, and use it soon",
        )
    return row


def _proven(office: Office, token: str, row: RowMapping) -> str:
    """The invited DID, once the caller has shown that it holds its key."""
    did, address = str(row["did"]), str(row["address"])
    try:
        office.resolver.resolve(did, newest=True)
    except PeerError as error:
        raise PeerError(
            f"the authority could not read {address}/.well-known/did.json: {error.message}",
            fix="let the connector be served (synthema serve), and see that the authority's machine reaches this "
            "address: name service, firewall, TLS proxy",
            where=address,
        ) from error
    claims = office.caller(token)
    if claims.issuer != did:
        raise DeniedError("the invitation is for another connector", fix="use it at the connector it was made for")
    return did


def _admit(
    office: Office, connection: Connection, row: RowMapping, code: str, did: str, now: datetime
) -> list[dict[str, Any]]:
    with step(7):
        row = _open_invitation(connection, row["id"], code, now)
    if row["used_at"] is not None:
        return [handed(each) for each in store.credentials_of(connection, did) if each["state"] == "valid"]
    member = {name: row[name] for name in ("did", "role", "name", "place")} | {"url": row["address"]}
    member |= {"state": "active", "reason": None, "since": now, "invitation": row["id"]}
    if store.find(connection, store.members, did) is None:
        store.put(connection, store.members, member)
    else:
        store.change(connection, store.members, did, **member)
    store.change(connection, store.invitations, row["id"], used_at=now)
    office.record(
        connection, "MemberAdmission", f"{row['name']} became a member as a {row['role']}",
        about=(Entity(office.log.iri("invitation", row["id"]), ("Invitation",)), office.member_entity(did, "active")),
        by=(Agent(did, "Organization", row["name"]),),
    )  # fmt: skip
    return [issue_within(office, connection, did, kind, {}, now) for kind in ("membership", "role")]


def issue(office: Office, did: str, kind: str, facts: dict[str, str], lifetime: timedelta = LIFETIME) -> dict[str, Any]:
    """Issue a further credential to a member, who fetches it by itself; raises :class:`InputError`."""
    if kind not in TYPES:
        raise InputError(f"there is no credential '{kind[:40]}'", fix=f"choose one of: {', '.join(TYPES)}")
    if not timedelta(days=1) <= lifetime <= 2 * LIFETIME:
        raise InputError("a credential is valid for one day to two years", fix="choose other days")
    now = office.clock.now()
    issued = office.database.write(lambda c: issue_within(office, c, did, kind, facts, now, lifetime))
    office.herald.call()
    return issued


def issue_within(
    office: Office,
    connection: Connection,
    did: str,
    kind: str,
    facts: dict[str, str],
    now: datetime,
    lifetime: timedelta = LIFETIME,
) -> dict[str, Any]:
    """:func:`issue` as part of a larger transaction; raises :class:`ConflictError` unless the member is active."""
    member = store.member_from(store.require(connection, store.members, did, "member"))
    if member.state != "active":
        raise ConflictError(f"{member.name} is {member.state}", fix="issue credentials to active members only")
    identifier, number, until = new_id("credential"), store.next_number(connection), now + lifetime
    subject = subject_of(kind, did, office.did, member.role, facts)
    document, enveloped = office.issuer.credential(identifier, TYPES[kind], subject, number, now, until)
    row = {"id": identifier, "number": number, "member": did, "type": TYPES[kind], "state": "valid", "reason": None}
    row |= {"issued_at": now, "valid_until": until, "document": document, "enveloped": enveloped}
    store.put(connection, store.credentials, row)
    made = Entity(document["id"], ("Credential",), attributes={"credentialType": TYPES[kind], "validUntil": until})
    office.record(
        connection, "CredentialIssuance", f"A {TYPES[kind]} was issued to {member.name}",
        about=(office.member_entity(did, member.state),), made=(made,),
    )  # fmt: skip
    return handed(row)


def handed(row: Any) -> dict[str, Any]:
    """A credential as it is handed to its member: both signed forms."""
    return {name: row[name] for name in ("id", "type", "document", "enveloped")}


def propose(office: Office, token: str, given: dict[str, Any]) -> str:
    """A member proposes a new one; people of the authority decide. Returns the number of the proposal."""
    proposer = active_caller(office, token)
    try:
        fields = {name: given.get(name) for name in ("url", "role", "name", "place")}
        asked = Peer.model_validate({"did": did_web(str(fields["url"])), **fields})
    except ValueError as error:
        raise InputError("the proposal does not describe a connector", fix="give url, role and name") from error
    peer = checked_peer(office, asked.url, asked.role, asked.name, asked.place)
    reason = str(given.get("reason") or "")[:500]
    identifier = new_id("proposal")

    def work(connection: Connection) -> None:
        row = {"id": identifier, "proposer": proposer.did, "address": peer.url, "reason": reason, "invitation": None}
        row |= {name: getattr(peer, name) for name in ("role", "name", "place")}
        store.put(connection, store.proposals, row | {"made_at": office.clock.now()})
        office.record(
            connection, "MemberProposal", f"{peer.name} was proposed as a {peer.role}",
            about=(office.member_entity(peer.did, "proposed"),),
            by=(Agent(proposer.did, "Organization", proposer.name),), reason=reason or None,
        )  # fmt: skip

    office.database.write(work)
    return identifier


def active_caller(office: Office, token: str) -> Member:
    """The member that calls; raises :class:`DeniedError` for one that is not in good standing."""
    claims = office.caller(token)
    with office.database.read() as connection:
        row = store.find(connection, store.members, claims.issuer)
    if row is None or row["state"] != "active":
        raise DeniedError("this is for members in good standing", fix="ask the authority about your standing")
    return store.member_from(row)
