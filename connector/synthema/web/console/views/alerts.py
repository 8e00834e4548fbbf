"""What has a date or waits for an officer: obligations, withdrawals, assessments and permits that need a look now."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from synthema.clock import to_text
from synthema.obligations.model import PROPAGATE_WITHDRAWAL, REVIEW_DPIA
from synthema.web.console.desk import Desk
from synthema.web.console.pages import day
from synthema.web.console.views.permits import is_ending

SOON: Final = timedelta(days=30)
"""How long before a date a person is told of it."""

MOST: Final = 5
"""Needs of one kind that are told one by one; of more, only their number."""

_TOLD_ELSEWHERE: Final = (REVIEW_DPIA, PROPAGATE_WITHDRAWAL)

Need = dict[str, str]


def need(kind: str, sentence: str, address: str) -> Need:
    """One thing that waits for a person, and the page where it is met."""
    return {"kind": kind, "sentence": sentence, "address": address}


def of_obligations(desk: Desk) -> Iterator[Need]:
    """What is overdue, and what falls due soon, without what the other alerts tell of themselves."""
    limit = to_text(desk.now + SOON)
    found = [each for each in desk.ask("obligation/list") if each["action"] not in _TOLD_ELSEWHERE]
    overdue = [each for each in found if each["state"] == "violated"]
    soon = [each for each in found if each["state"] == "open" and each["due"] and each["due"] <= limit]
    address = f"{desk.base}/obligations"
    yield from _told(desk, "Obligation overdue", overdue, f"{address}#overdue")
    yield from _told(desk, "Obligation due soon", soon, address)


def of_withdrawals(desk: Desk) -> Iterator[Need]:
    """Consents taken back whose consequences are not all drawn yet (GDPR Art. 7(3), 17)."""
    for each in desk.ask("withdrawal/list")[:MOST]:
        late = f" Late: {each['late']}." if each["late"] else ""
        yield need(
            "Withdrawal pending", f"{each['opening']} {each['sentence']}{late}", f"{desk.base}/consents#withdrawals"
        )


def of_assessments(desk: Desk) -> Iterator[Need]:
    """Assessments to sign, those whose review is due, and those in force that do not hold."""
    for assessment in desk.ask("dpia/list"):
        address = f"{desk.base}/assessments/{assessment['dpia']}"
        if assessment["state"] == "proposed":
            signed = f"“{assessment['title']}” has {len(assessment['signedBy'])} of 2 signatures."
            yield need("Impact assessment to sign", signed, address)
        if assessment["state"] == "active":
            yield from _standing(desk, assessment, address)


def _standing(desk: Desk, assessment: dict[str, Any], address: str) -> Iterator[Need]:
    findings = desk.ask("dpia/status", dpia=assessment["dpia"])["findings"]
    for review in (each for each in findings if each["kind"] == "review"):
        if not review["holds"] or (review["due"] and review["due"] <= to_text(desk.now + SOON)):
            sentence = f"“{assessment['title']}”: {review['sentence']}"
            yield need("Impact assessment review due", sentence, address)
    failing = [each for each in findings if not each["holds"] and each["kind"] != "review"]
    if failing:
        first, more = failing[0], len(failing) - 1
        others = f" And {more} more." if more else ""
        yield need("Impact assessment does not hold", f"“{assessment['title']}”: {first['sentence']}{others}", address)


def of_permits(desk: Desk) -> Iterator[Need]:
    """Applications to decide, and permits that come to their end."""
    for permit in desk.ask("permit/list"):
        address = f"{desk.base}/permits/{permit['permit']}"
        data = ", ".join(permit["datasets"])
        if permit["state"] == "PermitRequested":
            sentence = f"{desk.party(permit['holder'])} applies for a permit to work with {data}."
            yield need("Application to decide", sentence, address)
        elif is_ending(desk, permit):
            sentence = f"The permit of {desk.party(permit['holder'])} for {data} ends on {day(permit['validTo'])}."
            yield need("Permit ends soon", sentence, address)


def _told(desk: Desk, kind: str, found: list[dict[str, Any]], address: str) -> Iterator[Need]:
    """Each obligation by itself, or only how many there are."""
    if len(found) > MOST:
        yield need(kind, f"{len(found)} obligations; the nearest: {found[0]['sentence']}", address)
        return
    for each in found:
        yield need(kind, each["sentence"], f"{desk.base}/obligations/{each['id']}")
