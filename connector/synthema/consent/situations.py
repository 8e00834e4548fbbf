"""Brings people into situations, in the database: one pass over its indices, never an object for each person."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import polars as pl
from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    Select,
    String,
    and_,
    case,
    false,
    func,
    literal,
    null,
    select,
    true,
    type_coerce,
)

from synthema.consent.cohort import Ground, Situation
from synthema.consent.model import NEEDS_OWN, NOT_YET, ConsentState, OptOutState
from synthema.consent.store import consent_cohorts, consent_opt_outs, consent_records

_RECORD = consent_records.alias("r")
_OPT_OUT = consent_opt_outs.alias("o")


def cohort_situations(
    connection: Connection, version_id: str, dataset_id: str, ground: Ground, matched_until: datetime
) -> list[tuple[Situation, int]]:
    """The situations that occur among the people of a dataset version, each with the number of people in it."""
    people = consent_cohorts
    fields = (*_record_fields(ground), _blocked(ground).label("blocked"))
    query = (
        select(*fields, func.count().label("people"))
        .select_from(
            people.outerjoin(
                _RECORD, _RECORD.c.sequence == _latest_record(people.c.consent_token, dataset_id, ground)
            ).outerjoin(_OPT_OUT, _OPT_OUT.c.sequence == _latest_opt_out(people.c.opt_out_token, matched_until))
        )
        .where(people.c.version_id == version_id)
        .group_by(*(type_coerce(field, String) for field in fields))
    )
    return [
        (Situation(*row[:5], too_new=bool(row[5]), blocked=bool(row[6])), int(row[7]))
        for row in connection.execute(query)
    ]


def record_frame(connection: Connection, dataset_id: str, ground: Ground) -> pl.DataFrame:
    """Each person's situation as their consent alone gives it: ``consent`` (token) and the first six fields."""
    newest = consent_records.alias("n")
    latest = (
        select(func.max(newest.c.sequence))
        .where(newest.c.dataset_id == dataset_id, newest.c.effective_at <= ground.at)
        .group_by(newest.c.patient_token)
    )
    query = select(_RECORD.c.patient_token, *_record_fields(ground)).where(_RECORD.c.sequence.in_(latest))
    kinds = dict.fromkeys(("consent", "legal_basis", "state", "items", "purposes", "lapse"), pl.String)
    return _frame(connection, query, kinds | {"too_new": pl.Boolean})


def opt_out_frame(connection: Connection, ground: Ground, matched_until: datetime) -> pl.DataFrame:
    """Who has opted out in a way that blocks: ``opt_out`` (token) and ``blocked``."""
    newest = consent_opt_outs.alias("n")
    latest = (
        select(func.max(newest.c.sequence))
        .where(newest.c.effective_at <= matched_until)
        .group_by(newest.c.patient_token)
    )
    query = select(_OPT_OUT.c.patient_token, _blocked(ground)).where(_OPT_OUT.c.sequence.in_(latest))
    return _frame(connection, query, {"opt_out": pl.String, "blocked": pl.Boolean})


def _record_fields(ground: Ground) -> tuple[ColumnElement[Any], ...]:
    """The first six fields of a situation, as they are stored: lists as text, times only compared."""
    r = _RECORD.c
    as_of = ground.question.data_as_of
    lapse = case(
        (r.valid_from > ground.at, literal(NOT_YET)),
        (r.valid_to <= ground.at, literal(str(ConsentState.EXPIRED))),
        (r.representative_until <= ground.at, literal(NEEDS_OWN)),
        else_=null(),
    )
    # A bound that is not there compares as unknown, which is no match: it bounds nothing.
    newer = r.no_new_data_since.is_not(None) if as_of is None else r.no_new_data_since < as_of
    return (
        r.legal_basis.label("legal_basis"),
        r.state.label("state"),
        type_coerce(r["items"], String).label("items"),
        type_coerce(r.purposes, String).label("purposes"),
        type_coerce(lapse, String).label("lapse"),
        case((newer, true()), else_=false()).label("too_new"),
    )


def _blocked(ground: Ground) -> ColumnElement[bool]:
    """Whether an opt-out blocks the permit (EHDS Art. 71(3))."""
    blocks = _OPT_OUT.c.state == str(OptOutState.OUT)
    if ground.permit_approved_at is not None:
        blocks = and_(blocks, _OPT_OUT.c.effective_at <= ground.permit_approved_at)
    return type_coerce(case((blocks, true()), else_=false()), Boolean)


def _latest_record(token: ColumnElement[str], dataset_id: str, ground: Ground) -> ColumnElement[Any]:
    x = consent_records.alias("x")
    query = select(func.max(x.c.sequence)).where(
        x.c.dataset_id == dataset_id, x.c.patient_token == token, x.c.effective_at <= ground.at
    )
    return query.correlate(consent_cohorts).scalar_subquery()


def _latest_opt_out(token: ColumnElement[str], until: datetime) -> ColumnElement[Any]:
    y = consent_opt_outs.alias("y")
    query = select(func.max(y.c.sequence)).where(y.c.patient_token == token, y.c.effective_at <= until)
    return query.correlate(consent_cohorts).scalar_subquery()


def _frame(connection: Connection, query: Select[*tuple[Any, ...]], kinds: dict[str, Any]) -> pl.DataFrame:
    """Rows as the driver gives them, column by column."""
    result = connection.execute(query)
    rows = list(result.cursor.fetchall())
    result.close()
    columns = list(zip(*rows, strict=True)) or [()] * len(kinds)
    return pl.DataFrame(
        {
            name: pl.Series(name, column, dtype=pl.Int8).cast(pl.Boolean) if kind == pl.Boolean else column
            for (name, kind), column in zip(kinds.items(), columns, strict=True)
        },
        schema=kinds,
    )
