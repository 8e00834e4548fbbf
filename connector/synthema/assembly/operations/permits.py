"""Operations on permits: applied for, granted, taken in from access bodies, ended, shown and published."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError
from sqlalchemy import Connection

from synthema.assembly import permitting
from synthema.assembly.operations.registry import Input, Nothing, operation
from synthema.assembly.problems import input_error
from synthema.clock import to_text
from synthema.errors import DeniedError, NotFoundError
from synthema.identity import Person
from synthema.permits import (
    DataDescription,
    OutputClass,
    Permit,
    PermitContent,
    as_csv,
    as_json,
    as_markdown,
    permit_sentences,
    public_register,
    report_counts,
)
from synthema.policy import explain_policy
from synthema.provenance import Agent

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector


class ApplyForPermit(Input):
    """What a researcher of this site wants to work on, for which purpose, with whom, and for how long."""

    dataset: str
    purpose: str = Field(description="IRI or short name of the purpose (EHDS Art. 53)")
    person: str = Field(description="role account of the principal investigator")
    specification: str = Field(min_length=3, description="what is needed of the data, in words")
    justification: str = Field(
        default="", description="why anonymised data do not suffice (EHDS Art. 66(3)); left out, they do (Art. 66(2))"
    )
    days: int = Field(gt=0, le=3650, description="how long the permit is to last")
    persons: list[str] = Field(default=[], description="role accounts of all others who will work with the data")
    tools: list[str] = Field(default=[], description="names of the plugins to use; none: any approved one")
    outputs: list[OutputClass] = Field(
        default=[],
        description="what may leave; left out: aggregate, synthetic and masked, or anonymised and aggregate where no "
        "justification is given",
    )
    conditions: list[str] = Field(default=[], description="specific conditions, in words")
    opt_out_exception: str | None = Field(
        default=None, description="reason for reading the data of persons who opted out (EHDS Art. 71(4))"
    )


_OUTPUTS: dict[bool, tuple[OutputClass, ...]] = {
    True: ("aggregate", "synthetic", "masked"),
    False: ("aggregate", "anonymised"),
}
"""What may leave where the application says nothing of it, with and without a reason for pseudonymised data."""


@operation("permit/apply")
def apply_for_permit(connector: Connector, given: ApplyForPermit) -> dict[str, Any]:
    """Apply for a permit for this site's own researchers."""
    version = connector.datasets.version(given.dataset)
    did, today = connector.settings.did, connector.clock.now().date()
    leader, *others = (_person_iri(connector, person) for person in (given.person, *given.persons))
    try:
        content = PermitContent(
            holder=did,
            data=DataDescription(
                datasets=(version.name,),
                categories=version.metadata.category_iris,
                specification=given.specification,
                format="pseudonymised" if given.justification.strip() else "anonymised",
                justification=given.justification,
                sources=(did,),
            ),
            purpose=connector.vocabulary.purposes.resolve(given.purpose),
            opt_out_exception=given.opt_out_exception,
            principal_investigator=leader,
            authorised_persons=tuple(others),
            valid_from=today,
            valid_to=today + timedelta(days=given.days),
            tools=tuple(given.tools),
            outputs=tuple(given.outputs) or _OUTPUTS[bool(given.justification.strip())],
            conditions=tuple(given.conditions),
        )
    except ValidationError as error:
        raise input_error(error, "permit/apply", PermitContent) from error
    by = Agent(leader, "Person")
    return permit_json(connector.permits.apply(content, issuer=did, regime=connector.settings.regime, by=by))


class PermitTerms(Input):
    """A permit and the privacy budget it opens. Its policy (L4) follows from it, unless one is written in the form."""

    permit: str
    policy: str = Field(default="", description="policy in the form; left out, it is derived from the permit")
    epsilon: float = Field(gt=0, description="what may be spent under the permit in all")
    delta: float = Field(gt=0, lt=1)
    total_epsilon: float = Field(gt=0, description="what all recipients of the dataset together may spend")
    release_epsilon: float | None = Field(
        default=None, gt=0, description="what one release may spend; left out, the whole budget of the permit"
    )


