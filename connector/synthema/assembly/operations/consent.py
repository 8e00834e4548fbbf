"""Operations on consents and opt-outs: what people agreed to, took back, and who is left out because of it."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from synthema.assembly.operations.registry import Input, operation
from synthema.canonical import canonical_json
from synthema.clock import from_text, to_text
from synthema.consent import (
    ConsentItem,
    ConsentRecord,
    ConsentState,
    Ground,
    ImportReport,
    Problem,
    Reading,
    Standing,
    Terms,
    Use,
    WithdrawalLevel,
    consent_receipt,
    consent_record,
    parse_csv,
    parse_elements,
    parse_fhir,
    question,
    read_notice,
    representative,
    turtle,
)
from synthema.consent.model import start_of
from synthema.consent.use import RESEARCH
from synthema.errors import ConflictError, InputError
from synthema.provenance import Agent

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector

_PARSERS = {"csv": parse_csv, "cde": parse_elements, "fhir": parse_fhir}


class By(Input):
    """Who enters a change, for the log."""

    person: str | None = Field(default=None, description="role account of whoever enters it")


class OnePatient(By):
    """One patient of a dataset, by the key that stands in it. The key is neither kept nor logged."""

    dataset: str
    patient: str = Field(min_length=1, description="the patient's key in the dataset")


class Give(OnePatient):
    """What a patient agrees to. What is left out stays as it was."""

    items: list[ConsentItem] | None = Field(default=None, description="the boxes that are ticked")
    purposes: list[str] | None = Field(default=None, description="names or IRIs of purposes; none sets no bound")
    legal_basis: str | None = Field(default=None, description="where it is not that of the dataset")
    notice: str | None = Field(default=None, description="version of the notice that was shown")
    valid_to: date | None = Field(default=None, description="first day on which it no longer counts")
    given_by: Literal["self", "parent", "guardian"] = "self"
    birth_date: date | None = Field(default=None, description="for a minor, with a representative; it is not kept")
    guardian_until: date | None = None
    country: str | None = Field(default=None, description="two letters, for the age of majority")


@operation("consent/give")
def give_consent(connector: Connector, given: Give) -> dict[str, Any]:
    """Record that a patient agrees, or agrees again (GDPR Art. 7)."""
    purposes = connector.vocabulary.purposes
    terms: Terms = {
        "items": given.items,
        "purposes": None if given.purposes is None else [purposes.resolve(name) for name in given.purposes],
        "legal_basis": given.legal_basis,
        "notice_version": given.notice,
        "valid_to": None if given.valid_to is None else start_of(given.valid_to),
    }
    if given.given_by != "self":
        terms["representative"] = representative(
            given.given_by,
            connector.clock.now().date(),
            born=given.birth_date,
            until=given.guardian_until,
            country=given.country,
            ages=connector.consents.ages,
        )
    name = connector.datasets.version(given.dataset).name
    version = connector.consents.give(name, given.patient, by=_by(connector, given), **terms)
    return _changed(connector, given, version)


@operation("consent/refuse")
def refuse_consent(connector: Connector, given: OnePatient) -> dict[str, Any]:
    """Record that a patient who was asked says no."""
    name = connector.datasets.version(given.dataset).name
    return _changed(connector, given, connector.consents.refuse(name, given.patient, by=_by(connector, given)))


class Withdraw(OnePatient):
    """What a patient takes back: contact, access to new data, or all use."""

    level: WithdrawalLevel = WithdrawalLevel.USE


@operation("consent/withdraw")
def withdraw_consent(connector: Connector, given: Withdraw) -> dict[str, Any]:
    """Record that a patient takes consent back, wholly or in part, from now on (GDPR Art. 7(3))."""
    name = connector.datasets.version(given.dataset).name
    by = _by(connector, given)
    return _changed(connector, given, connector.consents.withdraw(name, given.patient, given.level, by=by))


class OptOutOf(By):
    """One patient, for all datasets of the site."""

    patient: str = Field(min_length=1, description="the patient's key, the same in all datasets of the site")


@operation("consent/opt-out")
def opt_out(connector: Connector, given: OptOutOf) -> dict[str, Any]:
    """Record that a patient opts out of secondary use, without a reason (EHDS Art. 71(1))."""
    return {"version": connector.consents.opt_out(given.patient, by=_by(connector, given)), "state": "OptedOut"}


@operation("consent/opt-in")
def opt_in(connector: Connector, given: OptOutOf) -> dict[str, Any]:
    """Record that a patient takes an opt-out back (EHDS Art. 71(1))."""
    return {"version": connector.consents.opt_in(given.patient, by=_by(connector, given)), "state": "OptOutReversed"}


@operation("consent/show")
def show_consent(connector: Connector, given: OnePatient) -> dict[str, Any]:
    """Everything that is known of one patient's consent to a dataset, oldest first, and whether it counts now."""
    return _standing_json(_standing(connector, given))


class OneDataset(Input):
    """A dataset, by name or by the identifier of a version."""

    dataset: str


