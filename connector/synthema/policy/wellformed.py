"""Refuses a policy that is not understood in full: terms, operators, types, units, shapes.

Used on every way in (form, ODRL, stored policy), so that deciding never meets an
unknown. Nothing is skipped and nothing is guessed. What passes has one written form: written
as a form and read again it is the same policy, so texts hold no line breaks and identifiers
none of the short names that a form would read as something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NoReturn

from synthema.errors import PolicyLoadError
from synthema.policy.model import (
    Combination,
    Condition,
    Constraint,
    Duty,
    Event,
    Kind,
    LawReference,
    Layer,
    OperandReference,
    Operator,
    Policy,
    Rule,
    Timing,
    Value,
    conditions_of,
    constraints_of,
)
from synthema.policy.values import fits
from synthema.vocabulary import Datatype, Operand, Vocabulary, compact, expand

_ORDERED = frozenset({Operator.EQ, Operator.NEQ, Operator.LT, Operator.LTEQ, Operator.GT, Operator.GTEQ})
_SETS = frozenset({Operator.IS_ANY_OF, Operator.IS_NONE_OF, Operator.IS_ALL_OF})

OPERATORS: dict[Datatype, frozenset[Operator]] = {
    Datatype.TERM: frozenset({Operator.EQ, Operator.NEQ, Operator.IS_A, Operator.IS_PART_OF}) | _SETS,
    Datatype.TEXT: frozenset({Operator.EQ, Operator.NEQ, Operator.IS_ANY_OF, Operator.IS_NONE_OF}),
    Datatype.BOOLEAN: frozenset({Operator.EQ}),
    Datatype.NUMBER: _ORDERED,
    Datatype.COUNT: _ORDERED,
    Datatype.DATE: _ORDERED,
    Datatype.DURATION: _ORDERED,
}
"""Datatype → the operators that mean something for it."""

_REFERABLE = frozenset({Datatype.NUMBER, Datatype.COUNT, Datatype.DATE, Datatype.DURATION})
_IRI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s\x00-\x1f\x7f-\x9f\ud800-\udfff<>\"{}|\\^`]+")
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""Characters that a reader does not see and that can make a text look like another one."""
RESERVED = re.compile(r"(law|confirmed|inherited)-\d+")
"""Names that parts of a policy bear in RDF beside its rules."""
_PART_OF_RULE = re.compile(r"\.((law|action|target|assignee|duty|remedy)-\d|when|unless|duty-when)")
"""How the names of the parts of a rule continue its own in RDF."""
MAX_NESTING = 8
MAX_COUNT = 10**18 - 1
_LONGEST = timedelta(days=365_250)


def check_policy(policy: Policy, vocabulary: Vocabulary) -> None:
    """Raise :class:`PolicyLoadError` on the first thing in a policy that is not understood."""
    for iri in (policy.id, *policy.targets, *policy.assignees, *_maybe(policy.assigner)):
        _check_iri(iri)
    if type(policy.layer) is not Layer:
        _refuse(f"the policy {policy.id} speaks for no known layer", f"use one of: {', '.join(Layer)}")
    _check_parents(policy)
    if not policy.rules and not policy.inherits:
        _refuse(f"the policy {policy.id} has no rules", "add a rule under permit, forbid or oblige")
    if not policy.targets:
        _refuse(f"the policy {policy.id} has no targets", "name the datasets, or: any dataset of this site")
    _check_text(policy.title, f"the title of {policy.id}")
    _check_text(policy.version, f"the version of {policy.id}")
    _check_law(policy.law)
    _check_period(policy)
    ids = [rule.id for rule in policy.rules]
    if len(ids) != len(set(ids)) or policy.id in ids:
        _refuse(f"two rules of {policy.id} have the same identifier", "give each rule its own id")
    decided = [decision.operand for decision in policy.site_decisions]
    if len(decided) != len(set(decided)):
        _refuse(f"{policy.id} confirms the same threshold twice", "confirm each operand once")
    for decision in policy.site_decisions:
        _operand(decision.operand, vocabulary)
        _check_text(decision.reason, f"the reason that {policy.id} gives for a threshold")
    for rule in policy.rules:
        check_rule(rule, vocabulary)
    _check_names(policy, ids)


