"""No byte of a package can be changed without a check that says so."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synthema.canonical import canonical_json
from synthema.certification import CHECKS, VerificationReport, payload_of, write_package
from synthema.errors import InputError
from tests.unit.certification.world import World, bagged

FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


BOUND = (
    "dataset.csv",
    "codebook.json",
    "README.txt",
    "healthdcat-ap.jsonld",
    "ro-crate-metadata.json",
    "workflow/study-plan.json",
    "evidence/002.json",
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("world"))
    yield world
    world.close()


@pytest.fixture(scope="module")
def package(world: World) -> bytes:
    return world.package(world.issue(second=world.second()))


def flipped(data: bytes, draw: st.DataObject) -> bytes:
    position = draw.draw(st.integers(0, len(data) - 1), label="position")
    bit = draw.draw(st.integers(0, 7), label="bit")
    return data[:position] + bytes([data[position] ^ (1 << bit)]) + data[position + 1 :]


def must_fail(report: VerificationReport) -> VerificationReport:
    assert not report.ok
    assert len(report.results) == len(CHECKS)
    for result in report.results:
        assert result.ok or (result.reason and result.fix and result.title)
    return report


@FEW
@given(draw=st.data())
def test_any_flipped_bit_of_the_package_is_caught(world: World, package: bytes, draw: st.DataObject) -> None:
    must_fail(world.verify(flipped(package, draw)))


@FEW
@given(draw=st.data(), name=st.sampled_from(BOUND))
def test_any_flipped_bit_of_a_file_is_caught_by_the_check_of_files(
    world: World, package: bytes, draw: st.DataObject, name: str
) -> None:
    entries = payload_of(package)
    entries[name] = flipped(entries[name], draw)
    assert 3 in must_fail(world.verify(bagged(entries))).failed


@FEW
@given(draw=st.data())
def test_any_flipped_bit_of_the_certificate_is_caught(world: World, package: bytes, draw: st.DataObject) -> None:
    entries = payload_of(package)
    entries["certificate.json"] = flipped(entries["certificate.json"], draw)
    failed = must_fail(world.verify(bagged(entries))).failed
    assert 2 in failed or 4 in failed


@FEW
@given(draw=st.data(), site=st.integers(0, 2))
def test_any_flipped_bit_of_embedded_evidence_is_caught_by_its_own_check(
    world: World, package: bytes, draw: st.DataObject, site: int
) -> None:
    """The evidence is exchanged everywhere, as someone would who controls the certificate but not the site."""
    entries = payload_of(package)
    certificate = json.loads(entries["certificate.json"])
    reference = certificate["credentialSubject"]["evidence"][site]
    try:
        reference["credential"] = json.loads(flipped(canonical_json(reference["credential"]), draw))
        entries[f"evidence/{site + 1:03d}.json"] = canonical_json(reference["credential"])
        entries["certificate.json"] = canonical_json(certificate)
    except (ValueError, InputError):
        return  # no JSON any more: caught before anything else
    failed = must_fail(world.verify(bagged(entries))).failed
    assert 2 in failed or 10 in failed


@FEW
@given(draw=st.data(), which=st.sampled_from(["release", "attested", "runs"]))
def test_any_changed_byte_of_a_log_proof_is_caught_by_the_check_of_logs(
    world: World, package: bytes, draw: st.DataObject, which: str
) -> None:
    entries = payload_of(package)
    certificate = json.loads(entries["certificate.json"])
    subject = certificate["credentialSubject"]
    evidence = subject["evidence"][0]["credential"]["credentialSubject"]
    proof = {"release": subject.get("release"), "attested": evidence["attested"], "runs": evidence["runs"][0]}[which]
    proof["bundle"] = flipped(proof["bundle"].encode(), draw).decode(errors="replace")
    entries["certificate.json"] = canonical_json(certificate)
    assert 9 in must_fail(world.verify(bagged(entries))).failed


@FEW
@given(data=st.binary(max_size=400))
def test_arbitrary_bytes_are_reported_never_raised(world: World, data: bytes) -> None:
    must_fail(world.verify(data))


@FEW
@given(cut=st.integers(1, 5000))
def test_a_package_cut_short_is_caught(world: World, package: bytes, cut: int) -> None:
    must_fail(world.verify(package[:-cut]))


def test_the_untouched_package_passes(world: World, package: bytes) -> None:
    assert world.verify(package).ok
    files = payload_of(package)
    certificate = json.loads(files.pop("certificate.json"))
    assert write_package(certificate, files) == package
