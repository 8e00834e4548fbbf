"""Mechanisms of all kinds in any order, from any thread: the ceiling holds, reckoned anew."""

from __future__ import annotations

import tempfile
import threading
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from synthema.budget import Account, BudgetLedger, Mechanism, compose, epsilon_of, loss_of, what_if
from synthema.budget.store import reservations_of
from synthema.clock import FixedClock
from synthema.errors import DeniedError
from synthema.storage import Database
from tests.databases import new_database
from tests.unit.datasets.support import make_log

DELTA, FAILURE = 1e-5, 1e-6

mechanisms = st.one_of(
    st.builds(Mechanism, st.just("zcdp"), st.floats(1e-4, 0.2)),
    st.builds(Mechanism, st.sampled_from(["gaussian", "discrete-gaussian"]), st.floats(1.0, 40.0)),
    st.builds(Mechanism, st.sampled_from(["laplace", "discrete-laplace"]), st.floats(0.3, 40.0)),
    st.builds(Mechanism, st.just("pure"), st.floats(0.01, 2.0), count=st.integers(1, 4)),
    st.builds(Mechanism, st.just("approximate"), st.floats(0.01, 2.0), st.floats(1e-9, 1e-6)),
)


def opened(folder: str) -> tuple[Database, BudgetLedger, Account]:
    database = new_database(Path(folder) / "state.sqlite")
    clock = FixedClock(datetime(2026, 11, 21, tzinfo=UTC))
    ledger = BudgetLedger(database, make_log(database, clock), clock)
    return database, ledger, ledger.open_account("mgus", "did:web:hub.example", 3.0, DELTA, failure_delta=FAILURE)


def truly_within(used: list[Mechanism]) -> bool:
    """The ceiling, reckoned anew with exact fractions: by concentrated loss, or by plain addition."""
    pure = [mechanism.pure_epsilon for mechanism in used]
    if None not in pure and sum((epsilon or Fraction(0) for epsilon in pure), Fraction(0)) <= 3:
        return True
    failure = float(sum(mechanism.failure for mechanism in used))
    return failure <= FAILURE and epsilon_of(float(sum(m.rho for m in used)), DELTA - failure) <= 3.0 + 1e-9


@given(st.lists(st.tuples(st.lists(mechanisms, min_size=1, max_size=3), st.booleans()), min_size=1, max_size=25))
@settings(max_examples=20)
def test_never_over_the_ceiling_and_what_was_admitted_is_never_lost(wishes: list[tuple[list[Mechanism], bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database, ledger, account = opened(folder)
        held: list[Mechanism] = []
        for number, (wish, keep) in enumerate(wishes):
            told = what_if(ledger.picture(account.id), wish)
            try:
                made = database.write(
                    lambda connection, wish=wish, number=number: ledger.reserve(
                        connection, account, wish, f"run-{number}"
                    )
                )
            except DeniedError:
                assert not told.fits
                continue
            assert told.fits
            step = ledger.spend if keep else ledger.cancel
            database.write(lambda connection, made=made, step=step: step(connection, made))
            held += wish if keep else []
            assert truly_within(held)
        with database.read() as connection:
            kept = [m for entry in reservations_of(connection, account) if entry.state == "spent" for m in entry.used]
        assert kept == held
        assert ledger.balance(account).spent_units <= sum(loss_of([m]).units for m in held)
        database.close()


@given(st.lists(mechanisms, min_size=4, max_size=12), st.integers(2, 6))
@settings(max_examples=8)
def test_threads_never_share_the_last_of_a_budget(wishes: list[Mechanism], threads: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database, ledger, account = opened(folder)
        admitted: list[Mechanism] = []

        def ask(mine: list[tuple[int, Mechanism]]) -> None:
            for number, wish in mine:
                try:
                    database.write(
                        lambda connection, wish=wish, number=number: ledger.reserve(
                            connection, account, [wish], f"run-{number}"
                        )
                    )
                    admitted.append(wish)
                except DeniedError:
                    continue

        numbered = list(enumerate(wishes * 3))
        workers = [threading.Thread(target=ask, args=(numbered[start::threads],)) for start in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert truly_within(admitted)
        assert loss_of(admitted).units <= ledger.balance(account).reserved_units if admitted else True
        database.close()


@given(st.lists(mechanisms, min_size=1, max_size=4), mechanisms)
@settings(max_examples=15)
def test_one_release_more_never_makes_a_reading_smaller(used: list[Mechanism], more: Mechanism) -> None:
    before = {r.method: r.epsilon for r in compose(used, 1e-3).readings}
    after = {r.method: r.epsilon for r in compose([*used, more], 1e-3).readings}
    for method in set(before) & set(after):
        assert after[method] >= before[method] * (1 - 1e-3) - 2e-3


@given(st.lists(mechanisms, max_size=20), st.randoms())
@settings(max_examples=50)
def test_losses_add_up_the_same_in_every_order(used: list[Mechanism], order: object) -> None:
    shuffled = sorted(used, key=lambda _: order.random())  # type: ignore[attr-defined]
    assert loss_of(used) == loss_of(shuffled)