@operation("consent/list")
def list_consents(connector: Connector, given: OneDataset) -> dict[str, Any]:
    """How many people of a dataset are in each state; numbers only."""
    name = connector.datasets.version(given.dataset).name
    return {
        "dataset": name,
        "states": connector.consents.counts(name),
        "optOuts": connector.consents.opt_out_counts(),
    }


@operation("consent/status")
def consent_status(connector: Connector, given: OneDataset) -> dict[str, Any]:
    """Whether the lists of a dataset are up to date, and how many people may be read for health research."""
    version = connector.datasets.version(given.dataset)
    now = connector.clock.now()
    use = Use(purpose=RESEARCH, categories=version.metadata.category_iris, data_as_of=version.added_at)
    ground = Ground(version.legal_basis, None, now, question(use, connector.vocabulary))
    found = connector.consents.cohort_exclusions(version.name, version.id, ground)
    refreshed = found.refreshed_at
    return {
        "dataset": version.name,
        "legalBasis": version.legal_basis,
        "machine": found.machine,
        "listVersion": found.version,
        "optOutsRefreshedAt": None if refreshed is None else to_text(refreshed),
        "optOutListHours": None if refreshed is None else round((now - refreshed).total_seconds() / 3600, 1),
        "remaining": found.remaining,
        "leftOut": found.reasons,
        "bases": found.bases,
        "sentence": found.summary(),
    }


class AskExclusions(OneDataset):
    """A use, to see who would be left out of it and why. What is not said asks for no box of its own."""

    purpose: str | None = Field(default=None, description="name or IRI of the purpose")
    action: str | None = Field(default=None, description="name or IRI of the action")
    place: str | None = Field(default=None, description="where the recipient is established, e.g. US")
    for_profit: bool | None = Field(default=None, description="whether the recipient makes a profit")
    disease: str | None = Field(default=None, description="the disease that is studied")
    contact: bool = Field(default=False, description="whether people are to be contacted")
    permit_approved_at: str | None = Field(default=None, description="when the permit was approved (EHDS Art. 71(3))")


@operation("consent/exclusions")
def show_exclusions(connector: Connector, given: AskExclusions) -> dict[str, Any]:
    """Who would be left out of a use, in numbers by reason, as a statement signed by this connector."""
    version = connector.datasets.version(given.dataset)
    now = connector.clock.now()
    words = connector.vocabulary
    use = Use(
        purpose=None if given.purpose is None else words.purposes.resolve(given.purpose),
        action=None if given.action is None else words.actions.resolve(given.action),
        for_profit=given.for_profit,
        place=None if given.place is None else words.places.resolve(given.place),
        categories=version.metadata.category_iris,
        disease=None if given.disease is None else words.diseases.resolve(given.disease),
        own_disease=version.codebook.disease,
        contact=given.contact,
        data_as_of=version.added_at,
    )
    approved = None if given.permit_approved_at is None else from_text(given.permit_approved_at)
    ground = Ground(version.legal_basis, approved, now, question(use, words))
    found = connector.consents.cohort_exclusions(version.name, version.id, ground)
    statement = {
        "dataset": connector.log.iri("dataset", version.id),
        "at": to_text(now),
        "listVersion": found.version,
        "optOutsRefreshedAt": None if found.refreshed_at is None else to_text(found.refreshed_at),
        "asked": sorted(ground.question.required),
        "remaining": found.remaining,
        "leftOut": found.reasons,
    }
    key = connector.signer.current("assertion")
    signature = connector.signer.sign(key, canonical_json(statement)).hex()
    method = f"{connector.settings.did}#{key}"
    return {"statement": statement, "signature": signature, "method": method, "sentence": found.summary()}


class ImportConsents(By):
    """A list of consents for one dataset: our CSV, the common data elements 7.1 to 7.4, or FHIR R4 Consent."""

    dataset: str
    file: str = Field(description="name of the file, for messages")
    table: str = Field(description="the text of the file")
    kind: Literal["csv", "cde", "fhir"] = "csv"
    dry_run: bool = Field(default=False, description="change nothing, and say what would change")


@operation("consent/import")
def import_consents(connector: Connector, given: ImportConsents) -> dict[str, Any]:
    """Take in a list of consents and opt-outs, whole or not at all; patients are kept as keyed tokens only."""
    name = connector.datasets.version(given.dataset).name
    reading = Reading(connector.clock.now(), connector.consents.ages)
    taken = _PARSERS[given.kind](given.table.removeprefix("\ufeff"), given.file, reading)
    report = connector.consents.import_list(name, taken, given.file, dry_run=given.dry_run, by=_by(connector, given))
    return _report_json(report) | {"states": connector.consents.counts(name)}


class KeepNotice(By):
    """A consent notice as YAML text, with the fields of ISO/IEC TS 27560."""

    text: str
    file: str = "notice.yaml"


