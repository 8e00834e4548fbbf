"""Permits: who may do what with which data until when, and the public register of them (EHDS Art. 57, 58, 68)."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, Final

from synthema.errors import NotFoundError
from synthema.web.console.desk import Desk
from synthema.web.console.pages import Answer, Download, Page, Route, Visit
from synthema.web.console.views.people import KEY, officers

SOON: Final = timedelta(days=30)
"""How long before its end a permit is called to mind."""

_WAITING: Final = "PermitRequested"
_IN_FORCE: Final = ("PermitIssued", "PermitSuspended")
_REGISTERS: Final = {
    "csv": ("csv", "text/csv; charset=utf-8"),
    "md": ("markdown", "text/markdown; charset=utf-8"),
    "json": ("json", "application/json"),
}


def list_permits(desk: Desk, _visit: Visit) -> Page:
    """All permits and applications, the newest first, with the figures of the two-yearly report."""
    permits, register = desk.ask("permit/list"), desk.ask("permit/register")
    value = {"permits": permits, "counts": register["counts"]}
    more = {"ending": {permit["permit"] for permit in permits if is_ending(desk, permit)}}
    return Page("permits.html", "Permits: who may do what, and until when", value, more)


def show_permit(desk: Desk, visit: Visit) -> Page:
    """One permit, point by point as Art. 68(10) has it, with its policy, budget, obligations and next commands."""
    found: dict[str, Any] = desk.ask("permit/show", permit=visit.path["permit"])
    more = {"commands": _commands(desk, found), "ending": is_ending(desk, found)}
    return Page("permit.html", f"Permit of {desk.party(found['holder'])}", found, more)


def download_register(desk: Desk, visit: Visit) -> Answer:
    """The public register (Art. 58) with the counts of the report (Art. 59): a table, a page, or for machines."""
    suffix = visit.path["suffix"]
    if suffix not in _REGISTERS:
        raise NotFoundError("the register is not kept in this form", fix=f"use one of: {', '.join(_REGISTERS)}")
    form, kind = _REGISTERS[suffix]
    made = desk.ask("permit/register", format=form)
    text = made["text"] if "text" in made else json.dumps(made, ensure_ascii=False, indent=2) + "\n"
    return Download(f"permits.{suffix}", text.encode(), kind)


def download_credential(desk: Desk, visit: Visit) -> Answer:
    """A permit as its issuer signed it."""
    signed = desk.ask("permit/export", permit=visit.path["permit"])
    content = json.dumps(signed, ensure_ascii=False, indent=2) + "\n"
    return Download("permit.json", content.encode(), "application/vc+json")


def is_ending(desk: Desk, permit: dict[str, Any]) -> bool:
    """Whether a permit in force comes to its end soon."""
    return permit["state"] in _IN_FORCE and permit["validTo"] <= (desk.now + SOON).date().isoformat()


def _commands(desk: Desk, permit: dict[str, Any]) -> list[dict[str, str]]:
    """What an officer can do with it now, each with the sentence that says when."""
    name, state = permit["permit"], permit["state"]
    officer = ("--person", officers(desk)[0])
    because = (*officer, "--reason", "REASON")

    def offer(sentence: str, verb: str, *words: str) -> dict[str, str]:
        return {"who": sentence, "command": desk.command("permit", verb, name, *words)}

    if state == _WAITING:
        return [
            offer("Grant it: permit, policy and privacy budget come into force together.",
                  "grant", "--epsilon", "EPSILON", *officer, *KEY),
            offer("Refuse it, with the reason; the applicant may read it.", "refuse", *because),
        ]  # fmt: skip
    if state not in _IN_FORCE:
        return []
    pause = (
        offer("Suspend it while something is looked into (EHDS Art. 63).", "suspend", *because)
        if state == "PermitIssued"
        else offer("Resume it.", "resume", *officer)
    )
    longer = offer("Extend it, once (EHDS Art. 68(12)).", "extend", "--valid-to", "YYYY-MM-DD", *because)
    revoke = offer("Revoke it: what it permitted is denied from now on.", "revoke", *because)
    return [pause, *([] if permit["extended"] or state != "PermitIssued" else [longer]), revoke]


ROUTES = (
    Route("/permits", list_permits),
    Route("/permits/register.{suffix}", download_register),
    Route("/permits/{permit}", show_permit),
    Route("/permits/{permit}/credential.json", download_credential),
)