@operation("permit/signing")
def permit_signing(connector: Connector, given: PermitTerms) -> dict[str, Any]:
    """What the data protection officer signs to grant a permit, and what permit and policy say in sentences."""
    permit, policy = _terms(connector, given)
    return permit_json(permit) | {
        "permitSentences": permit_sentences(permit, connector.vocabulary, permitting.names_of(connector)),
        "sentences": list(explain_policy(policy, connector.vocabulary)),
        "derived": not given.policy.strip(),
        "sign": _bytes_to_sign(permit, policy, given).hex(),
    }


class GrantPermit(PermitTerms):
    """The terms with the signature of a data protection officer."""

    person: str
    signature: str


@operation("permit/grant")
def grant_permit(connector: Connector, given: GrantPermit) -> dict[str, Any]:
    """Issue (or admit) a permit: state, policy, budget and signature come into force together, or not at all."""
    permit, policy = _terms(connector, given)
    data = _bytes_to_sign(permit, policy, given)
    officer = connector.people.verify(given.person, data, permitting.hexadecimal(given.signature))
    if not officer.has("dpo"):
        raise DeniedError(
            "a permit is granted by a data protection officer", fix="let a person with the role 'dpo' sign it"
        )
    granted = permitting.grant(
        connector, permit, policy, epsilon=given.epsilon, delta=given.delta, total=given.total_epsilon,
        by=_agent(connector, officer),
    )  # fmt: skip
    return permit_json(granted)


class EndPermit(Input):
    """Who takes a permit away, and why."""

    permit: str
    person: str
    reason: str = Field(min_length=3)


@operation("permit/refuse")
def refuse_permit(connector: Connector, given: EndPermit) -> dict[str, Any]:
    """Refuse an application, with the reason; the applicant may read it."""
    by = _agent(connector, connector.people.require(given.person, "dpo"))
    return permit_json(connector.permits.decide(given.permit, "refuse", reason=given.reason, by=by))


@operation("permit/revoke")
def revoke_permit(connector: Connector, given: EndPermit) -> dict[str, Any]:
    """Revoke a permit: what it permitted is denied from now on, and runs under way give nothing more."""
    by = _agent(connector, connector.people.require(given.person, "dpo"))
    return permit_json(permitting.end(connector, given.permit, "revoke", given.reason, by))


@operation("permit/suspend")
def suspend_permit(connector: Connector, given: EndPermit) -> dict[str, Any]:
    """Suspend a permit until it is resumed or revoked, e.g. while a breach is looked into (EHDS Art. 63)."""
    by = _agent(connector, connector.people.require(given.person, "dpo"))
    return permit_json(permitting.end(connector, given.permit, "suspend", given.reason, by))


class ResumePermit(Input):
    """Who takes a suspended permit up again."""

    permit: str
    person: str


@operation("permit/resume")
def resume_permit(connector: Connector, given: ResumePermit) -> dict[str, Any]:
    """End the suspension of a permit."""
    by = _agent(connector, connector.people.require(given.person, "dpo"))
    return permit_json(permitting.end(connector, given.permit, "resume", None, by))


class ExtendPermit(EndPermit):
    """A later last day, with the reason."""

    valid_to: date


@operation("permit/extend")
def extend_permit(connector: Connector, given: ExtendPermit) -> dict[str, Any]:
    """Extend a permit in force, once, by at most ten years (EHDS Art. 68(12)); it is signed anew."""
    by = _agent(connector, connector.people.require(given.person, "dpo"))
    if not permitting.is_ours(connector, connector.permits.permit(given.permit)):
        raise DeniedError("only its issuer extends a permit", fix="take in the extended permit that its issuer signs")

    def work(connection: Connection) -> Permit:
        extended = connector.permits.extend_within(connection, given.permit, given.valid_to, reason=given.reason, by=by)
        return permitting.sign(connector, connection, extended)

    return permit_json(connector.database.write(work))


class OnePermit(Input):
    """A permit by its id."""

    permit: str


