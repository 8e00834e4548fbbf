"""How changes of role accounts stand in the log: the provenance side of the identity room's port."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from synthema.canonical import digest_bytes
from synthema.identity.people import AccountChange
from synthema.ids import new_id
from synthema.provenance.log import ProvenanceLog
from synthema.provenance.model import Activity, Agent, Entity
from synthema.provenance.store import LogEntry


class PeopleLog:
    """Writes the changes of role accounts into a provenance log (an ``identity.AccountLog``)."""

    def __init__(self, log: ProvenanceLog) -> None:
        self._log = log

    def record_account_change(self, connection: Connection, change: AccountChange) -> LogEntry:
        """Write the change within the caller's transaction."""
        return self._log.append(connection, account_activity(change, self._log.iri))


def account_activity(change: AccountChange, iri: Callable[[str, str], str]) -> Activity:
    """The activity of an account that was made or ended; the key stands there as a digest."""
    person = change.person
    account = Entity(
        iri("person", person.id),
        types=("RoleAccount",),
        label=f"Role account: {', '.join(person.roles)}",
        digest=digest_bytes(person.public_key),
    )
    registered = change.kind == "registered"
    return Activity(
        iri=iri("accountchange", new_id("accountchange")),
        type="AccountRegistration" if registered else "AccountRevocation",
        label="A role account was registered" if registered else "A role account was revoked",
        started=change.at,
        ended=change.at,
        agents=_who(change.by),
        used=() if registered else (account,),
        generated=(account,) if registered else (),
    )


def _who(by: str | None) -> tuple[Agent, ...]:
    if by is None:
        return ()
    # The first account of a connector is made by the organisation itself, which is known by its DID.
    return (Agent(by, "Organization" if by.startswith("did:") else "Person"),)
