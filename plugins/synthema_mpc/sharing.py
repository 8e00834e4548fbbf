"""Secret sharing among compute nodes: the sum opens only when a majority of the nodes helps.

Of the members, five (three when there are three or four) are *compute nodes*. Each member draws one 256-bit seed
for each group of nodes that is a majority, seals it to the nodes of that group, and sends its vector plus the
keystreams of all its seeds: additive sharing modulo 2^64, replicated over majorities (Ito, Saito,
Nishizeki 1989; Cramer, Damgård, Ishai 2005). A minority of nodes misses the seed of the group that
is made of all the others, so to them the vector is noise. A node answers with one vector: the sum of the surviving
members' keystreams for its groups. The sum of what the members sent, less the answers, is the total.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import itertools
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from synthema.spi.model import Json
from synthema_mpc.parties import MpcError

FEWEST_SURVIVORS = 3
MAX_MEMBERS = 100
LONGEST = 1_000_000
"""A node's answer travels as text, so vectors are limited; longer ones are for the masks of ``secure-sum``."""

_KEY_BYTES = 32
_TAG_BYTES = 16
_NONCE = bytes(12)  # each sealing key seals one message
_CHUNK = 16 * 1024
_NO_NODE = ""

Phase = Literal["advertised", "shared", "masked", "answered"]


