"""What a line of a consent list changes about what is known; pure, so that an import can be checked whole."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from synthema.consent.intake import ConsentLine
from synthema.consent.model import ConsentRecord, OptOut, OptOutState, require_consent_step
from synthema.errors import ConflictError
from synthema.ids import new_id


def consent_changes(
    line: ConsentLine, dataset_id: str, token: str, old: ConsentRecord | None, now: datetime
) -> list[ConsentRecord]:
    """The records to add for a line, given what is known of the person; raises :class:`ConflictError`."""
    new = ConsentRecord(
        id=new_id("consent"),
        dataset_id=dataset_id,
        patient_token=token,
        legal_basis=line.legal_basis,
        state=line.state,
        effective_at=line.date,
        items=line.items,
        valid_from=line.date,
        valid_to=line.valid_to,
        notice_version=line.notice_version,
    )
    if old is None:
        return [new]
    if new.state is old.state:
        same_terms = replace(new, id=old.id, effective_at=old.effective_at, valid_from=old.valid_from) == old
        # Changed boxes under an unchanged state count from now: the list does not say since when.
        return [] if same_terms else [replace(new, effective_at=max(line.date, now), valid_from=old.valid_from)]
    require_consent_step(old.state, new.state)
    if new.effective_at < old.effective_at:
        raise ConflictError(
            f"{new.state} is dated before the {old.state} that is known", fix="give the date of the latest change"
        )
    return [new]


def opt_out_changes(line: ConsentLine, token: str, old: OptOut | None) -> list[OptOut]:
    """The opt-outs and reversals to add for a line, given what is known of the person."""
    if line.opt_out_date is None:
        return []
    changes: list[OptOut] = []
    if line.opt_in_date is None:
        earlier = old is not None and old.state is OptOutState.OUT and line.opt_out_date >= old.effective_at
        stale = old is not None and old.state is OptOutState.IN and line.opt_out_date <= old.effective_at
        if not earlier and not stale:
            changes.append(OptOut(new_id("optout"), token, OptOutState.OUT, line.opt_out_date))
    elif old is None or (old.state is OptOutState.OUT and line.opt_in_date >= old.effective_at):
        if old is None:
            changes.append(OptOut(new_id("optout"), token, OptOutState.OUT, line.opt_out_date))
        changes.append(OptOut(new_id("optout"), token, OptOutState.IN, line.opt_in_date))
    return changes
