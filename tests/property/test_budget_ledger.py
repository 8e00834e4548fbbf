"""Whatever is done in whatever order: never above the ceiling, and what is spent never comes back."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from synthema.budget import BudgetLedger, epsilon_of, rho_of
from synthema.budget.model import units_down, units_up
from synthema.clock import FixedClock
from synthema.errors import ConflictError, DeniedError
from synthema.storage import Database, metadata
from tests.unit.datasets.support import make_log

DELTA = 1e-6


class LedgerMachine(RuleBasedStateMachine):
    reservations = Bundle("reservations")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.database = Database(f"sqlite:///{Path(self.folder.name)}/state.sqlite")
        metadata.create_all(self.database.engine)
        clock = FixedClock(datetime(2026, 11, 21, tzinfo=UTC))
        self.log = make_log(self.database, clock)
        self.ledger = BudgetLedger(self.database, self.log, clock)
        self.account = self.ledger.open_account("mgus", "did:web:hub.example", 1.0, DELTA)
        self.spent: dict[str, int] = {}
        self.open: dict[str, int] = {}
        self.runs = 0
        self.highest = 0

    @rule(target=reservations, share=st.floats(0.01, 0.6))
    def reserve(self, share: float) -> str:
        self.runs += 1
        rho = rho_of(1.0, DELTA) * share
        units = units_up(rho)
        fits = sum(self.spent.values()) + sum(self.open.values()) + units <= self.account.ceiling_units
        try:
            made = self.database.write(
                lambda connection: self.ledger.reserve(connection, self.account, rho, f"run-{self.runs}")
            )
        except DeniedError:
            assert not fits
            return ""
        assert fits
        self.open[made.id] = units
        return made.id

    @rule(reservation=reservations)
    def spend(self, reservation: str) -> None:
        self._step(self.ledger.spend, reservation, to_spent=True)

    @rule(reservation=reservations)
    def cancel(self, reservation: str) -> None:
        self._step(self.ledger.cancel, reservation, to_spent=False)

    def _step(self, step: object, reservation: str, *, to_spent: bool) -> None:
        if not reservation:
            return
        try:
            self.database.write(lambda connection: step(connection, reservation))  # type: ignore[operator]
        except ConflictError:
            assert reservation not in self.open
            return
        units = self.open.pop(reservation)
        if to_spent:
            self.spent[reservation] = units

    @rule()
    def crash(self) -> None:
        settled = self.ledger.settle_after_restart()
        assert {r.id for r in settled} == set(self.open)
        self.spent |= self.open
        self.open = {}

    @invariant()
    def the_ledger_agrees_and_holds(self) -> None:
        balance = self.ledger.balance(self.account)
        assert balance.spent_units == sum(self.spent.values()) >= self.highest
        assert balance.reserved_units == sum(self.open.values())
        assert balance.spent_units + balance.reserved_units <= self.account.ceiling_units
        assert epsilon_of(balance.spent_rho, DELTA) <= 1.0 + 1e-9
        self.highest = balance.spent_units

    def teardown(self) -> None:
        self.database.close()
        self.folder.cleanup()


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(
    max_examples=8, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)


@given(st.lists(st.floats(1e-9, 10), max_size=40), st.randoms())
@settings(max_examples=100, deadline=None)
def test_the_order_of_losses_does_not_matter(losses: list[float], random: object) -> None:
    shuffled = sorted(losses, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert sum(units_up(rho) for rho in losses) == sum(units_up(rho) for rho in shuffled)


@given(st.floats(0, 1e6))
@settings(max_examples=300, deadline=None)
def test_rounding_never_favours_the_asker(rho: float) -> None:
    assert 0 <= units_up(rho) - units_down(rho) <= 1


@given(st.floats(0.001, 20), st.floats(1e-12, 0.1))
@settings(max_examples=100, deadline=None)
def test_a_full_ceiling_always_fits_itself(epsilon: float, delta: float) -> None:
    assert units_up(rho_of(epsilon, delta)) <= units_down(rho_of(epsilon, delta))


@given(st.floats(1e-9, 50), st.floats(1e-9, 50), st.floats(1e-12, 0.5))
@settings(max_examples=100, deadline=None)
def test_more_loss_is_never_a_smaller_epsilon(first: float, second: float, delta: float) -> None:
    low, high = sorted((first, second))
    assert epsilon_of(low, delta) <= epsilon_of(high, delta) * (1 + 1e-9)
