"""The registry: a certified package checked, step by step, and taken in if every check holds."""

from __future__ import annotations

import base64
from typing import Any

from synthema.errors import InputError
from synthema.web.console.desk import Desk
from synthema.web.console.pages import Page, Route, Visit

_TITLE = "Registry: verify a package and take it in"
USUAL = "https://w3id.org/dpv/legal/eu/ehds#HealthcareScientificResearch"


def show_registry(desk: Desk, _visit: Visit) -> Page:
    """The form for a package, and what this registry holds."""
    return _page(desk, USUAL)


def check_package(desk: Desk, visit: Visit) -> Page:
    """Make all checks; take the package in only if that was asked for and every check holds."""
    content = visit.form.files.get("package", b"")
    purpose = visit.form.text("purpose")
    if not content:
        raise InputError("no package was chosen", fix="choose the file of a certified package (.zip)")
    if not purpose:
        raise InputError("no purpose was chosen", fix="choose what the dataset is meant for")
    operation = "registry/ingest" if visit.form.text("act") == "ingest" else "certificate/verify"
    result = desk.ask(operation, package=base64.b64encode(content).decode(), purpose=purpose)
    return _page(desk, purpose, result)


def _page(desk: Desk, purpose: str, result: dict[str, Any] | None = None) -> Page:
    desk.require_role("registry")
    value = {"holdings": desk.ask("registry/list"), "result": result}
    purposes = sorted(((term.iri, term.label) for term in desk.connector.vocabulary.purposes), key=lambda pair: pair[1])
    return Page("registry.html", _TITLE, value, {"purposes": purposes, "chosen": purpose})


ROUTES = (Route("/registry", show_registry), Route("/registry", check_package, "POST"))
