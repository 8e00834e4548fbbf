"""A hospital in a study lets its clinicians judge the candidate; the hub waits, and certifies what they found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from synthema.demo.house import House, Signatory
from synthema.demo.patients import hospital_data
from synthema.policy.templates import render
from tests.e2e.space import Space, data_space, run_of
from tests.waiting import until

pytestmark = pytest.mark.e2e

VIGNETTES = 24


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Space]:
    with data_space(tmp_path_factory.mktemp("reviewed"), hospital_data((1, 1, 1))) as started:
        yield started


def demand(house: House) -> None:
    values = {
        "name": "clinical-review", "title": "Blinded review", "version": "1", "assigner": house.did,
        "discrimination": 0.9, "discrimination_reason": "Agreed with the clinicians",
        "plausible": 0.5, "plausible_reason": "Agreed with the clinicians",
    }  # fmt: skip
    house.activate_policy(render("clinical-review", values), "review.yaml")


def signed(house: House, operation: str, asked: str, value: dict[str, Any], who: Signatory, **more: Any) -> Any:
    signature = who.sign(house.call(asked, value)["sign"])
    return house.call(operation, value | more | {"person": who.person, "signature": signature})


def judged(house: House, review: str, who: Signatory) -> None:
    """One clinician who cannot tell, and says so of every record."""
    code = signed(house, "review/join", "review/seating", {"review": review}, who)["code"]
    while (shown := house.call("review/next", {"code": code})["vignette"]) is not None:
        answer = {"guess": "real", "confidence": 1, "plausible": True}
        house.call("review/answer", {"code": code, "vignette": shown["name"], **answer})


def test_the_study_waits_for_the_clinicians_of_one_hospital(space: Space) -> None:
    house = space.sites[0]
    demand(house)
    study = space.begin("A study that is reviewed", epsilon=3.0)
    waits = until(lambda: house.call("review/list")["waiting"], bool, 240)
    (run,) = [each["run"] for each in waits]
    assert run_of(house, study, "evaluateModel")["state"] == "awaiting review"
    until(lambda: space.study(study), lambda found: "clinicians have yet to judge it" in str(found), 30)

    steward, clinicians = house.signatories[1], [house._register("clinician") for _ in range(2)]
    order = {"run": run, "vignettes": VIGNETTES, "reviewers": 2, "days": 30}
    review = signed(house, "review/open", "review/opening", order, steward, title="The candidate")["review"]
    for clinician in clinicians:
        judged(house, review, clinician)
    closed = signed(house, "review/close", "review/closing", {"review": review, "reason": ""}, steward)
    assert "the hub gets the signed evidence" in closed["outcome"], closed["outcome"]

    ended = space.ended(study, 120)
    assert ended["state"] == "released", ended["reason"]
    certified = str(ended["result"]["document"])
    assert "reviewDiscrimination" in certified
    figures = ended["result"]["document"]["credentialSubject"]["utility"]["figures"]
    found = [f for f in figures if f["measurement"]["metric"].startswith("review")]
    assert {f["site"] for f in found} == {house.did}
    assert {f["measurement"]["logPosition"] for f in found} == {closed["logPosition"]}
    assert {f["measurement"]["evaluator"]["name"] for f in found} == {"clinicians"}
