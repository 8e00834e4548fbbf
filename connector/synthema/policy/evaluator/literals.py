"""Literals of RDF as values that can be compared: numbers, times, days, durations, truth values, names.

A time without a zone is read as UTC (XML Schema leaves the implicit zone to the
processor). A day is the whole day: "on or before 1 May" lasts until midnight.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final

from pyoxigraph import Literal, NamedNode

from synthema.clock import to_text
from synthema.errors import InputError
from synthema.policy.intake.graph import RDF, Node
from synthema.policy.values import duration_text, number_text
from synthema.vocabulary import Datatype

XSD: Final = "http://www.w3.org/2001/XMLSchema#"

_INTEGERS = frozenset(
    XSD + name
    for name in (
        *("integer", "int", "long", "short", "byte", "nonNegativeInteger", "positiveInteger", "nonPositiveInteger"),
        *("negativeInteger", "unsignedInt", "unsignedLong", "unsignedShort", "unsignedByte"),
    )
)
_NUMBERS = frozenset({XSD + "decimal", XSD + "double", XSD + "float"})
_DURATIONS = frozenset({XSD + "duration", XSD + "dayTimeDuration"})
_TEXTS = frozenset({XSD + "string", XSD + "normalizedString", XSD + "token", XSD + "anyURI", RDF + "langString"})
_DAY = re.compile(r"^(\d{4}-\d{2}-\d{2})(Z|[+-]\d{2}:\d{2})?$")
_TIME = re.compile(r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}")
_NUMBER = re.compile(r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$")
_DURATION = re.compile(
    r"^(?P<sign>-)?P(?=.)(?:(?P<days>\d+)D)?"
    r"(?:T(?=.)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?$"
)
_EXACT_DIGITS = 15


@dataclass(frozen=True, slots=True)
class Day:
    """A whole day, from its first moment (included) to its last (excluded)."""

    starts: datetime

    @property
    def ends(self) -> datetime:
        return self.starts + timedelta(days=1)


Read = str | bool | int | float | datetime | timedelta | Day


def moment(text: str) -> datetime:
    """A time, or the first moment of a day, in UTC; raises :class:`InputError`."""
    day = _DAY.match(text)
    if day:
        return _time(f"{day[1]}T00:00:00{day[2] or ''}")
    return _time(text)


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"'{text[:40]}' is no time", fix="write it like 2026-11-21T10:00:00Z") from error
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)


def read(node: Node, wanted: Datatype | None = None) -> tuple[Datatype, Read]:
    """The value of a node and its kind.

    Text that stands for a number, a time or a duration is read as such only where
    ``wanted`` says so. Raises :class:`InputError` on a type that is not understood.
    """
    if isinstance(node, NamedNode):
        return Datatype.TERM, node.value
    type_, text = node.datatype.value, node.value.strip()
    if type_ in _TEXTS:
        return _text(text, wanted)
    if type_ not in _READERS:
        raise InputError(
            f"the data type {type_[:120]} is not understood",
            fix="use xsd:string, integer, decimal, double, boolean, date, dateTime or dayTimeDuration",
        )
    kind, how = _READERS[type_]
    return kind, how(text)


def _text(text: str, wanted: Datatype | None) -> tuple[Datatype, Read]:
    if wanted is Datatype.DATE and (_DAY.match(text) or _TIME.match(text)):
        return Datatype.DATE, Day(moment(text)) if _DAY.match(text) else _time(text)
    if wanted in (Datatype.COUNT, Datatype.NUMBER) and _NUMBER.match(text):
        return Datatype.NUMBER, _number(text)
    if wanted is Datatype.DURATION and _DURATION.match(text):
        return Datatype.DURATION, _duration(text)
    if wanted is Datatype.BOOLEAN and text in ("true", "false"):
        return Datatype.BOOLEAN, text == "true"
    return Datatype.TERM, text


def ordered_kind(text: str) -> Datatype | None:
    """What plain text compared by order must stand for: a time or a number; ``None`` if neither."""
    if _DAY.match(text) or _TIME.match(text):
        return Datatype.DATE
    if _DURATION.match(text):
        return Datatype.DURATION
    return Datatype.NUMBER if _NUMBER.match(text) else None


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise InputError(f"'{text[:40]}' is no whole number", fix="write it like 5") from error


def _number(text: str) -> float:
    try:
        exact = Decimal(text)
    except InvalidOperation as error:
        raise InputError(f"'{text[:40]}' is no number", fix="write it like 5.00") from error
    if not exact.is_finite() or len(exact.normalize().as_tuple().digits) > _EXACT_DIGITS:
        raise InputError(
            f"'{text[:40]}' cannot be compared exactly", fix=f"write a finite number of at most {_EXACT_DIGITS} digits"
        )
    return float(exact)


def _duration(text: str) -> timedelta:
    match = _DURATION.match(text)
    if match is None:
        raise InputError(
            f"'{text[:40]}' is no duration of a fixed length",
            fix="write it in days, hours, minutes and seconds, like P30D or PT12H",
        )
    parts = {unit: float(match[unit] or 0) for unit in ("days", "hours", "minutes", "seconds")}
    return -timedelta(**parts) if match["sign"] else timedelta(**parts)


def _truth(text: str) -> bool:
    if text not in ("true", "false", "1", "0"):
        raise InputError(f"'{text[:40]}' is no truth value", fix="write true or false")
    return text in ("true", "1")


def _day(text: str) -> Day:
    if not _DAY.match(text):
        raise InputError(f"'{text[:40]}' is no date", fix="write it like 2026-11-21")
    return Day(moment(text))


_READERS: Final[Mapping[str, tuple[Datatype, Callable[[str], Read]]]] = {
    **dict.fromkeys(_INTEGERS, (Datatype.COUNT, _integer)),
    **dict.fromkeys(_NUMBERS, (Datatype.NUMBER, _number)),
    **dict.fromkeys(_DURATIONS, (Datatype.DURATION, _duration)),
    XSD + "boolean": (Datatype.BOOLEAN, _truth),
    XSD + "dateTime": (Datatype.DATE, _time),
    XSD + "dateTimeStamp": (Datatype.DATE, _time),
    XSD + "date": (Datatype.DATE, _day),
}


def name(value: Read) -> str:
    """One text for each value, so that values can be looked for in a set."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return number_text(float(value)) if isinstance(value, float) else str(value)
        case Day():
            return value.starts.date().isoformat()
        case datetime():
            return to_text(value)
        case timedelta():
            return duration_text(timedelta(seconds=round(value.total_seconds())))
        case _:
            return value


_TYPES: Final[Mapping[type, str]] = {
    bool: "boolean",
    int: "integer",
    float: "double",
    datetime: "dateTime",
    timedelta: "dayTimeDuration",
}


def literal(value: float | datetime | timedelta) -> Node:
    """A number, time, duration or truth value as RDF."""
    return Literal(name(value), datatype=NamedNode(XSD + _TYPES[type(value)]))


def same_unit(one: str, other: str) -> bool:
    """Whether two units are the same; ``http`` and ``https`` make no difference."""
    return one.removeprefix("https://").removeprefix("http://") == other.removeprefix("https://").removeprefix(
        "http://"
    )
