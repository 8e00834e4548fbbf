"""Several processes on one database, and kill -9: never over the ceiling, and nothing that was answered is lost."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from synthema.budget import EVERYONE, Account, BudgetLedger, ReservationState, rho_of
from synthema.budget.store import reservations_of
from synthema.clock import FixedClock
from synthema.identity import FileSigner
from synthema.provenance import ProvenanceLog
from synthema.storage import Database
from tests.unit.datasets.support import ORIGIN

ROOT = Path(__file__).parents[3]
DELTA = 1e-6
HUB = "did:web:hub.example"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    FileSigner.create(tmp_path / "keys", b"a passphrase for the test")
    return tmp_path / "keys"


@pytest.fixture
def ledger(database: Database, clock: FixedClock, keys: Path) -> BudgetLedger:
    signer = FileSigner.open(keys, b"a passphrase for the test")
    return BudgetLedger(database, ProvenanceLog(database, signer, ORIGIN, clock), clock)


def start(tmp_path: Path, account: Account, rho: float, times: int, *, spend: bool = False) -> subprocess.Popen[str]:
    order: dict[str, Any] = {
        "database": str(tmp_path / "state.sqlite"),
        "keys": str(tmp_path / "keys"),
        "account": account.id,
        "rho": rho,
        "times": times,
        "spend": spend,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "tests.unit.budget.process", json.dumps(order)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def go(*children: subprocess.Popen[str]) -> None:
    """Let all begin at once, when all are ready."""
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n", child.communicate()[1]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()


def told(child: subprocess.Popen[str]) -> list[tuple[str, str]]:
    out, err = child.communicate(timeout=60)
    assert child.returncode in (0, -9), err
    return [(line.split()[0], line.split()[1]) for line in out.splitlines() if len(line.split()) == 2]


def test_two_processes_never_both_get_the_last_of_a_budget(ledger: BudgetLedger, tmp_path: Path) -> None:
    account = ledger.open_account("mgus", HUB, 1.0, DELTA)
    other = ledger.open_account("mgus", "did:web:other.example", 1.0, DELTA)
    ledger.open_account("mgus", EVERYONE, 1.0, DELTA)
    # Each would fit alone; both together do not, neither in one account nor in the ceiling of the dataset.
    rho = rho_of(1.0, DELTA) * 0.6
    children = [start(tmp_path, one, rho, 1) for one in (account, account, other)]
    go(*children)
    answers = [answer for child in children for answer, _ in told(child)]
    assert sorted(answers) == ["denied", "denied", "reserved"]
    assert ledger.balance(account).reserved_units + ledger.balance(other).reserved_units <= account.ceiling_units
    ledger._log.checkpoint()
    assert ledger._log.verify().size == ledger._log.size()


def test_of_many_processes_only_as_many_runs_get_budget_as_there_is(ledger: BudgetLedger, tmp_path: Path) -> None:
    account = ledger.open_account("mgus", HUB, 1.0, DELTA)
    children = [start(tmp_path, account, rho_of(1.0, DELTA) / 20, 40, spend=True) for _ in range(3)]
    go(*children)
    answers = [answer for child in children for answer in told(child)]
    reserved = [name for answer, name in answers if answer == "reserved"]
    assert len(reserved) == len(set(reserved)) in (19, 20)  # a twentieth is rounded up to a whole unit
    balance = ledger.balance(account)
    assert balance.reserved_units == 0
    assert balance.spent_units <= account.ceiling_units
    assert sum(answer == "denied" for answer, _ in answers) == 3


@pytest.mark.parametrize("number", range(3))
def test_killed_between_reserve_and_commit_nothing_answered_is_lost(
    database: Database, ledger: BudgetLedger, tmp_path: Path, number: int
) -> None:
    account = ledger.open_account("mgus", HUB, 1.0, DELTA)
    child = start(tmp_path, account, rho_of(1.0, DELTA) / 5000, 5000, spend=True)
    go(child)
    time.sleep(random.Random(number).uniform(0.02, 0.3))  # noqa: S311 - a moment, no secret
    child.kill()
    answers = told(child)
    with database.read() as connection:
        kept = {entry.id: entry.state for entry in reservations_of(connection, account)}
    for answer, name in answers:
        assert name in kept
        assert answer != "spent" or kept[name] is ReservationState.SPENT
    before = ledger.balance(account)
    open_ = [name for name, state in kept.items() if state is ReservationState.RESERVED]
    assert len(open_) <= 1
    assert [entry.id for entry in ledger.settle_after_restart()] == open_
    after = ledger.balance(account)
    assert after.spent_units == before.spent_units + before.reserved_units <= account.ceiling_units
    assert after.reserved_units == 0
    ledger._log.checkpoint()
    ledger._log.verify()
