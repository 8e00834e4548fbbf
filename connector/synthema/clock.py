"""Injected time: everything that asks what time it is asks a :class:`Clock`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Protocol

from synthema.errors import InputError


class Clock(Protocol):
    """Source of the present moment, always timezone-aware and in UTC."""

    def now(self) -> datetime:
        """The present moment in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class FixedClock:
    """A clock that stands still until moved; for tests and for replaying decisions."""

    def __init__(self, moment: datetime) -> None:
        self._moment = moment.astimezone(UTC)

    def now(self) -> datetime:
        return self._moment

    def advance(self, step: timedelta) -> None:
        """Move the clock forward."""
        self._moment += step


def to_text(moment: datetime) -> str:
    """ISO 8601 in UTC with microseconds and ``Z``: sorts as text in order of time."""
    if moment.tzinfo is None:
        raise InputError("a time without a zone", fix="give the time with its zone, e.g. 2026-11-21T10:00:00Z")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def from_text(text: str) -> datetime:
    """Read an ISO 8601 time with a zone; raises :class:`InputError` without one."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"'{text[:40]}' is not an ISO 8601 time", fix="write it like 2026-11-21T10:00:00Z") from error
    if moment.tzinfo is None:
        raise InputError(f"'{text}' has no time zone", fix="end it with Z or an offset such as +01:00")
    return moment.astimezone(UTC)


_DURATION = re.compile(
    r"^P(?=.)(?:(?P<days>\d+)D)?(?:T(?=.)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?$"
)


def duration(text: str) -> timedelta:
    """Read an xsd:dayTimeDuration such as ``P30D`` or ``PT12H``.

    Years and months are refused: their length depends on the day they start from.
    """
    match = _DURATION.match(text)
    if match is None:
        raise InputError(
            f"'{text[:40]}' is not a duration in days, hours, minutes and seconds",
            fix="write it like P30D (thirty days) or PT12H (twelve hours)",
        )
    return timedelta(**{unit: int(value) for unit, value in match.groupdict(default="0").items()})
