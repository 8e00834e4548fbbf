"""A dataset on two grounds, the exception of EHDS Art. 71(4), and every consent operation, at a real connector."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import yaml

from synthema.clock import FixedClock
from synthema.consent import NationalException
from synthema.demo import house as demo
from synthema.errors import ConflictError, InputError, NotFoundError
from synthema.policy.law import NATIONAL_OPT_OUT_LAW
from synthema.runs.facts import FactFinder
from synthema.vocabulary.namespaces import SYN
from tests.e2e.house import DATASET, EXPLICIT_CONSENT, RESEARCH, House, Settled
from tests.unit.consent.support import RESEARCH as RESEARCH_EXCEPTION
from tests.unit.consent.support import notice

pytestmark = pytest.mark.e2e


def given_consent(settled: Settled) -> list[str]:
    lines = [line.split(",") for line in settled.patients.consents.splitlines()[1:]]
    return [line[0] for line in lines if line[1] == "ConsentGiven"]


def bring(house: House, *lines: str, header: str = "patient_key,state,date,legal_basis,opt_out_date") -> None:
    table = "\n".join([header, *lines]) + "\n"
    house.call("consent/import", {"dataset": DATASET, "file": "list.csv", "table": table})


@pytest.fixture
def mixed(house: House, settled: Settled) -> list[str]:
    """Sixty patients' records rest on the research exception; the dataset policy knows of both grounds."""
    text = demo.dataset_policy(house)
    both = "[explicit consent, research exception]"
    if both not in text:
        alone = "        - legal basis is: research exception\n"
        assert alone in text
        text = text.replace(alone, f"{alone}        - legal basis is: {both}\n          consent state is: valid\n")
    (version,) = [p for p in house.call("policy/list") if p["layer"] == "L3"]
    house.call("policy/withdraw", {"policy": version["policy"], "version": version["version"]})
    house.activate_policy(text.replace("version: 1", "version: 2").replace('version: "1"', 'version: "2"'), "both.yaml")
    keys = given_consent(settled)[:60]
    bring(house, *(f"{key},ConsentGiven,2026-02-01,A9-2-j," for key in keys))
    return keys


@pytest.mark.article("GDPR 7(3)")
@pytest.mark.article("EHDS 71(3)")
def test_one_dataset_on_two_grounds(house: House, settled: Settled, mixed: list[str], clock: FixedClock) -> None:
    """Who is there on consent leaves by withdrawal at any time; who is not, by an opt-out before the permit only."""
    bring(house, f"{mixed[0]},ConsentGiven,2026-02-01,A9-2-j,2026-03-01")
    everybody = given_consent(settled)
    grant, request = house.granted()
    decision = house.connector.governor.run(request.id).decision
    assert decision is not None
    assert decision["request"]["facts"][SYN + "legalBasis"]["value"] == ["texts", EXPLICIT_CONSENT, RESEARCH_EXCEPTION]
    clock.advance(timedelta(minutes=5))
    house.call("consent/opt-out", {"patient": mixed[1]})  # after the permit
    house.call("consent/withdraw", {"patient": everybody[-1], "dataset": DATASET})
    session = house.connector.governor.start(grant, request)
    session.close()
    prepared = session.prepared
    assert prepared.train.height + prepared.holdout.height == len(everybody) - 2
    later = house.call("consent/exclusions", {"dataset": DATASET, "purpose": RESEARCH})
    assert later["statement"]["leftOut"]["OptedOut"] == 2  # a permit approved now reaches neither of the two


