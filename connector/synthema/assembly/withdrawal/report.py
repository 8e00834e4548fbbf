"""A withdrawal for a lawyer: what was done, what is to be done and by when, and what stays and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from synthema.assembly.withdrawal.model import FINISHED, Consequence, ItemState
from synthema.assembly.withdrawal.store import KeptItem, KeptPlan, Notice
from synthema.clock import to_text

_NEXT = {
    Consequence.ASSESS: "record an assessment: synthema withdrawal do {id} --finding …",
    Consequence.RENEW: "bring in a version without the record and erase this one, or: synthema withdrawal do {id} "
    "--keep …",
    Consequence.RETRAIN: "make it anew, then: synthema withdrawal do {id} --made-anew RUN",
    Consequence.NOTIFY: "nothing: the connector sends the notice until the receipt is here",
    Consequence.DROP: "nothing: the connector leaves the person out by itself, and says when the run has ended",
}
_NOTHING_NEEDED = "nothing: the connector does it by itself"
_MACHINES = {
    "consent": "Consent was taken back (GDPR Art. 7(3))",
    "opt-out": "Somebody opted out of secondary use (EHDS Art. 71(1))",
    "notice": "A partner told of a withdrawal (GDPR Art. 19)",
}
NEVER = (
    "Nothing is unlearned: no result that stays was made to forget anybody. Each thing that stays is listed with its "
    "reason."
)


def headline(plan: KeptPlan) -> str:
    """One sentence on where a plan stands."""
    done = sum(item.state is ItemState.DONE for item in plan.items)
    stays = sum(item.state is ItemState.STAYS for item in plan.items)
    left = len(plan.items) - done - stays
    if not plan.items:
        return "Nothing had been made of the records concerned, so nothing has to be undone."
    if not left and not done and not plan.unfinished:
        return f"Nothing must be undone: {_things(stays)} stay{'s' if stays == 1 else ''}, each for the reason given."
    told = f"{done} done, {stays} stay with a reason, {left} still to be done"
    more = "; work that is still under way may make more" if plan.unfinished else ""
    return f"{_things(len(plan.items))} derived: {told}{more}."


def _things(count: int) -> str:
    return f"{count} thing{'' if count == 1 else 's'}"


def opening(plan: KeptPlan, names: Mapping[str, str]) -> str:
    """What happened, and from which exclusion list on people are left out."""
    told = _MACHINES[plan.cause.machine]
    if plan.cause.sender is not None:
        told = f"{names.get(plan.cause.sender, plan.cause.sender)} told of a withdrawal (GDPR Art. 19)"
    return (
        f"{told}; noted on {plan.cause.at:%Y-%m-%d %H:%M} UTC for the dataset {plan.cause.dataset}. "
        f"Runs leave the people out with version {plan.cause.list_version} of the exclusion list."
    )


def item_sentence(item: KeptItem, at: datetime) -> str:
    """One derived thing: what follows, why and until when, or what came of it."""
    ground = "; ".join(item.item.articles)
    name = f"{item.item.label} ({item.item.kind})"
    if item.state in FINISHED:
        told = item.outcome or item.item.why
        return f"{_first_up(name)}: {told} [{ground}]"
    due = "" if item.item.due is None else f" by {item.item.due:%Y-%m-%d}"
    late = " It is late." if item.item.due is not None and item.item.due < at else ""
    return f"{_first_up(name)}: {item.item.consequence}{due}. {item.item.why}{late} [{ground}]"


def _first_up(text: str) -> str:
    return text[:1].upper() + text[1:]


def next_step(item: KeptItem) -> str | None:
    """What a person does next about an item; None where it has ended."""
    if item.state in FINISHED:
        return None
    return _NEXT.get(item.item.consequence, _NOTHING_NEEDED).format(id=item.id)


def sentences(plan: KeptPlan, notices: Sequence[Notice], at: datetime, names: Mapping[str, str]) -> list[str]:
    """The whole report: what happened, what was done, what is left, who was told, what stays and why."""
    told = [opening(plan, names), headline(plan)]
    if not plan.complete:
        told.append(
            "Lineage was longer than can be walked at once, so there may be more: an officer has to look "
            "(synthema lineage)."
        )
    for title, state in (
        ("Still to be done", ItemState.OPEN),
        ("Under way", ItemState.WORKING),
        ("Done", ItemState.DONE),
        ("Stays, and why", ItemState.STAYS),
    ):
        listed = [item_sentence(item, at) for item in plan.items if item.state is state]
        told += [f"{title}:", *listed] if listed else []
    told += [notice_sentence(notice, names) for notice in notices]
    return [*told, NEVER]


def notice_sentence(notice: Notice, names: Mapping[str, str]) -> str:
    """One partner: told, answered, or not yet."""
    who = names.get(notice.recipient, notice.recipient)
    if notice.answered_at is not None:
        return f"{who} was told with notice {notice.number} and answered on {notice.answered_at:%Y-%m-%d %H:%M} UTC."
    tried = f" It was tried {notice.attempts} time{'' if notice.attempts == 1 else 's'}: {notice.problem}." if (
        notice.problem
    ) else ""  # fmt: skip
    return f"{who} is told with notice {notice.number}; its receipt is due by {notice.answer_by:%Y-%m-%d}.{tried}"


def plan_json(plan: KeptPlan, at: datetime, names: Mapping[str, str]) -> dict[str, Any]:
    """A plan in short."""
    counts = Counter(str(item.item.consequence) for item in plan.items)
    return {
        "withdrawal": plan.id,
        "dataset": plan.cause.dataset,
        "cause": plan.cause.machine,
        "from": plan.cause.sender,
        "listVersion": plan.cause.list_version,
        "state": plan.state,
        "created": to_text(plan.created_at),
        "changed": to_text(plan.changed_at),
        "complete": plan.complete,
        "unfinished": plan.unfinished,
        "consequences": dict(sorted(counts.items())),
        "open": sum(item.state not in FINISHED for item in plan.items),
        "late": sum(
            item.state not in FINISHED and item.item.due is not None and item.item.due < at for item in plan.items
        ),
        "opening": opening(plan, names),
        "sentence": headline(plan),
    }


def item_json(item: KeptItem, at: datetime) -> dict[str, Any]:
    """One item with its sentence and what to do next."""
    found = item.item
    return {
        "item": item.id,
        "thing": found.subject,
        "kind": str(found.kind),
        "label": found.label,
        "consequence": str(found.consequence),
        "state": str(item.state),
        "why": found.why,
        "articles": list(found.articles),
        "due": None if found.due is None else to_text(found.due),
        "digest": found.digest,
        "run": found.run,
        "holder": found.holder,
        "obligation": item.obligation,
        "outcome": item.outcome,
        "evidence": item.evidence,
        "assessment": found.details.get("assessment"),
        "sentence": item_sentence(item, at),
        "next": next_step(item),
    }


def notice_json(notice: Notice, names: Mapping[str, str]) -> dict[str, Any]:
    """One notice with its receipt."""
    return {
        "notice": notice.id,
        "recipient": notice.recipient,
        "number": notice.number,
        "answerBy": to_text(notice.answer_by),
        "attempts": notice.attempts,
        "problem": notice.problem,
        "answered": None if notice.answered_at is None else to_text(notice.answered_at),
        "document": notice.document,
        "receipt": notice.receipt,
        "sentence": notice_sentence(notice, names),
    }
