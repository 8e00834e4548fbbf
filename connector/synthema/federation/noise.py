"""Exact discrete Gaussian noise from cryptographic random bits, a million draws in a fraction of a second.

The law is that of Canonne, Kamath and Steinke (2020, "The discrete Gaussian for differential privacy", definition 1):
each whole number ``z`` with probability proportional to exp(−z²/2σ²), with σ the very
floating-point number given. Draws come by rejection, many at once:

* a *layer* ``k``: 0, 1, 2, … with probability ½, ¼, ⅛, …, and a *place* ``j`` in it, one of ``2^m ≥ σ``,
  and a sign; the candidate is ±(2^m·k + j), and −0 is no candidate. All of these are whole random bits;
* it is kept with probability 2^(k−1)·exp(½ − z²/2σ²), which is at most 1, as z ≥ k·σ. A
  candidate comes with a probability proportional to 2^−k, so what is kept has the law above.

**Exact, although it computes in floating point.** A uniform number is compared with that last probability. Where the
two are further apart than floating point can err (:data:`DOUBT`), the comparison
cannot be wrong. Otherwise (once in 2^42 candidates) the uniform number gets more random bits and the
probability more decimals until they differ. No table is cut off, and no tail.

Declared, not proven: that :func:`numpy.exp` errs by less than 2^−48 of its value (tests compare it with 60 decimals),
and that nobody times this loop from outside: how often it turns depends on candidates that were *not* kept.
"""

from __future__ import annotations

import decimal
import math
import os
from typing import Protocol

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from numpy.typing import NDArray

from synthema.errors import InputError

SMALLEST_SIGMA, LARGEST_SIGMA = 2.0**-52, 2.0**52
"""Beyond these, floating point could err by more than is allowed for here."""
DOUBT = 2.0**-43
"""More than the uniform number's 53 bits and the acceptance probability's error together (at most 2^-45)."""

_WORD = 8
_UNIFORM_BITS = 53
_BATCH = 1 << 16  # candidates at a time: what is computed about them stays in the processor's cache
_KEPT = 0.25  # at least this share of candidates is kept when σ is 1 or more, and half of it below

Words = NDArray[np.uint64]


class BitSource(Protocol):
    """Where random bits come from."""

    def words(self, count: int) -> Words:
        """So many independent uniform 64-bit words."""
        ...


class SystemBits:
    """The operating system's generator, stretched: AES-256 in counter mode under a key of 256 fresh random bits."""

    def __init__(self) -> None:
        self._stream = Cipher(AES256(os.urandom(32)), CTR(bytes(16))).encryptor()

    def words(self, count: int) -> Words:
        """So many words of the keystream; none is ever given twice."""
        return np.frombuffer(self._stream.update(bytes(_WORD * count)), np.uint64)


def discrete_gaussian(sigma: float, length: int, source: BitSource | None = None) -> NDArray[np.int64]:
    """``length`` independent draws with probability proportional to exp(−z²/2σ²) on the whole numbers.

    ``source`` is for tests. Raises :class:`InputError` unless ``sigma`` lies between :data:`SMALLEST_SIGMA`
    and :data:`LARGEST_SIGMA`.
    """
    if not SMALLEST_SIGMA <= sigma <= LARGEST_SIGMA or length < 0:
        raise InputError(
            f"noise of scale {sigma:g} cannot be drawn", fix="correct the plan's privacy or the algorithm's sensitivity"
        )
    bits = source or SystemBits()
    draws = np.empty(length, np.int64)
    filled = 0
    while filled < length:
        kept = _kept(sigma, min(_BATCH, 64 + math.ceil((length - filled) / _KEPT)), bits)[: length - filled]
        draws[filled : filled + len(kept)] = kept
        filled += len(kept)
    return draws


def _kept(sigma: float, count: int, bits: BitSource) -> NDArray[np.int64]:
    """Those of ``count`` candidates that are kept, in order."""
    places = max(0, math.ceil(math.log2(sigma)))
    places += 2.0**places < sigma  # in case the logarithm was rounded down
    words = bits.words(count)
    layer = _layers(bits.words(count), bits)
    size = (layer << places) | (words & np.uint64((1 << places) - 1)).astype(np.int64)
    negative = words >> np.uint64(63) == 1
    uniform = bits.words(count) >> np.uint64(64 - _UNIFORM_BITS)
    scaled = size / sigma
    chance = np.exp(0.5 + (layer - 1) * math.log(2) - scaled * scaled / 2)
    gap = chance - uniform * 2.0**-_UNIFORM_BITS
    keep = gap > 0
    for place in np.flatnonzero(np.abs(gap) <= DOUBT):
        keep[place] = _below(int(uniform[place]), int(size[place]), int(layer[place]), sigma, bits)
    keep &= ~(negative & (size == 0))
    kept: NDArray[np.int64] = np.where(negative, -size, size)[keep]
    return kept


def _layers(words: Words, bits: BitSource) -> NDArray[np.int64]:
    """Zeros before the first one in an endless row of random bits, for each word: k with probability 2^−(k+1)."""
    lowest = words & (~words + np.uint64(1))
    layers: NDArray[np.int64] = np.bitwise_count(lowest - np.uint64(1)).astype(np.int64)
    for place in np.flatnonzero(words == 0):  # 64 zeros: the row goes on
        layers[place] = 64 + _layers(bits.words(1), bits)[0]
    return layers


def _below(uniform: int, size: int, layer: int, sigma: float, bits: BitSource) -> bool:
    """Whether a uniform number that begins with these bits lies below the acceptance probability."""
    known = _UNIFORM_BITS
    while True:
        uniform, known = (uniform << 64) | int(bits.words(1)[0]), known + 64
        digits = 30 + known // 3
        with decimal.localcontext(decimal.Context(prec=digits, Emin=-(10**9), Emax=10**9)) as exact:
            ratio = decimal.Decimal(size) / decimal.Decimal(sigma)
            chance = (decimal.Decimal("0.5") - ratio * ratio / 2).exp() * decimal.Decimal(2) ** (layer - 1)
            error = chance * exact.power(decimal.Decimal(10), 12 - digits) * (1 + ratio * ratio)
            low = decimal.Decimal(uniform) / decimal.Decimal(2) ** known
            high = decimal.Decimal(uniform + 1) / decimal.Decimal(2) ** known
            if high <= chance - error:
                return True
            if low >= chance + error:
                return False
