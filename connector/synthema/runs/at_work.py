"""The sessions at work, so that a run can be ended at once by somebody else than the thread that works on it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from synthema.runs.model import RunState

if TYPE_CHECKING:
    from synthema.runs.governor import Governor
    from synthema.runs.session import GovernedSession


class AtWork:
    """The open sessions of one governor, by run."""

    def __init__(self) -> None:
        self._sessions: WeakValueDictionary[str, GovernedSession] = WeakValueDictionary()

    def add(self, governor: Governor, session: GovernedSession) -> GovernedSession:
        """Remember a session for as long as anybody holds it; one whose run was stopped meanwhile ends at once."""
        self._sessions[session.request.id] = session
        record = governor.run(session.request.id)
        if record.state is RunState.FAILED:
            session.end(record.reason or "it was stopped")
        return session

    def stop(self, governor: Governor, run: str, reason: str) -> None:
        """End a run without a result, whoever works on it; its outputs are deleted.

        From the transaction on nothing of it can be kept or released; then its sandbox is ended. Raises
        :class:`ConflictError` for a run that has ended.
        """
        governor.fail(run, reason)
        session = self._sessions.get(run)
        if session is not None:
            session.end(reason)
