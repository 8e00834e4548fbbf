"""The published JSON Schema of a codebook: ``ontologies/dictionaries/codebook.schema.json``.

An editor that knows it completes and checks a codebook while it is written; :func:`read_codebook` checks more
(names that exist, edges that rise, derivations without a circle).
"""

from __future__ import annotations

import json
import sys

from pydantic import TypeAdapter

from synthema.datasets.codebook import Codebook, Exclusion

SCHEMA_ID = "https://w3id.org/synthema/codebook.schema.json"


def schema_text() -> str:
    """The JSON Schema (2020-12) of a codebook in YAML or JSON."""
    schema = Codebook.model_json_schema()
    short = TypeAdapter(Exclusion).json_schema()
    rules = schema["properties"]["rules"]
    rules["items"] = {"anyOf": [{"$ref": "#/$defs/Rule"}, {"$ref": "#/$defs/Exclusion"}]}
    schema["$defs"]["Exclusion"] = short
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID, **schema}
    return json.dumps(whole, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
