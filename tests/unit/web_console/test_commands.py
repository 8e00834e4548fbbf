"""Every command that a page shows is one that the command line takes."""

from __future__ import annotations

import re
import shlex
from html import unescape
from typing import Any

import typer.main

from synthema.cli.main import app
from tests.unit.web_console.conftest import Site
from tests.unit.web_console.test_officer import things
from tests.unit.web_console.test_pages import SITE_PAGES
from tests.unit.web_console.world import World

_SHOWN = re.compile(r"<code>(synthema [^<]*)</code>")
_STANDS_FOR = {"EPSILON": "1", "YYYY-MM-DD": "2030-01-01"}


def shown(found: World, paths: list[str]) -> set[str]:
    browser = found.signed_in()
    texts = [browser.get("/console" + path).text for path in paths]
    return {unescape(command) for text in texts for command in _SHOWN.findall(text)}


def refusal(command: str) -> str:
    """Why the command line would not take a command; empty if it would. Nothing is run."""
    words = [_STANDS_FOR.get(word, word) for word in shlex.split(command)][1:]
    at: Any = typer.main.get_command(app)
    context = at.context_class(at)
    try:
        while hasattr(at, "resolve_command"):
            name, at, words = at.resolve_command(context, words)
        at.make_context(name, words, parent=context)
    except Exception as problem:  # noqa: BLE001 - click and its copy inside typer have no base of their own
        return f"{command}: {problem.format_message() if hasattr(problem, 'format_message') else repr(problem)}"
    return ""


def test_every_command_shown_is_one(site: Site, registry: World) -> None:
    commands = shown(site.world, [*SITE_PAGES, *things(site)])
    commands |= shown(registry, ["/obligations", "/permits", "/consents", "/assessments", "/policies", "/budgets"])
    commands = {command for command in commands if len(command.split()) > 3 or "--" in command}
    assert len(commands) > 30
    assert sorted(filter(None, map(refusal, commands))) == []


def test_a_command_that_is_none_is_noticed() -> None:
    assert "No such option" in refusal("synthema permit list --whatever")
    assert "No such command" in refusal("synthema permit nothing")
