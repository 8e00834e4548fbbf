"""Values in their three dresses: typed, as text in forms and records, and as words in sentences."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from synthema.clock import duration, from_text, to_text
from synthema.errors import InputError
from synthema.policy.model import Value
from synthema.vocabulary import Datatype

_NUMBER = re.compile(r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$")
_COUNT = re.compile(r"^\d+$")
_TRUTH = {"true": True, "yes": True, "false": False, "no": False}


def parse_value(text: str, datatype: Datatype) -> Value:
    """Read one value of a simple datatype; raises :class:`InputError` with an example of the right form."""
    return _PARSERS[datatype](text.strip())


def _number(text: str) -> float:
    if not _NUMBER.match(text) or not math.isfinite(float(text)):
        raise InputError(f"'{text[:40]}' is not a number", fix="write a finite number, e.g. 6 or 0.00001")
    return float(text)


def _count(text: str) -> int:
    if not _COUNT.match(text):
        raise InputError(f"'{text[:40]}' is not a count", fix="write a whole number, e.g. 5")
    return int(text)


def _truth(text: str) -> bool:
    if text.casefold() not in _TRUTH:
        raise InputError(f"'{text[:40]}' is neither true nor false", fix="write true or false")
    return _TRUTH[text.casefold()]


def _moment(text: str) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
    except ValueError:
        return from_text(text)


def _text(text: str) -> str:
    if not text:
        raise InputError("the text is empty", fix="write the value")
    return text


_PARSERS: dict[Datatype, Callable[[str], Value]] = {
    Datatype.TERM: _text,
    Datatype.TEXT: _text,
    Datatype.NUMBER: _number,
    Datatype.COUNT: _count,
    Datatype.BOOLEAN: _truth,
    Datatype.DATE: _moment,
    Datatype.DURATION: duration,
}


PYTHON_TYPES: dict[Datatype, frozenset[type]] = {
    Datatype.TERM: frozenset({str, tuple}),
    Datatype.TEXT: frozenset({str, tuple}),
    Datatype.BOOLEAN: frozenset({bool}),
    Datatype.COUNT: frozenset({int}),
    Datatype.NUMBER: frozenset({int, float}),
    Datatype.DATE: frozenset({datetime}),
    Datatype.DURATION: frozenset({timedelta}),
}
"""The exact types that carry each datatype: a truth value is no count, and a subclass is not taken on trust."""


def fits(value: Value, datatype: Datatype) -> bool:
    """Whether a value is exactly of a datatype; NaN, infinity, naive times and empty tuples are of none."""
    if type(value) not in PYTHON_TYPES[datatype]:
        return False
    if isinstance(value, tuple):
        return bool(value) and all(type(item) is str for item in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value.tzinfo is not None if isinstance(value, datetime) else True


def duration_text(step: timedelta) -> str:
    """An xsd:dayTimeDuration such as ``P548D``; microseconds are refused, negative durations keep their sign."""
    if step.microseconds:
        raise InputError("a duration with fractions of a second", fix="use whole seconds")
    sign, whole = ("-", -step) if step < timedelta(0) else ("", step)
    hours, rest = divmod(whole.seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    clock = "".join(f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M"), (seconds, "S")) if n)
    days = f"{whole.days}D" if whole.days or not clock else ""
    return f"{sign}P{days}{'T' + clock if clock else ''}"


def value_text(value: Value) -> str:
    """One simple value as text that :func:`parse_value` reads back unchanged."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return to_text(value)
    if isinstance(value, timedelta):
        return duration_text(value)
    return number_text(value) if isinstance(value, float) else str(value)


def number_text(value: float) -> str:
    """The shortest text of a number that reads back the same: ``6`` for 6.0, ``0.00001`` rather than 1e-05."""
    if value.is_integer() and abs(value) < 1e15:
        return repr(int(value))
    return f"{Decimal(repr(value)):f}" if 1e-12 < abs(value) < 1e15 else repr(value)


def record(value: Value) -> list[str]:
    """A value as ``[datatype, text, …]``: strings only, so that its canonical form never depends on number formats."""
    if isinstance(value, tuple):
        return ["texts", *value]
    name = _RECORD_NAMES.get(type(value))
    if name is None:
        raise InputError(f"a {type(value).__name__} cannot be a fact", fix="use text, number, truth value or time")
    if type(value) is timedelta:
        # Ages measured by a clock have fractions of a second; a record keeps them.
        return [name, repr(value // timedelta(microseconds=1))]
    return [name, value if type(value) is str else repr(value) if type(value) is float else value_text(value)]


_RECORD_NAMES: dict[type, str] = {
    str: "text",
    bool: "boolean",
    int: "count",
    float: "number",
    datetime: "date",
    timedelta: "microseconds",
}


def from_record(record_: list[str]) -> Value:
    """The inverse of :func:`record`; raises :class:`InputError` on anything else."""
    match record_:
        case ["texts", *texts]:
            return tuple(texts)
        case ["text", text]:
            return text
        case ["microseconds", text]:
            return timedelta(microseconds=int(text))
        case ["number", text]:
            return float(text)
        case ["count", text]:
            return int(text)
        case [("boolean" | "date") as name, text]:
            return parse_value(text, Datatype(name))
        case _:
            raise InputError("this is no recorded value", fix="give the record as it was written")


def duration_words(step: timedelta) -> str:
    """A duration for people: "30 days", "12 hours", "1 day and 6 hours"."""
    seconds = round(abs(step).total_seconds())
    parts: list[str] = []
    for name, size in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {name}{'' if count == 1 else 's'}")
    words = " and ".join(parts[:2]) if parts else "no time at all"
    return f"minus {words}" if step < timedelta(0) and parts else words


_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def moment_words(moment: datetime) -> str:
    """A time for people: "21 November 2026", with the hour in UTC when it is not midnight."""
    utc = moment.astimezone(UTC)
    day = f"{utc.day} {_MONTHS[utc.month - 1]} {utc.year}"
    return day if (utc.hour, utc.minute, utc.second) == (0, 0, 0) else f"{day}, {utc:%H:%M} UTC"
