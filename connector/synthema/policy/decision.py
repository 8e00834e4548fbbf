"""A decision as a value: what was decided, why, under which duties, and what would change it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Literal, NamedTuple

from synthema.canonical import digest, digest_bytes
from synthema.clock import from_text, to_text
from synthema.errors import InputError
from synthema.policy.digesting import request_bytes
from synthema.policy.explain import decision_sentences, reason_sentence
from synthema.policy.model import (
    AccessRequest,
    Duty,
    Event,
    Fact,
    Fulfilment,
    LawReference,
    Layer,
    OperandReference,
    Timing,
    Value,
)
from synthema.policy.values import duration_text, from_record, record
from synthema.vocabulary import Vocabulary

Effect = Literal["permit", "deny"]
RuleEffect = Literal["permission", "prohibition", "obligation", "none"]
Problem = Literal["", "missing", "type", "unit", "unknown-term", "too-wide", "reference", "several-values"]
Side = Literal["when", "unless", "refinement"]


class Reason(NamedTuple):
    """One decisive comparison (or, without operand, one decisive rule).

    ``satisfied`` is the outcome of the comparison itself, ``None`` where it could
    not be made; ``problem`` says why not; ``side`` tells a rule's condition
    from its exception and from what its actions, datasets and parties are narrowed to.
    ``policy`` is the one the rule was written in, also where another inherits it. ``law`` are
    the articles, ``sentence`` the rule in words; :func:`synthema.policy.explain.reason_sentence`
    words the comparison. ``evidence`` and ``digest`` are those of the fact.
    """

    layer: Layer
    policy: str | None
    rule: str | None
    effect: RuleEffect
    law: tuple[LawReference, ...]
    sentence: str
    operand: str | None = None
    operator: str | None = None
    required: Value | OperandReference | None = None
    actual: Value | None = None
    evidence: str | None = None
    satisfied: bool | None = None
    problem: Problem = ""
    side: Side = "when"
    digest: str | None = None

    @property
    def article(self) -> str:
        """The articles as text, e.g. ``EHDS 54(c)``."""
        return "; ".join(map(str, self.law))


def moment_after(moment: datetime, step: timedelta) -> datetime:
    """The last moment of a deadline; the end of time where it lies beyond."""
    try:
        return moment + step
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Obligation:
    """A duty that comes with a permit. ``due`` is set as soon as the event it is counted from is known.

    ``consequences`` have to be done as well, once this one was not kept, before anything more is permitted.
    """

    action: str
    timing: Timing
    rule: str
    law: tuple[LawReference, ...]
    within: timedelta | None
    after: Event
    due: datetime | None
    evidence: str | None
    consequences: tuple[Duty, ...] = ()

    def due_from(self, event: datetime) -> datetime | None:
        """The last moment, once the event the deadline is counted from has happened."""
        return None if self.within is None else moment_after(event, self.within)

    @property
    def article(self) -> str:
        return "; ".join(map(str, self.law))


@dataclass(frozen=True, slots=True)
class Change:
    """One step of the smallest set of changes that would permit. ``by`` says who can make it."""

    operand: str
    before: Value | None
    after: Value | None
    by: Literal["requester", "site"]
    sentence: str


@dataclass(frozen=True)
class Decision:
    """The same value for API, console and log. ``unchangeable`` says why no change helps, if none does.

    ``changes_proven`` says that no smaller set of changes permits, or none at all where there are none; it is
    false when the search for them was cut off.
    """

    effect: Effect
    request: AccessRequest
    reasons: tuple[Reason, ...]
    obligations: tuple[Obligation, ...]
    changes: tuple[Change, ...]
    unchangeable: str
    permitted_purposes: tuple[str, ...]
    request_digest: str
    policy_digest: str
    vocabulary_version: str
    vocabulary: Vocabulary = field(repr=False, compare=False)
    changes_proven: bool = True

    @property
    def permitted(self) -> bool:
        return self.effect == "permit"

    def sentences(self) -> tuple[str, ...]:
        """The decision for a lawyer, in plain sentences."""
        return decision_sentences(self)

    def as_dict(self) -> dict[str, Any]:
        """The value for API, console and log; JSON only, and enough to replay the decision."""
        return {
            "effect": self.effect,
            "request": request_record(self.request),
            "reasons": [self._reason(reason) for reason in self.reasons],
            "obligations": [_obligation(obligation) for obligation in self.obligations],
            "changes": [_change(change) for change in self.changes],
            "unchangeable": self.unchangeable,
            "permitted_purposes": list(self.permitted_purposes),
            # What was recorded before this was told has none, and keeps its digest.
            **({} if self.changes_proven else {"changes_proven": False}),
            "request_digest": self.request_digest,
            "policy_digest": self.policy_digest,
            "vocabulary_version": self.vocabulary_version,
        }

    @cached_property
    def digest(self) -> str:
        """``sha256:<hex>`` over the canonical JSON of the whole decision."""
        return digest(self.as_dict())

    def _reason(self, reason: Reason) -> dict[str, Any]:
        return {
            "layer": str(reason.layer),
            "policy": reason.policy,
            "rule": reason.rule,
            "effect": reason.effect,
            "article": reason.article,
            "law": [{"article": str(law), "eli": law.eli} for law in reason.law],
            "sentence": reason.sentence,
            "explanation": reason_sentence(reason, self.vocabulary),
            "operand": reason.operand,
            "operator": reason.operator,
            "required": _plain(reason.required),
            "actual": _plain(reason.actual),
            "evidence": reason.evidence,
            "satisfied": reason.satisfied,
            "problem": reason.problem,
            "side": reason.side,
            **({"digest": reason.digest} if reason.digest is not None else {}),
        }


_EXACT = 2**53 - 1
"""The largest number that every reader of JSON reads as it is; larger ones, and what is none, are written as text."""
_LONGEST = timedelta.max - timedelta(seconds=1)


def _plain(value: Value | OperandReference | None) -> Any:
    """A value in JSON: times and durations as text, several terms as a list."""
    match value:
        case OperandReference():
            return {"operand": value.operand}
        case datetime():
            return to_text(value) if value.tzinfo else value.isoformat()
        case timedelta():
            # To the second, as people count; the longest durations have no second after them.
            near = value - timedelta(microseconds=value.microseconds)
            up = value.microseconds > 500_000 or (value.microseconds == 500_000 and near.seconds % 2)
            return duration_text(near + timedelta(seconds=1) if up and near < _LONGEST else near)
        case tuple():
            return list(value)
        case int() | float() if not abs(value) <= _EXACT:
            return repr(value)
        case _:
            return value


def _obligation(value: Obligation) -> dict[str, Any]:
    return {
        "action": value.action,
        "timing": str(value.timing),
        "rule": value.rule,
        "article": value.article,
        "within": duration_text(value.within) if value.within else None,
        "after": str(value.after),
        "due": to_text(value.due) if value.due else None,
        "evidence": value.evidence,
        **({"consequences": [_consequence(duty) for duty in value.consequences]} if value.consequences else {}),
    }


def _consequence(duty: Duty) -> dict[str, Any]:
    return {"action": duty.action, "evidence": duty.evidence}


def _change(value: Change) -> dict[str, Any]:
    return {
        "operand": value.operand,
        "from": _plain(value.before),
        "to": _plain(value.after),
        "by": value.by,
        "sentence": value.sentence,
    }


def request_record(request: AccessRequest) -> dict[str, Any]:
    """The whole input of a decision as JSON made of text only; :func:`read_request` reads it back."""
    members = {member: names for member, names in request.collections.items() if names}
    return {
        "id": request.id,
        "action": request.action,
        "target": request.target,
        "assignee": request.assignee,
        "at": to_text(request.at),
        "facts": {
            operand: {
                "value": record(fact.value),
                **({"evidence": fact.evidence} if fact.evidence is not None else {}),
                **({"unit": fact.unit} if fact.unit is not None else {}),
                **({"digest": fact.digest} if fact.digest is not None else {}),
            }
            for operand, fact in request.facts.items()
        },
        "fulfilled": [
            {
                "action": done.action,
                "at": to_text(done.at),
                "by": done.by,
                "evidence": done.evidence,
                "rule": done.rule,
                "state": done.state,
            }
            for done in request.fulfilled
        ],
        # What was recorded before there were collections has none, and keeps its digest.
        **({"collections": {m: list(names) for m, names in members.items()}} if members else {}),
    }


def request_digest(request: AccessRequest) -> str:
    """``sha256:<hex>`` over the canonical JSON of the request's record."""
    return digest_bytes(request_bytes(request))


def read_request(value: Mapping[str, Any]) -> AccessRequest:
    """The request of a record; raises :class:`InputError` when it is not one."""
    try:
        return AccessRequest(
            id=value["id"],
            action=value["action"],
            target=value["target"],
            assignee=value["assignee"],
            at=from_text(value["at"]),
            facts={
                operand: Fact(from_record(fact["value"]), fact.get("evidence"), fact.get("unit"), fact.get("digest"))
                for operand, fact in value["facts"].items()
            },
            fulfilled=tuple(
                Fulfilment(
                    done["action"], from_text(done["at"]), done["by"], done["evidence"], done["rule"], done["state"]
                )
                for done in value["fulfilled"]
            ),
            collections={member: tuple(names) for member, names in value.get("collections", {}).items()},
        )
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise InputError("this is no recorded request", fix="give the record as it was written") from error
