"""The model written back as the form its author could have written; reading it gives the same policy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import yaml

from synthema.policy import phrases
from synthema.policy.form_reader import ARTICLE
from synthema.policy.model import (
    ANY_DATASET,
    LAYER_NAMES,
    Combination,
    Condition,
    Constraint,
    Duty,
    Kind,
    LawReference,
    OperandReference,
    Operator,
    Policy,
    Rule,
    Timing,
)
from synthema.policy.values import form_text
from synthema.vocabulary import Datatype, Operand, Vocabulary

_DECIMAL = re.compile(r"^[+-]?\d+\.\d+$")


def write_form(policy: Policy, vocabulary: Vocabulary) -> str:
    """The policy as YAML in the authoring form, with full identifiers for policies and datasets.

    Where a rule was taken over from (``origin``) is not written: a form says ``inherits``.
    """
    value: dict[str, Any] = {
        "policy": policy.id,
        "title": policy.title,
        "layer": LAYER_NAMES[policy.layer],
        "version": policy.version,
    }
    _put(value, "inherits", _short([f"{p.policy}{phrases.OF_VERSION}{p.version}" for p in policy.inherits]))
    _put(value, "law", _laws(policy.law))
    value["targets"] = _short(_targets(policy.targets))
    _put(value, "assigner", policy.assigner)
    _put(value, "assignees", _short(_parties(policy.assignees)))
    effective: dict[str, Any] = {}
    _put(effective, "from", _moment(policy.effective_from) if policy.effective_from else None)
    _put(effective, "to", _moment(policy.effective_to) if policy.effective_to else None)
    _put(value, "effective", effective)
    _put(value, "confirmed", {vocabulary.operand_terms.name(d.operand): d.reason for d in policy.site_decisions})
    for section, kind in phrases.SECTIONS.items():
        _put(value, section, [_rule(rule, policy, vocabulary) for rule in policy.rules if rule.kind is kind])
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


class _Number(str):
    """A number as it is to stand in the form, digit for digit."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def number(self, data: _Number) -> yaml.Node:
        plain = _DECIMAL.match(data)
        return self.represent_scalar(f"tag:yaml.org,2002:{'float' if plain else 'str'}", data)


_Dumper.add_representer(_Number, _Dumper.number)


def _put(value: dict[str, Any], key: str, item: Any) -> None:
    if item not in (None, [], {}, ""):
        value[key] = item


def _rule(rule: Rule, policy: Policy, vocabulary: Vocabulary) -> dict[str, Any]:
    prefix = f"{policy.id}#"
    narrowed = {r.of: _block(r.condition, vocabulary) for r in rule.refinements}
    actions = [_where(iri, vocabulary.actions.name(iri), narrowed) for iri in rule.actions]
    value: dict[str, Any] = {"id": rule.id.removeprefix(prefix), "action": _short(actions)}
    _put(value, "law", _laws(rule.law))
    _put(value, "sentence", rule.sentence)
    _put(value, "targets", _short(_named(rule.targets, _targets(rule.targets), narrowed)))
    _put(value, "assignees", _short(_named(rule.assignees, _parties(rule.assignees), narrowed)))
    _put(value, "when", _block(rule.when, vocabulary) if rule.when else None)
    _put(value, "unless", _block(rule.unless, vocabulary) if rule.unless else None)
    if rule.kind is Kind.OBLIGATION:
        value["duty"] = _duty(rule.duties[0], vocabulary)
    else:
        _put(value, "duties", [_duty(duty, vocabulary) for duty in rule.duties])
    _put(value, "if violated", _short([_duty(duty, vocabulary) for duty in rule.remedies]))
    return value


def _named(iris: Iterable[str], names: Iterable[str], narrowed: Mapping[str, Any]) -> list[Any]:
    return [_where(iri, name, narrowed) for iri, name in zip(iris, names, strict=True)]


def _where(iri: str, name: str, narrowed: Mapping[str, Any]) -> Any:
    return {f"{name}{phrases.WHERE}": narrowed[iri]} if iri in narrowed else name


