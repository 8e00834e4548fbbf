"""What a release does to protect a patient, as the ledger keeps it: the mechanism, its strength, how often it was used.

Every mechanism is bounded in three ways at once, each a whole number of small units, so that sums are exact:

* ρ of (approximate) zero-concentrated differential privacy, which all of them have;
* the pure ε, where there is one;
* the δ of failing outright, beyond what ρ bounds.

Sources: Gaussian ρ = Δ²/2σ² (Bun and Steinke 2016, Proposition 1.6), discrete Gaussian the same (Canonne, Kamath and
Steinke 2020, Theorem 4); ε-DP has ρ = ε²/2 (Bun and Steinke 2016, Proposition 1.4); (ε, δ)-DP is δ-approximate
(ε²/2)-zCDP (ibid., §8).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, isfinite
from typing import Any, Final, Literal, Self, get_args

from synthema.budget.convert import UNIT
from synthema.errors import InputError

Kind = Literal["zcdp", "gaussian", "discrete-gaussian", "laplace", "discrete-laplace", "pure", "approximate"]

DELTA_UNIT: Final = Fraction(1, 10**18)
"""The smallest probability of failure the ledger can tell apart."""

LARGEST_UNITS: Final = 10**18
"""Keeps every sum inside a 64-bit database integer: ρ = 10⁶, far beyond any protection."""

_GAUSSIAN: Final = ("gaussian", "discrete-gaussian")
_LAPLACE: Final = ("laplace", "discrete-laplace")
_PURE: Final = (*_LAPLACE, "pure")

_WORDS: Final = {
    "zcdp": "a release of ρ = {value:g}",
    "gaussian": "Gaussian noise of {value:g} times the most one patient can change",
    "discrete-gaussian": "discrete Gaussian noise of {value:g} times the most one patient can change",
    "laplace": "Laplace noise of {value:g} times the most one patient can change",
    "discrete-laplace": "discrete Laplace noise of {value:g} times the most one patient can change",
    "pure": "a release of ε = {value:g} without δ",
    "approximate": "a release of ε = {value:g} that may fail with probability δ = {delta:g}",
}


@dataclass(frozen=True, slots=True)
class Mechanism:
    """One mechanism, used ``count`` times.

    ``value`` is ρ for ``zcdp``; the noise (standard deviation or scale) divided by the sensitivity to one patient
    for the Gaussian and Laplace ones; ε for ``pure`` and ``approximate``. Only ``approximate`` has a ``delta``.
    """

    kind: Kind
    value: float
    delta: float = 0.0
    count: int = 1

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise InputError(
                f"'{str(self.kind)[:40]}' is not a known mechanism", fix=f"use one of: {', '.join(get_args(Kind))}"
            )
        if not isfinite(self.value) or self.value <= 0:
            raise InputError(
                "a privacy loss must be a finite number above 0", where="value", fix="give a number such as 0.1"
            )
        if (self.kind == "approximate") != (self.delta != 0) or not 0 <= self.delta < 1:
            raise InputError(
                "a δ of failing belongs to an 'approximate' mechanism, and lies between 0 and 1",
                where="delta",
                fix="give kind 'approximate' with its δ, or leave δ out",
            )
        if isinstance(self.count, bool) or self.count < 1:
            raise InputError("a mechanism is used at least once", where="count", fix="give a whole number above 0")

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> Self:
        """A mechanism from JSON; raises :class:`InputError` naming what is wrong with it."""
        known = {"kind", "value", "delta", "count"}
        if not {"kind", "value"} <= set(value) <= known:
            raise InputError("a mechanism has a kind and a value", fix=f"give only: {', '.join(sorted(known))}")
        try:
            return cls(value["kind"], float(value["value"]), float(value.get("delta", 0.0)), int(value.get("count", 1)))
        except (TypeError, ValueError) as error:
            raise InputError("a mechanism's value is not a number", fix="give a number such as 0.1") from error

    def as_dict(self) -> dict[str, Any]:
        """The mechanism as JSON; :meth:`read` reads it back."""
        value: dict[str, Any] = {"kind": self.kind, "value": float(self.value)}
        return (
            value
            | ({"delta": float(self.delta)} if self.delta else {})
            | ({"count": self.count} if self.count > 1 else {})
        )

    def words(self) -> str:
        """The mechanism as a phrase, e.g. "Gaussian noise of 4 times the most one patient can change"."""
        told = _WORDS[self.kind].format(value=self.value, delta=self.delta)
        return told if self.count == 1 else f"{told}, {self.count} times"

    @property
    def rho(self) -> Fraction:
        """ρ of all uses together, exactly."""
        value = decimal(self.value)
        if self.kind == "zcdp":
            once = value
        elif self.kind in _GAUSSIAN:
            once = 1 / (2 * value**2)
        else:
            once = self._epsilon() ** 2 / 2
        return once * self.count

    @property
    def pure_epsilon(self) -> Fraction | None:
        """ε of all uses together by plain addition; ``None`` for what has no pure guarantee."""
        return self._epsilon() * self.count if self.kind in _PURE else None

    @property
    def failure(self) -> Fraction:
        """The δ of all uses failing outright."""
        return decimal(self.delta) * self.count

    def _epsilon(self) -> Fraction:
        return 1 / decimal(self.value) if self.kind in _LAPLACE else decimal(self.value)


@dataclass(frozen=True, slots=True)
class Loss:
    """What several mechanisms together may cost a patient, in whole units rounded up: never less than is lost."""

    units: int
    pure_units: int | None
    delta_units: int

    def __post_init__(self) -> None:
        if self.units > LARGEST_UNITS or (self.pure_units or 0) > LARGEST_UNITS:
            raise InputError(
                "this privacy loss is so large that it protects nobody", fix="give a rho of at most 1000000"
            )


def loss_of(mechanisms: Iterable[Mechanism]) -> Loss:
    """The loss of several mechanisms used on the same patients, whatever each of them was shown before."""
    used = list(mechanisms)
    pure = [mechanism.pure_epsilon for mechanism in used]
    return Loss(
        ceil(sum(mechanism.rho for mechanism in used) / UNIT),
        None if None in pure else ceil(sum(value for value in pure if value is not None) / UNIT),
        ceil(sum(mechanism.failure for mechanism in used) / DELTA_UNIT),
    )


def decimal(value: float) -> Fraction:
    """The shortest decimal that names a float: 0.1 is charged as 0.1, not as the binary number just above it."""
    return Fraction(repr(float(value)))
