"""Policies, rules and decisions for a lawyer: plain sentences, made from the same values that decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthema.policy import words
from synthema.policy.model import (
    LAYER_NAMES,
    Constraint,
    Duty,
    Kind,
    Layer,
    Operator,
    Policy,
    Rule,
)
from synthema.policy.values import moment_words
from synthema.vocabulary import Datatype, Operand, Vocabulary, compact

if TYPE_CHECKING:
    from synthema.policy.decision import Decision, Obligation, Reason

_LAYER_TITLES = {
    Layer.UNION: "Union law",
    Layer.MEMBER_STATE: "Law of the Member State",
    Layer.SITE: "The site's policy",
    Layer.DATASET: "The policy of the dataset",
    Layer.AGREEMENT: "The agreement",
}


def explain_policy(policy: Policy, vocabulary: Vocabulary) -> tuple[str, ...]:
    """The whole policy, one line for each statement."""
    lines = [f"{policy.title}, version {policy.version} (layer: {LAYER_NAMES[policy.layer]}, {policy.layer})."]
    if policy.law:
        lines.append(f"It rests on {words.listed([str(reference) for reference in policy.law], 'and')}.")
    lines.append(f"It is about {words.targets(policy.targets)}, for {words.parties(policy.assignees)}.")
    if policy.effective_from is not None:
        lines.append(f"It counts from {moment_words(policy.effective_from)}.")
    if policy.effective_to is not None:
        lines.append(f"It no longer counts from {moment_words(policy.effective_to)}.")
    for rule in policy.rules:
        lines += explain_rule(policy, rule, vocabulary)
    for decision in policy.site_decisions:
        label = vocabulary.label(decision.operand)
        lines.append(f"The data protection officer confirms the threshold for the {label}: {decision.reason}")
    return tuple(lines)


def explain_rule(policy: Policy, rule: Rule, vocabulary: Vocabulary) -> tuple[str, ...]:
    """One rule: what it says, and its conditions and duties as a list."""
    head = words.rule_head(policy, rule, vocabulary) + words.law(policy.law_of(rule))
    lines: list[str] = []
    if rule.sentence:
        lines.append(words.sentence(rule.sentence))
    if rule.when is None and rule.unless is None:
        always = ", whatever the circumstances" if rule.kind is Kind.PROHIBITION else ""
        lines.append(words.sentence(head + always))
    if rule.when is not None:
        lines.append(words.sentence(f"{head}, if {words.joined_words(rule.when)}:"))
        lines += words.condition_lines(rule.when, vocabulary)
    if rule.unless is not None:
        lead = "Unless" if rule.when is not None else words.sentence(head).rstrip(".") + ", unless"
        lines.append(f"{lead} {words.joined_words(rule.unless)}:")
        lines += words.condition_lines(rule.unless, vocabulary)
    lines += [f"  Duty: {words.sentence(words.duty(duty, vocabulary))}" for duty in rule.duties]
    return tuple(lines)


def reason_sentence(reason: Reason, vocabulary: Vocabulary) -> str:
    """One reason in one sentence: what is asked, what is the case, and what shows it."""
    if reason.operand is None or reason.operator is None or reason.required is None:
        return reason.sentence
    operand = vocabulary.operands[reason.operand]
    constraint = Constraint(reason.operand, Operator(reason.operator), reason.required)
    subject = words.subject(operand)
    if reason.actual is None:
        return words.sentence(f"nothing is known about {subject}; {_demand(reason, constraint, vocabulary)}")
    actual = words.value_words(reason.actual, operand, vocabulary)
    trouble = {
        "type": f"{subject} was given as '{actual}', which is not a {words.DATATYPE_WORDS[operand.datatype]}",
        "unit": f"{subject} was given in another unit than '{operand.unit or 'none'}'",
        "unknown-term": f"'{actual}' is not in the pinned vocabulary, so {subject} cannot be judged",
        "too-wide": f"{subject} is given as {actual}, which is too wide to judge; name it more precisely",
        "reference": f"{subject} is {actual}, but nothing is known about what it is compared with",
        "several-values": f"{subject} has several values where exactly one can be judged",
    }.get(reason.problem)
    shown = f" (shown by {compact(reason.evidence)})" if reason.evidence else ""
    fact = trouble or _fact(constraint, actual, vocabulary) + shown
    if reason.satisfied is True:
        return words.sentence(fact + _as_asked(reason, constraint, operand, vocabulary))
    return words.sentence(f"{fact}; {_demand(reason, constraint, vocabulary)}")


def _fact(constraint: Constraint, actual: str, vocabulary: Vocabulary) -> str:
    operand = vocabulary.operands[constraint.left]
    if operand.datatype is Datatype.BOOLEAN:
        return operand.label if actual == "true" else f"it is not so that {operand.label}"
    return f"{words.subject(operand)} is {actual}"


def _as_asked(reason: Reason, constraint: Constraint, operand: Operand, vocabulary: Vocabulary) -> str:
    if operand.datatype is Datatype.BOOLEAN or reason.actual == reason.required:
        return ""
    wanted = words.requirement(constraint, vocabulary)
    return f", as asked: {wanted}" if reason.effect == "permission" else f", which counts as {wanted}"


def _demand(reason: Reason, constraint: Constraint, vocabulary: Vocabulary) -> str:
    if reason.effect == "prohibition" and reason.side == "when":
        return "as long as this is open, the prohibition counts"
    return words.demand(constraint, vocabulary)


def obligation_sentence(obligation: Obligation, vocabulary: Vocabulary) -> str:
    """One obligation with its date or deadline."""
    duty = Duty(obligation.action, obligation.timing, obligation.within, obligation.after, obligation.evidence)
    due = f"; due {moment_words(obligation.due)}" if obligation.due else ""
    return words.sentence(words.duty(duty, vocabulary) + due + words.law(obligation.law))


def decision_sentences(decision: Decision) -> tuple[str, ...]:
    """The whole decision: the outcome, the decisive rules with what was found, duties, and what would change it."""
    vocabulary, request = decision.vocabulary, decision.request
    outcome = "Permitted" if decision.effect == "permit" else "Denied"
    asked = f"{request.assignee} asked on {moment_words(request.at)}"
    lines = [f"{outcome}: {asked} to {vocabulary.label(request.action)} on {request.target}."]
    last: tuple[str | None, str | None] | None = None
    for reason in decision.reasons:
        if (reason.policy, reason.rule) != last or reason.rule is None:
            lines.append(_rule_line(reason))
            last = (reason.policy, reason.rule)
        explanation = reason_sentence(reason, vocabulary)
        if explanation != reason.sentence:
            lines.append(f"  – {explanation}")
    if decision.obligations:
        lines.append("Duties:")
        lines += [f"  – {obligation_sentence(obligation, vocabulary)}" for obligation in decision.obligations]
    if decision.changes:
        lines.append("The smallest change that would permit:")
        lines += [f"  – {words.sentence(change.sentence)}" for change in decision.changes]
    if decision.unchangeable:
        lines.append(words.sentence(decision.unchangeable))
    if decision.permitted_purposes:
        labels = [vocabulary.label(iri) for iri in decision.permitted_purposes]
        lines.append(f"Permitted purposes: {words.listed(labels, 'or')}.")
    return tuple(lines)


def _rule_line(reason: Reason) -> str:
    if reason.rule is None:
        return words.sentence(reason.sentence)
    verb = {"permission": "permits", "prohibition": "forbids", "obligation": "demands"}.get(reason.effect, "speaks")
    if reason.effect == "permission" and (reason.satisfied is not True or reason.problem):
        verb = "would permit, but not as asked"
    return f"{_LAYER_TITLES[reason.layer]} {verb}{words.law(reason.law)}: {words.sentence(reason.sentence)}"
