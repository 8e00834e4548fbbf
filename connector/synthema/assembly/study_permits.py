"""The data permit that a study says it rests on: known here, in force, and permitting what the study does.

It is asked beside the agreement, which has a policy of its own: both must permit (EHDS Art. 68). A study names its
permit by IRI; here it is one that this site issued, or one of an access body that was taken in and admitted.
"""

from __future__ import annotations

from typing import Final

from synthema.errors import DeniedError
from synthema.federation import StudyPlan
from synthema.permits import Permit
from synthema.runs.governor import Governor
from synthema.runs.model import OutputClass, RunRequest
from synthema.runs.store import RunRecord

LEAVES: Final[dict[str, OutputClass]] = {"synthetic": "synthetic", "report": "aggregate"}
"""What leaves a study for good, in the words of permits, by what it ends in."""


def require_permit(governor: Governor, plan: StudyPlan, request: RunRequest, begun: RunRecord | None = None) -> None:
    """Refuse a part in a study whose permit is not known here, not in force, or does not permit it.

    ``request`` is this site's contribution, ``begun`` its run where it is under way. A study that names no permit
    passes.
    """
    permit = permit_in_force(governor, plan)
    if permit is None:
        return
    decision = governor.desk.under(request, permit.id, begun)
    if not decision.permitted:
        raise DeniedError(
            f"the data permit the study rests on does not permit it: {' '.join(decision.sentences())}"[:1500],
            fix="ask for what the permit names, or for another permit (EHDS Art. 68)",
        )


def permit_in_force(governor: Governor, plan: StudyPlan) -> Permit | None:
    """The permit of a study, in force and naming what the study ends in; ``None`` for a study without one.

    Raises :class:`DeniedError` otherwise.
    """
    if plan.permit is None:
        return None
    permits = governor.rooms.permits
    permit = permits.of_iri(plan.permit)
    if permit is None or permit.approved_at is None:
        raise DeniedError(
            "the data permit the study rests on is not known here",
            fix="have the permit taken in first: synthema permit import",
        )
    if (ended := permits.ended(permit.id, governor.rooms.clock.now())) is not None:
        raise DeniedError(f"the study cannot go on: {ended}", fix="ask who issued the permit")
    if LEAVES[plan.output] not in permit.content.outputs:
        raise DeniedError(
            f"the data permit the study rests on names no {LEAVES[plan.output]} output (EHDS Art. 68(10)(b), 73(2))",
            fix=f"end the study in what the permit names: {', '.join(permit.content.outputs)}",
        )
    return permit
