"""The JSON Schema of the authoring form, for editors that complete and check while typing.

The schema helps; the reader decides: it knows more than a schema can say.
"""

from __future__ import annotations

import json
from typing import Any

from synthema.policy import phrases
from synthema.policy.model import LAYER_NAMES, Kind
from synthema.vocabulary import Datatype, Hierarchy, Vocabulary, compact

SCHEMA_ID = "https://w3id.org/synthema/policy.schema.json"


def form_schema(vocabulary: Vocabulary) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the authoring form under a vocabulary."""
    text = {"type": "string", "minLength": 1}
    rules = {
        section: {"type": "array", "minItems": 1, "items": _rule(kind)} for section, kind in phrases.SECTIONS.items()
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "Synthema policy",
        "description": "The form in which a data protection officer writes a policy.",
        "type": "object",
        "additionalProperties": False,
        "required": ["policy", "title", "layer", "version"],
        "anyOf": [{"required": [section]} for section in phrases.SECTIONS],
        "properties": {
            "policy": text,
            "title": text,
            "layer": {"enum": [*LAYER_NAMES.values(), *(str(layer) for layer in LAYER_NAMES)]},
            "version": {"type": ["string", "number"]},
            "law": {"$ref": "#/$defs/law"},
            "targets": {"$ref": "#/$defs/names"},
            "assigner": text,
            "assignees": {"$ref": "#/$defs/names"},
            "effective": {
                "type": "object",
                "additionalProperties": False,
                "properties": {"from": {"type": "string"}, "to": {"type": "string"}},
            },
            "conflict": {"enum": list(phrases.CONFLICT_WORDS)},
            "confirmed": {
                "type": "object",
                "description": "Thresholds without a legal source, each with the reason for its value.",
                "propertyNames": {"enum": _names(vocabulary.operand_terms)},
                "additionalProperties": text,
            },
            **rules,
        },
        "$defs": {
            "names": {"oneOf": [text, {"type": "array", "minItems": 1, "items": text}]},
            "law": {"oneOf": [_reference(), {"type": "array", "minItems": 1, "items": _reference()}]},
            "action": _one_or_more(_enumeration(vocabulary.actions)),
            "duty": _duty(vocabulary),
            "condition": _condition(vocabulary),
            **{f"terms-{name}": _one_or_more(_enumeration(scheme)) for name, scheme in vocabulary.schemes.items()},
        },
    }


def schema_text(vocabulary: Vocabulary) -> str:
    """The schema as it is published in ``policies/policy.schema.json``."""
    return json.dumps(form_schema(vocabulary), indent=2, ensure_ascii=False) + "\n"


def _rule(kind: Kind) -> dict[str, Any]:
    text = {"type": "string", "minLength": 1}
    properties: dict[str, Any] = {
        "id": text,
        "action": {"$ref": "#/$defs/action"},
        "when": {"$ref": "#/$defs/condition"},
        "targets": {"$ref": "#/$defs/names"},
        "assignees": {"$ref": "#/$defs/names"},
        "law": {"$ref": "#/$defs/law"},
        "sentence": text,
    }
    if kind is Kind.PROHIBITION:
        properties["unless"] = {"$ref": "#/$defs/condition"}
    elif kind is Kind.PERMISSION:
        properties["duties"] = _one_or_more({"$ref": "#/$defs/duty"})
    else:
        properties["duty"] = {"$ref": "#/$defs/duty"}
    required = ["action", "duty"] if kind is Kind.OBLIGATION else ["action"]
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


def _reference() -> dict[str, Any]:
    text = {"type": "string", "minLength": 1}
    acts = "|".join(phrases.ACTS)
    return {
        "oneOf": [
            {"type": "string", "pattern": f"^({acts}) [0-9]"},
            {
                "type": "object",
                "additionalProperties": False,
                "required": ["act", "article", "eli"],
                "properties": {"act": text, "article": text, "eli": text},
            },
        ]
    }


def _duty(vocabulary: Vocabulary) -> dict[str, Any]:
    act = _enumeration(vocabulary.duties)
    return {
        "oneOf": [
            act,
            {
                "type": "object",
                "additionalProperties": False,
                "required": ["do"],
                "properties": {
                    "do": act,
                    "when": {"enum": list(phrases.TIMINGS)},
                    "within": {"type": "string", "pattern": "^P"},
                    "counted from": {"enum": list(phrases.EVENTS)},
                    "shown by": {"type": "string", "minLength": 1},
                },
            },
        ]
    }


def _condition(vocabulary: Vocabulary) -> dict[str, Any]:
    """One property for each operand and operator phrase, with the terms it takes; wordings beyond these also read."""
    properties: dict[str, Any] = {
        joint: {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/condition"}} for joint in phrases.JOINTS
    }
    for operand in vocabulary.operands.values():
        name = vocabulary.operand_terms.name(operand.iri)
        if operand.datatype is Datatype.TERM:
            value: dict[str, Any] = {"$ref": f"#/$defs/terms-{operand.scheme}"}
        else:
            value = {"type": ["string", "number", "boolean", "array"]}
        value = {"description": operand.definition, **value}
        for phrase in phrases.operator_phrases(operand):
            properties[f"{name} {phrase}"] = value
    return {"type": "object", "minProperties": 1, "additionalProperties": False, "properties": properties}


def _names(scheme: Hierarchy) -> list[str]:
    return sorted({scheme.name(term.iri) for term in scheme} | {term.name for term in scheme})


def _enumeration(scheme: Hierarchy) -> dict[str, Any]:

    return {"enum": sorted({scheme.name(term.iri) for term in scheme} | {compact(term.iri) for term in scheme})}


def _one_or_more(item: dict[str, Any]) -> dict[str, Any]:
    return {"oneOf": [item, {"type": "array", "minItems": 1, "items": item}]}
