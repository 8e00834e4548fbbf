"""The obligations ledger: dated tasks out of decisions, what shows that they were done, and what was not kept."""

from synthema.obligations.calendar import calendar_text, icalendar
from synthema.obligations.ledger import ObligationLedger, waiver_bytes
from synthema.obligations.making import open_prior_duties
from synthema.obligations.model import (
    CHECK_DESCRIPTION,
    HOLDS,
    PROPAGATE_WITHDRAWAL,
    PUBLISH_RESULTS,
    REVIEW_DPIA,
    SITE_DUTIES,
    TRANSITIONS,
    Evidence,
    EvidenceKind,
    Task,
    TaskState,
)
from synthema.obligations.words import sentence

__all__ = [
    "CHECK_DESCRIPTION",
    "HOLDS",
    "PROPAGATE_WITHDRAWAL",
    "PUBLISH_RESULTS",
    "REVIEW_DPIA",
    "SITE_DUTIES",
    "TRANSITIONS",
    "Evidence",
    "EvidenceKind",
    "ObligationLedger",
    "Task",
    "TaskState",
    "calendar_text",
    "icalendar",
    "open_prior_duties",
    "sentence",
    "waiver_bytes",
]
