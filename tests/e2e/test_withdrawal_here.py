"""One hospital: somebody takes consent back, and what was made of their record is followed to its end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from synthema.assembly.withdrawal import store
from synthema.clock import FixedClock
from synthema.errors import ConflictError, DeniedError, InputError, NotFoundError, StorageError
from synthema.obligations import TaskState
from synthema.runs.model import RunState
from synthema.storage import Database
from tests.e2e.house import DATASET, House, Settled
from tests.e2e.test_meanwhile import given_consent

pytestmark = pytest.mark.e2e

RESEARCH = "https://w3id.org/dpv/legal/eu/gdpr#A9-2-j"
ASSESSMENT = {
    "recipients": "researchers of this hospital",
    "means": "membership and singling-out attacks were measured",
    "reason": "no attack did better than chance by more than the noise allows",
}


def withdraw(house: House, key: str) -> dict[str, Any]:
    """A patient takes all use back; returns the plan that follows."""
    house.call("consent/withdraw", {"dataset": DATASET, "patient": key})
    return newest(house)


def newest(house: House) -> dict[str, Any]:
    house.connector.withdrawals.work()
    plans = house.call("withdrawal/list", {"all": True})
    shown: dict[str, Any] = house.call("withdrawal/show", {"withdrawal": plans[0]["withdrawal"]})
    return shown


def released(house: House) -> dict[str, Any]:
    """A run that released synthetic rows of everybody who agreed."""
    answer: dict[str, Any] = house.call("request/submit", {"request": house.wish()})
    assert answer["verdict"]["released"], answer["verdict"]["sentences"]
    return answer


def pass_a_minute(house: House) -> None:
    clock = house.connector.clock
    assert isinstance(clock, FixedClock)
    clock.advance(timedelta(minutes=1))


def plans(house: House) -> list[dict[str, Any]]:
    house.connector.withdrawals.work()
    found: list[dict[str, Any]] = house.call("withdrawal/list", {"all": True})
    return found


def by_kind(plan: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {item["kind"]: item for item in plan["items"]}


def officer(house: House) -> str:
    return house.signatories[0].person


@pytest.mark.article("GDPR 17(1)(b)")
def test_each_thing_made_of_the_record_is_found_and_gets_its_consequence(house: House, settled: Settled) -> None:
    run = released(house)["run"]
    plan = withdraw(house, given_consent(settled)[0])
    found = by_kind(plan)
    assert {kind: item["consequence"] for kind, item in found.items()} == {
        "source rows": "replace the rows",
        "synthetic dataset": "keep with a recorded assessment",
        "aggregate": "keep with a recorded assessment",
        "description": "stays as a record",
    }
    assert {item["run"] for item in plan["items"] if item["kind"] != "source rows"} == {run}
    assert "ε = 3" in found["synthetic dataset"]["why"]
    assert plan["listVersion"] == house.connector.consents.version()
    due = [task for task in house.call("obligation/list") if task["action"].endswith("propagateWithdrawal")]
    assert {task["id"] for task in due} == {item["obligation"] for item in plan["items"]} - {None}
    assert all(task["due"] and task["articles"] for task in due)


def test_a_run_that_left_the_person_out_is_not_touched(house: House, settled: Settled) -> None:
    keys = given_consent(settled)
    house.call("consent/withdraw", {"dataset": DATASET, "patient": keys[0]})
    pass_a_minute(house)
    released(house)
    pass_a_minute(house)
    house.call("consent/give", {"dataset": DATASET, "patient": keys[0]})
    assert set(by_kind(withdraw(house, keys[0]))) == {"source rows"}, (
        "the run between withdrawal and new consent never read the record"
    )


@pytest.mark.article("GDPR 4(1)")
def test_what_is_found_anonymous_stays_with_the_assessment(house: House, settled: Settled) -> None:
    released(house)
    item = by_kind(withdraw(house, given_consent(settled)[0]))["synthetic dataset"]
    value = {"items": [item["item"]], "person": officer(house), "finding": "negligible", **ASSESSMENT}
    with pytest.raises(InputError, match="'means' is missing"):
        house.call("withdrawal/do", value | {"means": ""})
    kept = by_kind(house.call("withdrawal/do", value))["synthetic dataset"]
    assert kept["state"] == "stays"
    assert "Nothing was unlearned" in kept["outcome"]
    assert kept["assessment"]["finding"] == "negligible"
    assert "AnonymityAssessment" in house.connector.log.entry(int(kept["evidence"].rsplit("/", 1)[1])).body.decode()
    assert house.connector.obligations.task(item["obligation"]).state is TaskState.FULFILLED
    assert house.call("artefact/fetch", {"digest": item["digest"]})["digest"] == item["digest"]
    with pytest.raises(ConflictError, match="cannot be recorded"):
        house.call("withdrawal/do", value)


def test_what_is_not_found_anonymous_is_made_anew_and_the_old_one_deleted(house: House, settled: Settled) -> None:
    first = released(house)["run"]
    item = by_kind(withdraw(house, given_consent(settled)[0]))["synthetic dataset"]
    asked = {"items": [item["item"]], "person": officer(house)}
    changed = house.call("withdrawal/do", asked | {"finding": "not negligible", **ASSESSMENT})
    again = by_kind(changed)["synthetic dataset"]
    assert (again["consequence"], again["state"]) == ("make anew without", "open")
    with pytest.raises(InputError, match="before the withdrawal"):
        house.call("withdrawal/do", asked | {"made_anew": first})
    pass_a_minute(house)
    second = released(house)["run"]
    done = by_kind(house.call("withdrawal/do", asked | {"made_anew": second}))["synthetic dataset"]
    assert done["state"] == "done"
    assert item["digest"] in done["outcome"]
    with pytest.raises(NotFoundError):
        house.call("artefact/fetch", {"digest": item["digest"]})
    name = item["digest"].removeprefix("sha256:")
    assert not (house.connector.settings.home / "artefacts" / first / name).exists()
    assert "ArtefactErasure" in "".join(house.log_text())


def test_a_new_version_and_the_erasure_of_the_old_rows_end_the_plan(house: House, settled: Settled) -> None:
    plan = withdraw(house, given_consent(settled)[0])
    (item,) = plan["items"]
    version = house.connector.datasets.version(DATASET)
    house.connector.datasets.erase(version.id, "consent was taken back")
    ended = newest(house)
    assert (ended["state"], ended["items"][0]["state"]) == ("done", "done")
    assert house.connector.obligations.task(item["obligation"]).state is TaskState.FULFILLED


def test_rows_may_stay_on_another_ground_with_the_reason(house: House, settled: Settled) -> None:
    (item,) = withdraw(house, given_consent(settled)[0])["items"]
    decided = {"items": [item["item"]], "keep": "GDPR 17(3)(d)", "reason": "the registry is kept under national law"}
    with pytest.raises(DeniedError):
        house.call("withdrawal/do", decided | {"person": house.signatories[1].person})
    shown = house.call("withdrawal/do", decided | {"person": officer(house)})
    assert shown["items"][0]["state"] == "stays"
    assert "GDPR 17(3)(d)" in shown["items"][0]["outcome"]


@pytest.mark.article("GDPR 7(3)")
def test_a_run_under_way_is_ended_and_nothing_of_it_is_kept(house: House, settled: Settled) -> None:
    grant, request = house.granted()
    session = house.connector.governor.start(grant, request)
    plan = withdraw(house, given_consent(settled)[0])
    item = by_kind(plan)["run under way"]
    assert (item["consequence"], item["state"]) == ("stop", "done")
    with pytest.raises(DeniedError, match="took back what this run rests on"):
        session.call("marginals", "generate", table=session.prepared.train)
    assert house.connector.governor.run(request.id).state is RunState.FAILED
    with pytest.raises(ConflictError):
        house.connector.governor.quarantine(session, {"synthetic.parquet": ("x", b"rows")})
    session.close()


@pytest.mark.article("GDPR 7(3)")
def test_a_session_that_goes_on_leaves_the_person_out(house: House, settled: Settled) -> None:
    house.connector.withdrawals.close()  # it would end this run: one alone has no later round
    keys = given_consent(settled)
    grant, request = house.granted(anonymise={"plugin": "minimise", "parameters": {"fields": ["sex"], "k": 5}})
    session = house.connector.governor.start(grant, request)
    people = session.prepared.train.height + session.prepared.holdout.height
    assert session.leave_out_withdrawn() is False
    house.connector.consents.withdraw(DATASET, keys[0])
    house.connector.consents.give(DATASET, keys[0])
    assert session.leave_out_withdrawn() is False, "who agreed again before the next round was never out"
    house.connector.consents.withdraw(DATASET, keys[1])
    assert session.leave_out_withdrawn() is True
    assert session.prepared.train.height + session.prepared.holdout.height == people - 1
    assert session.prepared.exclusion_list == house.connector.consents.version()
    assert "prepared again without those who took consent back" in "".join(house.log_text())
    session.close()


@pytest.mark.article("EHDS 71(3)")
def test_an_opt_out_leaves_what_an_earlier_permit_allowed(house: House, settled: Settled) -> None:
    key = given_consent(settled)[0]
    house.call("consent/give", {"dataset": DATASET, "patient": key, "legal_basis": RESEARCH})
    released(house)
    pass_a_minute(house)
    house.call("consent/opt-out", {"patient": key})
    plan = newest(house)
    assert plan["state"] == "done"
    assert {item["consequence"] for item in plan["items"]} == {"nothing to undo"}
    made = by_kind(plan)["synthetic dataset"]
    assert made["articles"] == ["EHDS 71(3)"]
    assert "approved before the person opted out" in made["sentence"]
    told = house.call("withdrawal/report", {"withdrawal": plan["withdrawal"]})["sentences"]
    assert any("Nothing must be undone" in sentence for sentence in told)


@pytest.mark.article("GDPR 7(3)")
def test_less_than_all_use_undoes_nothing(house: House, settled: Settled) -> None:
    released(house)
    for level in ("no-further-contact", "no-further-access"):
        house.call("consent/withdraw", {"dataset": DATASET, "patient": given_consent(settled)[0], "level": level})
        plan = newest(house)
        assert {item["consequence"] for item in plan["items"]} == {"nothing to undo"}


def test_who_never_agreed_has_nothing_to_take_back(house: House) -> None:
    """The list that was taken in at the beginning names people who had withdrawn before anybody here knew of them."""
    assert house.connector.consents.counts(DATASET)["ConsentWithdrawn"] == 1
    assert plans(house) == []


def test_several_withdrawals_at_once_are_one_plan(house: House, settled: Settled) -> None:
    keys, before = given_consent(settled)[:5], plans(house)
    lines = [f"{key},ConsentWithdrawn,2026-11-22" for key in keys]
    table = "\n".join(["patient_key,state,date", *lines]) + "\n"
    house.call("consent/import", {"dataset": DATASET, "file": "consent.csv", "table": table})
    house.connector.withdrawals.work()
    assert len(plans(house)) == len(before) + 1


def test_an_officer_sets_the_rules(house: House, settled: Settled) -> None:
    released(house)
    rules = {"synthetic": "delete", "aggregate": "retrain", "rows_days": 10}
    steward = house.signatories[1].person
    with pytest.raises(DeniedError):
        house.call("withdrawal/set-rules", {"dataset": DATASET, "rules": rules, "person": steward})
    house.call("withdrawal/set-rules", {"dataset": DATASET, "rules": rules, "person": officer(house)})
    found = by_kind(withdraw(house, given_consent(settled)[0]))
    assert (found["synthetic dataset"]["consequence"], found["synthetic dataset"]["state"]) == ("delete", "done")
    assert found["aggregate"]["consequence"] == "make anew without"
    with pytest.raises(NotFoundError):
        house.call("artefact/fetch", {"digest": found["synthetic dataset"]["digest"]})


def test_a_step_that_breaks_off_anywhere_is_taken_up_again(
    house: House, settled: Settled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every transaction of the whole way fails once; what is kept in the end is what would have been kept anyway."""
    released(house)
    rules = {"synthetic": "delete"}
    house.call("withdrawal/set-rules", {"dataset": DATASET, "rules": rules, "person": officer(house)})
    before = plans(house)
    house.connector.withdrawals.close()  # only this thread works from here on
    house.call("consent/withdraw", {"dataset": DATASET, "patient": given_consent(settled)[0]})
    write, broken, position = Database.write, 0, house.connector.log.size() - 1

    for nth in range(1, 12):
        calls = 0

        def sometimes(self: Database, work: Any, nth: int = nth) -> Any:
            nonlocal calls
            calls += 1
            if calls == nth:
                raise StorageError("the machine stops here", fix="start it again")
            return write(self, work)

        monkeypatch.setattr(Database, "write", sometimes)
        try:
            house.connector.withdrawals.work()
        except StorageError:
            broken += 1
        monkeypatch.setattr(Database, "write", write)
        if calls < nth:
            break
    assert broken >= 1
    plan = newest(house)
    assert len(plans(house)) == len(before) + 1
    deleted = by_kind(plan)["synthetic dataset"]
    assert deleted["state"] == "done"
    text = "".join(house.log_text(position))
    assert text.count("WithdrawalPlanning>") == 1
    assert text.count("ArtefactErasure>") == 1
    house.connector.log.verify()


def test_no_token_and_no_key_reaches_the_log(house: House, settled: Settled) -> None:
    released(house)
    key = given_consent(settled)[0]
    withdraw(house, key)
    with house.connector.database.read() as connection:
        tokens = {row.token for row in connection.execute(store.people.select())}
    text = "".join(house.log_text())
    assert tokens
    assert not [token for token in tokens if token in text]
