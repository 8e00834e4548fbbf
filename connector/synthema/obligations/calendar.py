"""Deadlines as an iCalendar file (RFC 5545) for a lawyer's calendar, and as plain text.

Each task is an all-day event on its last day, since calendars show events everywhere and to-dos in few; the alarms are
those of the ledger's reminders. The same tasks give the same bytes but for the stamp, so that importing again
updates the events instead of doubling them (``UID``, §3.8.4.7).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import groupby
from urllib.parse import urlsplit

from synthema.obligations.model import REMINDERS, Task, TaskState
from synthema.obligations.words import date_words, duty_words, sentence
from synthema.vocabulary import Vocabulary

_OCTETS = 75  # longest line, without its end (§3.1)
_DATED = (TaskState.OPEN, TaskState.VIOLATED)


def dated(tasks: Iterable[Task]) -> list[Task]:
    """The unfinished tasks that have a last moment, the nearest first."""
    found = [task for task in tasks if task.due is not None and task.state in _DATED]
    return sorted(found, key=lambda task: (task.due or task.created_at, task.id))


def icalendar(
    tasks: Iterable[Task],
    vocabulary: Vocabulary,
    *,
    origin: str,
    at: datetime,
    names: Mapping[str, str] | None = None,
) -> str:
    """The dated tasks as a calendar; ``names`` gives parties (did) their names."""
    host = urlsplit(origin).hostname or "synthema"
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Synthema//Obligations//EN",
        "CALSCALE:GREGORIAN",
        "METHOD:PUBLISH",
        f"X-WR-CALNAME:{_escaped(f'Obligations of {host}')}",
    ]
    for task in dated(tasks):
        lines += _event(task, vocabulary, host, origin, at, names or {})
    lines.append("END:VCALENDAR")
    return "".join(f"{folded}\r\n" for line in lines for folded in _folded(line))


def calendar_text(
    tasks: Iterable[Task], vocabulary: Vocabulary, at: datetime, names: Mapping[str, str] | None = None
) -> list[str]:
    """The dated tasks month by month, one line a task."""
    lines: list[str] = []
    for month, found in groupby(dated(tasks), key=lambda task: f"{task.due:%B %Y}"):
        lines.append(month)
        for task in found:
            moment = task.due or task.created_at
            told = sentence(task, vocabulary, at, party=(names or {}).get(task.party))
            lines.append(f"  {moment.day:2d}  {told}")
    return lines


def _event(
    task: Task, vocabulary: Vocabulary, host: str, origin: str, at: datetime, names: Mapping[str, str]
) -> list[str]:
    day = (task.due or task.created_at).astimezone(UTC).date()
    who = names.get(task.party, task.party)
    late = "OVERDUE: " if task.state is TaskState.VIOLATED else ""
    title = f"{late}{duty_words(task, vocabulary)} ({who})"
    told = sentence(task, vocabulary, at, party=names.get(task.party))
    lines = [
        "BEGIN:VEVENT",
        f"UID:{task.id}@{host}",
        f"DTSTAMP:{at.astimezone(UTC):%Y%m%dT%H%M%SZ}",
        f"DTSTART;VALUE=DATE:{day:%Y%m%d}",
        f"DTEND;VALUE=DATE:{day + timedelta(days=1):%Y%m%d}",
        f"SUMMARY:{_escaped(title)}",
        f"DESCRIPTION:{_escaped(told)}",
        f"URL:{origin}/id/obligation/{task.id}",
        "CATEGORIES:" + ",".join(_escaped(article) for article in task.articles) if task.articles else "",
        "TRANSP:TRANSPARENT",
        "STATUS:CONFIRMED",
    ]
    for ahead in () if task.holds else REMINDERS:
        lines += [
            "BEGIN:VALARM",
            "ACTION:DISPLAY",
            f"DESCRIPTION:{_escaped(f'{title} by {date_words(task.due or at)}')}",
            f"TRIGGER:-P{ahead.days}D",
            "END:VALARM",
        ]
    return [*(line for line in lines if line), "END:VEVENT"]


def _escaped(text: str) -> str:
    """Text as a value (§3.3.11)."""
    escaped = text.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")
    return escaped.replace("\r\n", "\\n").replace("\n", "\\n").replace("\r", "\\n")


def _folded(line: str) -> list[str]:
    """A line in pieces of at most 75 octets, each but the first led by a space (§3.1); no character is cut in two."""
    pieces, piece = [], ""
    for character in line:
        if len((piece + character).encode()) > _OCTETS:
            pieces.append(piece)
            piece = " "
        piece += character
    return [*pieces, piece]
