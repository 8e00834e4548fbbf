"""Does the slow work: takes steps, sends messages until they are acknowledged.

Work is a row in a table, written in the transaction that made it necessary.
A worker leases a row, does the work without any transaction open, and writes
the outcome; what follows from it for the same process it takes up in that very
transaction. A process that dies leaves its row behind: it is taken again after
a restart, and the counterparty recognises the repeated message by its key. The
loop sleeps until a commit or the next due time wakes it.
"""

from __future__ import annotations

import logging
import random
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
from synthema.dataspace.messages import path_segment, reason_texts
from synthema.dataspace.model import Process
from synthema.dataspace.peer import PeerClient
from synthema.dataspace.ports import PendingGuard
from synthema.dataspace.underway import internal_state
from synthema.errors import PeerError, SynthemaError
from synthema.storage import Database

_log = logging.getLogger(__name__)
_LONGEST_SLEEP = 5.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How patiently work is repeated.

    The wait doubles from ``first`` up to ``longest``; chance takes up to half of it
    away, so that those who failed together do not come back together. A peer that
    answers with a refusal is asked ``rejections`` times (``first_rejections`` times
    for a first message); one that does not answer, for as long as ``patience``.
    A ``lease`` is longer than a call to a peer can last.
    """

    first: timedelta = timedelta(milliseconds=200)
    longest: timedelta = timedelta(minutes=5)
    lease: timedelta = timedelta(seconds=90)
    rejections: int = 8
    first_rejections: int = 3
    patience: timedelta = timedelta(hours=24)
    workers: int = 8

    def wait(self, attempts: int, chance: float) -> timedelta:
        """The pause after this many attempts; ``chance`` is between 0 and 1."""
        doubled: timedelta = self.first * (1 << min(attempts - 1, 20))
        return min(doubled, self.longest) * (1 - chance / 2)


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
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._database = database
        self._exchange = exchange
        self._peers = peers
        self._clock = clock
        self._guard = guard
        self._pace = pace or Pace()
        self._chance = chance
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
        now = self._clock.now()
        self._database.write(lambda connection: store.release_leases(connection, self._holder, now))
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
        """Do what is due now, in this thread; returns how many processes there was work for. For tests and repairs."""
        taken = self._lease(self._pace.workers)
        for task in taken:
            self._pursue(task)
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
        return self._database.write(lambda c: store.lease_tasks(c, self._holder, now, lease, limit))

    def _pause(self) -> float:
        with self._database.read() as connection:
            due = store.next_due(connection)
        if due is None:
            return _LONGEST_SLEEP
        return min(max((due - self._clock.now()).total_seconds(), 0.01), _LONGEST_SLEEP)

    def _work(self, task: store.Task) -> None:
        try:
            self._pursue(task)
        except Exception:  # noqa: BLE001 - a worker outlives its tasks: the lease ends, the task is taken again
            _log.exception("task %s of %s stays for another attempt", task.what, task.process)
        finally:
            self._slots.release()
            self._wake.set()

    # --- one task

    def _pursue(self, task: store.Task | None) -> None:
        """Do a task, and what follows from it for its process as long as that is due at once."""
        while task is not None and not self._stopping.is_set():
            task = self._do(task)
        if task is not None:
            self._database.write(lambda connection: store.put_back(connection, task, self._clock.now()))

    def _do(self, task: store.Task) -> store.Task | None:
        with self._database.read() as connection:
            process = store.any_process(connection, task.process)
        if process is None:
            self._database.write(lambda connection: store.finish(connection, task.number))
            return None
        try:
            return self._step(task, process) if task.what == "step" else self._deliver(task, process)
        except PeerError as error:
            return self._again(task, process, error.message)
        except Exception as error:  # noqa: BLE001 - a fault in a port costs an attempt, never the task
            _log.warning("%s of %s failed", task.message or task.what, process.id, exc_info=error)
            return self._again(task, process, type(error).__name__)

    def _step(self, task: store.Task, process: Process) -> store.Task | None:
        approved = task.message == APPROVED
        held = self._guard is not None and not approved and self._guard.holds(process)
        flow = self._exchange.flows[process.kind]
        following = Wait("held for approval") if held else flow.next_step(process, approved=approved)
        try:
            return self._settle(task, process, lambda c, present: self._apply(c, present, following))
        except SynthemaError as error:
            if not isinstance(following, Send) or following.also is None or error.code in ("storage", "peer"):
                raise
            reasons = (error.message,)
            return self._settle(task, process, lambda c, present: self._exchange.end(c, present, "refused", reasons))

    def _apply(self, connection: Connection, process: Process, following: Send | Wait | None) -> None:
        if isinstance(following, Wait):
            self._exchange.hold(connection, process, following.reason)
        elif following is not None:
            self._exchange.send(connection, process, following.message)
            if following.also is not None:
                following.also(connection)

    def _deliver(self, task: store.Task, process: Process) -> store.Task | None:
        assert task.message is not None and task.path is not None  # noqa: S101, PT018 - a message has both
        if not process.machine.allows(process.state, task.message, process.role):
            return self._write(task, lambda connection: store.finish(connection, task.number))
        status, answer = self._peers.post(process.peer, task.path, task.body, key=task.key)
        refused = 400 <= status < 500 and status != 429
        if 200 <= status < 300 or (refused and task.attempts > 1 and self._was_taken(task, process)):
            return self._write(task, lambda connection: self._exchange.acknowledged(connection, task, answer))
        said = reason_texts(answer.get("reason")) if isinstance(answer, dict) else ()
        told = f"the counterparty answered {status}" + (f": {'; '.join(said)}" if said else "")
        return self._again(task, process, told, rejected=refused)

    def _was_taken(self, task: store.Task, process: Process) -> bool:
        """Whether an earlier attempt got through: a peer that does not know our keys refuses the second one."""
        if process.peer_pid is None or task.message is None:
            return False
        try:
            seen = self._peers.get(process.peer, f"{process.callback}/{process.kind}s/{path_segment(process.peer_pid)}")
        except PeerError:
            return False
        state = seen.get("state") if isinstance(seen, dict) else None
        return state == process.machine.table.get((process.state, task.message, process.role))

    # --- outcomes

    def _settle(self, task: store.Task, seen: Process, act: Callable[[Connection, Process], None]) -> store.Task | None:
        """Finish a task by an act, unless its process has moved on while the act was thought about."""

        def work(connection: Connection) -> None:
            present = store.any_process(connection, task.process)
            if store.finish(connection, task.number) and present is not None and present.state == seen.state:
                act(connection, present)

        return self._write(task, work)

    def _write(self, task: store.Task, work: Callable[[Connection], object]) -> store.Task | None:
        """Do a unit of work, and take what comes next for the process in the same transaction."""

        def unit(connection: Connection) -> store.Task | None:
            work(connection)
            return store.lease_next(connection, task.process, self._holder, self._clock.now(), self._pace.lease)

        return self._database.write(unit)

    def _again(self, task: store.Task, process: Process, problem: str, *, rejected: bool = False) -> store.Task | None:
        """Postpone a task that failed, or give it up; what can be done at once instead is returned."""
        now = self._clock.now()
        if self._is_hopeless(task, process, now, rejected=rejected):
            return self._write(task, lambda connection: self._give_up(connection, task, problem))
        due = now + self._pace.wait(task.attempts, self._chance())
        doing = internal_state(process.machine, process.state, process.role, task.message)
        _log.info("%s %s is still %s: %s", process.kind, process.id, doing, problem)
        self._database.write(lambda connection: store.postpone(connection, task, due, rejected=rejected))
        return None

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
        elif not store.waits_to_end(connection, process.id):
            self._exchange.end(connection, process, "undeliverable", (problem,))
