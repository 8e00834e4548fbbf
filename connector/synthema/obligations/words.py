"""Obligations in plain British English: who owes what, until when, on which ground, and what to do next."""

from __future__ import annotations

from datetime import datetime

from synthema.obligations.model import Task, TaskState
from synthema.policy.model import Event
from synthema.policy.values import duration_words
from synthema.vocabulary import Vocabulary
from synthema.vocabulary.namespaces import SYN

EVENT_WORDS = {
    Event.DECISION: "the decision",
    Event.COMPLETION: "the run is complete",
    Event.RELEASE: "the results are released",
    Event.EXPIRY: "the permit or agreement ends",
}
"""The events in the words of "once …"."""

_BLOCKED = "further requests of this party are denied until it is settled or waived"
_KNOWN = {SYN + "checkDescription": "check the description of the dataset"}


def duty_words(task: Task, vocabulary: Vocabulary) -> str:
    """The duty as a phrase, e.g. "publish the results"."""
    return _KNOWN.get(task.action) or vocabulary.label(task.action)


def sentence(task: Task, vocabulary: Vocabulary, at: datetime, *, party: str | None = None) -> str:
    """One task for a lawyer: "did:web:… must publish the results by 22 May 2028 (EHDS 61(4)): 544 days are left."."""
    who = party or task.party
    what = duty_words(task, vocabulary)
    ground = f" ({'; '.join(task.articles)})" if task.articles else ""
    return _said(task, who, what, ground, at)


def _said(task: Task, who: str, what: str, ground: str, at: datetime) -> str:
    day = None if task.due is None else date_words(task.due)
    limit = "" if task.within is None else f", within {duration_words(task.within)}"
    until = "" if day is None else f" until {day}" if task.holds else f" by {day}"
    left = "" if day is None or task.holds else f": {_left(task, at)}"
    told = {
        TaskState.WAITING: f"{who} has to {what}{limit} once {EVENT_WORDS[task.after]}{ground}.",
        TaskState.OPEN: f"{who} has to {what}{until}{ground}{left}.",
        TaskState.VIOLATED: f"{who} did not {what}{until}{ground}; {_BLOCKED}.",
        TaskState.FULFILLED: f"{who} has fulfilled the duty to {what}{ground}, shown by {_shown(task)}.",
        TaskState.SETTLED: f"{who} had not kept the duty to {what}{ground}; it is settled, shown by {_shown(task)}.",
        TaskState.WAIVED: f"two people waived the duty of {who} to {what}{ground}: {task.reason}.",
        TaskState.VOID: f"the duty of {who} to {what}{ground} fell away: {task.reason}.",
    }
    return told[task.state]


def date_words(moment: datetime) -> str:
    """A day in words, e.g. "22 May 2028"."""
    return f"{moment.day} {moment:%B %Y}"


def _left(task: Task, at: datetime) -> str:
    days = 0 if task.due is None else (task.due - at).days
    return "less than a day is left" if days < 1 else f"{days} day{'s are' if days > 1 else ' is'} left"


def _shown(task: Task) -> str:
    return task.evidence[-1].value if task.evidence else (task.reason or "the end of the run")
