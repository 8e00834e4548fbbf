"""Plugins: what each may do, in sentences, and whether two people let it run."""

from __future__ import annotations

from typing import Any

from synthema.web.console.desk import Desk
from synthema.web.console.pages import Page, Route, Visit
from synthema.web.console.views.people import both_files, both_sign


def list_plugins(desk: Desk, _visit: Visit) -> Page:
    """All installed plugins, with the commands that approve those that may not run."""
    plugins = desk.ask("plugin/list")
    more = {"commands": {p["name"]: _commands(desk, p) for p in plugins if p["standing"] != "approved"}}
    return Page("plugins.html", "Plugins: what each may do", plugins, more)


def _commands(desk: Desk, plugin: dict[str, Any]) -> list[str]:
    """Two signatures, each made by its person, and the approval that rests on both."""
    if not plugin["digest"]:
        return []
    name = plugin["name"]
    return [*both_sign(desk, "plugin", name), desk.command("plugin", "approve", name, *both_files("--signature"))]


ROUTES = (Route("/plugins", list_plugins),)
