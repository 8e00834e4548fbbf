"""The room: what it serves before the close, that answers are durable and given once, and what the close leaves."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synthema.certification.review import (
    Answer,
    Reason,
    ReviewPlan,
    Reviews,
    ReviewState,
    assignment,
    closing_bytes,
    draw_sheet,
    review_evidence,
    review_measurements,
    room,
    seating_bytes,
)
from synthema.certification.review.blinding import names
from synthema.clock import FixedClock
from synthema.dpia.figures import CLINICAL_REVIEW
from synthema.errors import ConflictError, IntegrityError, StorageError, SynthemaError
from synthema.identity import FileSigner, People
from synthema.provenance import ProvenanceLog
from synthema.provenance.accounts import PeopleLog
from synthema.storage import Database
from tests.unit.datasets.support import make_log, make_signer
from tests.unit.review.worlds import rows, shown

SIZE = 20
REVIEW = "review-" + "a" * 32
REASONS = (Reason(code="combination", words="does not fit"), Reason(code="other", words="another"))


@dataclass
class Desk:
    """A review room with its people; the first opens, the others review."""

    reviews: Reviews
    log: ProvenanceLog
    clock: FixedClock
    database: Database
    people: list[tuple[str, Ed25519PrivateKey]]
    folder: Path
    signer: FileSigner

    def sign(self, number: int, data: bytes) -> tuple[str, bytes]:
        person, key = self.people[number]
        return person, key.sign(data)

    def join(self, number: int) -> str:
        return self.reviews.join(REVIEW, *self.sign(number, seating_bytes(REVIEW)))[1]

    def close(self, reason: str = "") -> Any:
        return self.reviews.close(REVIEW, *self.sign(0, closing_bytes(REVIEW, reason)), reason=reason)

    def answer_all(self, number: int, remark: str = "") -> str:
        code = self.join(number)
        while (vignette := self.reviews.next(code)) is not None:
            said = Answer(guess="real", confidence=1, plausible=True, remark=remark)
            self.reviews.answer(code, vignette.name, said)
        return code

    def text(self) -> str:
        return "".join(entry.body.decode() for entry in self.log.entries(limit=1000))


@pytest.fixture
def desk(database: Database, clock: FixedClock, tmp_path: Path) -> Desk:
    signer = make_signer()
    log = make_log(database, clock, signer)
    people = People(database, PeopleLog(log), clock)
    keys = [Ed25519PrivateKey.generate() for _ in range(4)]
    roles = ("data steward", "clinician", "clinician", "clinician")
    known = [
        (people.register([role], key.public_key().public_bytes_raw()).id, key)
        for role, key in zip(roles, keys, strict=True)
    ]
    folder = tmp_path / "reviews"
    reviews = Reviews(database, log, clock, signer, people, folder)
    found = Desk(reviews, log, clock, database, known, folder, signer)
    reviews.open(plan(found), draw_sheet(rows(60, 1), rows(60, 2), shown(), reviews.seed(REVIEW), SIZE))
    return found


def plan(desk: Desk) -> ReviewPlan:
    now = desk.clock.now()
    return ReviewPlan(
        id=REVIEW, title="A candidate", subject="run-1", candidate="sha256:" + "0" * 64, dataset="made-up",
        dataset_version="dataset-1", run="run-2", vignettes=SIZE, reviewers=2, opened_by=desk.people[0][0],
        barred=(desk.people[0][0],), reasons=REASONS, opened_at=now, expires_at=now + timedelta(days=30),
    )  # fmt: skip


# blinding -----------------------------------------------------------------------------------------------------------


def test_nothing_before_the_close_even_asks_which_vignettes_are_real(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who never asks cannot tell: neither what is served, nor an error, nor a time depends on the truth."""

    def never(*_: object) -> NoReturn:
        raise AssertionError("the truth was asked for before the close")

    with monkeypatch.context() as closed:
        closed.setattr(room, "assignment", never)
        closed.setattr(room, "result_of", never)
        code = desk.answer_all(1)
        desk.answer_all(2)
        desk.reviews.progress(REVIEW)
        desk.reviews.clear()
        for wrong in ("0" * 20, names(desk.reviews.seed(REVIEW), SIZE)[3]):
            with pytest.raises(ConflictError):
                desk.reviews.answer(code, wrong, Answer(recognised=True))
        assert desk.reviews.next(code) is None
        with pytest.raises(AssertionError, match="truth was asked"):
            desk.close()
    assert desk.close().state is ReviewState.CLOSED


