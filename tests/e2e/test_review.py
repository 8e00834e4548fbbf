"""A clinical review in a hospital: from the policy that demands it to the figures that let an output leave, or not."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from synthema.assembly import Connector
from synthema.certification.review import assignment, check_opening, review_measurements
from synthema.certification.review.blinding import names
from synthema.clock import FixedClock
from synthema.demo import house as demo
from synthema.errors import ConflictError, DeniedError, InputError, IntegrityError, NotFoundError
from synthema.policy.templates import render
from synthema.resources import bundled
from tests.e2e.house import DATASET, THRESHOLDS, House, Settled, copy_of
from tests.e2e.house import opened as open_connector

pytestmark = pytest.mark.e2e

Says = Callable[[bool, random.Random], dict[str, Any]]
VIGNETTES = 24


def policy(house: House, discrimination: float = 0.9, plausible: float = 0.5) -> str:
    return render(
        "clinical-review",
        {
            "name": "clinical-review", "title": "Blinded review", "version": "1", "assigner": house.did,
            "discrimination": discrimination, "discrimination_reason": "Agreed with the clinicians",
            "plausible": plausible, "plausible_reason": "Agreed with the clinicians",
        },
    )  # fmt: skip


@dataclass(frozen=True)
class Clinic:
    """A hospital whose policy demands a review: a run that waits for it, one that was released before, clinicians."""

    settled: Settled
    waiting: str
    released: str
    clinicians: tuple[demo.Signatory, ...]


@pytest.fixture(scope="session")
def made(settled: Settled, tmp_path_factory: pytest.TempPathFactory) -> Clinic:
    with copy_of(settled, tmp_path_factory.mktemp("clinic")) as house:
        clinicians = tuple(house._register("clinician") for _ in range(3))
        released = house.call("request/submit", {"request": house.wish()})
        assert released["verdict"]["released"], released["verdict"]["sentences"]
        house.activate_policy(policy(house), "review.yaml")
        waiting = house.call("request/submit", {"request": house.wish()})
        assert not waiting["verdict"]["released"]
        home = house.connector.settings.home
    return Clinic(replace(settled, home=home), waiting["run"], released["run"], clinicians)


@pytest.fixture
def clinic(made: Clinic, tmp_path: Path, clock: FixedClock) -> Iterator[House]:
    with copy_of(made.settled, tmp_path, clock) as house:
        yield house


@pytest.fixture
def consents(settled: Settled) -> list[str]:
    """The lines of the hospital's consent list."""
    return settled.patients.consents.splitlines()


def signed(house: House, operation: str, value: dict[str, Any], who: demo.Signatory, asked: str) -> Any:
    """Call an operation with a person's signature over what another operation says is to be signed."""
    to_sign = house.call(asked, {key: value[key] for key in value if key != "title"})["sign"]
    return house.call(operation, value | {"person": who.person, "signature": who.sign(to_sign)})


def opened(house: House, run: str, **changes: Any) -> dict[str, Any]:
    value = {"run": run, "vignettes": VIGNETTES, "reviewers": 2, "days": 30, "title": "MGUS, first candidate"} | changes
    found: dict[str, Any] = signed(house, "review/open", value, house.signatories[1], "review/opening")
    return found


def seated(house: House, review: str, who: demo.Signatory) -> str:
    to_sign = house.call("review/seating", {"review": review})["sign"]
    value = {"review": review, "person": who.person, "signature": who.sign(to_sign)}
    return str(house.call("review/join", value)["code"])


def truth(connector: Connector, review: str) -> dict[str, bool]:
    seed = connector.reviews.seed(review)
    return dict(zip(names(seed, VIGNETTES), assignment(seed, VIGNETTES), strict=True))


def judge(house: House, review: str, code: str, says: Says, seed: int = 0, limit: int = 999) -> int:
    kinds, chance, given = truth(house.connector, review), random.Random(seed), 0  # noqa: S311 - no secret
    while given < limit and (shown := house.call("review/next", {"code": code})["vignette"]) is not None:
        answer = {"code": code, "vignette": shown["name"]} | says(kinds[shown["name"]], chance)
        assert house.call("review/answer", answer)["answered"] == shown["number"]
        given += 1
    return given


def guessing(_synthetic: bool, chance: random.Random) -> dict[str, Any]:
    """Somebody who cannot tell and says so: chance alone would now and then look like skill."""
    return {"guess": "real", "confidence": 1, "plausible": True}


def knowing(synthetic: bool, chance: random.Random) -> dict[str, Any]:
    if synthetic:
        return {"guess": "synthetic", "confidence": 3, "plausible": False, "reasons": ["combination"], "remark": "odd"}
    return {"guess": "real", "confidence": 3, "plausible": True, "remark": "seen such"}


