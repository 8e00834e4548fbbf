"""Decisions decided again: to the byte under the policies of their time, or to see what a draft would have changed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from synthema.errors import SynthemaError
from synthema.web.console.desk import Desk
from synthema.web.console.pages import Page, Route, Visit

USUAL: Final = timedelta(days=90)
_TITLE: Final = "Decide again what was decided"


def replay(desk: Desk, visit: Visit) -> Page:
    """The form; with ``?since=…`` (or a form that was sent, which may hold a draft) also how the decisions come out."""
    since = visit.form.text("since").strip() or visit.query.get("since", "").strip()
    draft = visit.form.text("draft").replace("\r\n", "\n")
    value: dict[str, Any] = {"since": since, "replayed": None}
    problem: SynthemaError | None = None
    if since:
        try:
            given = {"draft": draft} if draft.strip() else {}
            value["replayed"] = desk.ask("policy/replay", since=since, **given)
        except SynthemaError as error:
            problem = error
            value["error"] = error.as_dict()
    usual = (desk.now - USUAL).date().isoformat()
    decisions = value["replayed"]["decisions"] if value["replayed"] else []
    ordered = sorted(sorted(decisions, key=lambda each: str(each["at"]), reverse=True), key=lambda e: e["same"] is True)
    more = {"draft": draft, "problem": problem, "usual": usual, "decisions": ordered}
    return Page("policy_replay.html", _TITLE, value, more, status=422 if problem else 200)


ROUTES = (Route("/policies/replay", replay), Route("/policies/replay", replay, "POST"))
