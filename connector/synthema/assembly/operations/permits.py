"""Operations on permits: what the site's own researchers may do with a dataset, on whose word, and for how much."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pydantic import Field
from sqlalchemy import Connection

from synthema.assembly.operations.registry import Input, Nothing, operation
from synthema.budget import EVERYONE
from synthema.canonical import canonical_json
from synthema.errors import DeniedError, InputError
from synthema.permits import DataDescription, Permit, PermitContent
from synthema.policy import Policy, explain_policy, parse_policy, policy_digest
from synthema.provenance import Agent

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector


class ApplyForPermit(Input):
    """What a researcher of this site wants to work on, for which purpose, and for how long."""

    dataset: str
    purpose: str = Field(description="IRI or short name of the purpose (EHDS Art. 53)")
    person: str = Field(description="role account of the principal investigator")
    specification: str = Field(min_length=3, description="what is needed of the data, in words")
    justification: str = Field(min_length=3, description="why anonymised data do not suffice (EHDS Art. 66(3))")
    days: int = Field(gt=0, le=3650, description="how long the permit is to last")


@operation("permit/apply")
def apply_for_permit(connector: Connector, given: ApplyForPermit) -> dict[str, Any]:
    """Apply for a permit for this site's own researchers."""
    version = connector.datasets.version(given.dataset)
    did, today = connector.settings.did, connector.clock.now().date()
    person = connector.people.get(given.person)
    content = PermitContent(
        holder=did,
        data=DataDescription(
            datasets=(version.name,),
            categories=version.metadata.category_iris,
            specification=given.specification,
            format="pseudonymised",
            justification=given.justification,
            sources=(did,),
        ),
        purpose=connector.vocabulary.purposes.resolve(given.purpose),
        principal_investigator=connector.log.iri("person", person.id),
        valid_from=today,
        valid_to=today + timedelta(days=given.days),
    )
    by = Agent(content.principal_investigator, "Person")
    return _permit_json(connector.permits.apply(content, issuer=did, regime=connector.settings.regime, by=by))


class PermitTerms(Input):
    """A permit, the policy (L4, in the form) that comes with it, and the privacy budget it opens."""

    permit: str
    policy: str
    epsilon: float = Field(gt=0, description="what may be spent under the permit in all")
    delta: float = Field(gt=0, lt=1)
    total_epsilon: float = Field(gt=0, description="what all recipients of the dataset together may spend")


@operation("permit/signing")
def permit_signing(connector: Connector, given: PermitTerms) -> dict[str, Any]:
    """What the data protection officer signs to grant a permit, and what its policy says in sentences."""
    permit, policy = connector.permits.permit(given.permit), _policy(connector, given)
    return _permit_json(permit) | {
        "sentences": list(explain_policy(policy, connector.vocabulary)),
        "sign": _signing_bytes(permit, policy, given).hex(),
    }


class GrantPermit(PermitTerms):
    """The terms with the signature of a data protection officer."""

    person: str
    signature: str


@operation("permit/grant")
def grant_permit(connector: Connector, given: GrantPermit) -> dict[str, Any]:
    """Issue a permit: its state, its policy and its privacy budget come into force together, or not at all."""
    permit, policy = connector.permits.permit(given.permit), _policy(connector, given)
    officer = connector.people.verify(given.person, _signing_bytes(permit, policy, given), _bytes(given.signature))
    if not officer.has("dpo"):
        raise DeniedError(
            "a permit is granted by a data protection officer", fix="let a person with the role 'dpo' sign it"
        )
    by = Agent(connector.log.iri("person", officer.id), "Person")

    def keep(connection: Connection) -> Permit:
        granted = connector.permits.decide_within(connection, permit.id, "grant", by=by)
        connector.policies.add_agreement(connection, policy, permit.id)
        for dataset in permit.content.data.datasets:
            _open_budgets(connector, connection, dataset, permit, given, by)
        return granted

    return _permit_json(connector.database.write(keep))


class EndPermit(Input):
    """Who ends a permit, and why."""

    permit: str
    person: str
    reason: str = Field(min_length=3)


@operation("permit/revoke")
def revoke_permit(connector: Connector, given: EndPermit) -> dict[str, Any]:
    """Revoke a permit: what it permitted is denied from now on."""
    officer = connector.people.require(given.person, "dpo")
    by = Agent(connector.log.iri("person", officer.id), "Person")

    def end(connection: Connection) -> Permit:
        permit = connector.permits.decide_within(connection, given.permit, "revoke", reason=given.reason, by=by)
        connector.policies.end_agreement(connection, given.permit)
        return permit

    return _permit_json(connector.database.write(end))


@operation("permit/list")
def list_permits(connector: Connector, given: Nothing) -> list[dict[str, Any]]:
    """The permits of this site, newest first."""
    return [_permit_json(permit) for permit in connector.permits.permits()]


def _open_budgets(
    connector: Connector, connection: Connection, dataset: str, permit: Permit, terms: PermitTerms, by: Agent
) -> None:
    try:
        connector.budget.account_for(connection, dataset, None, EVERYONE)
    except DeniedError:
        connector.budget.open_account_within(connection, dataset, EVERYONE, terms.total_epsilon, terms.delta, by=by)
    connector.budget.open_account_within(
        connection, dataset, permit.content.holder, terms.epsilon, terms.delta, basis=permit.id, by=by
    )


def _policy(connector: Connector, terms: PermitTerms) -> Policy:
    return parse_policy(terms.policy, connector.vocabulary, file="permit", base=connector.log.origin)


def _signing_bytes(permit: Permit, policy: Policy, terms: PermitTerms) -> bytes:
    return canonical_json(
        {
            "grant permit": permit.id,
            "content": permit.digest,
            "policy": policy_digest(policy),
            "budget": {"epsilon": terms.epsilon, "delta": terms.delta, "total": terms.total_epsilon},
        }
    )


def _permit_json(permit: Permit) -> dict[str, Any]:
    return {
        "permit": permit.id,
        "state": str(permit.state),
        "holder": permit.content.holder,
        "datasets": list(permit.content.data.datasets),
        "purpose": permit.content.purpose,
        "validTo": permit.valid_to.isoformat(),
        "reason": permit.reason,
    }


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise InputError("signature is not hexadecimal", fix="give the bytes as hexadecimal digits") from error
