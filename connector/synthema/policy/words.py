"""Conditions, duties and rules in plain British English, from the pinned labels."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

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
from synthema.policy.values import duration_words, moment_words, number_text, value_text
from synthema.vocabulary import Datatype, Operand, Vocabulary, compact

_ORDER = {Operator.LTEQ: "at most", Operator.GTEQ: "at least", Operator.LT: "less than", Operator.GT: "more than"}
_TIME = {Operator.LTEQ: "on or before", Operator.GTEQ: "on or after", Operator.LT: "before", Operator.GT: "after"}

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
    """The operand as the subject of a sentence, e.g. "the privacy loss ε of this release"."""
    return f"the {operand.label}"


def value_words(value: Value, operand: Operand | None, vocabulary: Vocabulary) -> str:
    """A value for people: a term by its label, a count with its unit, times and durations written out."""
    if isinstance(value, tuple):
        return listed([value_words(item, operand, vocabulary) for item in value], "and")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return moment_words(value)
    if isinstance(value, timedelta):
        return duration_words(value)
    if isinstance(value, int | float):
        text = number_text(float(value)) if isinstance(value, float) else str(value)
        # "the number of patients is at least 50 patients" would say it twice.
        told = operand is None or operand.unit is None or operand.unit in operand.label
        return text if told or operand is None else f"{text} {operand.unit}"
    return vocabulary.label(value)


def listed(words: Sequence[str], last: str) -> str:
    """Words as a list in a sentence: "a, b or c"."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def requirement(constraint: Constraint, vocabulary: Vocabulary) -> str:
    """What follows "is" or "must be": "at most 6", "scientific research", "neither a nor b"."""
    operand = vocabulary.operands[constraint.left]
    right = constraint.right
    if isinstance(right, OperandReference):
        compared = subject(vocabulary.operands[right.operand])
    else:
        compared = value_words(right, operand, vocabulary)
    return _with_operator(constraint.operator, compared, right, operand, vocabulary)


def _with_operator(
    operator: Operator, compared: str, right: Value | OperandReference, operand: Operand, vocabulary: Vocabulary
) -> str:
    items = [vocabulary.label(item) for item in right] if isinstance(right, tuple) else [compared]
    if operator is Operator.IS_NONE_OF:
        return f"not {items[0]}" if len(items) == 1 else f"none of these: {listed(items, 'or')}"
    order = _TIME if operand.datatype is Datatype.DATE else _ORDER
    phrases = {
        Operator.IS_A: compared,
        Operator.IS_ANY_OF: listed(items, "or"),
        Operator.IS_ALL_OF: f"such that it includes {listed(items, 'and')}",
        Operator.IS_PART_OF: f"part of {compared}",
        Operator.EQ: f"exactly {compared}",
        Operator.NEQ: f"other than {compared}",
    }
    return phrases.get(operator) or f"{order[operator]} {compared}"


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


def condition(value: Condition, vocabulary: Vocabulary) -> str:
    """A condition as one clause, with its parts in brackets where they nest."""
    if isinstance(value, Constraint):
        return statement(value, vocabulary)
    words = [
        f"({condition(part, vocabulary)})" if isinstance(part, Combination) else condition(part, vocabulary)
        for part in value.parts
    ]
    if value.joined == "xone":
        return f"exactly one of these holds: {'; '.join(words)}"
    return listed(words, value.joined)


def condition_lines(value: Condition, vocabulary: Vocabulary, indent: str = "  ") -> list[str]:
    """A condition as a list, one line for each part."""
    if isinstance(value, Constraint):
        return [f"{indent}– {statement(value, vocabulary)}"]
    lines: list[str] = []
    for part in value.parts:
        if isinstance(part, Combination):
            lines.append(f"{indent}– {_JOINED[part.joined]}:")
            lines += condition_lines(part, vocabulary, indent + "  ")
        else:
            lines += condition_lines(part, vocabulary, indent)
    return lines


def joined_words(value: Condition) -> str:
    """How the parts of a condition are joined: "all of these hold"."""
    return _JOINED[value.joined] if isinstance(value, Combination) else "this holds"


def duty(value: Duty, vocabulary: Vocabulary) -> str:
    """A duty as a clause: "publish the results, within 548 days of completion"."""
    words = vocabulary.label(value.action)
    match value.timing:
        case Timing.PRE:
            words = f"beforehand, {words}"
        case Timing.DURING:
            words = f"all the while, {words}"
        case Timing.POST:
            words = f"afterwards, {words}"
    if value.within is not None:
        words += f", within {duration_words(value.within)} {_AFTER[value.after]}"
    if value.evidence is not None:
        words += f" (to be shown by: {value.evidence})"
    return words


def actions(iris: Sequence[str], vocabulary: Vocabulary, last: str) -> str:
    """Actions as a list in a sentence."""
    return listed([vocabulary.label(iri) for iri in iris], last)


def targets(iris: Sequence[str]) -> str:
    """The datasets of a rule."""
    if ANY_DATASET in iris:
        return "any dataset of this site"
    return listed([compact(iri) for iri in iris], "and")


def law(references: Sequence[LawReference]) -> str:
    """Articles in brackets, or nothing."""
    return f" ({'; '.join(map(str, references))})" if references else ""


def parties(iris: Sequence[str]) -> str:
    """The parties of a rule."""
    return listed(list(iris), "and") if iris else "any party"


def rule_head(policy: Policy, rule: Rule, vocabulary: Vocabulary) -> str:
    """Who may, must not, or has to do what on which data."""
    parties_ = policy.assignees_of(rule)
    acts, what = actions(rule.actions, vocabulary, "or"), targets(policy.targets_of(rule))
    match rule.kind:
        case Kind.PERMISSION:
            return f"{parties(parties_)} may {acts} on {what}"
        case Kind.PROHIBITION:
            return f"{f'{parties(parties_)} must not' if parties_ else 'no party may'} {acts} on {what}"
        case Kind.OBLIGATION:
            return f"{parties(parties_)} allowed to {acts} on {what} has a duty"


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
