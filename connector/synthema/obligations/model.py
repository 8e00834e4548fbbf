"""The values of the obligations ledger: a task somebody owes, what shows that it was done, and the states it walks.

    waiting ─▶ open ─▶ fulfilled
                 └──▶ violated ─▶ settled
    waiting, open, violated ─▶ waived (two people, with a reason)
    waiting, open ─▶ void (the act it belonged to never took place)

A task is *waiting* until the event its deadline is counted from has happened. *Violated* covers both what was not
done in time and what was broken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from synthema.clock import to_text
from synthema.errors import ConflictError, InputError
from synthema.policy.model import Event, Timing
from synthema.vocabulary.namespaces import SYN

KEEP_LOG: Final = SYN + "keepLog"
MORATORIUM: Final = SYN + "moratorium"
REVIEW_DPIA: Final = SYN + "reviewDPIA"
CHECK_DESCRIPTION: Final = SYN + "checkDescription"
PROPAGATE_WITHDRAWAL: Final = SYN + "propagateWithdrawal"
PUBLISH_RESULTS: Final = SYN + "publishResults"

SITE_DUTIES: Final = frozenset({KEEP_LOG, REVIEW_DPIA, CHECK_DESCRIPTION, PROPAGATE_WITHDRAWAL})
"""Duties that the site itself owes, whoever asked; all others are owed by the party that was permitted the act."""

HOLDS: Final = frozenset({KEEP_LOG, MORATORIUM})
"""Duties that last until their date instead of being done by it: they are kept when the date passes unbroken."""

REMINDERS: Final = (timedelta(days=30), timedelta(days=7), timedelta(days=1))
"""How long before the last moment the log notes a reminder, the earliest first."""


class TaskState(StrEnum):
    """Where a task stands. Only :data:`TRANSITIONS` says how it may move."""

    WAITING = "waiting"
    OPEN = "open"
    FULFILLED = "fulfilled"
    VIOLATED = "violated"
    SETTLED = "settled"
    WAIVED = "waived"
    VOID = "void"


TRANSITIONS: Final[dict[tuple[TaskState, str], TaskState]] = {
    (TaskState.WAITING, "begin"): TaskState.OPEN,
    (TaskState.WAITING, "fulfil"): TaskState.FULFILLED,
    (TaskState.WAITING, "waive"): TaskState.WAIVED,
    (TaskState.WAITING, "void"): TaskState.VOID,
    (TaskState.WAITING, "violate"): TaskState.VIOLATED,
    (TaskState.OPEN, "fulfil"): TaskState.FULFILLED,
    (TaskState.OPEN, "violate"): TaskState.VIOLATED,
    (TaskState.OPEN, "waive"): TaskState.WAIVED,
    (TaskState.OPEN, "void"): TaskState.VOID,
    (TaskState.VIOLATED, "settle"): TaskState.SETTLED,
    (TaskState.VIOLATED, "waive"): TaskState.WAIVED,
}
"""The whole life of a task; what is not listed cannot happen."""

UNFINISHED: Final = (TaskState.WAITING, TaskState.OPEN, TaskState.VIOLATED)

_HINTS: Final = {
    TaskState.FULFILLED: "it was fulfilled already",
    TaskState.SETTLED: "it was settled already",
    TaskState.WAIVED: "two people waived it",
    TaskState.VOID: "the act it belonged to never took place",
}


def advance(state: TaskState, event: str) -> TaskState:
    """The next state; raises :class:`ConflictError` on a step the table does not know."""
    try:
        return TRANSITIONS[(state, event)]
    except KeyError:
        raise ConflictError(
            f"an obligation that is {state} cannot be changed by '{event}'",
            fix=_HINTS.get(state, "look at it with: synthema obligation show"),
        ) from None


class EvidenceKind(StrEnum):
    """What can show that a duty was fulfilled. Words alone show nothing."""

    LOG_ENTRY = "log entry"
    DIGEST = "digest"
    REFERENCE = "public reference"


_SHAPES: Final = {
    EvidenceKind.LOG_ENTRY: re.compile(r"^https?://[^\s<>\"]+/log/\d{1,18}$"),
    EvidenceKind.DIGEST: re.compile(r"^sha256:[0-9a-f]{64}$"),
    EvidenceKind.REFERENCE: re.compile(r"^(https?://[^\s<>\"/]+\.[^\s<>\"]+|doi:10\.\d{4,9}/\S+)$"),
}
_ASKED: Final = (
    (re.compile(r"\blog\b", re.IGNORECASE), EvidenceKind.LOG_ENTRY),
    (re.compile(r"public|publication|reference|\bdoi\b|\burl\b", re.IGNORECASE), EvidenceKind.REFERENCE),
    (re.compile(r"digest|hash|certificate|record|report|protocol", re.IGNORECASE), EvidenceKind.DIGEST),
)
_EXAMPLES: Final = {
    EvidenceKind.LOG_ENTRY: "an entry of this connector's log, e.g. https://hospital.example/log/42",
    EvidenceKind.DIGEST: "the digest of the document that shows it, e.g. sha256:… (64 hexadecimal digits)",
    EvidenceKind.REFERENCE: "an address the public can open, e.g. https://… or doi:10.…",
}


def kind_of_evidence(value: str) -> EvidenceKind:
    """What a piece of evidence is; raises :class:`InputError` for words that show nothing."""
    for kind, shape in _SHAPES.items():
        if shape.match(value):
            return kind
    raise InputError(
        f"'{value[:80]}' is no evidence: words show nothing that can be checked later",
        where="evidence",
        fix=f"give {'; or '.join(_EXAMPLES.values())}",
    )


def check_evidence(value: str, asked: str | None) -> EvidenceKind:
    """The kind of a piece of evidence, which must be the one the rule asks for (``Duty.evidence``, in words).

    A rule that names no kind of evidence we know, or none at all, takes any of :class:`EvidenceKind`.
    """
    kind = kind_of_evidence(value)
    wanted = next((found for pattern, found in _ASKED if asked and pattern.search(asked)), None)
    if wanted is not None and kind is not wanted:
        raise InputError(
            f"the rule asks for '{asked}', and a {kind} is not that",
            where="evidence",
            fix=f"give {_EXAMPLES[wanted]}",
        )
    return kind


@dataclass(frozen=True, slots=True)
class Evidence:
    """What shows that a duty was fulfilled, who brought it (an IRI) and when."""

    kind: EvidenceKind
    value: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Task:
    """One thing a party owes.

    ``subject`` names what it is about beside the dataset: a run, or the key of a standing duty of the site.
    ``after`` is the event ``within`` is counted from, ``starts`` when it happened, ``due`` the last moment. A task
    with a ``parent`` is a consequence of that one: it came up because the parent was not kept. ``statutory`` tasks
    come from a law pack; no site can waive them.
    """

    id: str
    action: str
    party: str
    timing: Timing
    rule: str | None
    articles: tuple[str, ...]
    dataset: str | None
    basis: str | None
    run: str | None
    subject: str | None
    decision: str | None
    after: Event
    within: timedelta | None
    starts: datetime | None
    due: datetime | None
    evidence_type: str | None
    state: TaskState
    created_at: datetime
    changed_at: datetime
    evidence: tuple[Evidence, ...] = ()
    reason: str | None = None
    parent: str | None = None
    statutory: bool = False
    reminded: int = 0

    @property
    def holds(self) -> bool:
        """Whether it lasts until its date instead of being done by it."""
        return self.action in HOLDS

    @property
    def is_standing(self) -> bool:
        """Whether one task serves all decisions that impose it: no date, or one that all of them share."""
        return self.within is None or self.after is Event.EXPIRY or self.holds

    def state_at(self, at: datetime) -> TaskState:
        """The state counting the clock: what is past its last moment is violated (or, for a hold, kept)."""
        if self.state is not TaskState.OPEN or self.due is None or at <= self.due:
            return self.state
        return TaskState.FULFILLED if self.holds else TaskState.VIOLATED

    def as_dict(self) -> dict[str, Any]:
        """The task as JSON; times are ISO 8601 in UTC, durations whole seconds."""
        return {
            "id": self.id,
            "action": self.action,
            "party": self.party,
            "timing": str(self.timing),
            "rule": self.rule,
            "articles": list(self.articles),
            "dataset": self.dataset,
            "basis": self.basis,
            "run": self.run,
            "subject": self.subject,
            "decision": self.decision,
            "after": str(self.after),
            "within": None if self.within is None else int(self.within.total_seconds()),
            "starts": _moment(self.starts),
            "due": _moment(self.due),
            "evidenceType": self.evidence_type,
            "state": str(self.state),
            "created": to_text(self.created_at),
            "changed": to_text(self.changed_at),
            "evidence": [
                {"kind": str(item.kind), "value": item.value, "by": item.by, "at": to_text(item.at)}
                for item in self.evidence
            ],
            "reason": self.reason,
            "parent": self.parent,
            "statutory": self.statutory,
        }


def _moment(value: datetime | None) -> str | None:
    return None if value is None else to_text(value)
