"""Nobody is a public sector body on their word (EHDS Art. 53(2)): two people saw it, or a trusted body signed it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from synthema.clock import FixedClock, to_text
from synthema.errors import ConflictError, DeniedError, InputError, IntegrityError, NotFoundError
from synthema.identity.credentials import issue
from synthema.identity.statuslist import CONTEXT
from synthema.permits import Attestation, Attestations, attestation_bytes
from synthema.storage import Database
from tests.unit.datasets.support import log_text
from tests.unit.obligations.support import Desk, make_desk
from tests.unit.permits.support import BODY, Body

pytestmark = pytest.mark.article("EHDS 53(2)")

AGENCY = "did:web:agency.example"
ACT = "Act on the Health Agency of 2019, section 3"
LAST = date(2028, 12, 31)


@pytest.fixture
def desk(database: Database, clock: FixedClock) -> Desk:
    return make_desk(database, clock)


@pytest.fixture
def attestations(desk: Desk) -> Attestations:
    return Attestations(desk.database, desk.log, desk.clock, desk.ledger._people)


def attest(attestations: Attestations, desk: Desk) -> Attestation:
    data = attestation_bytes(AGENCY, ACT, LAST)
    return attestations.attest(AGENCY, ACT, LAST, [desk.officer.over(data), desk.steward.over(data)])


def test_two_people_confirm_what_they_saw(attestations: Attestations, desk: Desk) -> None:
    assert attestations.public_sector(AGENCY, desk.clock.now()) is None
    made = attest(attestations, desk)
    fact = attestations.public_sector(AGENCY, desk.clock.now())
    assert fact is not None
    assert (fact.value, fact.evidence) == (True, f"http://127.0.0.1:8101/id/attestation/{made.id}")
    assert attestations.public_sector("did:web:other.example", desk.clock.now()) is None
    assert "PartyAttestation" in log_text(desk.log)
    assert len(made.attested_by) == 2


def test_one_person_or_other_words_confirm_nothing(attestations: Attestations, desk: Desk) -> None:
    data = attestation_bytes(AGENCY, ACT, LAST)
    officer, steward = desk.officer.over(data), desk.steward.over(data)
    for approvals in ([officer], [officer, officer], [steward], []):
        with pytest.raises(DeniedError):
            attestations.attest(AGENCY, ACT, LAST, approvals)
    with pytest.raises(IntegrityError):
        attestations.attest("did:web:other.example", ACT, LAST, [officer, steward])
    for subject, evidence in (("agency", ACT), (AGENCY, "yes")):
        with pytest.raises(InputError):
            attestations.attest(subject, evidence, LAST, [officer, steward])
    assert attestations.all() == []


def test_it_ends_on_its_last_day_or_when_an_officer_ends_it(attestations: Attestations, desk: Desk) -> None:
    made = attest(attestations, desk)
    with pytest.raises(InputError):
        attestations.end(made.id, " ", by=desk.officer.person)
    attestations.end(made.id, "the agency was dissolved", by=desk.officer.person)
    assert attestations.public_sector(AGENCY, desk.clock.now()) is None
    with pytest.raises(ConflictError):
        attestations.end(made.id, "again", by=desk.officer.person)
    with pytest.raises(NotFoundError):
        attestations.end("attestation-none", "again", by=desk.officer.person)
    attest(attestations, desk)
    desk.wait(1000)
    assert attestations.public_sector(AGENCY, desk.clock.now()) is None
    with pytest.raises(InputError, match="ended already"):
        attest(attestations, desk)


def credential(body: Body, **changes: Any) -> dict[str, Any]:
    now = body.clock.now()
    document = {
        "@context": [CONTEXT],
        "id": "https://hdab.example/id/attestation/1",
        "type": ["VerifiableCredential", "PublicSectorBodyCredential"],
        "issuer": BODY,
        "validFrom": to_text(now),
        "validUntil": to_text(now + timedelta(days=400)),
        "credentialSubject": {"id": AGENCY},
    } | changes
    return issue({k: v for k, v in document.items() if v is not None}, body.signer, f"{BODY}#assertion", now)


def test_a_trusted_body_confirms_by_its_signature(attestations: Attestations, desk: Desk) -> None:
    body = Body(desk.clock)

    def take(document: dict[str, Any], *bodies: str) -> Attestation:
        return attestations.take_in(
            document, bodies=bodies, resolver=body.resolver, status=body.status, by=desk.officer.person
        )

    with pytest.raises(DeniedError, match="no body that this site trusts"):
        take(credential(body))
    for changes in ({"type": ["VerifiableCredential"]}, {"validUntil": None}, {"credentialSubject": {}}):
        with pytest.raises(InputError):
            take(credential(body, **changes), BODY)
    with pytest.raises(IntegrityError):
        take(credential(body) | {"credentialSubject": {"id": "did:web:other.example"}}, BODY)
    made = take(credential(body), BODY)
    assert (made.basis, made.attested_by[-1]) == ("credential", BODY)
    assert attestations.public_sector(AGENCY, desk.clock.now()) is not None
    desk.wait(401)
    assert attestations.public_sector(AGENCY, desk.clock.now()) is None
