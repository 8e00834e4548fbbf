from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from synthema.canonical import canonical_json, digest
from synthema.certification import CHECKS, IntendedUse, VerificationPolicy, payload_of, release_activity
from synthema.certification.description import proofs
from synthema.certification.document import read_document
from synthema.certification.evidence import read_evidence
from synthema.certification.model import CertificateContent, DataFile
from synthema.errors import InputError
from synthema.identity import FileSigner
from synthema.identity.credentials import issue
from synthema.provenance.checkpoint import COSIGNATURE, VerifierKey, witness_name
from tests.unit.certification.world import CODEBOOK, PASSPHRASE, ROWS, START, World, bagged, nobody_answers


def test_a_sound_package_passes_all_checks(world: World, package: bytes) -> None:
    report = world.verify(package)
    assert report.ok, "\n".join(report.lines())
    assert [result.number for result in report.results] == list(range(1, 12))
    assert len(CHECKS) == 11
    assert report.lines()[-1] == "All checks passed."


def test_a_policy_that_trusts_nobody_is_an_error() -> None:
    with pytest.raises(InputError, match="trusts nobody"):
        VerificationPolicy(frozenset(), frozenset({"did:web:a"}), 6.0, 1e-4)
    with pytest.raises(InputError, match="no ceiling"):
        VerificationPolicy(frozenset({"did:web:a"}), frozenset({"did:web:a"}), 0.0, 1e-4)


def test_an_unreadable_package_fails_every_check(world: World) -> None:
    report = world.verify(b"not a zip file")
    assert report.failed == tuple(range(1, 12))
    assert "cannot be read" in report.results[0].reason


# what is changed inside the package -------------------------------------------------------


def forged(package: bytes, change: Callable[[dict[str, Any]], object], *, signer: World | None = None) -> bytes:
    """The package with its certificate changed; signed again by the hub when a world is given."""
    payload = payload_of(package)
    certificate = json.loads(payload["certificate.json"])
    change(certificate)
    if signer is not None:
        bound(certificate, payload)
        certificate = resign(certificate, signer)
    payload["certificate.json"] = canonical_json(certificate)
    return bagged(payload)


def bound(certificate: dict[str, Any], payload: dict[str, bytes]) -> None:
    """Let the files that repeat parts of a certificate, and its list of files, follow a change of it."""
    content = read_document(CertificateContent, subject(certificate))
    evidence = [read_evidence(each.credential) for each in content.evidence]
    parts: dict[str, tuple[Any, bytes]] = {
        f"evidence/{number:03d}.json": ("evidence", canonical_json(each.credential))
        for number, each in enumerate(content.evidence, start=1)
    }
    parts |= {name: ("proof", proof.bundle.encode()) for name, proof in proofs(content, evidence)}
    kept = [file for file in content.files if file.role not in ("evidence", "proof")]
    repeated = [DataFile.of(name, role, "text/plain", value) for name, (role, value) in parts.items()]
    subject(certificate)["files"] = [file.as_json() for file in (*kept, *repeated)]
    for name in [name for name in payload if name.startswith(("evidence/", "proofs/"))]:
        del payload[name]
    payload.update({name: value for name, (_, value) in parts.items()})


def resign(certificate: dict[str, Any], world: World) -> dict[str, Any]:
    unsigned = {name: value for name, value in certificate.items() if name != "proof"}
    return issue(unsigned, world.hub.signer, f"{world.hub.did}#assertion", world.clock.now())


