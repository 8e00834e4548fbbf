"""The published form of certificates and evidence: JSON Schema, made from the models that read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from synthema.certification.document import SCHEMA_ID
from synthema.certification.model import Certificate
from synthema.resources import bundled

FILE: Final = Path("schemas") / "certificate.schema.json"


def certificate_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a certificate, as the verifier enforces it."""
    schema = Certificate.model_json_schema(by_alias=True, mode="validation")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        **schema,
        "title": "Certificate of a synthetic dataset",
    }


def schema_text() -> str:
    """The schema as it is published, with a line end."""
    return json.dumps(certificate_schema(), indent=2, ensure_ascii=False) + "\n"


def publish() -> Path:
    """Write ``legal/schemas/certificate.schema.json`` in a checkout, and say where it lies."""
    path = bundled("legal") / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(schema_text(), encoding="utf-8")
    return path
