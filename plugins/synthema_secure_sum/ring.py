"""The ring of integers in which a round adds up: 32 or 64 bits wide, chosen before any data is seen.

``bound`` is the largest size that any number of any member may have; it is
agreed before the round and part of its transcript. The ring is the narrowest one in which even
``members`` such numbers cannot wrap round, so overflow is impossible by
construction; each member refuses a vector beyond the bound, so a wrong vector cannot cause it either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthema_secure_sum.wire import SecureSumError

WIDTHS = (32, 64)
WIDEST = 2 ** (WIDTHS[-1] - 1) - 1


@dataclass(frozen=True, slots=True)
class Ring:
    """The integers modulo ``2**bits``, read as signed; every number of every member lies in ±``bound``."""

    bits: int
    bound: int

    @classmethod
    def for_sum(cls, members: int, bound: int | None = None) -> Ring:
        """The narrowest ring for the sum of ``members`` numbers; without a bound, 64 bits and the widest bound.

        Raises :class:`SecureSumError` when no ring is wide enough.
        """
        if bound is None:
            return cls(WIDTHS[-1], WIDEST // members)
        if type(bound) is not int or bound < 1:
            raise SecureSumError("the bound must be a positive whole number")
        for bits in WIDTHS:
            if members * bound <= 2 ** (bits - 1) - 1:
                return cls(bits, bound)
        raise SecureSumError(f"a sum of {members} numbers up to {bound} could overflow {WIDTHS[-1]} bits")

    @property
    def dtype(self) -> np.dtype[Any]:
        """The unsigned type of masked vectors."""
        return np.dtype(f"<u{self.bits // 8}")

    def encode(self, vector: NDArray[np.int64]) -> NDArray[Any]:
        """A new vector of ring elements; raises :class:`SecureSumError` for another form or a number out of bounds."""
        if vector.ndim != 1 or vector.dtype != np.int64 or not len(vector):
            raise SecureSumError("the vector must be a non-empty row of 64-bit integers")
        if int(vector.max()) > self.bound or int(vector.min()) < -self.bound:
            raise SecureSumError(f"a number of the vector is beyond ±{self.bound}: the sum could overflow")
        return vector.astype(self.dtype)

    def decode(self, total: NDArray[Any]) -> NDArray[np.int64]:
        """The signed sum that a vector of ring elements stands for."""
        return total.view(f"<i{self.bits // 8}").astype(np.int64)

    def check(self, masked: NDArray[Any], length: int, owner: str) -> None:
        """Raise :class:`SecureSumError` unless this is a masked vector of this ring and length."""
        if masked.ndim != 1 or masked.dtype != self.dtype or len(masked) != length:
            raise SecureSumError(f"the masked vector of {owner} has another shape or type than the round's")
