"""Values keep what they say: numbers to the digit, durations to the second, times with their zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthema.errors import InputError
from synthema.policy.model import Value
from synthema.policy.values import (
    counted_months,
    day,
    duration_words,
    form_text,
    length_words,
    moment_words,
    number_text,
    parse_value,
    read_literal,
    value_text,
)
from synthema.vocabulary import Datatype


@pytest.mark.parametrize(
    ("text", "days", "seconds"),
    [
        ("P30D", 30, 0),
        ("PT12H", 0, 43200),
        ("30 days", 30, 0),
        ("1 day", 1, 0),
        ("2 weeks", 14, 0),
        ("P2W", 14, 0),
        ("1 day and 6 hours", 1, 21600),
        ("1 day, 6 hours and 5 minutes", 1, 21900),
        ("1 day 6 hours 5 minutes 7 seconds", 1, 21907),
        ("PT0S", 0, 0),
    ],
)
def test_durations_are_read_from_words_and_signs(text: str, days: int, seconds: int) -> None:
    assert parse_value(text, Datatype.DURATION) == timedelta(days=days, seconds=seconds)


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("P18M", "546 days are never more than 18 months, 550 days never less"),
        ("18 months", "546 days are never more than 18 months, 550 days never less"),
        ("P6M", "181 days are never more than 6 months, 184 days never less"),
        ("1 year", "365 days are never more than 1 year, 366 days never less"),
        ("10 years", "3651 days are never more than 10 years, 3653 days never less"),
        ("P1Y6M", "546 days are never more than 18 months"),
        ("P1M3D", "in days"),
        ("P99999M", "in days"),
        ("-P1D", "without the minus"),
        ("soon", "30 days"),
        ("P", "30 days"),
        ("", "30 days"),
        ("1.5 hours", "whole numbers"),
        ("P9999999999D", "below"),
    ],
)
def test_durations_without_an_exact_length_are_refused_with_the_days_they_come_to(text: str, fix: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_value(text, Datatype.DURATION)
    assert fix in caught.value.fix


@pytest.mark.parametrize("text", ["6", "0.5", "6.00", "1e-5", ".5", "0.00001", "-3.25", "12.50", "1E3"])
def test_a_number_is_kept_as_it_was_written(text: str) -> None:
    value = parse_value(text, Datatype.NUMBER)
    assert isinstance(value, float)
    assert Decimal(number_text(value)) == Decimal(text)


@pytest.mark.parametrize(
    "text", ["0.1000000000000000055", "12345678901234567891", "1e400", "1e-400", "NaN", "inf", "1_000"]
)
def test_a_number_that_cannot_be_kept_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_value(text, Datatype.NUMBER)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_is_read_back_from_its_text(number: float) -> None:
    assert parse_value(number_text(number), Datatype.NUMBER) == number


@given(st.timedeltas(min_value=timedelta(0)).map(lambda step: step - timedelta(microseconds=step.microseconds)))
def test_every_duration_is_read_back_from_both_its_texts(step: timedelta) -> None:
    assert parse_value(value_text(step), Datatype.DURATION) == step
    assert parse_value(form_text(step), Datatype.DURATION) == step
    assert parse_value(duration_words(step, exact=True) if step else "PT0S", Datatype.DURATION) == step


@given(st.datetimes(timezones=st.just(UTC)))
def test_every_time_is_read_back_from_both_its_texts(moment: datetime) -> None:
    assert read_literal(value_text(moment), Datatype.DATE) == moment
    assert parse_value(form_text(moment), Datatype.DATE) == moment


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("2027-03-05", datetime(2027, 3, 5, tzinfo=UTC)),
        ("2027-03-05Z", datetime(2027, 3, 5, tzinfo=UTC)),
        ("2027-03-05+01:00", datetime(2027, 3, 4, 23, tzinfo=UTC)),
        ("5 March 2027", datetime(2027, 3, 5, tzinfo=UTC)),
        ("05 march 2027", datetime(2027, 3, 5, tzinfo=UTC)),
    ],
)
def test_a_day_has_a_beginning_and_an_end(text: str, start: datetime) -> None:
    assert day(text) == (start, start + timedelta(days=1))


def test_what_is_no_day_is_none_and_what_does_not_exist_is_refused() -> None:
    assert day("2027-03-05T10:00:00Z") is None
    assert day("tomorrow") is None
    for text in ("2027-02-29", "31 June 2027", "9999-12-31", "0001-01-01+14:00", "2027-03-05+25:00"):
        with pytest.raises(InputError, match="not a day of the calendar"):
            day(text)


@pytest.mark.parametrize(
    ("text", "datatype"),
    [
        ("2 weeks", Datatype.DURATION),
        ("P2W", Datatype.DURATION),
        ("P1M", Datatype.DURATION),
        ("-P1D", Datatype.DURATION),
        ("2027-03-05", Datatype.DATE),
        ("2027-03-05T10:00:00", Datatype.DATE),
        ("2027-03-05T10:00Z", Datatype.DATE),
        ("2027-03-05T10:00:00.1234567Z", Datatype.DATE),
        ("2027-13-05T10:00:00Z", Datatype.DATE),
        ("0001-01-01T00:00:00+14:00", Datatype.DATE),
        ("yes", Datatype.BOOLEAN),
        ("5.0", Datatype.COUNT),
        ("-5", Datatype.COUNT),
        (" 5", Datatype.COUNT),
        ("six", Datatype.NUMBER),
        ("", Datatype.TEXT),
    ],
)
def test_literals_of_other_systems_are_read_strictly(text: str, datatype: Datatype) -> None:
    with pytest.raises(InputError):
        read_literal(text, datatype)


@pytest.mark.parametrize(
    ("text", "datatype", "value"),
    [
        ("2027-03-05T10:00:00+01:00", Datatype.DATE, datetime(2027, 3, 5, 9, tzinfo=UTC)),
        ("P1DT6H", Datatype.DURATION, timedelta(days=1, hours=6)),
        ("true", Datatype.BOOLEAN, True),
        ("5", Datatype.COUNT, 5),
        ("6.0", Datatype.NUMBER, 6.0),
        (" kept ", Datatype.TEXT, " kept "),
    ],
)
def test_literals_are_read(text: str, datatype: Datatype, value: Value) -> None:
    assert read_literal(text, datatype) == value


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (548, "548 days (about 18 months)"),
        (365, "365 days (about 1 year)"),
        (3653, "3653 days (about 10 years)"),
        (180, "180 days (about 6 months)"),
        (30, "30 days"),
        (1, "1 day"),
        (100, "100 days"),
    ],
)
def test_long_times_are_said_in_months_beside_the_exact_days(days: int, words: str) -> None:
    assert length_words(timedelta(days=days)) == words


def test_times_are_told_to_the_minute_or_exactly() -> None:
    moment = datetime(2027, 3, 5, 10, 30, 15, 7, tzinfo=UTC)
    assert moment_words(moment) == "5 March 2027, 10:30 UTC"
    assert moment_words(moment, exact=True) == "5 March 2027, 10:30:15.000007 UTC"
    assert moment_words(datetime(2027, 3, 5, tzinfo=UTC), exact=True) == "5 March 2027"
    assert counted_months(1) == "1 month"
    assert duration_words(timedelta(0)) == "no time at all"
    assert duration_words(timedelta(days=-2)) == "minus 2 days"
