"""Carries withdrawals on: from the event to a plan, from the plan to its end, over restarts.

The consent room tells of a withdrawal inside its own transaction; that it was heard is kept there and then. All that
follows is done by a worker that looks at what is kept: whatever a crash interrupts, the next look takes up. Each
step is one transaction, and doing it again changes nothing.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from synthema.assembly.housekeeping import Housekeeping
from synthema.assembly.withdrawal import store
from synthema.assembly.withdrawal.ground import Ground, Rooms
from synthema.assembly.withdrawal.model import Cause, Item, Plan, Rules, Trace
from synthema.assembly.withdrawal.outbox import FIRST_RETRY, Outbox
from synthema.assembly.withdrawal.planning import make_plan
from synthema.assembly.withdrawal.receiving import Inbox
from synthema.assembly.withdrawal.steps import Steps
from synthema.assembly.withdrawal.store import Event, KeptPlan
from synthema.assembly.withdrawal.tracing import HubTracer, SiteTracer, Sources
from synthema.consent import ConsentStore, Withdrawal
from synthema.errors import SynthemaError

_logger = logging.getLogger(__name__)


class Bell:
    """A thread that does one thing each time it is rung, and every ``seconds`` besides where that is given."""

    def __init__(self, work: Callable[[], None], name: str, seconds: float | None = None) -> None:
        self._work = work
        self._seconds = seconds
        self._rung = threading.Event()
        self._ending = False
        self._thread = threading.Thread(target=self._answer, name=name, daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def ring(self) -> None:
        """Have it done soon; however often it is rung meanwhile, once."""
        self._rung.set()

    def end(self) -> None:
        """Stop; waits for the work at hand."""
        self._ending = True
        self._rung.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def _answer(self) -> None:
        while True:
            self._rung.wait(self._seconds)
            if self._ending:
                return
            self._rung.clear()
            try:
                self._work()
            except SynthemaError as error:
                _logger.warning("withdrawal: %s", error.message)
            except Exception:  # a fault in one look must not end all later ones
                _logger.exception("withdrawal: an internal fault")


class Withdrawals:
    """Everything one connector does about withdrawals, its own people's and those that partners tell of."""

    def __init__(self, rooms: Rooms, sources: Sources, consents: ConsentStore, housekeeping: Housekeeping) -> None:
        """Hears of what people take back, and looks from time to time besides."""
        consents.on_withdrawal(self.hear)
        housekeeping.also(self.wake)
        self.rooms = rooms
        self.tracer = SiteTracer(sources)
        self.ground = Ground(rooms)
        self.outbox = Outbox(self.ground)
        self.steps = Steps(self.ground, self.outbox, self.tracer)
        self.inbox = Inbox(self.ground, HubTracer(sources), self.keep, self.wake)
        self._one_look = threading.Lock()
        self._one_delivery = threading.Lock()
        self._look = Bell(self.look, "withdrawals")
        # Partners that answer slowly must not keep work on a record from being stopped.
        self._delivery = Bell(self._deliver, "withdrawal-notices", FIRST_RETRY.total_seconds())
        self._heard = False

    # hearing ----------------------------------------------------------------------------

    def hear(self, connection: Connection, withdrawals: tuple[Withdrawal, ...]) -> None:
        """Keep what people took back, in the transaction that records it (a listener of the consent room)."""
        self._heard = store.insert_events(connection, withdrawals) > 0 or self._heard

    def start(self) -> None:
        """Begin: take up what a restart interrupted, then look whenever something was taken back."""
        self.rooms.database.on_commit(self._after_commit)
        self._look.start()
        self._delivery.start()
        self.wake()

    def close(self) -> None:
        """End; waits for the steps at hand."""
        self._look.end()
        self._delivery.end()

    def wake(self) -> None:
        """Look again soon, without waiting for it."""
        self._look.ring()

    def _after_commit(self) -> None:
        if self._heard:
            self._heard = False
            self.wake()

    # working ----------------------------------------------------------------------------

    def work(self) -> None:
        """Do all that can be done now, partners included."""
        self.look()
        if self._delivered():
            self.look()

    def look(self) -> None:
        """Plan for what was taken back, go after what is new, act, close what is done."""
        with self._one_look:
            self._plan_for_events()
            self._go_after_new_things()
            for plan in self.open_plans():
                self.steps.act(plan)
            self._close_finished()
        self._delivery.ring()

    def _delivered(self) -> int:
        with self._one_delivery:
            return self.outbox.deliver()

    def _deliver(self) -> None:
        if self._delivered():
            self.wake()

    def open_plans(self) -> list[KeptPlan]:
        """The plans that are not carried out yet."""
        with self.rooms.database.read() as connection:
            return store.all_plans(connection, unfinished_only=True)

    def _plan_for_events(self) -> None:
        """One plan for each dataset, however many people took something back since the last look."""
        with self.rooms.database.read() as connection:
            waiting = store.waiting_events(connection)
        if not waiting:
            return
        batches: dict[str, list[Event]] = defaultdict(list)
        for event in filter(self._matters, waiting):
            names = {event.dataset} if event.dataset is not None else self.tracer.names_of([event.token])
            for name in names:
                batches[str(name)].append(event)
        now = self.ground.now()
        made = [(self._plan(name, batch, now), {event.token for event in batch}) for name, batch in batches.items()]
        sequences = [event.sequence for event in waiting]

        def work(connection: Connection) -> None:
            if store.mark_planned(connection, sequences) != len(sequences):
                return  # planned by another look, whose transaction was here first
            for plan, tokens in made:
                self.keep(connection, plan, tokens)

        self.rooms.database.write(work)

    def _matters(self, event: Event) -> bool:
        return event.dataset is None or self.tracer.took_back(event.dataset, event.token)

    def _plan(self, dataset: str, batch: Iterable[Event], now: datetime) -> Plan:
        events = list(batch)
        cause = Cause(
            machine="consent" if any(event.machine == "consent" for event in events) else "opt-out",
            dataset=dataset,
            list_version=max(event.list_version for event in events),
            at=now,
            levels=tuple(sorted({event.level for event in events if event.level is not None})),
        )
        return make_plan(cause, self._traced(dataset, {event.token for event in events}, now), self._rules(dataset))

    def _traced(self, dataset: str, tokens: Iterable[str], now: datetime) -> Trace:
        return self.tracer.trace(dataset, frozenset(tokens), now)

    def _rules(self, dataset: str) -> Rules:
        with self.rooms.database.read() as connection:
            return store.rules_for(connection, dataset)

    def keep(self, connection: Connection, plan: Plan, tokens: Iterable[str]) -> str:
        """Keep a plan with its tasks and notices, in the caller's transaction; returns its id."""
        now, rooms = self.ground.now(), self.rooms
        identifier = store.insert_plan(connection, plan, tokens, now)
        rooms.log.append(connection, self.ground.records.planned(identifier, plan, now))
        kept = store.find_plan(connection, identifier)
        for item in kept.items:
            self.ground.impose(connection, item, plan.cause.dataset)
        self.outbox.queue(connection, kept, store.find_plan(connection, identifier).items)
        return identifier

    def _go_after_new_things(self) -> None:
        """Work that was under way when a plan was made goes on making things; they become part of it."""
        for kept in self.open_plans():
            if not kept.unfinished:
                continue
            now = self.ground.now()
            if kept.cause.notice is None:
                with self.rooms.database.read() as connection:
                    tokens = store.tokens_of(connection, kept.id)
                trace = self._traced(kept.cause.dataset, tokens, now)
            else:
                trace = self.inbox.trace_again(kept)
            plan = make_plan(kept.cause, trace, self._rules(kept.cause.dataset))
            self._add(kept, plan.items, unfinished=trace.unfinished)

    def _add(self, kept: KeptPlan, items: Iterable[Item], *, unfinished: bool) -> None:
        known = {item.item.subject for item in kept.items}
        new = [item for item in items if item.subject not in known]
        if not new and unfinished == kept.unfinished:
            return
        self.rooms.database.write(lambda connection: self.add_within(connection, kept, new, unfinished=unfinished))

    def add_within(self, connection: Connection, kept: KeptPlan, items: Iterable[Item], *, unfinished: bool) -> int:
        """Make more things part of a plan; returns how many were new."""
        now = self.ground.now()
        inserted = [store.insert_item(connection, kept.id, item, now) for item in items]
        made = [item for item in inserted if item is not None]
        for item in made:
            self.ground.impose(connection, item, kept.cause.dataset)
        self.outbox.queue(connection, kept, [store.find_item(connection, item.id) for item in made])
        store.set_plan(connection, kept.id, now, unfinished=unfinished, state="open")
        if made:
            self.rooms.log.append(connection, self.ground.records.found_more(kept.id, len(made), now))
        return len(made)

    def _close_finished(self) -> None:
        for plan in self.open_plans():
            if store.is_finished(plan):
                self.rooms.database.write(partial(self._close, identifier=plan.id))

    def _close(self, connection: Connection, identifier: str) -> None:
        plan = store.find_plan(connection, identifier)
        if plan.state != "open" or not store.is_finished(plan):
            return
        now = self.ground.now()
        store.set_plan(connection, identifier, now, state="done")
        self.rooms.log.append(connection, self.ground.records.completed(identifier, now))
