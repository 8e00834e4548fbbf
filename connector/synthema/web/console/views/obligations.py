"""Obligations: who owes what and by when, as a calendar; one of them in full; the dates as a file for a calendar."""

from __future__ import annotations

from itertools import groupby
from typing import Any, Final

from synthema.obligations import SITE_DUTIES
from synthema.web.console.desk import Desk
from synthema.web.console.pages import Answer, Download, Page, Route, Visit
from synthema.web.console.views.people import both_files, both_sign, officers

FILTERS: Final = ("party", "dataset", "basis", "run")
GROUPS: Final = (
    ("overdue", "Overdue", "Not done in time, or broken: the party's further requests are denied until it is settled."),
    (
        "now",
        "Before anything more is permitted",
        "These have no date: what rests on them is denied until they are done.",
    ),
    ("month", "This month", "The last moment lies in this month, by the clock in UTC."),
    ("later", "Later", "Month by month, the nearest first."),
    ("waiting", "Waiting", "Their time begins with the end of a run, a release, or the end of a permit or agreement."),
    ("ended", "Done, waived or fallen away", "Nothing of this is owed any more."),
)
"""Key, heading and help of the parts of the calendar, in their order."""

_UNFINISHED: Final = ("waiting", "open", "violated")
_TITLE: Final = "Obligations: who owes what, and by when"


def show_calendar(desk: Desk, visit: Visit) -> Page:
    """What is owed, by date; with ``?all=yes`` also what is done. Filters: party, dataset, basis, run."""
    asked = {name: visit.query[name] for name in FILTERS if visit.query.get(name)}
    everything = visit.query.get("all") == "yes"
    found = desk.ask("obligation/list", **asked, all=everything)
    value = {"filters": asked, "all": everything, "obligations": found}
    parts = calendar(found, desk.now.isoformat()[:7])
    return Page("obligations.html", _TITLE, value, {"parts": parts, "narrowed": bool(asked)})


def show_obligation(desk: Desk, visit: Visit) -> Page:
    """One obligation with what would show it, the runs behind it, and the commands that end it."""
    found: dict[str, Any] = desk.ask("obligation/show", obligation=visit.path["obligation"])
    more = {"commands": _commands(desk, found), "of_site": found["action"] in SITE_DUTIES}
    return Page("obligation.html", f"Obligation: {found['duty']}", found, more)


def download_calendar(desk: Desk, _visit: Visit) -> Answer:
    """All dates as iCalendar; importing it again updates the same events."""
    made = desk.ask("obligation/calendar", format="ics")
    return Download("obligations.ics", made["text"].encode(), "text/calendar; charset=utf-8")


def calendar(obligations: list[dict[str, Any]], month: str) -> list[dict[str, Any]]:
    """The obligations in the parts of :data:`GROUPS`, those without any left out; ``month`` is this one (YYYY-MM).

    Each part holds its obligations by month of their date, the nearest first.
    """
    parts: list[dict[str, Any]] = []
    for key, title, explained in GROUPS:
        inside = sorted((o for o in obligations if part_of(o, month) == key), key=_date)
        months = [{"month": when, "obligations": list(each)} for when, each in groupby(inside, key=_month)]
        if inside:
            parts.append({"key": key, "title": title, "help": explained, "months": months, "count": len(inside)})
    return parts


def part_of(obligation: dict[str, Any], month: str) -> str:
    """In which part of the calendar an obligation stands."""
    state, due = obligation["state"], obligation["due"]
    if state not in _UNFINISHED:
        return "ended"
    if state != "open":
        return "overdue" if state == "violated" else "waiting"
    if due is None:
        return "now"
    return "month" if due[:7] <= month else "later"


def _date(obligation: dict[str, Any]) -> tuple[str, str]:
    return obligation["due"] or "9", obligation["id"]


def _month(obligation: dict[str, Any]) -> str:
    return (obligation["due"] or "")[:7]


def _commands(desk: Desk, found: dict[str, Any]) -> dict[str, list[str]]:
    """What to run to show that it was done, to drop it, and to report that it was broken."""
    commands: dict[str, list[str]] = {"fulfil": [], "waive": [], "breach": []}
    if found["state"] not in _UNFINISHED:
        return commands
    name, officer = found["id"], officers(desk)[0]
    person = officer if found["state"] == "violated" else "PERSON"
    commands["fulfil"] = [desk.command("obligation", "fulfil", name, "--evidence", "EVIDENCE", "--person", person)]
    if not found["statutory"]:
        sign = both_sign(desk, "obligation", name, "--reason", "REASON")
        commands["waive"] = [*sign, desk.command("obligation", "waive", *both_files())]
    if found["state"] == "open":
        commands["breach"] = [desk.command("obligation", "breach", name, "--reason", "REASON", "--person", officer)]
    return commands


ROUTES = (
    Route("/obligations", show_calendar),
    Route("/obligations/calendar.ics", download_calendar),
    Route("/obligations/{obligation}", show_obligation),
)
