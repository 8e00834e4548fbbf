"""When a person comes of age: from that day on, what a parent or guardian agreed to no longer counts (GDPR Art. 8)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Literal

from synthema.consent.model import Representative
from synthema.errors import InputError

ADULT = 18
"""Age of majority where nothing else is set for a country."""

_COUNTRY = re.compile(r"[A-Z]{2}")


def of_age_on(born: date, country: str | None = None, ages: Mapping[str, int] | None = None) -> date:
    """The day a person comes of age in a country (ISO 3166-1, two letters); 18 years where nothing else is set.

    Who was born on 29 February comes of age on the 28th in other years: the earlier day,
    so that nobody's word counts for an adult.
    """
    if country is not None and not _COUNTRY.fullmatch(country):
        raise InputError(f"'{country[:20]}' is not a country", fix="give its two letters (ISO 3166-1), e.g. IT")
    years = (ages or {}).get(country or "", ADULT)
    try:
        return born.replace(year=born.year + years)
    except ValueError:
        return born.replace(year=born.year + years, day=28)


def representative(
    kind: str,
    today: date,
    *,
    born: date | None = None,
    until: date | None = None,
    country: str | None = None,
    ages: Mapping[str, int] | None = None,
) -> Representative:
    """Who agreed in a person's place; raises :class:`InputError` where that cannot count (any more).

    A parent needs the person's date of birth, which is not kept; a guardian needs it too, or the
    day the guardianship ends.
    """
    if born is not None and born > today:
        raise InputError("the date of birth lies in the future", fix="give the day the person was born")
    ends = [day for day in (of_age_on(born, country, ages) if born else None, until) if day is not None]
    if not ends or (kind == "parent" and born is None):
        raise InputError(
            f"a {_kind(kind)} agreed, and it is not said until when that counts",
            fix="give the person's date of birth (it is not kept), or the day the guardianship ends",
        )
    if min(ends) <= today:
        raise InputError(
            "the person is of age, or the guardianship has ended: a representative can no longer agree (GDPR Art. 8)",
            fix="ask the person themselves",
        )
    return Representative(_kind(kind), min(ends))


def _kind(text: str) -> Literal["parent", "guardian"]:
    if text == "parent":
        return "parent"
    if text == "guardian":
        return "guardian"
    raise InputError(f"'{text[:20]}' is not a representative", fix="write parent or guardian")
