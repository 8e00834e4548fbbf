"""Does the slow work: takes steps, sends messages until they are acknowledged.

Work is a row in a table, written in the transaction that made it necessary.
A worker leases a row for a minute, does the work without any transaction open,
and writes the outcome. A process that dies leaves its row behind: it is taken
again after a restart, and the counterparty recognises the repeated message by
its key. The loop sleeps until a commit or the next due time wakes it.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from synthema.clock import Clock
from synthema.dataspace import store
from synthema.dataspace.exchange import APPROVED, Exchange, Send, Wait
from synthema.dataspace.messages import reason_texts
from synthema.dataspace.model import Process
from synthema.dataspace.peer import PeerClient
from synthema.dataspace.ports import PendingGuard
from synthema.errors import PeerError, SynthemaError
from synthema.storage import Database

_log = logging.getLogger(__name__)
_LONGEST_SLEEP = 5.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How patiently work is repeated.

    The wait doubles from ``first`` up to ``longest``. A peer that answers with a
    refusal is asked ``rejections`` times (``first_rejections`` times for a first
    message); one that does not answer, for as long as ``patience``.
    """

    first: timedelta = timedelta(milliseconds=200)
    longest: timedelta = timedelta(minutes=5)
    lease: timedelta = timedelta(seconds=90)
    rejections: int = 8
    first_rejections: int = 3
    patience: timedelta = timedelta(hours=24)
    workers: int = 4

    def wait(self, attempts: int) -> timedelta:
        """The pause after this many attempts."""
        doubled: timedelta = self.first * (1 << min(attempts - 1, 20))
        return min(doubled, self.longest)


