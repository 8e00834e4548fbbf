"""Studies a hub conducts: where each stands, and its story."""

from __future__ import annotations

from synthema.web.console.desk import Desk
from synthema.web.console.pages import Page, Route, Visit


def list_studies(desk: Desk, _visit: Visit) -> Page:
    """All studies, newest first."""
    desk.require_role("hub")
    return Page("studies.html", "Studies this hub conducts", desk.ask("study/list"))


def show_study(desk: Desk, visit: Visit) -> Page:
    """One study: its timeline, and what its rounds opened."""
    desk.require_role("hub")
    study = desk.ask("study/show", study=visit.path["study"])
    rounds = desk.ask("study/rounds", study=visit.path["study"])
    return Page("study.html", study["title"], study | {"rounds": rounds})


ROUTES = (Route("/studies", list_studies), Route("/studies/{study}", show_study))
