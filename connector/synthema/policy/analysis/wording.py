"""Cells and boxes in plain words: which acts, which datasets, which values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from synthema.policy import words
from synthema.policy.analysis.dimensions import OTHER, UNKNOWN, Cell, Dimension
from synthema.policy.analysis.order import Interval
from synthema.policy.model import Combination, Condition, Constraint
from synthema.vocabulary import Datatype, Hierarchy, Operand, Vocabulary
from synthema.vocabulary.namespaces import compact

MAX_LISTED = 8


def told(condition: Condition, vocabulary: Vocabulary) -> str:
    """A condition in one line, its parts in brackets where they nest."""
    if isinstance(condition, Constraint):
        return words.statement(condition, vocabulary)
    parts = (
        f"({told(part, vocabulary)})" if isinstance(part, Combination) else told(part, vocabulary)
        for part in condition.parts
    )
    return f"{words.joined(condition)}: {'; '.join(parts)}"


def clause(dimension: Dimension, mask: int, vocabulary: Vocabulary) -> str:
    """What a mask says of a dimension, as a clause: "the privacy loss ε is more than 6 and at most 8"."""
    return _CLAUSES[dimension.kind](dimension, mask, vocabulary)


def _ordered(dimension: Dimension, mask: int, vocabulary: Vocabulary) -> str:
    operand = _operand(dimension)
    said = [interval_words(interval, operand, vocabulary) for interval in intervals(dimension, mask)]
    if any(cell.missing for cell in dimension.chosen(mask)):
        said.append("not stated")
    return f"{words.subject(operand)} is {words.listed(said, 'or')}"


def intervals(dimension: Dimension, mask: int) -> list[Interval]:
    """The values of a mask as intervals that do not touch."""
    found: list[Interval] = []
    for cell in dimension.chosen(mask):
        one = cell.interval
        if one is None:
            continue
        last = found[-1] if found else None
        if (
            last is not None
            and last.high is not None
            and last.high == one.low
            and not (last.high_open and one.low_open)
        ):
            found[-1] = Interval(last.low, last.low_open, one.high, one.high_open)
        else:
            found.append(one)
    return found


def interval_words(interval: Interval, operand: Operand, vocabulary: Vocabulary) -> str:
    """An interval after "is": "at most 6", "more than 6 and at most 8", "exactly 6"."""

    def told(value: Any) -> str:
        return words.value_words(value, operand, vocabulary)

    if interval.low is None and interval.high is None:
        return "stated"
    if interval.low == interval.high:
        return f"exactly {told(interval.low)}"
    date = operand.datatype is Datatype.DATE
    above = {True: "after" if date else "more than", False: "on or after" if date else "at least"}
    below = {True: "before" if date else "less than", False: "on or before" if date else "at most"}
    parts = []
    if interval.low is not None:
        parts.append(f"{above[interval.low_open]} {told(interval.low)}")
    if interval.high is not None:
        parts.append(f"{below[interval.high_open]} {told(interval.high)}")
    return " and ".join(parts)


def _boolean(dimension: Dimension, mask: int, _: Vocabulary) -> str:
    label = _operand(dimension).label
    values = {cell.value if isinstance(cell.value, bool) else None for cell in dimension.chosen(mask)}
    said: dict[frozenset[bool | None], str] = {
        frozenset({True}): label,
        frozenset({False}): f"it is not so that {label}",
        frozenset({None}): f"it is not stated whether {label}",
        frozenset({True, False}): f"it is stated whether {label}",
        frozenset({True, None}): f"{label}, or this is not stated",
        frozenset({False, None}): f"it is not shown that {label}",
    }
    return said[frozenset(values)]


def _relation(dimension: Dimension, mask: int, vocabulary: Vocabulary) -> str:
    first, second = (vocabulary.operands[iri] for iri in dimension.key.split())
    values = {str(cell.value) for cell in dimension.chosen(mask)}
    compared = {
        "<": "less than", "=": "equal to", ">": "more than", "<=": "at most", "=>": "at least", "<>": "other than",
        "<=>": "stated, and so is",
    }  # fmt: skip
    known = "".join(word for word in "<=>" if word in values)
    said = [f"{words.subject(first)} is {compared[known]} {words.subject(second)}"] if known else []
    if "unknown" in values:
        said.append(f"{words.subject(first)} or {words.subject(second)} is not stated")
    return ", or ".join(said)


def _duty(dimension: Dimension, mask: int, vocabulary: Vocabulary) -> str:
    _, action, how = dimension.key.split()
    shown = " and shown by evidence" if how == "shown" else ""
    done = f"this was done{shown}" if mask == 0b10 else f"this was not done{shown}"
    return f"{done}: {vocabulary.label(action)}"


def _action(dimension: Dimension, mask: int, vocabulary: Vocabulary) -> str:
    return f"the act is to {acts(dimension, mask, vocabulary)}"


def acts(dimension: Dimension, mask: int, vocabulary: Vocabulary) -> str:
    """The acts of a mask, as what follows "to"."""
    if mask == dimension.full:
        return "do anything"
    return terms({str(cell.value) for cell in dimension.chosen(mask)}, vocabulary.actions, "any other act than to")


def _name(dimension: Dimension, mask: int, _: Vocabulary) -> str:
    what = "the dataset" if dimension.key == "target" else "the party"
    if all(cell.value == () for cell in dimension.chosen(mask)):
        return f"{what} is any other than those that are named"
    return f"{what} is {_members(dimension, mask, lambda names: words.listed([compact(n) for n in names], 'or'))}"


def _set(dimension: Dimension, mask: int, vocabulary: Vocabulary) -> str:
    operand = _operand(dimension)
    if operand.datatype is Datatype.TEXT:
        return f"{words.subject(operand)} is {_members(dimension, mask, _texts)}"
    scheme = vocabulary.terms_of(operand)
    return f"{words.subject(operand)} is {_members(dimension, mask, lambda found: terms(set(found), scheme))}"


def _texts(found: Sequence[str]) -> str:
    named = [f"'{text}'" for text in found if text != OTHER]
    return words.listed([*named, *(["any other text"] if OTHER in found else [])], "or")


def terms(wanted: set[str], scheme: Hierarchy, but: str = "any other than") -> str:
    """Terms by the widest that covers them: "health research", "marketing (as such)"."""
    known = wanted & set(scheme.terms)
    rest = set(scheme.terms) - known
    said, unsaid = _cover(known, scheme), _cover(rest, scheme)
    if not rest:
        return "any known term"
    if len(unsaid) < len(said):
        return f"{but} {words.listed(unsaid, 'or')}"
    return words.listed(said, "or")


def _cover(wanted: set[str], scheme: Hierarchy) -> list[str]:
    """The fewest labels: a term stands for all its kinds; "as such", for itself only."""
    whole = {term for term in wanted if scheme.descendants(term) <= wanted}
    tops = [term for term in sorted(whole) if not (scheme.ancestors(term) - {term}) & whole]
    alone = sorted(wanted - whole)
    return [*(scheme.label(term) for term in tops), *(f"{scheme.label(term)} (as such)" for term in alone)]


def _members(dimension: Dimension, mask: int, say: Callable[[Sequence[str]], str]) -> str:
    """A mask of a set: the values it takes alone, and in which company it takes several."""
    cells = dimension.chosen(mask)
    alone = frozenset().union(*(cell.singles for cell in cells))
    several = [cell for cell in dimension.cells if cell.most is not None]
    taken = [cell for cell in cells if cell.most is not None]

    def labels(numbers: Iterable[int]) -> list[str]:
        members = [item for number in sorted(numbers) for item in dimension.items[number]]
        known = [item for item in members if item not in (UNKNOWN, "")]
        return [*([say(known)] if known else []), *(["too unclear to tell"] if len(known) < len(members) else [])]

    said = labels(alone)
    company = _company(alone, several, taken, lambda numbers: words.listed(labels(numbers), "or"))
    if dimension.kind == "name" and company is not None:
        company = _belonging(company, everywhere=len(alone) == len(dimension.items))
    if any(cell.missing or cell.value == () for cell in cells):
        said.append("any other" if dimension.kind == "name" else "not stated")
    if company is None:
        sets = [
            words.listed([say([item]) for item in _several_of(cell)], "with") for cell in taken if _several_of(cell)
        ]
        company = f"; also several at once in some combinations, such as {'; '.join(sets[:MAX_LISTED])}" if sets else ""
        said = said or ["a combination"]
    return f"{words.listed(said, 'or')}{company}" if said else company.removeprefix(", ")


def _several_of(cell: Cell) -> tuple[str, ...]:
    """The values of a cell of several, if all of them can be named."""
    return cell.value if isinstance(cell.value, tuple) and not {UNKNOWN, ""} & set(cell.value) else ()


def _belonging(company: str, *, everywhere: bool) -> str:
    """Who belongs to one collection may belong to others as well: that is nothing to tell, the contrary is."""
    if everywhere or company == _AMONG_OTHERS:
        return ""
    return " and nothing else that is named" if company in ("", " alone") else company


_AMONG_OTHERS = ", also among other values"


def _company(
    alone: frozenset[int], several: Sequence[Cell], taken: Sequence[Cell], label: Callable[[Iterable[int]], str]
) -> str | None:
    """What goes together, if a short phrase says it exactly; ``None`` if none does."""

    def among(numbers: frozenset[int]) -> list[Cell]:
        return [cell for cell in several if cell.most is not None and cell.most <= numbers]

    everything = frozenset().union(*(cell.most or () for cell in several))
    together = frozenset().union(*(cell.most or () for cell in taken))
    if not taken:
        return " alone" if several and alone else ""
    if taken == among(alone):
        return ""
    if taken == [cell for cell in several if cell not in among(everything - alone)]:
        return _AMONG_OTHERS
    if alone <= together and taken == [c for c in among(together) if c not in among(together - alone)]:
        return f", also together with {label(together - alone)}"
    if not alone and taken == several:
        return ", several at once"
    return None


def _operand(dimension: Dimension) -> Operand:
    if dimension.operand is None:
        raise ValueError(f"{dimension.key} is no operand")
    return dimension.operand


_CLAUSES: dict[str, Callable[[Dimension, int, Vocabulary], str]] = {
    "ordered": _ordered,
    "boolean": _boolean,
    "relation": _relation,
    "duty": _duty,
    "action": _action,
    "name": _name,
    "set": _set,
}
