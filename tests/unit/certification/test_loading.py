from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from synthema.certification import Registry
from synthema.certification.loading import Loading
from synthema.certification.targets import FhirFolder, Kind, ParquetFolder, Rows, Target
from synthema.errors import InputError, NotFoundError, StorageError
from tests.unit.certification.world import CANDIDATE, DATASET, World


class Flaky:
    """A target that may be out of reach."""

    kind: Kind = "postgres"

    def __init__(self, inner: Target) -> None:
        self.inner = inner
        self.away = False

    def load(self, rows: Rows) -> str:
        self._answer()
        return self.inner.load(rows)

    def remove(self, place: str) -> None:
        self._answer()
        self.inner.remove(place)

    def _answer(self) -> None:
        if self.away:
            raise StorageError("the database does not answer", fix="start it")


class House:
    """A registry with its targets, holding one dataset."""

    def __init__(self, world: World, folder: Path) -> None:
        party = world.parties["registry"]
        self.world = world
        self.registry: Registry = world.registry(folder / "packages")
        for holding in self.registry.holdings():
            if holding.state != "withdrawn":
                self.registry.withdraw(holding.certificate, "of another test")
        self.flaky = Flaky(ParquetFolder(folder / "database"))
        self.targets: dict[Kind, Target] = {
            "parquet": ParquetFolder(folder / "parquet"),
            "fhir": FhirFolder(folder / "fhir"),
            "postgres": self.flaky,
        }
        self.loading = Loading(
            party.database, party.log, party.did, self.registry, self.targets.__getitem__, world.clock
        )
        self.loading.settle()
        record = world.issue()
        self.certificate = record.id
        assert self.registry.ingest(world.package(record), world.use).accepted


@pytest.fixture
def house(world: World, tmp_path: Path) -> House:
    return House(world, tmp_path)


def test_rows_are_loaded_as_parquet_with_their_notice(house: House) -> None:
    load = house.loading.load(CANDIDATE, "parquet", user="urn:office:researchers")
    table = pl.read_parquet(load.place)
    assert table.to_dict(as_series=False) == {"age": [61, 70], "sex": ["F", "M"]}
    told = pl.read_parquet_metadata(load.place)
    assert told["synthema.notice"].startswith("SYNTHETIC DATA: no row describes a real person.")
    assert told["synthema.certificate"] == house.certificate
    log = house.world.parties["registry"].log
    assert b"RowsLoaded" in log.entry(log.size() - 1).body


def test_the_same_rows_give_the_same_file(house: House, tmp_path: Path) -> None:
    rows = house.registry.rows(CANDIDATE)
    for kind in ("parquet", "fhir"):
        place = Path(house.targets[kind].load(rows))
        before = place.read_bytes()
        assert house.targets[kind].load(rows) == str(place)
        assert place.read_bytes() == before
    assert not list(tmp_path.rglob("*.partial"))


def test_rows_are_loaded_as_fhir_resources_marked_synthetic(house: House) -> None:
    bundle = json.loads(Path(house.loading.load(CANDIDATE, "fhir").place).read_bytes())
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "collection")
    assert bundle["identifier"]["value"] == DATASET
    kinds = [entry["resource"]["resourceType"] for entry in bundle["entry"]]
    assert kinds == ["Patient", "Condition", "Observation"] * 2
    assert len({entry["fullUrl"] for entry in bundle["entry"]}) == len(kinds)
    for entry in bundle["entry"]:
        meta = entry["resource"]["meta"]
        assert meta["security"][0]["code"] == "HTEST"
        assert meta["tag"][0]["code"] == "SYNTHETIC"
    patient, condition, observation = (bundle["entry"][number]["resource"] for number in range(3))
    assert patient["gender"] == "female"
    assert condition["code"]["coding"][0]["code"] == "MONDO:0004225"
    assert condition["subject"]["reference"] == bundle["entry"][0]["fullUrl"]
    assert observation["code"]["coding"][0] == {"system": "http://loinc.org", "code": "30525-0"}
    assert observation["valueQuantity"] == {
        "value": 61, "unit": "a", "system": "http://unitsofmeasure.org", "code": "a",
    }  # fmt: skip