def closed(house: House, review: str, reason: str = "") -> dict[str, Any]:
    value = {"review": review, "reason": reason}
    found: dict[str, Any] = signed(house, "review/close", value, house.signatories[1], "review/closing")
    return found


def reviewed(house: House, made: Clinic, says: Says) -> dict[str, Any]:
    review = opened(house, made.waiting)["review"]
    for number, clinician in enumerate(made.clinicians[:2]):
        assert judge(house, review, seated(house, review, clinician), says, number) == VIGNETTES
    return closed(house, review)


# the way through -----------------------------------------------------------------------------------------------------


def test_what_clinicians_cannot_tell_apart_leaves(clinic: House, made: Clinic) -> None:
    report = reviewed(clinic, made, guessing)
    assert "released" in report["outcome"], report["outcome"]
    assert clinic.connector.governor.run(report["run"]).state == "released"
    figures = {figure["metric"]: figure for figure in report["result"]["figures"]}
    assert figures["reviewDiscrimination"]["value"] == 0.5
    assert 0.6 < figures["reviewDiscrimination"]["upper"] < 0.8
    assert figures["reviewPlausibleShare"]["value"] == 1.0
    assert report["result"]["reviewers"] == 2
    assert clinic.call("review/list")["waiting"] == []
    decisions = [text for text in clinic.log_text() if "asked of the output" in text and report["run"] in text]
    assert decisions, "the export was decided on the figures of the review"


def test_what_clinicians_tell_apart_is_withheld_and_deleted(clinic: House, made: Clinic) -> None:
    report = reviewed(clinic, made, knowing)
    assert "withheld" in report["outcome"]
    record = clinic.connector.governor.run(report["run"])
    assert record.state == "stopped"
    assert "hardly tell them from real records" in (record.reason or "")
    assert not (clinic.connector.settings.home / "artefacts" / report["run"]).exists()
    assert clinic.call("review/remarks", {"review": report["review"]})[0]["remark"] == "odd"
    reasons = {reason["code"]: reason for reason in report["result"]["reasons"]}
    assert reasons["combination"]["synthetic"] == 2 * report["result"]["synthetic"]


@pytest.mark.article("GDPR 35(7)(d)")
def test_a_gate_on_the_review_stops_a_release_when_missing_and_when_above(house: House) -> None:
    """The assessment alone demands it here: what is not judged waits, what is told apart is withheld."""
    demand_review(house, threshold=0.8)
    house.activate_policy(policy(house, 1.0, 0.0), "review.yaml")
    clinicians = [house._register("clinician") for _ in range(2)]
    result = house.call("request/submit", {"request": house.wish()})
    assert not result["verdict"]["released"]
    assert any("reviewDiscrimination" in said and "not measured" in said for said in result["verdict"]["sentences"])
    with pytest.raises(NotFoundError):
        house.connector.governor.released(synthetic_rows(house, result["run"]))
    review = opened(house, result["run"])["review"]
    for number, clinician in enumerate(clinicians):
        judge(house, review, seated(house, review, clinician), knowing, number)
    report = closed(house, review)
    assert "withheld" in report["outcome"]
    assert "reviewDiscrimination must be ≤ 0.8" in report["outcome"]
    assert house.connector.governor.run(result["run"]).state == "stopped"


def synthetic_rows(house: House, run: str) -> str:
    files = house.call("request/show", {"run": run})["artefacts"]
    return next(str(file["digest"]) for file in files if file["name"] == "synthetic.parquet")


def demand_review(house: House, threshold: float) -> None:
    text = (bundled("legal") / "dpia" / "synthetic-data.yaml").read_text(encoding="utf-8")
    text = text.replace('version: "2.0"', 'version: "2.1"').replace(
        "    capability: core:certification\n",
        "    capability: core:certification\n    metrics: [reviewDiscrimination]\n",
    )
    text = text.replace(
        "metrics:\n  - id:",
        "metrics:\n  - id: reviewDiscrimination\n    sentence: How well clinicians tell synthetic from real.\n"
        "    estimator: mean area under the curve\n    population: training patients and synthetic records\n"
        "    unit: index\n    direction: lower is better\n    confidence: 0.95\n  - id:",
        1,
    )
    text = text.replace(
        "gates:\n  - id:",
        "gates:\n  - id: judged-by-clinicians\n    metric: reviewDiscrimination\n    operator: lteq\n"
        f"    threshold: {threshold}\n    bound: upper\n    phase: pre-release\n    evidence: syn:ClinicalReview\n"
        "    maximum_age: P30D\n    minimum_n: 20\n    rationale: Clinicians know what figures do not.\n  - id:",
        1,
    )
    proposed = house.call("dpia/propose", {"text": text, "file": "d.yaml", "confirm": True, "thresholds": THRESHOLDS})
    for signatory in house.signatories:
        value = {"dpia": proposed["dpia"], "person": signatory.person, "signature": signatory.sign(proposed["sign"])}
        house.call("dpia/sign", value)


