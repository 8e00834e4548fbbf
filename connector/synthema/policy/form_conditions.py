"""Conditions of a form: lines of "operand comparison: value", joined by "all of", "any of", "exactly one of"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from synthema.errors import InputError, PolicyLoadError
from synthema.policy import phrases
from synthema.policy.form import Spot
from synthema.policy.form_reader import Reader, checked
from synthema.policy.model import Combination, Condition, Constraint, OperandReference, Operator, Value
from synthema.policy.values import day, number_text, parse_value
from synthema.policy.wellformed import MAX_NESTING, check_condition, check_constraint
from synthema.vocabulary import Datatype, Operand, expand, spaced

_REFUSED = {
    "and sequence": "andSequence has no agreed meaning; use 'all of'",
    "has part": "hasPart has no agreed meaning here; use 'includes all of'",
}
_SETS = (Operator.IS_ANY_OF, Operator.IS_NONE_OF, Operator.IS_ALL_OF)
_MEASURED = re.compile(r"^([+-]?\d[\d.,]*(?:[eE][+-]?\d+)?)(?: (?P<word>.+)|(?P<sign>[^\W\d]+|%))$")
_DAYS = {
    Operator.LT: (Operator.LT, 0),
    Operator.GTEQ: (Operator.GTEQ, 0),
    Operator.LTEQ: (Operator.LT, 1),
    Operator.GT: (Operator.GTEQ, 1),
}
"""How a comparison with a whole day compares moments: "on or before" a day is before the next day begins."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Reads conditions; ``None`` stands for one whose mistakes are kept."""

    reader: Reader

    def read(self, spot: Spot, depth: int = 0) -> Condition | None:
        """The condition of a block, whose lines must all hold."""
        if depth > MAX_NESTING:
            spot.fail("the conditions are nested too deeply", f"nest at most {MAX_NESTING} levels")
        before = len(self.reader.problems)
        seen: set[str] = set()
        lines = spot.pairs("a condition")
        if not lines:
            spot.fail("the condition is empty", "write at least one line such as 'purpose is: health research'")
        parts: list[Condition] = []
        nothing: tuple[Condition, ...] = ()
        for key, value in lines:
            read = partial(self._line, key, value, seen, depth)
            parts += self.reader.problems.attempt(read, nothing)
        if len(self.reader.problems) > before or not parts:
            return None
        condition = parts[0] if len(parts) == 1 else Combination("and", tuple(parts))
        checked(spot, lambda: check_condition(condition, self.reader.vocabulary))
        return condition

    def _line(self, key: Spot, value: Spot, seen: set[str], depth: int) -> tuple[Condition, ...]:
        name = key.name(seen)
        plain = name.casefold()
        if plain in phrases.JOINTS:
            return self._joined(phrases.JOINTS[plain], value, depth)
        if plain in phrases.OTHER_JOINTS:
            key.fail(f"'{name}' does not join conditions", f"did you mean '{phrases.OTHER_JOINTS[plain]}'?")
        if plain in ("not", "none of", "unless"):
            key.fail(
                f"a condition has no '{name}'",
                "turn it round with 'is none of', or write 'unless' in a rule under forbid",
            )
        return (self._constraint(key, name, value),)

    def _joined(self, joined: str, spot: Spot, depth: int) -> tuple[Condition, ...]:
        before = len(self.reader.problems)
        parts: list[Condition] = []
        items = spot.listed("what is joined")
        found: tuple[Condition, ...] = self.reader.each(items, lambda item: self.read(item, depth + 1))
        for part in found:
            if isinstance(part, Combination) and part.joined == joined and joined != "xone":
                parts += part.parts
            else:
                parts.append(part)
        if joined == "and" or len(self.reader.problems) > before:
            return tuple(parts)
        if len(parts) < 2:
            spot.fail("a choice among fewer than two conditions", "give at least two, or write the one alone")
        return (Combination("or" if joined == "or" else "xone", tuple(parts)),)

    # ── one line ─────────────────────────────────────────────────────────────────────────────────────────────────

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
        several = operand.datatype in (Datatype.TERM, Datatype.TEXT)
        if operator in _SETS:
            right = self._several(value, operand)
        elif value.is_list and phrase == "is" and several:
            operator, right = Operator.IS_ANY_OF, self._several(value, operand)
        elif operand.datatype is Datatype.DATE:
            operator, right = self._time(value, operand, operator)
        else:
            right, unit = self._value(value, operand)
        constraint = Constraint(operand.iri, operator, right, unit)
        checked(value, lambda: check_constraint(constraint, self.reader.vocabulary))
        return constraint

    def _operand_and_phrase(self, key: Spot, name: str) -> tuple[Operand, str]:
        vocabulary = self.reader.vocabulary
        for refused, why in _REFUSED.items():
            if refused in spaced(name).casefold():
                key.fail(f"'{name}' is not supported", why)
        for phrase in phrases.ALL_PHRASES:
            if name.casefold().endswith(f" {phrase}"):
                subject = name[: -len(phrase)].strip()
                # "is at most" reads as naturally as "at most".
                subject = subject.removesuffix(" is") if phrase[:2] != "is" else subject
                return vocabulary.operands[self.reader.resolve(key, subject, vocabulary.operand_terms)], phrase
        raise self._no_phrase(key, name)

    def _no_phrase(self, key: Spot, name: str) -> PolicyLoadError:
        vocabulary = self.reader.vocabulary
        found = vocabulary.operand_terms.find(name)
        known = phrases.operator_phrases(vocabulary.operands[found]) if found else phrases.ALL_PHRASES
        fix = f"end it with one of: {', '.join(known)}"
        for word in phrases.OTHER_PHRASES:
            subject = vocabulary.operand_terms.find(name[: -len(word)]) if name.casefold().endswith(word) else None
            if subject is not None:
                operand = vocabulary.operands[subject]
                fitting = [p for p in phrases.meant_phrases(word) if p in phrases.operator_phrases(operand)]
                if fitting:
                    fix = "did you mean " + " or ".join(f"'{operand.name} {phrase}'" for phrase in fitting) + "?"
                    break
        return key.error(f"'{name}' does not say how to compare", fix)

    # ── its value ────────────────────────────────────────────────────────────────────────────────────────────────

    def _several(self, spot: Spot, operand: Operand) -> tuple[str, ...]:
        items = spot.items(f"the value of '{operand.name}'")
        before = len(self.reader.problems)
        found = self.reader.each(items, lambda item: str(self._value(item, operand)[0]))
        if len(self.reader.problems) > before:
            # All that is wrong with the entries is kept; the line itself is not to be read on.
            raise self.reader.problems.last
        return found

    def _value(self, spot: Spot, operand: Operand) -> tuple[Value | OperandReference, str | None]:
        text = spot.text(f"the value of '{operand.name}'")
        if operand.datatype is Datatype.TERM:
            return self.reader.resolve(spot, text, self.reader.vocabulary.terms_of(operand)), None
        if operand.datatype is Datatype.TEXT:
            return expand(text), None
        unit = None
        if operand.unit and text.endswith(f" {operand.unit}"):
            text, unit = text.removesuffix(operand.unit).strip(), operand.unit
        try:
            return parse_value(text, operand.datatype), unit
        except InputError as error:
            return self._reference(spot, text, operand, error), None

    def _reference(self, spot: Spot, text: str, operand: Operand, error: InputError) -> OperandReference:
        other = self.reader.vocabulary.operand_terms.find(text.removeprefix("the "))
        if other is not None:
            return OperandReference(other)
        measured = _MEASURED.match(text) if operand.datatype in (Datatype.NUMBER, Datatype.COUNT) else None
        if measured is not None:
            spot.fail(*_wrong_unit(measured[1], measured["word"] or measured["sign"], operand))
        raise spot.error(f"'{operand.name}': {error.message}", error.fix)

    def _time(
        self, spot: Spot, operand: Operand, operator: Operator
    ) -> tuple[Operator, datetime | timedelta | Value | OperandReference]:
        text = spot.text(f"the value of '{operand.name}'")
        try:
            whole = day(text)
        except InputError as error:
            spot.fail(f"'{operand.name}': {error.message}", error.fix)
        if whole is None:
            return operator, self._value(spot, operand)[0]
        if operator not in _DAYS:
            spot.fail(
                f"'{operand.name}' is a moment and cannot be the same as a whole day",
                "compare with 'on or after' and 'before', or give the moment, e.g. 2026-11-21T10:00:00Z",
            )
        operator, later = _DAYS[operator]
        return operator, whole[later]


def _wrong_unit(number: str, unit: str, operand: Operand) -> tuple[str, str]:
    if operand.unit:
        return (
            f"'{operand.name}' is counted in {operand.unit}, not in '{unit}'",
            f"write '{number} {operand.unit}' or {number}",
        )
    message = f"'{operand.name}' is a number without a unit, so '{unit}' is not understood"
    if unit == "%" and re.fullmatch(r"\d{1,9}(\.\d{1,9})?", number):
        return message, f"write {number_text(round(float(number) / 100, 12))}"
    return message, "write the number alone"
