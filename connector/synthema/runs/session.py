"""A started run: the prepared table, and the sandbox session its plugins work in."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from synthema.consent import Ground
from synthema.datasets.codebook import Codebook
from synthema.errors import DeniedError, PluginError
from synthema.runs.model import Grant, RunRequest
from synthema.runs.preparing import Cohort, Prepared
from synthema.runs.records import RunRecords
from synthema.runs.sandbox import Session

if TYPE_CHECKING:
    from synthema.runs.rooms import Rooms

T = TypeVar("T")


class GovernedSession:
    """One run's sandbox session; its plugins are those the grant names and no others."""

    def __init__(
        self, grant: Grant, request: RunRequest, sandbox: Session, cohort: Cohort, refused: Callable[[str], object]
    ) -> None:
        self.grant = grant
        self.request = request
        self._cohort = cohort
        self._sandbox = sandbox
        self._refused = refused
        self._watch: Callable[[], None] = lambda: None
        self._one_call = threading.Lock()
        self._ended: str | None = None

    @property
    def prepared(self) -> Prepared:
        """The table as it was last prepared."""
        return self._cohort.prepared

    @property
    def isolation(self) -> Any:
        """What the sandbox was probed to hold back."""
        return self._sandbox.isolation

    def watch_with(self, check: Callable[[], None]) -> None:
        """Have this checked before each call: what holds at the start of a run may not hold in its midst."""
        self._watch = check

    def call(self, plugin: str, hook: str, **arguments: Any) -> Any:
        """Call a hook of a granted plugin inside the sandbox; raises :class:`PluginError`.

        Raises :class:`DeniedError` when an in-run gate is not passed, or the assessment no longer holds.
        """
        if plugin not in self.grant.plugin_digests:
            refusal = f"the grant does not name the plugin '{plugin[:60]}'"
            self._refused(refusal)
            raise PluginError(refusal, fix="ask for it in the request")
        self._watch()
        return self._alone(lambda: self._sandbox.call(plugin, hook, **arguments))

    def leave_out_withdrawn(self) -> bool:
        """Prepare the table again without everybody who took consent back since; whether there was anybody.

        For work that goes on for several rounds (GDPR Art. 7(3)). Raises :class:`DeniedError` where it
        cannot go on without them: too few patients are left, or the noise agreed on no longer suffices.
        """
        return self._alone(self._cohort.leave_out_withdrawn)

    def end(self, reason: str) -> None:
        """End the work from another thread, at once; whoever works in this session learns the reason."""
        self._ended = reason
        self._sandbox.kill()

    def _alone(self, work: Callable[[], T]) -> T:
        """One thing at a time in this session; raises :class:`DeniedError` once it was ended."""
        with self._one_call:
            self._require_going_on()
            try:
                return work()
            except PluginError:
                self._require_going_on()  # it did not fail, it was ended
                raise

    def _require_going_on(self) -> None:
        if self._ended is not None:
            raise DeniedError(f"this run was ended: {self._ended}", fix="make a new request")

    def speaking_for(self, grant: Grant, request: RunRequest) -> GovernedSession:
        """The same session as that of an earlier run, whose output was measured again in it."""
        return GovernedSession(grant, request, self._sandbox, self._cohort, self._refused)

    def close(self) -> None:
        """End the sandbox; the prepared table goes with it."""
        self._sandbox.close()


def prepare(
    rooms: Rooms,
    records: RunRecords,
    grant: Grant,
    request: RunRequest,
    sandbox: Session,
    ground: Callable[[], Ground],
    resumed: int = 0,
) -> GovernedSession:
    """Open the data against the consumed grant and prepare it; raises :class:`DeniedError` on a small cohort.

    ``ground`` gives what each patient's consent or opt-out is asked now, the same as in the decision; ``resumed`` is
    how often the run went on after a crash.
    """
    return GovernedSession(
        grant,
        request,
        sandbox,
        Cohort(rooms, records, grant, request, sandbox, ground, resumed),
        lambda reason: rooms.log.record(records.refused(grant.id, reason, rooms.clock.now())),
    )


def foresee(sandbox: Session, request: RunRequest, codebook: Codebook) -> Codebook:
    """What the anonymised table will look like, from the codebook alone; wrong parameters fail before data are read."""
    step = request.anonymise
    found = sandbox.call(step.plugin, "anonymised_codebook", codebook=codebook, parameters=step.parameters)
    if not isinstance(found, Codebook):
        raise PluginError(f"the anonymiser '{step.plugin}' gave no codebook", fix="use one that passes its tests")
    return found
