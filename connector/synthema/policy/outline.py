"""What a policy means, statement by statement, made from the same values that decide.

Nothing is left out: two policies that differ in more than identifiers read differently.
Datasets and collections go by their names, and the names are explained at the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from synthema.policy import words
from synthema.policy.model import LAYER_NAMES, Combination, Duty, Kind, Policy, Rule, conditions_of, constraints_of
from synthema.policy.odrl_writing import policy_digest
from synthema.policy.plain import Outline, Statement
from synthema.policy.values import moment_words
from synthema.vocabulary import Datatype, Vocabulary

_KINDS = ("dataset", "collection", "policy")


def policy_outline(policy: Policy, vocabulary: Vocabulary) -> Outline:
    """The whole policy: what it is about, its rules, what was confirmed, and the names it uses."""
    names = short_names(policy)
    return Outline(
        title=_title(policy),
        opening=tuple(Statement(text) for text in _opening(policy, names)),
        numbered=tuple(rule_statement(policy, rule, vocabulary, names) for rule in policy.rules),
        closing=tuple(Statement(text) for text in _closing(policy, names, vocabulary)),
        record=(
            ("Policy", policy.id),
            ("Version", policy.version),
            ("Digest", policy_digest(policy)),
            ("Vocabulary", vocabulary.version),
        ),
    )


def _title(policy: Policy) -> str:
    layer = f"layer: {LAYER_NAMES[policy.layer]}, {policy.layer}"
    return f"{_plain(policy.title)}, version {_plain(policy.version)} ({layer})."


def short_names(policy: Policy) -> Mapping[str, str]:
    """Identifier → the name it goes by, for datasets, collections and policies whose last part is theirs alone."""
    named = [*policy.targets, *policy.assignees, *(parent.policy for parent in policy.inherits)]
    for rule in policy.rules:
        named += [*rule.targets, *rule.assignees, rule.origin]
    found = {
        iri: iri.rpartition(f"/id/{kind}/")[2] for iri in sorted(set(named)) for kind in _KINDS if f"/id/{kind}/" in iri
    }
    often = Counter(found.values())
    return {iri: name for iri, name in found.items() if name and often[name] == 1}


def _opening(policy: Policy, names: Mapping[str, str]) -> Iterator[str]:
    if policy.law:
        yield f"It rests on {words.listed([str(reference) for reference in policy.law], 'and')}."
    for parent in policy.inherits:
        yield f"It takes over the rules of {_policy(parent.policy, names)}, version {_plain(parent.version)}."
    if policy.assigner is not None:
        yield f"It is given by {words.party(policy.assigner, names)}."
    yield f"It is about {words.targets(policy.targets, names)}, for {words.parties(policy.assignees, names)}."
    if policy.effective_from is not None:
        yield f"It counts from {moment_words(policy.effective_from, exact=True)}."
    if policy.effective_to is not None:
        yield f"It no longer counts from {moment_words(policy.effective_to, exact=True)}."


def _closing(policy: Policy, names: Mapping[str, str], vocabulary: Vocabulary) -> Iterator[str]:
    for decision in policy.site_decisions:
        label = vocabulary.label(decision.operand)
        yield f"The data protection officer confirms the threshold for the {label}: {words.quoted(decision.reason)}."
    if _names_days(policy, vocabulary):
        yield "A day begins and ends at midnight UTC."
    for iri, name in names.items():
        yield f"In this policy, {name} stands for {iri}."


def _names_days(policy: Policy, vocabulary: Vocabulary) -> bool:
    compared = (c.left for rule in policy.rules for condition in conditions_of(rule) for c in constraints_of(condition))
    dated = any(vocabulary.operands[left].datatype is Datatype.DATE for left in compared)
    return dated or policy.effective_from is not None or policy.effective_to is not None


def rule_statement(policy: Policy, rule: Rule, vocabulary: Vocabulary, names: Mapping[str, str]) -> Statement:
    """One rule: what it says, then what narrows it, its exception, its duties and what follows a breach."""
    said = _head(policy, rule, vocabulary, names)
    remarks = tuple(_remarks(rule, vocabulary, names))
    if not rule.sentence:
        return Statement(said.text, said.parts, remarks)
    in_full = Statement(f"In full: {said.text}", said.parts)
    return Statement(words.sentence(rule.sentence), remarks=(in_full, *remarks))


def _head(policy: Policy, rule: Rule, vocabulary: Vocabulary, names: Mapping[str, str]) -> Statement:
    head = words.rule_head(policy, rule, vocabulary, names) + words.law(policy.law_of(rule))
    if rule.when is not None:
        return words.conditional(head, ", if", rule.when, vocabulary)
    if rule.unless is not None:
        return words.conditional(head, ", unless", rule.unless, vocabulary)
    return Statement(words.sentence(head + (", whatever the circumstances" if rule.kind is Kind.PROHIBITION else "")))


def _remarks(rule: Rule, vocabulary: Vocabulary, names: Mapping[str, str]) -> Iterator[Statement]:
    if rule.when is not None and rule.unless is not None:
        yield words.conditional("This does not count", " where", rule.unless, vocabulary)
    for refinement in rule.refinements:
        thing = words.quoted(_thing(refinement.of, rule, vocabulary, names))
        yield words.conditional(f"Here {thing} is meant", " only where", refinement.condition, vocabulary)
    for duty in rule.duties:
        yield _duty(duty, vocabulary)
    if rule.remedies:
        yield _settled(
            "Once it was violated, nothing is permitted until all of this is done", rule.remedies, vocabulary
        )
    if rule.origin:
        yield Statement(f"This rule is taken over from {_policy(rule.origin, names)}.")


def _thing(iri: str, rule: Rule, vocabulary: Vocabulary, names: Mapping[str, str]) -> str:
    if iri in rule.actions:
        return vocabulary.label(iri)
    return words.target(iri, names) if iri in rule.targets else words.party(iri, names)


def _duty(duty: Duty, vocabulary: Vocabulary) -> Statement:
    text = f"Duty: {words.sentence(words.duty(duty, vocabulary))}"
    said = Statement(text)
    if duty.when is not None:
        said = words.conditional(text.removesuffix("."), ", but only if", duty.when, vocabulary)
    if not duty.consequences:
        return said
    lead = "If this duty is not kept, nothing more is permitted until it is done all the same and, besides"
    return Statement(said.text, said.parts, (_settled(lead, duty.consequences, vocabulary),))


def _settled(lead: str, duties: tuple[Duty, ...], vocabulary: Vocabulary) -> Statement:
    def one(duty: Duty) -> Statement:
        text = words.settling(duty, vocabulary)
        if duty.when is None:
            return Statement(text)
        if isinstance(duty.when, Combination):
            return Statement(f"{text}, but only if {words.joined(duty.when)}:", words.parts(duty.when, vocabulary))
        return Statement(f"{text}, but only if {words.statement(duty.when, vocabulary)}")

    return Statement(f"{lead}:", tuple(one(duty) for duty in duties))


def _policy(iri: str, names: Mapping[str, str]) -> str:
    return f"the policy {names[iri]}" if iri in names else iri


def _plain(text: str) -> str:
    """A title or version as it is, or in quotation marks where its end could not be seen."""
    return words.quoted(text) if any(sign in text for sign in (", version ", " (layer", "”")) else text
