"""Rows as a FHIR R4 bundle of virtual patients, each resource marked as not being about a real one.

Every resource carries the security label ``HTEST`` ("test health data", HL7 v3 ActReason), which receiving systems
know, and our tag ``SYNTHETIC``, since we know of no code of HL7 for synthetic data. A row becomes a Patient, the
disease of the codebook a Condition, every other variable that has a value an Observation (LOINC where the codebook has
a code, units in UCUM). The bundle is written entry by entry, so that its size does not matter.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

from synthema.canonical import canonical_json
from synthema.certification.targets.base import Kind, Rows, remove_file, write_whole
from synthema.clock import to_text
from synthema.datasets.codebook import Codebook, Variable

ACT_REASON: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
TAG_SYSTEM: Final = "https://w3id.org/synthema/ns#"
LOINC: Final = "http://loinc.org"
UCUM: Final = "http://unitsofmeasure.org"
META: Final[dict[str, Any]] = {
    "security": [{"system": ACT_REASON, "code": "HTEST", "display": "test health data"}],
    "tag": [{"system": TAG_SYSTEM, "code": "SYNTHETIC", "display": "synthetic: describes no real person"}],
}
_LOINC_IRI: Final = re.compile(r"https?://loinc\.org/rdf/(\d{1,7}-\d)")
_DISEASES: Final = (
    (re.compile(r"https?://www\.orpha\.net/ORDO/Orphanet_(\d+)"), "http://www.orpha.net", "{}"),
    (
        re.compile(r"https?://purl\.obolibrary\.org/obo/MONDO_(\d+)"),
        "http://purl.obolibrary.org/obo/mondo.owl",
        "MONDO:{}",
    ),
)
_GENDERS: Final = {"f": "female", "female": "female", "w": "female", "m": "male", "male": "male"}
_SEX: Final = "46098-0"


class FhirFolder:
    """FHIR bundles in one folder, named by the digest of the dataset."""

    kind: Kind = "fhir"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, rows: Rows) -> str:
        """Write the bundle; the same rows give the same bytes."""
        path = self._folder / f"{rows.name}.fhir.json"
        write_whole(path, lambda stream: write_bundle(stream, rows))
        return str(path)

    def remove(self, place: str) -> None:
        """Delete the bundle."""
        remove_file(self._folder, place)


def write_bundle(stream: BinaryIO, rows: Rows) -> None:
    """One FHIR R4 ``Bundle`` of the type ``collection``."""
    head = {
        "resourceType": "Bundle",
        "meta": META,
        "identifier": {"system": "urn:ietf:rfc:3986", "value": rows.dataset},
        "type": "collection",
        "timestamp": to_text(rows.issued),
    }
    stream.write(canonical_json(head).removesuffix(b"}") + b',"entry":[\n')
    separator = b""
    for entry in entries(rows):
        stream.write(separator + canonical_json(entry))
        separator = b",\n"
    stream.write(b"\n]}\n")


def entries(rows: Rows) -> Iterator[dict[str, Any]]:
    """The entries of the bundle: for each row its patient, the disease, then what was observed."""
    sex = next((v for v in rows.codebook.variables if _loinc(v) == _SEX), None)
    disease = _disease(rows.codebook)
    for number, row in enumerate(rows.table.iter_rows(named=True), start=1):
        subject = _urn(rows, number, "patient")
        yield _entry(subject, _patient(number, row, sex))
        reference = {"reference": subject}
        condition = {"resourceType": "Condition", "clinicalStatus": _ACTIVE, "code": disease, "subject": reference}
        yield _entry(_urn(rows, number, "condition"), condition)
        for variable in rows.codebook.variables:
            value = row[variable.name]
            if value is None or variable.role == "identifier" or variable is sex:
                continue
            observation = {
                "resourceType": "Observation",
                "status": "final",
                "code": _code(variable, rows.codebook),
                "subject": reference,
                **_value(variable, value),
            }
            yield _entry(_urn(rows, number, variable.name), observation)


_ACTIVE: Final = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]}


def _entry(urn: str, resource: Mapping[str, Any]) -> dict[str, Any]:
    return {"fullUrl": urn, "resource": {**resource, "meta": META}}


def _urn(rows: Rows, number: int, what: str) -> str:
    return uuid.uuid5(uuid.NAMESPACE_URL, f"{rows.dataset}#{number}/{what}").urn


def _patient(number: int, row: Mapping[str, Any], sex: Variable | None) -> dict[str, Any]:
    patient: dict[str, Any] = {
        "resourceType": "Patient",
        "name": [{"use": "anonymous", "text": f"Synthetic patient {number}"}],
    }
    gender = _GENDERS.get(str(row[sex.name]).lower()) if sex is not None else None
    return patient | ({"gender": gender} if gender else {})


def _disease(codebook: Codebook) -> dict[str, Any]:
    for pattern, system, code in _DISEASES:
        found = pattern.fullmatch(codebook.disease)
        if found:
            coding = {"system": system, "code": code.format(found[1])}
            return {"coding": [coding], "text": codebook.title}
    return {"text": codebook.title}


def _code(variable: Variable, codebook: Codebook) -> dict[str, Any]:
    number = _loinc(variable)
    ours = {"system": f"https://w3id.org/synthema/dictionaries/{codebook.id}", "code": variable.name}
    codings = [{"system": LOINC, "code": number}, ours] if number else [ours]
    return {"coding": codings, "text": variable.label}


def _value(variable: Variable, value: Any) -> dict[str, Any]:
    if variable.type not in ("integer", "decimal"):
        return {"valueString": str(value)}
    number = int(value) if variable.type == "integer" else float(value)
    if variable.unit is None:
        return {"valueInteger": number} if variable.type == "integer" else {"valueQuantity": {"value": number}}
    return {"valueQuantity": {"value": number, "unit": variable.unit, "system": UCUM, "code": variable.unit}}


def _loinc(variable: Variable) -> str | None:
    found = _LOINC_IRI.fullmatch(variable.code or "")
    return found[1] if found else None
