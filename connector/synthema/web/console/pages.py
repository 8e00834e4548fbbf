"""What a view answers, and how it leaves: the same value as a page for people or as JSON for machines."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, Literal

from fastapi import Request, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from synthema.obligations.words import date_words
from synthema.vocabulary import expand, load_vocabulary, spaced
from synthema.vocabulary.namespaces import SYN
from synthema.web.console.desk import Desk
from synthema.web.console.forms import Form
from synthema.web.security import json_response

POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # "no-referrer" would also hide the origin of our own forms
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""Go with every answer of the console: nothing is loaded from elsewhere, framed, guessed or kept."""


@dataclass(frozen=True, slots=True)
class Visit:
    """What a browser asks of a view: parts of the path, the query, and the form it sent."""

    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    form: Form = field(default_factory=Form)


@dataclass(frozen=True, slots=True)
class Page:
    """A page. ``value`` is its JSON twin and reaches the template too; ``more`` is for the template only."""

    template: str
    title: str
    value: Any
    more: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True, slots=True)
class Download:
    """A file for the browser to keep. ``name`` is ours, never taken from what others wrote."""

    name: str
    content: bytes
    media_type: str


Answer = Page | Download


@dataclass(frozen=True, slots=True)
class Route:
    """One address below the console, and the view that answers there."""

    path: str
    view: Callable[[Desk, Visit], Answer]
    method: Literal["GET", "POST"] = "GET"


def wants_json(request: Request) -> bool:
    """Whether the twin for machines is asked for, by ``?format=json`` or by the Accept header."""
    if request.query_params.get("format") == "json":
        return True
    accept = request.headers.get("accept", "")
    return "application/json" in accept and "text/html" not in accept


def html(template: str, status: int = 200, **context: Any) -> Response:
    """A rendered page with the console's headers."""
    text = environment().get_template(template).render(**context)
    return Response(text, status, media_type="text/html; charset=utf-8", headers={**HEADERS, "vary": "Accept"})


def twin(value: Any, status: int = 200) -> Response:
    """The JSON twin of a page."""
    return json_response(value, status, {**HEADERS, "vary": "Accept"})


def download(file: Download) -> Response:
    """A file that the browser saves."""
    headers = {**HEADERS, "content-disposition": f'attachment; filename="{file.name}"'}
    return Response(file.content, media_type=file.media_type, headers=headers)


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The templates; every value is escaped and a missing one is an error."""
    found = Environment(
        loader=PackageLoader("synthema.web.console", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "term": term,
        "plain": plain,
        "number": number,
        "moment": moment,
        "day": day,
        "month": month,
        "spaced": spaced,
        "quoted": shlex.quote,
        "short": short,
        "last": last_part,
        "thing": thing,
        "capital": capital,
        "indented": indented,
    }
    return found


def term(text: str) -> str:
    """The English phrase of a vocabulary term, given as IRI, compact or short name; other text as it is."""
    vocabulary = load_vocabulary()
    return vocabulary.labels.get(SYN + text) or vocabulary.label(expand(text))


def plain(value: Any) -> str:
    """A value of a decision for people: terms as phrases, lists joined, yes or no, a dash for nothing."""
    if value is None or value == []:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, list):
        return ", ".join(plain(item) for item in value)
    if isinstance(value, dict) and "operand" in value:
        return f"the {term(str(value['operand']))}"
    return term(str(value))


def number(value: float | None) -> str:
    """Four significant digits; a dash for nothing."""
    return "–" if value is None else f"{value:.4g}"


def moment(text: str | None) -> str:
    """A time of the log (ISO 8601, UTC) as date and time to the second, in UTC."""
    return "–" if not text else f"{text[:10]} {text[11:19]} UTC" if len(text) > 10 else text


def day(text: str | None) -> str:
    """A date or time (ISO 8601) as a day in words, e.g. "22 May 2028"; a dash for nothing."""
    return "–" if not text else date_words(datetime.fromisoformat(text[:10]))


def month(text: str) -> str:
    """A month or day (ISO 8601) as its month in words, e.g. "May 2028"."""
    return f"{datetime.fromisoformat(text[:7] + '-01'):%B %Y}"


def short(digest: str | None) -> str:
    """The start of a digest, enough to tell two apart by eye."""
    return "–" if not digest else digest if len(digest) <= 24 else f"{digest[:19]}…"


def last_part(iri: str | None) -> str:
    """The last part of an IRI."""
    return "–" if not iri else iri.rstrip("/").rpartition("/")[2].rpartition("#")[2] or iri


def thing(iri: str) -> str:
    """What an identifier names, short: a digest's start, a name that says its kind, or the kind and the name."""
    if iri.startswith("sha256:"):
        return short(iri)
    name = last_part(iri)
    kind = last_part(iri.rstrip("/").rpartition("/")[0])
    return (
        name if "-" in name or "/" not in iri else f"{'log entry' if kind == 'log' else kind.replace('-', ' ')} {name}"
    )


def capital(text: str) -> str:
    """A sentence with its first letter large."""
    return text[:1].upper() + text[1:]


def indented(value: Any) -> str:
    """JSON for reading."""
    return json.dumps(value, ensure_ascii=False, indent=2)
