"""Policies: where each stands, what one means, and a text checked before it is drafted."""

from __future__ import annotations

from typing import Any, Final

from synthema.errors import InputError, SynthemaError
from synthema.web.console.desk import Desk
from synthema.web.console.pages import Page, Route, Visit

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
    """All policy versions, and the impact assessments beside them."""
    value = {"policies": desk.ask("policy/list"), "assessments": desk.ask("dpia/list")}
    commands = {
        a["dpia"]: _commands(desk, "dpia", a["signedBy"], a["dpia"])
        for a in value["assessments"]
        if a["state"] == "proposed"
    }
    more = {"people": _roles(desk), "commands": commands, "layers": LAYERS}
    return Page("policies.html", "Policies: what is in force and what waits", value, more)


def show_policy(desk: Desk, visit: Visit) -> Page:
    """One version in sentences and as ODRL, with the command that signs it."""
    policy, version = visit.query.get("policy", ""), visit.query.get("version", "")
    if not policy or not version:
        raise InputError("no policy is named", fix="choose one from the list of policies")
    value = desk.ask("policy/show", policy=policy, version=version, agreement=visit.query.get("agreement", ""))
    words = (value["policy"], "--version", value["version"])
    commands = _commands(desk, "policy", value["signedBy"], *words) if value["state"] in _SIGNABLE else []
    return Page("policy.html", value["title"], value, {"commands": commands, "people": _roles(desk), "layers": LAYERS})


def ask_for_text(_desk: Desk, _visit: Visit) -> Page:
    """An empty form for a policy text."""
    return Page("policy_check.html", "Check a policy text", {"checked": False}, _checked("", None, None))


def check_text(desk: Desk, visit: Visit) -> Page:
    """What a policy text means and what the linter finds; nothing is kept."""
    text = visit.form.text("text").replace("\r\n", "\n")
    try:
        if not text.strip():
            raise InputError("there is no text to check", fix="paste a policy in the form of a DPO")
        found = desk.ask("policy/check", text=text)
    except SynthemaError as error:
        value = {"checked": True, "understood": False, "error": error.as_dict()}
        return Page("policy_check.html", "Check a policy text", value, _checked(text, None, error), status=422)
    value = {"checked": True, "understood": True, **found}
    return Page("policy_check.html", "Check a policy text", value, _checked(text, found, None))


def _checked(text: str, found: dict[str, Any] | None, error: SynthemaError | None) -> dict[str, Any]:
    return {"text": text, "found": found, "problem": error}


def _roles(desk: Desk) -> dict[str, str]:
    """Person → roles, as the list of role accounts has them."""
    return {person["person"]: ", ".join(person["roles"]) for person in desk.ask("people/list")}


def _commands(desk: Desk, noun: str, signed_by: list[str], *words: str) -> list[dict[str, str]]:
    """For each person who has not signed yet, the command to run with their own key."""
    return [
        {
            "who": f"{person['person']} ({', '.join(person['roles'])})",
            "command": desk.command(noun, "sign", *words, "--person", person["person"], "--key", "YOUR-KEY.pem"),
        }
        for person in desk.ask("people/list")
        if person["person"] not in signed_by
    ]


ROUTES = (
    Route("/policies", list_policies),
    Route("/policies/show", show_policy),
    Route("/policies/check", ask_for_text),
    Route("/policies/check", check_text, "POST"),
)
