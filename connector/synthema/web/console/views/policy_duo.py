"""Codes of the Data Use Ontology: what each says, and for each code of a dataset whether an application fits it."""

from __future__ import annotations

from typing import Any, Final

from synthema.errors import InputError, SynthemaError
from synthema.policy.duo_codes import CODES
from synthema.web.console.desk import Desk
from synthema.web.console.pages import Page, Route, Visit
from synthema.web.console.views.fields import Field, fields_of, given_facts

FACTS: Final = ("purpose", "disease", "not for profit", "recipient place", "ethics approval", "project")
"""What is asked about an application: the facts that DUO codes speak about."""

SIGNS: Final = {"fits": "✓", "does not fit": "✗", "open": "?"}
_TITLE: Final = "DUO codes: does an application fit a dataset?"


def match_codes(desk: Desk, visit: Visit) -> Page:
    """The codes with their meaning; with ``?codes=…`` each of these held against what is known of an application."""
    fields = fields_of(desk.connector.vocabulary, FACTS)
    codes = visit.query.get("codes", "").split()
    party, action = visit.query.get("party", "").strip(), visit.query.get("action", "").strip() or "analyse"
    problem: SynthemaError | None = None
    value: dict[str, Any] = {"codes": codes, "matches": None, "known": _known()}
    if "codes" in visit.query:
        try:
            if not codes:
                raise InputError("no code is given", fix="write the codes of the dataset, e.g. HMB NPU DS=ORPHA:519")
            facts = given_facts(fields, visit.query)
            asked_by = party or "did:web:applicant.example"
            value["matches"] = desk.ask("policy/match-duo", codes=codes, facts=facts, action=action, party=asked_by)
        except SynthemaError as error:
            problem = error
            value["error"] = error.as_dict()
    more = {
        "fields": [(field, visit.query.get(field.key, "")) for field in fields],
        "asked": {"codes": " ".join(codes), "party": party, "action": action},
        "actions": Field.actions(desk.connector.vocabulary),
        "problem": problem,
        "signs": SIGNS,
    }
    return Page("policy_duo.html", _TITLE, value, more, status=422 if problem else 200)


def _known() -> list[dict[str, str]]:
    return [
        {"code": code.code, "duo": code.curie, "kind": code.kind, "sentence": code.sentence, "needs": code.needs}
        for code in CODES
        if code.kind != "heading"
    ]


ROUTES = (Route("/policies/duo", match_codes),)
