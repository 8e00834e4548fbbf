"""A whole cohort: who is in a dataset version, who is left out of a use, until when people can be matched."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import polars as pl
from sqlalchemy import Connection

from synthema.consent import situations, store
from synthema.consent.cohort import Ground, Tally, judge_people, tally
from synthema.consent.ledger import Room, require_dataset, required_key
from synthema.consent.model import (
    ConsentState,
    Exclusions,
    OptOutState,
    machine_for,
)
from synthema.errors import ConflictError, NotFoundError
from synthema.policy.model import Fact
from synthema.provenance import Agent, Entity
from synthema.provenance.model import SYNTHEMA

LAST_MATCHING = timedelta(hours=24)
"""How recent the opt-out list must be when people are matched with it for the last time (a choice of ours)."""


class Cohorts(Room):
    """Who is in a dataset version, and who of them is left out."""

    def enrol(
        self, dataset_id: str, version_id: str, patient_keys: Iterable[str | int], *, by: Agent | None = None
    ) -> int:
        """Note, as tokens, who is in a dataset version, so that exclusions are known before it is opened.

        Returns the number of people. Enrolling the same people again changes nothing; other
        people under the same version raise :class:`ConflictError`.
        """
        return self._database.write(
            lambda connection: self.enrol_within(connection, dataset_id, version_id, patient_keys, by=by)
        )

    def enrol_within(
        self,
        connection: Connection,
        dataset_id: str,
        version_id: str,
        patient_keys: Iterable[str | int],
        *,
        by: Agent | None = None,
    ) -> int:
        """:meth:`enrol` as part of a larger transaction, e.g. the one that adds the version."""
        require_dataset(dataset_id)
        tokens = dict(self._tokens(dataset_id, required_key(str(key))) for key in patient_keys)
        known = store.cohort(connection, version_id)
        if known == tokens:
            return len(known)
        if known:
            raise ConflictError("this version has other people already", fix="add the data as a new version")
        store.insert_cohort(connection, version_id, tokens)
        entity = Entity(self._log.iri("dataset", version_id), types=("Dataset",))
        self._ledger.record(connection, "CohortEnrolment", f"{len(tokens)} people noted as tokens", by, used=(entity,))
        return len(tokens)

    def versions_with(self, tokens: Iterable[str]) -> tuple[str, ...]:
        """The dataset versions that hold the record of a person, known by a token for consent or for opt-outs."""
        with self._database.read() as connection:
            return store.versions_with(connection, tokens)

    def tokens_of(self, dataset_id: str, patient_key: str) -> tuple[str, str]:
        """A person's tokens, for consent to this dataset and for opt-outs; the log holds neither."""
        return self._tokens(dataset_id, required_key(patient_key))

    def close_matching(
        self,
        dataset_id: str,
        version_id: str,
        legal_basis: str,
        *,
        not_older_than: timedelta = LAST_MATCHING,
        by: Agent | None = None,
    ) -> int:
        """Match a dataset version with the opt-outs for the last time, before its pseudonymisation key is destroyed.

        Afterwards nobody in it can be identified any more, and nobody is obliged to keep identifiers only
        for opt-outs (EHDS Art. 71(8)): later opt-outs do not reach its records, while all that were
        known stay effective. Raises :class:`ConflictError` where the opt-out list is older than
        ``not_older_than``, or where anybody's record rests on consent, which must stay withdrawable
        (GDPR Art. 7(3)). Returns the number of people who have opted out.
        """
        require_dataset(dataset_id)
        now = self._clock.now()
        ground = Ground(legal_basis, None, now)

        def work(connection: Connection) -> int:
            if store.matching_closed_at(connection, version_id) is not None:
                raise ConflictError("this version was matched for the last time before", fix="nothing needs to change")
            found = self._cohort_exclusions(connection, dataset_id, version_id, ground)
            if not found.remaining + found.left_out:
                raise NotFoundError("nobody is enrolled in this dataset version", fix="name a version that was added")
            by_opt_out = found.reasons.get(str(OptOutState.OUT), 0)
            if found.consented or found.left_out > by_opt_out:
                raise ConflictError(
                    "some of these records rest on consent, which people must be able to take back (GDPR Art. 7(3))",
                    fix="keep the pseudonymisation key, or erase the records that rest on consent",
                )
            age = None if found.refreshed_at is None else now - found.refreshed_at
            if age is None or age > not_older_than:
                raise ConflictError(
                    "the opt-outs were not brought up to date before the key is destroyed (EHDS Art. 71(8))",
                    fix="import the present opt-out list first, then close the matching at once",
                )
            store.insert_matching(connection, version_id, dataset_id, now, found.version, by_opt_out)
            entities = (
                Entity(self._log.iri("dataset", version_id), types=("Dataset",)),
                self._ledger.list_entity(store.list_version(connection)),
            )
            label = f"Opt-outs matched for the last time; {by_opt_out} people are left out for good"
            self._ledger.record(
                connection,
                "LastMatching",
                label,
                by,
                used=entities,
                attributes={"exclusionListVersion": found.version, "excludedPatients": by_opt_out},
            )
            return by_opt_out

        return self._database.write(work)

    def exclusions(
        self, dataset_id: str, patient_keys: Iterable[str | int], ground: Ground, *, version_id: str | None = None
    ) -> Exclusions:
        """Who of these people must be left out of a run on this ground, and why in numbers.

        Keys may be text or whole numbers, as the dataset has them. Each person's legal basis,
        that of the dataset where their record names none, chooses the rule: consent as it stands at
        that time (GDPR 7(3)), or opt-outs that came no later than the permit (EHDS 71(3)).
        ``version_id`` names the dataset version, whose matching may be closed (EHDS 71(8)).
        """
        keys = {str(key): key for key in patient_keys}
        names = list(keys)
        tokens = {
            "name": names,
            "consent": [self._ledger.consent_token(dataset_id, name) for name in names],
            "opt_out": [self._ledger.opt_out_token(name) for name in names],
        }
        people = pl.DataFrame(tokens, schema=dict.fromkeys(tokens, pl.String))
        with self._database.read() as connection:
            until = _matched_until(connection, version_id, ground)
            known = (
                people.join(situations.record_frame(connection, dataset_id, ground), on="consent", how="left")
                .join(situations.opt_out_frame(connection, ground, until), on="opt_out", how="left")
                .with_columns(pl.col("too_new", "blocked").fill_null(value=False))
            )
            left_out, found = judge_people(known, ground)
            return _exclusions(connection, dataset_id, ground, found, frozenset(keys[name] for name in left_out))

    def cohort_exclusions(self, dataset_id: str, version_id: str, ground: Ground) -> Exclusions:
        """As :meth:`exclusions` for everybody enrolled in a version, in numbers only and without opening it.

        Nobody remains of a version that was never enrolled.
        """
        with self._database.read() as connection:
            return self._cohort_exclusions(connection, dataset_id, version_id, ground)

    def _cohort_exclusions(
        self, connection: Connection, dataset_id: str, version_id: str, ground: Ground
    ) -> Exclusions:
        until = _matched_until(connection, version_id, ground)
        found = tally(situations.cohort_situations(connection, version_id, dataset_id, ground, until), ground)
        return _exclusions(connection, dataset_id, ground, found, frozenset())

    def facts(self, exclusions: Exclusions, at: datetime) -> dict[str, Fact]:
        """What a decision may rest on, once the excluded people are left out.

        ``syn:consentState`` holds only where somebody is left whose record rests on consent;
        ``syn:optOutListAge`` only where the opt-outs were ever brought up to date; ``syn:legalBasis``
        only where somebody is left, and names several grounds where people differ. What is
        missing here is missing in the decision, and denies.
        """
        evidence = self._log.iri("exclusion-list", str(exclusions.version))
        facts = {SYNTHEMA + "exclusionListVersion": Fact(exclusions.version, evidence)}
        if exclusions.consented > 0:
            facts[SYNTHEMA + "consentState"] = Fact(ConsentState.GIVEN.iri, evidence)
        if exclusions.refreshed_at is not None:
            facts[SYNTHEMA + "optOutListAge"] = Fact(at - exclusions.refreshed_at, evidence)
        if exclusions.bases:
            bases = tuple(sorted(exclusions.bases))
            facts[SYNTHEMA + "legalBasis"] = Fact(bases[0] if len(bases) == 1 else bases, evidence)
        return facts


def _matched_until(connection: Connection, version_id: str | None, ground: Ground) -> datetime:
    """Until when opt-outs reach the people of a version: who can no longer be identified cannot be matched (71(8))."""
    closed = store.matching_closed_at(connection, version_id)
    return ground.at if closed is None else min(ground.at, closed)


def _exclusions(
    connection: Connection, dataset_id: str, ground: Ground, found: Tally, excluded: frozenset[str | int]
) -> Exclusions:
    return Exclusions(
        excluded=excluded,
        left_out=found.left_out,
        version=store.list_version(connection).version,
        remaining=found.remaining,
        machine=machine_for(ground.legal_basis),
        reasons=found.reasons,
        refreshed_at=store.refreshed_at(connection, dataset_id, ground.at),
        bases=found.bases,
        consented=found.consented,
        exception=ground.exception if found.overruled else None,
        overruled=found.overruled,
    )
