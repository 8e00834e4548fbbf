from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest

from synthema.certification import Package, payload_of, write_package
from synthema.certification.document import read_document
from synthema.certification.model import Certificate
from synthema.errors import InputError, NotFoundError
from tests.unit.certification.world import CODEBOOK, FILES, PLAN, ROWS, World


def test_the_same_content_gives_the_same_bytes(world: World) -> None:
    record = world.issue()
    assert world.package(record) == world.package(record)


def test_a_package_is_an_ordinary_zip_file_with_one_bag(package: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert {name.split("/")[0] for name in names} == {"synthetic-dataset"}
        assert names[:4] == [
            "synthetic-dataset/bagit.txt",
            "synthetic-dataset/bag-info.txt",
            "synthetic-dataset/manifest-sha512.txt",
            "synthetic-dataset/tagmanifest-sha512.txt",
        ]
        assert archive.read("synthetic-dataset/data/dataset.csv") == ROWS
        assert archive.infolist()[0].external_attr >> 16 == 0o100644


def test_it_holds_data_record_evidence_proofs_plan_and_readme(package: bytes) -> None:
    with Package.open(package) as opened:
        names = set(opened.names)
        assert {
            "certificate.json",
            "README.txt",
            "dataset.csv",
            "codebook.json",
            "healthdcat-ap.jsonld",
            "ro-crate-metadata.json",
            "workflow/ro-crate-metadata.json",
            "workflow/study-plan.json",
            "evidence/001.json",
            "evidence/003.json",
        } <= names
        # the issuer's release and three decisions; each site's run, four decisions and attestation
        assert len([name for name in names if name.startswith("proofs/")]) == 4 + 3 * 6
        assert opened.read("dataset.csv") == ROWS
        with pytest.raises(NotFoundError):
            opened.read("passwords.txt")


def test_the_certificate_names_the_digest_of_every_other_file(package: bytes) -> None:
    with Package.open(package) as opened:
        certificate = read_document(Certificate, opened.certificate())
        named = {file.name: file.digest for file in certificate.credential_subject.files}
        found = {name: opened.sums(name).sha256 for name in opened.names if name != "certificate.json"}
    assert named == found


def test_the_bag_is_one_to_the_library_of_congress(package: bytes, tmp_path: Path) -> None:
    bagit = pytest.importorskip("bagit")
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        archive.extractall(tmp_path)
    bag = bagit.Bag(str(tmp_path / "synthetic-dataset"))
    bag.validate()
    assert bag.algorithms == ["sha512"]
    assert bag.info["External-Identifier"].startswith("urn:uuid:")


def test_the_crate_is_one_to_rocrate(package: bytes, tmp_path: Path) -> None:
    rocrate = pytest.importorskip("rocrate.rocrate")
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        archive.extractall(tmp_path)
    crate = rocrate.ROCrate(str(tmp_path / "synthetic-dataset" / "data"))
    assert crate.root_dataset["conformsTo"].id == "https://w3id.org/5s-crate/0.4"
    assert crate.mainEntity.id == "workflow/"
    actions = [entity for entity in crate.get_entities() if entity.type in ("CreateAction", "AssessAction")]
    assert {entity.id for entity in crate.root_dataset["mentions"]} >= {entity.id for entity in actions}
    kinds = [str(entity["additionalType"]).rpartition("#")[2] for entity in actions if entity.type == "AssessAction"]
    assert sorted(set(kinds)) == ["DisclosureCheck", "SignOff", "ValidationCheck"]
    assert kinds.count("DisclosureCheck") == 3
    assert kinds.count("SignOff") == 3 * 4 + 3
    creation = next(entity for entity in actions if entity.type == "CreateAction")
    assert [part.id for part in creation["result"]] == ["dataset.csv"]
    workflow = rocrate.ROCrate(str(tmp_path / "synthetic-dataset" / "data" / "workflow"))
    assert workflow.mainEntity.id == "study-plan.json"


@pytest.mark.article("EHDS 88")
def test_the_record_says_what_a_catalogue_must_know(package: bytes) -> None:
    record = json.loads(payload_of(package)["healthdcat-ap.jsonld"])
    assert record["dct:type"]["@id"].endswith("SYNTHETIC_DATA")
    assert record["dqv:hasQualityAnnotation"]["@type"] == "dqv:QualityCertificate"
    certificate = json.loads(payload_of(package)["certificate.json"])
    assert record["dqv:hasQualityAnnotation"]["oa:hasBody"]["@id"] == certificate["id"]
    assert record["syn:regime"] == "pre-EHDS"
    assert record["syn:highlySensitive"] is True
    (category,) = record["healthdcatap:healthCategory"]
    assert category["@id"].endswith("/healthcategories/MRMR")
    assert category["skos:exactMatch"] == {"@id": "syn:Art51-1-l"}
    mandatory = (
        "dct:accessRights dcatap:applicableLegislation dcat:contactPoint dct:description dcat:distribution "
        "healthdcatap:healthCategory dct:identifier dcat:keyword dct:provenance dcat:theme dct:title dct:type "
        "healthdcatap:hdab"
    )
    assert set(mandatory.split()) <= set(record)
    table = record["healthdcatap:hasVariables"]["csvw:table"]
    assert [column["csvw:name"] for column in table["csvw:column"]] == ["age", "sex"]


def test_a_package_is_made_of_the_certified_files_only(world: World) -> None:
    record = world.issue()
    for files in ({"dataset.csv": ROWS}, FILES | {"dataset.csv": ROWS + b"1,F\n"}, FILES | {"more.csv": b"x"}):
        with pytest.raises(InputError, match="not those that are to be certified"):
            world.issuer.package(record.id, files)
    payload = payload_of(world.package(record))
    del payload["certificate.json"]
    with pytest.raises(InputError, match=r"not those that were certified: README\.txt"):
        write_package(record.document, payload | {"README.txt": b"another text"})


def test_a_plan_that_is_not_the_agreed_one_cannot_be_certified(world: World) -> None:
    with pytest.raises(InputError, match="not those that are to be certified"):
        world.issuer.issue(world.content(), FILES | {"workflow/study-plan.json": PLAN + b" "})


def test_the_text_for_people_says_what_matters(world: World) -> None:
    text = world.issue().readme
    for words in (
        "These rows are synthetic. None of them describes a real person.",
        "epsilon 3, delta 1e-05",
        "Assumption: at most one site sides with the coordinator",
        "membershipAUC",
        "Article 88 EHDS",
        "before Chapter IV",
        "Prohibited:",
        "HMB (DUO:0000006)",
        "127.0.0.1:8102: permit to",
        "resting on agreement-1",
        "synthema cert verify",
        "Rare combinations",
    ):
        assert words in " ".join(text.split())
    assert max(len(line) for line in text.splitlines()) <= 120


def test_hostile_text_cannot_steer_a_terminal(world: World) -> None:
    content = world.content().model_copy(update={"title": "x\x1b[2Jy"})
    assert "\x1b" not in world.issue(content).readme


def test_a_size_above_the_limit_is_refused(package: bytes) -> None:
    with pytest.raises(InputError, match="send at most 100 bytes"):
        Package.open(package, max_bytes=100)


def test_a_file_is_read_like_bytes(package: bytes, tmp_path: Path) -> None:
    path = tmp_path / "package.zip"
    path.write_bytes(package)
    with Package.open(path) as opened:
        opened.copy("codebook.json", tmp_path / "codebook.json")
        assert (tmp_path / "codebook.json").read_bytes() == CODEBOOK
        with pytest.raises(FileExistsError):
            opened.copy("codebook.json", tmp_path / "codebook.json")
        with pytest.raises(InputError, match="at most 10 bytes are read"):
            opened.read("codebook.json", 10)
