from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from synthema.canonical import digest
from synthema.certification import (
    Certificate,
    CertificateContent,
    EvidenceStatement,
    GateRecord,
    PrivacyBlock,
    SecondSignature,
    Source,
    cohort_band,
    read_document,
    verify_evidence,
)
from synthema.certification.certificate import add_months
from synthema.certification.schema import FILE, certificate_schema, schema_text
from synthema.errors import ConflictError, DeniedError, InputError, IntegrityError, NotFoundError
from synthema.identity.credentials import verify
from synthema.resources import bundled
from tests.unit.certification.world import CANDIDATE, START, World, gates, spent


def entries(world: World, word: str) -> int:
    return sum(word.encode() in entry.body for entry in world.hub.log.entries(limit=1000))


# evidence ---------------------------------------------------------------------------------


def test_evidence_is_verified_by_anyone_who_knows_the_site(world: World) -> None:
    site = world.sites[0]
    credential = world.evidence(site)
    evidence = verify_evidence(credential, CANDIDATE, world.resolver, world.clock.now())
    assert evidence.statement.site == site.did
    assert evidence.credential_subject.attested.position > evidence.credential_subject.runs[0].position


def test_evidence_is_a_credential_that_general_verifiers_accept(world: World) -> None:
    verified = verify(world.evidence(world.sites[0]), world.resolver, world.clock.now())
    assert verified.types == ("VerifiableCredential", "SyntheticDataEvidence")


def test_a_figure_without_log_entry_cannot_be_signed(world: World) -> None:
    site = world.sites[0]
    run, _ = world.run_at(site)
    with pytest.raises(InputError, match="has no log entry behind it"):
        world.evidence(site, measured=(run, None))


def test_a_figure_that_points_to_another_runs_entry_cannot_be_signed(world: World) -> None:
    site = world.sites[0]
    _, position = world.run_at(site)
    with pytest.raises(InputError, match="is not of the run that measured"):
        world.evidence(site, measured=(site.log.iri("run", "another"), position))


def test_a_figure_that_points_beyond_the_log_cannot_be_signed(world: World) -> None:
    site = world.sites[0]
    run, _ = world.run_at(site)
    with pytest.raises(NotFoundError):
        world.evidence(site, measured=(run, 10_000))


def test_a_site_states_only_its_own_evidence(world: World) -> None:
    with pytest.raises(InputError, match="only its own"):
        world.maker(world.sites[0]).make(world.statement(world.sites[1]))


def test_evidence_about_another_candidate_is_refused(world: World) -> None:
    with pytest.raises(IntegrityError, match="another dataset"):
        verify_evidence(world.evidence(world.sites[0]), "sha256:" + "11" * 32, world.resolver, world.clock.now())


def test_no_count_of_patients_leaves_a_site() -> None:
    assert [cohort_band(n) for n in (0, 9, 10, 49, 99, 100, 1384)] == [
        "fewer than 10", "fewer than 10", "10–49", "10–49", "50–99", "100–249", "1000 or more",
    ]  # fmt: skip


# certificate ------------------------------------------------------------------------------


def test_a_certificate_is_issued_logged_and_found(world: World) -> None:
    before = entries(world, "a certificate was issued")
    record = world.issue()
    assert world.issuer.find(record.id).document == record.document
    assert world.issuer.recent(1)[0].id == record.id
    assert record.id in {found.id for found in world.issuer.of_candidate(CANDIDATE)}
    assert entries(world, "a certificate was issued") == before + 1
    assert entries(world, digest(record.document)) == 1


def test_a_certificate_is_a_credential_that_general_verifiers_accept(world: World) -> None:
    record = world.issue(second=world.second())
    verified = verify(record.document, world.resolver, world.clock.now(), world.look_up)
    assert verified.signers == (f"{world.hub.did}#assertion", f"{world.hub.did}#dpo")


def test_each_certificate_has_status_bits_of_its_own(world: World) -> None:
    first, second = world.issue(), world.issue()
    assert second.status_index == first.status_index + 1


def test_the_published_schema_is_current() -> None:
    published = (bundled("legal") / FILE).read_text(encoding="utf-8")
    assert published == schema_text(), "run: python -c 'from synthema.certification.schema import publish; publish()'"


def test_an_issued_certificate_follows_the_published_schema(world: World) -> None:
    validator = jsonschema.Draft202012Validator(certificate_schema())
    validator.check_schema(certificate_schema())
    validator.validate(world.issue().document)
    validator.validate(world.issue(second=world.second()).document)


@pytest.mark.parametrize("change", [{"rows": 0}, {"extra": 1}, {"regime": "later"}, {"rows": "2"}, {"files": []}])
def test_a_certificate_of_another_form_is_refused(world: World, change: dict[str, Any]) -> None:
    document = world.issue().document
    document["credentialSubject"] |= change
    with pytest.raises(InputError, match="credentialSubject"):
        read_document(Certificate, document)
    validator = jsonschema.Draft202012Validator(certificate_schema())
    assert not validator.is_valid(document)


def test_a_validity_above_24_months_cannot_be_issued(world: World) -> None:
    with pytest.raises(InputError, match="25 months"):
        world.issue(months=25)
    record = world.issue(months=24)
    assert record.document["validUntil"] == "2028-11-21T10:00:00Z"


