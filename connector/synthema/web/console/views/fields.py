"""Fields of a form for facts: each operand of the vocabulary with its label, its terms, and what a value looks like."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from synthema.policy.values import from_record, value_text
from synthema.vocabulary import Datatype, Operand, Vocabulary

PREFIX: Final = "fact-"
YES_OR_NO: Final = (("true", "yes"), ("false", "no"))
_EXAMPLES: Final = {
    Datatype.NUMBER: "a number, e.g. 2 or 1e-6",
    Datatype.COUNT: "a whole number",
    Datatype.DATE: "a day, e.g. 2027-01-15",
    Datatype.DURATION: "a duration, e.g. P30D or PT12H",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its key in the form, the operand's name and label, the choices (none: free text) and a hint.

    Where ``several`` values may stand, they stand with a space between them: no term or name holds one.
    """

    key: str
    name: str
    label: str
    choices: tuple[tuple[str, str], ...]
    hint: str
    several: bool = False

    @staticmethod
    def of(operand: Operand, vocabulary: Vocabulary) -> Field:
        """The field for an operand."""
        hint = " ".join(part for part in (operand.definition, _shape(operand)) if part)
        key = PREFIX + operand.name.replace(" ", "-")
        several = operand.datatype in (Datatype.TERM, Datatype.TEXT)
        return Field(key, operand.name, _capital(operand.label), _choices(operand, vocabulary), hint, several)

    @staticmethod
    def actions(vocabulary: Vocabulary) -> tuple[tuple[str, str], ...]:
        """All acts, as choices."""
        return _sorted((term.iri, term.label) for term in vocabulary.actions)


def fields_of(vocabulary: Vocabulary, names: Iterable[str]) -> tuple[Field, ...]:
    """The fields of operands, by their names."""
    return tuple(Field.of(vocabulary.operand(name), vocabulary) for name in names)


def given_facts(fields: Iterable[Field], sent: Mapping[str, str]) -> dict[str, str]:
    """Name of an operand → what was filled in; what was left empty is not known."""
    filled = {field.name: sent.get(field.key, "").strip() for field in fields}
    return {name: text for name, text in filled.items() if text}


def text_of(recorded: list[str]) -> str:
    """A recorded fact of a kept decision as the text that its field takes back."""
    value = from_record(recorded)
    return " ".join(value) if isinstance(value, tuple) else value_text(value)


def _choices(operand: Operand, vocabulary: Vocabulary) -> tuple[tuple[str, str], ...]:
    if operand.datatype is Datatype.BOOLEAN:
        return YES_OR_NO
    if operand.datatype is not Datatype.TERM:
        return ()
    return _sorted((term.iri, term.label) for term in vocabulary.terms_of(operand))


def _sorted(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(pairs, key=lambda pair: (pair[1].casefold(), pair[0])))


def _shape(operand: Operand) -> str:
    example = _EXAMPLES.get(operand.datatype, "")
    unit = f", in {operand.unit}" if operand.unit else ""
    return f"Write {example}{unit}." if example else ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
