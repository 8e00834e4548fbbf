"""The form a data protection officer writes, read into the model.

    policy: research
    title: Research with synthetic data
    layer: site
    version: 1
    law: [GDPR 9(2)(j), EHDS 53(1)(e)]
    targets: any dataset of this site
    permit:
      - action: synthesise
        when:
          purpose is: health research
          epsilon at most: 6

A condition reads "operand operator: value". What is not understood is refused whole,
with file, line and the nearest term that is known.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from synthema.errors import InputError, PolicyLoadError
from synthema.policy import phrases
from synthema.policy.form import Spot, read_form
from synthema.policy.model import (
    ANY_DATASET,
    Combination,
    Condition,
    Constraint,
    Duty,
    Event,
    Kind,
    LawReference,
    OperandReference,
    Operator,
    Policy,
    Rule,
    SiteDecision,
    Timing,
    Value,
)
from synthema.policy.values import parse_value
from synthema.policy.wellformed import check_condition, check_constraint, check_duty, check_policy, check_rule, is_iri
from synthema.vocabulary import Datatype, Hierarchy, Operand, Vocabulary, expand

T = TypeVar("T")

DEFAULT_BASE = "https://w3id.org/synthema"
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
_ARTICLE = re.compile(r"^\d+[a-z]?(-\d+)?(\([0-9a-z]+\))*$")
_REFUSED = {
    "and sequence": "andSequence has no agreed meaning; use 'all of'",
    "has part": "hasPart has no agreed meaning here; use 'includes all of'",
}


def parse_policy(text: str, vocabulary: Vocabulary, *, file: str = "policy.yaml", base: str = DEFAULT_BASE) -> Policy:
    """Read a form. Short names of policies and datasets become ``<base>/id/policy/…`` and ``<base>/id/dataset/…``.

    Raises :class:`PolicyLoadError` whose ``where`` is ``file:line``.
    """
    return _Form(vocabulary, base.rstrip("/")).policy(read_form(text, file))


@dataclass(frozen=True, slots=True)
class _Form:
    vocabulary: Vocabulary
    base: str

    def policy(self, root: Spot) -> Policy:
        found = _keys(root, phrases.POLICY_KEYS, "policy")
        _require(root, found, ("policy", "title", "layer", "version"), "policy")
        policy_id = self._iri(found["policy"], "policy")
        if "conflict" in found and found["conflict"].text("conflict").casefold() not in phrases.CONFLICT_WORDS:
            found["conflict"].fail(
                "another conflict strategy than 'prohibition wins' is not supported", "remove the line"
            )
        rules = [
            self._rule(entry, kind, policy_id, f"{section}-{number}")
            for section, kind in phrases.SECTIONS.items()
            if section in found
            for number, entry in enumerate(found[section].listed(section), start=1)
        ]
        effective = _keys(found["effective"], ("from", "to"), "effective") if "effective" in found else {}
        policy = Policy(
            id=policy_id,
            layer=_one_of(found["layer"], phrases.LAYERS, "layer"),
            version=found["version"].text("version"),
            title=found["title"].text("title"),
            rules=tuple(rules),
            targets=self._targets(found.get("targets")) or (ANY_DATASET,),
            assigner=self._iri(found["assigner"], "party") if "assigner" in found else None,
            assignees=self._parties(found.get("assignees")),
            law=_law(found.get("law")),
            effective_from=_moment(effective.get("from")),
            effective_to=_moment(effective.get("to")),
            site_decisions=self._decisions(found.get("confirmed")),
        )
        _checked(root, lambda: check_policy(policy, self.vocabulary))
        return policy

    def _rule(self, spot: Spot, kind: Kind, policy_id: str, default: str) -> Rule:
        found = _keys(spot, phrases.RULE_KEYS, "rule")
        _require(spot, found, ("action",), "rule")
        wanted, other = ("duty", "duties") if kind is Kind.OBLIGATION else ("duties", "duty")
        if other in found:
            found[other].fail(f"'{other}' does not belong here", f"write '{wanted}'")
        name = found["id"].text("id") if "id" in found else default
        if not _NAME.match(name) and not is_iri(name):
            spot.fail(f"'{name}' cannot be the id of a rule", "use letters, digits, dots and hyphens")
        rule = Rule(
            id=name if is_iri(name) else f"{policy_id}#{name}",
            kind=kind,
            actions=tuple(self._term(item, self.vocabulary.actions) for item in found["action"].items("action")),
            when=self._condition(found["when"]) if "when" in found else None,
            unless=self._condition(found["unless"]) if "unless" in found else None,
            targets=self._targets(found.get("targets")),
            assignees=self._parties(found.get("assignees")),
            duties=tuple(self._duty(item) for item in found[wanted].items(wanted)) if wanted in found else (),
            law=_law(found.get("law")),
            sentence=found["sentence"].text("sentence") if "sentence" in found else "",
        )
        _checked(spot, lambda: check_rule(rule, self.vocabulary))
        return rule

    def _condition(self, spot: Spot) -> Condition:
        parts: list[Condition] = []
        for key, name, value in spot.entries("a condition"):
            plain = " ".join(name.casefold().split())
            if plain in phrases.JOINTS:
                parts += self._joined(phrases.JOINTS[plain], value)
            else:
                parts.append(self._constraint(key, name, value))
        if not parts:
            spot.fail("the condition is empty", "write at least one line such as 'purpose is: health research'")
        condition = parts[0] if len(parts) == 1 else Combination("and", tuple(parts))
        _checked(spot, lambda: check_condition(condition, self.vocabulary))
        return condition

    def _joined(self, joined: str, spot: Spot) -> Sequence[Condition]:
        parts: list[Condition] = []
        for item in spot.listed("a list of conditions"):
            part = self._condition(item)
            same = isinstance(part, Combination) and part.joined == joined and joined != "xone"
            parts += part.parts if same and isinstance(part, Combination) else (part,)
        if joined == "and":
            return parts
        if len(parts) < 2:
            spot.fail("a choice among fewer than two conditions", "give at least two, or write the one alone")
        return [Combination("or" if joined == "or" else "xone", tuple(parts))]

    def _constraint(self, key: Spot, name: str, value: Spot) -> Constraint:
        operand, phrase = self._operand_and_phrase(key, name)
        known = phrases.operator_phrases(operand)
        if phrase not in known:
            key.fail(
                f"'{phrase}' means nothing for '{operand.name}', which takes a {operand.datatype}",
                f"write one of: {', '.join(f'{operand.name} {word}' for word in known)}",
            )
        operator = known[phrase]
        right: Value | OperandReference
        unit: str | None = None
        if operator in (Operator.IS_ANY_OF, Operator.IS_NONE_OF, Operator.IS_ALL_OF):
            right = self._several(value, operand)
        elif value.is_list and operator in (Operator.IS_A, Operator.EQ) and phrase == "is":
            operator, right = Operator.IS_ANY_OF, self._several(value, operand)
        else:
            right, unit = self._value(value, operand)
        constraint = Constraint(operand.iri, operator, right, unit)
        _checked(value, lambda: check_constraint(constraint, self.vocabulary))
        return constraint

    def _operand_and_phrase(self, key: Spot, name: str) -> tuple[Operand, str]:
        words = " ".join(name.split())
        for refused, why in _REFUSED.items():
            if refused in re.sub(r"(?<=[a-z])(?=[A-Z])", " ", words).casefold():
                key.fail(f"'{name}' is not supported", why)
        for phrase in phrases.ALL_PHRASES:
            if words.casefold().endswith(f" {phrase}"):
                subject = words[: -len(phrase)].strip()
                # "is at most" reads as naturally as "at most".
                subject = subject.removesuffix(" is") if phrase[:2] != "is" else subject
                return self.vocabulary.operands[self._resolve(key, subject, self.vocabulary.operand_terms)], phrase
        operand = self.vocabulary.operand_terms.find(words)
        known = phrases.operator_phrases(self.vocabulary.operands[operand]) if operand else phrases.ALL_PHRASES
        raise key.error(f"'{name}' does not say how to compare", f"end it with one of: {', '.join(known)}")

    def _several(self, spot: Spot, operand: Operand) -> tuple[str, ...]:
        return tuple(str(self._value(item, operand)[0]) for item in spot.items(f"the value of '{operand.name}'"))

    def _value(self, spot: Spot, operand: Operand) -> tuple[Value | OperandReference, str | None]:
        text = spot.text(f"the value of '{operand.name}'")
        if operand.datatype is Datatype.TERM:
            return self._resolve(spot, text, self.vocabulary.terms_of(operand)), None
        if operand.datatype is Datatype.TEXT:
            return expand(text), None
        unit = None
        if operand.unit and text.endswith(f" {operand.unit}"):
            text, unit = text.removesuffix(operand.unit).strip(), operand.unit
        try:
            return parse_value(text, operand.datatype), unit
        except InputError as error:
            other = self.vocabulary.operand_terms.find(text.removeprefix("the "))
            if other is not None:
                return OperandReference(other), None
            spot.fail(f"'{operand.name}': {error.message}", error.fix)

    def _duty(self, spot: Spot) -> Duty:
        found = _keys(spot, phrases.DUTY_KEYS, "duty") if spot.is_mapping else {"do": spot}
        _require(spot, found, ("do",), "duty")
        within: Any = None
        if "within" in found:
            within = _parsed(found["within"], Datatype.DURATION, "within")
        after = _one_of(found["counted from"], phrases.EVENTS, "event") if "counted from" in found else Event.DECISION
        duty = Duty(
            action=self._term(found["do"], self.vocabulary.duties),
            timing=_one_of(found["when"], phrases.TIMINGS, "timing") if "when" in found else Timing.PRE,
            within=within if isinstance(within, timedelta) else None,
            after=after,
            evidence=found["shown by"].text("shown by") if "shown by" in found else None,
        )
        _checked(spot, lambda: check_duty(duty, self.vocabulary))
        return duty

    def _decisions(self, spot: Spot | None) -> tuple[SiteDecision, ...]:
        if spot is None:
            return ()
        return tuple(
            SiteDecision(self._resolve(key, name, self.vocabulary.operand_terms), reason.text("the reason"))
            for key, name, reason in spot.entries("confirmed")
        )

    def _targets(self, spot: Spot | None) -> tuple[str, ...]:
        if spot is None:
            return ()
        return tuple(
            ANY_DATASET
            if item.text("a target").casefold() in (phrases.ANY_DATASET_WORDS, "syn:anydataset")
            else self._iri(item, "dataset")
            for item in spot.items("targets")
        )

    def _parties(self, spot: Spot | None) -> tuple[str, ...]:
        if spot is None:
            return ()
        if not spot.is_list and spot.text("assignees").casefold() == phrases.ANY_PARTY_WORDS:
            return ()
        return tuple(self._iri(item, "party") for item in spot.items("assignees"))

    def _iri(self, spot: Spot, kind: str) -> str:
        text = expand(spot.text(kind))
        if is_iri(text):
            return text
        if kind == "party" or not _NAME.match(text):
            spot.fail(f"'{text[:60]}' does not name a {kind}", "write its full identifier, e.g. did:web:site.example")
        return f"{self.base}/id/{kind}/{text}"

    def _term(self, spot: Spot, scheme: Hierarchy) -> str:
        return self._resolve(spot, spot.text(f"a {scheme.kind}"), scheme)

    def _resolve(self, spot: Spot, text: str, scheme: Hierarchy) -> str:
        try:
            return scheme.resolve(text)
        except InputError as error:
            spot.fail(error.message, error.fix)


def _keys(spot: Spot, known: Iterable[str], what: str) -> Mapping[str, Spot]:
    """The entries of a block; an unknown key is refused with the nearest known one."""
    names = tuple(known)
    found: dict[str, Spot] = {}
    for key, name, value in spot.entries(f"the {what}"):
        if name not in names:
            near = difflib.get_close_matches(name.casefold(), names, n=1, cutoff=0.5)
            key.fail(f"a {what} has no '{name}'", f"did you mean '{near[0]}'?" if near else f"use: {', '.join(names)}")
        found[name] = value
    return found


def _require(spot: Spot, found: Mapping[str, Spot], keys: Iterable[str], what: str) -> None:
    for key in keys:
        if key not in found:
            spot.fail(f"the {what} lacks '{key}'", f"add a line '{key}: …'")


def _one_of(spot: Spot, known: Mapping[str, T], what: str) -> T:
    text = spot.text(what)
    if text.casefold() not in known:
        near = difflib.get_close_matches(text.casefold(), known, n=1, cutoff=0.4)
        fix = f"did you mean '{near[0]}'?" if near else f"use one of: {', '.join(known)}"
        spot.fail(f"'{text}' is not a known {what}", fix)
    return known[text.casefold()]


def _law(spot: Spot | None) -> tuple[LawReference, ...]:
    return () if spot is None else tuple(_reference(item) for item in spot.items("law"))


def _reference(spot: Spot) -> LawReference:
    if spot.is_mapping:
        found = _keys(spot, ("act", "article", "eli"), "law reference")
        _require(spot, found, ("act", "article", "eli"), "law reference")
        reference = LawReference(*(found[key].text(key) for key in ("act", "article", "eli")))
        if not is_iri(reference.eli):
            found["eli"].fail(f"'{reference.eli}' is not an identifier (IRI)", "write it like https://…")
        return reference
    text = spot.text("a law reference")
    for act, eli in phrases.ACTS.items():
        article = text.removeprefix(f"{act} ").strip()
        if text.startswith(f"{act} ") and _ARTICLE.match(article):
            return LawReference(act, article, eli)
    raise spot.error(
        f"'{text}' is not a law reference that is understood",
        f"write one like 'GDPR 9(2)(j)' ({', '.join(phrases.ACTS)}), or a block with act, article and eli",
    )


def _moment(spot: Spot | None) -> datetime | None:
    if spot is None:
        return None
    value = _parsed(spot, Datatype.DATE, "the date")
    return value if isinstance(value, datetime) else None


def _parsed(spot: Spot, datatype: Datatype, what: str) -> Value:
    try:
        return parse_value(spot.text(what), datatype)
    except InputError as error:
        spot.fail(f"{what}: {error.message}", error.fix)


def _checked(spot: Spot, check: Any) -> None:
    """Run a check of meaning and put the place on what it refuses."""
    try:
        check()
    except PolicyLoadError as error:
        spot.fail(error.message, error.fix)
