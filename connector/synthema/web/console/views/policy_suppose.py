"""What would be if: a request that nobody makes, decided here, with each single fact that would turn the decision."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from synthema.errors import InputError, SynthemaError
from synthema.vocabulary import ChangedBy, Vocabulary
from synthema.vocabulary.namespaces import ODRL
from synthema.web.console.desk import Desk
from synthema.web.console.pages import Page, Route, Visit
from synthema.web.console.views.fields import PREFIX, Field, fields_of, text_of
from synthema.web.console.views.requests import decision_words

GROUPS: Final = (
    (ChangedBy.REQUESTER, "What whoever asks can choose"),
    (ChangedBy.SITE, "What the site sees to"),
    (ChangedBy.NOBODY, "What is as it is"),
)
PURPOSE: Final = ODRL + "purpose"
_TITLE: Final = "What if: decide a request that nobody makes"
_FILE: Final = "request"
_OWN: Final = ("action", "purpose", "dataset", "party", "agreement", "at", "done")
"""Fields of the form beside the facts and the draft."""


def ask_for_request(desk: Desk, visit: Visit) -> Page:
    """An empty form; with ``?run=…`` filled in from the decision on a run, to change one thing of it."""
    run = visit.query.get("run", "")
    filled = _from_run(desk, run) if run else {}
    return Page("policy_suppose.html", _TITLE, {"asked": None}, _more(desk, filled))


def suppose(desk: Desk, visit: Visit) -> Page:
    """The decision on what was filled in, with its reasons; nothing is kept, and no budget is touched."""
    sent = {name: text.strip() for name, text in visit.form.fields.items()}
    draft = visit.form.text("draft").replace("\r\n", "\n")
    lines = request_lines(_fields(desk.connector.vocabulary), sent)
    try:
        _require(sent)
        found = desk.ask(
            "policy/what-if",
            request="\n".join(text for _, text in lines),
            file=_FILE,
            agreement=sent.get("agreement") or None,
            known=sent.get("known") != "no",
            draft=draft if draft.strip() else None,
        )
    except SynthemaError as error:
        value = {"asked": None, "error": error.as_dict()}
        more = _more(desk, sent, problem=error, wrong=_field_at(lines, error.where))
        return Page("policy_suppose.html", _TITLE, value, more, status=422)
    more = _more(desk, sent) | decision_words(found["decision"])
    return Page("policy_suppose.html", _TITLE, {"asked": [text for _, text in lines], **found}, more)


def request_lines(fields: Mapping[str, tuple[Field, ...]], sent: Mapping[str, str]) -> list[tuple[str, str]]:
    """The request in the words of policy cases: for each line the key of the field it comes from, and the line.

    Values are written as quoted text, so that nothing that is filled in can add a line or a key.
    """
    head = [("action", "action"), ("dataset", "target"), ("party", "assignee"), ("at", "at")]
    lines = [(key, f"{word}: {_quoted(sent[key])}") for key, word in head if sent.get(key)]
    told = [("purpose", f"  purpose: {_quoted(sent['purpose'])}")] if sent.get("purpose") else []
    filled = [(field, sent.get(field.key, "").strip()) for group in fields.values() for field in group]
    told += [
        (field.key, f"  {field.name}: {_several(text) if field.several else _quoted(text)}")
        for field, text in filled
        if text
    ]
    lines += [("", "facts:"), *told] if told else []
    done = sent.get("done", "").split()
    return [*lines, *([("done", f"done: [{', '.join(map(_quoted, done))}]")] if done else [])]


def _several(text: str) -> str:
    """One value, or a list of those that stand with a space between them."""
    values = [_quoted(value) for value in text.split()]
    return values[0] if len(values) == 1 else f"[{', '.join(values)}]"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _require(sent: Mapping[str, str]) -> None:
    for key, words in (("action", "what is to be done"), ("dataset", "with which dataset"), ("party", "who asks")):
        if not sent.get(key):
            raise InputError(f"it is not said {words}", where=f"{_FILE}: {key}", fix="fill this field in")


def _field_at(lines: list[tuple[str, str]], where: str | None) -> str:
    """The key of the field that an error's place (a line, or a field's own name) means; empty where it means none."""
    place = (where or "").rpartition(":")[2].strip()
    if place.isdigit() and 0 < int(place) <= len(lines):
        return lines[int(place) - 1][0]
    return place if place in _OWN else ""


def _fields(vocabulary: Vocabulary) -> dict[str, tuple[Field, ...]]:
    """The fields for facts, by who can bring another value about; purpose and time have fields of their own."""
    operands = [o for o in vocabulary.operands.values() if o.iri not in (PURPOSE, ODRL + "dateTime")]
    return {str(by): fields_of(vocabulary, sorted(o.name for o in operands if o.changed_by is by)) for by, _ in GROUPS}


def _from_run(desk: Desk, run: str) -> dict[str, str]:
    """What a kept decision was made from, as the form takes it."""
    decision = desk.ask("request/show", run=run)["decision"]
    if decision is None:
        raise InputError("this request is not decided yet", fix="choose one that is decided, or fill the form in")
    request, vocabulary = decision["request"], desk.connector.vocabulary
    names = {iri: operand.name for iri, operand in vocabulary.operands.items() if iri != PURPOSE}
    facts = {
        PREFIX + names[iri].replace(" ", "-"): text_of(fact["value"])
        for iri, fact in request["facts"].items()
        if iri in names
    }
    purpose = request["facts"].get(PURPOSE)
    return facts | {
        "action": request["action"],
        "dataset": request["target"],
        "party": request["assignee"],
        "purpose": text_of(purpose["value"]) if purpose else "",
        "at": request["at"],
        "done": " ".join(dict.fromkeys(d["action"] for d in request["fulfilled"] if d["state"] == "fulfilled")),
        "known": "no",
    }


def _more(
    desk: Desk, filled: Mapping[str, str], *, problem: SynthemaError | None = None, wrong: str = ""
) -> dict[str, Any]:
    vocabulary = desk.connector.vocabulary
    fields = _fields(vocabulary)
    return {
        "filled": filled,
        "groups": [(title, fields[str(by)]) for by, title in GROUPS],
        "actions": Field.actions(vocabulary),
        "purposes": sorted(((t.iri, t.label) for t in vocabulary.purposes), key=lambda pair: pair[1].casefold()),
        "datasets": list(dict.fromkeys(dataset["name"] for dataset in desk.ask("dataset/list"))),
        "duties": sorted(((t.iri, t.label) for t in vocabulary.duties), key=lambda pair: pair[1].casefold()),
        "parties": [(desk.did, desk.name), *((p.did, p.name) for p in desk.connector.parties.values())],
        "problem": problem,
        "wrong": wrong,
    }


ROUTES = (Route("/policies/what-if", ask_for_request), Route("/policies/what-if", suppose, "POST"))
