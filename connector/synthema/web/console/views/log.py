"""The log: what happened, the newest first; the whole chain verified on demand; a proof of any entry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlencode

import pyoxigraph

from synthema.errors import InputError, NotFoundError, SynthemaError
from synthema.provenance.bundle import MEDIA_TYPE, SUFFIX
from synthema.provenance.model import PROV, RDF_TYPE, RDFS_LABEL
from synthema.web.console.desk import Desk
from synthema.web.console.pages import Answer, Download, Page, Route, Visit

PER_PAGE: Final = 50
WINDOW: Final = 500
MAX_SEARCHED: Final = 10_000
"""Entries that one search reads; older ones are reached by a link."""

_TITLE = "Log: what this connector did"


def list_entries(desk: Desk, visit: Visit) -> Page:
    """A page of the log, or the entries that hold a text."""
    return Page("log.html", _TITLE, *_page(desk, visit))


def verify(desk: Desk, visit: Visit) -> Page:
    """The log, recomputed from its bytes; what was found stands at the top."""
    value, more = _page(desk, visit)
    try:
        found = {"unchanged": True, **desk.ask("log/verify")}
    except SynthemaError as error:
        found = {"unchanged": False, **error.as_dict()}
    return Page("log.html", _TITLE, {**value, "verification": found}, more)


def show_entry(desk: Desk, visit: Visit) -> Page:
    """One entry with its statements."""
    number = _number(visit.path["entry"])
    found = desk.ask("log/entries", after=number - 1, limit=1)
    if not found or found[0]["sequence"] != number:
        raise NotFoundError(f"the log has no entry {number}", fix="choose one from the log")
    return Page("entry.html", f"Log entry {number}", found[0], {"entry": _shown(found[0])})


def prove_entry(desk: Desk, visit: Visit) -> Answer:
    """A proof that the log holds an entry, as a file that a stranger can check offline."""
    number = _number(visit.path["entry"])
    found = desk.ask("log/prove", entry=number)
    return Download(f"entry-{number}{SUFFIX}", found["proof"].encode(), MEDIA_TYPE)


def _page(desk: Desk, visit: Visit) -> tuple[dict[str, Any], dict[str, Any]]:
    size: int = desk.ask("log/size")["size"]
    before = min(_number(visit.query["before"]), size) if visit.query.get("before") else size
    text = visit.query.get("text", "").strip()
    found, reached = _search(desk, before, text)
    value = {"size": size, "text": text, "entries": found, "verification": None}
    older = f"?{urlencode({'text': text, 'before': reached} if text else {'before': reached})}" if reached else None
    return value, {"shown": [_shown(entry) for entry in found], "older": older, "is_newest": before == size}


def _search(desk: Desk, before: int, text: str) -> tuple[list[dict[str, Any]], int]:
    """Entries below ``before`` that hold the text, newest first, and the position that was reached."""
    found: list[dict[str, Any]] = []
    wanted = text.casefold()
    lowest = max(0, before - MAX_SEARCHED)
    for entry in _backwards(desk, before, lowest, WINDOW if wanted else PER_PAGE):
        if wanted in f"{entry['recorded']} {entry['body']}".casefold():
            found.append(entry)
        if len(found) == PER_PAGE:
            return found, int(entry["sequence"])
    return found, lowest


def _backwards(desk: Desk, before: int, lowest: int, window: int) -> Iterator[dict[str, Any]]:
    while before > lowest:
        start = max(lowest, before - window)
        if start == before:
            return
        yield from reversed(desk.ask("log/entries", after=start - 1, limit=before - start))
        before = start


def _shown(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry with what its statements say for people: name and kind of what happened, and who answered for it."""
    quads = list(pyoxigraph.parse(entry["body"].encode(), format=pyoxigraph.RdfFormat.N_QUADS))
    kinds = [(_text(q.subject), _text(q.object)) for q in quads if _text(q.predicate) == RDF_TYPE]
    activity = next((subject for subject, kind in kinds if kind == f"{PROV}Activity"), "")
    labels = [_text(q.object) for q in quads if _text(q.predicate) == RDFS_LABEL and _text(q.subject) == activity]
    types = [kind.rpartition("#")[2] for subject, kind in kinds if subject == activity and not kind.startswith(PROV)]
    agents = [
        _text(q.object)
        for q in quads
        if _text(q.subject) == activity and _text(q.predicate) == f"{PROV}wasAssociatedWith"
    ]
    label = labels[0] if labels else entry["graph"]
    statements = [tuple(map(_text, (q.subject, q.predicate, q.object))) for q in quads]
    return {**entry, "label": label, "types": types, "agents": agents, "statements": statements}


def _text(part: Any) -> str:
    """The value of a node, literal or triple as text."""
    return str(getattr(part, "value", part))


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise InputError(f"'{text[:20]}' is not the position of an entry", fix="give a number from 0")
    return int(text)


ROUTES = (
    Route("/log", list_entries),
    Route("/log/verify", verify, "POST"),
    Route("/log/verify", list_entries),  # where a reload of the verified page leads
    Route("/log/{entry}", show_entry),
    Route("/log/{entry}/proof", prove_entry, "POST"),
)
