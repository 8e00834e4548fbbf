"""What a consent list changes about what is known; pure, so that a list is judged whole before anything is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from synthema.consent.incoming import ConsentLine, Problem
from synthema.consent.model import (
    VALID_STATES,
    ConsentItem,
    ConsentRecord,
    OptOut,
    OptOutState,
    WithdrawalLevel,
    require_consent_step,
)
from synthema.errors import ConflictError, InputError
from synthema.ids import new_id

OTHER_PURPOSES = "other purposes"
"""What is lost when a consent without purposes of its own is bound to some."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """A person's token for consent to a dataset, the one for opt-outs, and that of the source record, if any."""

    consent: str
    opt_out: str
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What is known before a list is read: consents and opt-outs by token, and what came from which source record."""

    consents: Mapping[str, ConsentRecord]
    opt_outs: Mapping[str, OptOut]
    imported: Mapping[str, list[ConsentRecord]]


@dataclass(slots=True)
class Plan:
    """What a list would change. ``stale`` counts lines older than what is known of the same source record."""

    records: list[ConsentRecord] = field(default_factory=list)
    replaced: dict[str, ConsentRecord | None] = field(default_factory=dict)
    opt_outs: list[OptOut] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    unchanged: int = 0
    stale: int = 0


def plan(
    lines: tuple[ConsentLine, ...],
    dataset_id: str,
    known: Known,
    tokens: Callable[[ConsentLine], Tokens],
    now: datetime,
) -> Plan:
    """Go through a list line by line, each on the ground of those before it."""
    made = Plan()
    consents, opt_outs = dict(known.consents), dict(known.opt_outs)
    imported = {source: list(records) for source, records in known.imported.items()}
    for line in lines:
        names = tokens(line)
        added: list[ConsentRecord] = []
        try:
            if _is_news(line, names, imported, dataset_id, made):
                added = consent_changes(line, dataset_id, names, consents.get(names.consent), now)
        except (ConflictError, InputError) as error:
            made.problems.append(Problem(line.where, error.message, error.where or "state", error.fix))
            continue
        outs = opt_out_changes(line, names.opt_out, opt_outs.get(names.opt_out))
        for record in added:
            made.replaced[record.id] = consents.get(record.patient_token)
            consents[record.patient_token] = record
            if record.source is not None:
                imported.setdefault(record.source, []).append(record)
        for out in outs:
            opt_outs[out.patient_token] = out
        made.records += added
        made.opt_outs += outs
        made.unchanged += not added and not outs
    return made


def _is_news(
    line: ConsentLine,
    tokens: Tokens,
    imported: Mapping[str, list[ConsentRecord]],
    dataset_id: str,
    made: Plan,
) -> bool:
    """Whether this version of a source record was not seen before, nor a newer one."""
    if line.source is None or tokens.source is None:
        return True
    version = line.source[1]
    earlier = imported.get(tokens.source, [])
    for record in earlier:
        if record.patient_token != tokens.consent:
            raise InputError(
                "this record was about another person before", where="patient", fix="look at the record at its source"
            )
        if record.source_version == version:
            if _terms(record) != _terms(_record(line, dataset_id, tokens)):
                raise InputError(
                    "this version of the record said something else before",
                    where="source_version",
                    fix="give a changed record a version of its own",
                )
            return False
    if earlier and _is_older(version, earlier[-1].source_version or ""):
        made.stale += 1
        return False
    return True


def _is_older(version: str, than: str) -> bool:
    if version.isdigit() and than.isdigit():
        return int(version) < int(than)
    return "T" in version and "T" in than and version < than  # lastUpdated of a FHIR resource


def consent_changes(
    line: ConsentLine, dataset_id: str, tokens: Tokens, old: ConsentRecord | None, now: datetime
) -> list[ConsentRecord]:
    """The records to add for a line, given what is known of the person; raises :class:`ConflictError`."""
    new = _record(line, dataset_id, tokens)
    if old is None:
        return [new]
    if new.state is old.state:
        if _terms(new) == _terms(old):
            return []
        if new.source is None or new.source != old.source:
            # Changed boxes under an unchanged state count from now: the list does not say since when.
            new = replace(new, effective_at=max(line.date, now), valid_from=line.valid_from or old.valid_from)
        return [new]
    require_consent_step(old.state, new.state)
    if new.effective_at < old.effective_at:
        raise ConflictError(
            f"{new.state} is dated before the {old.state} that is known", fix="give the date of the latest change"
        )
    return [new]


def _record(line: ConsentLine, dataset_id: str, tokens: Tokens) -> ConsentRecord:
    record = ConsentRecord(
        id=new_id("consent"),
        dataset_id=dataset_id,
        patient_token=tokens.consent,
        legal_basis=line.legal_basis,
        state=line.state,
        effective_at=line.date,
        items=line.items,
        valid_from=line.valid_from or line.date,
        valid_to=line.valid_to,
        notice_version=line.notice_version,
        purposes=line.purposes,
        representative=line.representative,
        source=tokens.source,
        source_version=None if line.source is None else line.source[1],
    )
    return record if line.level is None else lessened(record, line.level, line.date)


def lessened(record: ConsentRecord, level: WithdrawalLevel, at: datetime) -> ConsentRecord:
    """A consent of which a person takes something back: all use with its end, contact or access from a valid one.

    Raises :class:`ConflictError` where level and state do not fit.
    """
    if (level is WithdrawalLevel.USE) == (record.state in VALID_STATES):
        raise ConflictError(
            f"'{level}' does not fit a consent in the state {record.state}",
            fix="take back all use with ConsentWithdrawn; contact or access from a valid consent only",
        )
    if level is WithdrawalLevel.USE:
        return replace(record, level=level)
    since = record.no_new_data_since or (at if level is WithdrawalLevel.ACCESS else None)
    return replace(record, items=record.items - {ConsentItem.RECONTACT}, level=level, no_new_data_since=since)


def lost_terms(old: ConsentRecord | None, new: ConsentRecord) -> tuple[str, ...]:
    """The boxes and purposes that a valid consent had and, still valid, has no longer."""
    if old is None or old.state not in VALID_STATES or new.state not in VALID_STATES:
        return ()
    boxes = sorted(old.items - new.items)
    if not new.purposes:
        return tuple(boxes)
    return (*boxes, *(sorted(old.purposes - new.purposes) if old.purposes else (OTHER_PURPOSES,)))


def _terms(record: ConsentRecord) -> ConsentRecord:
    """A record without what does not say what was agreed to: identifiers and dates of the step itself."""
    first = datetime.min  # noqa: DTZ901 - only to make equal what is not compared
    since = None if record.no_new_data_since is None else first
    return replace(
        record, id="", effective_at=first, valid_from=first, source=None, source_version=None, no_new_data_since=since
    )


def opt_out_changes(line: ConsentLine, token: str, old: OptOut | None) -> list[OptOut]:
    """The opt-outs and reversals to add for a line, given what is known of the person."""
    if line.opt_out_date is None:
        return []
    changes: list[OptOut] = []
    is_out = old is not None and old.state is OptOutState.OUT
    if line.opt_in_date is None:
        earlier = old is not None and is_out and line.opt_out_date >= old.effective_at
        stale = old is not None and not is_out and line.opt_out_date <= old.effective_at
        if not earlier and not stale:
            changes.append(OptOut(new_id("optout"), token, OptOutState.OUT, line.opt_out_date))
    elif old is None or (is_out and line.opt_in_date >= old.effective_at):
        if old is None:
            changes.append(OptOut(new_id("optout"), token, OptOutState.OUT, line.opt_out_date))
        changes.append(OptOut(new_id("optout"), token, OptOutState.REVERSED, line.opt_in_date))
    return changes
