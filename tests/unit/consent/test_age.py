from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from synthema.clock import FixedClock
from synthema.consent import ConsentState, ConsentStore, Ground, Withdrawal, of_age_on, representative
from synthema.consent.model import NEEDS_OWN, start_of
from synthema.errors import InputError
from tests.unit.consent.conftest import Bring
from tests.unit.consent.support import CONSENT, NOW

BIRTHDAY = date(2026, 12, 1)


def remaining(consents: ConsentStore, at: datetime) -> int:
    return consents.exclusions("mgus", ["1"], Ground(CONSENT, None, at)).remaining


@pytest.mark.parametrize(
    ("born", "country", "day"),
    [
        (date(2008, 12, 1), None, date(2026, 12, 1)),
        (date(2008, 12, 1), "IT", date(2026, 12, 1)),
        (date(2008, 12, 1), "XA", date(2024, 12, 1)),
        (date(2008, 2, 29), None, date(2026, 2, 28)),
    ],
)
def test_the_day_a_person_comes_of_age(born: date, country: str | None, day: date) -> None:
    assert of_age_on(born, country, {"XA": 16}) == day


def test_odd_countries_are_refused() -> None:
    with pytest.raises(InputError, match="not a country"):
        of_age_on(date(2010, 1, 1), "italy")


@pytest.mark.article("GDPR 8")
def test_a_parents_word_counts_until_the_person_comes_of_age(consents: ConsentStore, clock: FixedClock) -> None:
    parent = representative("parent", NOW.date(), born=date(2008, 12, 1))
    consents.give("mgus", "1", representative=parent)
    assert remaining(consents, start_of(BIRTHDAY) - timedelta(microseconds=1)) == 1
    found = consents.exclusions("mgus", ["1"], Ground(CONSENT, None, start_of(BIRTHDAY)))
    assert found.reasons == {NEEDS_OWN: 1}
    clock.advance(timedelta(days=30))
    consents.give("mgus", "1")
    assert remaining(consents, clock.now() + timedelta(days=9000)) == 1


@pytest.mark.article("GDPR 8")
@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        ("parent", {"born": date(2000, 1, 1)}, "is of age"),
        ("parent", {"born": date(2008, 11, 21)}, "is of age"),
        ("parent", {}, "until when"),
        ("parent", {"until": date(2030, 1, 1)}, "until when"),
        ("guardian", {}, "until when"),
        ("guardian", {"until": date(2026, 11, 21)}, "has ended"),
        ("parent", {"born": date(2027, 1, 1)}, "in the future"),
        ("aunt", {"born": date(2015, 1, 1)}, "not a representative"),
    ],
)
def test_whose_word_cannot_count(kind: str, given: dict[str, date], said: str) -> None:
    with pytest.raises(InputError, match=said):
        representative(kind, NOW.date(), **given)  # type: ignore[arg-type]


def test_a_guardianship_may_end_before_or_after_the_day() -> None:
    assert representative("guardian", NOW.date(), until=date(2040, 1, 1)).until == date(2040, 1, 1)
    both = representative("guardian", NOW.date(), born=date(2008, 12, 1), until=date(2040, 1, 1))
    assert both.until == BIRTHDAY


@pytest.mark.article("GDPR 8")
def test_coming_of_age_becomes_an_event_that_others_hear_of(consents: ConsentStore, clock: FixedClock) -> None:
    heard: list[Withdrawal] = []
    consents.on_withdrawal(lambda _, found: heard.extend(found))
    consents.give("mgus", "1", representative=representative("parent", NOW.date(), born=date(2008, 12, 1)))
    assert consents.expire_due() == 0
    clock.advance(timedelta(days=10))
    assert consents.expire_due() == 1
    assert consents.expire_due() == 0
    assert [each.state for each in heard] == ["ConsentExpired"]
    assert consents.counts("mgus") == {"ConsentExpired": 1}
    consents.give("mgus", "1")
    assert consents.counts("mgus") == {"RenewedConsentGiven": 1}


@pytest.mark.article("GDPR 8")
def test_lists_say_who_agreed(bring: Bring, consents: ConsentStore) -> None:
    header = "patient_key,state,date,given_by,birth_date,country"
    bring(header, "1,ConsentGiven,2025-01-01,parent,2008-12-01,IT", "2,ConsentGiven,2025-01-01,self,,")
    assert remaining(consents, NOW) == 1
    assert remaining(consents, start_of(BIRTHDAY)) == 0
    with pytest.raises(InputError, match="line 2, field given_by: a parent agreed"):
        bring(header, "3,ConsentGiven,2025-01-01,parent,,")
    with pytest.raises(InputError, match="of age"):
        bring(header, "3,ConsentGiven,2025-01-01,parent,1990-01-01,")


def test_the_date_of_birth_is_not_kept(consents: ConsentStore) -> None:
    consents.give("mgus", "1", representative=representative("parent", NOW.date(), born=date(2010, 5, 17)))
    with consents._database.read() as connection:
        kept = str(connection.exec_driver_sql("SELECT * FROM consent_records").all())
    assert "2010-05-17" not in kept
    assert consents.standing("mgus", "1", CONSENT).history[0][0].state is ConsentState.GIVEN