@pytest.mark.parametrize(
    ("start", "months", "end"),
    [
        (datetime(2026, 11, 30, tzinfo=UTC), 3, datetime(2027, 2, 28, tzinfo=UTC)),
        (datetime(2028, 2, 29, tzinfo=UTC), 24, datetime(2030, 2, 28, tzinfo=UTC)),
        (datetime(2026, 12, 31, tzinfo=UTC), 1, datetime(2027, 1, 31, tzinfo=UTC)),
    ],
)
def test_months_end_on_the_same_or_the_last_day(start: datetime, months: int, end: datetime) -> None:
    assert add_months(start, months) == end


@pytest.mark.article("GDPR 35")
def test_no_certificate_without_every_gate(world: World) -> None:
    given = [world.evidence(site) for site in world.sites[:2]]
    for failing in (gates(passed=False), gates(missing=("linkabilityRisk",))):
        content = world.content([*given, world.evidence(world.sites[2], gates=failing)])
        with pytest.raises(DeniedError, match="gate"):
            world.issue(content)


def test_a_report_that_contradicts_itself_does_not_pass(world: World) -> None:
    odd = gates().model_copy(update={"conformant": False})
    assert odd.failures == ("the report says that it is not conformant",)


def test_the_record_of_gates_is_the_dpia_rooms_own_report() -> None:
    from synthema.dpia.check import GateReport, GateResult

    result = GateResult("g", "m", passed=True, sentence="m must be ≤ 1", threshold=1.0, observed=0.5, n=10, source="x")
    report = GateReport("pre-release", START, "dpia", "sha256:" + "ab" * 32, True, (result,), ())
    assert digest(GateRecord.of(report).as_json()) == report.digest


def changed(content: CertificateContent, **values: Any) -> CertificateContent:
    return CertificateContent.model_validate(dict(content) | values)


def test_content_and_evidence_must_agree(world: World) -> None:
    content = world.content()
    source: Source = content.sources[0].model_copy(update={"cohort": "1000 or more"})
    wrong: dict[str, CertificateContent] = {
        "no evidence of": changed(content, evidence=content.evidence[:2]),
        "not named as source": changed(content, sources=content.sources[:2]),
        "something else of the data": changed(content, sources=(source, *content.sources[1:])),
        "spent more": changed(content, privacy=PrivacyBlock(guarantee=spent(1.0), attacks=content.privacy.attacks)),
        "whether there is a guarantee": changed(
            content, privacy=PrivacyBlock(guarantee=spent(None), attacks=content.privacy.attacks)
        ),
        "another unit|'one visit'": changed(
            content, privacy=PrivacyBlock(guarantee=spent(unit="one visit"), attacks=content.privacy.attacks)
        ),
        "twice": changed(content, evidence=(*content.evidence, content.evidence[0])),
    }
    for sentence, mistaken in wrong.items():
        with pytest.raises(InputError, match=sentence):
            world.issue(mistaken)


def test_a_release_proven_by_another_log_is_refused(world: World) -> None:
    site = world.sites[0]
    _, position = world.run_at(site)
    with pytest.raises(IntegrityError, match="another party's log"):
        world.issue(changed(world.content(), release=world.maker(site).prove(position)))


def test_nothing_is_kept_when_the_log_cannot_be_written(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    content = world.content()
    before = len(world.issuer.recent())

    def refuses(*_: object) -> None:
        raise ConflictError("the log is full", fix="make room")

    monkeypatch.setattr(world.hub.log, "append", refuses)
    with pytest.raises(ConflictError, match="full"):
        world.issue(content)
    assert len(world.issuer.recent()) == before


def test_the_second_signature_is_never_by_a_key_of_the_organisation(world: World) -> None:
    with pytest.raises(InputError, match="must be a person's"):
        world.issue(second=SecondSignature("urn:p:1", "log", world.hub.signer))


# status -----------------------------------------------------------------------------------


def test_the_status_walks_only_along_its_table(world: World) -> None:
    record = world.issue()
    with pytest.raises(ConflictError, match="valid cannot reinstate"):
        world.status.reinstate(record.id, "why")
    world.status.revoke(record.id, "faulty")
    for step in (world.status.suspend, world.status.reinstate, world.status.revoke):
        with pytest.raises(ConflictError, match="revoked cannot"):
            step(record.id, "again")
    assert world.issuer.find(record.id).state == "revoked"
    assert world.issuer.find(record.id).reason == "faulty"


def test_a_change_of_status_needs_a_reason_and_is_logged(world: World) -> None:
    record = world.issue()
    with pytest.raises(InputError, match="no reason"):
        world.status.suspend(record.id, "  ")
    before = entries(world, "Suspension")
    world.status.suspend(record.id, "a reason", person="urn:person:dpo")
    assert entries(world, "Suspension") == before + 1


def test_unknown_certificates_and_lists_are_not_found(world: World) -> None:
    with pytest.raises(NotFoundError):
        world.status.revoke("urn:none", "why")
    with pytest.raises(NotFoundError):
        world.status.credential("other")


def test_a_status_list_is_short_lived_and_signed(world: World) -> None:
    listed = world.status.credential("revocation")
    assert verify(listed, world.resolver, world.clock.now()).issuer == world.hub.did
    world.clock.advance(timedelta(hours=13))
    with pytest.raises(IntegrityError, match="ended"):
        verify(listed, world.resolver, world.clock.now())


def test_a_statement_has_the_digest_its_log_names(world: World) -> None:
    site = world.sites[0]
    credential = world.evidence(site)
    statement = read_document(EvidenceStatement, credential["credentialSubject"]["statement"])
    assert statement.digest.encode() in site.log.entries(after=site.log.size() - 2)[0].body
