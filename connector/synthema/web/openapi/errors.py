"""The forms of errors: the protocol's typed ones on its addresses, code, sentence and fix elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from synthema.dataspace import messages as m
from synthema.web.openapi.document import Answer

PROBLEM: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["code", "message", "fix"],
    "properties": {name: {"type": "string"} for name in ("code", "message", "fix", "where")},
    "additionalProperties": False,
}


def plain(meanings: Mapping[int, str]) -> dict[int, Answer]:
    """Errors as code, sentence and fix."""
    return {status: Answer(meaning, PROBLEM) for status, meaning in meanings.items()}


def typed(type_: m.ErrorType, meanings: Mapping[int, str]) -> dict[int, Answer]:
    """Errors in the protocol's form."""
    return {status: Answer(meaning, typed_error(type_)) for status, meaning in meanings.items()}


def typed_error(type_: m.ErrorType) -> dict[str, Any]:
    """The schema of one of the protocol's errors."""
    pids = [] if type_ == "CatalogError" else ["providerPid", "consumerPid"]
    return {
        "type": "object",
        "required": ["@context", "@type", "code", "reason", *pids],
        "properties": {
            "@context": {"type": "array", "items": {"type": "string"}, "contains": {"const": m.CONTEXT}},
            "@type": {"const": type_},
            "code": {"type": "string"},
            "reason": {"type": "array", "minItems": 1, "items": {"type": "string"}},
            **{pid: {"type": "string"} for pid in pids},
        },
        "additionalProperties": False,
    }
