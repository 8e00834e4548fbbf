"""One site's side of the secure sum: its secrets, and what it refuses to do with them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

from synthema.spi.model import Json
from synthema_secure_sum import masks, shamir
from synthema_secure_sum.wire import KEY_BYTES, PublicKeys, Roll, SecureSumError, octets, text

Phase = Literal["advertised", "shared", "masked", "answered"]

_TAG_BYTES = 16
_SEALED_BYTES = 2 * shamir.SHARE_BYTES + _TAG_BYTES
_NONCE = bytes(12)  # each sealing key seals one message, so a constant nonce never repeats under a key
LARGEST = 2**63 - 1


@dataclass(slots=True)
class _Round:
    me: str
    mask_key: X25519PrivateKey
    seal_key: X25519PrivateKey
    seed: bytes
    public: PublicKeys
    phase: Phase = "advertised"
    roll: Roll | None = None
    own_shares: bytes = b""
    held_shares: dict[str, bytes] = field(default_factory=dict)


class Member:
    """The state of one site over its rounds; a round id is accepted once and for ever."""

    def __init__(self) -> None:
        self._rounds: dict[str, _Round | None] = {}

    def advertise(self, round_id: str, me: str) -> Json:
        """Make this round's keys and seed; return the public values for the site's identity to sign."""
        if round_id in self._rounds:
            raise SecureSumError(f"round {round_id} was already started here; a round id is never used again")
        mask_key, seal_key = X25519PrivateKey.generate(), X25519PrivateKey.generate()
        seed = secrets.token_bytes(KEY_BYTES)
        public = PublicKeys(
            mask=mask_key.public_key().public_bytes_raw(),
            seal=seal_key.public_key().public_bytes_raw(),
            seed=masks.commitment(seed, round_id, me),
        )
        self._rounds[round_id] = _Round(me, mask_key, seal_key, seed, public)
        return public.as_json()

    def share(self, round_id: str, public_keys: dict[str, Json], threshold: int) -> dict[str, str]:
        """A sealed share of this site's mask key and seed for each other member (name → base64)."""
        current = self._round(round_id, "advertised")
        roll = Roll.call(round_id, public_keys, threshold)
        if roll.keys.get(current.me) != current.public:
            raise SecureSumError("this site's own public keys are missing or were replaced")
        current.roll, current.phase = roll, "shared"
        numbers = {name: roll.number(name) for name in roll.keys}
        seeds = shamir.split(current.seed, list(numbers.values()), threshold)
        keys = shamir.split(current.mask_key.private_bytes_raw(), list(numbers.values()), threshold)
        plain = {name: seeds[number] + keys[number] for name, number in numbers.items()}
        current.own_shares = plain.pop(current.me)
        return {name: text(self._seal_for(current, name).encrypt(_NONCE, data, None)) for name, data in plain.items()}

    def mask(self, round_id: str, vector: NDArray[np.int64], shares: dict[str, Json]) -> NDArray[np.uint64]:
        """The vector under its masks, for the members whose shares have arrived here (modulo 2^64)."""
        current = self._round(round_id, "shared")
        roll = _roll(current)
        others = sorted(set(shares) - {current.me})
        if not set(others) <= set(roll.keys):
            raise SecureSumError("shares came from someone who is not a member of this round")
        if len(others) + 1 < roll.threshold:
            raise SecureSumError(f"only {len(others) + 1} members shared their secrets; {roll.threshold} are needed")
        _check_range(vector, len(roll.keys))
        current.held_shares = {name: self._unseal(current, name, shares[name]) for name in others}
        current.held_shares[current.me] = current.own_shares
        current.phase = "masked"
        masked = vector.astype("<i8").view("<u8").copy()
        pairs = [
            (masks.pair_key(current.mask_key, roll.keys[name].mask, roll.transcript, current.me, name), name)
            for name in others
        ]
        signed = [(key, 1 if current.me < name else -1) for key, name in pairs]
        masks.apply_masks(masked, [(masks.self_key(current.seed, roll.transcript), 1), *signed])
        return masked

    def unmask(self, round_id: str, survivors: list[str], dropped: list[str]) -> Json:
        """The shares that open the total of exactly these survivors; then this round's secrets are forgotten."""
        current = self._round(round_id, "masked")
        alive, gone = set(survivors), set(dropped)
        if len(alive) != len(survivors) or len(gone) != len(dropped) or alive & gone:
            raise SecureSumError("a member is named twice among survivors and dropped")
        if alive | gone != set(current.held_shares):
            raise SecureSumError("survivors and dropped are not the members this site masked for")
        if current.me not in alive:
            raise SecureSumError("this site sent its vector, so it cannot be among the dropped")
        if len(alive) < _roll(current).threshold:
            raise SecureSumError(f"only {len(alive)} survivors; {_roll(current).threshold} are needed")
        held = current.held_shares
        self._rounds[round_id] = None
        return {
            "seeds": {name: text(held[name][: shamir.SHARE_BYTES]) for name in sorted(alive)},
            "keys": {name: text(held[name][shamir.SHARE_BYTES :]) for name in sorted(gone)},
        }

    def _round(self, round_id: str, phase: Phase) -> _Round:
        if round_id not in self._rounds:
            raise SecureSumError(f"round {round_id} was not started here")
        current = self._rounds[round_id]
        found: Phase = "answered" if current is None else current.phase
        if current is None or found != phase:
            raise SecureSumError(f"round {round_id} is '{found}' here, so this step was done or is not due yet")
        return current

    def _seal_for(self, current: _Round, reader: str) -> AESGCM:
        return self._sealing(current, current.me, reader, reader)

    def _sealing(self, current: _Round, writer: str, reader: str, other: str) -> AESGCM:
        roll = _roll(current)
        secret = masks.agree(current.seal_key, roll.keys[other].seal, other)
        return AESGCM(masks.derive(secret, roll.transcript, "seal", writer, reader))

    def _unseal(self, current: _Round, writer: str, sealed: Json) -> bytes:
        data = octets(sealed, _SEALED_BYTES, f"the sealed share of {writer}")
        try:
            return self._sealing(current, writer, current.me, writer).decrypt(_NONCE, data, None)
        except InvalidTag as error:
            raise SecureSumError(
                f"the share of {writer} cannot be opened: it was changed, or {writer} was told other public keys"
            ) from error


def _roll(current: _Round) -> Roll:
    if current.roll is None:
        raise SecureSumError("the members' keys have not arrived yet")
    return current.roll


def _check_range(vector: NDArray[np.int64], members: int) -> None:
    """The sum of all members' numbers must stay inside the signed ring, or it would wrap round in silence."""
    if vector.ndim != 1 or vector.dtype != np.int64 or not len(vector):
        raise SecureSumError("the vector must be a non-empty row of 64-bit integers")
    limit = LARGEST // members
    if int(vector.max()) > limit or int(vector.min()) < -limit:
        raise SecureSumError(f"a number of the vector is beyond ±{limit}: the sum could overflow")