def test_all_that_is_served_is_a_number_a_name_and_sentences(desk: Desk) -> None:
    code = desk.join(1)
    vignette = desk.reviews.next(code)
    assert vignette is not None
    assert set(vignette.model_dump()) == {"review", "name", "number", "of", "sentences"}
    served = json.dumps(vignette.model_dump(mode="json"))
    assert desk.reviews.seed(REVIEW).hex() not in served
    assert desk.reviews.seed(REVIEW).hex() not in desk.text()


def test_two_reviewers_meet_the_vignettes_in_their_own_orders_under_the_same_names(desk: Desk) -> None:
    seen: dict[int, list[str]] = {}
    for number in (1, 2):
        code, seen[number] = desk.join(number), []
        while (vignette := desk.reviews.next(code)) is not None:
            seen[number].append(vignette.name)
            desk.reviews.answer(code, vignette.name, Answer(recognised=True))
    assert seen[1] != seen[2]
    assert set(seen[1]) == set(seen[2])


def test_the_log_before_the_close_holds_commitments_and_no_answer(desk: Desk) -> None:
    code = desk.join(1)
    vignette = desk.reviews.next(code)
    assert vignette is not None
    before = desk.log.size()
    desk.reviews.answer(code, vignette.name, Answer(guess="synthetic", confidence=3, plausible=True, remark="odd one"))
    entry = desk.log.entry(before).body.decode()
    assert "ns#ReviewAnswering>" in entry
    assert desk.people[1][0] in entry
    for told in ("synthetic", "odd one", vignette.name, *vignette.sentences):
        assert told not in entry


def test_vignettes_and_answers_lie_sealed(desk: Desk) -> None:
    code = desk.join(1)
    vignette = desk.reviews.next(code)
    assert vignette is not None
    desk.reviews.answer(code, vignette.name, Answer(guess="real", confidence=1, plausible=True, remark="a rare course"))
    (sheet,) = desk.folder.iterdir()
    assert b"aemoglobin" not in sheet.read_bytes()
    with desk.database.read() as connection:
        raw = connection.exec_driver_sql("select * from review_answers").all()
    assert "rare course" not in str(raw)
    data = bytearray(sheet.read_bytes())
    data[-1] ^= 1
    sheet.write_bytes(bytes(data))
    with pytest.raises(IntegrityError):
        desk.reviews.next(code)


# answers ------------------------------------------------------------------------------------------------------------


def test_of_many_answers_at_the_same_moment_one_is_kept(desk: Desk) -> None:
    code = desk.join(1)
    vignette = desk.reviews.next(code)
    assert vignette is not None

    def attempt(number: int) -> bool:
        try:
            desk.reviews.answer(code, vignette.name, Answer(guess="real", confidence=1 + number % 3, plausible=True))  # type: ignore[arg-type]
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(8))) == 1
    assert desk.reviews.progress(REVIEW)[0][1] == 1
    assert desk.text().count("ns#ReviewAnswering>") == 1


