"""Operations on obligations: what is owed, what shows that it was done, what was not kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from synthema.assembly.operations.registry import Input, operation
from synthema.assembly.permitting import hexadecimal, names_of
from synthema.clock import duration
from synthema.obligations import Task, calendar_text, icalendar, sentence, waiver_bytes
from synthema.obligations.words import duty_words

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector


class FindObligations(Input):
    """Which obligations; nothing given finds all that are not done."""

    party: str | None = Field(default=None, description="did of who owes it")
    dataset: str | None = None
    basis: str | None = Field(default=None, description="permit or agreement")
    run: str | None = None
    due_within: str | None = Field(default=None, description="duration such as P30D")
    all: bool = Field(default=False, description="also those that are done, waived or void")


@operation("obligation/list")
def list_obligations(connector: Connector, given: FindObligations) -> list[dict[str, Any]]:
    """What is owed, by whom and until when; the nearest date first."""
    return [obligation_json(connector, task) for task in _found(connector, given)]


class OneObligation(Input):
    """An obligation by its id."""

    obligation: str


@operation("obligation/show")
def show_obligation(connector: Connector, given: OneObligation) -> dict[str, Any]:
    """One obligation: who owes what, on which ground, until when, and what shows that it was done."""
    task = connector.obligations.task(given.obligation)
    return obligation_json(connector, task) | {"runs": connector.obligations.causes(task.id)}


class FulfilObligations(Input):
    """Obligations, what shows that they were done, and who brings it."""

    obligations: list[str] = Field(min_length=1)
    evidence: str = Field(description="entry of this log, digest (sha256:…), or public address")
    person: str


@operation("obligation/fulfil")
def fulfil_obligations(connector: Connector, given: FulfilObligations) -> list[dict[str, Any]]:
    """Record that obligations were fulfilled, with what shows it; what is late is settled by an officer."""
    person = _active(connector, given.person)
    done = connector.obligations.fulfil(given.obligations, given.evidence, by=person)
    return [obligation_json(connector, task) for task in done]


class RecordPrior(Input):
    """A duty that was done before anybody asked: who owed it, to which rule, and what shows it."""

    duty: str = Field(description="IRI or short name, e.g. sign agreement")
    party: str
    dataset: str
    basis: str | None = None
    rule: str = Field(description="identifier of the rule that asks for it")
    evidence: str
    person: str


@operation("obligation/record")
def record_prior(connector: Connector, given: RecordPrior) -> dict[str, Any]:
    """Record that a duty was done beforehand, so that the next request finds it fulfilled."""
    officer = connector.people.require(given.person, "dpo")
    action = connector.vocabulary.duties.resolve(given.duty)
    dataset = connector.datasets.version(given.dataset).name
    task = connector.database.write(
        lambda connection: connector.obligations.record_prior(
            connection, action, party=given.party, dataset=dataset, basis=given.basis, rule=given.rule,
            evidence=given.evidence, by=officer,
        )
    )  # fmt: skip
    return obligation_json(connector, task)


class ReportBreach(Input):
    """An obligation that was broken, what happened, and who reports it."""

    obligation: str
    reason: str = Field(min_length=3)
    person: str


@operation("obligation/breach")
def report_breach(connector: Connector, given: ReportBreach) -> dict[str, Any]:
    """Record that an obligation was broken: further requests of the party are denied until it is settled."""
    person = _active(connector, given.person)
    return obligation_json(connector, connector.obligations.report_breach(given.obligation, given.reason, by=person))


class WaiverTerms(Input):
    """An obligation, and why it is to be dropped."""

    obligation: str
    reason: str = Field(min_length=3)


@operation("obligation/signing")
def waiver_signing(connector: Connector, given: WaiverTerms) -> dict[str, Any]:
    """What two people sign to waive an obligation."""
    task = connector.obligations.task(given.obligation)
    return obligation_json(connector, task) | {"sign": waiver_bytes(task, given.reason).hex()}


class Signed(Input):
    """One person's signature, hexadecimal."""

    person: str
    signature: str


class WaiveObligation(WaiverTerms):
    """The waiver with the signatures of two people, one of them a data protection officer."""

    approvals: list[Signed]


@operation("obligation/waive")
def waive_obligation(connector: Connector, given: WaiveObligation) -> dict[str, Any]:
    """Drop an obligation on the word of two people; what a law demands cannot be waived."""
    approvals = [(each.person, hexadecimal(each.signature)) for each in given.approvals]
    return obligation_json(connector, connector.obligations.waive(given.obligation, given.reason, approvals))


class Calendar(FindObligations):
    """Which obligations, as iCalendar or as text."""

    format: Literal["ics", "text"] = "ics"


@operation("obligation/calendar")
def obligation_calendar(connector: Connector, given: Calendar) -> dict[str, Any]:
    """The deadlines as a calendar file (iCalendar) or as text, month by month."""
    tasks, now, names = _found(connector, given), connector.clock.now(), names_of(connector)
    if given.format == "text":
        text = "\n".join(calendar_text(tasks, connector.vocabulary, now, names))
    else:
        text = icalendar(tasks, connector.vocabulary, origin=connector.log.origin, at=now, names=names)
    return {"format": given.format, "text": text}


def obligation_json(connector: Connector, task: Task) -> dict[str, Any]:
    """An obligation as JSON, with its sentence."""
    party = names_of(connector).get(task.party)
    told = sentence(task, connector.vocabulary, connector.clock.now(), party=party)
    return task.as_dict() | {"duty": duty_words(task, connector.vocabulary), "sentence": told}


def _found(connector: Connector, given: FindObligations) -> list[Task]:
    return connector.obligations.tasks(
        party=given.party,
        dataset=given.dataset,
        basis=given.basis,
        run=given.run,
        due_within=None if given.due_within is None else duration(given.due_within),
        unfinished=not given.all,
    )


def _active(connector: Connector, person_id: str) -> Any:
    """A person of the house whose account has not ended; raises :class:`DeniedError`."""
    found = connector.people.get(person_id)
    return connector.people.require(person_id, found.roles[0])
