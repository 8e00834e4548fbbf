"""The JSON Schema of the authoring form, for editors that complete and check while typing.

The schema helps; the reader decides, for it knows more than a schema can say. But the
schema is never stricter than the reader: what it refuses, the reader refuses. It judges a
name only where it is sure of it, which is where the name is plain lower-case words or an
identifier with a known prefix. In any other spelling ("Health Research") it leaves the name to the reader.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from synthema.policy import phrases
from synthema.policy.model import LAYER_NAMES, Kind
from synthema.vocabulary import PREFIXES, Datatype, Hierarchy, Operand, Vocabulary, compact
from synthema.vocabulary.hierarchy import normal

SCHEMA_ID = "https://w3id.org/synthema/policy.schema.json"

_PLAIN = r"[a-z0-9]+( [a-z0-9]+)*"
_ANY_TEXT: dict[str, Any] = {"type": ["string", "number", "boolean"], "pattern": r"\S"}
"""A value on one line; an editor may take it for a number or a truth value."""
_NUMBER = r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?"

_TIME: dict[str, Any] = {
    "type": "string",
    "pattern": r"\S",
    "not": {"pattern": r"^\s*(\d{4}-\d{2}-\d{2}[Tt ]\d{2}(:\d{2}){0,2}([.,]\d+)?|\d{1,2}([./])\d{1,2}[./]\d{2,4})\s*$"},
}
"""A day or a time; a time without a zone, and 21.11.2026, are refused."""

_DESCRIPTIONS = {
    "policy": "Short name of the policy, or its full identifier. A name never changes; a change is a new version.",
    "title": "What people call the policy.",
    "layer": "Who speaks: union law (L0), member state (L1), site (L2), dataset (L3) or agreement (L4).",
    "version": "A version never changes; write a new one instead.",
    "inherits": "Policies whose rules this one takes over, each with its version: 'research-base version 3'.",
    "law": "The articles this rests on: 'GDPR 9(2)(j)', or a block with act, article and eli for another act.",
    "targets": "Datasets by name, 'any dataset of this site', or 'any dataset in …' with the name of a collection.",
    "assigner": "Who gives the policy, e.g. did:web:hospital.example.",
    "assignees": "For whom: parties (did:web:…), 'any member of …' with the name of a collection, or 'any party'.",
    "effective": "From when (included) and to when (excluded) the policy counts. A day without a zone is a day in UTC.",
    "conflict": "A prohibition always wins; nothing else can be chosen, so the line may be left out.",
    "confirmed": "Thresholds without a legal source, each with the reason for its value.",
    "permit": "What may be done. It is done only if site, dataset and agreement each permit it and nothing forbids it.",
    "forbid": "What must not be done, whoever permits it.",
    "oblige": "Duties that arise whenever something is done.",
    "id": "Short name of the rule, by which decisions and cases refer to it.",
    "action": "What is done. 'export where:' with conditions below it means such exports only.",
    "when": "The rule applies only if all lines hold.",
    "unless": "The prohibition does not apply if all lines hold.",
    "duties": "What comes with the permission.",
    "duty": "The one duty this rule imposes.",
    "if violated": "What has to be done, once this was violated, before anything else is permitted.",
    "sentence": "The rule in your own words, shown to people; it decides nothing.",
    "do": "What has to be done.",
    "timing": "Before the act (if nothing is said), during it, or after it.",
    "within": "How long the duty may stay open, e.g. 30 days. Months and years have no exact length: write days.",
    "counted from": "What 'within' is counted from.",
    "shown by": "What shows that it was done.",
    "only if": "The duty arises only if all lines hold.",
    "if not kept": "What has to be done besides, once this duty was not kept, before anything else is permitted.",
}


def form_schema(vocabulary: Vocabulary) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the authoring form under a vocabulary."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "Synthema policy",
        "description": "The form in which a data protection officer writes a policy.",
        "type": "object",
        "additionalProperties": False,
        "required": ["policy", "title", "layer", "version"],
        "anyOf": [{"required": [section]} for section in (*phrases.SECTIONS, "inherits")],
        "properties": {
            "policy": _said("policy", _ANY_TEXT),
            "title": _said("title", _ANY_TEXT),
            "layer": _said("layer", _word([*phrases.LAYERS, *(str(layer) for layer in LAYER_NAMES)])),
            "version": _said("version", _ANY_TEXT),
            "inherits": _said("inherits", _one_or_more({"type": "string", "pattern": r"\S\s+version\s+\S"})),
            "law": _said("law", {"$ref": "#/$defs/law"}),
            "targets": _said("targets", _one_or_more(_thing(phrases.ANY_DATASET_WORDS, phrases.IN_COLLECTION))),
            "assigner": _said("assigner", _ANY_TEXT),
            "assignees": _said("assignees", _one_or_more(_thing(phrases.ANY_PARTY_WORDS, phrases.OF_COLLECTION))),
            "effective": _said("effective", _period()),
            "conflict": _said("conflict", _word(phrases.CONFLICT_WORDS)),
            "confirmed": _said("confirmed", _confirmed(vocabulary)),
            **{
                section: _said(section, {"type": "array", "minItems": 1, "items": _rule(kind)})
                for section, kind in phrases.SECTIONS.items()
            },
        },
        "$defs": {
            "law": _one_or_more(_reference()),
            "action": _one_or_more(_narrowable(_names_of(vocabulary.actions), _offered(vocabulary.actions))),
            "targets": _one_or_more(_narrowable(_thing(phrases.ANY_DATASET_WORDS, phrases.IN_COLLECTION))),
            "assignees": _one_or_more(_narrowable(_thing(phrases.ANY_PARTY_WORDS, phrases.OF_COLLECTION))),
            "act": _names_of(vocabulary.duties),
            "duty": _duty(),
            "settling": _settling(),
            "condition": _condition(vocabulary),
            **{f"value-{operand.name}": _value(operand) for operand in vocabulary.operands.values()},
            **{f"terms-{name}": _names_of(scheme) for name, scheme in vocabulary.schemes.items()},
        },
    }


def schema_text(vocabulary: Vocabulary) -> str:
    """The schema as it is published in ``policies/policy.schema.json``."""
    return json.dumps(form_schema(vocabulary), indent=2, ensure_ascii=False) + "\n"


# ── blocks ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _said(key: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": _DESCRIPTIONS[key], **schema}


def _block(required: list[str], properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


def _rule(kind: Kind) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "id": _said("id", {"type": ["string", "number"], "pattern": r"^\s*[A-Za-z0-9]"}),
        "action": _said("action", {"$ref": "#/$defs/action"}),
        "when": _said("when", {"$ref": "#/$defs/condition"}),
        "targets": _said("targets", {"$ref": "#/$defs/targets"}),
        "assignees": _said("assignees", {"$ref": "#/$defs/assignees"}),
        "law": _said("law", {"$ref": "#/$defs/law"}),
        "sentence": _said("sentence", _ANY_TEXT),
    }
    if kind is Kind.PROHIBITION:
        properties["unless"] = _said("unless", {"$ref": "#/$defs/condition"})
        properties["if violated"] = _said("if violated", _one_or_more({"$ref": "#/$defs/settling"}))
    elif kind is Kind.PERMISSION:
        properties["duties"] = _said("duties", _one_or_more({"$ref": "#/$defs/duty"}))
    else:
        properties["duty"] = _said("duty", {"$ref": "#/$defs/duty"})
    return _block(["action", "duty"] if kind is Kind.OBLIGATION else ["action"], properties)


def _period() -> dict[str, Any]:
    return _block([], {"from": _TIME, "to": _TIME})


def _confirmed(vocabulary: Vocabulary) -> dict[str, Any]:
    names = _names_of(vocabulary.operand_terms)
    return {"type": "object", "propertyNames": names, "additionalProperties": _ANY_TEXT}


def _reference() -> dict[str, Any]:
    acts = "|".join(re.escape(act) for act in phrases.ACTS)
    block = _block(["act", "article", "eli"], {"act": _ANY_TEXT, "article": _ANY_TEXT, "eli": _ANY_TEXT})
    return {"anyOf": [{"type": "string", "pattern": rf"^\s*({acts})\s+\d"}, block]}


def _duty() -> dict[str, Any]:
    block = _block(
        ["do"],
        {
            "do": _said("do", {"$ref": "#/$defs/act"}),
            "when": _said("timing", _word(phrases.TIMINGS)),
            "within": _said("within", {"type": "string", "pattern": r"^\s*[Pp\d]"}),
            "counted from": _said("counted from", _word(phrases.EVENTS)),
            "shown by": _said("shown by", _ANY_TEXT),
            "only if": _said("only if", {"$ref": "#/$defs/condition"}),
            "if not kept": _said("if not kept", _one_or_more({"$ref": "#/$defs/settling"})),
        },
    )
    return {"anyOf": [{"$ref": "#/$defs/act"}, block]}


def _settling() -> dict[str, Any]:
    block = _block(
        ["do"],
        {
            "do": _said("do", {"$ref": "#/$defs/act"}),
            "shown by": _said("shown by", _ANY_TEXT),
            "only if": _said("only if", {"$ref": "#/$defs/condition"}),
        },
    )
    return {"anyOf": [{"$ref": "#/$defs/act"}, block]}


# ── conditions ───────────────────────────────────────────────────────────────────────────────────────────────────


def _condition(vocabulary: Vocabulary) -> dict[str, Any]:
    """A property for each operand and phrase, which editors complete, and a pattern for its other names."""
    joined = {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/condition"}}
    properties: dict[str, Any] = dict.fromkeys(phrases.JOINTS, joined)
    patterns: dict[str, Any] = {}
    for operand in vocabulary.operands.values():
        name = vocabulary.operand_terms.name(operand.iri)
        value = {"description": operand.definition, "$ref": f"#/$defs/value-{operand.name}"}
        known = phrases.operator_phrases(operand)
        properties |= {f"{name} {phrase}": value for phrase in known}
        others = sorted({normal(word) for word in _spellings(vocabulary.operand_terms, operand.iri)} - {name})
        words = "|".join(map(re.escape, [name, *others]))
        patterns[f"^({words}) ((is )?({'|'.join(known)}))$"] = {"$ref": f"#/$defs/value-{operand.name}"}
    patterns[_unjudged()] = True
    return {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": False,
        "properties": properties,
        "patternProperties": patterns,
    }


def _value(operand: Operand) -> dict[str, Any]:
    if operand.datatype is Datatype.TERM:
        return _one_or_more({"$ref": f"#/$defs/terms-{operand.scheme}"})
    if operand.datatype is Datatype.TEXT:
        return _one_or_more(_ANY_TEXT)
    if operand.datatype is Datatype.BOOLEAN:
        return {"anyOf": [{"type": "boolean"}, {"type": "string", "pattern": r"^\s*([Tt]|[Ff]|[Yy]|[Nn])"}]}
    # Beside a value of its own, each of these takes the name of another operand.
    other = {"type": "string", "pattern": r"[A-Za-z]"}
    if operand.datatype in (Datatype.NUMBER, Datatype.COUNT):
        unit = f"( {re.escape(operand.unit)})?" if operand.unit else ""
        figure = _NUMBER if operand.datatype is Datatype.NUMBER else r"\d+"
        number = {"type": "number" if operand.datatype is Datatype.NUMBER else "integer"}
        return {"anyOf": [number, {"type": "string", "pattern": rf"^\s*{figure}{unit}\s*$"}, other]}
    return _TIME if operand.datatype is Datatype.DATE else other


# ── names ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _spellings(scheme: Hierarchy, iri: str) -> set[str]:
    """All that a term may be called, in plain lower-case words or as it stands."""
    term = scheme.terms[iri]
    local = compact(iri).partition(":")[2]
    return {scheme.name(iri), compact(iri), local, term.label, *term.aliases, term.notation or local}


def _offered(scheme: Hierarchy) -> list[str]:
    return sorted(scheme.name(term.iri) for term in scheme)


def _names_of(scheme: Hierarchy) -> dict[str, Any]:
    """The names of a scheme's terms: those to complete first, all others it is sure of, and what it leaves open."""
    offered = sorted({*_offered(scheme), *(compact(term.iri) for term in scheme)})
    plain = re.compile(f"^{_PLAIN}$")
    spelt = {normal(word) for term in scheme for word in _spellings(scheme, term.iri)}
    others = sorted(word for word in spelt if plain.match(word) and word not in offered)
    prefixes = "|".join(PREFIXES)
    return {
        "anyOf": [
            {"enum": offered},
            {"enum": others},
            {"type": "string", "pattern": r"\S", "not": {"pattern": f"^({_PLAIN}|({prefixes}):.*)$"}},
        ]
    }


