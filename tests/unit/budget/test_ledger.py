from __future__ import annotations

import threading

import pytest

from synthema.budget import EVERYONE, Account, BudgetLedger, ReservationState, epsilon_of, rho_of
from synthema.clock import FixedClock
from synthema.errors import ConflictError, DeniedError, InputError, NotFoundError, StorageError
from synthema.provenance import ProvenanceLog
from synthema.storage import Database
from tests.unit.datasets.support import log_text, make_log

HUB = "did:web:hub.example"
DELTA = 1e-6


@pytest.fixture
def log(database: Database, clock: FixedClock) -> ProvenanceLog:
    return make_log(database, clock)


@pytest.fixture
def ledger(database: Database, log: ProvenanceLog, clock: FixedClock) -> BudgetLedger:
    return BudgetLedger(database, log, clock)


@pytest.fixture
def account(ledger: BudgetLedger) -> Account:
    return ledger.open_account("mgus", HUB, 1.0, DELTA, basis="agreement-1")


def reserve(database: Database, ledger: BudgetLedger, account: Account, rho: float, run: str) -> str:
    return database.write(lambda connection: ledger.reserve(connection, account, rho, run)).id


def test_the_whole_ceiling_can_be_used_and_not_more(database: Database, ledger: BudgetLedger, account: Account) -> None:
    rho = rho_of(1.0, DELTA)
    reservation = reserve(database, ledger, account, rho, "run-1")
    database.write(lambda connection: ledger.spend(connection, reservation))
    balance = ledger.balance(account)
    assert balance.remaining_units == 0
    assert balance.epsilon_spent == pytest.approx(1.0, abs=1e-9)
    assert balance.epsilon_spent <= 1.0 + 1e-12
    with pytest.raises(DeniedError):
        reserve(database, ledger, account, 1e-12, "run-2")


def test_refusal_names_what_is_left(database: Database, ledger: BudgetLedger, account: Account) -> None:
    reserve(database, ledger, account, rho_of(1.0, DELTA) * 0.75, "run-1")
    with pytest.raises(DeniedError) as refusal:
        reserve(database, ledger, account, rho_of(0.9, DELTA), "run-2")
    left = ledger.balance(account).epsilon_remaining
    assert f"ε = {left:.4g}" in refusal.value.message
    assert "ask for at most" in refusal.value.fix
    assert ledger.facts(account)["https://w3id.org/synthema/ns#epsilonRemaining"].value == left
    reserve(database, ledger, account, rho_of(left, DELTA), "run-3")  # what the fix says does work


def test_cancelling_frees_and_spending_is_final(database: Database, ledger: BudgetLedger, account: Account) -> None:
    before = ledger.balance(account).remaining_units
    first = reserve(database, ledger, account, 0.01, "run-1")
    cancelled = database.write(lambda connection: ledger.cancel(connection, first))
    assert cancelled.state is ReservationState.CANCELLED
    assert ledger.balance(account).remaining_units == before
    second = reserve(database, ledger, account, 0.01, "run-2")
    database.write(lambda connection: ledger.spend(connection, second))
    for step in (ledger.cancel, ledger.spend):
        with pytest.raises(ConflictError):
            database.write(lambda connection, step=step: step(connection, second))
    with pytest.raises(ConflictError):
        database.write(lambda connection: ledger.spend(connection, first))


def test_a_run_reserves_once(database: Database, ledger: BudgetLedger, account: Account) -> None:
    first = reserve(database, ledger, account, 0.001, "run-1")
    with pytest.raises(ConflictError):
        reserve(database, ledger, account, 0.001, "run-1")
    database.write(lambda connection: ledger.cancel(connection, first))
    with pytest.raises(ConflictError):
        reserve(database, ledger, account, 0.001, "run-1")


def test_after_a_restart_open_reservations_are_spent(
    database: Database, log: ProvenanceLog, clock: FixedClock, ledger: BudgetLedger, account: Account
) -> None:
    reserve(database, ledger, account, 0.01, "run-1")
    again = BudgetLedger(database, log, clock)
    assert [r.run_id for r in again.settle_after_restart()] == ["run-1"]
    assert again.balance(account).spent_units == 10**10
    assert again.settle_after_restart() == []
    assert "open when the connector stopped" in log_text(log)


