"""The values of the privacy-loss ledger: an account, what was taken from it, and what is left.

Losses are kept as whole numbers of :data:`UNIT` (10⁻¹² of ρ or ε). Whole numbers add up
the same in every order, so no sequence of runs can squeeze a rounding error out of a ceiling.

A ceiling (ε, δ) is held by two filters, and a loss that passes either is allowed:

* the ρ of all releases stay below the ρ that implies (ε, δ − δ_f), and their chances to fail outright below δ_f;
* all releases have a pure ε, and these stay below ε.

Both hold however each release was chosen in the light of the ones before (Whitehouse et al. 2023; Rogers et al. 2016),
and so does their union: the runs of releases that end inside the second filter cost no δ at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from math import ceil, floor, inf, isfinite, nextafter

from synthema.budget.convert import UNIT, epsilon_of
from synthema.budget.mechanisms import DELTA_UNIT, LARGEST_UNITS, Loss, Mechanism, decimal
from synthema.errors import ConflictError, InputError

EVERYONE = "*"
"""Recipient of an account that bounds what all recipients of a dataset together may learn."""

ALERT = 0.8
"""The share of a budget, spent or set aside, from which a person should look."""


def units_up(rho: float) -> int:
    """ρ in whole units, rounded up: never less is charged than is lost. Raises :class:`InputError`."""
    return ceil(_as_fraction(rho) / UNIT)


def units_down(rho: float) -> int:
    """ρ in whole units, rounded down: never more is allowed than was agreed. Raises :class:`InputError`."""
    return floor(_as_fraction(rho) / UNIT)


def _as_fraction(rho: float) -> Fraction:
    if not isfinite(rho) or rho < 0:
        raise InputError("a privacy loss must be a finite number of 0 or more", fix="give rho as a number such as 0.1")
    value = decimal(rho)
    if value > LARGEST_UNITS * UNIT:
        raise InputError("this privacy loss is so large that it protects nobody", fix="give a rho of at most 1000000")
    return value


class ReservationState(StrEnum):
    """Where a reservation stands. Only :data:`TRANSITIONS` says how it may move."""

    RESERVED = "reserved"
    OPEN = "open"
    SPENT = "spent"
    CANCELLED = "cancelled"


TRANSITIONS: dict[tuple[ReservationState, str], ReservationState] = {
    (ReservationState.RESERVED, "spend"): ReservationState.SPENT,
    (ReservationState.RESERVED, "cancel"): ReservationState.CANCELLED,
    (ReservationState.RESERVED, "open"): ReservationState.OPEN,
    (ReservationState.OPEN, "free"): ReservationState.CANCELLED,
}
"""What was spent stays spent: noise that was seen cannot be unseen.

An open reservation is spent part by part: each part leaves it as a spent one of its own (:mod:`.parts`), and what is
in it still counts as set aside until it is freed.
"""


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

    ``epsilon`` at ``delta`` is what was agreed; ``ceiling_units`` is the same as ρ. ``failure_delta`` is
    the part of ``delta`` kept for mechanisms that may fail outright. A dataset's account for
    :data:`EVERYONE` bounds all its recipients together.
    """

    id: str
    dataset_id: str
    basis: str
    recipient: str
    epsilon: float
    delta: float
    ceiling_units: int
    opened_at: datetime
    failure_delta: float = 0.0

    @property
    def pure_ceiling_units(self) -> int:
        """The ceiling for releases that all have a pure ε, in units."""
        return floor(decimal(self.epsilon) / UNIT)

    @property
    def failure_ceiling_units(self) -> int:
        """The ceiling for the chances to fail outright, in units of :data:`DELTA_UNIT`."""
        return floor(decimal(self.failure_delta) / DELTA_UNIT)


@dataclass(frozen=True, slots=True)
class Reservation:
    """Privacy loss set aside for one run: ρ in ``units``, and what its ``mechanisms`` say beside.

    ``part`` names the part of a run that spent it, e.g. a round; it is empty for what was set aside for the run.
    """

    id: str
    account_id: str
    run_id: str
    units: int
    state: ReservationState
    reserved_at: datetime
    settled_at: datetime | None = None
    reason: str | None = None
    pure_units: int | None = None
    delta_units: int = 0
    mechanisms: tuple[Mechanism, ...] = ()
    part: str = ""

    @property
    def used(self) -> tuple[Mechanism, ...]:
        """What was done, as far as it is known: without more, a release of this ρ."""
        return self.mechanisms or ((Mechanism("zcdp", self.rho),) if self.units else ())

    @property
    def rho(self) -> float:
        """The loss set aside, in ρ."""
        return float(self.units * UNIT)


@dataclass(frozen=True, slots=True)
class Balance:
    """An account at one moment: what is spent, set aside and left.

    The ``pure`` sums are ``None`` as soon as anything without a pure ε was spent or set aside.
    """

    account: Account
    spent_units: int
    reserved_units: int
    spent_pure: int | None = 0
    reserved_pure: int | None = 0
    spent_delta: int = 0
    reserved_delta: int = 0

    def has_room_for(self, loss: Loss) -> bool:
        """Whether this much more may be lost: by the sum of ρ, or by the sum of pure ε."""
        delta = self.spent_delta + self.reserved_delta + loss.delta_units
        if loss.units <= self.remaining_units and delta <= self.account.failure_ceiling_units:
            return True
        if self.spent_pure is None or self.reserved_pure is None or loss.pure_units is None:
            return False
        return self.spent_pure + self.reserved_pure + loss.pure_units <= self.account.pure_ceiling_units

    @property
    def share(self) -> float:
        """The part of the ceiling that is spent or set aside, by the filter that leaves more."""
        by_rho = (self.spent_units + self.reserved_units) / self.account.ceiling_units
        if self.spent_pure is None or self.reserved_pure is None:
            return by_rho
        return min(by_rho, (self.spent_pure + self.reserved_pure) / self.account.pure_ceiling_units)

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
        """The (ε, δ) guarantee of all that was spent so far, by the tighter of the two filters."""
        left = self.account.delta - float(self.spent_delta * DELTA_UNIT)
        by_rho = epsilon_of(self.spent_rho, left) if left > 0 else inf
        return by_rho if self.spent_pure is None else min(by_rho, float(self.spent_pure * UNIT))


def _down(units: int) -> float:
    """The largest float that is not above the exact value."""
    value = float(units * UNIT)
    return nextafter(value, 0.0) if Fraction(value) > units * UNIT else value
