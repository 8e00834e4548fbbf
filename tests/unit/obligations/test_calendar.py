"""A lawyer's calendar: RFC 5545 as its readers take it, and the same in plain words."""

from __future__ import annotations

from datetime import timedelta

import pytest

from synthema.clock import FixedClock
from synthema.obligations import calendar_text, icalendar, sentence
from synthema.obligations.calendar import _escaped, _folded
from synthema.storage import Database
from tests.unit.obligations.support import HUB, Desk, make_desk
from tests.unit.policy.sample import V

NAMES = {HUB: "Hub, of the study; Göttingen"}


@pytest.fixture
def desk(database: Database, clock: FixedClock) -> Desk:
    desk = make_desk(database, clock)
    desk.take_on()
    desk.end("run-1")
    return desk


def written(desk: Desk) -> str:
    return icalendar(desk.ledger.tasks(), V, origin="http://127.0.0.1:8101", at=desk.clock.now(), names=NAMES)


def unfolded(text: str) -> list[str]:
    return text.replace("\r\n ", "").split("\r\n")


def test_every_dated_task_is_an_event_on_its_last_day(desk: Desk) -> None:
    text = written(desk)
    lines = unfolded(text)
    dated = [task for task in desk.ledger.tasks() if task.due is not None]
    assert lines[0] == "BEGIN:VCALENDAR"
    assert lines[-2:] == ["END:VCALENDAR", ""]
    assert lines.count("BEGIN:VEVENT") == lines.count("END:VEVENT") == len(dated) >= 2
    for task in dated:
        assert task.due is not None
        assert f"DTSTART;VALUE=DATE:{task.due:%Y%m%d}" in lines
        assert f"UID:{task.id}@127.0.0.1" in lines
    assert "CATEGORIES:EHDS 73(1)(e)" in lines
    assert any("TRIGGER:-P30D" in line for line in lines)
    assert "\n" not in text.replace("\r\n", "")
    assert max(len(line.encode()) for line in text.split("\r\n")) <= 75


def test_commas_semicolons_and_line_breaks_do_not_break_the_file(desk: Desk) -> None:
    assert any(r"Hub\, of the study\; Göttingen" in line for line in unfolded(written(desk)))
    assert _escaped("a,b;c\\d\r\ne\nf") == r"a\,b\;c\\d\ne\nf"
    assert max(len(part.encode()) for part in _folded("ö" * 100)) <= 75
    assert "".join(part.removeprefix(" ") for part in _folded("ö" * 100)) == "ö" * 100


def test_what_is_late_says_so(desk: Desk) -> None:
    desk.wait(1000)
    assert any(line.startswith("SUMMARY:OVERDUE: ") for line in unfolded(written(desk)))


def test_the_text_goes_month_by_month(desk: Desk) -> None:
    lines = calendar_text(desk.ledger.tasks(), V, desk.clock.now(), NAMES)
    assert "December 2026" in lines
    assert any("keep the log of access and activities until 21 November 2027 (EHDS 73(1)(e))" in line for line in lines)


def test_a_sentence_says_who_what_until_when_on_which_ground_and_what_is_next(desk: Desk) -> None:
    now = desk.clock.now()
    publish, delete = desk.one("publishResults"), desk.one("delete")
    said = sentence(publish, V, now, party="The hub")
    assert said.startswith("The hub has to publish the results by 22 May 2028 (")
    assert said.endswith("): 548 days are left.")
    assert "within 180 days once the permit or agreement ends" in sentence(delete, V, now)
    late = now + timedelta(days=600)
    desk.clock.advance(timedelta(days=600))
    assert "denied until it is settled or waived" in sentence(desk.one("publishResults"), V, late)
    desk.ledger.sweep()
    desk.ledger.fulfil([publish.id], "doi:10.1000/182", by=desk.officer.person)
    assert "it is settled, shown by doi:10.1000/182" in sentence(desk.one("publishResults"), V, late)
