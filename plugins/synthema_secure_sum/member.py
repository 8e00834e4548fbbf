"""One site's side of the secure sum: its secrets, and what it refuses to do with them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

from synthema.spi.model import Json
from synthema_secure_sum import masks, shamir
from synthema_secure_sum.roll import Roll
from synthema_secure_sum.wire import KEY_BYTES, PublicKeys, SecureSumError, octets, text

Phase = Literal["advertised", "shared", "masked", "answered"]

_TAG_BYTES = 16
_SEALED_BYTES = 2 * shamir.SHARE_BYTES + _TAG_BYTES
_NONCE = bytes(12)  # each sealing key seals one message, so a constant nonce never repeats under a key
_NOT_A_NEIGHBOUR = ""
"""What a member sends to one it shares no mask with: it says no more than that it takes part."""


@dataclass(slots=True)
class _Round:
    me: str
    mask_key: X25519PrivateKey
    seal_key: X25519PrivateKey
    seed: bytes
    public: PublicKeys
    phase: Phase = "advertised"
    roll: Roll | None = None
    seal_secrets: dict[str, bytes] = field(default_factory=dict)
    held_shares: dict[str, bytes] = field(default_factory=dict)
    sharers: frozenset[str] = frozenset()
    fingerprint: bytes = b""


class Member:
    """The state of one site over its rounds; a round id is accepted once and for ever.

    Two rules reach over rounds: no id is used twice, and a vector that was part of an opened
    sum is never part of another sum with other survivors, as the difference of the two sums would
    show the sites in between.
    """

    def __init__(self) -> None:
        self._rounds: dict[str, _Round | None] = {}
        self._fingerprints = masks.Fingerprints()
        self._opened_with: dict[bytes, frozenset[str]] = {}

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

    def share(
        self,
        round_id: str,
        public_keys: dict[str, Json],
        threshold: int,
        *,
        bound: int | None = None,
        colluders: int | None = None,
    ) -> dict[str, str]:
        """For each other member: a sealed share of this site's mask key and seed, base64; empty where not a neighbour.

        ``bound`` and ``colluders`` as in :meth:`Roll.call`; all members must be told the same.
        """
        current = self._round(round_id, "advertised")
        roll = Roll.call(round_id, public_keys, threshold, bound=bound, colluders=colluders)
        if roll.keys.get(current.me) != current.public:
            raise SecureSumError("this site's own public keys are missing or were replaced")
        current.roll, current.phase = roll, "shared"
        readers = roll.neighbours[current.me]
        current.seal_secrets = {name: masks.agree(current.seal_key, roll.keys[name].seal, name) for name in readers}
        numbers = [roll.numbers[name] for name in (current.me, *readers)]
        seeds = shamir.split(current.seed, numbers, roll.shares_needed)
        keys = shamir.split(current.mask_key.private_bytes_raw(), numbers, roll.shares_needed)
        plain = {name: seeds[roll.numbers[name]] + keys[roll.numbers[name]] for name in (current.me, *readers)}
        current.held_shares = {current.me: plain[current.me]}
        sealed = {
            name: text(self._sealing(current, current.me, name, name).encrypt(_NONCE, plain[name], None))
            for name in readers
        }
        return {name: sealed.get(name, _NOT_A_NEIGHBOUR) for name in roll.keys if name != current.me}

    def mask(self, round_id: str, vector: NDArray[np.int64], shares: dict[str, Json]) -> NDArray[Any]:
        """The vector under its masks, for the members whose shares have arrived here (modulo the ring's width).

        Holds one vector of the ring beside the one given, and no keystream whole.
        """
        current = self._round(round_id, "shared")
        roll = _roll(current)
        others = sorted(set(shares) - {current.me})
        if not set(others) <= set(roll.keys):
            raise SecureSumError("shares came from someone who is not a member of this round")
        if len(others) + 1 < roll.threshold:
            raise SecureSumError(f"only {len(others) + 1} members shared their secrets; {roll.threshold} are needed")
        masked = roll.ring.encode(vector)
        partners = [name for name in others if name in current.seal_secrets]
        opened = {name: self._unseal(current, name, shares[name]) for name in partners}
        if any(shares[name] != _NOT_A_NEIGHBOUR for name in others if name not in opened):
            raise SecureSumError("a share came from a member that is not a neighbour of this site")
        current.held_shares |= opened
        current.sharers = frozenset(others) | {current.me}
        current.fingerprint = self._fingerprints.of(masked)
        current.phase = "masked"
        pairs = [
            (masks.pair_key(current.mask_key, roll.keys[name].mask, roll.transcript, current.me, name), name)
            for name in partners
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
        if alive | gone != current.sharers:
            raise SecureSumError("survivors and dropped are not the members this site masked for")
        if current.me not in alive:
            raise SecureSumError("this site sent its vector, so it cannot be among the dropped")
        if len(alive) < _roll(current).threshold:
            raise SecureSumError(f"only {len(alive)} survivors; {_roll(current).threshold} are needed")
        if self._opened_with.setdefault(current.fingerprint, frozenset(alive)) != alive:
            raise SecureSumError(
                "this very vector was part of a sum of other survivors before: the difference would show single sites"
            )
        held = current.held_shares
        self._rounds[round_id] = None
        return {
            "dropped": sorted(gone),
            "seeds": {name: text(held[name][: shamir.SHARE_BYTES]) for name in sorted(alive & set(held))},
            "keys": {name: text(held[name][shamir.SHARE_BYTES :]) for name in sorted(gone & set(held))},
        }

    def _round(self, round_id: str, phase: Phase) -> _Round:
        if round_id not in self._rounds:
            raise SecureSumError(f"round {round_id} was not started here")
        current = self._rounds[round_id]
        found: Phase = "answered" if current is None else current.phase
        if current is None or found != phase:
            raise SecureSumError(f"round {round_id} is '{found}' here, so this step was done or is not due yet")
        return current

    def _sealing(self, current: _Round, writer: str, reader: str, other: str) -> AESGCM:
        secret = current.seal_secrets[other]
        return AESGCM(masks.derive(secret, _roll(current).transcript, "seal", writer, reader))

    def _unseal(self, current: _Round, writer: str, sealed: Json) -> bytes:
        data = octets(sealed, _SEALED_BYTES, f"the sealed share of {writer}")
        try:
            return self._sealing(current, writer, current.me, writer).decrypt(_NONCE, data, None)
        except InvalidTag as error:
            raise SecureSumError(
                f"the share of {writer} cannot be opened: it was changed, or {writer} was told other public keys, "
                "another threshold or another bound"
            ) from error


def _roll(current: _Round) -> Roll:
    if current.roll is None:
        raise SecureSumError("the members' keys have not arrived yet")
    return current.roll
