"""What travels between the members: public keys, sealed shares, answers; all JSON, all checked when read."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from synthema.spi.model import Json

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


def text(data: bytes) -> str:
    """Bytes as base64 text."""
    return base64.b64encode(data).decode()


def octets(value: Json, length: int, what: str) -> bytes:
    """Base64 text as exactly ``length`` bytes; raises :class:`SecureSumError` naming ``what``."""
    try:
        data = binascii.a2b_base64(value, strict_mode=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise SecureSumError(f"{what} is not base64 text") from error
    if len(data) != length:
        raise SecureSumError(f"{what} has {len(data)} bytes, not {length}")
    return data
