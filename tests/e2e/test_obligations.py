"""Obligations, permits and budgets of one hospital, from the decision to the deadline, through its operations."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from synthema.assembly import permitting
from synthema.clock import FixedClock
from synthema.config import AccessBody
from synthema.errors import ConflictError, DeniedError, IntegrityError, NotFoundError
from synthema.identity import did_document
from synthema.identity.credentials import verify
from synthema.permits import PermitState
from synthema.runs import spending
from synthema.vocabulary.namespaces import SYN
from tests.e2e.house import BUDGET, DATASET, DELTA, RESEARCH, House, Settled, copy_of
from tests.unit.permits.support import BODY, ORIGIN, Body, content

pytestmark = pytest.mark.e2e

PAPER = "https://journal.example/articles/1"
DIGEST = "sha256:" + "0" * 64


def owed(house: House, **asked: Any) -> dict[str, dict[str, Any]]:
    """What is owed, by the local name of the duty."""
    found = house.call("obligation/list", asked)
    return {task["action"].rpartition("#")[2].rpartition("/")[2]: task for task in found}


# obligations -------------------------------------------------------------------------------------------------------


@pytest.mark.article("EHDS 61(4)")
@pytest.mark.article("EHDS 73(1)(e)")
def test_a_released_run_leaves_its_duties_with_their_dates(house: House) -> None:
    result = house.call("request/submit", {"request": house.wish()})
    assert result["verdict"]["released"]
    tasks = owed(house, run=result["run"])
    run = house.connector.governor.run(result["run"])
    decisions = [run.decision or {}, *(act["decision"] for act in run.acts)]  # to begin, and to let the output leave
    found = {one["rule"] for decision in decisions for one in decision["obligations"]}
    assert {task["rule"] for task in tasks.values()} == found
    assert tasks["publishResults"]["state"] == "open"
    assert tasks["publishResults"]["due"].startswith("2028-05-")
    assert tasks["delete"]["state"] == "waiting"
    assert tasks["keepLog"]["party"] == house.did
    shown = house.call("obligation/show", {"obligation": tasks["publishResults"]["id"]})
    assert shown["runs"] == [result["run"]]
    assert "Hospital has to publish the results by" in shown["sentence"]
    house.connector.log.checkpoint()
    house.connector.log.verify()


def test_what_is_refused_for_the_budget_leaves_no_duties(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise DeniedError("nothing left", fix="none")

    monkeypatch.setattr(spending, "set_aside", refuse)
    with pytest.raises(DeniedError):
        house.request()
    assert owed(house) == {}


def test_a_grant_that_is_never_used_leaves_no_duties_of_the_requester(house: House, clock: FixedClock) -> None:
    house.granted()
    assert "publishResults" in owed(house)
    clock.advance(timedelta(hours=3))
    house.connector.governor.expire_due()
    assert set(owed(house)) == {"keepLog"}


@pytest.mark.article("EHDS 68(12)")
def test_with_the_permit_the_time_to_delete_begins_and_what_is_late_denies(house: House, clock: FixedClock) -> None:
    house.call("request/submit", {"request": house.wish()})
    officer = house.signatories[0].person
    house.call("permit/revoke", {"permit": house.permit, "person": officer, "reason": "the study ended"})
    delete = owed(house)["delete"]
    assert (delete["state"], delete["due"][:10]) == ("open", "2027-05-21")
    clock.advance(timedelta(days=181))
    assert owed(house)["delete"]["state"] == "violated"
    _, answer = house.request()
    assert answer["effect"] == "deny"
    assert any("not kept" in sentence or "delete" in sentence for sentence in answer["sentences"])
    (done,) = house.call("obligation/fulfil", {"obligations": [delete["id"]], "evidence": DIGEST, "person": officer})
    assert done["state"] == "settled"


def test_what_is_late_denies_until_an_officer_settles_it(house: House, clock: FixedClock) -> None:
    house.call("request/submit", {"request": house.wish()})
    officer, steward = (signatory.person for signatory in house.signatories)
    tasks = owed(house)
    assert "inform" in tasks
    clock.advance(timedelta(days=31))
    assert house.request()[1]["effect"] == "deny"
    given = {"obligations": [tasks["inform"]["id"]], "evidence": DIGEST}
    with pytest.raises(DeniedError, match="data protection officer"):
        house.call("obligation/fulfil", given | {"person": steward})
    house.call("obligation/fulfil", given | {"person": officer})
    assert house.request()[1]["effect"] == "permit"


@pytest.mark.article("EHDS 60(3)")
@pytest.mark.article("GDPR 35(11)")
def test_the_house_keeps_its_own_duties(house: House, clock: FixedClock) -> None:
    duties = house.connector.housekeeping._duties
    assert {task.action.rpartition("#")[2] for task in duties.impose()} == {"checkDescription", "reviewDPIA"}
    assert duties.impose() == []
    check = owed(house)["checkDescription"]
    assert check["articles"] == ["EHDS 60(3)"]
    person = house.signatories[1].person
    clock.advance(timedelta(days=300))
    house.call("obligation/fulfil", {"obligations": [check["id"]], "evidence": DIGEST, "person": person})
    (again,) = [task for task in duties.impose() if task.action.endswith("checkDescription")]
    assert again.due == clock.now() + timedelta(days=365)


def test_deadlines_go_into_a_calendar(house: House) -> None:
    house.call("request/submit", {"request": house.wish()})
    made = house.call("obligation/calendar")
    assert made["text"].startswith("BEGIN:VCALENDAR\r\n")
    assert made["text"].count("BEGIN:VEVENT") == sum(task["due"] is not None for task in owed(house).values())
    assert "May 2028" in house.call("obligation/calendar", {"format": "text"})["text"]
    assert len(house.call("obligation/list", {"due_within": "P30D"})) == 1


def test_two_people_waive_through_the_operations(house: House) -> None:
    house.call("request/submit", {"request": house.wish()})
    given = {"obligation": owed(house)["inform"]["id"], "reason": "told by telephone"}
    asked = house.call("obligation/signing", given)
    approvals = [{"person": s.person, "signature": s.sign(asked["sign"])} for s in house.signatories]
    with pytest.raises(DeniedError):
        house.call("obligation/waive", given | {"approvals": approvals[:1]})
    assert house.call("obligation/waive", given | {"approvals": approvals})["state"] == "waived"


# permits -----------------------------------------------------------------------------------------------------------


def applied(house: House, **changes: Any) -> str:
    wish = {
        "dataset": DATASET,
        "purpose": RESEARCH,
        "person": house.signatories[1].person,
        "specification": "laboratory values at diagnosis",
        "justification": "synthetic records are made from single records",
        "days": 30,
        "tools": ["minimise", "marginals", "evaluation"],
    }
    return str(house.call("permit/apply", wish | changes)["permit"])


def granted(house: House, permit: str, **changes: Any) -> dict[str, Any]:
    terms = {"permit": permit, "epsilon": BUDGET, "delta": DELTA, "total_epsilon": BUDGET} | changes
    officer = house.signatories[0]
    asked = house.call("permit/signing", terms)
    assert asked["derived"]
    given = terms | {"person": officer.person, "signature": officer.sign(asked["sign"])}
    value: dict[str, Any] = house.call("permit/grant", given)
    return value


@pytest.mark.article("EHDS 68(10)")
@pytest.mark.article("EHDS 73(1)(a)")
def test_a_permit_brings_its_own_policy_and_only_its_persons_work(house: House) -> None:
    permit = applied(house)
    assert granted(house, permit, release_epsilon=4.0)["signed"]
    leader = house.signatories[1].person
    assert house.request(agreement=permit, person=leader)[1]["effect"] == "permit"
    for changes in ({"person": house.signatories[0].person}, {}, {"person": leader, "epsilon": 4.5}):
        assert house.request(agreement=permit, **changes)[1]["effect"] == "deny"
    shown = house.call("permit/show", {"permit": permit})
    assert any("(d) Only these persons" in sentence for sentence in shown["permitSentences"])
    assert shown["sentences"]
    assert len(shown["obligations"]) >= 5


@pytest.mark.article("EHDS 68(10)")
def test_a_granted_permit_can_be_checked_by_anybody(house: House) -> None:
    permit = applied(house)
    with pytest.raises(NotFoundError):
        house.call("permit/export", {"permit": permit})
    granted(house, permit)
    document = house.call("permit/export", {"permit": permit})
    connector = house.connector

    def status(address: str) -> dict[str, Any]:
        return permitting.published_status(connector, address.rsplit("/", 1)[-1])

    now = connector.clock.now()
    assert verify(document, connector.resolver, now, status).issuer == house.did
    officer = house.signatories[0].person
    house.call("permit/suspend", {"permit": permit, "person": officer, "reason": "under review"})
    with pytest.raises(IntegrityError, match="suspended"):
        verify(document, connector.resolver, now, status)
    house.call("permit/resume", {"permit": permit, "person": officer})
    assert verify(document, connector.resolver, now, status)
    longer = house.call(
        "permit/extend", {"permit": permit, "valid_to": "2027-12-31", "person": officer, "reason": "follow-up"}
    )
    assert longer["extended"]
    assert house.call("permit/export", {"permit": permit})["validUntil"].startswith("2028-01-01")
    house.call("permit/revoke", {"permit": permit, "person": officer, "reason": "breach"})
    with pytest.raises(IntegrityError, match="revoked"):
        verify(document, connector.resolver, now, status)


@pytest.mark.article("EHDS 63")
@pytest.mark.parametrize("event", ["revoke", "suspend"])
def test_a_permit_that_ends_stops_the_run_in_its_midst(house: House, event: str) -> None:
    grant, request = house.granted()
    session = house.connector.governor.start(grant, request)
    officer = house.signatories[0].person
    house.call(f"permit/{event}", {"permit": house.permit, "person": officer, "reason": "a breach was found"})
    with pytest.raises(DeniedError, match="the permit it rests on"):
        session.call("marginals", "generate", table=session.prepared.train)
    files = {"synthetic.parquet": ("application/vnd.apache.parquet", b"rows")}
    house.connector.governor.quarantine(session, files)
    with pytest.raises(DeniedError, match="a breach was found") as refusal:
        house.connector.governor.settle(session, [])
    house.connector.governor.give_up(request.id, refusal.value)
    session.close()
    assert dict(house.snapshot().states)[request.id] == "failed"
    assert house.snapshot().files == ()


def test_what_is_refused_is_told_and_counted(house: House) -> None:
    permit = applied(house)
    given = {"permit": permit, "person": house.signatories[0].person, "reason": "too wide"}
    assert house.call("permit/refuse", given)["state"] == "PermitRefused"
    with pytest.raises(ConflictError):
        house.call("permit/refuse", given)
    assert house.call("permit/register")["counts"]["refused"] == 1


@pytest.mark.article("EHDS 58")
def test_the_register_shows_what_came_of_a_permit(house: House) -> None:
    house.call("request/submit", {"request": house.wish()})
    publish = owed(house)["publishResults"]
    given = {"obligations": [publish["id"]], "evidence": PAPER, "person": house.signatories[1].person}
    house.call("obligation/fulfil", given)
    (entry,) = house.call("permit/register")["register"]
    assert entry["results"] == (PAPER,)
    assert entry["holder"] == "Hospital"
    for form in ("csv", "markdown"):
        text = house.call("permit/register", {"format": form})["text"]
        assert PAPER in text
        assert "person-" not in text


@pytest.fixture
def body(clock: FixedClock) -> Body:
    return Body(clock)


@pytest.fixture
def trusting(settled: Settled, tmp_path: Any, clock: FixedClock, body: Body) -> Any:
    """A hospital that trusts an access body, which answers without a network between."""
    trusted = AccessBody(did=BODY, url=ORIGIN, name="Health data access body")
    with copy_of(settled, tmp_path, clock, access_bodies=(trusted,)) as house:
        house.connector.resolver._own[BODY] = did_document(BODY, body.signer, ORIGIN, [])
        house.connector.trust.status_list = body.status
        yield house


@pytest.mark.article("EHDS 63")
def test_a_permit_of_an_access_body_is_taken_in_and_followed(trusting: House, body: Body) -> None:
    house = trusting
    officer = house.signatories[0].person
    person = house.connector.log.iri("person", house.signatories[1].person)
    data = content().data.model_dump() | {"sources": (house.did,), "datasets": (DATASET,)}
    wish = content(holder=house.did, data=data, principal_investigator=person, authorised_persons=())
    taken = house.call("permit/import", {"document": body.issue(wish), "person": officer})
    assert taken["state"] == "PermitRequested"
    permit = taken["permit"]
    assert house.request(agreement=permit, person=house.signatories[1].person)[1]["effect"] == "deny"
    granted(house, permit)
    assert house.request(agreement=permit, person=house.signatories[1].person)[1]["effect"] == "permit"

    def followed() -> PermitState:
        permitting.follow_issuers(house.connector)
        return house.connector.permits.permit(permit).state

    assert followed() is PermitState.ISSUED
    body.put(0, PermitState.SUSPENDED)
    assert followed() is PermitState.SUSPENDED
    assert house.request(agreement=permit, person=house.signatories[1].person)[1]["effect"] == "deny"
    body.answers = False
    assert followed() is PermitState.SUSPENDED
    body.answers = True
    body.put(0, PermitState.ISSUED)
    assert followed() is PermitState.ISSUED
    house.call("permit/suspend", {"permit": permit, "person": officer, "reason": "our own doubts"})
    assert followed() is PermitState.SUSPENDED
    body.put(0, PermitState.REVOKED)
    assert followed() is PermitState.REVOKED
    given = {"permit": permit, "valid_to": "2030-01-01", "person": officer, "reason": "longer"}
    with pytest.raises(DeniedError, match="only its issuer"):
        house.call("permit/extend", given)


@pytest.mark.article("EHDS 53(2)")
def test_a_public_sector_body_is_one_only_where_it_was_confirmed(house: House) -> None:
    def fact() -> Any:
        run = house.request()[0].id
        return (house.connector.governor.run(run).decision or {})["request"]["facts"][SYN + "publicSectorBody"]

    assert str(fact()["value"]).casefold() in ("false", "['boolean', 'false']") or fact()["value"] is False
    before = fact()
    given = {"subject": house.did, "evidence": "Act on the Health Agency of 2019", "valid_to": "2028-12-31"}
    asked = house.call("attestation/signing", given)
    approvals = [{"person": s.person, "signature": s.sign(asked["sign"])} for s in house.signatories]
    made = house.call("attestation/make", given | {"approvals": approvals})
    after = fact()
    assert after["value"] != before["value"]
    assert after["evidence"].endswith(made["attestation"])
    officer = house.signatories[0].person
    ended = {"attestation": made["attestation"], "person": officer, "reason": "dissolved"}
    assert house.call("attestation/end", ended)["ended"]
    assert fact()["value"] == before["value"]
    assert house.call("attestation/list")[0]["counts"] is False


# budgets -----------------------------------------------------------------------------------------------------------


def test_a_budget_is_looked_at_from_all_sides(house: House) -> None:
    house.granted(epsilon=3.0)
    (account,) = [gauge["account"] for gauge in house.call("budget/show") if gauge["basis"]]
    told = house.call("budget/what-if", {"account": account, "epsilon": 2.0, "delta": DELTA})
    assert told["fits"]
    assert f"of {BUDGET:g}" in told["sentence"]
    by_kind = house.call("budget/what-if", {"account": account, "mechanisms": [{"kind": "laplace", "value": 0.1}]})
    assert not by_kind["fits"]
    assert house.call("budget/plan", {"account": account, "releases": 3})["epsilonEach"] > 0
    assert len(house.call("budget/history", {"account": account})["entries"]) == 1
    assert house.call("budget/odometer", {"account": account})["composition"]["best"]["epsilon"] == 0
    assert "If all 1 recipients" in house.call("budget/total", {"dataset": DATASET})["sentence"]
    assert house.call("budget/chart", {"account": account})["svg"].startswith("<svg ")
