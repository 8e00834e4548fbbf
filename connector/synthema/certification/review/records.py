"""What the log says of each step of a review; never what a vignette holds or what anybody answered."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from synthema.certification.evidence import candidate_iri
from synthema.certification.review.model import REVIEW_EVIDENCE, ReviewPlan, ReviewResult, Seat
from synthema.ids import new_id
from synthema.provenance import Activity, Agent, Entity, ProvenanceLog
from synthema.provenance.model import Value


class ReviewRecords:
    """Makes the activities of one connector's reviews."""

    def __init__(self, log: ProvenanceLog) -> None:
        self._log = log

    def opened(self, plan: ReviewPlan, commitment: str) -> Activity:
        """Vignettes were drawn and sealed; the assignment is committed to."""
        review = Entity(
            self._log.iri("review", plan.id), ("Review",), plan.title, commitment,
            derived_from=(self._log.iri("dataset", plan.dataset_version), candidate_iri(plan.candidate)),
            attributes={"vignettes": plan.vignettes, "expiresAt": plan.expires_at},
        )  # fmt: skip
        used = (
            Entity(self._log.iri("dataset", plan.dataset_version), ("Dataset",)),
            Entity(candidate_iri(plan.candidate), ("SyntheticDataset",), digest=plan.candidate),
        )
        return self._step(
            plan, "ReviewOpening", "clinical review opened, assignment committed to", plan.opened_at,
            person=plan.opened_by, used=used, generated=(review,), attributes={"run": self._log.iri("run", plan.run)},
        )  # fmt: skip

    def seated(self, plan: ReviewPlan, seat: Seat, at: datetime, *, new: bool) -> Activity:
        """A clinician took a seat, or got a new code for it."""
        label = "a reviewer took a seat" if new else "a reviewer got a new code for their seat"
        return self._step(plan, "ReviewSeating", label, at, person=seat.person, attributes={"seat": seat.number})

    def answered(self, plan: ReviewPlan, seat: Seat, given: int, digest: str, at: datetime) -> Activity:
        """A vignette was judged. The digest is keyed by the seed, so it tells nothing before the review is closed."""
        said: dict[str, Value] = {"seat": seat.number, "answers": given, "answerDigest": digest}
        return self._step(plan, "ReviewAnswering", "a vignette was judged", at, person=seat.person, attributes=said)

    def stopped(self, plan: ReviewPlan, reason: str, at: datetime, by: str | None = None) -> Activity:
        """Nothing more is shown."""
        return self._step(plan, "ReviewStop", "clinical review stopped", at, person=by, attributes={"reason": reason})

    def closed(self, plan: ReviewPlan, result: ReviewResult, digest: str, seed: bytes, reason: str, by: str,
               at: datetime) -> Activity:  # fmt: skip
        """The assignment was opened and the figures were computed; the real vignettes were deleted."""
        report = Entity(
            f"{self._log.iri('review', plan.id)}/result", (REVIEW_EVIDENCE,), "result of a clinical review", digest,
            attributes={figure.metric: figure.value for figure in result.figures},
        )  # fmt: skip
        said: dict[str, Value] = {
            "run": self._log.iri("run", plan.run),
            "assignmentSeed": seed.hex(),
            "reviewers": result.reviewers,
            "vignettes": result.synthetic + result.real,
            **({"reason": reason} if reason else {}),
        }
        used = (Entity(candidate_iri(plan.candidate), ("SyntheticDataset",), digest=plan.candidate),)
        return self._step(
            plan, "ReviewClosing", "clinical review closed, assignment opened", at,
            person=by, used=used, generated=(report,), attributes=said,
        )  # fmt: skip

    def _step(
        self,
        plan: ReviewPlan,
        kind: str,
        label: str,
        at: datetime,
        *,
        person: str | None,
        used: tuple[Entity, ...] = (),
        generated: tuple[Entity, ...] = (),
        attributes: Mapping[str, Value] | None = None,
    ) -> Activity:
        people = () if person is None else (Agent(self._log.iri("person", person), "Person"),)
        me = () if kind == "ReviewOpening" else (Entity(self._log.iri("review", plan.id), ("Review",)),)
        return Activity(
            iri=f"{self._log.iri('review', plan.id)}/{new_id('step')}",
            type=kind,
            label=label,
            started=at,
            ended=at,
            agents=people,
            used=(*me, *used),
            generated=generated,
            attributes=attributes or {},
        )
