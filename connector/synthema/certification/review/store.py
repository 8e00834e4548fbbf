"""Where reviews, seats and answers are kept, inside the caller's transaction. Answers arrive here sealed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    ForeignKey,
    Integer,
    RowMapping,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    insert,
    select,
    update,
)

from synthema.certification.review.model import ReviewPlan, ReviewResult, ReviewState, Seat, advance
from synthema.errors import ConflictError, NotFoundError
from synthema.storage import CanonicalJson, UtcDateTime, metadata

reviews = Table(
    "reviews",
    metadata,
    Column("id", String, primary_key=True),
    Column("state", String, nullable=False, index=True),
    Column("subject", String, nullable=False, index=True),
    Column("dataset", String, nullable=False, index=True),
    Column("plan", CanonicalJson, nullable=False),
    Column("commitment", String, nullable=False),
    Column("reason", Text),
    Column("result", CanonicalJson),
    Column("seed", String),  # only once the review is closed
    Column("log_position", Integer),
    Column("closed_at", UtcDateTime),
)

seats = Table(
    "review_seats",
    metadata,
    Column("review", String, ForeignKey("reviews.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("person", String, nullable=False),
    Column("code_digest", String, nullable=False, unique=True),
    Column("taken_at", UtcDateTime, nullable=False),
    UniqueConstraint("review", "person"),
)

answers = Table(
    "review_answers",
    metadata,
    Column("review", String, ForeignKey("reviews.id"), primary_key=True),
    Column("seat", Integer, primary_key=True),
    Column("vignette", String, primary_key=True),
    Column("sealed", Text, nullable=False),
    Column("answered_at", UtcDateTime, nullable=False),
)


@dataclass(frozen=True, slots=True)
class ReviewRecord:
    """A review as it stands; the last four are known once it is closed."""

    plan: ReviewPlan
    state: ReviewState
    commitment: str
    reason: str | None
    result: ReviewResult | None
    seed: str | None
    log_position: int | None
    closed_at: datetime | None


def insert_review(connection: Connection, plan: ReviewPlan, commitment: str) -> None:
    """Keep a new review, open."""
    connection.execute(
        insert(reviews).values(
            id=plan.id, state=ReviewState.OPEN, subject=plan.subject, dataset=plan.dataset,
            plan=plan.model_dump(mode="json"), commitment=commitment,
        )
    )  # fmt: skip


def move(connection: Connection, review: str, event: str, **changes: Any) -> None:
    """Move a review along its transition table and keep what changed with it."""
    state = advance(find(connection, review).state, event)
    connection.execute(update(reviews).where(reviews.c.id == review).values(state=state, **changes))


def find(connection: Connection, review: str) -> ReviewRecord:
    """The review of this id; raises :class:`NotFoundError`."""
    row = connection.execute(select(reviews).where(reviews.c.id == review)).mappings().one_or_none()
    if row is None:
        raise NotFoundError("there is no such review", fix="list the reviews with: synthema review list")
    return _record(row)


def all_reviews(connection: Connection, **wanted: str) -> list[ReviewRecord]:
    """Reviews with these values (of ``state``, ``subject``, ``dataset``), the newest first."""
    query = select(reviews).order_by(reviews.c.id.desc())
    for name, value in wanted.items():
        query = query.where(reviews.c[name] == value)
    return [_record(row) for row in connection.execute(query).mappings()]


def _record(row: RowMapping) -> ReviewRecord:
    return ReviewRecord(
        ReviewPlan.model_validate(row["plan"]),
        ReviewState(row["state"]),
        row["commitment"],
        row["reason"],
        None if row["result"] is None else ReviewResult.model_validate(row["result"]),
        row["seed"],
        row["log_position"],
        row["closed_at"],
    )


# seats -------------------------------------------------------------------------------------


def take_seat(connection: Connection, review: str, person: str, code_digest: str, at: datetime) -> tuple[Seat, bool]:
    """A person's seat, and whether it is new; who sits already gets a new code and the old one ends."""
    mine = (seats.c.review == review) & (seats.c.person == person)
    number = connection.execute(select(seats.c.number).where(mine)).scalar_one_or_none()
    if number is not None:
        connection.execute(update(seats).where(mine).values(code_digest=code_digest))
        return Seat(review=review, number=number, person=person), False
    taken = connection.execute(select(func.max(seats.c.number)).where(seats.c.review == review)).scalar_one()
    seat = Seat(review=review, number=(taken or 0) + 1, person=person)
    connection.execute(insert(seats).values(**seat.model_dump(), code_digest=code_digest, taken_at=at))
    return seat, True


def seat_of(connection: Connection, code_digest: str) -> Seat:
    """The seat behind a code; raises :class:`NotFoundError`."""
    row = connection.execute(select(seats).where(seats.c.code_digest == code_digest)).mappings().one_or_none()
    if row is None:
        raise NotFoundError(
            "this code opens no seat",
            fix="copy it whole, or take your seat again with your key: synthema review join",
        )
    return Seat(review=row["review"], number=row["number"], person=row["person"])


def seats_of(connection: Connection, review: str) -> list[Seat]:
    """The seats of a review by number."""
    rows = connection.execute(select(seats).where(seats.c.review == review).order_by(seats.c.number)).mappings()
    return [Seat(review=row["review"], number=row["number"], person=row["person"]) for row in rows]


# answers -----------------------------------------------------------------------------------


def insert_answer(connection: Connection, seat: Seat, vignette: str, sealed: str, at: datetime) -> None:
    """Keep an answer; a second one to the same vignette raises :class:`ConflictError`."""
    if vignette in answered(connection, seat):
        raise ConflictError("you answered this vignette before", fix="go on with the next one; answers are not changed")
    values = {"review": seat.review, "seat": seat.number, "vignette": vignette}
    connection.execute(insert(answers).values(**values, sealed=sealed, answered_at=at))


def answered(connection: Connection, seat: Seat) -> frozenset[str]:
    """The vignettes a seat has answered."""
    query = select(answers.c.vignette).where(answers.c.review == seat.review, answers.c.seat == seat.number)
    return frozenset(connection.execute(query).scalars())


def sealed_answers(connection: Connection, review: str) -> list[tuple[int, str, str]]:
    """All answers of a review as they are kept: seat, vignette, sealed text."""
    query = select(answers.c.seat, answers.c.vignette, answers.c.sealed).where(answers.c.review == review)
    return [(row.seat, row.vignette, row.sealed) for row in connection.execute(query.order_by(answers.c.seat))]


def reseal(connection: Connection, review: str, seat: int, vignette: str, sealed: str) -> None:
    """Keep another sealed text for an answer: the same one without its remark."""
    which = (answers.c.review == review) & (answers.c.seat == seat) & (answers.c.vignette == vignette)
    connection.execute(update(answers).where(which).values(sealed=sealed))
