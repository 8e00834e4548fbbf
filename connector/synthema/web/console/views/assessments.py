"""Impact assessments: what each rests on, which gates hold and by which evidence, and what would change it."""

from __future__ import annotations

from itertools import groupby
from typing import Any, Final

from synthema.dpia.page import PHASE_WORDS
from synthema.dpia.parts import PHASES
from synthema.web.console.desk import Desk
from synthema.web.console.pages import Answer, Download, Page, Route, Visit
from synthema.web.console.views.people import KEY, officers, roles, signing_commands

SIGNS: Final = {"passed": "✓", "not passed": "✗", "to be confirmed": "?", "not measured yet": "–"}
"""What stands beside the word for where a gate stands, for who sees no colour."""

_KINDS: Final = {
    "outcome": "The outcome",
    "review": "The review",
    "signature": "The signatures",
    "threshold": "The thresholds",
    "trigger": "Reasons to review that were raised",
    "measure": "Measures",
    "plan": "The action plan",
    "gate": "Releases that are measured again",
}
_FORMS: Final = {
    "html": ("html", "text/html; charset=utf-8"),
    "turtle": ("ttl", "text/turtle; charset=utf-8"),
    "yaml": ("yaml", "application/yaml; charset=utf-8"),
}


def list_assessments(desk: Desk, _visit: Visit) -> Page:
    """All versions, those in force with whether they hold now."""
    found = desk.ask("dpia/list")
    standing = {each["dpia"]: desk.ask("dpia/status", dpia=each["dpia"]) for each in found if each["state"] == "active"}
    value = {"assessments": [each | {"conformant": _conformant(standing, each)} for each in found]}
    more = {"people": roles(desk), "standing": standing}
    return Page("assessments.html", "Impact assessments: what the releases rest on", value, more)


def show_assessment(desk: Desk, visit: Visit) -> Page:
    """One version: risks down to gates, what holds now, what it changes, and what a person can do."""
    name = visit.path["assessment"]
    shown, status = desk.ask("dpia/show", dpia=name), desk.ask("dpia/status", dpia=name)
    value = {"assessment": shown, "status": status}
    more = {
        "phases": _phases(status["gates"]),
        "kinds": _by_kind(status["findings"]),
        "signs": SIGNS,
        "people": roles(desk),
        "commands": _commands(desk, shown, status),
    }
    return Page("assessment.html", shown["title"], value, more)


def download_assessment(desk: Desk, visit: Visit) -> Answer:
    """The whole as a page to print with its maps of risks, as DPV, or as the form it is written in."""
    form = visit.path["form"]
    if form not in _FORMS:
        form = "html"
    made = desk.ask("dpia/export", dpia=visit.path["assessment"], to=form)
    suffix, kind = _FORMS[form]
    return Download(f"impact-assessment.{suffix}", made["text"].encode(), kind)


def gate_word(gate: dict[str, Any]) -> str:
    """Where a gate stands, in words."""
    if not gate["confirmed"]:
        return "to be confirmed"
    if gate["measured"] is None:
        return "not measured yet"
    return "passed" if gate["passed"] else "not passed"


def _phases(gates: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The gates by the phase they bite in, each with its word and the age of its evidence in days."""
    return [
        {"title": PHASE_WORDS[phase], "gates": [_gate(gate) for gate in gates if gate["phase"] == phase]}
        for phase in PHASES
        if any(gate["phase"] == phase for gate in gates)
    ]


def _gate(gate: dict[str, Any]) -> dict[str, Any]:
    measured = gate["measured"]
    age = None if measured is None else measured["ageSeconds"] // 86_400
    return gate | {"word": gate_word(gate), "days": age}


def _by_kind(findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the assessment rests on, kind by kind, what does not hold first."""
    order = list(_KINDS)
    ranked = sorted(findings, key=lambda finding: (order.index(finding["kind"]), finding["holds"]))
    return [{"title": _KINDS[kind], "findings": list(each)} for kind, each in groupby(ranked, key=lambda f: f["kind"])]


def _conformant(standing: dict[str, dict[str, Any]], each: dict[str, Any]) -> bool | None:
    found = standing.get(each["dpia"])
    return None if found is None else bool(found["conformant"])


def _commands(desk: Desk, shown: dict[str, Any], status: dict[str, Any]) -> dict[str, list[Any]]:
    name, in_force = shown["dpia"], shown["state"] == "active"
    said = ("--text", "WHAT-WAS-DONE", "--person", officers(desk)[0], *KEY)
    left = [f["subject"] for f in status["findings"] if f["kind"] == "plan" and f["measuredAt"] is None]
    waits = shown["state"] == "proposed"
    return {
        "sign": signing_commands(desk, "dpia", shown["signedBy"], name) if waits else [],
        "done": [desk.command("dpia", "declare", name, "done", item, *said) for item in left] if in_force else [],
        "withdraw": [desk.command("dpia", "withdraw", name)] if in_force else [],
    }


ROUTES = (
    Route("/assessments", list_assessments),
    Route("/assessments/{assessment}", show_assessment),
    Route("/assessments/{assessment}/export/{form}", download_assessment),
)
