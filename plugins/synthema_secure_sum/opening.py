"""The coordinator's side of the secure sum: from masked vectors and answers to the total."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from numpy.typing import NDArray

from synthema.spi.model import Json
from synthema_secure_sum import masks, shamir
from synthema_secure_sum.roll import Roll
from synthema_secure_sum.wire import SecureSumError, octets


def open_sum(
    round_id: str,
    public_keys: Mapping[str, Json],
    masked: Mapping[str, NDArray[Any]],
    answers: Mapping[str, Json],
    threshold: int,
    *,
    bound: int | None = None,
    colluders: int | None = None,
) -> NDArray[np.int64]:
    """The exact sum of the vectors in ``masked``.

    ``public_keys``, ``threshold``, ``bound`` and ``colluders`` are those all members were sent before they
    shared; a member that shared but is not in ``masked`` dropped out, and its pair masks are removed. Raises
    :class:`SecureSumError` when fewer than ``threshold`` members answered, or an answer is wrong.
    """
    roll = Roll.call(round_id, public_keys, threshold, bound=bound, colluders=colluders)
    survivors = sorted(masked)
    if not set(answers) <= set(survivors) <= set(roll.keys):
        raise SecureSumError("a vector or an answer is from someone who is no surviving member")
    if len(answers) < threshold:
        raise SecureSumError(f"only {len(answers)} members answered; {threshold} are needed to open the sum")
    dropped = _dropped(roll, answers, survivors)
    shares = _Shares(roll, answers)
    removals = [
        (masks.self_key(_seed(roll, name, shares.secret_of(name, "seeds")), roll.transcript), -1) for name in survivors
    ]
    for name in dropped:
        removals += _pair_removals(roll, name, shares.secret_of(name, "keys"), survivors)
    first, *others = _checked(roll, masked, survivors)
    total = first.copy()
    masks.apply_masks(total, removals, others)
    return roll.ring.decode(total)


def _dropped(roll: Roll, answers: Mapping[str, Json], survivors: list[str]) -> list[str]:
    """The members that shared and then dropped out: every answer must name the same."""
    named: set[tuple[str, ...]] = set()
    for name, answer in answers.items():
        if not isinstance(answer, dict) or set(answer) != {"dropped", "seeds", "keys"}:
            raise SecureSumError(f"the answer of {name} is not of the agreed form")
        gone = answer["dropped"]
        if not isinstance(gone, list) or not set(gone) <= set(roll.keys) - set(survivors):
            raise SecureSumError(f"the answer of {name} names dropped members that are none")
        readable = {name, *roll.neighbours[name]}
        if set(answer["seeds"]) != readable & set(survivors) or set(answer["keys"]) != readable & set(gone):
            raise SecureSumError(f"the answer of {name} is not for the surviving members")
        named.add(tuple(sorted(gone)))
    if len(named) != 1:
        raise SecureSumError("the answers are not for the same set of dropped members")
    return list(named.pop())


class _Shares:
    """The members' answers as shares of each secret; weights are worked out once for each group of readers."""

    def __init__(self, roll: Roll, answers: Mapping[str, Json]) -> None:
        self._roll = roll
        self._answers = answers
        self._weights: dict[tuple[int, ...], dict[int, int]] = {}

    def secret_of(self, owner: str, part: str) -> bytes:
        """The secret that enough of the owner's neighbours, and itself, gave shares of."""
        roll = self._roll
        readers = sorted({owner, *roll.neighbours[owner]} & set(self._answers))[: roll.shares_needed]
        if len(readers) < roll.shares_needed:
            raise SecureSumError(
                f"only {len(readers)} answers hold a share of {owner}; {roll.shares_needed} are needed"
            )
        numbers = tuple(roll.numbers[name] for name in readers)
        if numbers not in self._weights:
            self._weights[numbers] = shamir.weights_at_zero(numbers)
        shares = {
            roll.numbers[name]: octets(self._answers[name][part][owner], shamir.SHARE_BYTES, f"an answer of {name}")
            for name in readers
        }
        return shamir.join(shares, self._weights[numbers])


def _seed(roll: Roll, owner: str, seed: bytes) -> bytes:
    if masks.commitment(seed, roll.round_id, owner) != roll.keys[owner].seed:
        raise SecureSumError(f"the shares of the seed of {owner} do not give the seed it committed to")
    return seed


def _pair_removals(roll: Roll, owner: str, key: bytes, survivors: list[str]) -> list[tuple[bytes, int]]:
    """The pair masks that a dropped member left in its neighbours' vectors, each with the sign that removes it."""
    private = X25519PrivateKey.from_private_bytes(key)
    if private.public_key().public_bytes_raw() != roll.keys[owner].mask:
        raise SecureSumError(f"the shares of the mask key of {owner} do not give the key it advertised")
    return [
        (masks.pair_key(private, roll.keys[name].mask, roll.transcript, owner, name), -1 if name < owner else 1)
        for name in sorted(set(roll.neighbours[owner]) & set(survivors))
    ]


def _checked(roll: Roll, masked: Mapping[str, NDArray[Any]], survivors: list[str]) -> list[NDArray[Any]]:
    length = len(masked[survivors[0]])
    for name in survivors:
        roll.ring.check(masked[name], length, name)
    return [masked[name] for name in survivors]
