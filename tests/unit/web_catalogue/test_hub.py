"""What a hub's catalogue says of a released synthetic dataset: the record of its package, the offer, Croissant."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from synthema.assembly.health_catalogue import HealthCatalogue
from synthema.canonical import digest_bytes
from synthema.dataspace import Caller, Offered
from synthema.dataspace.health import triples
from synthema.errors import IntegrityError, NotFoundError
from tests.conformance import catalogue as shapes
from tests.unit.certification.world import START, World

ORIGIN = "http://127.0.0.1:8100"
REGISTRY = Caller("did:web:registry.example", "Registry", "registry")
POLICY = {"permission": [{"action": "use"}]}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    world = World(tmp_path_factory.mktemp("world"))
    made = world.package()
    world.close()
    return made


@pytest.fixture
def path(tmp_path: Path, package: bytes) -> Path:
    path = tmp_path / "package.zip"
    path.write_bytes(package)
    return path


def hub_of(path: Path, digest: str) -> HealthCatalogue:
    """A catalogue over one offered package; shelf and governor say only what it asks of them."""
    name = digest.removeprefix("sha256:")
    iri = f"{ORIGIN}/id/dataset/{name}"
    row = {
        "dataset": name,
        "kind": "synthetic",
        "title": "Synthetic MGUS",
        "published_at": START,
        "offers": (Offered(f"{ORIGIN}/id/offer/one", POLICY),),
    }

    def released_file(asked: str) -> Any:
        if asked != digest:
            raise NotFoundError("there is no such artefact", fix="check the digest")
        return "study", SimpleNamespace(digest=digest), path

    parts = (
        SimpleNamespace(public_url=ORIGIN, did="did:web:hub.example", name="Hub", regime="pre-EHDS"),
        SimpleNamespace(newest=lambda _names: {}, listed_publicly=frozenset),
        SimpleNamespace(shown=lambda *_, **__: [(iri, row)], offered=lambda: [row], iri_of=lambda _name: iri),
        SimpleNamespace(released_file=released_file),
    )
    return HealthCatalogue(*cast("Any", parts))


def test_the_record_is_that_of_the_package_with_the_offer_made_here(path: Path, package: bytes) -> None:
    digest = digest_bytes(package)
    (listed,) = hub_of(path, digest).page(REGISTRY).listed
    assert listed.record["dct:type"]["@id"].endswith("SYNTHETIC_DATA")
    assert listed.record["adms:identifier"]["skos:notation"] == listed.iri
    assert [policy["@type"] for policy in listed.record["odrl:hasPolicy"]] == ["odrl:Policy", "odrl:Offer"]
    measured = listed.record["dqv:hasQualityMeasurement"]
    assert measured
    assert all(node["prov:wasAttributedTo"]["@id"].startswith("did:web:") for node in measured)
    assert triples(listed.record)
    assert shapes.problem(shapes.graph_of(listed.record), shapes.own()) == ""


def test_the_state_says_who_may_read_it(path: Path, package: bytes) -> None:
    (state,) = hub_of(path, digest_bytes(package)).state()
    assert (state.readers, state.missing) == ("registries and hubs", ())


def test_croissant_is_made_of_the_released_package(path: Path, package: bytes) -> None:
    digest = digest_bytes(package)
    found = hub_of(path, digest).croissant(digest.removeprefix("sha256:"))
    assert found["distribution"][0]["sha256"] == digest.removeprefix("sha256:")
    assert found["distribution"][0]["contentUrl"].startswith(f"{ORIGIN}/artefacts/")
    with pytest.raises(NotFoundError):
        hub_of(path, digest).croissant("0" * 64)


def test_a_package_that_was_changed_is_not_described(path: Path, package: bytes) -> None:
    path.write_bytes(package + b"x")
    with pytest.raises(IntegrityError, match="is not the one that was released"):
        hub_of(path, digest_bytes(package)).page(REGISTRY)