@operation("permit/show")
def show_permit(connector: Connector, given: OnePermit) -> dict[str, Any]:
    """One permit: what it says, its policy, its budget, what is owed under it, and its signed form."""
    permit = connector.permits.permit(given.permit)
    accounts = [account for account in connector.budget.accounts() if account.basis == permit.id]
    owed = connector.obligations.tasks(basis=permit.id, unfinished=True)
    return permit_json(permit) | {
        "content": permit.content.model_dump(mode="json"),
        "permitSentences": permit_sentences(permit, connector.vocabulary, permitting.names_of(connector)),
        "sentences": _policy_sentences(connector, permit.id),
        "budgets": [account.id for account in accounts],
        "obligations": [task.id for task in owed],
        "credential": permit.credential,
    }


@operation("permit/export")
def export_permit(connector: Connector, given: OnePermit) -> dict[str, Any]:
    """A permit as its issuer signed it: a verifiable credential that anybody can check."""
    permit = connector.permits.permit(given.permit)
    if permit.credential is None:
        raise NotFoundError("this permit was not granted, so nobody has signed it", fix="grant it first")
    return permit.credential


class ImportPermit(Input):
    """A signed permit of a health data access body, and who takes it in."""

    document: dict[str, Any]
    person: str


@operation("permit/import")
def import_permit(connector: Connector, given: ImportPermit) -> dict[str, Any]:
    """Check and keep a permit that a health data access body signed; a data protection officer admits it then."""
    officer = connector.people.require(given.person, "dpo")
    verified = permitting.verified_permit(connector, given.document)
    return permit_json(connector.permits.take_in(verified, by=_agent(connector, officer)))


@operation("permit/list")
def list_permits(connector: Connector, given: Nothing) -> list[dict[str, Any]]:
    """The permits of this site, newest first."""
    return [permit_json(permit) for permit in connector.permits.permits()]


class PermitRegister(Input):
    """In which form, and for applications of which time."""

    format: Literal["json", "csv", "markdown"] = "json"
    since: datetime | None = None
    until: datetime | None = None


@operation("permit/register")
def permit_register(connector: Connector, given: PermitRegister) -> dict[str, Any]:
    """The public register of permits (EHDS Art. 58) and the figures of the two-yearly report (Art. 59)."""
    permits = connector.permits.permits()
    names = permitting.names_of(connector)
    entries = public_register(permits, connector.vocabulary, permitting.published_results(connector), names)
    counts = report_counts(permits, connector.vocabulary, given.since, given.until)
    value = as_json(entries, counts)
    if given.format == "csv":
        return value | {"text": as_csv(entries)}
    if given.format == "markdown":
        now = connector.clock.now()
        return value | {"text": as_markdown(entries, counts, connector.settings.name, now)}
    return value


def permit_json(permit: Permit) -> dict[str, Any]:
    """A permit as JSON."""
    return {
        "permit": permit.id,
        "state": str(permit.state),
        "holder": permit.content.holder,
        "issuer": permit.issuer,
        "regime": permit.regime,
        "datasets": list(permit.content.data.datasets),
        "purpose": permit.content.purpose,
        "validTo": permit.valid_to.isoformat(),
        "approved": None if permit.approved_at is None else to_text(permit.approved_at),
        "extended": permit.extended,
        "signed": permit.credential is not None,
        "reason": permit.reason,
    }


def _terms(connector: Connector, given: PermitTerms) -> tuple[Permit, Any]:
    permit = connector.permits.permit(given.permit)
    return permit, permitting.policy_of(connector, permit, given.policy, given.release_epsilon or given.epsilon)


def _bytes_to_sign(permit: Permit, policy: Any, given: PermitTerms) -> bytes:
    return permitting.signing_bytes(permit, policy, epsilon=given.epsilon, delta=given.delta, total=given.total_epsilon)


def _policy_sentences(connector: Connector, permit: str) -> list[str]:
    found = [version for version in connector.policies.versions() if version.agreement == permit]
    return [sentence for version in found for sentence in explain_policy(version.policy, connector.vocabulary)]


def _person_iri(connector: Connector, person: str) -> str:
    return connector.log.iri("person", connector.people.get(person).id)


def _agent(connector: Connector, person: Person) -> Agent:
    return Agent(connector.log.iri("person", person.id), "Person")
