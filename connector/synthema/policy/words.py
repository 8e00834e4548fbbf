"""Conditions, duties and rules in plain British English, from the pinned labels."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType

from synthema.policy import phrases
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
    Timing,
    Value,
)
from synthema.policy.plain import Statement
from synthema.policy.values import duration_words, length_words, moment_words, number_text, value_text
from synthema.vocabulary import Datatype, Operand, Vocabulary, compact

_NO_NAMES: Mapping[str, str] = MappingProxyType({})
_LISTLIKE = re.compile(r",| and | or ")
_ORDER = {Operator.LTEQ: "at most", Operator.GTEQ: "at least", Operator.LT: "less than", Operator.GT: "more than"}
_TIME = {Operator.LTEQ: "no later than", Operator.GTEQ: "on or after", Operator.LT: "before", Operator.GT: "later than"}
_OTHERS = {Operator.IS_PART_OF: "part of", Operator.EQ: "exactly", Operator.NEQ: "other than"}
_FROM_THE_START = (Operator.LT, Operator.GTEQ)
"""Comparisons that say the same of a day and of its first moment; the others name the moment."""

_WHEN = {Timing.PRE: "beforehand", Timing.DURING: "all the while", Timing.POST: "afterwards"}

DATATYPE_WORDS = {
    Datatype.TERM: "term of the vocabulary",
    Datatype.TEXT: "text",
    Datatype.NUMBER: "number",
    Datatype.COUNT: "whole number",
    Datatype.BOOLEAN: "truth value",
    Datatype.DATE: "time",
    Datatype.DURATION: "duration",
}

_JOINED = {"and": "all of these hold", "or": "at least one of these holds", "xone": "exactly one of these holds"}

_AFTER = {
    Event.DECISION: "of the decision",
    Event.COMPLETION: "of completion",
    Event.RELEASE: "of the release",
    Event.EXPIRY: "of the end of the permit",
}


def subject(operand: Operand) -> str:
    """The operand as the subject of a sentence, e.g. "the privacy loss ε of this release", or "whether …"."""
    return f"whether {operand.label}" if operand.datatype is Datatype.BOOLEAN else f"the {operand.label}"


def value_words(value: Value, operand: Operand | None, vocabulary: Vocabulary, *, exact: bool = False) -> str:
    """A value for people: a term by its label, a count with its unit, times and durations written out.

    ``exact`` leaves nothing out, as in a policy; a decision tells a time to the minute.
    """
    match value:
        case tuple():
            return listed([value_words(item, operand, vocabulary, exact=exact) for item in value], "and")
        case bool():
            return "true" if value else "false"
        case datetime():
            return moment_words(value, exact=exact)
        case timedelta():
            return length_words(value) if exact else duration_words(value)
        case int() | float():
            return _number_words(value, operand)
        case _:
            label = vocabulary.label(value)
            free = operand is not None and operand.datatype is Datatype.TEXT and label == value
            return quoted(value) if exact and free else label


def _number_words(value: int | float, operand: Operand | None) -> str:
    text = number_text(float(value)) if isinstance(value, float) else str(value)
    # "the number of patients is at least 50 patients" would say it twice.
    told = operand is None or operand.unit is None or operand.unit in operand.label
    return text if told or operand is None else f"{text} {operand.unit}"


def quoted(text: str) -> str:
    """A text of somebody else's in quotation marks, with those it holds doubled, so that its end can be seen."""
    return f"“{text.replace('”', '””')}”"


