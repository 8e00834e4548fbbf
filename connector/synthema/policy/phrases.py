"""The words of the authoring form: keys, operators, layers, timings, acts of law."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from synthema.policy.model import LAYER_NAMES, Combination, Event, Kind, Layer, Operator, Timing
from synthema.vocabulary import Datatype, Operand

SECTIONS: Final[Mapping[str, Kind]] = {
    "permit": Kind.PERMISSION,
    "forbid": Kind.PROHIBITION,
    "oblige": Kind.OBLIGATION,
}

POLICY_KEYS: Final = (
    *("policy", "title", "layer", "version", "law", "targets", "assigner", "assignees", "effective", "conflict"),
    *("confirmed", *SECTIONS),
)
RULE_KEYS: Final = ("id", "action", "when", "unless", "duties", "duty", "targets", "assignees", "law", "sentence")
DUTY_KEYS: Final = ("do", "when", "within", "counted from", "shown by")

LAYERS: Final[Mapping[str, Layer]] = {
    **{name: layer for layer, name in LAYER_NAMES.items()},
    **{str(layer).casefold(): layer for layer in Layer},
}

TIMINGS: Final[Mapping[str, Timing]] = {
    "before": Timing.PRE,
    "during": Timing.DURING,
    "after": Timing.POST,
    "pre": Timing.PRE,
    "post": Timing.POST,
}
TIMING_WORDS: Final = {Timing.PRE: "before", Timing.DURING: "during", Timing.POST: "after"}

EVENTS: Final[Mapping[str, Event]] = {str(event): event for event in Event}

JOINTS: Final = {"all of": "and", "any of": "or", "exactly one of": "xone"}
JOINT_WORDS: Final = {joined: words for words, joined in JOINTS.items()}

ACTS: Final[Mapping[str, str]] = {
    "EHDS": "http://data.europa.eu/eli/reg/2025/327/oj",
    "GDPR": "http://data.europa.eu/eli/reg/2016/679/oj",
    "AI Act": "http://data.europa.eu/eli/reg/2024/1689/oj",
    "Data Governance Act": "http://data.europa.eu/eli/reg/2022/868/oj",
}
"""Acts a form may cite by name → their European Legislation Identifier."""

ANY_DATASET_WORDS: Final = "any dataset of this site"
ANY_PARTY_WORDS: Final = "any party"
CONFLICT_WORDS: Final = ("prohibition wins", "prohibit", "odrl:prohibit")

_ORDERED: Final = {
    "at most": Operator.LTEQ,
    "at least": Operator.GTEQ,
    "less than": Operator.LT,
    "more than": Operator.GT,
}
_DATES: Final = {
    "on or before": Operator.LTEQ,
    "on or after": Operator.GTEQ,
    "before": Operator.LT,
    "after": Operator.GT,
}
_EXACT: Final = {"is exactly": Operator.EQ, "is not exactly": Operator.NEQ}
_TERMS: Final = {
    **_EXACT,
    "is": Operator.IS_A,
    "is any of": Operator.IS_ANY_OF,
    "is none of": Operator.IS_NONE_OF,
    "includes all of": Operator.IS_ALL_OF,
    "is part of": Operator.IS_PART_OF,
}
_TEXTS: Final = {
    "is": Operator.EQ,
    "is not exactly": Operator.NEQ,
    "is any of": Operator.IS_ANY_OF,
    "is none of": Operator.IS_NONE_OF,
}


def operator_phrases(operand: Operand) -> Mapping[str, Operator]:
    """The phrases a form may put after an operand; the same phrase always means the same operator."""
    match operand.datatype:
        case Datatype.TERM:
            return _TERMS
        case Datatype.TEXT:
            return _TEXTS
        case Datatype.BOOLEAN:
            return {"is": Operator.EQ}
        case Datatype.DATE:
            return {"is": Operator.EQ, "is not exactly": Operator.NEQ, **_DATES}
        case _:
            return {"is": Operator.EQ, "is not exactly": Operator.NEQ, **_ORDERED}


ALL_PHRASES: Final = tuple(
    sorted({*_ORDERED, *_DATES, *_TERMS, *_TEXTS, *_EXACT}, key=lambda phrase: (-len(phrase), phrase))
)
"""Every operator phrase, longest first, so that "is none of" is not read as "is"."""


def joined(condition: Combination) -> str:
    """How a form writes a combination."""
    return JOINT_WORDS[condition.joined]
