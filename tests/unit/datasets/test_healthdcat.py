"""Health records: what is stated, what is missing, what is never said; valid under our shapes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from synthema.clock import FixedClock
from synthema.datasets import CatalogueFacts, DatasetMetadata, DatasetStore, DatasetVersion, catalogue_record
from synthema.datasets.healthdcat import health_record, known_record, missing
from synthema.datasets.healthdcat.terms import CATEGORIES
from synthema.datasets.model import ARTICLE_51
from synthema.datasets.personal_data import known_personal_data, require_personal_data
from synthema.errors import InputError
from synthema.provenance import ProvenanceLog
from tests.conformance.suite import STANDARDS
from tests.unit.datasets.records import IRI, LEVELS, facts_of, mandatory_properties
from tests.unit.datasets.support import log_text
from tests.unit.datasets.test_store import add, log, signer, source, store  # noqa: F401 - fixtures

STATED: dict[str, Any] = {
    "hdab": {"name": "The clinic, until its access body decides", "url": "https://clinic.example/access"},
    "contact": "mailto:data@clinic.example",
    "keywords": ["small cohort"],
    "provenance": "Entered in routine care.",
    "personal_data": ["Age", "Gender"],
    "purposes": ["health research"],
    "retention": ["2026-01-01", None],
    "typical_ages": [18, 90],
    "sample": {"title": "Ten synthetic rows", "url": "https://clinic.example/sample.csv"},
}


def record_of(version: DatasetVersion, *, complete: bool = True) -> dict[str, Any]:
    return catalogue_record(
        version,
        IRI,
        publisher="did:web:clinic.example",
        publisher_name="Clinic A",
        access_url="https://clinic.example/dsp",
        regime="pre-EHDS",
        complete=complete,
    )


@pytest.mark.article("EHDS 77")
@pytest.mark.parametrize("level", LEVELS)
def test_a_record_has_what_its_level_asks_for(level: Any) -> None:
    record = health_record(facts_of(level), name="aml")
    for name in mandatory_properties(level):
        assert record[name], name
    assert record["dct:accessRights"]["@id"].endswith(level.upper().replace("-", "_"))
    assert record["syn:regime"] == "pre-EHDS"
    assert record["adms:sample"][0]["@type"] == "dcat:Distribution"


@pytest.mark.article("EHDS 60(3)")
def test_what_is_missing_is_named_with_the_field_and_the_fix() -> None:
    facts = facts_of("non-public", hdab=None, contact=None, keywords=(), provenance=None)
    assert [each.field for each in missing(facts)] == ["hdab", "contact", "keywords", "provenance"]
    with pytest.raises(InputError, match="4 facts that HealthDCAT-AP asks for are not stated") as refused:
        health_record(facts, name="aml")
    assert "hdab: which health data access body" in refused.value.message
    assert refused.value.fix.endswith("synthema dataset describe aml facts.yaml")


def test_less_is_asked_of_open_data() -> None:
    little: dict[str, Any] = {"keywords": (), "provenance": None, "type": None}
    for level in ("public", "restricted"):
        assert missing(facts_of(level, **little)) == ()
    assert [each.field for each in missing(facts_of("non-public", **little))] == [
        "keywords",
        "provenance",
        "dataset_type",
    ]


def test_what_is_not_known_is_not_said() -> None:
    record = known_record(
        facts_of("non-public", hdab=None, population=(), samples=(), retention=None, label=None),
    )
    for name in ("hdab", "populationCoverage", "retentionPeriod"):
        assert f"healthdcatap:{name}" not in record
    assert "adms:sample" not in record
    assert "dqv:hasQualityAnnotation" not in record


@pytest.mark.article("EHDS 51(1)")
def test_every_letter_has_a_code_of_its_own() -> None:
    assert "".join(CATEGORIES) == ARTICLE_51
    assert len(set(CATEGORIES.values())) == 17


@pytest.mark.article("EHDS 78(3)")
def test_the_label_tells_shares_and_no_counts_of_rows() -> None:
    record = health_record(facts_of("non-public"), name="aml")
    label = record["dqv:hasQualityAnnotation"]["oa:hasBody"]
    assert [group["@id"][-1] for group in label["syn:labelGroup"]] == list("abcdef")
    assert "no health data access body has granted" in label["dct:description"]["@value"]
    said = json.dumps(record)
    assert "3 of 61 rows" not in said
    assert '"later"' not in said
    measured = {
        node["@id"].rpartition("-")[2]: node["dqv:value"]["@value"] for node in record["dqv:hasQualityMeasurement"]
    }
    assert measured["completeness"] == "0.99"


def test_the_record_of_a_version_is_made_of_its_facts(store: DatasetStore, tmp_path: Path) -> None:  # noqa: F811
    version = add(store, source(tmp_path), **STATED)
    record = record_of(version)
    columns = record["healthdcatap:hasVariables"]["csvw:table"]["csvw:column"]
    assert [column["csvw:name"] for column in columns] == ["age", "sex", "hgb", "time"]  # no identifier
    assert record["healthdcatap:numberOfRecords"]["@value"] == "0"  # two patients: not told
    assert record["dct:type"]["@id"] == "https://w3id.org/dpv#PersonalData"
    assert [node["@id"] for node in record["dpv:hasPersonalData"]] == [
        "https://w3id.org/dpv/dpv-pd#Age",
        "https://w3id.org/dpv/dpv-pd#Gender",
    ]
    assert record["dpv:hasPurpose"][0]["dct:description"]["@value"] == "scientific research in health and care"
    assert record["healthdcatap:retentionPeriod"]["dcat:startDate"]["@value"] == "2026-01-01"
    assert "dcat:endDate" not in record["healthdcatap:retentionPeriod"]


def test_a_version_of_which_too_little_is_stated_has_no_record(store: DatasetStore, tmp_path: Path) -> None:  # noqa: F811
    version = add(store, source(tmp_path))
    with pytest.raises(InputError, match="provenance: how and why"):
        record_of(version)
    known = record_of(version, complete=False)
    assert "healthdcatap:hdab" not in known
    assert "dct:provenance" not in known


def test_describing_changes_the_catalogue_and_nothing_else(
    store: DatasetStore,  # noqa: F811
    tmp_path: Path,
    log: ProvenanceLog,  # noqa: F811
    clock: FixedClock,
) -> None:
    version = add(store, source(tmp_path))
    before = store.facts(version)
    described = store.describe(version.name, CatalogueFacts.model_validate(STATED))
    assert (described.id, described.version, described.digest) == (version.id, version.version, version.digest)
    assert described.modified == clock.now()
    assert store.facts(described) == before
    assert record_of(described)["dct:provenance"]["rdfs:label"]["@value"] == "Entered in routine care."
    assert "DatasetDescription" in log_text(log)
    entries = len(list(log.entries(limit=1000)))
    assert store.describe(version.name, CatalogueFacts.model_validate(STATED)) == described
    assert len(list(log.entries(limit=1000))) == entries  # nothing new, nothing logged
    kept = store.describe(version.name, CatalogueFacts(population="Adults."))
    assert (kept.metadata.population, kept.metadata.contact) == ("Adults.", "mailto:data@clinic.example")


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"personal_data": ["Agee"]}, "perhaps 'Age'"),
        ({"purposes": ["gossip"]}, "gossip"),
        ({"period": ["2026-01-01", "2025-01-01"]}, "is after"),
        ({"retention": [None, None]}, "at least one day"),
        ({"retention": ["soon", None]}, "is not a day"),
        ({"contact": "the office"}, "contact"),
        ({"health_themes": ["rare diseases"]}, "written like a code"),
        ({"sample": {"title": "A", "url": "file:///etc/passwd"}}, "url"),
        ({"legal_basis": "https://w3id.org/dpv/legal/eu/gdpr#A9-2-a"}, "legal_basis"),
    ],
)
def test_facts_are_read_strictly(facts: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        CatalogueFacts.model_validate(facts)


def test_rows_of_patients_cannot_be_called_public() -> None:
    values: dict[str, Any] = {
        "description": "A cohort.",
        "categories": ["l"],
        "legal_basis": "https://w3id.org/dpv/legal/eu/gdpr#A9-2-a",
        "access": "public",
    }
    with pytest.raises(ValidationError, match="rows of patients never leave"):
        DatasetMetadata.model_validate(values)
    assert DatasetMetadata.model_validate(values | {"simulated": True}).access == "public"


def test_the_kinds_of_personal_data_are_all_those_of_dpv() -> None:
    path = STANDARDS / "vocabularies" / "dpv" / "pd.ttl"
    if not path.is_file():
        pytest.skip("../shared/standards is not here")
    classes = re.findall(r"^pd:(\w+) a rdfs:Class", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert known_personal_data() == set(classes)
    assert require_personal_data("Age") == "Age"
