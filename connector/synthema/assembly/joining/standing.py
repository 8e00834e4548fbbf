"""The standing of members and credentials: suspended, in force again, revoked for good, left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection

from synthema.assembly.joining import store
from synthema.assembly.joining.office import Office
from synthema.errors import ConflictError, InputError, NotFoundError
from synthema.provenance.model import Agent, Entity

TRANSITIONS: Final[Mapping[tuple[str, str], str]] = {
    ("active", "suspend"): "suspended",
    ("active", "revoke"): "revoked",
    ("active", "leave"): "left",
    ("suspended", "reinstate"): "active",
    ("suspended", "revoke"): "revoked",
    ("suspended", "leave"): "left",
}
"""The life of a membership. What was revoked or left begins anew with an invitation, never by itself."""

_CREDENTIALS: Final[Mapping[tuple[str, str], str]] = {
    ("valid", "suspend"): "suspended",
    ("valid", "revoke"): "revoked",
    ("valid", "leave"): "revoked",
    ("suspended", "reinstate"): "valid",
    ("suspended", "revoke"): "revoked",
    ("suspended", "leave"): "revoked",
}
_LABELS: Final = {
    "suspend": ("MemberSuspension", "was suspended"),
    "reinstate": ("MemberReinstatement", "is a member in good standing again"),
    "revoke": ("MemberRevocation", "is no member any more"),
    "leave": ("MemberDeparture", "has left"),
}


def change(office: Office, about: str, event: str, reason: str) -> dict[str, Any]:
    """Suspend, reinstate or revoke a member (its DID) with all its credentials, or one credential (its number).

    Raises :class:`NotFoundError` for what is neither, :class:`ConflictError`
    where the present state does not allow it, :class:`InputError` without a reason.
    """
    if not reason.strip():
        raise InputError("no reason is given", fix="say why in one sentence; the member and the log are told")
    one = _change_member if about.startswith("did:") else _change_credential
    changed = office.database.write(lambda connection: one(office, connection, about, event, reason))
    office.herald.call()
    return changed


def depart(office: Office, token: str, reason: str) -> dict[str, Any]:
    """The caller leaves: its membership ends and its credentials are revoked; twice is once."""
    claims = office.caller(token)

    def work(connection: Connection) -> dict[str, Any]:
        row = store.find(connection, store.members, claims.issuer)
        if row is None:
            raise NotFoundError("there is nothing here for this caller", fix="check the address and the token")
        if row["state"] in ("left", "revoked"):
            return {"member": claims.issuer, "state": row["state"]}
        return _change_member(office, connection, claims.issuer, "leave", reason or "it wished to leave")

    left = office.database.write(work)
    office.herald.call()
    return left


def of_caller(office: Office, token: str) -> dict[str, Any]:
    """How the authority sees the caller, whatever its state; raises :class:`NotFoundError` for a stranger."""
    claims = office.caller(token)
    with office.database.read() as connection:
        row = store.find(connection, store.members, claims.issuer)
        held = store.credentials_of(connection, claims.issuer)
    if row is None:
        raise NotFoundError("there is nothing here for this caller", fix="check the address and the token")
    member = store.member_from(row)
    return member.model_dump(mode="json") | {
        "credentials": [{name: each[name] for name in ("id", "type", "state", "reason")} for each in held]
    }


def _change_member(office: Office, connection: Connection, did: str, event: str, reason: str) -> dict[str, Any]:
    row = store.require(connection, store.members, did, "member")
    state = TRANSITIONS.get((row["state"], event))
    if state is None:
        raise ConflictError(f"a member that is {row['state']} cannot be changed so ({event})", fix="look at it first")
    store.change(connection, store.members, did, state=state, reason=reason, since=office.clock.now())
    for held in store.credentials_of(connection, did):
        then = _CREDENTIALS.get((held["state"], event))
        # What was suspended for a reason of its own does not come back with the membership.
        if then is not None and not (event == "reinstate" and held["reason"] != row["reason"]):
            store.change(connection, store.credentials, held["id"], state=then, reason=reason)
    type_, words = _LABELS[event]
    by = (Agent(did, "Organization", row["name"]),) if event == "leave" else ()
    about = (office.member_entity(did, state),)
    office.record(connection, type_, f"{row['name']} {words}", about=about, by=by, reason=reason)
    return {"member": did, "state": state, "reason": reason}


def _change_credential(
    office: Office, connection: Connection, identifier: str, event: str, reason: str
) -> dict[str, Any]:
    row = store.require(connection, store.credentials, identifier, "credential")
    state = _CREDENTIALS.get((row["state"], event))
    if state is None:
        raise ConflictError(f"a credential that is {row['state']} cannot be changed so ({event})", fix="look at it")
    store.change(connection, store.credentials, identifier, state=state, reason=reason)
    about = Entity(row["document"]["id"], ("Credential",), attributes={"credentialState": state})
    office.record(connection, "CredentialStatusChange", f"A {row['type']} is {state}", about=(about,), reason=reason)
    return {"credential": identifier, "state": state, "reason": reason}