@pytest.mark.article("EHDS 71(4)")
def test_the_exception_is_applied_where_law_and_permit_say_so(house: House, mixed: list[str]) -> None:
    connector = house.connector
    bring(house, f"{mixed[0]},ConsentGiven,2026-02-01,A9-2-j,2026-03-01")
    _, request = house.granted()
    dataset = connector.datasets.version(DATASET)
    finder: FactFinder = connector.governor._facts
    assert finder.consent_ground(dataset, request, connector.clock.now()).exception is None
    content = connector.permits.permit(house.permit).content
    reason = "surveillance of a cross-border threat to health"
    permit = connector.permits.apply(
        content.model_copy(update={"opt_out_exception": reason}), issuer=house.did, regime="EHDS"
    )
    wish = request.model_copy(update={"agreement": permit.id})
    lawful = replace(
        finder,
        settings=connector.settings.model_copy(update={"regime": "EHDS"}),
        opt_out_law="urn:member-state-pack",
    )
    now = connector.clock.now()
    assert lawful.consent_ground(dataset, wish, now).exception is None, "asked for, and not granted yet"
    connector.permits.decide(permit.id, "grant")
    found = lawful.consent_ground(dataset, wish, now).exception
    assert found == NationalException("urn:member-state-pack", reason, connector.log.iri("permit", permit.id))
    assert replace(lawful, opt_out_law=None).consent_ground(dataset, wish, now).exception is None
    assert replace(lawful, settings=connector.settings).consent_ground(dataset, wish, now).exception is None
    education = wish.model_copy(update={"purpose": "education"})
    assert lawful.consent_ground(dataset, education, now).exception is None
    stranger = wish.model_copy(update={"requester": "did:web:stranger.example"})
    assert lawful.consent_ground(dataset, stranger, now).exception is None
    connector.permits.decide(permit.id, "revoke", reason="the threat is over")
    assert lawful.consent_ground(dataset, wish, now).exception is None


