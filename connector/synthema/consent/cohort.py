"""Judges whole cohorts: who may be read for a use, and in numbers why the others may not.

People in the same situation (same legal basis, state, boxes and purposes, the same answer of the clock)
get the same judgement. So the database or the columns bring people into situations, and each situation
is judged once, by the same functions that speak for one record (:meth:`ConsentRecord.refusal`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import polars as pl

from synthema.consent.model import (
    ANY_USE,
    NO_NEW_DATA,
    VALID_STATES,
    ConsentItem,
    ConsentState,
    NationalException,
    OptOutState,
    Question,
    full_basis,
    machine_for,
    terms_refusal,
)


@dataclass(frozen=True, slots=True)
class Ground:
    """What a cohort is asked against.

    ``legal_basis`` is the dataset's, for everyone whose record names none. ``question`` is what the
    use asks of each consent; ``exception`` lets a permit read people who opted out (EHDS 71(4)).
    """

    legal_basis: str
    permit_approved_at: datetime | None
    at: datetime
    question: Question = ANY_USE
    exception: NationalException | None = None


class Situation(NamedTuple):
    """All that counts about a person, as it is stored; without a record the first four are None.

    ``lapse`` is what the clock says against the record, ``too_new`` that the data came after a
    withdrawal from access, ``blocked`` that an opt-out blocks the permit (EHDS Art. 71(3)).
    """

    legal_basis: str | None
    state: str | None
    items: str | None
    purposes: str | None
    lapse: str | None
    too_new: bool
    blocked: bool


class Judgement(NamedTuple):
    """What follows from a situation; ``reason`` None lets the person be read."""

    basis: str
    by_consent: bool
    reason: str | None
    overruled: bool


@dataclass(frozen=True, slots=True)
class Tally:
    """A cohort in numbers: who remains, by legal basis, and why the others do not."""

    remaining: int
    left_out: int
    reasons: dict[str, int]
    bases: dict[str, int]
    consented: int
    overruled: int


def judge(situation: Situation, ground: Ground) -> Judgement:
    """Whether people in a situation may be read on this ground."""
    basis = full_basis(situation.legal_basis or ground.legal_basis)
    if machine_for(basis) == "consent":
        return Judgement(basis, by_consent=True, reason=_refusal(situation, ground.question), overruled=False)
    if not situation.blocked:
        return Judgement(basis, by_consent=False, reason=None, overruled=False)
    if ground.exception is None:
        return Judgement(basis, by_consent=False, reason=str(OptOutState.OUT), overruled=False)
    return Judgement(basis, by_consent=False, reason=None, overruled=True)


def _refusal(situation: Situation, question: Question) -> str | None:
    """Why a consent does not cover the use: in the order of :meth:`ConsentRecord.refusal`."""
    if situation.state is None:
        return str(ConsentState.UNKNOWN)
    if situation.state not in VALID_STATES:
        return situation.state
    if situation.lapse is not None:
        return situation.lapse
    ticked = frozenset(ConsentItem(item) for item in json.loads(situation.items or "[]"))
    agreed = frozenset(json.loads(situation.purposes or "[]"))
    return terms_refusal(ticked, agreed, question) or (NO_NEW_DATA if situation.too_new else None)


def tally(situations: Iterable[tuple[Situation, int]], ground: Ground) -> Tally:
    """Count people by what is judged of their situation."""
    reasons: Counter[str] = Counter()
    bases: Counter[str] = Counter()
    consented = overruled = 0
    for situation, people in situations:
        found = judge(situation, ground)
        if found.reason is not None:
            reasons[found.reason] += people
            continue
        bases[found.basis] += people
        consented += people if found.by_consent else 0
        overruled += people if found.overruled else 0
    return Tally(bases.total(), reasons.total(), dict(reasons), dict(bases), consented, overruled)


def judge_people(people: pl.DataFrame, ground: Ground) -> tuple[frozenset[str], Tally]:
    """Who of ``people`` is left out; a row for each, with ``name`` and the fields of a situation."""
    fields = list(Situation._fields)
    kinds = people.group_by(fields).len()
    situations = [(Situation(*row[:-1]), int(row[-1])) for row in kinds.iter_rows()]
    refused = kinds.select(fields).filter(
        pl.Series([judge(situation, ground).reason is not None for situation, _ in situations], dtype=pl.Boolean)
    )
    left_out = people.join(refused, on=fields, how="semi", nulls_equal=True)
    return frozenset(left_out["name"].to_list()), tally(situations, ground)