def test_the_bundle_is_one_to_fhir_resources(house: House) -> None:
    bundles = pytest.importorskip("fhir.resources.R4B.bundle")
    content = Path(house.loading.load(CANDIDATE, "fhir").place).read_bytes()
    bundle = bundles.Bundle.model_validate_json(content)
    assert len(bundle.entry) == 6


def test_a_withdrawn_dataset_is_taken_out_everywhere_and_its_users_are_told(house: House) -> None:
    places = [Path(house.loading.load(CANDIDATE, kind, user="urn:office:a").place) for kind in ("parquet", "fhir")]
    house.loading.note_user(CANDIDATE, "urn:office:b")
    assert house.loading.users(house.certificate) == ["urn:office:a", "urn:office:b"]
    house.world.status.revoke(house.certificate, "a patient withdrew")
    house.registry.refresh()
    assert house.loading.settle() == ()
    assert not any(place.exists() for place in places)
    assert {load.state for load in house.loading.loads(house.certificate)} == {"out"}
    notices = house.loading.notices("urn:office:b", unseen=True)
    assert len(notices) == 1
    assert "is not to be used any more" in notices[0]["text"]
    assert "the issuer revoked the certificate" in notices[0]["text"]
    assert notices[0]["text"].startswith("'Synthetic MGUS cohort'")
    house.loading.seen(notices[0]["id"])
    assert house.loading.notices("urn:office:b", unseen=True) == []
    assert len(house.loading.notices("urn:office:b")) == 1
    with pytest.raises(NotFoundError):
        house.loading.seen(notices[0]["id"])
    with pytest.raises(NotFoundError):
        house.loading.load(CANDIDATE, "parquet")


def test_a_suspended_dataset_comes_back_when_it_is_reinstated(house: House) -> None:
    place = Path(house.loading.load(CANDIDATE, "parquet", user="urn:office:c").place)
    house.world.status.suspend(house.certificate, "a doubt")
    house.registry.refresh()
    house.loading.settle()
    assert not place.exists()
    house.world.status.reinstate(house.certificate, "no doubt any more")
    house.registry.refresh()
    assert house.loading.settle() == ()
    assert place.exists()
    events = [notice["event"] for notice in house.loading.notices("urn:office:c")]
    assert events == ["suspend", "reinstate"]


def test_a_target_out_of_reach_is_tried_again(house: House) -> None:
    place = Path(house.loading.load(CANDIDATE, "postgres").place)
    house.registry.withdraw(house.certificate, "the study was withdrawn")
    house.flaky.away = True
    (problem,) = house.loading.settle()
    assert "does not answer" in problem
    (load,) = house.loading.loads(house.certificate)
    assert (load.state, load.problem) == ("loaded", "the database does not answer")
    assert place.exists()
    house.flaky.away = False
    assert house.loading.settle() == ()
    assert not place.exists()
    assert house.loading.loads(house.certificate)[0].problem == ""


def test_rows_that_another_certificate_covers_stay(house: House) -> None:
    place = Path(house.loading.load(CANDIDATE, "parquet").place)
    other = house.world.issue()
    assert house.registry.ingest(house.world.package(other), house.world.use).accepted
    house.registry.withdraw(house.certificate, "there is a newer certificate")
    house.loading.settle()
    assert place.exists()
    house.registry.withdraw(other.id, "withdrawn too")
    house.loading.settle()
    assert not place.exists()


@pytest.mark.parametrize("user", ["", "  ", "a\nb", "x" * 201])
def test_a_user_is_an_identifier(house: House, user: str) -> None:
    with pytest.raises(InputError, match="no identifier"):
        house.loading.note_user(CANDIDATE, user)


def test_a_target_removes_nothing_but_its_own(house: House, tmp_path: Path) -> None:
    other = tmp_path / "other.parquet"
    other.write_bytes(b"x")
    with pytest.raises(StorageError, match="not one of the registry's own"):
        house.targets["parquet"].remove(str(other))
    assert other.exists()