def test_one_account_for_the_same_eyes(ledger: BudgetLedger, account: Account) -> None:
    with pytest.raises(ConflictError):
        ledger.open_account("mgus", HUB, 5.0, DELTA, basis="agreement-1")
    assert ledger.account("mgus", HUB, basis="agreement-1") == account
    with pytest.raises(DeniedError):
        ledger.account("mgus", "did:web:other.example", basis="agreement-1")
    with pytest.raises(DeniedError):
        ledger.account("mgus", HUB)


def test_a_dataset_ceiling_bounds_all_recipients_together(database: Database, ledger: BudgetLedger) -> None:
    everyone = ledger.open_account("mgus", EVERYONE, 1.0, DELTA)
    accounts = [ledger.open_account("mgus", f"did:web:{name}.example", 1.0, DELTA) for name in "ab"]
    share = rho_of(1.0, DELTA) * 0.6
    reserve(database, ledger, accounts[0], share, "run-1")
    with pytest.raises(DeniedError, match="all recipients together"):
        reserve(database, ledger, accounts[1], share, "run-2")
    assert ledger.remaining(accounts[1])[0] == ledger.balance(everyone).remaining_units
    with pytest.raises(InputError):
        reserve(database, ledger, everyone, 0.001, "run-3")


def test_of_many_threads_only_as_many_get_budget_as_there_is(
    database: Database, ledger: BudgetLedger, account: Account
) -> None:
    share = rho_of(1.0, DELTA) / 10
    outcomes: list[str] = []

    def ask(number: int) -> None:
        try:
            identifier = reserve(database, ledger, account, share, f"run-{number}")
            if number % 2:
                database.write(lambda connection: ledger.spend(connection, identifier))
            outcomes.append("yes")
        except DeniedError:
            outcomes.append("no")

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    balance = ledger.balance(account)
    assert balance.spent_units + balance.reserved_units <= account.ceiling_units
    assert outcomes.count("yes") in (9, 10)  # a tenth is rounded up to a whole unit
    assert len(outcomes) == 32


def test_what_is_not_logged_does_not_happen(
    database: Database, ledger: BudgetLedger, account: Account, log: ProvenanceLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ledger.balance(account)

    def fail(*_: object) -> None:
        raise StorageError("the log is full", fix="make room")

    monkeypatch.setattr(log, "append", fail)
    with pytest.raises(StorageError):
        reserve(database, ledger, account, 0.01, "run-1")
    with pytest.raises(StorageError):
        ledger.open_account("mds", HUB, 1.0, DELTA)
    assert ledger.balance(account) == before
    assert ledger.accounts("mds") == []


def test_gauge_and_timeline(database: Database, ledger: BudgetLedger, account: Account) -> None:
    first = reserve(database, ledger, account, 0.005, "run-1")
    database.write(lambda connection: ledger.spend(connection, first))
    reserve(database, ledger, account, 0.001, "run-2")
    gauge = ledger.gauge(account)
    assert gauge["ceiling"] == 1.0
    assert gauge["spent"] == epsilon_of(0.005, DELTA)
    assert gauge["rho"]["reserved"] == 0.001
    assert [(entry["run"], entry["state"]) for entry in gauge["entries"]] == [("run-1", "spent"), ("run-2", "reserved")]
    assert 0 < gauge["share"] < 1


@pytest.mark.parametrize(
    ("epsilon", "delta"), [(0.0, DELTA), (-1.0, DELTA), (1.0, 0.0), (1.0, 1.0), (float("nan"), DELTA)]
)
def test_refuses_ceilings_that_are_none(ledger: BudgetLedger, epsilon: float, delta: float) -> None:
    with pytest.raises(InputError):
        ledger.open_account("mgus", HUB, epsilon, delta)


@pytest.mark.parametrize("rho", [0.0, -0.1, float("nan"), float("inf"), 1e30])
def test_refuses_losses_that_are_none(database: Database, ledger: BudgetLedger, account: Account, rho: float) -> None:
    with pytest.raises(InputError):
        reserve(database, ledger, account, rho, "run-1")


def test_unknown_things_are_not_found(database: Database, ledger: BudgetLedger) -> None:
    with pytest.raises(NotFoundError):
        database.write(lambda connection: ledger.spend(connection, "reservation-none"))
    with pytest.raises(NotFoundError):
        database.write(lambda connection: ledger.reserve(connection, "budget-none", 0.1, "run-1"))
    with pytest.raises(InputError):
        ledger.open_account("", HUB, 1.0, DELTA)
