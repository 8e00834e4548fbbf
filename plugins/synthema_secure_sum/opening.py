"""The coordinator's side of the secure sum: from masked vectors and answers to the total."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from numpy.typing import NDArray

from synthema.spi.model import Json
from synthema_secure_sum import masks, shamir
from synthema_secure_sum.wire import Roll, SecureSumError, octets


def open_sum(
    round_id: str,
    public_keys: Mapping[str, Json],
    masked: Mapping[str, NDArray[np.uint64]],
    answers: Mapping[str, Json],
    threshold: int,
) -> NDArray[np.int64]:
    """The exact sum of the vectors in ``masked``.

    ``public_keys`` are those all members were sent before they shared; a member
    that shared but is not in ``masked`` dropped out, and its pair masks are removed. Raises
    :class:`SecureSumError` when fewer than ``threshold`` members answered, or an answer is wrong.
    """
    roll = Roll.call(round_id, public_keys, threshold)
    survivors = sorted(masked)
    if not set(answers) <= set(survivors) <= set(roll.keys):
        raise SecureSumError("a vector or an answer is from someone who is no surviving member")
    if len(answers) < threshold:
        raise SecureSumError(f"only {len(answers)} members answered; {threshold} are needed to open the sum")
    dropped = _dropped(answers, survivors)
    readers = sorted(answers)[:threshold]
    numbers = {name: roll.number(name) for name in readers}
    weights = shamir.weights_at_zero(list(numbers.values()))

    def secret_of(owner: str, part: str) -> bytes:
        shares = {
            numbers[name]: octets(answers[name][part][owner], shamir.SHARE_BYTES, f"an answer of {name}")
            for name in readers
        }
        return shamir.join(shares, weights)

    removals = [
        (masks.self_key(_seed(roll, name, secret_of(name, "seeds")), roll.transcript), -1) for name in survivors
    ]
    for name in dropped:
        removals += _pair_removals(roll, name, secret_of(name, "keys"), survivors)
    total = _sum(masked, survivors)
    masks.apply_masks(total, removals)
    return total.view("<i8").astype(np.int64)


def _dropped(answers: Mapping[str, Json], survivors: list[str]) -> list[str]:
    """The members that shared and then dropped out: every answer must name the same."""
    named: set[tuple[str, ...]] = set()
    for name, answer in answers.items():
        if not isinstance(answer, dict) or set(answer) != {"seeds", "keys"} or sorted(answer["seeds"]) != survivors:
            raise SecureSumError(f"the answer of {name} is not for the surviving members")
        named.add(tuple(sorted(answer["keys"])))
    if len(named) != 1:
        raise SecureSumError("the answers are not for the same set of dropped members")
    return list(named.pop())


def _seed(roll: Roll, owner: str, seed: bytes) -> bytes:
    if masks.commitment(seed, roll.round_id, owner) != roll.keys[owner].seed:
        raise SecureSumError(f"the shares of the seed of {owner} do not give the seed it committed to")
    return seed


def _pair_removals(roll: Roll, owner: str, key: bytes, survivors: list[str]) -> list[tuple[bytes, int]]:
    """The pair masks that a dropped member left in the survivors' vectors, each with the sign that removes it."""
    if owner not in roll.keys:
        raise SecureSumError(f"{owner} is not a member of this round")
    private = X25519PrivateKey.from_private_bytes(key)
    if private.public_key().public_bytes_raw() != roll.keys[owner].mask:
        raise SecureSumError(f"the shares of the mask key of {owner} do not give the key it advertised")
    return [
        (masks.pair_key(private, roll.keys[name].mask, roll.transcript, owner, name), -1 if name < owner else 1)
        for name in survivors
    ]


def _sum(masked: Mapping[str, NDArray[np.uint64]], survivors: list[str]) -> NDArray[np.uint64]:
    first = masked[survivors[0]]
    total = np.zeros(first.shape, np.dtype("<u8"))
    for name in survivors:
        vector = masked[name]
        if vector.ndim != 1 or vector.dtype != np.uint64 or vector.shape != first.shape:
            raise SecureSumError(f"the masked vector of {name} has another shape or type than the others")
        total += vector
    return total
