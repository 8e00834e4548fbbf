"""Policies: where each stands, and what one means."""

from __future__ import annotations

from typing import Final

from synthema.errors import InputError
from synthema.web.console.desk import Desk
from synthema.web.console.pages import Page, Route, Visit
from synthema.web.console.views.people import roles, signing_commands

LAYERS: Final = {
    "L0": "Union law",
    "L1": "Member State law",
    "L2": "site",
    "L3": "dataset",
    "L4": "agreement",
}
"""Layer → its name for people."""

_SIGNABLE: Final = ("draft", "in review")


def list_policies(desk: Desk, _visit: Visit) -> Page:
    """All policy versions, the newest first."""
    value = {"policies": desk.ask("policy/list")}
    return Page(
        "policies.html",
        "Policies: what is in force and what waits",
        value,
        {"people": roles(desk), "layers": LAYERS},
    )


def show_policy(desk: Desk, visit: Visit) -> Page:
    """One version in sentences and as ODRL, with the command that signs it."""
    policy, version = visit.query.get("policy", ""), visit.query.get("version", "")
    if not policy or not version:
        raise InputError("no policy is named", fix="choose one from the list of policies")
    value = desk.ask("policy/show", policy=policy, version=version, agreement=visit.query.get("agreement", ""))
    words = (value["policy"], "--version", value["version"])
    commands = signing_commands(desk, "policy", value["signedBy"], *words) if value["state"] in _SIGNABLE else []
    return Page("policy.html", value["title"], value, {"commands": commands, "people": roles(desk), "layers": LAYERS})


ROUTES = (Route("/policies", list_policies), Route("/policies/show", show_policy))