@pytest.mark.article("EHDS 71(4)")
def test_an_exception_that_is_applied_stands_in_the_log(
    house: House, settled: Settled, mixed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(house, f"{mixed[0]},ConsentGiven,2026-02-01,A9-2-j,2026-03-01")
    found = NationalException("urn:member-state-pack", "an epidemic", "urn:permit")
    ground_of = FactFinder.consent_ground
    monkeypatch.setattr(
        FactFinder,
        "consent_ground",
        lambda self, dataset, request, at: replace(ground_of(self, dataset, request, at), exception=found),
    )
    grant, request = house.granted()
    session = house.connector.governor.start(grant, request)
    session.close()
    prepared = session.prepared
    assert prepared.train.height + prepared.holdout.height == len(given_consent(settled))
    (entry,) = [text for text in house.log_text() if "optOutsOverruled" in text]
    assert "The record of 1 person who opted out is read all the same under urn:member-state-pack" in entry


@pytest.mark.article("EHDS 71(4)")
def test_without_a_member_state_pack_there_is_no_exception(house: House) -> None:
    assert house.connector.governor._facts.opt_out_law is None
    assert NATIONAL_OPT_OUT_LAW.startswith(SYN)


# operations ------------------------------------------------------------------------------------------


def one(key: str, **more: object) -> dict[str, object]:
    return {"dataset": DATASET, "patient": key, **more}


@pytest.mark.article("GDPR 7(3)")
def test_the_life_of_one_consent(house: House, settled: Settled, clock: FixedClock) -> None:
    key = given_consent(settled)[0]
    steward = house.signatories[1].person
    clock.advance(timedelta(minutes=1))
    given = house.call(
        "consent/give", one(key, items=["secondary-use", "linkage"], purposes=[RESEARCH], person=steward)
    )
    assert (given["state"], given["counts"]) == ("RenewedConsentGiven", True)
    clock.advance(timedelta(minutes=1))
    assert "left out now: ConsentWithdrawn" in house.call("consent/withdraw", one(key))["sentence"]
    shown = house.call("consent/show", one(key))
    assert [each["state"] for each in shown["history"]] == ["ConsentGiven", "RenewedConsentGiven", "ConsentWithdrawn"]
    with pytest.raises(ConflictError):
        house.call("consent/refuse", one(key))
    text = "\n".join(house.log_text())
    assert f"/id/person/{steward}" in text
    assert "RenewedConsentGiven" in text
    assert house.call("consent/show", one("nobody"))["state"] == "ConsentUnknown"
    with pytest.raises(InputError):
        house.call("consent/give", one(key, items=["everything"]))
    with pytest.raises(NotFoundError):
        house.call("consent/give", {"dataset": "unheard-of", "patient": key})


def test_numbers_and_status(house: House, settled: Settled) -> None:
    listed = house.call("consent/list", {"dataset": DATASET})
    assert listed["states"]["ConsentGiven"] == len(given_consent(settled))
    status = house.call("consent/status", {"dataset": DATASET})
    assert status["remaining"] == len(given_consent(settled))
    assert status["machine"] == "consent"
    asked = house.call("consent/exclusions", {"dataset": DATASET, "for_profit": True, "place": "US"})
    assert asked["statement"]["remaining"] == 0
    assert asked["statement"]["asked"] == ["for-profit", "secondary-use", "third-country"]
    assert bytes.fromhex(asked["signature"])


@pytest.mark.article("GDPR 7(1)")
def test_a_receipt_needs_its_notice(house: House, settled: Settled, clock: FixedClock) -> None:
    key = given_consent(settled)[0]
    with pytest.raises(ConflictError, match="which notice this person was shown"):
        house.call("consent/receipt", one(key))
    text = yaml.safe_dump(notice().model_dump(mode="json"))
    assert house.call("consent/notice", {"text": text})["version"] == "2.1"
    clock.advance(timedelta(minutes=1))
    house.call("consent/give", one(key, notice="2.1"))
    made = house.call("consent/receipt", one(key))
    assert "dpv:ConsentReceipt" in made["document"]
    record = house.call("consent/receipt", one(key, form="json", whole_record=True))["document"]
    assert len(record["dct:hasPart"]) == 2
    with pytest.raises(InputError):
        house.call("consent/receipt", one("nobody"))


@pytest.mark.article("GDPR 8")
def test_a_parent_agrees_for_a_child(house: House, settled: Settled, clock: FixedClock) -> None:
    key = given_consent(settled)[0]
    clock.advance(timedelta(minutes=1))
    given = house.call("consent/give", one(key, given_by="parent", birth_date="2012-05-01", country="IT"))
    assert given["history"][-1]["representativeUntil"] == "2030-05-01"
    with pytest.raises(InputError, match="of age"):
        house.call("consent/give", one(key, given_by="parent", birth_date="1980-05-01"))


def test_a_dry_run_of_common_data_elements(house: House, settled: Settled) -> None:
    before = house.connector.log.size()
    table = "pseudonym,date,7.1,7.2\n999001,2026-01-01,Yes,Yes\n999002,2026-01-01,Yes,Perhaps\n"
    value = {"dataset": DATASET, "file": "registry.csv", "table": table, "kind": "cde", "dry_run": True}
    report = house.call("consent/import", value)
    assert (report["kept"], report["changes"]["ConsentGiven"]) == (False, 1)
    assert report["problems"][0]["text"].startswith("line 3, field 7.2")
    assert house.connector.log.size() == before
    with pytest.raises(InputError, match=r"line 3, field 7\.2"):
        house.call("consent/import", value | {"dry_run": False})


@pytest.mark.article("EHDS 71(1)")
def test_opting_out_and_in(house: House, settled: Settled, clock: FixedClock) -> None:
    key = given_consent(settled)[0]
    assert house.call("consent/opt-out", {"patient": key})["state"] == "OptedOut"
    clock.advance(timedelta(minutes=1))
    assert house.call("consent/opt-in", {"patient": key})["state"] == "OptOutReversed"
    assert house.call("consent/list", {"dataset": DATASET})["optOuts"] == {"OptOutReversed": 1}


@pytest.mark.article("EHDS 71(8)")
def test_the_last_matching_needs_records_without_consent(house: House) -> None:
    with pytest.raises(ConflictError, match="rest on consent"):
        house.call("consent/close-matching", {"dataset": DATASET})
