"""Whatever is done in whatever order: never above the ceiling, and what is spent never comes back."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from synthema.budget import BudgetLedger, epsilon_of, rho_of
from synthema.budget.model import units_down, units_up
from synthema.clock import FixedClock
from synthema.errors import ConflictError, DeniedError
from tests.databases import new_database
from tests.unit.datasets.support import make_log

DELTA = 1e-6


class LedgerMachine(RuleBasedStateMachine):
    reservations = Bundle("reservations")
    opened = Bundle("opened")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.database = new_database(Path(self.folder.name) / "state.sqlite")
        clock = FixedClock(datetime(2026, 11, 21, tzinfo=UTC))
        self.log = make_log(self.database, clock)
        self.ledger = BudgetLedger(self.database, self.log, clock)
        self.account = self.ledger.open_account("mgus", "did:web:hub.example", 1.0, DELTA)
        self.spent: dict[str, int] = {}
        self.open: dict[str, int] = {}
        self.by_parts: dict[str, list[int]] = {}
        self.whole: dict[str, int] = {}
        self.runs = 0
        self.highest = 0

    @rule(target=reservations, share=st.floats(0.01, 0.6))
    def reserve(self, share: float) -> str:
        return self._reserved(share)

    def _reserved(self, share: float) -> str:
        self.runs += 1
        rho = rho_of(1.0, DELTA) * share
        units = units_up(rho)
        taken = sum(self.spent.values()) + sum(self.open.values()) + sum(map(sum, self.by_parts.values()))
        left = sum(self.whole[each] - sum(parts) for each, parts in self.by_parts.items() if each in self.whole)
        fits = taken + left + units <= self.account.ceiling_units
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

    @rule(target=opened, share=st.floats(0.01, 0.3))
    def reserve_for_rounds(self, share: float) -> str:
        made = self._reserved(share)
        self._opened(made)
        return made

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

    @rule(reservation=reservations)
    def open_for_parts(self, reservation: str) -> None:
        self._opened(reservation)

    def _opened(self, reservation: str) -> None:
        if not reservation:
            return
        try:
            self.database.write(lambda connection: self.ledger.open_parts(connection, reservation))
        except ConflictError:
            assert reservation not in self.open
            return
        self.whole[reservation] = self.open.pop(reservation)
        self.by_parts[reservation] = []

    @rule(reservation=opened, share=st.sampled_from([0.01, 0.25, 1 / 3, 0.5, 1.0]), again=st.booleans())
    def spend_part(self, reservation: str, share: float, again: bool) -> None:
        """One part, named after how many there were; ``again`` names the last one a second time."""
        parts = self.by_parts.get(reservation)
        if not reservation or parts is None:
            return
        name = f"round-{len(parts) - again}"
        rho = (self.whole.get(reservation, 0) or 1) * share / 10**12
        try:
            spent = self.database.write(lambda connection: self.ledger.spend_part(connection, reservation, name, rho))
        except ConflictError:
            assert reservation not in self.whole or (again and parts)
            return
        except DeniedError:
            assert sum(parts) + units_up(rho) > self.whole[reservation]
            return
        assert reservation in self.whole
        # A third three times is a whole, though each is rounded up: the last one is charged what is left.
        assert spent.units == min(units_up(rho), self.whole[reservation] - sum(parts))
        assert units_up(rho) - spent.units <= len(parts) + 1 + self.whole[reservation] // 10**9
        parts.append(spent.units)

    @rule(reservation=opened)
    def free_rest(self, reservation: str) -> None:
        if not reservation:
            return
        freed = self.database.write(lambda connection: self.ledger.free_rest(connection, reservation, "it ended"))
        whole = self.whole.pop(reservation, None)
        if whole is not None:
            assert freed.units == whole - sum(self.by_parts[reservation])

    @rule(reservation=opened)
    def a_transaction_that_dies(self, reservation: str) -> None:
        """What is rolled back after a part was counted counts nothing: the answer was not noted either."""
        if reservation not in self.whole:
            return

        def dies(connection: object) -> None:
            self.ledger.spend_part(connection, reservation, "a round that died", self.whole[reservation] * 1e-15)  # type: ignore[arg-type]
            raise RuntimeError("power cut")

        with pytest.raises((RuntimeError, DeniedError)):
            self.database.write(dies)

    @rule()
    def crash(self) -> None:
        """What is spent by parts stays open over a restart, with exactly what its parts have not spent."""
        settled = self.ledger.settle_after_restart()
        assert {r.id for r in settled} == set(self.open)
        self.spent |= self.open
        self.open = {}

    @invariant()
    def the_ledger_agrees_and_holds(self) -> None:
        balance = self.ledger.balance(self.account)
        in_parts = sum(map(sum, self.by_parts.values()))
        left = sum(whole - sum(self.by_parts[each]) for each, whole in self.whole.items())
        assert balance.spent_units == sum(self.spent.values()) + in_parts >= self.highest
        assert balance.reserved_units == sum(self.open.values()) + left
        assert balance.spent_units + balance.reserved_units <= self.account.ceiling_units
        assert epsilon_of(balance.spent_rho, DELTA) <= 1.0 + 1e-9
        self.highest = balance.spent_units

    def teardown(self) -> None:
        self.database.close()
        self.folder.cleanup()


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(
    max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
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
