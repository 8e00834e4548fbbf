"""The review room: clinicians take seats, are shown one vignette after another, and answer; then the truth is opened.

Until a review is closed, nothing that is served depends on which vignettes are real. The vignettes lie
sealed in a file and every answer is sealed in the database; each step is one transaction with its log entry.
"""

from __future__ import annotations

import base64
import hashlib
import secrets as randomness
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection

from synthema.canonical import canonical_json, digest, parse_json_strictly
from synthema.certification.review import store
from synthema.certification.review.blinding import (
    assignment,
    check_opening,
    commitment,
    names,
    order,
    sealed_digest,
)
from synthema.certification.review.figures import result_of
from synthema.certification.review.model import (
    Answer,
    ReviewPlan,
    ReviewResult,
    ReviewState,
    Seat,
    Shown,
    advance,
)
from synthema.certification.review.records import ReviewRecords
from synthema.certification.review.store import ReviewRecord
from synthema.clock import Clock
from synthema.consent.model import Withdrawal, WithdrawalLevel
from synthema.datasets.seal import seal_bytes, unsealed_bytes, write_durably
from synthema.errors import ConflictError, DeniedError, InputError, IntegrityError
from synthema.identity import People, Person, SecretSource
from synthema.identity.four_eyes import OFFICER_ROLE
from synthema.provenance import ProvenanceLog
from synthema.storage import Database

REVIEWER_ROLE = "clinician"
Sheet = Sequence[Sequence[str]]


def opening_bytes(subject: str, vignettes: int, reviewers: int, days: int) -> bytes:
    """What is signed to open a review: about which run's rows, how large, and for how long."""
    statement = "I open a blinded clinical review of these synthetic data."
    design = {"vignettes": vignettes, "reviewers": reviewers, "days": days}
    return canonical_json({"statement": statement, "subject": subject, **design})


def seating_bytes(review: str) -> bytes:
    """What a clinician signs to take a seat."""
    statement = "I review these vignettes myself, did not take part in making the synthetic data, and tell nobody."
    return canonical_json({"statement": statement, "review": review})


def stopping_bytes(review: str, reason: str) -> bytes:
    """What is signed to stop a review."""
    return canonical_json({"statement": "I stop this clinical review.", "review": review, "reason": reason})


def closing_bytes(review: str, reason: str) -> bytes:
    """What is signed to close a review; the reason says why it is closed before everybody is through."""
    return canonical_json({"statement": "I close this clinical review.", "review": review, "reason": reason})


