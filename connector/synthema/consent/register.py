"""The register of consents and opt-outs of one site, and the exclusion list that runs are filtered by.

A person's key is turned into a keyed token (HMAC-SHA-256) before anything is
kept, and neither key nor token reaches the log. Consent is kept for each
dataset, so that a consent for one registry never counts for another in which
the same key may be another person; an opt-out counts for all of the site's datasets.
"""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from synthema.canonical import digest
from synthema.clock import Clock
from synthema.consent import store
from synthema.consent.changes import consent_changes, opt_out_changes
from synthema.consent.intake import DEFAULT_BASIS, ConsentList, read_consent_list
from synthema.consent.model import (
    OPT_OUT_TRANSITIONS,
    ConsentItem,
    ConsentRecord,
    ConsentState,
    Exclusions,
    OptOut,
    OptOutState,
    machine_for,
    require_consent_step,
)
from synthema.errors import ConflictError, InputError
from synthema.identity import SecretSource
from synthema.ids import new_id
from synthema.policy.model import Fact
from synthema.provenance import ProvenanceLog
from synthema.provenance.model import SYNTHEMA, Activity, Agent, Entity
from synthema.storage import Database

_NEEDED = frozenset({ConsentItem.SECONDARY_USE})


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import changed: people named, consents and opt-outs that changed, and the list's version now."""

    people: int
    consents_changed: int
    opt_outs_changed: int
    version: int


Listener = Callable[[Connection, int, dict[str, int]], None]
"""Told inside the same transaction of a new exclusion-list version and the number of changes by new state."""


