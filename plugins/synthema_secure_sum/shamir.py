"""Shamir's secret sharing of 32-byte secrets over the field of integers modulo 2^521 − 1.

A share is the value of a random polynomial of degree ``threshold - 1`` at the
reader's number; the secret is its value at 0. Any ``threshold - 1`` shares are
independent of the secret (Shamir 1979).
"""

from __future__ import annotations

import itertools
import math
import secrets
from collections.abc import Mapping, Sequence

from synthema_secure_sum.wire import KEY_BYTES, SecureSumError

PRIME = 2**521 - 1
SHARE_BYTES = 66


def split(secret: bytes, numbers: Sequence[int], threshold: int) -> dict[int, bytes]:
    """A share of the secret for each reader's number, 66 bytes each."""
    coefficients = [int.from_bytes(secret), *(secrets.randbelow(PRIME) for _ in range(threshold - 1))]
    return {number: _value_at(coefficients, number).to_bytes(SHARE_BYTES) for number in numbers}


def _value_at(coefficients: Sequence[int], point: int) -> int:
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * point + coefficient) % PRIME
    return value


def weights_at_zero(numbers: Sequence[int]) -> dict[int, int]:
    """Lagrange's weights: the secret is the weighted sum of the shares with these numbers.

    All denominators are inverted with one inversion (Montgomery's trick), as inverting is what costs.
    """
    product = math.prod(numbers)
    below = [mine * math.prod(other - mine for other in numbers if other != mine) % PRIME for mine in numbers]
    running = list(itertools.accumulate(below, lambda left, right: left * right % PRIME, initial=1))
    inverse = pow(running[-1], -1, PRIME)
    weights = {}
    for mine, before, own in zip(reversed(numbers), reversed(running[:-1]), reversed(below), strict=True):
        weights[mine] = product * inverse * before % PRIME
        inverse = inverse * own % PRIME
    return weights


def join(shares: Mapping[int, bytes], weights: Mapping[int, int]) -> bytes:
    """The secret, 32 bytes; raises :class:`SecureSumError` when the shares hold no such secret."""
    secret = sum(int.from_bytes(shares[number]) * weight for number, weight in weights.items()) % PRIME
    try:
        return secret.to_bytes(KEY_BYTES)
    except OverflowError as error:
        raise SecureSumError("the shares do not belong together") from error