def _check_names(policy: Policy, ids: list[str]) -> None:
    """No rule bears the name of something else in the policy's record, and nothing else the name of a part of it."""
    below = policy.id + ("." if "#" in policy.id else "#")
    named = set(_named(policy))
    for name in (*ids, *named):
        if name.startswith(below) and RESERVED.fullmatch(name.removeprefix(below)):
            _refuse(f"the id '{name[:80]}' is kept for a part of the policy's record", "choose another name")
        if any(other != name and name.startswith(other) and _is_part(name, other) for other in ids):
            _refuse(f"the id '{name[:80]}' is kept for a part of a rule", "choose another name")
    for name in (policy.id, *ids):
        if name in named:
            _refuse(f"{name} bears the name of something else", "give the policy and its rules names of their own")


def _named(policy: Policy) -> Iterator[str]:
    """What a policy names besides its rules."""
    yield from (*policy.targets, *policy.assignees, *_maybe(policy.assigner))
    yield from (reference.eli for reference in policy.law)
    yield from (parent.policy for parent in policy.inherits)
    for rule in policy.rules:
        yield from (*rule.targets, *rule.assignees, *(reference.eli for reference in rule.law))
        for condition in conditions_of(rule):
            for constraint in constraints_of(condition):
                right = constraint.right
                yield from right if isinstance(right, tuple) else (right,) if isinstance(right, str) else ()


def _maybe(iri: str | None) -> tuple[str, ...]:
    return () if iri is None else (iri,)


def _is_part(rule_id: str, other: str) -> bool:
    link = "" if "#" in other else "#"
    rest = rule_id.removeprefix(other)
    return _PART_OF_RULE.match(f".{rest.removeprefix(link)}" if link and rest.startswith(link) else rest) is not None


def _check_parents(policy: Policy) -> None:
    for parent in policy.inherits:
        _check_iri(parent.policy)
        _check_text(parent.version, f"the version of {parent.policy} that {policy.id} inherits")
        if ", version " in parent.version:
            _refuse(f"the version '{parent.version[:40]}' would be read as another one", "name the version as it is")
    parents = [parent.policy for parent in policy.inherits]
    if policy.id in parents or len(parents) != len(set(parents)):
        _refuse(f"{policy.id} inherits from itself, or twice from one policy", "name each other policy once")


def _check_period(policy: Policy) -> None:
    starts, ends = policy.effective_from, policy.effective_to
    if any(moment is not None and type(moment) is not datetime for moment in (starts, ends)):
        _refuse("an effective time is not a time", "write it like 2026-11-21T10:00:00Z")
    if (starts is not None and starts.tzinfo is None) or (ends is not None and ends.tzinfo is None):
        _refuse("an effective time has no zone", "give it in UTC")
    for moment in (starts, ends):
        if moment is not None:
            _check_moment(moment, "an effective time")
    if starts is not None and ends is not None and starts >= ends:
        _refuse("the policy ends before it begins", "put 'from' before 'to'")


def _check_moment(moment: datetime, what: str) -> None:
    """A time has to exist in UTC as well: nothing is compared otherwise."""
    try:
        inside = moment.utcoffset() is not None and moment.astimezone(UTC) is not None
    except (OverflowError, ValueError):
        inside = False
    if not inside:
        _refuse(f"{what} lies outside the calendar, or has no zone", "write it like 2026-11-21T10:00:00Z")


