"""Consent and opt-out in numbers: how many people of each dataset are in which state. Nobody is ever named."""

from __future__ import annotations

from typing import Any, Final

from synthema.consent import ConsentState
from synthema.vocabulary import spaced
from synthema.vocabulary.namespaces import SYN
from synthema.web.console.desk import Desk
from synthema.web.console.pages import Page, Route, Visit, term

_MACHINES: Final = {
    "consent": "consent: a withdrawal stops its use from now on (GDPR Art. 7(3))",
    "opt-out": "a ground other than consent: an opt-out stops what is approved after it (EHDS Art. 71)",
}
_DPV: Final = "https://w3id.org/dpv#"


def show_consents(desk: Desk, _visit: Visit) -> Page:
    """For each dataset, people by state, who would be left out of research and why, and how old the lists are."""
    names = dict.fromkeys(dataset["name"] for dataset in desk.ask("dataset/list"))
    found = [
        desk.ask("consent/list", dataset=name) | {"status": desk.ask("consent/status", dataset=name)} for name in names
    ]
    value = {"datasets": found, "withdrawals": desk.ask("withdrawal/list")}
    more = {"shown": [_shown(each) for each in found]}
    return Page("consents.html", "Consent and opt-out: how many people are in which state", value, more)


def _shown(found: dict[str, Any]) -> dict[str, Any]:
    status = found["status"]
    return {
        "dataset": found["dataset"],
        "status": status,
        "sentence": _told(status),
        "machine": _MACHINES[status["machine"]],
        "states": _words(found["states"]),
        "opt_outs": _words(found["optOuts"]),
        "left_out": _words(status["leftOut"]),
        "people": status["remaining"] + sum(status["leftOut"].values()),
    }


def _told(status: dict[str, Any]) -> str:
    """The summary of who is left out, with the states in words."""
    told = str(status["sentence"])
    for name in status["leftOut"]:
        told = told.replace(name, state_words(name))
    return told


def _words(counts: dict[str, int]) -> list[tuple[str, int]]:
    """Names of states as words, with how many people are in each; the largest first."""
    return sorted(((state_words(name), count) for name, count in counts.items()), key=lambda pair: (-pair[1], pair[0]))


def state_words(name: str) -> str:
    """A state of consent, or another reason to be left out, in words."""
    if name in set(ConsentState):
        known = term(_DPV + name)
        return spaced(name) if known.endswith(name) else f"consent {known}".replace("consent consent", "consent")
    known = term(SYN + name)
    return known if not known.endswith(name) else spaced(name)


ROUTES = (Route("/consents", show_consents),)
