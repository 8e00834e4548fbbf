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
    *("policy", "title", "layer", "version", "inherits", "law", "targets", "assigner", "assignees", "effective"),
    *("conflict", "confirmed", *SECTIONS),
)
RULE_KEYS: Final = (
    *("id", "action", "when", "unless", "duties", "duty", "if violated", "targets", "assignees", "law", "sentence"),
)
DUTY_KEYS: Final = ("do", "when", "within", "counted from", "shown by", "only if", "if not kept")
SETTLING_KEYS: Final = ("do", "shown by", "only if")
"""What a consequence or a remedy may say: it is due at once, so it has no time of its own."""

MISPLACED: Final[Mapping[Kind, Mapping[str, tuple[str, str]]]] = {
    Kind.PERMISSION: {
        "unless": ("'unless' belongs to prohibitions only", "write a rule under forbid, or use 'when'"),
        "duty": ("'duty' does not belong here", "write 'duties'"),
        "if violated": ("'if violated' belongs to prohibitions only", "write 'if not kept' below the duty it is about"),
    },
    Kind.PROHIBITION: {
        "duties": ("a prohibition has no duties", "move the duties to a permission or under oblige"),
        "duty": ("a prohibition has no duties", "move the duty under oblige"),
    },
    Kind.OBLIGATION: {
        "unless": ("'unless' belongs to prohibitions only", "say with 'when' in which cases the duty arises"),
        "duties": ("'duties' does not belong here", "write 'duty', and one entry under oblige for each"),
        "if violated": ("'if violated' belongs to prohibitions only", "write 'if not kept' below the duty"),
    },
}
"""Kind of rule → keys that belong to rules of other kinds → what to say and how to mend it."""

_MEANT_KEYS: Final[Mapping[str, str]] = {
    "permit": "permission, permissions, permits, allow, allowed",
    "forbid": "prohibition, prohibitions, prohibit, forbids, deny, denied",
    "oblige": "obligation, obligations, obliges, obliged",
    "inherits": "inheritfrom, extends, based on",
    "targets": "target, dataset, datasets, asset, assets",
    "assignees": "assignee, party, parties, recipient, recipients",
    "action": "actions, acts",
    "when": "constraint, constraints, condition, conditions, timing, due",
    "only if": "if, only when, constraint of a duty",
    "id": "uid",
    "title": "name",
    "sentence": "description, text, comment",
    "if not kept": "consequence, consequences, otherwise, if not fulfilled",
    "if violated": "remedy, remedies, if broken",
    "within": "deadline",
    "shown by": "evidence, proof",
    "effective": "valid, validity, in force",
    "law": "laws, legal basis, article, articles",
}
OTHER_WORDS: Final[Mapping[str, str]] = {word: key for key, words in _MEANT_KEYS.items() for word in words.split(", ")}
"""Words of ODRL and of everyday speech that people try → the key that is meant."""

WHERE: Final = " where"
"""Ends the name of an action, dataset or party that is narrowed by the conditions below it."""
IN_COLLECTION: Final = "any dataset in "
OF_COLLECTION: Final = "any member of "
COLLECTION_PATH: Final = "/id/collection/"
OF_VERSION: Final = " version "

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
_MEANT_JOINTS: Final = {
    "all of": "and, all, both",
    "any of": "or, any, one of, either, at least one of",
    "exactly one of": "xone, exactly one, either one of",
}
OTHER_JOINTS: Final[Mapping[str, str]] = {
    word: joint for joint, words in _MEANT_JOINTS.items() for word in words.split(", ")
}
"""Words that people try for a joint → the joint that is meant."""
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


_MEANT_PHRASES: Final = {
    "at most": "lteq, <=, ≤, maximum, max, up to, no more than, not more than",
    "at least": "gteq, >=, ≥, minimum, min, no less than, not less than",
    "less than": "lt, <, below, under",
    "more than": "gt, >, above, over, greater than",
    "on or before": "lteq, <=, until, by, up to",
    "on or after": "gteq, >=, from, since",
    "before": "lt, <",
    "after": "gt, >",
    "is": "isa, =, ==, eq, equals, are",
    "is exactly": "eq, =, ==",
    "is not exactly": "neq, !=, <>, is not",
    "is none of": "isnoneof, not in, is not",
    "is any of": "isanyof, in, one of, is one of",
    "includes all of": "isallof, includes, contains",
    "is part of": "ispartof, part of, within",
}


def meant_phrases(word: str) -> tuple[str, ...]:
    """The phrases that a word or sign may mean which people try for a comparison."""
    return tuple(phrase for phrase, words in _MEANT_PHRASES.items() if word.casefold() in words.split(", "))


OTHER_PHRASES: Final = tuple(
    sorted(
        {word for words in _MEANT_PHRASES.values() for word in words.split(", ")}, key=lambda word: (-len(word), word)
    )
)
"""Words and signs that people try for a comparison, longest first."""
