"""Policies, rules and decisions for a lawyer: plain sentences, made from the same values that decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthema.policy import words
from synthema.policy.model import Constraint, Duty, Layer, Operator, Policy, Rule
from synthema.policy.outline import policy_outline, rule_statement
from synthema.policy.plain import lines, statement_lines
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
    """The whole policy as lines of text."""
    return lines(policy_outline(policy, vocabulary))


def explain_rule(policy: Policy, rule: Rule, vocabulary: Vocabulary) -> tuple[str, ...]:
    """One rule as lines of text: what it says, its conditions and duties."""
    return tuple(statement_lines(rule_statement(policy, rule, vocabulary, {})))


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
    if reason.effect in ("prohibition", "obligation") and reason.side != "unless":
        return f"as long as this is open, the {reason.effect} counts"
    return words.demand(constraint, vocabulary)


def obligation_sentence(obligation: Obligation, vocabulary: Vocabulary) -> str:
    """One obligation with its date or deadline."""
    duty = Duty(obligation.action, obligation.timing, obligation.within, obligation.after, obligation.evidence)
    due = f"; due {moment_words(obligation.due)}" if obligation.due else ""
    said = words.sentence(words.duty(duty, vocabulary) + due + words.law(obligation.law))
    if not obligation.consequences:
        return said
    further = words.listed([words.settling(each, vocabulary) for each in obligation.consequences], "and")
    return f"{said} If it is not kept, nothing more is permitted until it is done and, besides: {further}."


def decision_sentences(decision: Decision) -> tuple[str, ...]:
    """The whole decision: the outcome, the decisive rules with what was found, duties, and what would change it."""
    vocabulary, request = decision.vocabulary, decision.request
    outcome = "Permitted" if decision.effect == "permit" else "Denied"
    asked = f"{request.assignee} asked on {moment_words(request.at)}"
    said = [f"{outcome}: {asked} to {vocabulary.label(request.action)} on {request.target}."]
    last: tuple[str | None, str | None] | None = None
    for reason in decision.reasons:
        if (reason.policy, reason.rule) != last or reason.rule is None:
            said.append(_rule_line(reason))
            last = (reason.policy, reason.rule)
        elif reason.operand is None:
            said.append(f"  – {reason.sentence}")
        explanation = reason_sentence(reason, vocabulary)
        if explanation != reason.sentence:
            said.append(f"  – {explanation}")
    if decision.obligations:
        said.append("Duties:")
        said += [f"  – {obligation_sentence(obligation, vocabulary)}" for obligation in decision.obligations]
    if decision.changes:
        lead = "The smallest change" if decision.changes_proven else "A change (a smaller one was not ruled out)"
        said.append(f"{lead} that would permit:")
        said += [f"  – {words.sentence(change.sentence)}" for change in decision.changes]
    if decision.unchangeable:
        said.append(words.sentence(decision.unchangeable))
    if decision.permitted_purposes:
        labels = [vocabulary.label(iri) for iri in decision.permitted_purposes]
        said.append(f"Permitted purposes: {words.listed(labels, 'or')}.")
    return tuple(said)


def _rule_line(reason: Reason) -> str:
    if reason.rule is None:
        return words.sentence(reason.sentence)
    verb = {"permission": "permits", "prohibition": "forbids", "obligation": "demands"}.get(reason.effect, "speaks")
    if reason.effect == "permission" and (reason.satisfied is not True or reason.problem):
        verb = "would permit, but not as asked"
    return f"{_LAYER_TITLES[reason.layer]} {verb}{words.law(reason.law)}: {words.sentence(reason.sentence)}"
