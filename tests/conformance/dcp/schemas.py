"""The official schemas of the protocol, where they are at hand."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from jsonschema import Draft201909Validator  # type: ignore[import-untyped]
from referencing import Registry, Resource

from tests.conformance.suite import STANDARDS

FOLDER = STANDARDS / "dcp-1.0.1"
_OWN = "https://w3id.org/dspace-dcp/v1.0/"
_EXCHANGE = "https://identity.foundation/presentation-exchange/schemas/"


def errors(kind: str, value: Any) -> list[str]:
    """What the official schema of a kind of message finds wrong; nothing where the schemas are not here."""
    if not FOLDER.is_dir():
        return []
    return [error.message for error in _validator(kind).iter_errors(value)]


def check(kind: str, value: Any) -> None:
    """Fail with what the official schema finds wrong."""
    assert errors(kind, value) == [], (kind, value)


@lru_cache
def _validator(kind: str) -> Any:
    loaded = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.rglob("*-schema.json"))]
    # The schemas of Presentation Exchange are not part of the protocol; whatever they would say is let pass.
    others = (f"{_EXCHANGE}presentation-definition.json", f"{_EXCHANGE}presentation-submission.json")
    free = {"$schema": "https://json-schema.org/draft/2019-09/schema", "properties": {"presentation_submission": {}}}
    registry: Any = Registry().with_resources(
        [(each["$id"], Resource.from_contents(each)) for each in loaded]
        # One schema names itself by the address of an older version; the others mean it by that of this one.
        + [(f"{_OWN}common/context-schema.json", Resource.from_contents(_context(loaded)))]
        + [(address, Resource.from_contents({**free, "$id": address})) for address in others]
    )
    (path,) = FOLDER.rglob(f"{kind}-schema.json")
    return Draft201909Validator(json.loads(path.read_text(encoding="utf-8")), registry=registry)


def _context(loaded: list[dict[str, Any]]) -> dict[str, Any]:
    (found,) = [each for each in loaded if each["title"] == "ContextSchema"]
    return {**found, "$id": f"{_OWN}common/context-schema.json"}
