"""Decides once more about what was permitted before, on the facts of now."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from synthema.errors import DeniedError
from synthema.policy import AccessRequest, read_request
from synthema.runs.store import RunRecord
from synthema.vocabulary.namespaces import SYN

if TYPE_CHECKING:
    from synthema.runs.rooms import Rooms


def require_permitted_anew(rooms: Rooms, record: RunRecord, access: AccessRequest) -> None:
    """Raise :class:`DeniedError` unless policies and assessment permit a run now as they did before.

    Its own privacy budget was set aside with the first decision, so that what remains is what remained then.
    """
    request = record.request
    first = read_request((record.decision or {})["request"])
    reserved = {key: fact for key, fact in first.facts.items() if key == SYN + "epsilonRemaining"}
    asked = replace(access, facts={**access.facts, **reserved})
    decision, _ = rooms.policies.decide(asked, request.agreement)
    if not decision.permitted:
        raise DeniedError(
            f"what was permitted is no longer: {' '.join(decision.sentences())}"[:1000], fix="make a new request"
        )
    rooms.dpias.require(rooms.datasets.version(request.dataset).name, access.action)
