"""The JSON Schema of an assessment, for editors that complete and check while typing.

The schema helps; the reader decides: it also checks that the chain from risk to gate is whole.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from synthema.dpia.model import Dpia
from synthema.dpia.terms import known_measures, known_risks
from synthema.resources import bundled

SCHEMA_ID: Final = "https://w3id.org/synthema/dpia.schema.json"
FILE: Final = Path("schemas") / "dpia.schema.json"


def dpia_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of an assessment as it is written in YAML."""
    schema = Dpia.model_json_schema(mode="validation")
    for model, names in (("Risk", known_risks()), ("Measure", known_measures())):
        kind = schema["$defs"][model]["properties"]["type"]
        # Names are offered; an IRI of another vocabulary is allowed as well.
        kind.pop("type")
        kind["anyOf"] = [{"enum": sorted(names)}, {"type": "string", "pattern": "^[a-z]+://"}]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        **schema,
        "title": "Executable data protection impact assessment",
    }


def schema_text() -> str:
    """The schema as it is published, with a line end."""
    return json.dumps(dpia_schema(), indent=2, ensure_ascii=False) + "\n"


def publish() -> Path:
    """Write ``legal/schemas/dpia.schema.json`` in a checkout, and say where it lies."""
    path = bundled("legal") / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(schema_text(), encoding="utf-8")
    return path
