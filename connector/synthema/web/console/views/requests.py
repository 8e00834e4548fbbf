"""Requests: who asked for what, and why the answer was what it was."""

from __future__ import annotations

from typing import Any

from synthema.report import decision_item
from synthema.web.console.desk import Desk
from synthema.web.console.pages import Page, Route, Visit

LAYERS = {
    "L0": "Union law",
    "L1": "Member State law",
    "L2": "site policy",
    "L3": "dataset policy",
    "L4": "agreement",
}


def list_requests(desk: Desk, _visit: Visit) -> Page:
    """The latest requests, newest first."""
    return Page("requests.html", "Requests: who asked for what", desk.ask("request/list"))


def show_request(desk: Desk, visit: Visit) -> Page:
    """One request with its decision, gates and files."""
    value: dict[str, Any] = desk.ask("request/show", run=visit.path["run"])
    decision = value["decision"]
    item = decision_item("Decision", decision) if decision else None
    more = {"item": item, "layers": LAYERS, "commands": _commands(desk, value)}
    return Page("request.html", f"Request {value['run']}", value, more)


def _commands(desk: Desk, run: dict[str, Any]) -> dict[str, str]:
    """Digest of a released file → the command that saves it."""
    return {
        file["digest"]: desk.command("artefact", "save", file["digest"], "-o", "FILE")
        for file in run["artefacts"]
        if file["state"] == "released"
    }


ROUTES = (Route("/requests", list_requests), Route("/requests/{run}", show_request))