class ConsentStore:
    """Who may be used for what, and who has opted out."""

    def __init__(self, database: Database, log: ProvenanceLog, clock: Clock, secrets: SecretSource) -> None:
        self._database = database
        self._log = log
        self._clock = clock
        self._secret = secrets.secret("patient-token")
        self._listeners: list[Listener] = []

    def on_change(self, listener: Listener) -> None:
        """Register what must happen with every change, e.g. the propagation of a withdrawal."""
        self._listeners.append(listener)

    def import_csv(self, dataset_id: str, path: Path, *, by: Agent | None = None) -> ImportReport:
        """Take a site's consent list for one dataset, whole or not at all.

        Format: :func:`synthema.consent.intake.read_consent_list`. A person the list does not name
        keeps their state; an opt-out ends only by an ``opt_in_date``. Raises
        :class:`InputError` naming line and field.
        """
        _require_dataset(dataset_id)
        taken = read_consent_list(path, self._clock.now())
        return self._database.write(lambda connection: self._take(connection, dataset_id, taken, str(path), by))

    def change(
        self,
        dataset_id: str,
        patient_key: str,
        state: ConsentState,
        *,
        by: Agent | None = None,
        legal_basis: str | None = None,
        items: Iterable[ConsentItem] | None = None,
        valid_to: datetime | None = None,
        notice_version: str | None = None,
    ) -> int:
        """Change one person's consent from now on; returns the new version of the exclusion list.

        What is not given stays as it was. Raises :class:`ConflictError` on a step the
        transition table does not know.
        """
        _require_dataset(dataset_id)
        token = self._token("consent", dataset_id, _required_key(patient_key))
        now = self._clock.now()

        def work(connection: Connection) -> int:
            old = store.consents_at(connection, dataset_id, now).get(token)
            require_consent_step(ConsentState.UNKNOWN if old is None else old.state, state)
            record = ConsentRecord(
                id=new_id("consent"),
                dataset_id=dataset_id,
                patient_token=token,
                legal_basis=legal_basis or (DEFAULT_BASIS if old is None else old.legal_basis),
                state=state,
                effective_at=now,
                items=frozenset(items) if items is not None else (_NEEDED if old is None else old.items),
                valid_from=now,
                valid_to=valid_to,
                notice_version=notice_version or (None if old is None else old.notice_version),
            )
            machine_for(record.legal_basis)
            store.insert_consents(connection, [record], now)
            return self._publish(connection, [record], [], f"Consent changed to {state} for one person", by)

        return self._database.write(work)

    def opt_out(self, patient_key: str, *, by: Agent | None = None) -> int:
        """A person opts out of secondary use from now on (EHDS Art. 71(1)); returns the list's new version."""
        return self._change_opt_out(patient_key, OptOutState.OUT, by)

    def opt_in(self, patient_key: str, *, by: Agent | None = None) -> int:
        """A person takes an opt-out back (EHDS Art. 71(1)); returns the list's new version."""
        return self._change_opt_out(patient_key, OptOutState.IN, by)

    def exclusions(
        self,
        dataset_id: str,
        patient_keys: Iterable[str | int],
        legal_basis: str,
        permit_approved_at: datetime | None,
        at: datetime,
        *,
        required_items: frozenset[ConsentItem] = _NEEDED,
    ) -> Exclusions:
        """Who of these people must be left out of a run at this time, and why in numbers.

        Keys may be text or whole numbers, as the dataset has them. The legal basis chooses the
        rule: consent as it stands at ``at`` (GDPR 7(3)), or opt-outs that came no later than the
        permit (EHDS 71(3)). ``required_items`` are boxes that must be ticked.
        """
        keys = {str(key): key for key in patient_keys}
        tokens = {key: self._tokens(dataset_id, key) for key in keys}
        found = self._exclusions(dataset_id, tokens, legal_basis, permit_approved_at, at, required_items)
        return replace(found, excluded=frozenset(keys[str(key)] for key in found.excluded))

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
        _require_dataset(dataset_id)
        tokens = dict(self._tokens(dataset_id, _required_key(str(key))) for key in patient_keys)
        known = store.cohort(connection, version_id)
        if known == tokens:
            return len(known)
        if known:
            raise ConflictError("this version has other people already", fix="add the data as a new version")
        store.insert_cohort(connection, version_id, tokens)
        entity = Entity(self._log.iri("dataset", version_id), types=("Dataset",))
        self._record(connection, "CohortEnrolment", f"{len(tokens)} people noted as tokens", by, used=(entity,))
        return len(tokens)

    def cohort_exclusions(
        self,
        dataset_id: str,
        version_id: str,
        *,
        legal_basis: str,
        permit_approved_at: datetime | None,
        at: datetime,
        required_items: frozenset[ConsentItem] = _NEEDED,
    ) -> Exclusions:
        """As :meth:`exclusions` for everybody enrolled in a version, without opening it; excluded are tokens.

        Nobody remains of a version that was never enrolled.
        """
        with self._database.read() as connection:
            tokens = {consent: (consent, out) for consent, out in store.cohort(connection, version_id).items()}
        return self._exclusions(dataset_id, tokens, legal_basis, permit_approved_at, at, required_items)

    def _exclusions(
        self,
        dataset_id: str,
        people: dict[str, tuple[str, str]],
        legal_basis: str,
        permit_approved_at: datetime | None,
        at: datetime,
        required: frozenset[ConsentItem],
    ) -> Exclusions:
        """Who of ``people`` (name → consent token, opt-out token) is excluded."""
        machine = machine_for(legal_basis)
        with self._database.read() as connection:
            version = store.list_version(connection)
            refreshed = store.refreshed_at(connection, dataset_id, at)
            if machine == "consent":
                consents = store.consents_at(connection, dataset_id, at)
                why = {name: _consent_refusal(consents.get(token), at, required) for name, (token, _) in people.items()}
            else:
                opt_outs = store.opt_outs_at(connection, at)
                why = {name: _opt_out_refusal(opt_outs.get(t), permit_approved_at) for name, (_, t) in people.items()}
        excluded = {name: reason for name, reason in why.items() if reason is not None}
        return Exclusions(
            excluded=frozenset(excluded),
            version=version.version,
            remaining=len(people) - len(excluded),
            machine=machine,
            reasons=dict(Counter(excluded.values())),
            refreshed_at=refreshed,
        )

    def version(self) -> int:
        """The present version of the exclusion list; 0 before anything was taken in."""
        with self._database.read() as connection:
            return store.list_version(connection).version

    def counts(self, dataset_id: str, at: datetime | None = None) -> dict[str, int]:
        """How many people of a dataset are in each consent state (states without people left out)."""
        with self._database.read() as connection:
            records = store.consents_at(connection, dataset_id, at or self._clock.now())
        return dict(Counter(str(record.state) for record in records.values()))

    def facts(self, exclusions: Exclusions, at: datetime) -> dict[str, Fact]:
        """What a decision may rest on, once the excluded people are left out.

        ``syn:consentState`` holds only where somebody is left and the rule was consent;
        ``syn:optOutListAge`` only where the opt-outs were ever brought up to date. What is
        missing here is missing in the decision, and denies.
        """
        evidence = self._log.iri("exclusion-list", str(exclusions.version))
        facts = {SYNTHEMA + "exclusionListVersion": Fact(exclusions.version, evidence)}
        if exclusions.machine == "consent" and exclusions.remaining > 0:
            facts[SYNTHEMA + "consentState"] = Fact(ConsentState.GIVEN.iri, evidence)
        if exclusions.refreshed_at is not None:
            facts[SYNTHEMA + "optOutListAge"] = Fact(at - exclusions.refreshed_at, evidence)
        return facts

    def _take(
        self, connection: Connection, dataset_id: str, taken: ConsentList, source: str, by: Agent | None
    ) -> ImportReport:
        now = self._clock.now()
        known = store.consents_at(connection, dataset_id, now)
        known_opt_outs = store.opt_outs_at(connection, now)
        records: list[ConsentRecord] = []
        opt_outs: list[OptOut] = []
        problems: list[str] = []
        for line in taken.lines:
            token, opt_out_token = self._tokens(dataset_id, line.patient_key)
            old = known.get(token)
            try:
                records += consent_changes(line, dataset_id, token, old, now)
            except ConflictError as error:
                problems.append(f"line {line.line}, field state: {error.message} ({error.fix})")
            opt_outs += opt_out_changes(line, opt_out_token, known_opt_outs.get(opt_out_token))
        if problems:
            raise InputError(
                f"{len(problems)} lines contradict what is known, and nothing was taken:\n  "
                + "\n  ".join(problems[:20]),
                where=source,
                fix="correct these lines and import the whole list again",
            )
        store.insert_consents(connection, records, now)
        store.insert_opt_outs(connection, opt_outs, now)
        store.insert_refresh(connection, dataset_id, now, opt_outs=taken.has_opt_outs)
        label = f"Consent list taken in: {len(taken.lines)} people, {len(records) + len(opt_outs)} changes"
        version = self._publish(connection, records, opt_outs, label, by)
        return ImportReport(len(taken.lines), len(records), len(opt_outs), version)

    def _change_opt_out(self, patient_key: str, state: OptOutState, by: Agent | None) -> int:
        token = self._token("opt-out", _required_key(patient_key))
        now = self._clock.now()

        def work(connection: Connection) -> int:
            old = store.opt_outs_at(connection, now).get(token)
            if state not in OPT_OUT_TRANSITIONS[OptOutState.IN if old is None else old.state]:
                raise ConflictError(f"this person is {state} already", fix="nothing needs to change")
            record = OptOut(new_id("optout"), token, state, now)
            store.insert_opt_outs(connection, [record], now)
            return self._publish(connection, [], [record], f"One person is now {state}", by)

        return self._database.write(work)

    def _publish(
        self,
        connection: Connection,
        records: list[ConsentRecord],
        opt_outs: list[OptOut],
        label: str,
        by: Agent | None,
    ) -> int:
        """Count the exclusion list up where something changed, and write the step into the log."""
        now = self._clock.now()
        old = store.list_version(connection)
        counts = Counter([str(r.state) for r in records] + [str(o.state) for o in opt_outs])
        new = old
        if counts:
            changed = sorted([[r.patient_token, str(r.state)] for r in records])
            changed += sorted([[o.patient_token, str(o.state)] for o in opt_outs])
            new = store.ListVersion(old.version + 1, digest({"before": old.digest, "changed": changed}), now)
            store.insert_version(connection, new, counts.total())
        entity = Entity(
            self._log.iri("exclusion-list", str(new.version)), types=("ExclusionList",), digest=new.digest or None
        )
        self._record(
            connection,
            "ConsentChange",
            label,
            by,
            used=() if counts else (entity,),
            generated=(entity,) if counts else (),
            attributes={"exclusionListVersion": new.version} | {f"changedTo{k}": n for k, n in sorted(counts.items())},
        )
        if counts:
            for listener in self._listeners:
                listener(connection, new.version, dict(counts))
        return new.version

    def _record(
        self,
        connection: Connection,
        kind: str,
        label: str,
        by: Agent | None,
        *,
        used: tuple[Entity, ...] = (),
        generated: tuple[Entity, ...] = (),
        attributes: dict[str, int] | None = None,
    ) -> None:
        now = self._clock.now()
        activity = Activity(
            iri=self._log.iri("activity", new_id("activity")),
            type=kind,
            label=label,
            started=now,
            ended=now,
            agents=() if by is None else (by,),
            used=used,
            generated=generated,
            attributes=attributes or {},
        )
        self._log.append(connection, activity)

    def _tokens(self, dataset_id: str, key: str) -> tuple[str, str]:
        """A person's token for consent to this dataset, and the one for opt-outs."""
        return self._token("consent", dataset_id, key), self._token("opt-out", key)

    def _token(self, *parts: str) -> str:
        return hmac.new(self._secret, "\x00".join(parts).encode(), "sha256").hexdigest()


def _required_key(patient_key: str) -> str:
    key = patient_key.strip()
    if not key:
        raise InputError("the patient's key is empty", fix="give the key as it stands in the dataset")
    return key


def _require_dataset(dataset_id: str) -> None:
    if not dataset_id.strip():
        raise InputError("no dataset is named", fix="name the dataset this consent is for")


def _consent_refusal(record: ConsentRecord | None, at: datetime, required: frozenset[ConsentItem]) -> str | None:
    if record is None:
        return str(ConsentState.UNKNOWN)
    if machine_for(record.legal_basis) != "consent":
        return "not recorded as consent"
    return record.refusal(at, required)


def _opt_out_refusal(record: OptOut | None, permit_approved_at: datetime | None) -> str | None:
    return str(record.state) if record is not None and record.blocks(permit_approved_at) else None
