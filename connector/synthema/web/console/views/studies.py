"""Studies a hub conducts: where each stands, and its story."""

from __future__ import annotations

from base64 import b64decode
from typing import Any, Final

from synthema.canonical import canonical_json
from synthema.errors import NotFoundError
from synthema.web.console.desk import Desk
from synthema.web.console.pages import Answer, Download, Page, Route, Visit

FORMS: Final = {
    "report.html": "text/html; charset=utf-8",
    "report.json": "application/json",
    "proof.json": "application/json",
}
"""The files in which a study's report can be had."""


def list_studies(desk: Desk, _visit: Visit) -> Page:
    """All studies, newest first."""
    desk.require_role("hub")
    return Page("studies.html", "Studies this hub conducts", desk.ask("study/list"))


def show_study(desk: Desk, visit: Visit) -> Page:
    """One study: its timeline, and what its rounds opened."""
    desk.require_role("hub")
    study = desk.ask("study/show", study=visit.path["study"])
    rounds = desk.ask("study/rounds", study=visit.path["study"])
    more = {"report": _report(desk, visit)["report"]} if "report" in (study["result"] or {}) else {}
    return Page("study.html", study["title"], study | {"rounds": rounds} | more)


def download_report(desk: Desk, visit: Visit) -> Answer:
    """The released report of a study: as a page that needs nothing else, as data, or its proof."""
    desk.require_role("hub")
    form = visit.path["form"]
    if form not in FORMS:
        raise NotFoundError("a report has no such form", fix=f"choose one of: {', '.join(FORMS)}")
    found = _report(desk, visit, page=form == "report.html")
    if form == "report.html":
        content = str(found["page"]).encode()
    else:
        content = b64decode(found["content"]) if form == "report.json" else canonical_json(found["proof"])
    return Download(form, content, FORMS[form])


def _report(desk: Desk, visit: Visit, *, page: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = desk.ask("study/report", study=visit.path["study"], page=page)
    return found


ROUTES = (
    Route("/studies", list_studies),
    Route("/studies/{study}", show_study),
    Route("/studies/{study}/{form}", download_report),
)
