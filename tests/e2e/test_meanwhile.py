"""What changes between the decision and the start of a run counts at the start; budgets are never spent twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from synthema.budget import BudgetLedger
from synthema.consent import ConsentState
from synthema.errors import DeniedError
from synthema.policy import Fact
from synthema.runs.execute import generate
from synthema.vocabulary.namespaces import SYN
from tests.e2e.house import BUDGET, DATASET, House, Settled, Snapshot, refused, site_policy

pytestmark = pytest.mark.e2e


def withdraw_site_policy(house: House) -> None:
    (version,) = [p for p in house.call("policy/list") if p["layer"] == "L2"]
    house.call("policy/withdraw", {"policy": version["policy"], "version": version["version"]})


def tighten_site_policy(house: House) -> None:
    text = site_policy(house, version="2").replace("epsilon at most: 4.0", "epsilon at most: 2.0")
    house.activate_policy(text, "site.yaml")


def withdraw_dataset_policy(house: House) -> None:
    (version,) = [p for p in house.call("policy/list") if p["layer"] == "L3"]
    house.call("policy/withdraw", {"policy": version["policy"], "version": version["version"]})


def revoke_permit(house: House) -> None:
    officer = house.signatories[0].person
    house.call("permit/revoke", {"permit": house.permit, "person": officer, "reason": "the study was ended"})


def suspend_permit(house: House) -> None:
    house.connector.permits.decide(house.permit, "suspend", reason="under review")


@pytest.mark.article("EHDS 68")
@pytest.mark.parametrize(
    "change",
    [withdraw_site_policy, tighten_site_policy, withdraw_dataset_policy, revoke_permit, suspend_permit],
    ids=lambda change: change.__name__,
)
def test_what_is_no_longer_permitted_does_not_start(house: House, change: Callable[[House], None]) -> None:
    grant, request = house.granted()
    change(house)
    with refused(house, DeniedError, "what was permitted is no longer"):
        house.connector.governor.start(grant, request)


def test_a_policy_that_still_permits_lets_the_run_start(house: House) -> None:
    grant, request = house.granted()
    house.activate_policy(site_policy(house, version="2"), "site.yaml")
    assert generate(house.connector.governor, grant, request).released


def test_the_last_of_a_budget_is_not_denied_to_the_run_it_was_set_aside_for(house: House) -> None:
    grant, request = house.granted()
    while house.request(epsilon=2.0)[1]["effect"] == "permit":
        continue
    house.connector.governor.start(grant, request).close()


@pytest.mark.article("GDPR 7(3)")
def test_who_withdraws_consent_before_the_start_is_left_out(house: House, settled: Settled) -> None:
    keys = given_consent(settled)
    grant, request = house.granted()
    before = house.connector.consents.version()
    house.connector.consents.change(DATASET, keys[0], ConsentState.WITHDRAWN)
    session = house.connector.governor.start(grant, request)
    session.close()
    prepared = session.prepared
    assert prepared.exclusion_list == before + 1
    assert prepared.train.height + prepared.holdout.height == len(keys) - 1


@pytest.mark.article("GDPR 7(3)")
def test_when_too_few_consent_at_the_start_nothing_starts(house: House, settled: Settled) -> None:
    grant, request = house.granted()
    lines = [f"{key},ConsentWithdrawn,2026-11-22" for key in given_consent(settled)[45:]]
    table = "\n".join(["patient_key,state,date", *lines]) + "\n"
    house.call("consent/import", {"dataset": DATASET, "file": "consent.csv", "table": table})
    with refused(house, DeniedError, "what was permitted is no longer"):
        house.connector.governor.start(grant, request)


def given_consent(settled: Settled) -> list[str]:
    lines = settled.patients.consents.splitlines()[1:]
    return [line.split(",")[0] for line in lines if line.split(",")[1] == "ConsentGiven"]


def test_two_requests_never_both_get_the_last_of_a_budget(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two decisions may see the same rest of a budget; the ledger has the last word, and the log hears of it."""
    stale = {SYN + "epsilonRemaining": Fact(BUDGET, "a reading that is out of date")}
    monkeypatch.setattr(BudgetLedger, "facts", lambda *_: stale)
    before = ask_until_denied(house)
    after = house.snapshot()
    assert (after.spent, after.reserved) == (before.spent, before.reserved)
    (run,) = set(after.states) - set(before.states)
    assert run[1] == "denied"
    assert "request answered: deny" in house.log_text()[-1]


def ask_until_denied(house: House) -> Snapshot:
    """Ask until the ledger says no; returns how things stood before that."""
    for _ in range(10):
        before = house.snapshot()
        try:
            house.granted(epsilon=4.0)
        except DeniedError as error:
            if "the privacy budget of this recipient" not in error.message:
                raise
            return before
    raise AssertionError("the budget never ran out")