@operation("consent/notice")
def keep_notice(connector: Connector, given: KeepNotice) -> dict[str, Any]:
    """Keep a version of the notice that people are shown; records name it, and receipts quote it."""
    content = read_notice(given.text, given.file)
    connector.datasets.version(content.dataset)
    identifier = connector.consents.keep_notice(content, by=_by(connector, given))
    return {"notice": identifier, "dataset": content.dataset, "version": content.version, "title": content.title}


class AskReceipt(OnePatient):
    """One patient's receipt, or the whole record with its history."""

    form: Literal["turtle", "json"] = "turtle"
    whole_record: bool = Field(default=False, description="the record with every event instead of the receipt")


@operation("consent/receipt")
def make_receipt(connector: Connector, given: AskReceipt) -> dict[str, Any]:
    """A patient's consent receipt or record (ISO/IEC TS 27560, DPV, GDPR profile) as Turtle or JSON-LD."""
    standing = _standing(connector, given)
    if not standing.history:
        raise InputError("nothing is on record for this person", fix="look at the key and the dataset's name")
    version = standing.history[-1][0].notice_version
    if version is None:
        raise ConflictError(
            "it is not recorded which notice this person was shown, so there can be no full record (GDPR Art. 7(1))",
            fix="record the consent with its notice: synthema consent give … --notice VERSION",
        )
    notice = connector.consents.notice(standing.dataset_id, version)
    origin = connector.log.origin
    document = (
        consent_record(standing.history, notice, origin)
        if given.whole_record
        else consent_receipt(standing.history, notice, origin, connector.clock.now())
    )
    return {"document": document if given.form == "json" else turtle(document).decode(), "form": given.form}


class CloseMatching(By):
    """A dataset version whose pseudonymisation key is about to be destroyed."""

    dataset: str = Field(description="identifier of the version, or the dataset's name for the latest")


@operation("consent/close-matching")
def close_matching(connector: Connector, given: CloseMatching) -> dict[str, Any]:
    """Match a dataset version with the opt-outs for the last time, before its key is destroyed (EHDS Art. 71(8))."""
    version = connector.datasets.version(given.dataset)
    left_out = connector.consents.close_matching(
        version.name, version.id, version.legal_basis, by=_by(connector, given)
    )
    return {"dataset": version.name, "version": version.id, "leftOutForGood": left_out}


def _by(connector: Connector, given: By) -> Agent | None:
    if given.person is None:
        return None
    person = connector.people.get(given.person)
    return Agent(connector.log.iri("person", person.id), "Person")


def _standing(connector: Connector, given: OnePatient) -> Standing:
    version = connector.datasets.version(given.dataset)
    return connector.consents.standing(version.name, given.patient, version.legal_basis)


def _changed(connector: Connector, given: OnePatient, version: int) -> dict[str, Any]:
    return _standing_json(_standing(connector, given)) | {"version": version}


def _standing_json(standing: Standing) -> dict[str, Any]:
    history = [_version_json(record, recorded) for record, recorded in standing.history]
    return {
        "dataset": standing.dataset_id,
        "state": history[-1]["state"] if history else str(ConsentState.UNKNOWN),
        "machine": standing.machine,
        "counts": standing.refusal is None,
        "refusal": standing.refusal,
        "optOut": None if standing.opt_out is None else str(standing.opt_out.state),
        "history": history,
        "sentence": _sentence(standing),
    }


def _sentence(standing: Standing) -> str:
    """How one person stands, in one sentence."""
    ground = (
        "consent (GDPR Art. 7(3))" if standing.machine == "consent" else "another ground, with opt-out (EHDS Art. 71)"
    )
    if standing.refusal is None:
        return f"This person's record rests on {ground} and may be read for secondary use within what they agreed to."
    return f"This person's record rests on {ground} and is left out now: {standing.refusal}."


def _version_json(record: ConsentRecord, recorded: datetime) -> dict[str, Any]:
    whose = record.representative
    return {
        "state": str(record.state),
        "since": to_text(record.effective_at),
        "recorded": to_text(recorded),
        "items": sorted(record.items),
        "purposes": sorted(record.purposes),
        "legalBasis": record.legal_basis,
        "validTo": None if record.valid_to is None else to_text(record.valid_to),
        "notice": record.notice_version,
        "level": None if record.level is None else str(record.level),
        "givenBy": "self" if whose is None else whose.kind,
        "representativeUntil": None if whose is None else whose.until.isoformat(),
    }


def _report_json(report: ImportReport) -> dict[str, Any]:
    return {
        "version": report.version,
        "kept": report.kept,
        "people": report.people,
        "consents": report.consents_changed,
        "optOuts": report.opt_outs_changed,
        "unchanged": report.unchanged,
        "stale": report.stale,
        "changes": dict(report.changes or {}),
        "problems": [_problem_json(problem) for problem in report.problems],
    }


def _problem_json(problem: Problem) -> dict[str, str | None]:
    return {
        "where": problem.where,
        "field": problem.field,
        "sentence": problem.sentence,
        "fix": problem.fix,
        "text": problem.text(),
    }
