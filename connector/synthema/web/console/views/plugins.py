"""Plugins: what each may do, in sentences, and whether two people let it run."""

from __future__ import annotations

from typing import Any

from synthema.web.console.desk import Desk
from synthema.web.console.pages import Page, Route, Visit


def list_plugins(desk: Desk, _visit: Visit) -> Page:
    """All installed plugins, with the commands that approve those that may not run."""
    plugins = desk.ask("plugin/list")
    people = desk.ask("people/list")
    more = {"commands": {p["name"]: _commands(desk, p, people) for p in plugins if p["standing"] != "approved"}}
    return Page("plugins.html", "Plugins: what each may do", plugins, more)


def _commands(desk: Desk, plugin: dict[str, Any], people: list[dict[str, Any]]) -> list[str]:
    """Two signatures, each made by its person, and the approval that rests on both."""
    if not plugin["digest"]:
        return []
    by_office = sorted(people, key=lambda person: "dpo" not in person["roles"])
    signatories = [person["person"] for person in by_office][:2]
    signatories += ["PERSON"] * (2 - len(signatories))
    files = ("first.json", "second.json")
    signing = [
        desk.command("plugin", "sign", plugin["name"], "--person", person, "--key", "YOUR-KEY.pem", "-o", file)
        for person, file in zip(signatories, files, strict=True)
    ]
    approving = [word for file in files for word in ("--signature", file)]
    return [*signing, desk.command("plugin", "approve", plugin["name"], *approving)]


ROUTES = (Route("/plugins", list_plugins),)