def subject(certificate: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = certificate["credentialSubject"]
    return found


def replaced(package: bytes, name: str, content: bytes) -> bytes:
    return bagged(payload_of(package) | {name: content})


def figures(certificate: dict[str, Any]) -> list[dict[str, Any]]:
    found = subject(certificate)
    return [*found["privacy"]["attacks"], *found["utility"]["figures"]]


def test_3_a_changed_dataset_is_found(world: World, package: bytes) -> None:
    report = world.verify(replaced(package, "dataset.csv", ROWS.replace(b"61", b"62")))
    assert report.failed == (3, 11)
    assert "dataset.csv was changed" in report.results[2].reason


@pytest.mark.parametrize("name", ["codebook.json", "README.txt", "evidence/002.json"])
def test_3_a_change_of_any_other_file_is_found(world: World, package: bytes, name: str) -> None:
    content = payload_of(package)[name]
    report = world.verify(replaced(package, name, content + b" "))
    assert report.failed == (3, 11)
    assert name in report.results[2].reason


def test_3_a_missing_and_a_superfluous_file_are_found(world: World, package: bytes) -> None:
    entries = payload_of(package)
    entries["dataset.parquet"] = entries.pop("codebook.json")
    reason = world.verify(bagged(entries)).results[2].reason
    assert "codebook.json is missing" in reason
    assert "dataset.parquet does not belong here" in reason


def test_3_another_way_to_write_the_same_certificate_is_found(world: World, package: bytes) -> None:
    certificate = json.loads(payload_of(package)["certificate.json"])
    report = world.verify(replaced(package, "certificate.json", json.dumps(certificate).encode()))
    assert report.failed == (3, 11)
    assert "canonical form" in report.results[2].reason


def test_4_a_changed_certificate_is_found(world: World, package: bytes) -> None:
    report = world.verify(forged(package, lambda c: subject(c).update(rows=3)))
    assert report.failed == (4, 11)


def test_4_a_certificate_signed_with_another_key_is_found(world: World, package: bytes) -> None:
    other = FileSigner.create(world.folder / "other", PASSPHRASE)

    def resigned(certificate: dict[str, Any]) -> None:
        del certificate["proof"]
        certificate["proof"] = issue(certificate, other, f"{world.hub.did}#assertion", world.clock.now())["proof"]

    assert world.verify(forged(package, resigned)).failed == (4, 11)


def test_4_the_key_of_the_log_cannot_sign_a_certificate(world: World, package: bytes) -> None:
    def resigned(certificate: dict[str, Any]) -> None:
        del certificate["proof"]
        certificate["proof"] = issue(certificate, world.hub.signer, f"{world.hub.did}#log", world.clock.now())["proof"]

    assert world.verify(forged(package, resigned)).failed == (4, 11)


def test_4_a_proof_from_the_future_is_found(world: World, package: bytes) -> None:
    assert 4 in world.verify(package, at=world.clock.now() - timedelta(hours=1)).failed


def test_5_an_issuer_that_is_not_trusted_is_refused(world: World, package: bytes) -> None:
    policy = replace(world.policy, issuers=frozenset({"did:web:another.example"}))
    report = world.verify(package, policy=policy)
    assert report.failed == (5, 6, 11)
    assert "not looked up" in report.results[5].reason


def test_5_an_issuer_nobody_knows_is_refused(world: World, package: bytes) -> None:
    known = {name: party for name, party in world.parties.items() if name != "hub"}
    policy = replace(world.policy, issuers=frozenset({"did:web:another.example"}))
    assert world.verify(package, policy=policy, resolver=world.resolver_for(known)).failed == (4, 5, 6, 9, 11)


def test_10_missing_evidence_is_found(world: World, package: bytes) -> None:
    def dropped(certificate: dict[str, Any]) -> None:
        subject(certificate)["evidence"].pop()

    report = world.verify(forged(package, dropped, signer=world))
    assert report.failed == (10,)
    assert f"there is no evidence of {world.sites[2].did}" in report.results[9].reason


def test_10_evidence_about_another_dataset_is_found(world: World, package: bytes) -> None:
    other = world.evidence(world.sites[0], candidate="sha256:" + "00" * 32)

    def exchanged(certificate: dict[str, Any]) -> None:
        subject(certificate)["evidence"][0].update(credential=other, digest=digest(other))

    report = world.verify(forged(package, exchanged, signer=world))
    assert 10 in report.failed
    assert "about another dataset" in report.results[9].reason


def test_10_evidence_signed_by_another_site_is_found(world: World, package: bytes) -> None:
    def exchanged(certificate: dict[str, Any]) -> None:
        evidence = subject(certificate)["evidence"][0]
        unsigned = {name: value for name, value in evidence["credential"].items() if name != "proof"}
        unsigned["issuer"] = world.sites[1].did
        credential = issue(unsigned, world.sites[1].signer, f"{world.sites[1].did}#assertion", world.clock.now())
        evidence.update(credential=credential, digest=digest(credential))

    assert 10 in world.verify(forged(package, exchanged, signer=world)).failed


def test_10_a_site_that_is_not_trusted_is_refused(world: World, package: bytes) -> None:
    policy = replace(world.policy, sites=frozenset({world.sites[0].did}))
    report = world.verify(package, policy=policy)
    assert report.failed == (10,)
    assert world.sites[1].did in report.results[9].reason


def test_10_too_few_sites_are_refused(world: World, package: bytes) -> None:
    assert world.verify(package, policy=replace(world.policy, minimum_sites=4)).failed == (10,)


def test_10_a_figure_that_no_site_measured_is_found(world: World, package: bytes) -> None:
    def flattered(certificate: dict[str, Any]) -> None:
        subject(certificate)["utility"]["figures"][0]["measurement"]["value"] = 0.99

    report = world.verify(forged(package, flattered, signer=world))
    assert report.failed == (10,)
    assert "not in that site's evidence" in report.results[9].reason


def test_10_a_figure_without_log_entry_is_found(world: World, package: bytes) -> None:
    def unlogged(certificate: dict[str, Any]) -> None:
        subject(certificate)["utility"]["figures"][0]["measurement"]["logPosition"] = None

    report = world.verify(forged(package, unlogged, signer=world))
    assert "no log entry behind it" in report.results[9].reason


@pytest.mark.parametrize("line", [0, 1, 2, 3, -5, -4, -3, -2])
def test_9_a_changed_log_proof_is_found(world: World, package: bytes, line: int) -> None:
    def altered(certificate: dict[str, Any]) -> None:
        lines = subject(certificate)["release"]["bundle"].split("\n")
        lines[line] = flip(lines[line]) if lines[line] else "A" * 43 + "="
        subject(certificate)["release"]["bundle"] = "\n".join(lines)

    assert world.verify(forged(package, altered, signer=world)).failed == (9,)


def flip(text: str) -> str:
    middle = len(text) // 2
    return text[:middle] + ("B" if text[middle] == "A" else "A") + text[middle + 1 :]


def test_9_a_release_of_another_dataset_is_found(world: World, package: bytes) -> None:
    other = release_activity(world.hub.log.iri("release", "another"), "sha256:" + "00" * 32, world.hub.did, START)
    proof = world.maker(world.hub).prove(world.hub.log.record(other).sequence).as_json()
    report = world.verify(forged(package, lambda c: subject(c).update(release=proof), signer=world))
    assert report.failed == (9,)


def test_9_a_figure_that_points_to_another_run_is_found(world: World, package: bytes) -> None:
    site = world.sites[0]

    def exchanged(certificate: dict[str, Any]) -> None:
        evidence = subject(certificate)["evidence"][0]
        unsigned = {name: value for name, value in evidence["credential"].items() if name != "proof"}
        measured = unsigned["credentialSubject"]["statement"]["measurements"]
        for figure in [f for f in figures(certificate) if f["site"] == site.did]:
            figure["measurement"]["run"] = site.log.iri("run", "another")
        for measurement in measured:
            measurement["run"] = site.log.iri("run", "another")
        credential = issue(unsigned, site.signer, f"{site.did}#assertion", world.clock.now())
        evidence.update(credential=credential, digest=digest(credential))

    report = world.verify(forged(package, exchanged, signer=world))
    assert report.failed == (9,)
    assert "no log entry" in report.results[8].reason


def test_9_a_statement_the_log_does_not_name_is_found(world: World, package: bytes) -> None:
    site = world.sites[0]

    def exchanged(certificate: dict[str, Any]) -> None:
        evidence = subject(certificate)["evidence"][0]
        unsigned = {name: value for name, value in evidence["credential"].items() if name != "proof"}
        unsigned["credentialSubject"]["statement"]["privacy"]["sigma"] = 99.0
        credential = issue(unsigned, site.signer, f"{site.did}#assertion", world.clock.now())
        evidence.update(credential=credential, digest=digest(credential))

    report = world.verify(forged(package, exchanged, signer=world))
    assert report.failed == (9,)
    assert "does not name this statement" in report.results[8].reason


def test_9_a_log_that_too_few_witnesses_saw_is_refused(world: World, package: bytes) -> None:
    witness = world.parties["stranger"]
    key = VerifierKey(witness_name(witness.url), witness.signer.public_key("witness"), COSIGNATURE)
    assert world.verify(package, policy=replace(world.policy, witnesses=(key,), quorum=1)).failed == (9,)


def test_6_a_revoked_and_a_suspended_certificate_are_refused(world: World) -> None:
    record = world.issue()
    package = world.package(record)
    world.status.suspend(record.id, "a withdrawal is being assessed")
    suspended = world.verify(package)
    assert suspended.failed == (6,)
    assert "suspended" in suspended.results[5].reason
    world.status.reinstate(record.id, "the assessment found no harm")
    assert world.verify(package).ok
    world.status.revoke(record.id, "the generator was found faulty")
    revoked = world.verify(package)
    assert revoked.failed == (6,)
    assert "revoked" in revoked.results[5].reason


def test_6_an_expired_certificate_is_refused(world: World, package: bytes) -> None:
    world.clock.advance(timedelta(days=2 * 366))
    report = world.verify(package)
    assert report.failed == (6,)
    assert "ended on 2028-11-21" in report.results[5].reason


def test_6_a_status_that_cannot_be_learned_is_refused(world: World, package: bytes) -> None:
    assert world.verify(package, status=None).failed == (6,)
    assert world.verify(package, status=nobody_answers).failed == (6,)


def test_6_a_stale_status_list_is_refused(world: World, package: bytes) -> None:
    old = {purpose: world.status.credential(purpose) for purpose in ("revocation", "suspension")}
    world.clock.advance(timedelta(hours=13))
    assert world.verify(package, status=lambda url: old[url.rpartition("/")[2]]).failed == (6,)


def test_6_a_validity_above_24_months_is_refused(world: World, package: bytes) -> None:
    extended = forged(package, lambda c: c.update(validUntil="2028-11-22T10:00:00Z"), signer=world)
    report = world.verify(extended)
    assert report.failed == (6,)
    assert "24 months" in report.results[5].reason


@pytest.mark.article("GDPR 32")
def test_8_an_epsilon_above_the_ceiling_is_refused(world: World, package: bytes) -> None:
    report = world.verify(package, policy=replace(world.policy, epsilon_ceiling=2.0))
    assert report.failed == (8,)
    assert "above this registry's ceiling of 2" in report.results[7].reason
    assert world.verify(package, policy=replace(world.policy, delta_ceiling=1e-9)).failed == (8,)


def test_8_a_claim_of_a_lower_grade_is_refused(world: World, package: bytes) -> None:
    assert world.verify(package, policy=replace(world.policy, assurances=frozenset({"tested"}))).failed == (8,)


def test_8_a_certificate_that_admits_less_than_a_site_spent_is_found(world: World, package: bytes) -> None:
    understated = forged(package, lambda c: subject(c)["privacy"]["guarantee"].update(epsilon=1.0), signer=world)
    assert world.verify(understated).failed == (8,)


@pytest.mark.article("EHDS 53")
def test_7_a_use_nobody_permitted_is_refused(world: World, package: bytes) -> None:
    use = IntendedUse(purpose="statistics", recipient=world.use.recipient)
    report = world.verify(package, intended=use)
    assert report.failed == (7,)
    assert "no permission covers" in report.results[6].reason


@pytest.mark.article("EHDS 54")
def test_7_a_prohibited_use_is_refused(world: World, package: bytes) -> None:
    use = IntendedUse(purpose="dpv:Marketing", recipient=world.use.recipient)
    assert "a prohibition covers it" in world.verify(package, intended=use).results[6].reason


def test_7_an_unknown_purpose_is_refused(world: World, package: bytes) -> None:
    use = IntendedUse(purpose="whatever", recipient=world.use.recipient)
    assert world.verify(package, intended=use).failed == (7,)


@pytest.mark.article("GDPR 35")
def test_10_a_gate_that_was_not_passed_is_found(world: World, package: bytes) -> None:
    def failing(certificate: dict[str, Any]) -> None:
        subject(certificate)["gates"] = {
            "phase": "pre-release",
            "at": "now",
            "dpia": "hub",
            "dpiaDigest": "sha256:" + "ab" * 32,
            "conformant": True,
            "results": [
                {"gate": "g", "metric": "m", "passed": False, "sentence": "m must be low", "threshold": None,
                 "observed": None, "n": None, "source": None}
            ],
            "missing": [],
        }  # fmt: skip

    report = world.verify(forged(package, failing, signer=world))
    assert report.failed == (10,)
    assert "coordinator: m must be low" in report.results[9].reason


# second signature -------------------------------------------------------------------------


def test_a_second_signature_is_verified_and_can_be_required(world: World, package: bytes) -> None:
    policy = replace(world.policy, require_second_signature=True)
    assert world.verify(package, policy=policy).failed == (4, 11)
    signed = world.package(world.issue(second=world.second()))
    report = world.verify(signed, policy=policy)
    assert report.ok, report.lines()
    assert "#dpo" in report.results[3].note


def test_a_wrong_second_signature_is_found(world: World) -> None:
    signed = world.package(world.issue(second=world.second()))

    def broken(certificate: dict[str, Any]) -> None:
        certificate["proof"][1]["proofValue"] = certificate["proof"][0]["proofValue"]

    assert world.verify(forged(signed, broken)).failed == (4, 11)


def test_all_failures_are_shown_together(world: World, package: bytes) -> None:
    policy = replace(world.policy, issuers=frozenset({"did:web:another.example"}), epsilon_ceiling=1.0)
    use = IntendedUse(purpose="statistics", recipient=world.use.recipient)
    report = world.verify(replaced(package, "dataset.csv", ROWS + CODEBOOK), policy=policy, intended=use)
    assert report.failed == (3, 5, 6, 7, 8, 11)
    lines = report.lines()
    assert sum("FAIL" in line for line in lines) == 6
    assert sum("What to do:" in line for line in lines) == 6
    assert lines[-1] == "6 of 11 checks failed."
