"""Permits as signed objects: what is refused and why, and what is taken in."""

from __future__ import annotations

import copy
import json
from datetime import date, timedelta
from typing import Any

import pytest

from synthema.clock import FixedClock
from synthema.errors import ConflictError, DeniedError, InputError, IntegrityError, PeerError
from synthema.identity.credentials import add_proof, issue
from synthema.permits import Permit, PermitState, PermitStore, sign_permit
from synthema.storage import Database
from tests.unit.datasets.support import log_text, make_log, make_signer
from tests.unit.permits.support import BODY, HOLDER, ORIGIN, Body, content

pytestmark = pytest.mark.article("EHDS 68(10)")


@pytest.fixture
def body(clock: FixedClock) -> Body:
    return Body(clock)


@pytest.fixture
def store(database: Database, clock: FixedClock) -> PermitStore:
    return PermitStore(database, make_log(database, clock), clock)


def resigned(body: Body, document: dict[str, Any], **subject: Any) -> dict[str, Any]:
    """The credential with another subject, signed again by its issuer: what it says is wrong, not its signature."""
    changed = copy.deepcopy(document)
    del changed["proof"]
    changed["credentialSubject"] |= subject
    return issue(changed, body.signer, f"{BODY}#assertion", body.clock.now())


def permit_with(body: Body, **changes: Any) -> dict[str, Any]:
    document = body.issue(content())
    return resigned(body, document, permit=document["credentialSubject"]["permit"] | changes)


def test_a_permit_travels_as_a_credential_and_says_the_same(body: Body, clock: FixedClock) -> None:
    document = json.loads(json.dumps(body.issue(content())))
    assert document["type"] == ["VerifiableCredential", "DataPermitCredential"]
    assert document["proof"]["cryptosuite"] == "eddsa-jcs-2022"
    read = body.read(document)
    assert read.content == content()
    assert (read.issuer, read.regime, read.id) == (BODY, "EHDS", f"{ORIGIN}/id/permit/permit-0")
    assert read.approved_at == clock.now() - timedelta(days=1)


def test_an_unknown_issuer_is_named(body: Body) -> None:
    with pytest.raises(DeniedError, match="no body that this site trusts") as refusal:
        body.read(body.issue(content()), bodies=["did:web:other.example"])
    assert "access_bodies" in refusal.value.fix
    forged = body.issue(content()) | {"issuer": "did:web:mallory.example"}
    with pytest.raises(DeniedError, match="mallory"):
        body.read(forged)


@pytest.mark.parametrize("field", ["validUntil", "credentialSubject", "id", "credentialStatus"])
def test_a_changed_permit_does_not_hold(body: Body, field: str) -> None:
    document = body.issue(content())
    if field == "credentialSubject":
        document[field]["permit"]["valid_to"] = "2035-12-31"
    elif field == "credentialStatus":
        document[field] = document[field][:1]
    else:
        document[field] = "2035-01-01T00:00:00Z" if field == "validUntil" else "https://hdab.example/id/permit/other"
    with pytest.raises(IntegrityError, match="check 5"):
        body.read(document)


def test_another_key_under_the_issuers_name_does_not_hold(body: Body) -> None:
    document = body.issue(content())
    del document["proof"]
    with pytest.raises(IntegrityError, match="check 5"):
        body.read(add_proof(document, make_signer(), f"{BODY}#assertion", body.clock.now()))


@pytest.mark.article("EHDS 63")
@pytest.mark.parametrize(("state", "word"), [(PermitState.REVOKED, "revoked"), (PermitState.SUSPENDED, "suspended")])
def test_what_was_taken_back_is_refused(body: Body, state: PermitState, word: str) -> None:
    document = body.issue(content())
    body.put(0, state)
    with pytest.raises(IntegrityError, match=word):
        body.read(document)


def test_what_cannot_be_looked_up_now_is_not_taken_for_good(body: Body) -> None:
    document = body.issue(content())
    body.answers = False
    with pytest.raises(PeerError):
        body.read(document)


def test_an_ended_permit_is_refused(body: Body, clock: FixedClock) -> None:
    document = body.issue(content())
    clock.advance(timedelta(days=1000))
    with pytest.raises(IntegrityError, match="check 7"):
        body.read(document)


@pytest.mark.article("EHDS 68(12)")
def test_more_than_ten_years_are_not_lawful(body: Body) -> None:
    with pytest.raises(InputError, match=r"10 years \(EHDS Art. 68\(12\)\)"):
        body.read(permit_with(body, valid_to="2036-12-31"))


