"""Looking at a privacy budget: what was told so far, what a release would cost, how many more fit.

Nothing here decides: the ledger alone does, and these numbers are what it would say now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from synthema.budget.compose import ASSUMPTIONS, Composition, advantage, compose
from synthema.budget.convert import epsilon_of, rho_of
from synthema.budget.mechanisms import DELTA_UNIT, Loss, Mechanism, loss_of
from synthema.budget.model import EVERYONE, Account, Balance, Reservation, ReservationState
from synthema.clock import to_text
from synthema.errors import InputError

_MOST = 10_000  # releases a what-if counts; more than that is "as many as you like"


@dataclass(frozen=True, slots=True)
class Picture:
    """An account, its own balance, that of the whole dataset's ceiling (if there is one), and what was reserved."""

    account: Account
    own: Balance
    wide: Balance | None
    reservations: tuple[Reservation, ...]

    @property
    def bounds(self) -> tuple[Balance, ...]:
        """The balances that must have room."""
        return (self.own,) if self.wide is None else (self.own, self.wide)

    @property
    def spent(self) -> tuple[Mechanism, ...]:
        """What was spent for good, in order."""
        done = [entry for entry in self.reservations if entry.state is ReservationState.SPENT]
        return tuple(mechanism for entry in done for mechanism in entry.used)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a release, made once or several times, would leave of a budget. All ε are at the account's δ."""

    account: Account
    times: int
    fits: bool
    before: float
    after: float
    fitting: int
    limited_by_dataset: bool

    def sentence(self) -> str:
        """The forecast as a sentence."""
        ceiling = f"{self.account.epsilon:g} (at δ = {self.account.delta:g})"
        if self.account.epsilon < self.after < inf or not self.fits:
            bound = "what all recipients of the dataset together may learn" if self.limited_by_dataset else ceiling
            return (
                f"This does not fit: with it, ε = {self.after:.3g} would be spent of {bound}; "
                f"{_times(self.fitting)} such release{_s(self.fitting)} would."
            )
        more = self.fitting - self.times
        return (
            f"With this, you would have spent ε = {self.after:.3g} of {ceiling}, after {self.before:.3g} until now; "
            f"{_times(more)} more such release{_s(more)} would fit."
        )

    def as_dict(self) -> dict[str, Any]:
        """The forecast as JSON."""
        return {
            "account": self.account.id,
            "dataset": self.account.dataset_id,
            "recipient": self.account.recipient,
            "ceiling": self.account.epsilon,
            "delta": self.account.delta,
            "times": self.times,
            "fits": self.fits,
            "spentBefore": self.before,
            "spentAfter": self.after,
            "fitting": self.fitting,
            "more": max(0, self.fitting - self.times) if self.fits else 0,
            "limitedByDataset": self.limited_by_dataset,
            "sentence": self.sentence(),
        }


def release_of(epsilon: float, delta: float) -> Mechanism:
    """A release as a run asks for it, (ε, δ), as the mechanism the ledger charges; raises :class:`InputError`."""
    rho = rho_of(epsilon, delta)
    if rho == 0:
        raise InputError("a release with ε = 0 tells nothing and costs nothing", fix="give an epsilon above 0")
    return Mechanism("zcdp", rho)


def what_if(picture: Picture, release: Sequence[Mechanism], times: int = 1) -> Forecast:
    """What it would cost to make a release so many times on top of what is spent and set aside."""
    if times < 1:
        raise InputError("a release is made at least once", where="times", fix="give a whole number above 0")
    fits = all(balance.has_room_for(_several(release, times)) for balance in picture.bounds)
    tightest = min(picture.bounds, key=lambda balance: _fitting(balance, release))
    return Forecast(
        account=picture.account,
        times=times,
        fits=fits,
        before=_spent(picture.own, None),
        after=_spent(picture.own, _several(release, times)),
        fitting=_fitting(tightest, release),
        limited_by_dataset=tightest.account.recipient == EVERYONE and picture.account.recipient != EVERYONE,
    )


def plan(picture: Picture, releases: int) -> dict[str, Any]:
    """An even share of what is left for so many releases, as the ε each may ask for at the account's δ.

    Many small releases are cheaper than their ε added up: that is told beside.
    """
    if releases < 1:
        raise InputError("a plan is for at least one release", where="releases", fix="give a whole number above 0")
    left = min(balance.remaining_units for balance in picture.bounds)
    share = left // releases
    epsilon = epsilon_of(share / 10**12, picture.account.delta)
    total = epsilon_of(left / 10**12, picture.account.delta)
    return {
        "account": picture.account.id,
        "releases": releases,
        "delta": picture.account.delta,
        "epsilonEach": epsilon,
        "rhoEach": share / 10**12,
        "epsilonLeft": total,
        "sentence": (
            "Nothing is left to plan with: conclude a new agreement with a budget of its own."
            if share == 0
            else f"For {releases} equal release{_s(releases)}, each may ask for ε = {_down(epsilon)} at "
            f"δ = {picture.account.delta:g}; by plain addition it would be {total / releases:.3g} each."
        ),
    }