def _check_text(text: str, what: str) -> None:
    if type(text) is not str or not text.strip():
        _refuse(f"{what} is missing", "write it in plain words")
    if _UNSEEN.search(text) or text != " ".join(text.split()):
        _refuse(f"{what} holds a line break, spaces in a row or a character that is not seen", "write it in one line")


def _check_law(references: tuple[LawReference, ...]) -> None:
    for reference in references:
        _check_text(reference.act, "the act of a law reference")
        _check_text(reference.article, "the article of a law reference")
        _check_iri(reference.eli)


def check_rule(rule: Rule, vocabulary: Vocabulary) -> None:
    """Raise :class:`PolicyLoadError` on the first thing in a rule that is not understood."""
    for iri in (rule.id, *rule.targets, *rule.assignees, *([rule.origin] if rule.origin else [])):
        _check_iri(iri)
    if type(rule.kind) is not Kind:
        _refuse(f"the rule {rule.id} is of no known kind", f"use one of: {', '.join(Kind)}")
    if not rule.actions or len(rule.actions) != len(set(rule.actions)):
        _refuse(f"the rule {rule.id} names no action, or one twice", "name each action once")
    for action in rule.actions:
        if action not in vocabulary.actions:
            _unknown(action, "action", vocabulary.actions.nearest(action))
    if rule.sentence:
        _check_text(rule.sentence, f"the sentence of the rule {rule.id}")
    _check_law(rule.law)
    _check_shape(rule)
    for condition in (rule.when, rule.unless):
        if condition is not None:
            check_condition(condition, vocabulary)
    for refinement in rule.refinements:
        check_condition(refinement.condition, vocabulary)
    _check_duties(rule, vocabulary)
    _check_refinements(rule)


def _check_duties(rule: Rule, vocabulary: Vocabulary) -> None:
    for duty in rule.duties:
        check_duty(duty, vocabulary)
    for remedy in rule.remedies:
        _check_settling(remedy, "remedy", vocabulary)
    remedies = [remedy.action for remedy in rule.remedies]
    if len(remedies) != len(set(remedies)):
        _refuse(f"the rule {rule.id} names a remedy twice", "name each remedy once")


def _check_refinements(rule: Rule) -> None:
    """Each refinement narrows exactly one thing that the rule itself names."""
    refined = [refinement.of for refinement in rule.refinements]
    if len(refined) != len(set(refined)):
        _refuse(f"the rule {rule.id} refines the same thing twice", "join the conditions in one refinement")
    for iri in refined:
        named = sum(iri in names for names in (rule.actions, rule.targets, rule.assignees))
        if named != 1:
            times = "twice" if named else "nowhere"
            _refuse(
                f"the rule {rule.id} refines '{compact(iri)[:80]}', which it names {times}",
                "refine an action, a dataset or a party that this rule names itself",
            )


def _check_shape(rule: Rule) -> None:
    if rule.unless is not None and rule.kind is not Kind.PROHIBITION:
        _refuse("'unless' belongs to prohibitions only", "write a rule under forbid, or use 'when'")
    if rule.kind is Kind.PROHIBITION and rule.duties:
        _refuse("a prohibition has no duties", "move the duties to a permission or under oblige")
    if rule.kind is Kind.OBLIGATION and len(rule.duties) != 1:
        _refuse("an obligation imposes exactly one duty", "write one entry under oblige for each duty")
    if rule.remedies and rule.kind is not Kind.PROHIBITION:
        _refuse("'remedies' belong to prohibitions only", "write what settles a broken duty as its consequences")
    for several, what in ((rule.targets, "dataset"), (rule.assignees, "party")):
        if len(several) != len(set(several)):
            _refuse(f"the rule {rule.id} names a {what} twice", "name each once")


