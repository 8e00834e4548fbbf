"""A permit for the site's own researchers: state, policy and budget come into force together, on the officer's word."""

from __future__ import annotations

from typing import Any

import pytest

from synthema.clock import FixedClock
from synthema.errors import ConflictError, DeniedError, IntegrityError, PolicyLoadError
from synthema.runs.governor import GRANT_LIFETIME
from tests.e2e.house import BUDGET, DATASET, DELTA, NOW, RESEARCH, House, permit_policy

pytestmark = [pytest.mark.e2e, pytest.mark.article("EHDS 68")]


def applied(house: House) -> str:
    """A second permit, applied for and not granted."""
    return str(
        house.call(
            "permit/apply",
            {
                "dataset": DATASET,
                "purpose": RESEARCH,
                "person": house.signatories[1].person,
                "specification": "laboratory values at diagnosis",
                "justification": "synthetic records are made from single records",
                "days": 30,
            },
        )["permit"]
    )


def terms(house: House, permit: str) -> dict[str, Any]:
    return {
        "permit": permit,
        "policy": permit_policy(house, NOW),
        "epsilon": BUDGET,
        "delta": DELTA,
        "total_epsilon": BUDGET,
    }


def state_of(house: House, permit: str) -> str:
    return next(str(found["state"]) for found in house.call("permit/list") if found["permit"] == permit)


def assert_ungranted(house: House, permit: str) -> None:
    assert state_of(house, permit) == "PermitRequested"
    assert permit not in {account.basis for account in house.connector.budget.accounts()}
    house.permit = permit
    assert house.request()[1]["effect"] == "deny"


def test_what_is_only_applied_for_permits_nothing(house: House) -> None:
    assert_ungranted(house, applied(house))


def test_the_officer_alone_grants(house: House) -> None:
    permit = applied(house)
    steward = house.signatories[1]
    asked = house.call("permit/signing", terms(house, permit))
    signed = {"person": steward.person, "signature": steward.sign(asked["sign"])}
    with pytest.raises(DeniedError, match="data protection officer"):
        house.call("permit/grant", terms(house, permit) | signed)
    assert_ungranted(house, permit)


@pytest.mark.parametrize("change", [{"epsilon": 100.0}, {"total_epsilon": 100.0}, {"policy": "other"}])
def test_terms_changed_after_the_signature_are_not_granted(house: House, change: dict[str, Any]) -> None:
    permit = applied(house)
    officer = house.signatories[0]
    asked = house.call("permit/signing", terms(house, permit))
    signed = {"person": officer.person, "signature": officer.sign(asked["sign"])}
    if "policy" in change:
        change = {"policy": permit_policy(house, NOW).replace("epsilon at most: 4.0", "epsilon at most: 40.0")}
    with pytest.raises(IntegrityError):
        house.call("permit/grant", terms(house, permit) | signed | change)
    assert_ungranted(house, permit)


def test_a_policy_that_binds_nobody_grants_nothing(house: House) -> None:
    permit = applied(house)
    officer = house.signatories[0]
    unbound = permit_policy(house, NOW).replace(f"assignees: {house.did}\n", "")
    given = terms(house, permit) | {"policy": unbound}
    asked = house.call("permit/signing", given)
    signed = {"person": officer.person, "signature": officer.sign(asked["sign"])}
    with pytest.raises(PolicyLoadError):
        house.call("permit/grant", given | signed)
    assert_ungranted(house, permit)


def test_a_permit_is_granted_once_and_opens_one_budget(house: House) -> None:
    permit = applied(house)
    officer = house.signatories[0]
    asked = house.call("permit/signing", terms(house, permit))
    assert any("make synthetic data" in sentence for sentence in asked["sentences"])
    signed = {"person": officer.person, "signature": officer.sign(asked["sign"])}
    assert house.call("permit/grant", terms(house, permit) | signed)["state"] == "PermitIssued"
    before = len(house.connector.budget.accounts())
    with pytest.raises(ConflictError):
        house.call("permit/grant", terms(house, permit) | signed)
    assert len(house.connector.budget.accounts()) == before
    house.permit = permit
    assert house.request()[1]["effect"] == "permit"


def test_a_grant_that_expires_unused_gives_its_budget_back(house: House, clock: FixedClock) -> None:
    _, request = house.granted()
    assert house.snapshot().reserved > 0
    assert house.connector.governor.expire_due() == []
    clock.advance(GRANT_LIFETIME)
    assert house.connector.governor.expire_due() == [request.id]
    after = house.snapshot()
    assert (dict(after.states)[request.id], after.reserved, after.spent) == ("failed", 0, 0)
    assert "its grant expired" in house.log_text()[-1]
