"""Templates to start a policy from: what each permits, forbids and leaves to the officer, in plain words."""

from __future__ import annotations

import itertools
import re
from typing import Any, Final

from synthema.policy.templates import placeholders, template_names
from synthema.resources import bundled
from synthema.web.console.desk import Desk
from synthema.web.console.pages import Page, Route, Visit

_LABELS: Final = ("Permits", "Permits not", "You decide", "Rests on")
_LABEL: Final = re.compile(r"^  (Permits not|Permits|You decide|Rests on)\s+(.+)$")


def list_templates(_desk: Desk, _visit: Visit) -> Page:
    """All templates with the plain words they open with, and the command that fills one."""
    value = [_template(name) for name in template_names()]
    more = {"commands": {each["template"]: _command(each) for each in value}, "labels": _LABELS}
    return Page("policy_templates.html", "Templates: what each permits, in plain words", value, more)


def _template(name: str) -> dict[str, Any]:
    text = (bundled("policies") / "templates" / f"{name}.yaml").read_text(encoding="utf-8")
    about, parts = read_head(text)
    return {"template": name, "about": about, "parts": parts, "values": list(placeholders(name))}


def read_head(text: str) -> tuple[str, dict[str, str]]:
    """What a template is for, and its plain words by label, from the comments it opens with."""
    comments = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    head = "\n".join(line.removeprefix("#").removeprefix(" ") for line in comments)
    about, _, plain = head.partition("In plain words\n")
    parts: dict[str, list[str]] = {}
    label = ""
    for line in plain.splitlines():
        found = _LABEL.match(line)
        label = found[1] if found else label
        if label:
            parts.setdefault(label, []).append(found[2] if found else line)
    return _joined(about.splitlines()), {name: _joined(lines) for name, lines in parts.items()}


def _joined(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


def _command(template: dict[str, Any]) -> str:
    values = " ".join(f"--set {value}={value.upper()}" for value in template["values"])
    return f"synthema policy new {template['template']} {values} -o policy.yaml"


ROUTES = (Route("/policies/templates", list_templates),)