def test_a_release_may_be_reviewed_afterwards(clinic: House, made: Clinic) -> None:
    review = opened(clinic, made.released)["review"]
    for number, clinician in enumerate(made.clinicians[:2]):
        judge(clinic, review, seated(clinic, review, clinician), guessing, number)
    report = closed(clinic, review)
    assert report["result"]["figures"]
    assert clinic.connector.governor.run(made.released).state == "released"


# under the policy engine ---------------------------------------------------------------------------------------------


def test_without_a_policy_that_permits_it_no_record_is_opened(house: House) -> None:
    released = house.call("request/submit", {"request": house.wish()})
    before = sum("ns#DatasetOpening>" in text for text in house.log_text())
    with pytest.raises(DeniedError, match="may not be opened"):
        opened(house, released["run"])
    assert sum("ns#DatasetOpening>" in text for text in house.log_text()) == before
    assert house.connector.reviews.all() == []


@pytest.mark.article("GDPR 7(3)")
def test_a_withdrawal_stops_the_review_at_once(clinic: House, made: Clinic, consents: list[str]) -> None:
    review = opened(clinic, made.waiting)["review"]
    code = seated(clinic, review, made.clinicians[0])
    assert judge(clinic, review, code, guessing, limit=3) == 3
    clinic.call("consent/import", {"dataset": DATASET, "file": "c.csv", "table": withdrawal(consents)})
    found = clinic.call("review/status", {"review": review})
    assert found["state"] == "stopped"
    with pytest.raises(ConflictError, match="took back"):
        clinic.call("review/next", {"code": code})
    report = closed(clinic, review)
    assert report["result"]["figures"] == []
    assert clinic.connector.governor.run(made.waiting).state != "released"


def withdrawal(lines: list[str]) -> str:
    """A consent list in which one person who had agreed takes it back."""
    columns = lines[0].split(",")
    state = columns.index("state")
    given = next(row for line in lines[1:] if (row := line.split(","))[state] == "ConsentGiven")
    given[state], given[columns.index("date")] = "ConsentWithdrawn", "2026-11-22"
    return "\n".join([lines[0], ",".join(given)]) + "\n"


def test_nothing_but_counts_leaves_the_run_that_opened_the_records(clinic: House, made: Clinic) -> None:
    review = opened(clinic, made.waiting)
    run = clinic.connector.reviews.review(review["review"]).plan.run
    shown = clinic.call("request/show", {"run": run})
    assert [file["name"] for file in shown["artefacts"]] == ["review-sheet.json"]
    _, content = clinic.connector.governor.released(shown["artefacts"][0]["digest"])
    assert set(json.loads(content)) == {"review", "vignettes", "candidate"}
    sealed = clinic.connector.settings.home / "reviews" / f"{review['review']}.sealed"
    assert b"haemoglobin" not in sealed.read_bytes()
    assert sealed.stat().st_mode & 0o077 == 0


# who may ------------------------------------------------------------------------------------------------------------


def test_who_made_the_data_or_opened_the_review_or_is_no_clinician_does_not_review(clinic: House, made: Clinic) -> None:
    review = opened(clinic, made.waiting)["review"]
    for signatory in clinic.signatories:
        with pytest.raises(DeniedError, match="only clinicians"):
            seated(clinic, review, signatory)
    opener, another = made.clinicians[:2]
    value = {"run": made.waiting, "vignettes": VIGNETTES, "reviewers": 2, "days": 30, "title": "Another"}
    other = signed(clinic, "review/open", value, opener, "review/opening")["review"]
    with pytest.raises(DeniedError, match="who made these data"):
        seated(clinic, other, opener)
    assert seated(clinic, other, another)
    with pytest.raises(DeniedError, match="who opened a review ends it"):
        signed(clinic, "review/close", {"review": other, "reason": "done"}, another, "review/closing")


def test_seats_are_counted_and_a_lost_code_is_replaced(clinic: House, made: Clinic) -> None:
    review = opened(clinic, made.waiting)["review"]
    first, second, third = made.clinicians
    lost = seated(clinic, review, first)
    again = seated(clinic, review, first)
    with pytest.raises(NotFoundError, match="opens no seat"):
        clinic.call("review/next", {"code": lost})
    assert clinic.call("review/next", {"code": again.lower().replace("-", " ")})["vignette"]
    seated(clinic, review, second)
    with pytest.raises(ConflictError, match="all seats are taken"):
        seated(clinic, review, third)
    forged = {"review": review, "person": first.person, "signature": "00" * 64}
    with pytest.raises(IntegrityError):
        clinic.call("review/join", forged)


