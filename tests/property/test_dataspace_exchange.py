"""Two parties and a network that loses, repeats, delays and reorders: they agree in the end, and on legal ways.

Both are the real :class:`Exchange` on a database each; only the flow of one protocol is replaced by chance, which sends
whatever the table allows whenever it likes. An attempt to send may reach the other side never, once, often or much
later; its answer may be lost; either side may crash in between. When the noise is over, the outboxes are emptied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import StaticPool

from synthema.clock import FixedClock
from synthema.dataspace import Caller, Process, store
from synthema.dataspace.exchange import Exchange, Flow, new_process
from synthema.dataspace.messages import Message
from synthema.dataspace.transitions import MACHINES, Kind, Party, other
from synthema.errors import SynthemaError

LEASE = timedelta(seconds=90)
STEPS = 60
TABLES = (store.processes, store.messages, store.tasks, store.agreements)


@dataclass(frozen=True)
class Said:
    """A message that says nothing but its name and whose it is."""

    name: str
    pids: Mapping[str, str]

    def wire(self) -> dict[str, Any]:
        return {"@type": self.name, **self.pids}


class Silence:
    """A log that takes everything."""

    def append(self, connection: Connection, activity: object) -> None:
        pass

    def iri(self, kind: str, identifier: str) -> str:
        return f"http://127.0.0.1/id/{kind}/{identifier}"


class Whim:
    """A flow without a will of its own."""

    def acts(self, process: Process) -> bool:
        return False

    def next_step(self, process: Process, *, approved: bool) -> None:
        return None

    def absorb(self, process: Process, message: str, body: Mapping[str, Any]) -> Process:
        return process

    def entered(self, connection: Connection, process: Process) -> None:
        pass

    def path(self, process: Process, message: str) -> str:
        return "/"

    def termination(self, process: Process, code: str, reasons: tuple[str, ...]) -> Message:
        message: Message = said("Termination", process)
        return message


@dataclass
class Side:
    """One party: its database, its exchange, and the one process."""

    kind: Kind
    role: Party
    clock: FixedClock
    process: str = ""
    engine: Any = field(init=False)
    exchange: Exchange = field(init=False)

    def __post_init__(self) -> None:
        self.engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
        event.listen(self.engine, "connect", lambda connection, _record: setattr(connection, "isolation_level", None))
        event.listen(self.engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        store.processes.metadata.create_all(self.engine, tables=list(TABLES))
        self.exchange = Exchange(Silence(), self.clock, self.did)
        self.exchange.flows = {self.kind: cast("Flow", Whim())}

    @property
    def did(self) -> str:
        return f"did:web:{self.role}.example"

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        with self.engine.begin() as connection:
            yield connection

    def present(self) -> Process | None:
        with self.writing() as connection:
            return store.any_process(connection, self.process)

    @property
    def state(self) -> str | None:
        process = self.present()
        return None if process is None else process.state

    def speak(self, chance: Random) -> None:
        """Queue any message that may be sent now; the end of everything not too often."""
        process = self.present()
        if process is None or process.state is None:
            return
        table = process.machine.table
        allowed = sorted(name for state, name, party in table if (state, party) == (process.state, self.role))
        if allowed:
            others = [name for name in allowed if "Termination" not in name]
            name = chance.choice(others if others and chance.random() < 0.9 else allowed)
            with unless_refused(), self.writing() as connection:
                self.exchange.send(connection, process, cast("Message", said(name, process)))

    def take(self) -> store.Task | None:
        """Lease what is due."""
        with self.writing() as connection:
            return next(iter(store.lease_tasks(connection, "me", self.clock.now(), LEASE, 1)), None)

    def hear(self, task: store.Task) -> tuple[bool, Any]:
        """A message arrives: whether it is taken, and the answer."""
        caller = Caller(f"did:web:{other(self.role)}.example", "peer", "hub")
        assert task.message is not None
        message = cast("Message", said_of(task))
        try:
            with self.writing() as connection:
                if task.body.get("providerPid"):
                    process = self.exchange.receive(
                        connection, self.kind, caller, self.process, message, key=task.key
                    )  # fmt: skip
                else:
                    fresh = new_process(
                        self.kind, self.role, caller.did, task.body["consumerPid"], "", "x", {}, self.clock
                    )  # fmt: skip
                    process, _ = self.exchange.open_received(connection, fresh, message, key=task.key)
                    self.process = process.id
        except SynthemaError:
            return False, None
        return True, {f"{self.role}Pid": process.id}

    def answered(self, task: store.Task, taken: bool, answer: Any) -> None:
        with unless_refused(), self.writing() as connection:
            if taken:
                self.exchange.acknowledged(connection, task, answer)
            else:
                store.postpone(connection, task, self.clock.now(), rejected=True)

    def gave_up_waiting(self, task: store.Task) -> None:
        """No answer came: nobody knows whether the message did."""
        with self.writing() as connection:
            store.postpone(connection, task, self.clock.now(), rejected=False)

    def crash(self) -> None:
        with self.writing() as connection:
            store.release_leases(connection, "me", self.clock.now())

    def way(self) -> list[tuple[str, Party, str]]:
        """What happened to the process, in order: message, who sent it, state after it."""
        with self.writing() as connection:
            told = store.timeline(connection, self.process)
        parties: dict[str, Party] = {"out": self.role, "in": other(self.role)}
        return [(step["message"], parties[step["direction"]], step["state"]) for step in told]


def said(name: str, process: Process) -> Any:
    return Said(name, {"providerPid": process.provider_pid, "consumerPid": process.consumer_pid})


def said_of(task: store.Task) -> Any:
    return Said(str(task.message), {key: value for key, value in task.body.items() if key != "@type"})


@contextmanager
def unless_refused() -> Iterator[None]:
    """What is refused is not done; that is all."""
    try:
        yield
    except SynthemaError:
        return


@dataclass
class World:
    """Both sides and what is between them: requests under way, and answers under way."""

    kind: Kind
    chance: Random
    clock: FixedClock = field(default_factory=lambda: FixedClock(datetime(2026, 11, 21, tzinfo=UTC)))
    requests: list[tuple[Side, store.Task]] = field(default_factory=list)
    answers: list[tuple[Side, store.Task, bool, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.consumer = Side(self.kind, "consumer", self.clock)
        self.provider = Side(self.kind, "provider", self.clock)
        first = next(name for state, name, party in MACHINES[self.kind].table if (state, party) == (None, "consumer"))
        process = new_process(self.kind, "consumer", self.provider.did, None, "", "x", {}, self.clock)
        self.consumer.process = process.id
        with self.consumer.writing() as connection:
            message = Said(first, {"consumerPid": process.id})
            self.consumer.exchange.open_sent(connection, process, cast("Message", message))

    def facing(self, side: Side) -> Side:
        return self.provider if side is self.consumer else self.consumer

    def anyone(self) -> Side:
        return self.chance.choice((self.consumer, self.provider))

    def step(self) -> None:
        """Something happens."""
        self.clock.advance(timedelta(seconds=1))
        self.chance.choice((self._speak, self._send, self._send, self._arrive, self._arrive, self._repeat, self._lose,
                            self._answer, self._answer, self._lose_answer, self._crash))()  # fmt: skip

    def settle(self) -> None:
        """The noise is over: what is late arrives, then the outboxes are emptied."""
        while self.requests:
            self._arrive()
        while self.answers:
            self._lose_answer()
        for _ in range(40):
            self.clock.advance(LEASE)
            self._send()
            while self.requests:
                self._arrive()
            while self.answers:
                self._answer()

    def _speak(self) -> None:
        self.anyone().speak(self.chance)

    def _send(self) -> None:
        side = self.anyone()
        if (task := side.take()) is not None:
            self.requests.append((side, task))

    def _arrive(self, keep: bool = False) -> None:
        if self.requests:
            number = self.chance.randrange(len(self.requests))
            side, task = self.requests[number] if keep else self.requests.pop(number)
            self.answers.append((side, task, *self.facing(side).hear(task)))

    def _repeat(self) -> None:
        self._arrive(keep=True)

    def _lose(self) -> None:
        if self.requests:
            side, task = self.requests.pop(self.chance.randrange(len(self.requests)))
            side.gave_up_waiting(task)

    def _answer(self) -> None:
        if self.answers:
            side, task, taken, answer = self.answers.pop(self.chance.randrange(len(self.answers)))
            side.answered(task, taken, answer)

    def _lose_answer(self) -> None:
        if self.answers:
            side, task, _, _ = self.answers.pop(self.chance.randrange(len(self.answers)))
            side.gave_up_waiting(task)

    def _crash(self) -> None:
        side = self.anyone()
        self.answers = [each for each in self.answers if each[0] is not side]
        side.crash()


@given(st.sampled_from(sorted(MACHINES)), st.randoms(use_true_random=False))
def test_both_agree_in_the_end_and_never_leave_the_table(kind: Kind, chance: Random) -> None:
    world = World(kind, chance)
    for _ in range(STEPS):
        world.step()
    world.settle()
    sides = (world.consumer, world.provider)
    assert world.consumer.state == world.provider.state, [side.way() for side in sides]
    for side in sides:
        state: str | None = None
        for message, sender, after in side.way():
            assert MACHINES[kind].table[state, message, sender] == after
            state = after
        assert side.take() is None
