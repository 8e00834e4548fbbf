"""Puts rows in good standing where they are worked with, and takes them away again when their standing is lost.

A place that does not answer is tried again: what is due there follows from the holding's standing, not from what was
asked once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection

from synthema.certification import store, users
from synthema.certification.evidence import candidate_iri
from synthema.certification.registry import Registry
from synthema.certification.targets import Kind, Target
from synthema.certification.users import Load
from synthema.clock import Clock
from synthema.errors import NotFoundError, SynthemaError
from synthema.ids import new_id
from synthema.provenance.log import ProvenanceLog
from synthema.provenance.model import Activity, Agent, Entity
from synthema.storage import Database

Targets = Callable[[Kind], Target]
"""Finds the target of a kind; raises when this registry has none."""


class Loading:
    """What of a registry's holdings lies where, and who uses it."""

    def __init__(
        self, database: Database, log: ProvenanceLog, did: str, registry: Registry, targets: Targets, clock: Clock
    ) -> None:
        self._database = database
        self._log = log
        self._did = did
        self._registry = registry
        self._targets = targets
        self._clock = clock

    def load(self, artefact: str, kind: Kind, *, user: str | None = None, person: str | None = None) -> Load:
        """Put the rows of a dataset in good standing into a target; ``user`` is told when they go.

        Raises :class:`NotFoundError` for a dataset that is not in good standing, :class:`StorageError` when the
        target cannot be reached.
        """
        rows = self._registry.rows(artefact)
        place = self._targets(kind).load(rows)

        def keep(connection: Connection) -> Load:
            now = self._clock.now()
            if user is not None:
                users.note_user(connection, rows.certificate, user, now)
            load = users.keep_load(connection, rows.certificate, artefact, kind, place, now)
            self._log.append(
                connection, self._activity(load, "RowsLoaded", "rows were put where they are used", person)
            )
            return load

        return self._database.write(keep)

    def settle(self) -> tuple[str, ...]:
        """Make every place follow the standing of its dataset; returns what could not be done, to be tried again."""
        problems = []
        for load in self.loads():
            held = self._is_held(load.artefact)
            if held == (load.state == "loaded") and not load.problem:
                continue
            try:
                self._follow(load, held=held)
            except SynthemaError as error:
                self._note_problem(load, error.message)
                problems.append(f"{load.kind} {load.place}: {error.message}")
        return tuple(problems)

    def loads(self, certificate: str | None = None) -> list[Load]:
        """Where rows lie or lay."""
        with self._database.read() as connection:
            return users.loads_of(connection, certificate)

    # users ---------------------------------------------------------------------------------

    def note_user(self, artefact: str, user: str) -> None:
        """Remember that someone uses a dataset in good standing, who is then told when it is taken out."""

        def keep(connection: Connection) -> None:
            holding = store.held_artefact(connection, artefact)
            users.note_user(connection, holding.certificate, user, self._clock.now())

        self._database.write(keep)

    def users(self, certificate: str) -> list[str]:
        """Who uses a dataset."""
        with self._database.read() as connection:
            return users.users_of(connection, certificate)

    def notices(self, user: str | None = None, *, unseen: bool = False) -> list[Mapping[str, Any]]:
        """What users were told, oldest first."""
        with self._database.read() as connection:
            return users.notices_for(connection, user, unseen=unseen)

    def seen(self, notice: str) -> None:
        """A user has seen a notice; raises :class:`NotFoundError`."""
        self._database.write(lambda connection: users.mark_seen(connection, notice, self._clock.now()))

    # standing ------------------------------------------------------------------------------

    def _is_held(self, artefact: str) -> bool:
        with self._database.read() as connection:
            try:
                store.held_artefact(connection, artefact)
            except NotFoundError:
                return False
        return True

    def _follow(self, load: Load, *, held: bool) -> None:
        target = self._targets(load.kind)  # type: ignore[arg-type]
        if held:
            target.load(self._registry.rows(load.artefact))
        else:
            target.remove(load.place)

        def keep(connection: Connection) -> None:
            users.settle_load(connection, load.id, "loaded" if held else "out", "", self._clock.now())
            type_, label = ("RowsLoaded", "rows are there again") if held else ("RowsRemoved", "rows were taken away")
            self._log.append(connection, self._activity(load, type_, label, None))

        self._database.write(keep)

    def _note_problem(self, load: Load, problem: str) -> None:
        if problem == load.problem:
            return

        def keep(connection: Connection) -> None:
            users.settle_load(connection, load.id, load.state, problem, self._clock.now())

        self._database.write(keep)

    def _activity(self, load: Load, type_: str, label: str, person: str | None) -> Activity:
        now = self._clock.now()
        people = () if person is None else (Agent(person, "Person", acts_for=self._did),)
        return Activity(
            iri=self._log.iri("activity", new_id("activity")),
            type=type_,
            label=label,
            started=now,
            ended=now,
            agents=(Agent(self._did, "Organization"), *people),
            used=(
                Entity(load.certificate, ("Certificate",)),
                Entity(candidate_iri(load.artefact), ("SyntheticDataset",), digest=load.artefact),
            ),
            attributes={"targetKind": load.kind, "targetPlace": load.place.rsplit("/", 1)[-1]},
        )