def odometer(picture: Picture, *, numeric: bool = True) -> dict[str, Any]:
    """What was told about one patient so far, by every composition we know, the tightest first, and what that means."""
    spent = compose(picture.spent, picture.account.delta, numeric=numeric)
    best = spent.best
    guess = advantage(best.epsilon, picture.account.delta)
    return {
        "account": picture.account.id,
        "dataset": picture.account.dataset_id,
        "recipient": picture.account.recipient,
        "unit": "patient",
        "ceiling": picture.account.epsilon,
        "composition": spent.as_dict(),
        "guarantee": guarantee(picture.account, spent),
        "sentence": (
            f"So far ε = {best.epsilon:.3g} at δ = {picture.account.delta:g} of {picture.account.epsilon:g} was told "
            f"about any one patient ({best.method}): whoever guesses whether a patient is in the data is right at most "
            f"{50 + 50 * guess:.0f} % of the time, where a coin is right 50 %."
        ),
    }


def guarantee(account: Account, spent: Composition) -> list[dict[str, Any]]:
    """What is promised, how far it is shown, and under which assumptions."""
    promises = [
        {
            "statement": f"never more than ε = {account.epsilon:g} at δ = {account.delta:g} is told about a patient",
            "grade": "proven",
            "assumptions": [*ASSUMPTIONS, "each release may be chosen in the light of the ones before"],
        }
    ]
    best = spent.best
    assumed = (
        [] if best.adaptive else ["the mechanisms were fixed beforehand, not chosen in the light of earlier releases"]
    )
    promises.append(
        {
            "statement": f"so far, ε = {best.epsilon:.4g} at δ = {spent.delta:g} by {best.method}",
            "grade": best.grade,
            "assumptions": [*ASSUMPTIONS, *assumed, "the moment of reading was not chosen by what was released"],
        }
    )
    return promises


def history(picture: Picture) -> list[dict[str, Any]]:
    """Everything ever set aside on an account, in order, with what was spent in all by then (ε at the account's δ)."""
    spent: list[Mechanism] = []
    entries: list[dict[str, Any]] = []
    for reservation in picture.reservations:
        if reservation.state is ReservationState.SPENT:
            spent += reservation.used
        entries.append(
            {
                "run": reservation.run_id,
                "at": to_text(reservation.reserved_at),
                "settled": None if reservation.settled_at is None else to_text(reservation.settled_at),
                "state": str(reservation.state),
                "rho": reservation.rho,
                "spent": compose(spent, picture.account.delta, numeric=False).best.epsilon,
                "reason": reservation.reason,
                "mechanisms": [mechanism.words() for mechanism in reservation.used],
            }
        )
    return entries


def _several(release: Sequence[Mechanism], times: int) -> Loss:
    once = loss_of(release)
    pure = None if once.pure_units is None else once.pure_units * times
    return Loss(once.units * times, pure, once.delta_units * times)


def _fitting(balance: Balance, release: Sequence[Mechanism]) -> int:
    """How many such releases fit, found by halving."""
    low, high = 0, _MOST + 1
    while high - low > 1:
        middle = (low + high) // 2
        if balance.has_room_for(_several(release, middle)):
            low = middle
        else:
            high = middle
    return low


def _spent(balance: Balance, more: Loss | None) -> float:
    """ε of what is spent and set aside, and of ``more``, by the tighter of the two filters."""
    loss = more or Loss(0, 0, 0)
    units = balance.spent_units + balance.reserved_units + loss.units
    delta = float((balance.spent_delta + balance.reserved_delta + loss.delta_units) * DELTA_UNIT)
    left = balance.account.delta - delta
    by_rho = epsilon_of(units / 10**12, left) if left > 0 else inf
    if balance.spent_pure is None or balance.reserved_pure is None or loss.pure_units is None:
        return by_rho
    return min(by_rho, (balance.spent_pure + balance.reserved_pure + loss.pure_units) / 10**12)


def _down(epsilon: float) -> str:
    """Three digits, rounded down: what a sentence names must fit."""
    text = f"{epsilon:.3g}"
    return text if float(text) <= epsilon else f"{epsilon * 0.995:.3g}"


def _times(count: int) -> str:
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    return words[count] if count < len(words) else (str(count) if count <= _MOST else "ten thousand or more")


def _s(count: int) -> str:
    return "" if count == 1 else "s"