@dataclass(frozen=True)
class Roll:
    """Who takes part, which of them compute, and in which groups each seed is known."""

    keys: Mapping[str, bytes]
    threshold: int
    bound: int
    transcript: bytes

    @classmethod
    def call(
        cls,
        round_id: str,
        public_keys: Mapping[str, Json],
        threshold: int,
        *,
        bound: int | None = None,
        colluders: int = 1,
    ) -> Roll:
        """Check who takes part.

        ``bound`` is the largest size of any member's number (default: the most that 64 bits allow). Raises
        :class:`MpcError` unless a majority of three or more must survive, fewer than half of the
        nodes may collude, and the sum of all members fits 64 bits.
        """
        count = len(public_keys)
        if not FEWEST_SURVIVORS <= count <= MAX_MEMBERS:
            raise MpcError(f"a shared sum needs {FEWEST_SURVIVORS} to {MAX_MEMBERS} members, not {count}")
        if not (FEWEST_SURVIVORS <= threshold <= count and 2 * threshold > count):
            raise MpcError(
                f"a threshold of {threshold} does not fit {count} members: "
                f"it must be a majority, and at least {FEWEST_SURVIVORS}"
            )
        keys = {name: _key_of(public_keys[name], name) for name in sorted(public_keys)}
        if len(set(keys.values())) != count:
            raise MpcError("two members sent the same public key")
        most = (2**63 - 1) // count
        largest = most if bound is None else bound
        if type(largest) is not int or not 1 <= largest <= most:
            raise MpcError(f"a sum of {count} numbers up to {largest} could overflow 64 bits")
        nodes = _nodes_among(count)
        if type(colluders) is not int or not 0 <= colluders <= (nodes - 1) // 2:
            raise MpcError(f"{nodes} compute nodes withstand 0 to {(nodes - 1) // 2} colluders, not {colluders}")
        said = json.dumps([round_id, threshold, largest, colluders, {name: key.hex() for name, key in keys.items()}])
        return cls(keys, threshold, largest, hashlib.sha256(said.encode()).digest())

    @property
    def nodes(self) -> tuple[str, ...]:
        """The members that compute: the first in order, five or three of them."""
        return tuple(self.keys)[: _nodes_among(len(self.keys))]

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """All majorities of nodes without one to spare; each knows one seed of every member."""
        return tuple(itertools.combinations(self.nodes, len(self.nodes) // 2 + 1))

    def duty(self, survivors: Iterable[str]) -> dict[str, list[int]]:
        """Which group's part each surviving node answers: the first survivor of the group does.

        Raises :class:`MpcError` when a group has no survivor, that is, when the majority of nodes has gone.
        """
        alive = set(survivors)
        duty: dict[str, list[int]] = {}
        for number, group in enumerate(self.groups):
            present = [name for name in group if name in alive]
            if not present:
                raise MpcError("most compute nodes have dropped out: nobody can open the sum")
            duty.setdefault(present[0], []).append(number)
        return duty


@dataclass(slots=True)
class _Round:
    me: str
    key: X25519PrivateKey
    public: bytes
    phase: Phase = "advertised"
    roll: Roll | None = None
    seeds: list[bytes] = field(default_factory=list)
    packages: dict[str, dict[int, bytes]] = field(default_factory=dict)
    sharers: frozenset[str] = frozenset()
    length: int = 0


class Member:
    """One site over its rounds; a round id is accepted once and for ever, and each round is answered once."""

    def __init__(self) -> None:
        self._rounds: dict[str, _Round | None] = {}

    def advertise(self, round_id: str, me: str) -> Json:
        """Make this round's key; return the public one for the site's identity to sign."""
        if round_id in self._rounds:
            raise MpcError(f"round {round_id} was already started here; a round id is never used again")
        key = X25519PrivateKey.generate()
        public = key.public_key().public_bytes_raw()
        self._rounds[round_id] = _Round(me, key, public)
        return {"seal": _text(public)}

    def share(
        self,
        round_id: str,
        public_keys: dict[str, Json],
        threshold: int,
        *,
        bound: int | None = None,
        colluders: int = 1,
    ) -> dict[str, str]:
        """For each other member the seeds of the groups it computes in, sealed; empty for one that computes nothing."""
        current = self._round(round_id, "advertised")
        roll = Roll.call(round_id, public_keys, threshold, bound=bound, colluders=colluders)
        if roll.keys.get(current.me) != current.public:
            raise MpcError("this site's own public key is missing or was replaced")
        current.roll, current.phase = roll, "shared"
        current.seeds = [secrets.token_bytes(_KEY_BYTES) for _ in roll.groups]
        current.packages[current.me] = dict(enumerate(current.seeds))
        sealed = {}
        for name in (node for node in roll.nodes if node != current.me):
            package = b"".join(current.seeds[number] for number in _groups_of(roll, name))
            sealed[name] = _text(_sealing(current, current.me, name, name).encrypt(_NONCE, package, None))
        return {name: sealed.get(name, _NO_NODE) for name in roll.keys if name != current.me}

    def mask(self, round_id: str, vector: NDArray[np.int64], shares: dict[str, Json]) -> NDArray[np.uint64]:
        """The vector plus the keystreams of all its seeds, modulo 2^64."""
        current = self._round(round_id, "shared")
        roll = _roll(current)
        others = sorted(set(shares) - {current.me})
        if not set(others) <= set(roll.keys):
            raise MpcError("shares came from someone who is not a member of this round")
        if len(others) + 1 < roll.threshold:
            raise MpcError(f"only {len(others) + 1} members shared their seeds; {roll.threshold} are needed")
        _check_range(vector, roll.bound)
        for name in others:
            current.packages[name] = self._package(current, name, shares[name])
        current.sharers, current.length, current.phase = frozenset(others) | {current.me}, len(vector), "masked"
        masked = vector.astype("<i8").view("<u8").copy()
        _add_keystreams(masked, [_stream_key(roll, current.me, seed) for seed in current.seeds])
        return masked

    def unmask(self, round_id: str, survivors: list[str], dropped: list[str]) -> Json:
        """The node's part of the survivors' keystreams; then the round's seeds are forgotten."""
        current = self._round(round_id, "masked")
        roll, alive, gone = _roll(current), set(survivors), set(dropped)
        if len(alive) != len(survivors) or len(gone) != len(dropped) or alive & gone:
            raise MpcError("a member is named twice among survivors and dropped")
        if alive | gone != current.sharers:
            raise MpcError("survivors and dropped are not the members this site masked for")
        if current.me not in alive:
            raise MpcError("this site sent its vector, so it cannot be among the dropped")
        if len(alive) < roll.threshold:
            raise MpcError(f"only {len(alive)} survivors; {roll.threshold} are needed")
        mine = roll.duty(alive).get(current.me, [])
        part = np.zeros(current.length if mine else 0, np.dtype("<u8"))
        keys = [_stream_key(roll, name, current.packages[name][number]) for name in sorted(alive) for number in mine]
        _add_keystreams(part, keys)
        self._rounds[round_id] = None
        return {"survivors": sorted(alive), "part": _text(part.tobytes())}

    def _package(self, current: _Round, writer: str, sealed: Json) -> dict[int, bytes]:
        roll = _roll(current)
        numbers = _groups_of(roll, current.me)
        if not numbers:
            if sealed != _NO_NODE:
                raise MpcError("seeds were sent to a member that does not compute")
            return {}
        data = _octets(sealed, _KEY_BYTES * len(numbers) + _TAG_BYTES, f"the sealed seeds of {writer}")
        try:
            plain = _sealing(current, writer, current.me, writer).decrypt(_NONCE, data, None)
        except InvalidTag as error:
            raise MpcError(f"the seeds of {writer} cannot be opened: changed, or told other keys") from error
        return {n: plain[place * _KEY_BYTES : (place + 1) * _KEY_BYTES] for place, n in enumerate(numbers)}

    def _round(self, round_id: str, phase: Phase) -> _Round:
        if round_id not in self._rounds:
            raise MpcError(f"round {round_id} was not started here")
        current = self._rounds[round_id]
        found: Phase = "answered" if current is None else current.phase
        if current is None or found != phase:
            raise MpcError(f"round {round_id} is '{found}' here, so this step was done or is not due yet")
        return current


def open_sum(
    round_id: str,
    public_keys: Mapping[str, Json],
    masked: Mapping[str, NDArray[np.uint64]],
    answers: Mapping[str, Json],
    threshold: int,
    *,
    bound: int | None = None,
    colluders: int = 1,
) -> NDArray[np.int64]:
    """The exact sum of the vectors in ``masked``; every node with a part must have answered for these survivors."""
    roll = Roll.call(round_id, public_keys, threshold, bound=bound, colluders=colluders)
    survivors = sorted(masked)
    if not set(survivors) <= set(roll.keys) or len(survivors) < threshold or not set(answers) <= set(survivors):
        raise MpcError("vectors or answers are not from enough surviving members")
    length = len(masked[survivors[0]])
    total = np.zeros(length, np.dtype("<u8"))
    for name in survivors:
        if masked[name].shape != (length,) or masked[name].dtype != np.uint64:
            raise MpcError(f"the vector of {name} has another shape or type than the others")
        total += masked[name]
    for name in roll.duty(survivors):
        answer = answers.get(name)
        if not isinstance(answer, dict) or answer.get("survivors") != survivors:
            raise MpcError(f"the compute node {name} did not answer for these survivors: the sum cannot be opened")
        total -= np.frombuffer(_octets(answer.get("part"), 8 * length, f"the answer of {name}"), np.dtype("<u8"))
    return total.view("<i8").astype(np.int64)


def _nodes_among(members: int) -> int:
    return 5 if members >= 5 else 3


def _groups_of(roll: Roll, name: str) -> list[int]:
    return [number for number, group in enumerate(roll.groups) if name in group]


def _derive(secret: bytes, transcript: bytes, *purpose: str) -> bytes:
    info = b"".join(len(part.encode()).to_bytes(4) + part.encode() for part in ("synthema-mpc-1", *purpose))
    return HKDF(SHA256(), _KEY_BYTES, salt=transcript, info=info).derive(secret)


def _stream_key(roll: Roll, owner: str, seed: bytes) -> bytes:
    return _derive(seed, roll.transcript, "mask", owner)


def _sealing(current: _Round, writer: str, reader: str, other: str) -> AESGCM:
    roll = _roll(current)
    try:
        secret = current.key.exchange(X25519PublicKey.from_public_bytes(roll.keys[other]))
    except ValueError as error:
        raise MpcError(f"the public key of {other} is degenerate") from error
    return AESGCM(_derive(secret, roll.transcript, "seal", writer, reader))


def _roll(current: _Round) -> Roll:
    if current.roll is None:
        raise MpcError("the members' keys have not arrived yet")
    return current.roll


def _add_keystreams(vector: NDArray[Any], keys: Sequence[bytes]) -> None:
    """AES-256 in counter mode, each key used once in a vector, added modulo 2^64 in place."""
    ciphers = [Cipher(AES256(key), CTR(bytes(16))).encryptor() for key in keys]
    zeros = memoryview(bytes(8 * _CHUNK))
    for start in range(0, len(vector), _CHUNK):
        part = vector[start : start + _CHUNK]
        for cipher in ciphers:
            part += np.frombuffer(cipher.update(zeros[: part.nbytes]), np.dtype("<u8"))


def _check_range(vector: NDArray[np.int64], limit: int) -> None:
    if vector.ndim != 1 or vector.dtype != np.int64 or not len(vector):
        raise MpcError("the vector must be a non-empty row of 64-bit integers")
    if len(vector) > LONGEST:
        raise MpcError(f"the vector has {len(vector)} numbers; more than {LONGEST} are for the aggregator secure-sum")
    if int(vector.max()) > limit or int(vector.min()) < -limit:
        raise MpcError(f"a number of the vector is beyond ±{limit}: the sum could overflow")


def _key_of(value: Json, owner: str) -> bytes:
    if not isinstance(value, dict) or set(value) != {"seal"}:
        raise MpcError(f"the public key of {owner} is not of the agreed form")
    return _octets(value["seal"], _KEY_BYTES, f"the public key of {owner}")


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _octets(value: Json, length: int, what: str) -> bytes:
    try:
        data = base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise MpcError(f"{what} is not base64 text") from error
    if len(data) != length:
        raise MpcError(f"{what} has {len(data)} bytes, not {length}")
    return data
