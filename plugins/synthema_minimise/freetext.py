"""Free text: what a machine finds of a person is taken out, and what it cannot find is said (extra ``freetext``).

Built on presidio's recognisers for phone numbers, bank accounts, dates and patterns of our own. Two things are found
for sure: words that the caller knows (the patient's names and numbers, from the record the text belongs to) and what
has a fixed form. Names that nobody told are **not** found: that takes a language model, which presidio would fetch
from the network, and we fetch nothing. So a redacted text stays personal data and is read by a person before it is
used. Recognisers of presidio that ask the network (web addresses, its own for e-mail) are not used.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

__all__ = ["MISSES", "Redacted", "redact"]

MISSES = (
    "Not found: names, places and employers that nobody named beforehand, misspelt names, relatives, dates in words, "
    "rare stories that point to one person. Have a person read the text before it is used."
)
MISSING = "free text needs one more package: pip install 'synthema[freetext]'"
SHORTEST_KNOWN = 3
"""A shorter word that is known, such as an initial, would take half the text with it."""

_PATTERNS = {
    "EMAIL": r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    "WEB": r"(?:https?://|www\.)\S+",
    "DATE": r"\b(?:\d{1,2}[./-]\d{1,2}[./-](?:\d{4}|\d{2})|\d{4}-\d{2}-\d{2})\b",
    "NUMBER": r"\b\d{6,}\b",
}
_PRESIDIO = {"PhoneRecognizer": "PHONE", "IbanRecognizer": "ACCOUNT", "DateRecognizer": "DATE"}


@dataclass(frozen=True, slots=True)
class Redacted:
    """A text with marks such as ``[DATE]``, how often each was set, and what was not looked for."""

    text: str
    found: dict[str, int]
    misses: str = MISSES


def redact(text: str, known: Iterable[str] = ()) -> Redacted:
    """Take out what is found of persons.

    ``known`` are words of the record that the text belongs to: names and numbers of the patient, names of staff.
    They are found as whole words, whatever their case. Raises ``ValueError`` without the extra.
    """
    spans: list[tuple[int, int, str]] = []
    words = sorted({word.strip() for word in known if len(word.strip()) >= SHORTEST_KNOWN}, key=len, reverse=True)
    for word in words:
        pattern = rf"(?<!\w){re.escape(word)}(?!\w)"
        spans += [(*found.span(), "KNOWN") for found in re.finditer(pattern, text, re.IGNORECASE)]
    for mark, recogniser in _recognisers():
        answer = recogniser.analyze(text, recogniser.supported_entities, None)
        spans += [(each.start, each.end, mark) for each in answer]
    return _marked(text, _apart(spans))


def _recognisers() -> list[tuple[str, Any]]:
    try:
        presidio = import_module("presidio_analyzer")
        known = import_module("presidio_analyzer.predefined_recognizers")
    except ImportError as error:
        raise ValueError(MISSING) from error
    own = [
        (
            mark,
            presidio.PatternRecognizer(supported_entity=mark, patterns=[presidio.Pattern(mark, pattern, 1.0)]),
        )
        for mark, pattern in _PATTERNS.items()
    ]
    return [*own, *((mark, getattr(known, name)()) for name, mark in _PRESIDIO.items())]


def _apart(spans: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Spans that overlap become one, with the mark of the longest."""
    joined: list[tuple[int, int, str]] = []
    longest = 0
    for start, end, mark in sorted(spans, key=lambda span: (span[0], -span[1])):
        if joined and start < joined[-1][1]:
            first, last, before = joined.pop()
            wins = end - start > longest
            joined.append((first, max(last, end), mark if wins else before))
            longest = max(longest, end - start)
        else:
            joined.append((start, end, mark))
            longest = end - start
    return joined


def _marked(text: str, spans: list[tuple[int, int, str]]) -> Redacted:
    parts, place = [], 0
    for start, end, mark in spans:
        parts += [text[place:start], f"[{mark}]"]
        place = end
    return Redacted("".join([*parts, text[place:]]), dict(Counter(mark for _, _, mark in spans)))