def _unjudged() -> str:
    """A pattern of names in a spelling that only the reader can judge, such as one with capitals or hyphens."""
    return r"[^a-z0-9 ]|^ | $|  "


def _word(words: Any) -> dict[str, Any]:
    """One of a few words; with capitals it is left to the reader."""
    return {"anyOf": [{"enum": sorted(set(words))}, {"type": "string", "pattern": r"[A-Z]|^\s|\s$|\s\s"}]}


def _thing(any_words: str, collection: str) -> dict[str, Any]:
    """The name of a dataset or party; what begins with "any" has to be one of the ways to say so."""
    return {
        "anyOf": [
            {"enum": [any_words]},
            {"type": "string", "pattern": rf"^{collection}\S"},
            {"type": "string", "pattern": r"\S", "not": {"pattern": "^any [a-z]+( [a-z]+)*$"}},
        ]
    }


def _narrowable(name: dict[str, Any], offered: Iterable[str] = ()) -> dict[str, Any]:
    """A name, or a name that ends with "where" and the conditions that narrow it."""
    block = {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
        "properties": {f"{each}{phrases.WHERE}": {"$ref": "#/$defs/condition"} for each in offered},
        "patternProperties": {r"\S\s+[Ww][Hh][Ee][Rr][Ee]\s*$": {"$ref": "#/$defs/condition"}},
    }
    return {"anyOf": [name, block]}


def _one_or_more(item: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [item, {"type": "array", "minItems": 1, "items": item}]}
