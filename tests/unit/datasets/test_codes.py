from __future__ import annotations

import json

import pytest

from synthema.datasets import dictionary
from synthema.datasets.codes import code_fault, code_faults, system_of
from synthema.datasets.schema import schema_text
from synthema.resources import bundled
from tests.unit.datasets.test_codebook import NAMES


@pytest.mark.parametrize(
    ("iri", "fits"),
    [
        ("http://loinc.org/rdf/718-7", True),
        ("http://loinc.org/rdf/718-8", False),
        ("http://loinc.org/rdf/26464-8", True),
        ("http://snomed.info/id/248153007", True),
        ("http://snomed.info/id/248153008", False),
        ("http://www.orpha.net/ORDO/Orphanet_519", True),
        ("http://www.orpha.net/ORDO/519", False),
        ("https://identifiers.org/hgnc:7910", True),
        ("https://identifiers.org/hgnc:NPM1", False),
        ("https://example.org/whatever", True),
    ],
)
def test_slips_in_codes_are_found(iri: str, *, fits: bool) -> None:
    assert (code_fault(iri) is None) == fits


@pytest.mark.parametrize("name", NAMES)
def test_the_codes_of_the_dictionaries_are_well_formed(name: str) -> None:
    assert code_faults(dictionary(name)) == {}


def test_the_dictionaries_use_the_four_systems() -> None:
    books = [dictionary(name) for name in NAMES]
    codes = [code for book in books for v in book.variables for code in (*v.codes, *v.category_codes.values())]
    assert {"LOINC", "SNOMED CT", "ORPHA", "HGNC"} <= {system_of(code) for code in codes}


def test_the_published_schema_is_current_and_fits_the_dictionaries() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    import yaml

    folder = bundled("ontologies") / "dictionaries"
    published = (folder / "codebook.schema.json").read_text(encoding="utf-8")
    assert published == schema_text(), (
        "run: python -m synthema.datasets.schema > ontologies/dictionaries/codebook.schema.json"
    )
    check = jsonschema.Draft202012Validator(json.loads(published))
    for name in NAMES:
        document = yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))
        assert not [error.message for error in check.iter_errors(document)]
        assert not list(check.iter_errors(dictionary(name).model_dump(mode="json")))
        assert list(check.iter_errors(document | {"colour": "red"}))
