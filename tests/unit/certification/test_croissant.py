"""Croissant: what it says of a certified dataset, and terms of use that are not passed on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from synthema.canonical import digest_bytes
from synthema.certification import Certificate, Package, read_document
from synthema.certification.croissant import croissant
from synthema.certification.description import codebook_of
from synthema.certification.uses import require_understood
from synthema.errors import InputError
from tests.unit.certification.world import DATASET, World

ADDRESS = "http://127.0.0.1:8100/artefacts/x"


def described(package: bytes, **changes: Any) -> dict[str, Any]:
    with Package.open(package) as opened:
        certificate = read_document(Certificate, opened.certificate())
        codebook = codebook_of({"codebook.json": opened.read("codebook.json")})
    content = certificate.credential_subject
    changed = content.model_copy(update={"allowed_uses": content.allowed_uses | changes})
    return croissant(
        certificate.model_copy(update={"credential_subject": changed}),
        codebook,
        package_digest=digest_bytes(package),
        address=ADDRESS,
    )


def test_it_names_the_files_the_columns_and_the_terms(package: bytes) -> None:
    found = described(package)
    assert "http://mlcommons.org/croissant/1.1" in found["conformsTo"]
    archive, rows = found["distribution"]
    assert (archive["sha256"], archive["contentUrl"]) == (digest_bytes(package).removeprefix("sha256:"), ADDRESS)
    assert rows["containedIn"] == {"@id": archive["@id"]}
    assert rows["contentUrl"] == "synthetic-dataset/data/dataset.csv"
    fields = found["recordSet"][0]["field"]
    assert [field["source"]["extract"]["column"] for field in fields] == ["age", "sex"]
    assert [field["dataType"] for field in fields] == ["sc:Integer", "sc:Text"]
    offer, *codes = found["usageInfo"]
    assert offer["@type"] == ["sc:CreativeWork", "odrl:Offer"]
    constraint = offer["odrl:permission"][0]["odrl:constraint"][0]
    assert constraint["odrl:leftOperand"] == {"@id": "http://www.w3.org/ns/odrl/2/purpose"}
    for code in codes:
        assert code["url"].endswith(code["termCode"].removeprefix("DUO_"))
    assert "licence" not in found
    assert "spdx" not in json.dumps(found)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"permission": []}, "permits nothing"),
        ({"permission": [{"target": DATASET, "action": "use", "constraint": [{"operator": "eq"}]}]}, "not understood"),
        ({"permission": [{"target": "urn:other", "action": "use"}]}, "not understood"),
        ({"prohibition": [{"target": DATASET, "action": "hum"}]}, "a prohibition says"),
        ({"syn:dataUse": ["DUO:0000042"]}, "codes of the Data Use Ontology"),
        ({"obligation": [{"action": "pay"}]}, "holds 'obligation'"),
    ],
)
def test_terms_that_are_half_understood_are_not_passed_on(package: bytes, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        described(package, **changes)


def test_terms_of_every_certificate_are_understood(world: World) -> None:
    content = world.content()
    require_understood(content.allowed_uses, content.id)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # its own use of rdflib
def test_mlcroissant_reads_it(package: bytes, tmp_path: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant", reason="the reference reader: pip install mlcroissant")
    path = tmp_path / "croissant.json"
    path.write_text(json.dumps(described(package)), encoding="utf-8")
    read = mlcroissant.Dataset(path)
    assert not read.metadata.ctx.issues.errors
    assert {field.name for field in read.metadata.record_sets[0].fields} == {"rows/age", "rows/sex"}
    archive = tmp_path / "package.zip"
    archive.write_bytes(package)
    rows = list(mlcroissant.Dataset(path, mapping={"package.zip": archive}).records("rows"))
    assert rows == [{"rows/age": 61, "rows/sex": b"F"}, {"rows/age": 70, "rows/sex": b"M"}]