def check_duty(duty: Duty, vocabulary: Vocabulary) -> None:
    """Raise :class:`PolicyLoadError` if a duty, its condition or a consequence of it is not understood."""
    if duty.action not in vocabulary.duties:
        _unknown(duty.action, "duty", vocabulary.duties.nearest(duty.action))
    _check_deadline(duty)
    if duty.evidence is not None:
        if not duty.evidence.strip():
            _refuse("a duty asks for evidence without saying which", "name the evidence, or leave it out")
        _check_text(duty.evidence, "the evidence of a duty")
    if duty.when is not None:
        check_condition(duty.when, vocabulary)
    for consequence in duty.consequences:
        _check_settling(consequence, "consequence", vocabulary)
    actions = [consequence.action for consequence in duty.consequences]
    if duty.action in actions or len(actions) != len(set(actions)):
        _refuse("a consequence repeats a duty", "name each further duty once; the one not kept has to be done anyhow")


def _check_deadline(duty: Duty) -> None:
    if type(duty.timing) is not Timing or type(duty.after) is not Event:
        _refuse("a duty is due at no known time", f"use one of: {', '.join(Timing)}")
    if duty.within is not None and (type(duty.within) is not timedelta or duty.within <= timedelta(0)):
        _refuse("the deadline of a duty is not a positive time", "write it like P30D")
    if duty.within is not None and duty.within > _LONGEST:
        _refuse("the deadline of a duty is more than a thousand years away", "write it like P30D")
    if duty.within is not None and duty.within.microseconds:
        _refuse("the deadline of a duty is not in whole seconds", "write it like P30D")
    if duty.within is None and duty.after is not Event.DECISION:
        _refuse("a duty says what its deadline is counted from, but has no deadline", "add 'within'")
    if duty.within is not None and duty.timing is Timing.PRE:
        _refuse("a duty to be done before the act has no deadline after it", "remove 'within', or write it as 'post'")


def _check_settling(duty: Duty, what: str, vocabulary: Vocabulary) -> None:
    """A consequence or remedy blocks everything until it is done, so it is due before, and ends there."""
    check_duty(duty, vocabulary)
    if duty.timing is not Timing.PRE:
        _refuse(f"a {what} is due at once: nothing is permitted until then", f"give the {what} no time of its own")
    if duty.consequences:
        _refuse(f"a {what} has no consequences of its own", "list all consequences at the duty itself")


def check_condition(condition: Condition, vocabulary: Vocabulary, depth: int = 0) -> None:
    """Raise :class:`PolicyLoadError` on the first comparison that is not understood."""
    if type(condition) is Constraint:
        check_constraint(condition, vocabulary)
        return
    if type(condition) is not Combination:
        _refuse("a condition is neither a comparison nor a combination of them", "write it as one of the two")
    if depth >= MAX_NESTING:
        _refuse("the conditions are nested too deeply", f"nest at most {MAX_NESTING} levels")
    if condition.joined not in ("and", "or", "xone") or len(condition.parts) < 2:
        _refuse("a combination joins fewer than two conditions", "give at least two, or write the one alone")
    for part in condition.parts:
        if isinstance(part, Combination) and part.joined == condition.joined and part.joined != "xone":
            _refuse(f"'{part.joined}' directly inside '{part.joined}'", "write the conditions in one list")
        check_condition(part, vocabulary, depth + 1)


def check_constraint(constraint: Constraint, vocabulary: Vocabulary) -> None:
    """Raise :class:`PolicyLoadError` if operand, operator, value and unit do not belong together."""
    operand = _operand(constraint.left, vocabulary)
    if type(constraint.operator) is not Operator or constraint.operator not in OPERATORS[operand.datatype]:
        allowed = ", ".join(sorted(OPERATORS[operand.datatype]))
        _refuse(
            f"the operator '{constraint.operator}' means nothing for '{operand.name}' (a {operand.datatype})",
            f"use one of: {allowed}",
        )
    if constraint.unit is not None and constraint.unit != operand.unit:
        _refuse(
            f"'{operand.name}' is not measured in '{constraint.unit}'",
            f"use the unit '{operand.unit}'" if operand.unit else "leave the unit out",
        )
    if isinstance(constraint.right, OperandReference):
        _check_reference(operand, constraint.right, vocabulary)
    else:
        _check_value(constraint, operand, vocabulary)


