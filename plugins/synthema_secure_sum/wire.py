"""What travels between the members: public keys, sealed shares, answers; all JSON, all checked when read."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from synthema.spi.model import Json

MAX_MEMBERS = 100
KEY_BYTES = 32


class SecureSumError(ValueError):
    """The protocol was not followed; the round must be given up, nothing was revealed."""


@dataclass(frozen=True, slots=True)
class PublicKeys:
    """A member's public values of one round: mask key, sealing key, commitment to its seed; 32 bytes each."""

    mask: bytes
    seal: bytes
    seed: bytes

    def as_json(self) -> Json:
        """The value that the member's identity signs."""
        return {"mask": text(self.mask), "seal": text(self.seal), "seed": text(self.seed)}

    @classmethod
    def from_json(cls, value: Json, owner: str) -> PublicKeys:
        """Read what :meth:`as_json` wrote; raises :class:`SecureSumError` on anything else."""
        if not isinstance(value, dict) or set(value) != {"mask", "seal", "seed"}:
            raise SecureSumError(f"the public keys of {owner} are not of the agreed form")
        return cls(**{name: octets(item, KEY_BYTES, f"a public key of {owner}") for name, item in value.items()})


@dataclass(frozen=True, slots=True)
class Roll:
    """Who takes part in a round, in the order that fixes each member's share number and the sign of masks."""

    round_id: str
    threshold: int
    keys: Mapping[str, PublicKeys]

    @classmethod
    def call(cls, round_id: str, public_keys: Mapping[str, Json], threshold: int) -> Roll:
        """Check who takes part.

        Raises :class:`SecureSumError` unless there are 2 to 100 members with
        keys that differ, and a threshold that only one group of members can reach at a time.
        """
        count = len(public_keys)
        if not 2 <= count <= MAX_MEMBERS:
            raise SecureSumError(f"a secure sum needs 2 to {MAX_MEMBERS} members, not {count}")
        if not (2 <= threshold <= count and 2 * threshold > count):
            raise SecureSumError(f"a threshold of {threshold} does not fit {count} members: it must be a majority")
        keys = {name: PublicKeys.from_json(public_keys[name], name) for name in sorted(public_keys)}
        single = [key for member in keys.values() for key in (member.mask, member.seal)]
        if len(set(single)) != len(single):
            raise SecureSumError("two members sent the same public key")
        return cls(round_id, threshold, keys)

    def number(self, name: str) -> int:
        """The member's share number: 1 for the first in order; never 0, where the secret lies."""
        return list(self.keys).index(name) + 1

    @property
    def transcript(self) -> bytes:
        """32 bytes that differ as soon as round, threshold or one public key differs.

        All keys are derived under it, so members who were told different things cannot
        read each other's shares.
        """
        said = [self.round_id, self.threshold, {name: keys.as_json() for name, keys in self.keys.items()}]
        return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).digest()


def text(data: bytes) -> str:
    """Bytes as base64 text."""
    return base64.b64encode(data).decode()


def octets(value: Json, length: int, what: str) -> bytes:
    """Base64 text as exactly ``length`` bytes; raises :class:`SecureSumError` naming ``what``."""
    try:
        data = base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise SecureSumError(f"{what} is not base64 text") from error
    if len(data) != length:
        raise SecureSumError(f"{what} has {len(data)} bytes, not {length}")
    return data
