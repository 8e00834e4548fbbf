"""The values of the privacy-loss ledger: an account, what was taken from it, and what is left.

Losses are kept as whole numbers of :data:`UNIT` (10⁻¹² ρ). Whole numbers add up
the same in every order, so no sequence of runs can squeeze a rounding error out of a ceiling.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from math import ceil, floor, isfinite, nextafter

from synthema.budget.convert import UNIT, epsilon_of
from synthema.errors import ConflictError, InputError

LARGEST_UNITS = 10**18
"""Keeps every sum inside a 64-bit database integer: ρ = 10⁶, far beyond any protection."""

EVERYONE = "*"
"""Recipient of an account that bounds what all recipients of a dataset together may learn."""


def units_up(rho: float) -> int:
    """ρ in whole units, rounded up: never less is charged than is lost. Raises :class:`InputError`."""
    return ceil(_as_fraction(rho) / UNIT)


def units_down(rho: float) -> int:
    """ρ in whole units, rounded down: never more is allowed than was agreed. Raises :class:`InputError`."""
    return floor(_as_fraction(rho) / UNIT)


def _as_fraction(rho: float) -> Fraction:
    if not isfinite(rho) or rho < 0:
        raise InputError("a privacy loss must be a finite number of 0 or more", fix="give rho as a number such as 0.1")
    # The shortest decimal that names the float: 0.1 is charged as 0.1, not as the binary number just above it.
    value = Fraction(repr(float(rho)))
    if value > LARGEST_UNITS * UNIT:
        raise InputError("this privacy loss is so large that it protects nobody", fix="give a rho of at most 1000000")
    return value


class ReservationState(StrEnum):
    """Where a reservation stands. Only :data:`TRANSITIONS` says how it may move."""

    RESERVED = "reserved"
    SPENT = "spent"
    CANCELLED = "cancelled"


TRANSITIONS: dict[tuple[ReservationState, str], ReservationState] = {
    (ReservationState.RESERVED, "spend"): ReservationState.SPENT,
    (ReservationState.RESERVED, "cancel"): ReservationState.CANCELLED,
}
"""What was spent stays spent: noise that was seen cannot be unseen."""


def advance(state: ReservationState, event: str) -> ReservationState:
    """The next state; raises :class:`ConflictError` on a step the table does not know."""
    try:
        return TRANSITIONS[(state, event)]
    except KeyError:
        raise ConflictError(
            f"a reservation that is {state} cannot be changed by '{event}'",
            fix="reserve privacy budget for a new run; what was spent stays spent",
        ) from None


@dataclass(frozen=True, slots=True)
class Account:
    """A ceiling on what one recipient may learn about one dataset under one permit or agreement.

    ``epsilon`` at ``delta`` is what was agreed; ``ceiling_units`` is the same as ρ. A
    dataset's account for :data:`EVERYONE` bounds all its recipients together.
    """

    id: str
    dataset_id: str
    basis: str
    recipient: str
    epsilon: float
    delta: float
    ceiling_units: int
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class Reservation:
    """Privacy loss set aside for one run."""

    id: str
    account_id: str
    run_id: str
    units: int
    state: ReservationState
    reserved_at: datetime
    settled_at: datetime | None = None
    reason: str | None = None

    @property
    def rho(self) -> float:
        """The loss set aside, in ρ."""
        return float(self.units * UNIT)


@dataclass(frozen=True, slots=True)
class Balance:
    """An account at one moment: what is spent, set aside and left."""

    account: Account
    spent_units: int
    reserved_units: int

    @property
    def remaining_units(self) -> int:
        """What may still be reserved, in units."""
        return max(0, self.account.ceiling_units - self.spent_units - self.reserved_units)

    @property
    def remaining_rho(self) -> float:
        """What may still be reserved, in ρ, rounded down."""
        return _down(self.remaining_units)

    @property
    def spent_rho(self) -> float:
        """What is spent for good, in ρ."""
        return float(self.spent_units * UNIT)

    @property
    def epsilon_remaining(self) -> float:
        """The largest ε at the account's δ that one more run may spend."""
        return epsilon_of(self.remaining_rho, self.account.delta)

    @property
    def epsilon_spent(self) -> float:
        """The (ε, δ) guarantee of all that was spent so far."""
        return epsilon_of(self.spent_rho, self.account.delta)


def _down(units: int) -> float:
    """The largest float that is not above the exact value."""
    value = float(units * UNIT)
    return nextafter(value, 0.0) if Fraction(value) > units * UNIT else value
