"""Operations on what is confirmed of parties: that one is a public sector body (EHDS Art. 53(2))."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from pydantic import Field

from synthema.assembly.operations.registry import Input, Nothing, operation
from synthema.assembly.permitting import hexadecimal
from synthema.permits import Attestation, attestation_bytes

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector


class Confirmation(Input):
    """A party, what shows that it is a public sector body, and until when that counts."""

    subject: str = Field(description="did of the party")
    evidence: str = Field(min_length=8, description="the act, register entry or letter that was seen")
    valid_to: date = Field(description="last day; look again by then")


@operation("attestation/signing")
def attestation_signing(connector: Connector, given: Confirmation) -> dict[str, Any]:
    """What two people sign to confirm that a party is a public sector body."""
    return {"sign": attestation_bytes(given.subject, given.evidence, given.valid_to).hex()}


class Signed(Input):
    """One person's signature, hexadecimal."""

    person: str
    signature: str


class SignedConfirmation(Confirmation):
    """The confirmation with the signatures of two people, one of them a data protection officer."""

    approvals: list[Signed]


@operation("attestation/make")
def make_attestation(connector: Connector, given: SignedConfirmation) -> dict[str, Any]:
    """Confirm that a party is a public sector body; reserved purposes are open to it from now on."""
    approvals = [(each.person, hexadecimal(each.signature)) for each in given.approvals]
    return attestation_json(connector.attestations.attest(given.subject, given.evidence, given.valid_to, approvals))


class ImportAttestation(Input):
    """A credential of a trusted body, and who takes it in."""

    document: dict[str, Any]
    person: str


@operation("attestation/import")
def import_attestation(connector: Connector, given: ImportAttestation) -> dict[str, Any]:
    """Take in a credential in which a trusted body confirms that a party is a public sector body."""
    officer = connector.people.require(given.person, "dpo")
    made = connector.attestations.take_in(
        given.document,
        bodies=[body.did for body in connector.settings.access_bodies],
        resolver=connector.resolver,
        status=connector.trust.status_list,
        by=officer,
    )
    return attestation_json(made)


class EndAttestation(Input):
    """Which confirmation, who ends it, and why."""

    attestation: str
    person: str
    reason: str = Field(min_length=3)


@operation("attestation/end")
def end_attestation(connector: Connector, given: EndAttestation) -> dict[str, Any]:
    """End a confirmation: the party is not taken for a public sector body any more."""
    officer = connector.people.require(given.person, "dpo")
    return attestation_json(connector.attestations.end(given.attestation, given.reason, by=officer))


@operation("attestation/list")
def list_attestations(connector: Connector, given: Nothing) -> list[dict[str, Any]]:
    """What is confirmed of parties, the latest first."""
    now = connector.clock.now()
    return [attestation_json(found) | {"counts": found.counts_at(now)} for found in connector.attestations.all()]


def attestation_json(attestation: Attestation) -> dict[str, Any]:
    """A confirmation as JSON."""
    return {
        "attestation": attestation.id,
        "subject": attestation.subject,
        "basis": attestation.basis,
        "evidence": attestation.evidence,
        "attestedBy": list(attestation.attested_by),
        "validTo": attestation.valid_to.isoformat(),
        "ended": attestation.ended_at is not None,
        "reason": attestation.reason,
    }
