"""The register of consents and opt-outs of one site, and the exclusion list that runs are filtered by.

A person's key is turned into a keyed token (HMAC-SHA-256) before anything is
kept, and neither key nor token reaches the log. Consent is kept for each
dataset, so that a consent for one registry never counts for another in which
the same key may be another person; an opt-out counts for all of the site's datasets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from synthema.canonical import digest
from synthema.consent import store
from synthema.consent.changes import Known, Plan, Tokens, plan
from synthema.consent.cohorts import Cohorts
from synthema.consent.incoming import ConsentLine, ConsentList, Problem, Reading, read_file, refusal
from synthema.consent.intake import parse_csv
from synthema.consent.ledger import ChangeListener, WithdrawalListener, require_dataset
from synthema.consent.notice import ConsentNotice
from synthema.consent.persons import Persons
from synthema.errors import ConflictError, NotFoundError
from synthema.ids import new_id
from synthema.provenance import Agent, Entity


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import changed, or would change: people named, changes by new state, and the list's version now.

    ``kept`` is False for a dry run. ``problems`` are what the list would be refused for; a
    real import raises instead.
    """

    people: int
    consents_changed: int
    opt_outs_changed: int
    version: int
    unchanged: int = 0
    stale: int = 0
    changes: Mapping[str, int] | None = None
    problems: tuple[Problem, ...] = ()
    kept: bool = True


class ConsentStore(Persons, Cohorts):
    """Who may be used for what, and who has opted out."""

    def on_change(self, listener: ChangeListener) -> None:
        """Register what must happen with every change of the exclusion list."""
        self._ledger.change_listeners.append(listener)

    def on_withdrawal(self, listener: WithdrawalListener) -> None:
        """Register what must happen, in the same transaction, with everything that people take back.

        Who listens carries it on: into runs under way, into what was made of the data, to partners.
        """
        self._ledger.withdrawal_listeners.append(listener)

    # lists ----------------------------------------------------------------------------------

    def import_csv(self, dataset_id: str, path: Path, *, by: Agent | None = None) -> ImportReport:
        """Take a site's consent list for one dataset (:func:`synthema.consent.intake.parse_csv`), whole or not at all.

        A person the list does not name keeps their state; an opt-out ends only by an
        ``opt_in_date``. Raises :class:`InputError` naming line and field.
        """
        require_dataset(dataset_id)
        taken = parse_csv(read_file(path), str(path), Reading(self._clock.now(), self.ages))
        return self.import_list(dataset_id, taken, str(path), by=by)

    def import_list(
        self, dataset_id: str, taken: ConsentList, where: str, *, dry_run: bool = False, by: Agent | None = None
    ) -> ImportReport:
        """Take a list that was read, from whichever form: everything in it, or nothing.

        A dry run changes nothing and names every problem. Raises :class:`InputError` otherwise,
        for a list that is wrong or contradicts what is known. A record that names its source is taken
        once for each of its versions; a version older than what is known changes nothing.
        """
        require_dataset(dataset_id)
        if dry_run:
            with self._database.read() as connection:
                made = self._plan(connection, dataset_id, taken)
                version = store.list_version(connection).version
            return _report(taken, made, version, kept=False)
        taken.require(where)
        return self._database.write(lambda connection: self._take(connection, dataset_id, taken, where, by))

    def _plan(self, connection: Connection, dataset_id: str, taken: ConsentList) -> Plan:
        now = self._clock.now()
        sourced = any(line.source is not None for line in taken.lines)
        known = Known(
            store.consents_at(connection, dataset_id, now),
            store.opt_outs_at(connection, now) if taken.has_opt_outs else {},
            store.imported(connection, dataset_id) if sourced else {},
        )

        def tokens(line: ConsentLine) -> Tokens:
            source = None if line.source is None else self._ledger.source_token(dataset_id, line.source[0])
            consent, opt_out = self._tokens(dataset_id, line.patient_key)
            return Tokens(consent, opt_out, source)

        return plan(taken.lines, dataset_id, known, tokens, now)

    def _take(
        self, connection: Connection, dataset_id: str, taken: ConsentList, where: str, by: Agent | None
    ) -> ImportReport:
        made = self._plan(connection, dataset_id, taken)
        if made.problems:
            raise refusal(tuple(made.problems), where)
        store.insert_refresh(connection, dataset_id, self._clock.now(), opt_outs=taken.has_opt_outs)
        changed = len(made.records) + len(made.opt_outs)
        label = f"Consent list taken in: {len(taken.lines)} people, {changed} changes"
        version = self._ledger.publish(connection, made.records, made.opt_outs, label, by, before=made.replaced)
        return _report(taken, made, version, kept=True)

    # notices --------------------------------------------------------------------------------

    def keep_notice(self, content: ConsentNotice, *, by: Agent | None = None) -> str:
        """Keep a version of a dataset's consent notice; the same one twice is one. Returns its identifier.

        Raises :class:`ConflictError` when this version says something else already: what people
        were shown cannot be changed afterwards.
        """
        require_dataset(content.dataset)

        def work(connection: Connection) -> str:
            known = store.notice(connection, content.dataset, content.version)
            if known is not None:
                if known[1] == content:
                    return known[0]
                raise ConflictError(
                    f"version {content.version[:40]} of this notice says something else",
                    fix="keep the changed notice under a new version",
                )
            identifier = new_id("notice")
            store.insert_notice(connection, identifier, content, self._clock.now())
            entity = Entity(
                self._log.iri("consent-notice", identifier),
                types=("ConsentNotice",),
                label=content.title,
                digest=digest(content.model_dump(mode="json")),
                attributes={"version": content.version},
            )
            label = f"Consent notice kept: {content.title}, version {content.version}"
            self._ledger.record(connection, "ConsentNoticeAddition", label, by, generated=(entity,))
            return identifier

        return self._database.write(work)

    def notice(self, dataset_id: str, version: str) -> ConsentNotice:
        """A version of a dataset's consent notice; raises :class:`NotFoundError`."""
        with self._database.read() as connection:
            found = store.notice(connection, dataset_id, version)
        if found is None:
            raise NotFoundError(
                f"the consent notice '{version[:40]}' of this dataset is not kept here",
                fix="keep it with: synthema consent notice NOTICE.yaml",
            )
        return found[1]

    def version(self) -> int:
        """The present version of the exclusion list; 0 before anything was taken in."""
        with self._database.read() as connection:
            return store.list_version(connection).version

    def counts(self, dataset_id: str, at: datetime | None = None) -> dict[str, int]:
        """How many people of a dataset are in each consent state (states without people left out)."""
        with self._database.read() as connection:
            return store.state_counts(connection, dataset_id, at or self._clock.now())

    def opt_out_counts(self) -> dict[str, int]:
        """How many people of the site have opted out, and how many took that back."""
        with self._database.read() as connection:
            return store.opt_out_counts(connection, self._clock.now())


def _report(taken: ConsentList, made: Plan, version: int, *, kept: bool) -> ImportReport:
    changes = Counter([str(r.state) for r in made.records] + [str(o.state) for o in made.opt_outs])
    return ImportReport(
        people=len({line.patient_key for line in taken.lines}),
        consents_changed=len(made.records),
        opt_outs_changed=len(made.opt_outs),
        version=version,
        unchanged=made.unchanged,
        stale=made.stale,
        changes=dict(sorted(changes.items())),
        problems=(*taken.problems, *made.problems),
        kept=kept,
    )