def listed(words: Sequence[str], last: str) -> str:
    """Words as a list in a sentence: "a, b or c"."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def _choice(words: Sequence[str], last: str, lead: str) -> str:
    """Words as a list that cannot be misread where the words themselves are lists: "either of these: a; b"."""
    if len(words) > 1 and any(_LISTLIKE.search(word) for word in words):
        return f"{lead}: {'; '.join(words)}"
    return listed(words, last)


def requirement(constraint: Constraint, vocabulary: Vocabulary) -> str:
    """What follows "is" or "must be": "at most 6", "scientific research", "neither a nor b"."""
    operand = vocabulary.operands[constraint.left]
    right = constraint.right
    operator = constraint.operator
    if isinstance(right, OperandReference):
        return _with_operator(operator, [subject(vocabulary.operands[right.operand])], operand)
    if operator is Operator.GTEQ and isinstance(right, timedelta) and right == timedelta(0):
        return "known, whatever it is"  # nothing lasts less than no time, so only the unknown fails
    if isinstance(right, datetime) and operator not in _FROM_THE_START:
        return _with_operator(operator, [_with_clock(right)], operand)
    items = right if isinstance(right, tuple) else (right,)
    return _with_operator(operator, [value_words(item, operand, vocabulary, exact=True) for item in items], operand)


def _with_clock(moment: datetime) -> str:
    words = moment_words(moment, exact=True)
    return words if words.endswith("UTC") else f"{words}, 00:00 UTC"


def _with_operator(operator: Operator, items: Sequence[str], operand: Operand) -> str:
    if operator is Operator.IS_ANY_OF:
        return _choice(items, "or", "one of these") if len(items) > 1 else f"one of these: {items[0]}"
    if operator is Operator.IS_NONE_OF:
        return f"none of these: {_choice(items, 'or', 'any of')}" if len(items) > 1 else f"not {items[0]}"
    if operator is Operator.IS_ALL_OF:
        return f"such that it includes {_choice(items, 'and', 'all of these')}"
    if operator is Operator.IS_A:
        return items[0]
    order = _TIME if operand.datatype is Datatype.DATE else _ORDER
    return f"{(_OTHERS | order)[operator]} {items[0]}"


def statement(constraint: Constraint, vocabulary: Vocabulary) -> str:
    """A comparison as a clause: "the number of contributing parties is at least 3"."""
    operand = vocabulary.operands[constraint.left]
    if operand.datatype is Datatype.BOOLEAN:
        return operand.label if constraint.right is True else f"it is not so that {operand.label}"
    return f"{subject(operand)} is {requirement(constraint, vocabulary)}"


def demand(constraint: Constraint, vocabulary: Vocabulary) -> str:
    """A comparison as a demand on something just named: "it must be at least 3"."""
    operand = vocabulary.operands[constraint.left]
    if operand.datatype is Datatype.BOOLEAN:
        return f"it must {'' if constraint.right is True else 'not '}be so"
    return f"it must be {requirement(constraint, vocabulary)}"


def joined(value: Combination) -> str:
    """How the parts of a condition are joined: "all of these hold"."""
    return _JOINED[value.joined]


def parts(value: Combination, vocabulary: Vocabulary) -> tuple[Statement, ...]:
    """The parts of a condition, each as a statement with its own parts."""
    return tuple(
        Statement(f"{joined(part)}:", parts(part, vocabulary))
        if isinstance(part, Combination)
        else Statement(statement(part, vocabulary))
        for part in value.parts
    )


def conditional(lead: str, joint: str, value: Condition, vocabulary: Vocabulary) -> Statement:
    """A clause and the condition it stands under: "… may …, if the purpose is …", or "…, if all of these hold:"."""
    if isinstance(value, Constraint):
        return Statement(sentence(f"{lead}{joint} {statement(value, vocabulary)}"))
    return Statement(sentence(f"{lead}{joint} {joined(value)}:"), parts(value, vocabulary))


def duty(value: Duty, vocabulary: Vocabulary) -> str:
    """A duty as a clause: "afterwards, publish the results, within 548 days (about 18 months) of completion"."""
    words = f"{_WHEN[value.timing]}, {act(value, vocabulary)}"
    if value.within is not None:
        words += f", within {length_words(value.within)} {_AFTER[value.after]}"
    return words + _shown(value)


def act(value: Duty, vocabulary: Vocabulary) -> str:
    """What a duty asks to do, without its time."""
    return vocabulary.label(value.action)


def settling(value: Duty, vocabulary: Vocabulary) -> str:
    """A consequence or remedy as a clause; it is due at once and has no time of its own."""
    return act(value, vocabulary) + _shown(value)


def _shown(value: Duty) -> str:
    return "" if value.evidence is None else f" (to be shown by: {quoted(value.evidence)})"


def actions(iris: Sequence[str], vocabulary: Vocabulary, last: str) -> str:
    """Actions as a list in a sentence."""
    return listed([vocabulary.label(iri) for iri in iris], last)


def targets(iris: Sequence[str], names: Mapping[str, str] = _NO_NAMES) -> str:
    """The datasets of a rule."""
    return listed([target(iri, names) for iri in iris], "and")


def target(iri: str, names: Mapping[str, str] = _NO_NAMES) -> str:
    """One dataset, a collection, or any dataset; ``names`` are short names explained elsewhere."""
    if iri == ANY_DATASET:
        return "any dataset of this site"
    if phrases.COLLECTION_PATH in iri:
        return f"any dataset in the collection {names.get(iri, iri)}"
    return f"the dataset {names[iri]}" if iri in names else compact(iri)


def law(references: Sequence[LawReference]) -> str:
    """Articles in brackets, or nothing."""
    return f" ({'; '.join(map(str, references))})" if references else ""


def parties(iris: Sequence[str], names: Mapping[str, str] = _NO_NAMES) -> str:
    """The parties of a rule."""
    return listed([party(iri, names) for iri in iris], "and") if iris else "any party"


def party(iri: str, names: Mapping[str, str] = _NO_NAMES) -> str:
    """One party, or the members of a collection."""
    return f"any member of the collection {names.get(iri, iri)}" if phrases.COLLECTION_PATH in iri else iri


def rule_head(policy: Policy, rule: Rule, vocabulary: Vocabulary, names: Mapping[str, str] = _NO_NAMES) -> str:
    """Who may, must not, or has to do what on which data."""
    iris = policy.assignees_of(rule)
    who, acts = parties(iris, names), actions(rule.actions, vocabulary, "or")
    what = targets(policy.targets_of(rule), names)
    match rule.kind:
        case Kind.PERMISSION:
            return f"{who} may {acts} on {what}"
        case Kind.PROHIBITION:
            return f"{f'{who} must not' if iris else 'no party may'} {acts} on {what}"
        case Kind.OBLIGATION:
            return f"{who} allowed to {acts} on {what} {'have' if len(iris) > 1 else 'has'} a duty"


def rule_sentence(policy: Policy, rule: Rule, vocabulary: Vocabulary) -> str:
    """The rule as its author put it, or else who may or must not do what; conditions are told apart."""
    return rule.sentence or sentence(rule_head(policy, rule, vocabulary))


def sentence(words: str) -> str:
    """A clause with a capital letter (identifiers keep theirs) and a full stop."""
    first = words.split(" ", 1)[0]
    head = words[:1] if ":" in first.rstrip(":") else words[:1].upper()
    return f"{head}{words[1:]}{'' if words.endswith(('.', ':')) else '.'}"


def required_text(constraint: Constraint) -> str:
    """The right operand as text for machines."""
    right = constraint.right
    if isinstance(right, OperandReference):
        return right.operand
    return " ".join(right) if isinstance(right, tuple) else value_text(right)
