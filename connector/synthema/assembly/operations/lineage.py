"""Named questions to the log, each answered in sentences."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from synthema.assembly.operations.registry import Input, operation
from synthema.errors import InputError, NotFoundError
from synthema.provenance import LineageAnswer

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector

_PERIOD = re.compile(r"(?P<year>\d{4})(-(?P<month>\d{2})(-(?P<day>\d{2}))?)?", re.ASCII)
_TOKEN = re.compile(r"[0-9a-f]{64}")


class Question(Input):
    """A named question and what it is about."""

    question: Literal["origin", "derived", "graph", "plugin", "agent", "permit", "patient", "seen"]
    about: str = Field(
        description="IRI of the thing or agent; digest of the plugin; permit; token or key of the patient; "
        "year, month or day"
    )
    dataset: str | None = Field(
        default=None, description="for 'patient': the dataset in which 'about' is the patient's key, not a token"
    )


@operation("lineage/ask")
def ask_lineage(connector: Connector, given: Question) -> dict[str, Any]:
    """Where a thing comes from, what became of it, what rests on a permit or a patient's record, who saw what."""
    if given.question == "graph":
        graph: dict[str, Any] = connector.lineage.graph_of(given.about)
        return graph
    answer = _answer(connector, given)
    return {
        "sentences": list(answer.sentences()),
        "complete": answer.complete,
        "things": [
            {"iri": thing.iri, "label": thing.label, "types": list(thing.types), "digest": thing.digest}
            for thing in answer.things
        ],
        "steps": [
            {
                "iri": step.iri,
                "label": step.label,
                "types": list(step.types),
                "started": step.started,
                "ended": step.ended,
                "used": list(step.used),
                "generated": list(step.generated),
                "agents": list(step.agents),
                "entries": list(step.entries),
            }
            for step in answer.steps
        ],
    }


def _answer(connector: Connector, given: Question) -> LineageAnswer:
    lineage = connector.lineage
    if given.question == "seen":
        return lineage.seen_between(*_period(given.about))
    if given.question == "patient":
        return lineage.derived_from_record(_versions(connector, given))
    ask = {
        "origin": lineage.origin_of,
        "derived": lineage.derived_from,
        "plugin": lineage.runs_with_plugin,
        "agent": lineage.activities_of,
        "permit": lineage.under_permit,
    }[given.question]
    bare = given.question == "permit" and ":" not in given.about
    return ask(connector.log.iri("permit", given.about) if bare else given.about)


def _versions(connector: Connector, given: Question) -> list[str]:
    """The IRIs of the dataset versions that hold a patient's record; raises :class:`NotFoundError` for none."""
    if given.dataset is not None:
        name = connector.datasets.version(given.dataset).name
        tokens = connector.consents.tokens_of(name, given.about)
    elif _TOKEN.fullmatch(given.about):
        tokens = (given.about, given.about)
    else:
        raise InputError(
            "this is not the token of a patient", fix="give the 64 hexadecimal digits, or the key and its --dataset"
        )
    found = connector.consents.versions_with(tokens)
    if not found:
        raise NotFoundError("no dataset version holds a record of this patient", fix="check the token or the key")
    return [connector.log.iri("dataset", version) for version in found]


def _period(text: str) -> tuple[datetime, datetime]:
    """The first moment of a year, month or day in UTC, and the first after it."""
    found = _PERIOD.fullmatch(text)
    if found is None:
        raise _no_period(text)
    year, month, day = int(found["year"]), int(found["month"] or 1), int(found["day"] or 1)
    try:
        start = datetime(year, month, day, tzinfo=UTC)
        if found["day"]:
            return start, start + timedelta(days=1)
        if found["month"]:
            return start, datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
        return start, datetime(year + 1, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise _no_period(text) from error


def _no_period(text: str) -> InputError:
    return InputError(f"'{text[:20]}' is not a time", fix="write a year, a month or a day: 2026, 2026-03 or 2026-03-14")
