"""Tells data planes at once what became of their transfers.

Nothing is queued: what a plane has to be told is read from the transfer's state, or from the message of ours that is on
its way and will change it, compared with what the plane was told last. So a crash loses no signal, and a plane that
does not answer is told again until it does. Wakes on every commit.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from synthema.dataspace import store as dataspace
from synthema.dataspace.dataplane import store
from synthema.dataspace.dataplane.messages import ENDED, FOLLOWS, FlowState
from synthema.dataspace.dataplane.planes import Planes
from synthema.dataspace.dataplane.watch import Watch
from synthema.dataspace.model import Process
from synthema.errors import SynthemaError

FIRST_WAIT: Final = timedelta(milliseconds=500)
LONGEST_WAIT: Final = timedelta(minutes=5)
WORKERS: Final = 4
_log = logging.getLogger(__name__)

_MEANT: Final = {
    "STARTED": FlowState.STARTED,
    "SUSPENDED": FlowState.SUSPENDED,
    "COMPLETED": FlowState.COMPLETED,
    "TERMINATED": FlowState.TERMINATED,
}
"""State of a transfer → state of its data flow."""


class Signaller:
    """One thread that looks, a few that tell, so that a slow plane keeps no other waiting."""

    def __init__(self, planes: Planes) -> None:
        self._planes = planes
        self._busy: set[str] = set()
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._watch = Watch(planes.database, self._dispatch, "dataplane-signaller")

    def start(self) -> None:
        """Begin, first of all with what a former life left untold."""
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="dataplane")
        self._watch.start()

    def stop(self) -> None:
        """Finish what is being told now; the rest is told at the next start."""
        self._watch.stop()
        if self._pool is not None:
            self._pool.shutdown(wait=True)
        self._pool = None

    def owed(self) -> list[tuple[store.Flow, Process, FlowState]]:
        """The flows whose plane has to be told something now."""
        now = self._planes.clock.now()
        with self._planes.database.read() as connection:
            found = [(flow, _wanted(connection, flow)) for flow in store.unsettled(connection, now)]
        return [(flow, *wanted) for flow, wanted in found if wanted is not None]

    def tell_all(self) -> int:
        """Tell what is owed, in this thread; returns how much it was. For tests and repairs."""
        owed = self.owed()
        for each in owed:
            self._tell(*each)
        return len(owed)

    def _dispatch(self) -> None:
        for flow, _, _ in self.owed():
            with self._lock:
                if flow.id in self._busy:
                    continue
                self._busy.add(flow.id)
            assert self._pool is not None  # noqa: S101 - looks happen only between start and stop
            self._pool.submit(self._work, flow.id)

    def _work(self, identifier: str) -> None:
        """Read anew what one flow's plane has to be told: another worker may have told it since the look."""
        try:
            now = self._planes.clock.now()
            with self._planes.database.read() as connection:
                flow = store.get(connection, identifier)
                wanted = _wanted(connection, flow) if flow.due <= now else None
            if wanted is not None:
                self._tell(flow, *wanted)
        finally:
            with self._lock:
                self._busy.discard(identifier)
            self._watch.again()  # the transfer may have moved on meanwhile

    def _tell(self, flow: store.Flow, process: Process, wanted: FlowState) -> None:
        try:
            self._planes.tell(flow, process, wanted)
        except SynthemaError as error:
            self._again(flow, error.message)
        except Exception:  # noqa: BLE001 - a fault of a plane costs an attempt, never the signal
            _log.exception("the data plane of %s broke on a signal", flow.profile)
            self._again(flow, "the data plane broke on the signal")

    def _again(self, flow: store.Flow, problem: str) -> None:
        now = self._planes.clock.now()
        wait = min(FIRST_WAIT * (1 << min(flow.attempts, 20)), LONGEST_WAIT)
        attempts = flow.attempts + 1
        _log.warning("the data plane of %s was not told: %s", flow.profile, problem)
        self._planes.database.write(
            lambda c: store.change(c, flow.id, now, problem=problem[:2000], attempts=attempts, due=now + wait)
        )


def _wanted(connection: Connection, flow: store.Flow) -> tuple[Process, FlowState] | None:
    """The transfer of a flow and the state the flow ought to be in; None where it is as it ought to be."""
    process = dataspace.any_process(connection, flow.id)
    if process is None:
        return None
    state = store.heading(connection, process)
    wanted = _MEANT.get(state or "")
    if wanted in ENDED and wanted not in FOLLOWS[flow.state]:
        wanted = FlowState.TERMINATED  # it ended before the plane could be told that it had begun
    if wanted is None or wanted is flow.state or wanted not in FOLLOWS[flow.state]:
        return None
    if wanted is FlowState.STARTED and not _goes_on(flow, process):
        return None
    return process, wanted


def _goes_on(flow: store.Flow, process: Process) -> bool:
    """Whether it was the counterparty that let the flow begin or go on: our own start is asked of the plane first."""
    return process.state == "STARTED" and (process.role == "consumer" or flow.state is FlowState.SUSPENDED)