def test_an_answer_that_cannot_be_logged_is_not_kept(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    code = desk.join(1)
    vignette = desk.reviews.next(code)
    assert vignette is not None

    def broken(*_: object) -> NoReturn:
        raise StorageError("the disk is full", fix="make room")

    monkeypatch.setattr(desk.log, "append", broken)
    with pytest.raises(StorageError):
        desk.reviews.answer(code, vignette.name, Answer(recognised=True))
    assert desk.reviews.next(code) == vignette


def test_answers_are_there_for_another_process_at_once(desk: Desk, tmp_path: Path) -> None:
    code = desk.join(1)
    vignette = desk.reviews.next(code)
    assert vignette is not None
    desk.reviews.answer(code, vignette.name, Answer(recognised=True))
    other = Database(desk.database.engine.url)
    try:
        people = People(other, PeopleLog(desk.log), desk.clock)
        again = Reviews(other, desk.log, desk.clock, desk.signer, people, desk.folder)
        following = again.next(code)
        assert following is not None
        assert (following.number, following.name != vignette.name) == (2, True)
    finally:
        other.close()


# the close ----------------------------------------------------------------------------------------------------------


def test_the_close_opens_the_truth_deletes_the_records_and_keeps_remarks_on_synthetic_ones(desk: Desk) -> None:
    desk.answer_all(1, "seems odd")
    desk.answer_all(2)
    record = desk.close()
    assert record.seed == desk.reviews.seed(REVIEW).hex()
    assert record.seed in desk.log.entry(record.log_position).body.decode()
    assert list(desk.folder.iterdir()) == []
    synthetic = sum(assignment(desk.reviews.seed(REVIEW), SIZE))
    assert desk.reviews.remarks(REVIEW) == [(1, "seems odd")] * synthetic
    assert desk.close() == record
    assert record.result.reviewers == 2
    with pytest.raises(ConflictError, match="closed"):
        desk.join(3)


def test_a_close_that_crashed_before_it_was_kept_is_made_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.answer_all(1)
    desk.answer_all(2)
    kept, size = desk.log.append, desk.log.size()

    def crash(*arguments: Any) -> NoReturn:
        kept(*arguments)
        raise StorageError("power is gone", fix="start again")

    monkeypatch.setattr(desk.log, "append", crash)
    with pytest.raises(StorageError):
        desk.close()
    monkeypatch.undo()
    assert desk.log.size() == size
    assert desk.reviews.review(REVIEW).state is ReviewState.OPEN
    desk.reviews.clear()
    assert desk.close().result.figures


def test_stopping_and_the_last_day_delete_the_records_and_what_was_answered_counts(desk: Desk) -> None:
    desk.answer_all(1)
    desk.answer_all(2)
    desk.clock.advance(timedelta(days=30))
    desk.reviews.clear()
    assert list(desk.folder.iterdir()) == []
    assert desk.reviews.review(REVIEW).state is ReviewState.STOPPED
    with pytest.raises(ConflictError, match="it was open until"):
        desk.join(3)
    record = desk.close()
    assert record.result.figures
    assert record.reason == "it was open until 2026-12-21"


def test_sheets_that_belong_to_no_open_review_are_deleted(desk: Desk) -> None:
    (desk.folder / f"review-{'b' * 32}.sealed").write_bytes(b"left over")
    desk.reviews.clear()
    assert [path.name for path in desk.folder.iterdir()] == [f"{REVIEW}.sealed"]


def test_figures_as_evidence_say_what_they_are_and_where_they_stand(desk: Desk) -> None:
    desk.answer_all(1)
    desk.answer_all(2)
    with pytest.raises(ConflictError, match="not closed"):
        review_evidence(desk.reviews.review(REVIEW), "urn:x")
    with pytest.raises(SynthemaError, match="not closed"):
        review_measurements(desk.reviews.review(REVIEW), "urn:x")
    record = desk.close()
    run = desk.log.iri("run", "run-2")
    for measurement in review_measurements(record, run):
        assert measurement.log_position == record.log_position
        assert measurement.run == run
        assert measurement.lower is not None
    gated = {item.metric: item for item in review_evidence(record, "urn:x")}
    assert gated["reviewDiscrimination"].kind == CLINICAL_REVIEW
    assert gated["reviewDiscrimination"].unit == "index"
    assert gated["reviewDiscrimination"].confidence == 0.95