class Reconciler:
    """One dispatching thread and a few workers; :meth:`start` and :meth:`stop` frame its life."""

    def __init__(
        self,
        database: Database,
        exchange: Exchange,
        peers: PeerClient,
        clock: Clock,
        guard: PendingGuard | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._database = database
        self._exchange = exchange
        self._peers = peers
        self._clock = clock
        self._guard = guard
        self._pace = pace or Pace()
        # A restarted connector has the same name, so that it can take up at once what it dropped when it died.
        self._holder = socket.gethostname()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._slots = threading.Semaphore(self._pace.workers)
        self._pool: ThreadPoolExecutor | None = None
        self._thread: threading.Thread | None = None
        database.on_commit(self._wake.set)

    def start(self) -> None:
        """Take up the work, first of all what a former life left unfinished."""
        self._database.write(lambda connection: store.release_leases(connection, self._holder))
        self._stopping.clear()
        self._pool = ThreadPoolExecutor(self._pace.workers, thread_name_prefix="dataspace")
        self._thread = threading.Thread(target=self._loop, name="dataspace-reconciler", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish what is being done now and stop; what waits is taken up at the next start."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        if self._pool is not None:
            self._pool.shutdown(wait=True)
        self._thread = self._pool = None

    def run_once(self) -> int:
        """Do what is due now, in this thread; returns how many tasks there were. For tests and repairs."""
        taken = self._lease(self._pace.workers)
        for task in taken:
            self._do(task)
        return len(taken)

    # --- the loop

    def _loop(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                self._dispatch()
                pause = self._pause()
            except SynthemaError:
                _log.exception("the reconciler could not read its tasks")
                pause = _LONGEST_SLEEP
            if not self._stopping.is_set():
                self._wake.wait(pause)

    def _dispatch(self) -> None:
        free = 0
        while free < self._pace.workers and self._slots.acquire(blocking=False):
            free += 1
        taken = self._lease(free) if free else ()
        for _ in range(free - len(taken)):
            self._slots.release()
        for task in taken:
            assert self._pool is not None  # noqa: S101 - the loop lives only between start and stop
            self._pool.submit(self._work, task)

    def _lease(self, limit: int) -> tuple[store.Task, ...]:
        now = self._clock.now()
        with self._database.read() as connection:
            due = store.next_due(connection)
        if due is None or due > now:
            return ()
        lease = self._pace.lease
        return tuple(self._database.write(lambda c: store.lease_tasks(c, self._holder, now, lease, limit)))

    def _pause(self) -> float:
        with self._database.read() as connection:
            due = store.next_due(connection)
        if due is None:
            return _LONGEST_SLEEP
        return min(max((due - self._clock.now()).total_seconds(), 0.01), _LONGEST_SLEEP)

    def _work(self, task: store.Task) -> None:
        try:
            self._do(task)
        except Exception:  # noqa: BLE001 - a worker outlives its tasks: the lease ends, the task is taken again
            _log.exception("task %s of %s stays for another attempt", task.what, task.process)
        finally:
            self._slots.release()
            self._wake.set()

    # --- one task

    def _do(self, task: store.Task) -> None:
        with self._database.read() as connection:
            process = store.any_process(connection, task.process)
        if process is None:
            self._database.write(lambda connection: store.finish(connection, task.number))
        elif task.what == "step":
            self._patiently(task, process, lambda: self._step(task, process))
        else:
            self._patiently(task, process, lambda: self._deliver(task, process))

    def _patiently(self, task: store.Task, process: Process, work: Callable[[], None]) -> None:
        """Do the work; whatever goes wrong in it costs an attempt, never the task."""
        try:
            work()
        except PeerError as error:
            self._again(task, process, error.message, rejected=False)
        except Exception as error:  # noqa: BLE001 - a fault in a port must not lose the task
            _log.warning("%s of %s failed", task.message or task.what, process.id, exc_info=error)
            self._again(task, process, f"{type(error).__name__}", rejected=False)

    def _step(self, task: store.Task, process: Process) -> None:
        approved = task.message == APPROVED
        held = self._guard is not None and not approved and self._guard.holds(process)
        flow = self._exchange.flows[process.kind]
        following = Wait("held for approval") if held else flow.next_step(process, approved=approved)
        try:
            self._database.write(lambda connection: self._apply(connection, task, process, following))
        except SynthemaError as error:
            if not isinstance(following, Send) or following.also is None or error.code in ("storage", "peer"):
                raise
            reasons = (error.message,)
            self._database.write(lambda connection: self._end(connection, task, process, reasons))

    def _apply(self, connection: Connection, task: store.Task, seen: Process, following: Send | Wait | None) -> None:
        """Write the step down, unless the process has moved on while it was thought about."""
        present = store.any_process(connection, task.process)
        if not store.finish(connection, task.number) or present is None or present.state != seen.state:
            return
        if isinstance(following, Wait):
            self._exchange.hold(connection, present, following.reason)
        elif following is not None:
            self._exchange.send(connection, present, following.message)
            if following.also is not None:
                following.also(connection)

    def _end(self, connection: Connection, task: store.Task, seen: Process, reasons: tuple[str, ...]) -> None:
        present = store.any_process(connection, task.process)
        if store.finish(connection, task.number) and present is not None and present.state == seen.state:
            self._exchange.end(connection, present, "refused", reasons)

    def _deliver(self, task: store.Task, process: Process) -> None:
        assert task.message is not None and task.path is not None  # noqa: S101, PT018 - a message has both
        if not process.machine.allows(process.state, task.message, process.role):
            self._database.write(lambda connection: store.finish(connection, task.number))
            return
        status, answer = self._peers.post(process.peer, task.path, task.body, key=task.key)
        if 200 <= status < 300:
            self._database.write(lambda connection: self._exchange.acknowledged(connection, task, answer))
        else:
            said = reason_texts(answer.get("reason")) if isinstance(answer, dict) else ()
            told = f"the counterparty answered {status}" + (f": {'; '.join(said)}" if said else "")
            self._again(task, process, told, rejected=400 <= status < 500 and status != 429)

    def _again(self, task: store.Task, process: Process, problem: str, *, rejected: bool) -> None:
        now = self._clock.now()
        if self._is_hopeless(task, process, now, rejected=rejected):
            self._database.write(lambda connection: self._give_up(connection, task, problem))
        else:
            due = now + self._pace.wait(task.attempts + 1)
            self._database.write(lambda connection: store.postpone(connection, task.number, due, rejected=rejected))

    def _is_hopeless(self, task: store.Task, process: Process, now: datetime, *, rejected: bool) -> bool:
        most = self._pace.first_rejections if process.state is None else self._pace.rejections
        return (rejected and task.rejections + 1 >= most) or now - task.created > self._pace.patience

    def _give_up(self, connection: Connection, task: store.Task, problem: str) -> None:
        """The states of the two sides differ, or we cannot go on: end the process, and say so if possible."""
        process = store.any_process(connection, task.process)
        if not store.finish(connection, task.number) or process is None or process.ended:
            return
        if task.what == "step":
            self._exchange.hold(connection, process, f"our own next step fails: {problem}")
        elif task.message is not None and "Termination" in task.message:
            self._exchange.give_up(connection, process, (problem,))
        else:
            self._exchange.end(connection, process, "undeliverable", (problem,))
