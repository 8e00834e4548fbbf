"""Datasets: what this site holds, and what a data steward should know about it. No row is ever shown."""

from __future__ import annotations

from synthema.web.console.desk import Desk
from synthema.web.console.pages import Page, Route, Visit


def list_datasets(desk: Desk, _visit: Visit) -> Page:
    """All versions with their quality findings."""
    return Page("datasets.html", "Datasets and their quality", desk.ask("dataset/list"))


ROUTES = (Route("/datasets", list_datasets),)