# answers -------------------------------------------------------------------------------------------------------------


def test_an_answer_is_given_once_and_survives_a_restart(clinic: House, made: Clinic) -> None:
    review = opened(clinic, made.waiting)["review"]
    code = seated(clinic, review, made.clinicians[0])
    first = clinic.call("review/next", {"code": code})["vignette"]
    assert clinic.call("review/next", {"code": code})["vignette"] == first
    answer = {"code": code, "vignette": first["name"], "guess": "real", "confidence": 1, "plausible": True}
    for wrong in (
        {"plausible": None},
        {"plausible": False},
        {"plausible": False, "reasons": ["value:nothing"]},
        {"recognised": True},
        {"confidence": 4},
        {"reasons": ["combination"]},
    ):
        with pytest.raises(InputError):
            clinic.call("review/answer", answer | wrong)
    assert clinic.call("review/answer", answer)["answered"] == 1
    with pytest.raises(ConflictError, match="given once"):
        clinic.call("review/answer", answer | {"guess": "synthetic"})
    with pytest.raises(ConflictError, match="not the one"):
        clinic.call("review/answer", answer | {"vignette": "0" * 20})
    settings, clock = clinic.connector.settings, clinic.connector.clock
    clinic.connector.close()
    with open_connector(settings, clock) as again:
        house = House(again, made.settled.signatories)
        shown = house.call("review/next", {"code": code})["vignette"]
        assert (shown["number"], shown["of"]) == (2, VIGNETTES)
        assert [each["run"] for each in house.call("review/list")["waiting"]] == [made.waiting]
        assert house.call("request/show", {"run": made.waiting})["state"] == "awaiting review"


def test_a_review_ends_on_its_day(clinic: House, made: Clinic, clock: FixedClock) -> None:
    review = opened(clinic, made.waiting, days=2)["review"]
    code = seated(clinic, review, made.clinicians[0])
    clock.advance(timedelta(days=2))
    with pytest.raises(ConflictError, match="ended on"):
        clinic.call("review/next", {"code": code})


def test_closing_early_needs_a_reason_and_gives_no_figures_from_little(clinic: House, made: Clinic) -> None:
    review = opened(clinic, made.waiting)["review"]
    judge(clinic, review, seated(clinic, review, made.clinicians[0]), guessing)
    with pytest.raises(ConflictError, match="1 of 2 reviewers are through"):
        closed(clinic, review)
    with pytest.raises(ConflictError, match="not closed"):
        clinic.call("review/report", {"review": review})
    report = closed(clinic, review, reason="the second clinician fell ill")
    assert report["result"]["figures"] == []
    assert "withheld" in report["outcome"]


def test_an_output_that_waits_can_be_given_up(clinic: House, made: Clinic) -> None:
    run = made.waiting
    value = {"run": run, "reason": "nobody has time to review it"}
    signed(clinic, "review/forgo", value, clinic.signatories[1], "review/forgoing")
    assert clinic.connector.governor.run(run).state == "failed"
    with pytest.raises(NotFoundError):
        opened(clinic, run)


# evidence ------------------------------------------------------------------------------------------------------------


def test_the_opened_assignment_is_the_one_committed_to_and_figures_point_to_it(clinic: House, made: Clinic) -> None:
    run = made.waiting
    review = opened(clinic, run)["review"]
    reviews = clinic.connector.reviews
    sheet = reviews._sheet(reviews.review(review))
    for number, clinician in enumerate(made.clinicians[:2]):
        judge(clinic, review, seated(clinic, review, clinician), guessing, number)
    report = closed(clinic, review)
    check_opening(report["commitment"], review, bytes.fromhex(report["seed"]), sheet)
    with pytest.raises(IntegrityError, match="not the one the log was told"):
        check_opening(report["commitment"], review, bytes.fromhex(report["seed"]), sheet[::-1])
    log = clinic.log_text()
    committed = next(i for i, text in enumerate(log) if report["commitment"] in text)
    answered = next(i for i, text in enumerate(log) if "ns#ReviewAnswering>" in text)
    told = next(i for i, text in enumerate(log) if report["seed"] in text)
    assert committed < answered < told == report["logPosition"]
    assert not (clinic.connector.settings.home / "reviews" / f"{review}.sealed").exists()
    record = reviews.review(review)
    measurements = review_measurements(record, clinic.connector.log.iri("run", record.plan.run))
    assert {m.log_position for m in measurements} == {report["logPosition"]}
    assert record.plan.run in log[report["logPosition"]]
