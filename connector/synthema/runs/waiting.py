"""Outputs that wait in quarantine for people: no program can say what clinicians think of them.

Gates and policies may ask for figures of a clinical review. Where those figures are all that is missing, the
output is neither released nor withheld yet: the run waits, over restarts too, until the review is closed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from synthema.canonical import digest_bytes
from synthema.dpia import FIGURES, Evidence, GateReport, measured
from synthema.dpia.figures import CLINICAL_REVIEW
from synthema.errors import IntegrityError, NotFoundError
from synthema.provenance import Activity, Agent
from synthema.runs import store
from synthema.runs.governor import Governor, Verdict
from synthema.runs.model import RunRequest, RunState

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from synthema.runs.session import GovernedSession

CANDIDATE = "candidate"
"""Key of a waiting run's note under which the digest of a study's candidate stands."""
SYNTHETIC = "synthetic.parquet"
_NOTE = "awaits"
_MANY = 10**9


def settle_or_wait(governor: Governor, session: GovernedSession, evidence: Sequence[Evidence]) -> Verdict:
    """Release or withhold a run's output, or leave it in quarantine where only people's judgement is missing."""

    def leaves(figures: Sequence[Evidence]) -> bool:
        passed = governor.hold(session.request, "pre-release", figures).conformant
        return passed and all(act.permitted for act in governor.desk.of_output(session, figures))

    if not lacks_review(governor, evidence, leaves):
        return governor.settle(session, evidence, "pre-release")
    report = governor.hold(session.request, "pre-release", evidence)
    wait_for_review(governor, session.request, report)
    return Verdict(session.request.id, released=False, report=report, artefacts=())


def lacks_review(
    governor: Governor, evidence: Sequence[Evidence], leaves: Callable[[Sequence[Evidence]], bool]
) -> bool:
    """Whether an output does not leave on these figures, and would if clinicians' judgement were as good as can be."""
    return not leaves(evidence) and leaves([*evidence, *_at_best(governor.rooms.clock.now())])


def wait_for_review(
    governor: Governor, request: RunRequest, report: GateReport, note: Mapping[str, Any] | None = None
) -> None:
    """Let a run wait for a clinical review; ``note`` is what is needed to go on afterwards."""
    rooms = governor.rooms
    now = rooms.clock.now()
    iri = rooms.log.iri("run", request.id)
    activity = Activity(
        iri=f"{iri}/waiting",
        type="ReviewAwaited",
        label="output waits in quarantine for a clinical review",
        started=now,
        ended=now,
        agents=(Agent(rooms.settings.did, "Organization"),),
        informed_by=(f"{iri}/quarantine",),
        attributes={"run": iri},
    )
    measured = report.as_dict() | {_NOTE: dict(note or {})}

    def keep(connection: Connection) -> None:
        store.move(connection, request.id, "await", now, evidence=measured, reason="clinicians have yet to judge it")
        rooms.log.append(connection, activity)

    rooms.database.write(keep)


def note_of(record: store.RunRecord) -> dict[str, Any]:
    """What was noted of a run that waits; raises :class:`NotFoundError` for one that does not."""
    if record.state is not RunState.AWAITING:
        raise NotFoundError("nothing of this run waits", fix="list what waits: synthema review list")
    note: dict[str, Any] = (record.evidence or {}).get(_NOTE, {})
    return note


def rows_of(governor: Governor, run: str) -> tuple[str, bytes]:
    """Digest and bytes of the synthetic rows of a run that released them, or waits with them; for a review only.

    A run that measured a study's candidate waits with the candidate of the study.
    """
    rooms = governor.rooms
    record = governor.run(run)
    waits = record.state is RunState.AWAITING
    with rooms.database.read() as connection:
        files = {file.name: file.digest for file, _ in store.artefacts_of(connection, run)}
    digest = (note_of(record).get(CANDIDATE) if waits else None) or files.get(SYNTHETIC)
    if digest is None or not (waits or record.state is RunState.RELEASED):
        raise NotFoundError(
            "this run has no synthetic rows that can be reviewed",
            fix="name a run that released synthetic rows, or waits: synthema review list",
        )
    path = rooms.settings.home / "artefacts" / run / digest.removeprefix("sha256:")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise IntegrityError("the synthetic rows are missing on disk", fix="restore them from a backup") from error
    if digest_bytes(content) != digest:
        raise IntegrityError("the synthetic rows were changed on disk", fix="restore them from a backup")
    return digest, content


def _at_best(at: datetime) -> list[Evidence]:
    """The figures of a review that could not be better: what fails even with them does not fail for want of it."""
    found = []
    for metric, figure in FIGURES.items():
        if figure.evidence == CLINICAL_REVIEW:
            best = 0.0 if figure.direction == "lower is better" else 1.0
            best = -1.0 if metric == "reviewPlausibleGap" else best
            found.append(measured(metric, best, _MANY, at, "urn:synthema:review:none-yet", lower=best, upper=best))
    return found
