"""The commands of a clinical review, as a data steward and two clinicians type them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from synthema.assembly import Connector, find_operation, initialise
from synthema.certification.review import Reason, ReviewPlan, draw_sheet
from synthema.cli import review
from synthema.identity import PersonKey
from synthema.ids import new_id
from tests.unit.cli.support import data_of, run
from tests.unit.review.worlds import rows, shown

SIZE = 20
REVIEW = "review-" + "d" * 32
PASSPHRASE = "a passphrase of the test"


@pytest.fixture
def clinic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connector]:
    """A connector that stays open; the commands reach it as they would reach one that is served."""
    settings = initialise(
        tmp_path / "clinic",
        name="Clinic",
        role="site",
        public_url="http://127.0.0.1:8101",
        management_url="http://127.0.0.1:9101",
        mode="demo",
    )
    connector = Connector.open(settings)

    def call(_home: Path, operation: str, value: dict[str, Any] | None = None) -> Any:
        return find_operation(operation).call(connector, value or {})

    monkeypatch.setattr(review, "call", call)
    yield connector
    connector.close()


def person(clinic: Connector, role: str) -> tuple[str, ...]:
    """Register somebody; returns the options with which they sign."""
    folder = clinic.settings.home.parent
    key, secret = folder / f"{new_id('key')}.pem", folder / "passphrase"
    secret.write_text(PASSPHRASE)
    secret.chmod(0o600)
    made = clinic.people.register([role], PersonKey.create(key, PASSPHRASE.encode()).public_key)
    return ("--person", made.id, "--key", str(key), "--passphrase-file", str(secret))


def open_review(clinic: Connector, steward: str) -> None:
    now = clinic.clock.now()
    plan = ReviewPlan(
        id=REVIEW, title="First candidate", subject="run-1", candidate="sha256:" + "0" * 64, dataset="made-up",
        dataset_version="dataset-1", run="run-2", vignettes=SIZE, reviewers=2, opened_by=steward, barred=(steward,),
        reasons=(Reason(code="combination", words="Does not fit"), Reason(code="other", words="Another reason")),
        opened_at=now, expires_at=now + timedelta(days=30),
    )  # fmt: skip
    clinic.reviews.open(plan, draw_sheet(rows(60, 1), rows(60, 2), shown(), clinic.reviews.seed(REVIEW), SIZE))


def test_a_review_from_seat_to_report(clinic: Connector, monkeypatch: pytest.MonkeyPatch) -> None:
    steward = person(clinic, "data steward")
    clinicians = [person(clinic, "clinician") for _ in range(2)]
    open_review(clinic, steward[1])
    assert "AUC of 0.5 ±" in run("review", "advise", "--reviewers", "3").stdout
    codes = [data_of("review", "join", REVIEW, *signs)["code"] for signs in clinicians]

    shown_now: dict[str, Any] = data_of("review", "next", "--code", codes[0])
    record = shown_now["vignette"]["name"]
    assert "record 1 of 20" in run("review", "next", "--code", codes[0]).stdout
    half = ("--guess", "real", "--sure", "1")
    assert "say all three" in run(
        "review", "answer", record, "--code", codes[0], *half, status=2
    ).stderr  # fmt: skip
    whole = (*half, "--implausible", "--reason", "combination", "--remark", "odd")
    run("review", "answer", record, "--code", codes[0], *whole)
    assert "given once" in run("review", "answer", record, "--code", codes[0], *whole, status=5).stderr

    rest = "x\ns\n3\ni\n0\n1 2\nremark\n" + "r\n1\np\n\n" * (SIZE - 2)
    assert "judged all records" in run("review", "judge", "--code", codes[0], typed=rest).stdout
    monkeypatch.setenv("REVIEW_CODE", codes[1])
    run("review", "judge", typed="k\n" + "s\n2\np\n\n" * (SIZE - 1))

    status = data_of("review", "status", REVIEW)
    assert [seat["answered"] for seat in status["seats"]] == [SIZE, SIZE]
    assert "not closed" in run("review", "report", REVIEW, status=5).stderr
    assert "closed, but what waited for it is not settled" in data_of("review", "close", REVIEW, *steward)["outcome"]
    report = run("review", "report", REVIEW).stdout
    assert "reviewDiscrimination" in report
    assert "Does not fit" in report
    assert {each["remark"] for each in data_of("review", "remarks", REVIEW)} <= {"odd", "remark"}
    assert "First candidate" in run("review", "list").stdout


def test_stopping_needs_who_opened_it(clinic: Connector) -> None:
    steward, clinician = person(clinic, "data steward"), person(clinic, "clinician")
    open_review(clinic, steward[1])
    run("review", "stop", REVIEW, "--reason", "a pause", *clinician, status=3)
    assert "stopped (a pause)" in run("review", "stop", REVIEW, "--reason", "a pause", *steward).stdout
    run("review", "join", REVIEW, *clinician, status=5)
