"""How much several releases together have told about one patient: every composition we know, and the tightest.

Four readings of the same releases, each an upper bound on ε at a given δ:

* **basic**: the ε add up (Dwork et al. 2006); only for mechanisms with a pure ε.
* **zCDP**: ρ adds up and is converted tightly (see :mod:`synthema.budget.convert`). The ledger enforces ceilings with
  these two, because both stay true when each release is chosen in the light of the ones before (Whitehouse, Ramdas,
  Rogers and Wu 2023, "Fully-Adaptive Composition in Differential Privacy").
* **RDP**: Rényi divergences add up order by order (Mironov 2017), converted by ``dp-accounting``.
* **PLD**: the distributions of the privacy loss are convolved, by ``dp-accounting`` with pessimistic rounding
  (Koskela, Jälkö and Honkela 2020). The tightest, but only for mechanisms whose noise is known.

RDP and PLD need the extra ``dp``. Where they cannot be had, the composition says so and why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import exp, expm1, inf, isfinite, log, log1p
from typing import Any, Final, Literal

from synthema.budget.convert import epsilon_of
from synthema.budget.mechanisms import Mechanism, loss_of
from synthema.errors import InputError

Method = Literal["basic", "zCDP", "RDP", "PLD"]
Grade = Literal["proven", "computed"]

ADAPTIVE: Final[frozenset[Method]] = frozenset({"basic", "zCDP"})
"""The readings that hold even if each release was chosen in the light of the ones before."""

ASSUMPTIONS: Final = (
    "one patient is the unit: all records of a patient count as one",
    "each mechanism drew the noise it states, scaled to the most one patient can change",
    "patients who are in several datasets of this site are counted in each of them separately",
    "patients who are at several sites are counted at each of them: sites do not link patients",
)

_ORDERS: Final = tuple(1 + 10 ** (step / 25) for step in range(-75, 126))
_INTERVAL: Final = 1e-4  # of the discretised privacy loss; the rounding is pessimistic, so a coarser one only costs
_COARSE: Final = 1e-3
_COARSE_FROM: Final = 20.0


@dataclass(frozen=True, slots=True)
class Reading:
    """An upper bound on ε by one way of composing."""

    method: Method
    epsilon: float

    @property
    def adaptive(self) -> bool:
        """Whether it holds even if each release was chosen in the light of the ones before."""
        return self.method in ADAPTIVE

    @property
    def grade(self) -> Grade:
        """``proven``: a published proof and exact sums; ``computed``: a proof, and floating-point numerics on top."""
        return "computed" if self.method in ("RDP", "PLD") else "proven"

    def as_dict(self) -> dict[str, Any]:
        """The reading as JSON; no ε where the releases may fail outright more often than δ allows."""
        epsilon = self.epsilon if isfinite(self.epsilon) else None
        return {"method": self.method, "epsilon": epsilon, "adaptive": self.adaptive, "grade": self.grade}


@dataclass(frozen=True, slots=True)
class Composition:
    """All readings of some releases at one δ; ``missing`` says in sentences which could not be made."""

    delta: float
    readings: tuple[Reading, ...]
    missing: tuple[str, ...] = ()

    @property
    def best(self) -> Reading:
        """The tightest reading, whatever it assumes."""
        return min(self.readings, key=lambda reading: reading.epsilon)

    @property
    def best_adaptive(self) -> Reading:
        """The tightest reading that holds however the releases were chosen."""
        return min((r for r in self.readings if r.adaptive), key=lambda reading: reading.epsilon)

    def as_dict(self) -> dict[str, Any]:
        """The composition as JSON."""
        return {
            "delta": self.delta,
            "readings": [reading.as_dict() for reading in self.readings],
            "best": self.best.as_dict(),
            "bestAdaptive": self.best_adaptive.as_dict(),
            "missing": list(self.missing),
            "assumptions": list(ASSUMPTIONS),
        }


def compose(mechanisms: Sequence[Mechanism], delta: float, *, numeric: bool = True) -> Composition:
    """Every reading of these mechanisms at ``delta``; without ``numeric`` only those that need no library.

    What fails outright with probability δ′ leaves δ − δ′ to the rest. Raises :class:`InputError` for an impossible δ.
    """
    if not 0 < delta < 1:
        raise InputError("delta must lie between 0 and 1, both excluded", fix="give a delta such as 1e-6")
    if not mechanisms:
        return Composition(delta, (Reading("basic", 0.0), Reading("zCDP", 0.0)))
    readings = [Reading("zCDP", _concentrated(mechanisms, delta))]
    missing: list[str] = []
    basic = _basic(mechanisms, delta)
    if basic is None:
        missing.append("basic composition is left out: not all releases have a pure ε")
    else:
        readings.append(Reading("basic", basic))
    if numeric:
        for method, reckon in (("RDP", _renyi), ("PLD", _distributions)):
            found = reckon(mechanisms, delta)
            if isinstance(found, str):
                missing.append(f"{method} is left out: {found}")
            else:
                readings.append(Reading("RDP" if method == "RDP" else "PLD", found))
    return Composition(delta, tuple(readings), tuple(missing))


def _concentrated(mechanisms: Sequence[Mechanism], delta: float) -> float:
    left = delta - float(sum(mechanism.failure for mechanism in mechanisms))
    return epsilon_of(float(sum(mechanism.rho for mechanism in mechanisms)), left) if left > 0 else inf


def _basic(mechanisms: Sequence[Mechanism], delta: float) -> float | None:
    """The ε add up, and so do the δ."""
    known = [m for m in mechanisms if m.pure_epsilon is not None or m.kind == "approximate"]
    if len(known) < len(mechanisms):
        return None
    epsilon = sum(m.pure_epsilon if m.pure_epsilon is not None else m.value * m.count for m in known)
    return float(epsilon) if float(sum(m.failure for m in known)) <= delta else inf


def _renyi(mechanisms: Sequence[Mechanism], delta: float) -> float | str:
    try:
        from dp_accounting.rdp import rdp_privacy_accountant  # noqa: PLC0415 - an extra, and slow to import
    except ImportError:
        return "install the extra: pip install 'synthema[dp]'"
    left = delta - float(sum(mechanism.failure for mechanism in mechanisms))
    if left <= 0:
        return "the releases may fail outright more often than δ allows"
    curve = [sum(mechanism.count * _divergence(mechanism, order) for mechanism in mechanisms) for order in _ORDERS]
    epsilon, _ = rdp_privacy_accountant.compute_epsilon(_ORDERS, curve, left)
    return float(epsilon)


def _divergence(mechanism: Mechanism, order: float) -> float:
    """The Rényi divergence of one use at an order above 1 (Mironov 2017, Table II; ε-DP by randomised response)."""
    if mechanism.kind in ("zcdp", "gaussian", "discrete-gaussian"):
        return order * float(mechanism.rho) / mechanism.count
    epsilon = float(mechanism.pure_epsilon or 0) / mechanism.count or mechanism.value
    if mechanism.kind == "laplace":
        likely = log(order / (2 * order - 1)) + (order - 1) * epsilon
        unlikely = log((order - 1) / (2 * order - 1)) - order * epsilon
        return (likely + log1p(exp(unlikely - likely))) / (order - 1)
    # All else of a pure ε is dominated by randomised response: p = e^ε/(1+e^ε).
    likely = order * -log1p(exp(-epsilon)) + (1 - order) * -log1p(exp(epsilon))
    unlikely = order * -log1p(exp(epsilon)) + (1 - order) * -log1p(exp(-epsilon))
    return min(epsilon, max(0.0, (likely + log1p(exp(unlikely - likely))) / (order - 1)))


def _distributions(mechanisms: Sequence[Mechanism], delta: float) -> float | str:
    if any(mechanism.kind == "zcdp" for mechanism in mechanisms):
        return "a release known only by its ρ has no distribution of the privacy loss"
    try:
        from dp_accounting.pld import privacy_loss_distribution as pld  # noqa: PLC0415 - an extra, and slow to import
    except ImportError:
        return "install the extra: pip install 'synthema[dp]'"
    loss = loss_of(mechanisms).units / 10**12
    interval = _COARSE if loss + 1 > _COARSE_FROM else _INTERVAL
    found = [_distribution(pld, mechanism, interval) for mechanism in mechanisms]
    epsilon = float(reduce(lambda one, other: one.compose(other), found).get_epsilon_for_delta(delta))
    return epsilon if epsilon >= 0 else 0.0


def _distribution(pld: Any, mechanism: Mechanism, interval: float) -> Any:
    value, options = mechanism.value, {"value_discretization_interval": interval}
    match mechanism.kind:
        case "gaussian":
            once = pld.from_gaussian_mechanism(value, **options)
        case "discrete-gaussian":
            once = pld.from_discrete_gaussian_mechanism(value, **options)
        case "laplace":
            once = pld.from_laplace_mechanism(value, **options)
        case "discrete-laplace":
            once = pld.from_discrete_laplace_mechanism(1 / value, **options)
        case _:
            from dp_accounting.pld.common import DifferentialPrivacyParameters  # noqa: PLC0415 - as above

            once = pld.from_privacy_parameters(DifferentialPrivacyParameters(value, mechanism.delta), **options)
    return once.self_compose(mechanism.count) if mechanism.count > 1 else once


def advantage(epsilon: float, delta: float) -> float:
    """The most a guess "was this patient in?" can be better than a coin, from 0 to 1 (Kairouz, Oh, Viswanath 2015)."""
    return min(1.0, (expm1(epsilon) + 2 * delta) / (exp(epsilon) + 1)) if epsilon < 700 else 1.0
