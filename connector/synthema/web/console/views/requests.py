"""Requests: who asked for what, and why the answer was what it was."""

from __future__ import annotations

from itertools import groupby
from typing import Any, Final

from synthema.report import decision_item
from synthema.web.console.desk import Desk
from synthema.web.console.pages import Answer, Download, Page, Route, Visit, last_part
from synthema.web.console.views.policies import LAYERS

OPERATORS: Final = {
    "lt": "less than",
    "lteq": "at most",
    "gt": "more than",
    "gteq": "at least",
    "neq": "anything but",
    "isA": "a kind of",
    "isAnyOf": "one of",
    "isNoneOf": "none of",
    "isAllOf": "all of",
    "isPartOf": "part of",
}
"""How a comparison reads before what is required; an operator that is not here says nothing."""


def list_requests(desk: Desk, _visit: Visit) -> Page:
    """The latest requests, newest first."""
    return Page("requests.html", "Requests: who asked for what", desk.ask("request/list"))


def show_request(desk: Desk, visit: Visit) -> Page:
    """One request with its decision, gates and files."""
    value: dict[str, Any] = desk.ask("request/show", run=visit.path["run"])
    decision = value["decision"]
    more = {
        **({"item": None} if decision is None else decision_words(decision)),
        "commands": _commands(desk, value),
        "owed": desk.ask("obligation/list", run=value["run"], all=True) if decision else [],
    }
    return Page("request.html", f"Request of {desk.party(value['requester'])}: {value['state']}", value, more)


def download_report(desk: Desk, visit: Visit) -> Answer:
    """The decision as a compliance report with its provenance, in Turtle."""
    found = desk.ask("policy/report", run=visit.path["run"])
    return Download("decision.ttl", found["report"].encode(), "text/turtle; charset=utf-8")


def decision_words(decision: dict[str, Any]) -> dict[str, Any]:
    """What the page needs to tell a decision: its sentences, and its reasons rule by rule."""
    return {
        "item": decision_item("Decision", decision),
        "rules": _rules(decision["reasons"]),
        "layers": LAYERS,
        "operators": OPERATORS,
    }


def _rules(reasons: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The reasons in their order, those of one rule together under its name, layer, article and sentence."""
    grouped = groupby(reasons, key=lambda reason: (reason["layer"], reason["policy"], reason["rule"]))
    rules = [list(group) for _, group in grouped]
    return [
        {
            "name": last_part(group[0]["rule"]) if group[0]["rule"] else "no rule",
            "layer": group[0]["layer"],
            "article": group[0]["article"],
            "sentence": group[0]["sentence"],
            "reasons": group,
        }
        for group in rules
    ]


_SAVED_BY = {"anonymised": ("--person", "PERSON")}
"""What is more to say when a file is saved, by the output of its run: some go to the persons of a permit only."""


def _commands(desk: Desk, run: dict[str, Any]) -> dict[str, str]:
    """Digest of a released file → the command that saves it."""
    return {
        file["digest"]: desk.command(
            "artefact", "save", file["digest"], "-o", "FILE", *_SAVED_BY.get(run["output"], ())
        )
        for file in run["artefacts"]
        if file["state"] == "released"
    }


ROUTES = (
    Route("/requests", list_requests),
    Route("/requests/{run}", show_request),
    Route("/requests/{run}/decision.ttl", download_report),
)
