"""A policy text tried before it is drafted: what it means, what it changes, and how its cases come out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from synthema.errors import InputError, NotFoundError, SynthemaError
from synthema.policy.analysis.example import example
from synthema.policy.decision import read_request
from synthema.web.console.desk import Desk
from synthema.web.console.pages import Page, Route, Visit

_TITLE: Final = "Try a policy text"
_FILE: Final = "policy.yaml"


def ask_for_text(_desk: Desk, _visit: Visit) -> Page:
    """An empty form for a policy text and its cases."""
    return Page("policy_check.html", _TITLE, {"checked": False}, _more("", ""))


def check_text(desk: Desk, visit: Visit) -> Page:
    """What a policy text means, what stands against it, what it changes, and its cases; nothing is kept."""
    text, cases = (visit.form.text(name).replace("\r\n", "\n") for name in ("text", "cases"))
    try:
        if not text.strip():
            raise InputError("there is no text to check", fix="paste a policy in the form of a DPO")
        understood = desk.ask("policy/check", text=text, file=_FILE)
    except SynthemaError as error:
        value = {"checked": True, "understood": False, "error": _told(error)}
        return Page("policy_check.html", _TITLE, value, _more(text, cases, problem=error), status=422)
    value = {
        "checked": True,
        "understood": True,
        **understood,
        **_asked("lint", lambda: desk.ask("policy/lint", text=text, file=_FILE)),
        **_asked("diff", lambda: desk.ask("policy/diff", new=text, file=_FILE)),
        **_asked("coverage", lambda: desk.ask("policy/coverage", text=text, file=_FILE, cases=cases)),
        **_asked("duo", lambda: desk.ask("policy/to-duo", text=text, file=_FILE)),
    }
    return Page("policy_check.html", _TITLE, value, _more(text, cases, found=_shown(desk, value)))


def _asked(name: str, ask: Callable[[], Any]) -> dict[str, Any]:
    """What one analysis says under its name, or why it says nothing; the others are told all the same."""
    try:
        return {name: ask()}
    except NotFoundError as error:
        return {name: None, f"{name}Why": error.as_dict()}
    except SynthemaError as error:
        return {name: None, f"{name}Why": _told(error)}


def _told(error: SynthemaError) -> dict[str, Any]:
    """An error for machines; with each mistake by itself where there are several."""
    several = getattr(error, "problems", ())
    return error.as_dict() | ({"problems": [each.as_dict() for each in several]} if several else {})


def _shown(desk: Desk, value: dict[str, Any]) -> dict[str, Any]:
    """The findings and differences with their witnesses in words, and the DUO codes that are kept."""
    lint, diff = value["lint"], value["diff"]
    return {
        "findings": [_with_example(desk, finding) for finding in (lint["findings"] if lint else value["findings"])],
        "differences": [_with_example(desk, difference) for difference in diff["differences"]] if diff else [],
        "codes": [match for match in value["duo"] or () if match["holds"] != "no"],
    }


def _with_example(desk: Desk, found: dict[str, Any]) -> dict[str, Any]:
    """A finding or difference with the request that shows it, in one line."""
    witness = found.get("witness")
    said = None if witness is None else example(read_request(witness), desk.connector.vocabulary)
    return found | {"example": said}


def _more(
    text: str, cases: str, *, found: dict[str, Any] | None = None, problem: SynthemaError | None = None
) -> dict[str, Any]:
    return {"text": text, "cases": cases, "found": found, "problem": problem}


ROUTES = (Route("/policies/check", ask_for_text), Route("/policies/check", check_text, "POST"))
