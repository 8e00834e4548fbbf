"""What people do about a withdrawal: assess what remains, let something stay, say that it was made anew.

A data protection officer decides; what was decided is written into the log with its digest.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, Literal

from pydantic import Field
from sqlalchemy import Connection

from synthema.assembly.study_store import ConductState
from synthema.assembly.withdrawal import store
from synthema.assembly.withdrawal.ground import Ground
from synthema.assembly.withdrawal.model import Consequence, Item, ItemState, Rules
from synthema.assembly.withdrawal.planning import ARTICLES, reason_for
from synthema.assembly.withdrawal.steps import Steps
from synthema.assembly.withdrawal.store import KeptItem
from synthema.assembly.withdrawal.tracing import study_of
from synthema.canonical import digest
from synthema.clock import to_text
from synthema.errors import ConflictError, InputError
from synthema.identity.people import Person
from synthema.provenance import Agent
from synthema.runs.model import RunState
from synthema.values import Closed

Finding = Literal["negligible", "not negligible"]


class Assessment(Closed):
    """An officer's finding on one derived thing, relative to recipients, circumstances and today.

    After EDPB Opinion 28/2024: how likely is it, with all means reasonably likely to be used, that the person is
    extracted from the thing, or told from what it answers?
    """

    finding: Finding
    recipients: str = Field(min_length=3, max_length=500, description="who can use it, e.g. two registries in the EU")
    means: str = Field(min_length=3, max_length=1000, description="what somebody could try, and what was tried")
    reason: str = Field(min_length=3, max_length=2000, description="why the finding follows")


class Decisions:
    """The steps of people."""

    def __init__(self, ground: Ground, steps: Steps) -> None:
        self._ground = ground
        self._rooms = ground.rooms
        self._steps = steps

    def assess(self, identifiers: Sequence[str], assessment: Assessment, by: Person) -> None:
        """Record an assessment; what may not stay gets the consequence that its plan names instead."""
        items = [self._open(identifier, Consequence.ASSESS) for identifier in identifiers]
        for item in items:
            self._rooms.database.write(partial(self._assess, item=item, assessment=assessment, by=by))

    def let_stay(self, identifiers: Sequence[str], ground: str, reason: str, by: Person) -> None:
        """Keep rows on another legal ground, or what would have to be made anew; with article and reason."""
        kinds = (Consequence.RENEW, Consequence.RETRAIN)
        items = [self._open(identifier, *kinds) for identifier in identifiers]
        outcome = f"It stays on another ground ({ground}): {reason}"
        for item in items:
            self._rooms.database.write(partial(self._stays, item=item, outcome=outcome, by=by))

    def made_anew(self, identifier: str, run: str, by: Person) -> None:
        """The thing was made anew without the person; the old one is deleted. Raises unless the run shows it."""
        item = self._open(identifier, Consequence.RETRAIN)
        self._require_later(item, run)

        def work(connection: Connection) -> None:
            now = self._ground.now()
            self._steps.begin_deletion_within(connection, item)
            outcome = f"It was made anew in {run} without the person; the old one is deleted."
            self._rooms.log.append(connection, self._ground.records.step(item, outcome, now, by=self._agent(by)))

        self._rooms.database.write(work)
        with self._rooms.database.read() as connection:
            fresh = store.find_item(connection, item.id)
        self._steps.finish_deletion(fresh)

    def set_rules(self, dataset: str, rules: Rules, by: Person) -> None:
        """Set the policy of consequences of a dataset (or of every one that has none of its own)."""

        def work(connection: Connection) -> None:
            now = self._ground.now()
            store.insert_rules(connection, dataset, rules, by.id, now)
            shown = digest(rules.model_dump(mode="json"))
            self._rooms.log.append(connection, self._ground.records.rules_set(dataset, shown, now, self._agent(by)))

        self._rooms.database.write(work)

    # helpers ----------------------------------------------------------------------------

    def _assess(self, connection: Connection, item: KeptItem, assessment: Assessment, by: Person) -> None:
        now = self._ground.now()
        document = {
            "thing": item.item.subject,
            "withdrawal": self._ground.records.iri(item.plan),
            "shown": item.item.why,
            "at": to_text(now),
            **assessment.model_dump(mode="json"),
        }
        shown = digest(document)
        entry = self._rooms.log.append(
            connection, self._ground.records.assessed(item, shown, assessment.finding, now, self._agent(by))
        )
        details: dict[str, Any] = {**item.item.details, "assessment": document}
        if assessment.finding == "negligible":
            outcome = (
                f"It stays. An officer found on {now:%Y-%m-%d}, for {assessment.recipients}, that what remains of the "
                f"person is negligible: {assessment.reason} Nothing was unlearned."
            )
            store.move_item(
                connection, item, ItemState.STAYS, now, outcome=outcome, evidence=entry.graph, details=details
            )
            self._fulfil(connection, item, shown, by)
            return
        self._instead(connection, item, replace(item.item, details=details), shown, by)

    def _instead(self, connection: Connection, item: KeptItem, assessed: Item, shown: str, by: Person) -> None:
        """What was found not to be anonymous gets the consequence that was named for this case."""
        now = self._ground.now()
        fate = item.item.otherwise or Consequence.RETRAIN
        rules = store.rules_for(connection, store.find_plan(connection, item.plan).cause.dataset)
        days = rules.retrain_days if fate is Consequence.RETRAIN else 1
        changed = replace(
            assessed,
            consequence=fate,
            why=f"An officer found that what remains of the person is not negligible. {reason_for(fate)}",
            articles=ARTICLES[fate],
            due=now + timedelta(days=days),
            otherwise=None,
        )
        self._fulfil(connection, item, shown, by)
        plan = store.find_plan(connection, item.plan)
        # Nobody goes on using it on the strength of a certificate until it is made anew.
        self._steps.suspend_within(connection, plan, item.item.details.get("certificates", []))
        kept = store.replace_consequence(connection, item, changed, now)
        self._ground.impose(connection, kept, plan.cause.dataset)

    def _stays(self, connection: Connection, item: KeptItem, outcome: str, by: Person) -> None:
        now = self._ground.now()
        entry = self._rooms.log.append(connection, self._ground.records.step(item, outcome, now, by=self._agent(by)))
        store.move_item(connection, item, ItemState.STAYS, now, outcome=outcome, evidence=entry.graph)
        self._fulfil(connection, item, digest({"item": item.id, "outcome": outcome}), by)

    def _fulfil(self, connection: Connection, item: KeptItem, shown: str, by: Person) -> None:
        if item.obligation is not None:
            with suppress(ConflictError):  # it was recorded as fulfilled before
                self._rooms.obligations.fulfil_within(connection, item.obligation, shown, by=by)

    def _open(self, identifier: str, *wanted: Consequence) -> KeptItem:
        with self._rooms.database.read() as connection:
            item = store.find_item(connection, identifier)
        if item.state is not ItemState.OPEN or item.item.consequence not in wanted:
            raise ConflictError(
                f"for '{item.item.label}' this cannot be recorded: it is {item.state}, and what follows for it is to "
                f"{item.item.consequence}",
                fix="see what each thing needs with: synthema withdrawal show",
            )
        return item

    def _require_later(self, item: KeptItem, made_by: str) -> None:
        """Whatever replaces a thing must be released, of the same dataset, and asked for after the withdrawal."""
        with self._rooms.database.read() as connection:
            plan = store.find_plan(connection, item.plan)
            study = study_of(connection, made_by)
        if study is not None:
            released, since = study.state is ConductState.RELEASED, study.started_at
        else:
            record = self._rooms.governor.run(made_by)
            of_it = self._rooms.datasets.version(record.request.dataset).name == plan.cause.dataset
            released, since = of_it and record.state is RunState.RELEASED, record.created_at
        if not released:
            raise InputError(
                f"{made_by} released nothing of the dataset that the withdrawal is about",
                where="made_anew",
                fix="name the run or study that made the thing anew",
            )
        if since <= plan.cause.at:
            raise InputError(
                f"{made_by} was asked for before the withdrawal, so it may hold the record",
                where="made_anew",
                fix="make it anew with a new request: it leaves the person out by itself",
            )

    def _agent(self, person: Person) -> Agent:
        return Agent(self._rooms.log.iri("person", person.id), "Person", acts_for=self._rooms.settings.did)