@pytest.mark.article("EHDS 53(1)")
def test_another_purpose_is_not_lawful(body: Body) -> None:
    with pytest.raises(DeniedError, match=r"no purpose of EHDS Article 53\(1\)"):
        body.read(permit_with(body, purpose="https://w3id.org/dpv#Marketing"))


@pytest.mark.article("EHDS 73(1)(a)")
def test_a_permit_without_persons_is_not_complete(body: Body) -> None:
    for missing in ("", None):
        with pytest.raises(InputError, match="names no authorised persons"):
            body.read(permit_with(body, principal_investigator=missing))


@pytest.mark.parametrize(
    ("subject", "match"),
    [
        ({"form": "other-form"}, "form we read"),
        ({"permit": "words"}, "holds no permit"),
        ({"id": "did:web:other.example"}, "another holder"),
    ],
)
def test_what_is_no_permit_is_refused(body: Body, subject: dict[str, Any], match: str) -> None:
    with pytest.raises((InputError, IntegrityError), match=match):
        body.read(resigned(body, body.issue(content()), **subject))


def test_a_permit_about_other_sites_is_refused(body: Body) -> None:
    with pytest.raises(DeniedError, match="not about data of this site"):
        body.read(body.issue(content()), site="did:web:other.example")


def test_pseudonymised_data_need_their_reason_here_too(body: Body) -> None:
    data = content().data.model_dump(mode="json") | {"justification": ""}
    with pytest.raises(InputError, match="66"):
        body.read(permit_with(body, data=data))


@pytest.mark.article("EHDS 71(3)")
def test_taken_in_it_waits_for_an_officer_and_keeps_its_day_of_issue(
    body: Body, store: PermitStore, clock: FixedClock
) -> None:
    issued = clock.now() - timedelta(days=40)
    verified = body.read(body.issue(content(), issued=issued))
    taken = store.take_in(verified)
    assert taken.state is PermitState.REQUESTED
    assert (
        store.facts(taken.id, requester=HOLDER, dataset_id="mgus", at=clock.now())[
            "https://w3id.org/synthema/ns#permitState"
        ].value
        == PermitState.REQUESTED.iri
    )
    with pytest.raises(ConflictError, match="here already"):
        store.take_in(verified)
    granted = store.decide(taken.id, "grant")
    assert granted.state is PermitState.ISSUED
    assert store.approved_at(taken.id) == issued
    assert granted.decided_at == clock.now()
    assert granted.credential == dict(verified.credential)
    assert "PermitImport" in log_text(store._log)


def test_only_what_was_granted_is_signed(store: PermitStore, body: Body, clock: FixedClock) -> None:
    applied = store.apply(content(), issuer=BODY)
    with pytest.raises(InputError, match="not granted"):
        sign_permit(applied, origin=ORIGIN, issuer=BODY, signer=body.signer, at=clock.now())
    granted = store.decide(applied.id, "grant")
    document = sign_permit(granted, origin=ORIGIN, issuer=BODY, signer=body.signer, at=clock.now())
    kept = store._database.write(lambda connection: store.keep_credential(connection, granted.id, document))
    assert kept.credential == document
    assert "PermitSigning" in log_text(store._log)
    assert [store.apply(content(), issuer=BODY).status_index for _ in range(2)] == [1, 2]


def test_an_extended_permit_is_signed_with_its_new_last_day(store: PermitStore, body: Body, clock: FixedClock) -> None:
    granted = store.decide(store.apply(content(), issuer=BODY).id, "grant")
    longer: Permit = store.extend(granted.id, date(2030, 6, 30), reason="follow-up")
    document = sign_permit(longer, origin=ORIGIN, issuer=BODY, signer=body.signer, at=clock.now())
    assert document["validUntil"].startswith("2030-07-01T00:00:00")
    body.permits[longer.status_index] = longer
    assert body.read(document).content.valid_to == date(2030, 6, 30)


@pytest.mark.article("EHDS 63")
def test_what_ended_stops_what_is_under_way(store: PermitStore, clock: FixedClock) -> None:
    granted = store.decide(store.apply(content(), issuer=BODY).id, "grant")
    assert store.ended(granted.id, clock.now()) is None
    assert store.ended(None, clock.now()) is None
    store.decide(granted.id, "suspend", reason="a breach is looked into")
    assert store.ended(granted.id, clock.now()) == "the permit it rests on is suspended: a breach is looked into"
    store.decide(granted.id, "resume")
    store.decide(granted.id, "revoke", reason="breach")
    assert store.ended(granted.id, clock.now()) == "the permit it rests on was revoked: breach"
    other = store.decide(store.apply(content(), issuer=BODY).id, "grant")
    clock.advance(timedelta(days=2000))
    assert store.ended(other.id, clock.now()) == "the permit it rests on has expired"