def _short(items: list[Any]) -> Any:
    return items[0] if len(items) == 1 else items


def _targets(targets: Iterable[str]) -> list[str]:
    return [
        phrases.ANY_DATASET_WORDS
        if target == ANY_DATASET
        else f"{phrases.IN_COLLECTION}{target}"
        if phrases.COLLECTION_PATH in target
        else target
        for target in targets
    ]


def _parties(parties: Iterable[str]) -> list[str]:
    return [f"{phrases.OF_COLLECTION}{party}" if phrases.COLLECTION_PATH in party else party for party in parties]


def _moment(moment: datetime) -> str:
    """A time, or the day alone where it is the day's first moment."""
    text = form_text(moment)
    return text.removesuffix("T00:00:00Z")


def _laws(references: Iterable[LawReference]) -> list[Any]:
    return [
        str(reference)
        if phrases.ACTS.get(reference.act) == reference.eli and ARTICLE.fullmatch(reference.article)
        else {"act": reference.act, "article": reference.article, "eli": reference.eli}
        for reference in references
    ]


def _block(condition: Condition, vocabulary: Vocabulary) -> dict[str, Any]:
    if isinstance(condition, Constraint):
        return dict([_line(condition, vocabulary)])
    if condition.joined != "and":
        return {phrases.joined(condition): [_block(part, vocabulary) for part in condition.parts]}
    lines = [_entry(part, vocabulary) for part in condition.parts]
    names = [name.casefold() for name, _ in lines]
    if len(names) == len(set(names)):
        return dict(lines)
    return {"all of": [_block(part, vocabulary) for part in condition.parts]}


def _entry(condition: Condition, vocabulary: Vocabulary) -> tuple[str, Any]:
    if isinstance(condition, Combination):
        return next(iter(_block(condition, vocabulary).items()))
    return _line(condition, vocabulary)


def _line(constraint: Constraint, vocabulary: Vocabulary) -> tuple[str, Any]:
    operand = vocabulary.operands[constraint.left]
    phrase = next(
        phrase for phrase, operator in phrases.operator_phrases(operand).items() if operator is constraint.operator
    )
    name = vocabulary.operand_terms.name(operand.iri)
    right = constraint.right
    if isinstance(right, OperandReference):
        return f"{name} {phrase}", vocabulary.operand_terms.name(right.operand)
    if isinstance(right, tuple):
        items = [_text(item, operand, vocabulary) for item in right]
        if constraint.operator is Operator.IS_ANY_OF and len(items) > 1:
            phrase = "is"
        return f"{name} {phrase}", items
    if isinstance(right, datetime):
        # These two compare with the first moment of a day as they do with the day; the others do not.
        whole = constraint.operator in (Operator.LT, Operator.GTEQ)
        return f"{name} {phrase}", _moment(right) if whole else form_text(right)
    text = _text(right, operand, vocabulary)
    return f"{name} {phrase}", f"{text} {constraint.unit}" if constraint.unit else text


def _text(value: Any, operand: Operand, vocabulary: Vocabulary) -> Any:
    if operand.datatype is Datatype.TERM:
        return vocabulary.terms_of(operand).name(value)
    if operand.datatype in (Datatype.COUNT, Datatype.BOOLEAN) and not isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return int(value)
    return _Number(form_text(value)) if isinstance(value, float) else form_text(value)


def _duty(duty: Duty, vocabulary: Vocabulary) -> Any:
    value: dict[str, Any] = {"do": vocabulary.duties.name(duty.action)}
    if duty.timing is not Timing.PRE:
        value["when"] = phrases.TIMING_WORDS[duty.timing]
    if duty.within is not None:
        value["within"] = form_text(duty.within)
        value["counted from"] = str(duty.after)
    _put(value, "shown by", duty.evidence)
    _put(value, "only if", _block(duty.when, vocabulary) if duty.when else None)
    _put(value, "if not kept", _short([_duty(further, vocabulary) for further in duty.consequences]))
    return value["do"] if set(value) == {"do"} else value
