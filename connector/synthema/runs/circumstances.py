"""What a connector knows about its own circumstances at a decision: where it works, who watches, what went before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import func, select

from synthema.policy import Fact
from synthema.provenance import ProvenanceLog
from synthema.provenance.store import log_cosignatures
from synthema.runs import store
from synthema.runs.model import RunState
from synthema.runs.sandbox.probe import IsolationReport
from synthema.storage import Database
from synthema.vocabulary.namespaces import SYN

SECURE_ENVIRONMENT: Final = "https://w3id.org/dpv#SecureProcessingEnvironment"
"""DPV 2.3: a physical or virtual environment that ensures compliance (Data Governance Act Art. 2(20))."""


def environment(isolation: IsolationReport, minimum: int) -> dict[str, Fact]:
    """``syn:environment``, as long as the sandbox was probed to hold back what this house asks of it."""
    if isolation.level < minimum:
        return {}
    return {SYN + "environment": Fact(SECURE_ENVIRONMENT, isolation.probe_digest)}


def audit_head_age(log: ProvenanceLog, at: datetime) -> dict[str, Fact]:
    """``syn:auditHeadAge``: how long ago a counterparty last confirmed the head of the log.

    A head that only this connector signed was confirmed by nobody, so without a witness there is no fact.
    """
    with log.database.read() as connection:
        newest = connection.scalar(select(func.max(log_cosignatures.c.seen_at)))
        size = connection.scalar(select(func.max(log_cosignatures.c.size)).where(log_cosignatures.c.seen_at == newest))
    if newest is None:
        return {}
    age = max(at - newest, timedelta(0))  # the witness's clock may be a little ahead of ours
    return {SYN + "auditHeadAge": Fact(age, log.iri("checkpoint", str(size)))}


def earlier_runs(
    database: Database, agreement: str | None, action: str, act_of: Callable[[str], str | None], *, but: str
) -> int | None:
    """How many other runs did this act under an agreement; ``None`` without one. ``act_of`` resolves its names."""
    if agreement is None:
        return None
    with database.read() as connection:
        found = store.under_agreement(connection, agreement)
    begun = [run for run in found if run.id != but and run.state not in (RunState.REQUESTED, RunState.DENIED)]
    return sum(act_of(run.request.action) == action for run in begun)


def earlier_acts(database: Database, agreement: str | None, action: str) -> int | None:
    """How often an act on what came out of a run was permitted before, under an agreement."""
    if agreement is None:
        return None
    with database.read() as connection:
        found = store.under_agreement(connection, agreement)
    return sum(_permits(act, action) for run in found for act in run.acts)


def _permits(act: Mapping[str, Any], action: str) -> bool:
    return bool(act["action"] == action and act["effect"] == "permit")
