"""What must hold of a connector's home after any kill, read from its database, its log and its folders."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select

from synthema.assembly import Connector
from synthema.budget.model import units_up
from synthema.budget.store import budget_reservations
from synthema.canonical import digest_bytes
from synthema.obligations import TaskState
from synthema.runs.model import FINAL_STATES, Grant, RunState
from synthema.runs.store import artefacts, grants, runs

STEP = re.compile(
    r"<(?P<run>\S+/id/run/run-[0-9a-f]{32})/(?P<step>[a-z]+)> <\S+#type> <http://www.w3.org/ns/prov#Activity>"
)
TYPE = re.compile(r"<\S+> <\S+#type> <https://w3id\.org/synthema/ns#(?P<type>[A-Z]\w+)>")
OPENED = re.compile(r"ns#authorisation> \"(?P<grant>grant-[0-9a-f]{32})\"")
ENDS = {RunState.RELEASED: "released", RunState.STOPPED: "withheld", RunState.FAILED: "failure"}
FILES = {"synthetic.parquet", "codebook.json", "evaluation.json"}


@dataclass(slots=True)
class Promises:
    """What the killed connector had answered: those answers must hold for ever."""

    decided: dict[str, str] = field(default_factory=dict)
    settled: dict[str, str] = field(default_factory=dict)
    added: set[str] = field(default_factory=set)

    def take(self, lines: list[str]) -> None:
        """Read what a connector said before it died."""
        for line in lines:
            match line.split():
                case ["answered", run, effect]:
                    self.decided[run] = effect
                case ["settled", run, verdict]:
                    self.settled[run] = verdict
                case ["added", dataset]:
                    self.added.add(dataset)
                case ["error", *words]:
                    raise AssertionError(" ".join(words))


def assert_whole(connector: Connector, promises: Promises) -> None:
    """Every run has ended, and database, log, budget and folders tell the same story."""
    bodies = _bodies(connector)
    assert connector.log.verify().size == len(bodies)
    connector.log.checkpoint()
    _runs_are_final_and_logged(connector, bodies)
    _budget_is_never_less_than_spent(connector, bodies)
    _every_permitted_run_left_its_obligations(connector, bodies)
    _nothing_is_half_released(connector)
    _promises_hold(connector, promises)
    _folders_are_clean(connector)


def assert_extends(connector: Connector, size: int, root: bytes) -> None:
    """The log still begins with what it was."""
    assert connector.log.size() >= size
    assert connector.log.root(size) == root


def _bodies(connector: Connector) -> list[str]:
    found: list[str] = []
    while page := connector.log.entries(len(found) - 1, 1000):
        found += [entry.body.decode() for entry in page]
    return found


def _runs_are_final_and_logged(connector: Connector, bodies: list[str]) -> None:
    steps = Counter((found["run"].rpartition("/")[2], found["step"]) for found in STEP.finditer("\n".join(bodies)))
    assert set(steps.values()) <= {1}, "a step stands in the log twice"
    opened = {found["grant"] for found in OPENED.finditer("\n".join(bodies))}
    expected: set[tuple[str, str]] = set()
    with connector.database.read() as connection:
        issued = {row.run: row for row in connection.execute(select(grants))}
        quarantined = set(connection.execute(select(artefacts.c.run)).scalars())
        rows = connection.execute(select(runs)).all()
    for run in rows:
        state, grant = RunState(run.state), issued.get(run.id)
        assert state in FINAL_STATES, f"{run.id} is {state}"
        assert (state is RunState.DENIED) == (grant is None)
        expected.add((run.id, "decision"))
        if grant is not None:
            expected |= {(run.id, "grant"), (run.id, ENDS[state])}
            assert (grant.opened_at is not None) == (grant.id in opened)
            assert grant.opened_at is None or grant.consumed_at is not None
            expected |= {(run.id, "run")} if grant.consumed_at is not None else set()
        expected |= {(run.id, "quarantine")} if run.id in quarantined else set()
        assert state is not RunState.RELEASED or run.id in quarantined
    # Preparation changes no state: it may be there for any run that opened its data.
    prepared = {run for run, step in steps if step == "preparation"}
    assert prepared <= {row.run for row in issued.values() if row.opened_at is not None}
    assert {step for step in steps if step[1] != "preparation"} == expected
    assert set(issued) <= {run.id for run in rows}


def _budget_is_never_less_than_spent(connector: Connector, bodies: list[str]) -> None:
    with connector.database.read() as connection:
        kept = connection.execute(select(budget_reservations)).all()
        granted = [Grant.model_validate(row) for row in connection.execute(select(grants.c.grant_document)).scalars()]
    types = Counter(found["type"] for found in TYPE.finditer("\n".join(bodies)))
    assert {row.state for row in kept} <= {"spent"}
    assert types["BudgetReservation"] == types["BudgetSpend"] == len(kept)
    assert {row.run_id: row.units for row in kept} == {grant.run: units_up(grant.rho) for grant in granted}
    account = next(a for a in connector.budget.accounts() if a.recipient == connector.settings.did)
    balance = connector.budget.balance(account)
    assert balance.spent_units == sum(units_up(grant.rho) for grant in granted)
    assert balance.reserved_units == 0


def _every_permitted_run_left_its_obligations(connector: Connector, bodies: list[str]) -> None:
    said = "\n".join(bodies)
    known = set()
    for run in connector.governor.recent(10_000):
        tasks = connector.obligations.tasks(run=run.id)
        permitted = run.state is not RunState.DENIED
        said_yes = [run.decision or {}, *(act["decision"] for act in run.acts)] if permitted else []
        wanted = {one["rule"] for decision in said_yes for one in decision["obligations"]}
        assert {task.rule for task in tasks} == wanted, "obligations of a decision are missing, or of none"
        for task in tasks:
            known.add(task.id)
            assert f"/id/obligation/{task.id}>" in said
            assert task.state is not TaskState.WAITING or task.run != run.id or run.state in (
                RunState.RELEASED, RunState.STOPPED, RunState.FAILED
            )  # fmt: skip
            if task.action.endswith("publishResults"):
                assert (task.state is TaskState.OPEN) is (run.state in (RunState.RELEASED, RunState.STOPPED))
    assert {task.id for task in connector.obligations.tasks() if task.subject is None} == known
    assert set(re.findall(r"/id/obligation/(obligation-[0-9a-f]{32})>", said)) >= known


def _nothing_is_half_released(connector: Connector) -> None:
    home = connector.settings.home / "artefacts"
    states = {run.id: run.state for run in connector.governor.recent(10_000)}
    with connector.database.read() as connection:
        rows = connection.execute(select(artefacts)).all()
    on_disk = {path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()}
    expected: set[str] = set()
    for run in {row.run for row in rows}:
        files = [row for row in rows if row.run == run]
        assert {file.name for file in files} == FILES
        assert {file.state for file in files} == {"released" if states[run] == "released" else "withheld"}
        if states[run] == "released":
            for file in files:
                name = f"{run}/{file.digest.removeprefix('sha256:')}"
                assert digest_bytes((home / name).read_bytes()) == file.digest
                expected.add(name)
    assert on_disk == expected, "files that nobody released, or released files that are gone"


def _promises_hold(connector: Connector, promises: Promises) -> None:
    for run, effect in promises.decided.items():
        decision = connector.governor.run(run).decision
        assert decision is not None
        assert decision["effect"] == effect
    for run, verdict in promises.settled.items():
        assert ENDS[connector.governor.run(run).state] == verdict
    assert promises.added <= {version.id for version in connector.datasets.versions()}


def _folders_are_clean(connector: Connector) -> None:
    home = connector.settings.home
    assert list((home / "runs").iterdir()) == []
    assert not (home / "incoming").exists()
    assert {path.name for path in (home / "datasets").iterdir()} == {
        f"{version.id}.sealed" for version in connector.datasets.versions()
    }
    known = {"artefacts", "connector.toml", "datasets", "keys", "lock", "received", "runs", "secrets", "studies"}
    left = {path.name for path in home.iterdir() if not path.name.startswith("state.sqlite")}
    assert left <= known, f"unknown left-overs: {sorted(left - known)}"


def workers_of(home: Path) -> list[int]:
    """Processes that still work inside a home."""
    import psutil

    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(home):
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return found