class Reviews:
    """The clinical reviews of one connector. ``folder`` holds one sealed sheet for each that is not closed."""

    def __init__(
        self, database: Database, log: ProvenanceLog, clock: Clock, secrets: SecretSource, people: People, folder: Path
    ) -> None:
        self._database = database
        self._log = log
        self._clock = clock
        self._secrets = secrets
        self._people = people
        self._folder = folder
        self._records = ReviewRecords(log)

    # opening ---------------------------------------------------------------------------------

    def seed(self, review: str) -> bytes:
        """The seed of a review: it follows from the connector's master secret and is stored nowhere."""
        return self._secrets.secret(f"review/{review}")

    def open(self, plan: ReviewPlan, sheet: Sheet) -> ReviewRecord:
        """Keep a sheet that was drawn with :meth:`seed`, and commit to it in the log."""
        if len(sheet) != plan.vignettes:
            raise InputError("the sheet has another number of vignettes than the plan", fix="draw it again")
        committed = commitment(plan.id, self.seed(plan.id), sheet)
        write_durably(self._file(plan.id), self._seal(plan.id, canonical_json([list(text) for text in sheet])))

        def keep(connection: Connection) -> ReviewRecord:
            store.insert_review(connection, plan, committed)
            self._log.append(connection, self._records.opened(plan, committed))
            return store.find(connection, plan.id)

        try:
            return self._database.write(keep)
        except BaseException:
            self._file(plan.id).unlink(missing_ok=True)
            raise

    def clear(self) -> None:
        """Stop the reviews whose time is over, and delete the sheets of all that show nothing any more.

        Housekeeping does it, and every start: records are not kept longer than they are judged (GDPR Art. 5(1)(e)).
        """
        sheets = list(self._folder.glob("*"))
        if not sheets:
            return  # no sheet, no review that shows anything
        now = self._clock.now()
        for record in self.all(state=ReviewState.OPEN):
            if record.plan.expires_at <= now:
                plan = record.plan
                self._database.write(lambda connection, plan=plan: self._end_in_time(connection, plan))  # type: ignore[misc]
        kept = {self._file(record.plan.id).name for record in self.all(state=ReviewState.OPEN)}
        for path in sheets:
            if path.name not in kept:
                path.unlink(missing_ok=True)

    def _end_in_time(self, connection: Connection, plan: ReviewPlan) -> None:
        if store.find(connection, plan.id).state is ReviewState.OPEN:
            self._stop_within(connection, plan, f"it was open until {plan.expires_at:%Y-%m-%d}", None)

    # reviewers -------------------------------------------------------------------------------

    def join(self, review: str, person_id: str, signature: bytes) -> tuple[Seat, str]:
        """Take a seat with a signature over :func:`seating_bytes`; returns it with the code that opens it.

        Who sits already gets a new code. Raises :class:`DeniedError` for people who are no
        clinicians, or who took part in making the data.
        """
        person = self._people.verify(person_id, seating_bytes(review), signature)
        if not person.has(REVIEWER_ROLE):
            raise DeniedError("only clinicians review", fix=f"ask for an account with the role '{REVIEWER_ROLE}'")
        code = _new_code()

        def sit(connection: Connection) -> Seat:
            plan = self._require_open(connection, review).plan
            if person.id in plan.barred:
                raise DeniedError(
                    "who made these data, or opened the review, does not review them", fix="ask another clinician"
                )
            others = {seat.person for seat in store.seats_of(connection, review)} - {person.id}
            if len(others) >= plan.reviewers:
                raise ConflictError("all seats are taken", fix="open a review with more reviewers")
            now = self._clock.now()
            seat, new = store.take_seat(connection, review, person.id, _code_digest(code), now)
            self._log.append(connection, self._records.seated(plan, seat, now, new=new))
            return seat

        return self._database.write(sit), code

    def next(self, code: str) -> Shown | None:
        """The vignette that is to be judged now; the same one until it is answered, None when all are."""
        with self._database.read() as connection:
            seat = store.seat_of(connection, _code_digest(code))
            record = self._require_open(connection, seat.review)
            done = store.answered(connection, seat)
        called = self._names(record.plan)
        for number, place in enumerate(order(self.seed(seat.review), seat.number, record.plan.vignettes), start=1):
            if called[place] not in done:
                return Shown(
                    review=seat.review,
                    name=called[place],
                    number=number,
                    of=record.plan.vignettes,
                    sentences=self._sheet(record)[place],
                )
        return None

    def answer(self, code: str, vignette: str, answer: Answer) -> int:
        """Keep an answer durably, once; returns how many this reviewer has given.

        Only the vignette that is shown now can be answered. Raises :class:`ConflictError` for any
        other, :class:`InputError` for a reason that is not on the list.
        """
        shown = self.next(code)

        def keep(connection: Connection) -> int:
            seat = store.seat_of(connection, _code_digest(code))
            plan = self._require_open(connection, seat.review).plan
            _require_known_reasons(plan, answer)
            if vignette in store.answered(connection, seat) or shown is None or vignette != shown.name:
                raise ConflictError(
                    "this vignette is not the one that is asked now; an answer is given once",
                    fix="go on with the one that is shown",
                )
            now = self._clock.now()
            value = answer.model_dump(mode="json")
            store.insert_answer(connection, seat, vignette, self._sealed_answer(seat, vignette, answer), now)
            given = len(store.answered(connection, seat))
            secret = sealed_digest(self.seed(seat.review), {"seat": seat.number, "vignette": vignette, **value})
            self._log.append(connection, self._records.answered(plan, seat, given, secret, now))
            return given

        return self._database.write(keep)

    def seat(self, code: str) -> tuple[Seat, ReviewRecord]:
        """The seat behind a code with its review; raises :class:`NotFoundError`."""
        with self._database.read() as connection:
            seat = store.seat_of(connection, _code_digest(code))
            return seat, store.find(connection, seat.review)

    # standing --------------------------------------------------------------------------------

    def review(self, review: str) -> ReviewRecord:
        """One review; raises :class:`NotFoundError`."""
        with self._database.read() as connection:
            return store.find(connection, review)

    def all(self, **wanted: str) -> list[ReviewRecord]:
        """All reviews, or those of a ``subject``, ``dataset`` or ``state``; the newest first."""
        with self._database.read() as connection:
            return store.all_reviews(connection, **wanted)

    def progress(self, review: str) -> list[tuple[Seat, int]]:
        """Each seat with the number of its answers."""
        with self._database.read() as connection:
            return [(seat, len(store.answered(connection, seat))) for seat in store.seats_of(connection, review)]

    # ending ----------------------------------------------------------------------------------

    def stop(self, review: str, reason: str, person_id: str, signature: bytes) -> ReviewRecord:
        """Show nothing more; what was answered still counts when the review is closed.

        Signed over :func:`stopping_bytes` by the person who opened it, or a data protection officer.
        """
        person = self._people.verify(person_id, stopping_bytes(review, reason), signature)
        if not reason.strip():
            raise InputError("a review is stopped for a reason", where="reason", fix="say why")

        def work(connection: Connection) -> ReviewRecord:
            plan = store.find(connection, review).plan
            _require_in_charge(plan, person)
            self._stop_within(connection, plan, reason, person.id)
            return store.find(connection, review)

        stopped = self._database.write(work)
        self._file(review).unlink(missing_ok=True)
        return stopped

    def withdrawn(self, connection: Connection, withdrawals: tuple[Withdrawal, ...]) -> None:
        """Stop the open reviews of the datasets in which somebody took back the use of their data (GDPR Art. 7(3)).

        Vignettes carry no key of a patient, so nobody can tell whether one of them is that person's: all stop, and
        their sheets are deleted by :meth:`clear`.
        """
        if not any(self._folder.glob("*")):
            return  # no sheet, no review that shows anything
        used = [w for w in withdrawals if w.level in (WithdrawalLevel.USE, WithdrawalLevel.ACCESS) or w.lost]
        datasets = {w.dataset_id for w in used}
        for record in store.all_reviews(connection, state=ReviewState.OPEN):
            if record.plan.dataset in datasets or None in datasets:
                reason = "somebody in the dataset took back the use of their data"
                self._stop_within(connection, record.plan, reason, None)

    def _stop_within(self, connection: Connection, plan: ReviewPlan, reason: str, by: str | None) -> None:
        store.move(connection, plan.id, "stop", reason=reason)
        self._log.append(connection, self._records.stopped(plan, reason, self._clock.now(), by))

    def close(self, review: str, person_id: str, signature: bytes, *, reason: str = "") -> ReviewRecord:
        """Open the assignment, compute the figures, and delete the vignettes and the remarks on real ones.

        Signed over :func:`closing_bytes` by the person who opened it, or a data protection officer, who does not
        review. Before everybody is through, a reason is needed. Closing twice is closing once.
        """
        person = self._people.verify(person_id, closing_bytes(review, reason), signature)
        record = self.review(review)
        _require_in_charge(record.plan, person)
        if record.state is ReviewState.CLOSED:
            self._file(review).unlink(missing_ok=True)
            return record
        # A review that was stopped has no sheet any more: its records were deleted at once.
        sheet = self._sheet(record) if record.state is ReviewState.OPEN else None

        def work(connection: Connection) -> ReviewRecord:
            kept = store.find(connection, review)
            advance(kept.state, "close")
            self._require_closable(connection, kept, person.id, reason)
            seed = self.seed(review)
            if sheet is not None:
                check_opening(kept.commitment, review, seed, sheet)
            result = self._result(connection, kept.plan)
            now = self._clock.now()
            made = self._records.closed(kept.plan, result, digest(result.as_json()), seed, reason, person.id, now)
            entry = self._log.append(connection, made)
            store.move(
                connection, review, "close", result=result.as_json(), seed=seed.hex(), closed_at=now,
                log_position=entry.sequence, reason=kept.reason or reason or None,
            )  # fmt: skip
            self._forget_remarks_on_patients(connection, kept.plan)
            return store.find(connection, review)

        closed = self._database.write(work)
        self._file(review).unlink(missing_ok=True)
        return closed

    def remarks(self, review: str) -> list[tuple[int, str]]:
        """What reviewers remarked on synthetic vignettes, by seat; of a closed review only, and inside the site."""
        with self._database.read() as connection:
            if store.find(connection, review).state is not ReviewState.CLOSED:
                raise ConflictError("remarks are read when the review is closed", fix="close it first")
            kept = store.sealed_answers(connection, review)
        found = ((seat, self._unsealed_answer(review, seat, name, sealed)) for seat, name, sealed in kept)
        return [(seat, answer.remark) for seat, answer in found if answer.remark]

    def _result(self, connection: Connection, plan: ReviewPlan) -> ReviewResult:
        places = {name: place for place, name in enumerate(self._names(plan))}
        answers: dict[int, dict[int, Answer]] = {seat.number: {} for seat in store.seats_of(connection, plan.id)}
        for seat, name, sealed in store.sealed_answers(connection, plan.id):
            answers[seat][places[name]] = self._unsealed_answer(plan.id, seat, name, sealed)
        return result_of(answers, assignment(self.seed(plan.id), plan.vignettes), plan.reasons)

    def _forget_remarks_on_patients(self, connection: Connection, plan: ReviewPlan) -> None:
        kinds = dict(zip(self._names(plan), assignment(self.seed(plan.id), plan.vignettes), strict=True))
        for seat, name, sealed in store.sealed_answers(connection, plan.id):
            answer = self._unsealed_answer(plan.id, seat, name, sealed)
            if answer.remark and not kinds[name]:
                place = Seat(review=plan.id, number=seat, person="")
                silent = self._sealed_answer(place, name, answer.model_copy(update={"remark": ""}))
                store.reseal(connection, plan.id, seat, name, silent)

    def _require_closable(self, connection: Connection, record: ReviewRecord, person: str, reason: str) -> None:
        sitting = store.seats_of(connection, record.plan.id)
        if person in {seat.person for seat in sitting}:
            raise DeniedError("a reviewer does not close their own review", fix="let the person who opened it close it")
        done = [seat for seat in sitting if len(store.answered(connection, seat)) == record.plan.vignettes]
        if len(done) < record.plan.reviewers and record.state is ReviewState.OPEN and not reason.strip():
            raise ConflictError(
                f"{len(done)} of {record.plan.reviewers} reviewers are through; closing opens the truth for good",
                fix="wait for the others, or say with --reason why it is closed now",
            )

    def _require_open(self, connection: Connection, review: str) -> ReviewRecord:
        record = store.find(connection, review)
        if record.state is not ReviewState.OPEN:
            raise ConflictError(
                f"this review is {record.state}" + (f": {record.reason}" if record.reason else ""),
                fix="ask who opened it; nothing more can be judged",
            )
        if self._clock.now() >= record.plan.expires_at:
            raise ConflictError(
                f"this review ended on {record.plan.expires_at:%Y-%m-%d}", fix="ask who opened it to close it"
            )
        return record

    # sealed things ---------------------------------------------------------------------------

    def _names(self, plan: ReviewPlan) -> tuple[str, ...]:
        return names(self.seed(plan.id), plan.vignettes)

    def _file(self, review: str) -> Path:
        return self._folder / f"{review}.sealed"

    def _sheet(self, record: ReviewRecord) -> list[tuple[str, ...]]:
        try:
            data = self._file(record.plan.id).read_bytes()
        except OSError as error:
            raise IntegrityError(
                "the sealed vignettes are missing", fix="restore the file from a backup, or stop this review"
            ) from error
        name = record.plan.id
        plain = unsealed_bytes(data, self._secret(), name)
        return [tuple(sentences) for sentences in parse_json_strictly(plain)]

    def _seal(self, name: str, plain: bytes) -> bytes:
        return seal_bytes(plain, self._secret(), name)

    def _secret(self) -> bytes:
        return self._secrets.secret("review-at-rest")

    def _sealed_answer(self, seat: Seat, vignette: str, answer: Answer) -> str:
        plain = canonical_json(answer.model_dump(mode="json"))
        return base64.b64encode(self._seal(f"{seat.review}/{seat.number}/{vignette}", plain)).decode()

    def _unsealed_answer(self, review: str, seat: int, vignette: str, sealed: str) -> Answer:
        plain = unsealed_bytes(base64.b64decode(sealed), self._secret(), f"{review}/{seat}/{vignette}")
        return Answer.model_validate_json(plain)


def _require_in_charge(plan: ReviewPlan, person: Person) -> None:
    if person.id != plan.opened_by and not person.has(OFFICER_ROLE):
        raise DeniedError(
            "the person who opened a review ends it, or a data protection officer does", fix="ask one of them"
        )


def _require_known_reasons(plan: ReviewPlan, answer: Answer) -> None:
    known = {reason.code for reason in plan.reasons}
    for code in answer.reasons:
        if code not in known:
            raise InputError(
                f"there is no reason '{code[:60]}'", where="reasons", fix=f"choose from: {', '.join(sorted(known))}"
            )


def _new_code() -> str:
    """A code of 160 random bits in groups that a person can type."""
    text = base64.b32encode(randomness.token_bytes(20)).decode()
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def _code_digest(code: str) -> str:
    plain = "".join(code.split()).replace("-", "").upper()
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()
