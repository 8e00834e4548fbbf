"""Secure sum: the coordinator learns the total of the sites' vectors, and of no smaller part.

Double masking with secret sharing (Bonawitz et al., CCS 2017) over a graph that stays connected whoever drops
out, in the ring of integers modulo 2^32 or 2^64. Each round, each site

1. *advertises* two X25519 public keys, one for masks and one for sealing, and a commitment to a random seed;
2. *shares* its mask private key and its seed among its neighbours (Shamir), each share sealed to its reader;
3. *masks* its vector: plus the keystream of its seed, plus or minus a keystream shared with each neighbour;
4. *unmasks*: gives shares of the seeds of the sites whose vectors arrived, of the mask keys of those that dropped.

The README has the threat model, the proofs, and what is proven, tested and declared.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from synthema.spi.hookspecs import hookimpl
from synthema.spi.model import Json
from synthema_secure_sum.member import Member
from synthema_secure_sum.opening import open_sum
from synthema_secure_sum.wire import SecureSumError

__all__ = [
    "Member",
    "SecureSumError",
    "open_sum",
    "secure_sum_advertise",
    "secure_sum_mask",
    "secure_sum_open",
    "secure_sum_share",
    "secure_sum_unmask",
]

_member = Member()  # the site's secrets live and die with the plugin's process


@hookimpl
def secure_sum_advertise(round_id: str, me: str) -> Json:
    """Make this round's keys and return the public ones."""
    return _member.advertise(round_id, me)


@hookimpl
def secure_sum_share(
    round_id: str, public_keys: dict[str, Json], threshold: int, bound: int, colluders: int
) -> dict[str, Json]:
    """Seal a share of this site's secrets to each of its neighbours."""
    shares = _member.share(round_id, public_keys, threshold, bound=bound, colluders=colluders)
    return cast("dict[str, Json]", shares)


@hookimpl
def secure_sum_mask(round_id: str, vector: NDArray[np.int64], shares: dict[str, Json]) -> NDArray[Any]:
    """Hide the vector under this round's masks."""
    return _member.mask(round_id, vector, shares)


@hookimpl
def secure_sum_unmask(round_id: str, survivors: list[str], dropped: list[str]) -> Json:
    """Answer once with the shares that open the total of exactly these survivors."""
    return _member.unmask(round_id, survivors, dropped)


@hookimpl
def secure_sum_open(
    round_id: str,
    public_keys: dict[str, Json],
    masked: dict[str, NDArray[Any]],
    answers: dict[str, Json],
    threshold: int,
    bound: int,
    colluders: int,
) -> NDArray[np.int64]:
    """The exact sum of the surviving sites' vectors."""
    return open_sum(round_id, public_keys, masked, answers, threshold, bound=bound, colluders=colluders)
