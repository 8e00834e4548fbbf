"""How steps of the claims protocol stand in the log: the provenance side of the identity room's port."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from sqlalchemy import Connection

from synthema.identity.dcp.store import ClaimStep, Step
from synthema.ids import new_id
from synthema.provenance.log import ProvenanceLog
from synthema.provenance.model import Activity, Agent, Entity, Iri
from synthema.provenance.store import LogEntry

_WORDS: Final[Mapping[Step, str]] = {
    "CredentialRequested": "A credential was asked for",
    "CredentialReceived": "A credential about this connector was verified and kept",
    "CredentialRefused": "An issuer refused a credential",
    "CredentialOffered": "An issuer offered credentials",
    "IssuanceRequested": "A party asked for credentials",
    "IssuanceApproved": "Credentials that were asked for were issued",
    "IssuanceRefused": "Credentials that were asked for were refused",
    "ClaimVerified": "A credential that a party presented was verified",
    "TokenClientMade": "A client of the secure token service was made",
    "TokenClientEnded": "A client of the secure token service was ended",
}


class ClaimsBook:
    """Writes steps of the claims protocol into a provenance log (an ``identity.dcp.ClaimsLog``)."""

    def __init__(self, log: ProvenanceLog, did: str) -> None:
        self._log = log
        self._did = did

    def record_claim_step(self, connection: Connection, step: ClaimStep) -> LogEntry:
        """Write the step within the caller's transaction."""
        return self._log.append(connection, claim_activity(step, self._did, self._log.iri))


def claim_activity(step: ClaimStep, did: str, iri: Callable[[str, str], str]) -> Activity:
    """The activity of one step: who dealt with whom, about which credential or request."""
    about = step.credential if ":" in step.credential else iri("claim", step.credential)
    entity = Entity(about, types=("ClaimRecord",), digest=step.digest, attributes={"counterparty": Iri(step.party)})
    # What is made is recorded as made; what is only looked at or answered, as used.
    made = step.step in ("CredentialRequested", "CredentialReceived", "IssuanceRequested", "TokenClientMade")
    agents = (Agent(did, "Organization"), *_other(step, did))
    return Activity(
        iri=iri("activity", new_id("activity")),
        type=step.step,
        label=_WORDS[step.step],
        started=step.at,
        ended=step.at,
        agents=agents,
        used=() if made else (entity,),
        generated=(entity,) if made else (),
        attributes=dict(step.said or {}),
    )


def _other(step: ClaimStep, did: str) -> tuple[Agent, ...]:
    party = () if step.party == did else (Agent(step.party, "Organization"),)
    return party if step.by is None else (*party, Agent(step.by, "Person", acts_for=did))