def _check_reference(operand: Operand, reference: OperandReference, vocabulary: Vocabulary) -> None:
    other = _operand(reference.operand, vocabulary)
    comparable = operand.datatype in _REFERABLE and other.datatype is operand.datatype and other.unit == operand.unit
    if not comparable or other.iri == operand.iri:
        _refuse(
            f"'{operand.name}' cannot be compared with '{other.name}'",
            "compare two different operands of the same kind and unit",
        )


def _check_value(constraint: Constraint, operand: Operand, vocabulary: Vocabulary) -> None:
    right = constraint.right
    if isinstance(right, OperandReference) or not fits(right, operand.datatype):
        _refuse(f"the value for '{operand.name}' is not a {operand.datatype}", f"give a {operand.datatype}")
    several = isinstance(right, tuple)
    if several is not (constraint.operator in _SETS):
        wanted = "a list of terms" if not several else "one term"
        _refuse(f"'{constraint.operator}' takes {wanted}", "give a list to isAnyOf, isNoneOf and isAllOf only")
    items = right if isinstance(right, tuple) else (right,)
    if len(items) != len(set(items)):
        _refuse(f"the value for '{operand.name}' names a term twice", "name each term once")
    _check_range(right, operand)
    if operand.datatype is Datatype.TERM:
        scheme = vocabulary.terms_of(operand)
        for item in items:
            if item not in scheme:
                _unknown(str(item), scheme.kind, scheme.nearest(str(item)))


def _check_range(right: Value, operand: Operand) -> None:
    """What a form can write, and a person mean."""
    what = f"the value for '{operand.name}'"
    if operand.datatype is Datatype.NUMBER and type(right) is int:
        _refuse(f"{what} is written as a count", "write it as a number (xsd:double)")
    if type(right) is int and not 0 <= right <= MAX_COUNT:
        _refuse(f"{what} is negative or has more than 18 digits", "write a whole number, e.g. 5")
    if type(right) is timedelta and (right < timedelta(0) or right.microseconds):
        _refuse(f"{what} is not a duration in whole seconds", "write it like P30D")
    if type(right) is datetime:
        _check_moment(right, what)
    if operand.datatype is Datatype.TEXT:
        for text in right if isinstance(right, tuple) else (str(right),):
            _check_text(text, what)


def _operand(iri: str, vocabulary: Vocabulary) -> Operand:
    if iri not in vocabulary.operands:
        _unknown(iri, "operand", vocabulary.operand_terms.nearest(iri))
    return vocabulary.operands[iri]


def is_iri(text: str) -> bool:
    """Whether a text can stand as an absolute IRI."""
    return type(text) is str and _IRI.fullmatch(text) is not None


def _check_iri(iri: str) -> None:
    if not is_iri(iri):
        _refuse(f"'{str(iri)[:80]}' is not a full identifier (IRI)", "write it like https://… or did:web:…")
    if expand(iri) != iri:
        _refuse(f"'{iri[:80]}' is a short name, not a full identifier", f"write '{expand(iri)[:120]}'")


def _unknown(text: str, kind: str, near: str | None) -> NoReturn:
    raise PolicyLoadError(
        f"'{compact(text)[:80]}' is not a known {kind}",
        fix=f"did you mean '{near}'?" if near else "use a term of the pinned vocabulary",
    )


def _refuse(message: str, fix: str) -> NoReturn:
    raise PolicyLoadError(message, fix=fix)


def all_constraints(policy: Policy) -> Iterator[tuple[Rule, Constraint]]:
    """Every comparison of a policy with the rule it stands in."""
    for rule in policy.rules:
        for condition in conditions_of(rule):
            for constraint in constraints_of(condition):
                yield rule, constraint
