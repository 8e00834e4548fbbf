"""Requests in the words of policy cases, and what else a case may expect of a decision.

action: synthesise
target: https://…/id/dataset/mgus
assignee: did:web:hub.example
at: 2027-01-15
facts:
  purpose: health research
  epsilon: {value: 2, shown by: urn:…}     # or just 2; 'unit' where it is not the usual one
done:
  - sign agreement                         # done before, with evidence
  - {do: sign agreement, at: 2027-01-01, shown by: none, rule: https://…#r1}
  - {not kept: publish results, at: 2026-12-01}
collections: {target: [https://…/id/collection/rare], assignee: []}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from synthema.clock import to_text
from synthema.errors import InputError
from synthema.policy.decision import Decision
from synthema.policy.form import Spot, read_form
from synthema.policy.model import AccessRequest, Fact, Fulfilment, Value
from synthema.policy.values import parse_value
from synthema.vocabulary import Datatype, Operand, Vocabulary, compact, expand

REQUEST_KEYS: Final = ("name", "action", "target", "assignee", "at", "facts", "without", "done", "collections")
EXPECTED_KEYS: Final = ("expect", "because", "obligations", "change")
DEFAULT_AT: Final = datetime(2027, 1, 15, 9, 0, tzinfo=UTC)
_SHOWN: Final = "case"


@dataclass(frozen=True, slots=True)
class SharedPart:
    """What cases share, as it stands in the file."""

    found: Mapping[str, Spot] = field(default_factory=dict)

    def facts(self, vocabulary: Vocabulary) -> dict[str, Fact]:
        """The shared facts."""
        return _facts(self.found, vocabulary)

    def fields(self, vocabulary: Vocabulary) -> dict[str, str]:
        """The shared act (its IRI), dataset, party and time (as written in records), as far as they are shared."""
        told = {key: self.found[key].text(key) for key in ("action", "target", "assignee") if key in self.found}
        if "action" in told:
            told["action"] = vocabulary.actions.find(told["action"]) or expand(told["action"])
        at = _moment(self.found.get("at"), DEFAULT_AT)
        return {**told, "at": to_text(at)}


def shared_part(spot: Spot | None) -> SharedPart:
    """What stands under ``request``."""
    return SharedPart() if spot is None else SharedPart(_entries(spot))


def _entries(spot: Spot) -> dict[str, Spot]:
    found: dict[str, Spot] = {}
    known = (*REQUEST_KEYS, *EXPECTED_KEYS)
    for key, name, value in spot.entries("a case"):
        if name not in known:
            key.fail(f"a case has no '{name}'", f"use: {', '.join(known)}")
        found[name] = value
    return found


def read_request_form(
    spot: Spot, vocabulary: Vocabulary, *, shared: SharedPart | None = None, needs_name: bool = True
) -> tuple[str, AccessRequest, Mapping[str, Spot]]:
    """Name and request of a case, and all its entries; raises :class:`PolicyLoadError` naming file and line."""
    base = (shared or SharedPart()).found
    own = _entries(spot)
    found = {**base, **own}
    for key in (*(("name",) if needs_name else ()), "action", "target", "assignee"):
        if key not in found:
            spot.fail(f"the case lacks '{key}'", f"add '{key}' to the case or to 'request'")
    name = found["name"].text("name") if "name" in found else "request"
    moment = _moment(found.get("at"), DEFAULT_AT)
    facts = {**_facts(base, vocabulary), **_facts(own, vocabulary)}
    for item in found["without"].items("without") if "without" in found else ():
        facts.pop(_operand(item, item.text("an operand"), vocabulary).iri, None)
    action = found["action"].text("action")
    target, assignee = found["target"].text("target"), found["assignee"].text("assignee")
    request = AccessRequest(
        id=f"case: {name}",
        action=vocabulary.actions.find(action) or expand(action),
        target=target,
        assignee=assignee,
        at=moment,
        facts=facts,
        fulfilled=tuple(
            _done(item, moment, vocabulary) for item in (found["done"].items("done") if "done" in found else ())
        ),
        collections=_collections(found.get("collections"), {"target": target, "assignee": assignee}),
    )
    return name, request, found


def read_what_if(text: str, vocabulary: Vocabulary, *, file: str, now: datetime) -> AccessRequest:
    """A request written as a case would, alone in a file; without ``at`` it is asked ``now``."""
    root = read_form(text, file)
    _, request, found = read_request_form(root, vocabulary, needs_name=False)
    for key in EXPECTED_KEYS:
        if key in found:
            found[key].fail(f"'{key}' belongs into a case", "leave it out: the answer is what is asked for")
    return request if "at" in found else replace(request, at=now)


def _done(spot: Spot, moment: datetime, vocabulary: Vocabulary) -> Fulfilment:
    """Something done about a duty, or not kept."""
    if not spot.is_mapping:
        return Fulfilment(_duty(spot, vocabulary), moment, _SHOWN, _SHOWN)
    found = {name: value for _, name, value in spot.entries("an entry of 'done'")}
    if set(found) - {"do", "not kept", "at", "by", "shown by", "rule"} or ("do" in found) is ("not kept" in found):
        spot.fail(
            "an entry of 'done' says what was done, or what was not kept",
            "write 'do:' or 'not kept:', with at, by, shown by, rule",
        )
    shown = found["shown by"].text("shown by") if "shown by" in found else _SHOWN
    return Fulfilment(
        action=_duty(found.get("do") or found["not kept"], vocabulary),
        at=_moment(found.get("at"), moment),
        by=found["by"].text("by") if "by" in found else _SHOWN,
        evidence=None if shown == "none" else shown,
        rule=found["rule"].text("rule") if "rule" in found else None,
        state="fulfilled" if "do" in found else "violated",
    )


def _duty(spot: Spot, vocabulary: Vocabulary) -> str:
    """A duty, or the act of a prohibition that was violated."""
    text = spot.text("a duty")
    found = vocabulary.duties.find(text) or vocabulary.actions.find(text)
    if found is None:
        near = vocabulary.duties.nearest(text)
        spot.fail(f"'{text[:80]}' is not a known duty", f"did you mean '{near}'?" if near else "use a known duty")
    return found


def _collections(spot: Spot | None, whose: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for key, name, value in spot.entries("collections") if spot is not None else ():
        if name not in whose:
            key.fail(f"'{name}' belongs to no collection here", "write 'target:' or 'assignee:'")
        found[whose[name]] = tuple(expand(item.text("a collection")) for item in value.items("collections"))
    return found


def _facts(found: Mapping[str, Spot], vocabulary: Vocabulary) -> dict[str, Fact]:
    facts: dict[str, Fact] = {}
    for key, name, value in found["facts"].entries("facts") if "facts" in found else ():
        operand = _operand(key, name, vocabulary)
        facts[operand.iri] = _fact(value, operand, vocabulary)
    return facts


def _fact(spot: Spot, operand: Operand, vocabulary: Vocabulary) -> Fact:
    if not spot.is_mapping:
        return Fact(_value(spot, operand, vocabulary), _SHOWN)
    found = {name: value for _, name, value in spot.entries("a fact")}
    if set(found) - {"value", "unit", "shown by"} or "value" not in found:
        spot.fail("a fact holds value, unit and shown by", "write at least 'value:'")
    return Fact(
        _value(found["value"], operand, vocabulary),
        found["shown by"].text("shown by") if "shown by" in found else _SHOWN,
        found["unit"].text("unit") if "unit" in found else None,
    )


def facts_of(values: Mapping[str, str], vocabulary: Vocabulary) -> dict[str, Fact | Value]:
    """Facts from texts, operand by operand; raises :class:`InputError` naming what is not understood."""
    found: dict[str, Fact | Value] = {}
    for name, text in values.items():
        operand = vocabulary.operand(name)
        if operand.datatype is Datatype.TERM:
            found[operand.iri] = vocabulary.terms_of(operand).resolve(text)
        else:
            found[operand.iri] = parse_value(text, operand.datatype)
    return found


def _operand(spot: Spot, name: str, vocabulary: Vocabulary) -> Operand:
    try:
        return vocabulary.operand(name)
    except InputError as error:
        raise spot.error(error.message, error.fix) from error


def _value(spot: Spot, operand: Operand, vocabulary: Vocabulary) -> Value:
    if spot.is_list:
        return tuple(str(_one(item, operand, vocabulary)) for item in spot.items("a value"))
    return _one(spot, operand, vocabulary)


def _one(spot: Spot, operand: Operand, vocabulary: Vocabulary) -> Value:
    text = spot.text("a value")
    if operand.datatype is Datatype.TERM:
        # An unknown term stays as it is: that it denies is a case worth writing.
        return vocabulary.terms_of(operand).find(text) or expand(text)
    return _read(spot, operand.datatype)


def _moment(spot: Spot | None, default: datetime) -> datetime:
    at = default if spot is None else _read(spot, Datatype.DATE)
    return at if isinstance(at, datetime) else default


def _read(spot: Spot, datatype: Datatype) -> Value:
    try:
        return parse_value(spot.text("a value"), datatype)
    except InputError as error:
        raise spot.error(error.message, error.fix) from error


# what else a case expects --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Expected:
    """Duties that must come with a permit, and the change that must be proposed on a denial (``None``: not looked at).

    The change maps operands to values, and duties to be done to ``None``; empty means that no change helps.
    """

    obligations: tuple[str, ...] = ()
    change: Mapping[str, Value | None] | None = None

    def missed_by(self, decision: Decision, vocabulary: Vocabulary) -> str:
        """What a decision lacks, in words; empty if nothing."""
        came = {obligation.action for obligation in decision.obligations}
        lacking = [vocabulary.label(duty) for duty in self.obligations if duty not in came]
        if lacking:
            return f"expected with these duties, but they do not come with it: {', '.join(lacking)}"
        if self.change is None:
            return ""
        proposed = {change.operand: change.after for change in decision.changes}
        if proposed == dict(self.change):
            return ""
        told = "; ".join(change.sentence for change in decision.changes) or "none that helps"
        names = ", ".join(compact(each) for each in self.change) or "none that helps"
        return f"expected this change: {names}; proposed is: {told}"


def read_expected(found: Mapping[str, Spot], vocabulary: Vocabulary) -> Expected:
    """The further expectations of a case."""
    obligations: tuple[str, ...] = ()
    if "obligations" in found:
        obligations = tuple(_duty(item, vocabulary) for item in found["obligations"].items("obligations"))
    if "change" not in found:
        return Expected(obligations)
    spot = found["change"]
    if not spot.is_mapping:
        if spot.text("change") != "none":
            spot.fail("a change names facts and duties", "write e.g. {epsilon: 6, do: [sign agreement]}, or none")
        return Expected(obligations, {})
    change: dict[str, Value | None] = {}
    for key, name, value in spot.entries("change"):
        if name == "do":
            change |= {_duty(item, vocabulary): None for item in value.items("do")}
        else:
            operand = _operand(key, name, vocabulary)
            change[operand.iri] = _value(value, operand, vocabulary)
    return Expected(obligations, change)
