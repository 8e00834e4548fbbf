"""Keeps every change with its log entry and a new version of the exclusion list, and tells who must know."""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from sqlalchemy import Connection

from synthema.canonical import digest
from synthema.clock import Clock
from synthema.consent import store
from synthema.consent.changes import lost_terms
from synthema.consent.model import (
    ENDED_STATES,
    ConsentRecord,
    OptOut,
    OptOutState,
    Withdrawal,
    WithdrawalLevel,
)
from synthema.errors import InputError
from synthema.identity import SecretSource
from synthema.ids import new_id
from synthema.provenance import Activity, Agent, Entity, ProvenanceLog
from synthema.provenance.model import Value
from synthema.storage import Database

ChangeListener = Callable[[Connection, int, dict[str, int]], None]
"""Told inside the same transaction of a new exclusion-list version and the number of changes by new state."""

WithdrawalListener = Callable[[Connection, tuple[Withdrawal, ...]], None]
"""Told inside the same transaction of everything that people took back in it."""


class Ledger:
    """Database, log, clock and the secret behind the tokens; every write of the room goes through :meth:`publish`."""

    def __init__(self, database: Database, log: ProvenanceLog, clock: Clock, secrets: SecretSource) -> None:
        self.database = database
        self.log = log
        self.clock = clock
        self.change_listeners: list[ChangeListener] = []
        self.withdrawal_listeners: list[WithdrawalListener] = []
        self._secret = secrets.secret("patient-token")

    # tokens ---------------------------------------------------------------------------------

    def consent_token(self, dataset_id: str, key: str) -> str:
        """A person's token for consent to one dataset."""
        return self._token("consent", dataset_id, key)

    def opt_out_token(self, key: str) -> str:
        """A person's token for opt-outs, the same for all datasets of the site."""
        return self._token("opt-out", key)

    def source_token(self, dataset_id: str, record: str) -> str:
        """The token of a record elsewhere, whose identifier may name a person."""
        return self._token("source", dataset_id, record)

    def _token(self, *parts: str) -> str:
        return hmac.digest(self._secret, "\x00".join(parts).encode(), "sha256").hex()

    # keeping --------------------------------------------------------------------------------

    def publish(
        self,
        connection: Connection,
        records: list[ConsentRecord],
        opt_outs: list[OptOut],
        label: str,
        by: Agent | None,
        *,
        before: Mapping[str, ConsentRecord | None] | None = None,
    ) -> int:
        """Keep changes, count the exclusion list up where there are any, and write the step into the log.

        ``before`` gives the record that each new one (by its id) takes the place of. Returns the
        list's version.
        """
        now = self.clock.now()
        store.insert_consents(connection, records, now)
        store.insert_opt_outs(connection, opt_outs, now)
        old = store.list_version(connection)
        counts = Counter([str(r.state) for r in records] + [str(o.state) for o in opt_outs])
        new = old
        if counts:
            changed = sorted([[r.patient_token, str(r.state)] for r in records])
            changed += sorted([[o.patient_token, str(o.state)] for o in opt_outs])
            new = store.ListVersion(old.version + 1, digest({"before": old.digest, "changed": changed}), now)
            store.insert_version(connection, new, counts.total())
        entity = self.list_entity(new)
        self.record(
            connection,
            "ConsentChange",
            label,
            by,
            used=() if counts else (entity,),
            generated=(entity,) if counts else (),
            attributes={"exclusionListVersion": new.version} | {f"changedTo{k}": n for k, n in sorted(counts.items())},
        )
        if counts:
            for listener in self.change_listeners:
                listener(connection, new.version, dict(counts))
            self._tell_withdrawals(connection, records, opt_outs, before or {}, new.version, now)
        return new.version

    def list_entity(self, version: store.ListVersion) -> Entity:
        """A version of the exclusion list, as the log names it."""
        return Entity(
            self.log.iri("exclusion-list", str(version.version)),
            types=("ExclusionList",),
            digest=version.digest or None,
        )

    def record(
        self,
        connection: Connection,
        kind: str,
        label: str,
        by: Agent | None,
        *,
        used: tuple[Entity, ...] = (),
        generated: tuple[Entity, ...] = (),
        attributes: Mapping[str, Value] | None = None,
    ) -> None:
        """Write a step of this room into the log, in the caller's transaction."""
        now = self.clock.now()
        activity = Activity(
            iri=self.log.iri("activity", new_id("activity")),
            type=kind,
            label=label,
            started=now,
            ended=now,
            agents=() if by is None else (by,),
            used=used,
            generated=generated,
            attributes=attributes or {},
        )
        self.log.append(connection, activity)

    def _tell_withdrawals(
        self,
        connection: Connection,
        records: Iterable[ConsentRecord],
        opt_outs: Iterable[OptOut],
        before: Mapping[str, ConsentRecord | None],
        version: int,
        at: datetime,
    ) -> None:
        found = [w for w in (_withdrawal(r, before.get(r.id), version, at) for r in records) if w is not None]
        found += [
            Withdrawal("opt-out", None, o.patient_token, str(o.state), WithdrawalLevel.USE, at, version)
            for o in opt_outs
            if o.state is OptOutState.OUT
        ]
        if found:
            for listener in self.withdrawal_listeners:
                listener(connection, tuple(found))


def _withdrawal(record: ConsentRecord, old: ConsentRecord | None, version: int, at: datetime) -> Withdrawal | None:
    """What a person took back with this record, if anything."""
    lost = lost_terms(old, record)
    level = record.level
    if record.state in ENDED_STATES:
        level = WithdrawalLevel.USE
    elif level is (None if old is None else old.level):
        level = None  # taken back before, and told then
    if level is None and not lost:
        return None
    return Withdrawal("consent", record.dataset_id, record.patient_token, str(record.state), level, at, version, lost)


def required_key(patient_key: str) -> str:
    """A patient's key without spaces around it; raises :class:`InputError` where nothing is left."""
    key = patient_key.strip()
    if not key:
        raise InputError("the patient's key is empty", fix="give the key as it stands in the dataset")
    return key


def require_dataset(dataset_id: str) -> None:
    """Raise :class:`InputError` unless a dataset is named."""
    if not dataset_id.strip():
        raise InputError("no dataset is named", fix="name the dataset this consent is for")


class Room:
    """What the parts of the register share: the ledger, and how a person becomes a token."""

    def __init__(
        self,
        database: Database,
        log: ProvenanceLog,
        clock: Clock,
        secrets: SecretSource,
        *,
        ages: Mapping[str, int] | None = None,
    ) -> None:
        """``ages`` gives the age of majority by country, where it is not 18."""
        self._ledger = Ledger(database, log, clock, secrets)
        self._database = database
        self._log = log
        self._clock = clock
        self.ages: Mapping[str, int] = dict(ages or {})

    def _tokens(self, dataset_id: str, key: str) -> tuple[str, str]:
        """A person's token for consent to this dataset, and the one for opt-outs."""
        return self._ledger.consent_token(dataset_id, key), self._ledger.opt_out_token(key)
