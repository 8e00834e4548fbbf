"""Sums, comparisons and a log-rank test among parties that talk to each other, with MPyC; there is no coordinator.

Each function takes MPyC's runtime and this party's own integers; every party calls the
same function at the same time and gets the same answer. Nothing else is opened: not
the pooled table behind a comparison, not the totals behind a test statistic.

Numbers are Shamir-shared among the parties: any minority of them, acting together but following the
protocol, learns only the answer (Ben-Or, Goldwasser, Wigderson 1988).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

INTEGER_BITS = 64
MOST_PATIENTS = 2**16
"""The most patients that all parties together may have in a log-rank test."""
_SPARE_BITS = 8


class MpcError(ValueError):
    """The inputs do not fit the computation; nothing was opened."""


@dataclass(frozen=True, slots=True)
class Survival:
    """One party's patients in two groups over agreed times: at each time, how many are at risk and how many die.

    The four rows have the same length; ``first`` names the first group, ``both`` the two groups together.
    """

    deaths_first: Sequence[int]
    deaths_both: Sequence[int]
    at_risk_first: Sequence[int]
    at_risk_both: Sequence[int]

    def rows(self) -> NDArray[np.int64]:
        """The counts, 4 × times; raises :class:`MpcError` when they cannot be such counts."""
        rows = [np.asarray(row) for row in (self.deaths_first, self.deaths_both, self.at_risk_first, self.at_risk_both)]
        if len({row.shape for row in rows}) != 1 or rows[0].ndim != 1 or not len(rows[0]):
            raise MpcError("the four rows of counts must have one and the same length")
        table = np.stack(rows)
        if table.dtype.kind not in "iu" or int(table.min()) < 0 or int(table.max()) > MOST_PATIENTS:
            raise MpcError(f"counts are whole numbers from 0 to {MOST_PATIENTS}")
        d1, d, n1, n = table
        if np.any(d1 > d) or np.any(n1 > n) or np.any(d1 > n1) or np.any(d - d1 > n - n1):
            raise MpcError("more die than are at risk, or one group has more than both together")
        return table.astype(np.int64)


async def secure_sum(mpc: Any, vector: NDArray[np.int64]) -> NDArray[np.int64]:
    """The exact sum of all parties' vectors; raises :class:`MpcError` when it could overflow."""
    total = await _total(mpc, vector)
    return np.array([int(number) for number in await mpc.output(total)], dtype=np.int64)


async def at_least(mpc: Any, vector: NDArray[np.int64], limits: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each number of the parties' sum reaches its public limit; the sum itself stays secret."""
    if limits.shape != vector.shape or limits.dtype != np.int64:
        raise MpcError("there must be one limit, a 64-bit integer, for each number")
    total = await _total(mpc, vector)
    reached = await mpc.output(total >= limits.astype(object))
    return np.array([bool(int(bit)) for bit in reached])


async def log_rank(mpc: Any, own: Survival, patients: int) -> float:
    """χ² of the log-rank test (one degree of freedom) over all parties' patients; only χ² is opened.

    ``patients`` is a public upper bound for the patients of all parties together, at most
    :data:`MOST_PATIENTS`; fixed-point precision is chosen for it, so that the result agrees with the
    one in the clear to four digits. Zero when the two groups are never at risk together.
    """
    excess, variance = await _excess_and_variance(mpc, own, patients)
    size = _size(patients)
    chi_square = excess * (excess * _reciprocal(variance, size, smallest=-size))
    return float(await mpc.output(chi_square))


async def log_rank_reaches(mpc: Any, own: Survival, patients: int, critical: float) -> bool:
    """Whether χ² of the log-rank test reaches a public critical value (3.841459 for p < 0.05); only this is opened."""
    if not 0 < critical < 100:
        raise MpcError("the critical value of χ² must lie between 0 and 100")
    excess, variance = await _excess_and_variance(mpc, own, patients)
    return bool(int(await mpc.output(excess * excess >= variance * critical)))


async def _total(mpc: Any, vector: NDArray[np.int64]) -> Any:
    if vector.ndim != 1 or vector.dtype != np.int64 or not len(vector):
        raise MpcError("the vector must be a non-empty row of 64-bit integers")
    limit = (2 ** (INTEGER_BITS - 2) - 1) // len(mpc.parties)
    if int(vector.max()) > limit or int(vector.min()) < -limit:
        raise MpcError(f"a number is beyond ±{limit}: the sum could overflow")
    shared = mpc.input(mpc.SecInt(INTEGER_BITS).array(vector.astype(object)))
    return sum(shared[1:], start=shared[0])


async def _excess_and_variance(mpc: Any, own: Survival, patients: int) -> tuple[Any, Any]:
    """Σ(deaths − expected) of the first group and its hypergeometric variance, both secret.

    Divides by n and by n·(n − 1): neither is ever negative, and where one is 0, what it divides is 0 too.
    """
    rows = own.rows()
    if type(patients) is not int or not 2 <= patients <= MOST_PATIENTS or int(rows.max()) > patients:
        raise MpcError(f"the bound on all patients must be from 2 to {MOST_PATIENTS}, and hold for this party")
    size = _size(patients)
    fixed = mpc.SecFxp(_fraction_bits(size) + 2 * size + _SPARE_BITS, _fraction_bits(size))
    shared = mpc.input(fixed.array(rows.reshape(-1).astype(float), integral=False))
    total = sum(shared[1:], start=shared[0])
    times = rows.shape[1]
    d1, d, n1, n = (total[part * times : (part + 1) * times] for part in range(4))
    proportion = n1 * _reciprocal(n, size, smallest=0)
    excess = mpc.np_sum(d1 - d * proportion)
    one_less = n * _reciprocal(n * (n - 1), 2 * size, smallest=1)  # 1 / (n - 1)
    variance = mpc.np_sum(proportion * (1 - proportion) * d * ((n - d) * one_less))
    return excess, variance


def _size(patients: int) -> int:
    return math.ceil(math.log2(patients))


def _fraction_bits(size: int) -> int:
    """So that the reciprocal of the largest divisor, 2^-2·size, still has 22 digits."""
    return 2 * size + 22


def _reciprocal(divisor: Any, largest: int, *, smallest: int) -> Any:
    """Newton's method from 2^-largest, for divisors from 2^smallest to 2^largest; stays small where the divisor is 0.

    The number of steps is public and the same for every divisor, so nothing is learned from it. A
    divisor x0 too small by 2^-k needs k steps to come near and six more to be exact.
    """
    start = 2.0**-largest
    value = (2 - divisor * start) * start
    for _ in range(largest - smallest + 5):
        value = value * (2 - divisor * value)
    return value
