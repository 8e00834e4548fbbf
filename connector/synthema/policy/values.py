"""Values in their three dresses: typed, as text in forms and records, and as words in sentences.

Three choices that a reader of policies may rely on:

- **Durations have an exact length.** Days, hours, minutes and seconds are kept; weeks are
  seven days each. Months and years are refused, because 18 months are 546 to 550 days
  depending on the day they begin, and a deadline must not depend on who counts. The
  refusal names the days that are never more, and never less, than what was written.
- **A time has a zone.** A day without a zone is the day in UTC; a day may carry a zone
  (``2027-03-05+01:00``). A time of day without a zone is refused.
- **A number is kept as it was written**, or refused: one with more digits than a double
  holds is not rounded on the quiet.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from functools import cache

from synthema.clock import from_text, to_text
from synthema.errors import InputError
from synthema.policy.model import Value
from synthema.vocabulary import Datatype

_NUMBER = re.compile(r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$")
_COUNT = re.compile(r"^\d{1,18}$")
_TRUTH = {"true": True, "yes": True, "false": False, "no": False}
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DAY = re.compile(r"^(\d{4}-\d{2}-\d{2})(Z|[+-]\d{2}:\d{2})?$")
_DAY_IN_WORDS = re.compile(rf"^(\d{{1,2}}) ({'|'.join(_MONTHS)}) (\d{{4}})$", re.IGNORECASE)
_TIME = re.compile(r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})$")
_SPAN = re.compile(
    r"^P(?=.)(?:(?P<years>\d+)Y)?(?:(?P<months>\d+)M)?(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?=.)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?$"
)
_SPAN_IN_WORDS = re.compile(
    r"^(?=.)(?:(?P<years>\d+) years?)?(?:(?:,| and|, and)? ?(?P<months>\d+) months?)?"
    r"(?:(?:,| and|, and)? ?(?P<weeks>\d+) weeks?)?(?:(?:,| and|, and)? ?(?P<days>\d+) days?)?"
    r"(?:(?:,| and|, and)? ?(?P<hours>\d+) hours?)?(?:(?:,| and|, and)? ?(?P<minutes>\d+) minutes?)?"
    r"(?:(?:,| and|, and)? ?(?P<seconds>\d+) seconds?)?$",
    re.IGNORECASE,
)


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────


def parse_value(text: str, datatype: Datatype) -> Value:
    """Read one value as people write it; raises :class:`InputError` with an example of the right form."""
    return _PARSERS[datatype](text.strip())


def read_literal(text: str, datatype: Datatype) -> Value:
    """Read one value as XML Schema writes it (ODRL); raises :class:`InputError` on anything that only people write."""
    if datatype is Datatype.DATE and not _TIME.match(text):
        raise InputError(f"'{text[:40]}' is not a time with a zone", fix="write it like 2026-11-21T10:00:00Z")
    if datatype is Datatype.DURATION and (not _SPAN.match(text) or "W" in text):
        raise InputError(f"'{text[:40]}' is not a duration", fix="write it like P30D or PT12H")
    if datatype is Datatype.BOOLEAN and text not in ("true", "false"):
        raise InputError(f"'{text[:40]}' is neither true nor false", fix="write true or false")
    if datatype in (Datatype.TEXT, Datatype.TERM):
        return _text(text)
    return _PARSERS[datatype](text)


def _number(text: str) -> float:
    if not _NUMBER.match(text) or not math.isfinite(float(text)):
        raise InputError(f"'{text[:40]}' is not a number", fix=_number_fix(text))
    number = float(text)
    if Decimal(text) != Decimal(repr(number)):
        raise InputError(
            f"'{text[:40]}' has more digits than can be kept exactly", fix=f"write {number_text(number)} if you mean it"
        )
    return number


def _number_fix(text: str) -> str:
    plain = text.replace(",", ".")
    if text.count(",") == 1 and _NUMBER.match(plain):
        return f"write a finite number with a point, e.g. {plain}"
    return "write a finite number, e.g. 6 or 0.00001"


def _count(text: str) -> int:
    if not _COUNT.match(text):
        raise InputError(f"'{text[:40]}' is not a count", fix="write a whole number, e.g. 5")
    return int(text)


def _truth(text: str) -> bool:
    if text.casefold() not in _TRUTH:
        raise InputError(f"'{text[:40]}' is neither true nor false", fix="write true or false")
    return _TRUTH[text.casefold()]


def day(text: str) -> tuple[datetime, datetime] | None:
    """The first moment of a day and of the day after it; ``None`` where the text is no day.

    Without a zone it is the day in UTC. Raises :class:`InputError` on a day that does not exist.
    """
    words, plain = _DAY_IN_WORDS.match(text), _DAY.match(text)
    if words is None and plain is None:
        return None
    try:
        if words is not None:
            number = [month.casefold() for month in _MONTHS].index(words[2].casefold()) + 1
            start = datetime(int(words[3]), number, int(words[1]), tzinfo=UTC)
        else:
            start = datetime.combine(date.fromisoformat(text[:10]), time(), _zone(text[10:])).astimezone(UTC)
        return start, start + timedelta(days=1)
    except (ValueError, OverflowError) as error:
        raise InputError(f"'{text}' is not a day of the calendar", fix="write it like 2026-11-21") from error


def _zone(text: str) -> tzinfo:
    return datetime.fromisoformat(f"2000-01-01T00:00:00{text or 'Z'}").tzinfo or UTC


def _moment(text: str) -> datetime:
    whole = day(text)
    if whole is not None:
        return whole[0]
    try:
        return from_text(text)
    except OverflowError as error:
        raise InputError(f"'{text[:40]}' is outside the calendar", fix="write it like 2026-11-21T10:00:00Z") from error


def _duration(text: str) -> timedelta:
    if text.startswith("-") or text.casefold().startswith("minus "):
        raise InputError(f"'{text[:40]}' is negative", fix="a duration is never negative: write it without the minus")
    match = _SPAN.match(text) or _SPAN_IN_WORDS.match(text)
    if match is None:
        raise InputError(
            f"'{text[:40]}' is not a duration in days, hours, minutes and seconds",
            fix="write it like 30 days, 12 hours, P30D or PT12H, in whole numbers",
        )
    counted = {unit: int(number) for unit, number in match.groupdict(default="0").items()}
    months = 12 * counted.pop("years") + counted.pop("months")
    if months:
        raise InputError(
            f"'{text[:40]}' is not a duration of exact length", fix=_months_fix(months, sum(counted.values()))
        )
    try:
        return timedelta(**counted)
    except OverflowError as error:
        raise InputError(f"'{text[:40]}' is too long", fix="write a duration below 999999999 days") from error


def _months_fix(months: int, rest: int) -> str:
    if rest or months > _CYCLE:
        return "write it in days, hours, minutes and seconds, e.g. P30D"
    least, most = _days_of(months)
    return f"write days: {least} days are never more than {counted_months(months)}, {most} days never less"


_CYCLE = 4800
"""Months after which the calendar repeats itself (400 years)."""


@cache
def _days_of(months: int) -> tuple[int, int]:
    """The least and the greatest number of days that a number of months can have."""
    lengths = [
        (date(2000 + (n + months) // 12, (n + months) % 12 + 1, 1) - date(2000 + n // 12, n % 12 + 1, 1)).days
        for n in range(_CYCLE)
    ]
    return min(lengths), max(lengths)


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
    Datatype.DURATION: _duration,
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


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────


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


def form_text(value: Value) -> str:
    """One simple value as a form writes it: durations in words, times without idle fractions of a second."""
    if isinstance(value, timedelta) and value > timedelta(0) and not value.microseconds:
        return duration_words(value, exact=True).replace(" and ", " ").replace(",", "")
    if isinstance(value, datetime):
        return to_text(value).replace(".000000Z", "Z")
    return value_text(value)


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


# ── in words ─────────────────────────────────────────────────────────────────────────────────────────────────────


def duration_words(step: timedelta, *, exact: bool = False) -> str:
    """A duration for people: "30 days", "1 day and 6 hours"; its two largest parts, or all of them when ``exact``."""
    seconds = abs(step).days * 86400 + abs(step).seconds
    fraction = abs(step).microseconds
    if not exact:
        seconds, fraction = round(abs(step).total_seconds()), 0
    parts: list[str] = []
    for name, size in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {name}{'' if count == 1 else 's'}")
    if fraction:
        parts.append(f"{fraction} microseconds")
    told = parts if exact else parts[:2]
    words = " and ".join([", ".join(told[:-1]), told[-1]] if len(told) > 1 else told) if told else "no time at all"
    return f"minus {words}" if step < timedelta(0) and parts else words


def length_words(step: timedelta) -> str:
    """A duration as a policy says it: exact, with what a long one comes to, e.g. "548 days (about 18 months)"."""
    words = duration_words(step, exact=True)
    months = round(step.days / _DAYS_OF_MONTH)
    if step.days < _LONG or abs(step.days - months * _DAYS_OF_MONTH) > _NEAR or step != timedelta(days=step.days):
        return words
    return f"{words} (about {counted_months(months)})"


def counted_months(months: int) -> str:
    """Months for people, as years where they come out even: "18 months", "1 year"."""
    count, unit = (months, "month") if months % 12 else (months // 12, "year")
    return f"{count} {unit}{'' if count == 1 else 's'}"


_DAYS_OF_MONTH = 30.436875
"""The mean length of a month of the Gregorian calendar."""
_LONG, _NEAR = 84, 3


def moment_words(moment: datetime, *, exact: bool = False) -> str:
    """A time for people: "21 November 2026", with the time of day in UTC when it is not midnight.

    To the minute, or to the microsecond when ``exact``.
    """
    utc = moment.astimezone(UTC)
    words = f"{utc.day} {_MONTHS[utc.month - 1]} {utc.year}"
    if not exact:
        utc = utc.replace(microsecond=0)
    if utc.time() == time():
        return words
    clock = f"{utc:%H:%M}"
    if exact and (utc.second or utc.microsecond):
        clock = utc.time().isoformat()
    return f"{words}, {clock} UTC"
