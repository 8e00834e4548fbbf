"""Secure sum: the coordinator learns the total of the sites' vectors, and of no smaller part.

The protocol is double masking with secret sharing (Bonawitz et al., "Practical
secure aggregation for privacy-preserving machine learning", CCS 2017, figure 4
with the consistency check). Each round, each site

1. *advertises* two X25519 public keys, one for masks and one for sealing, and a commitment to a random seed;
2. *shares* its mask private key and its seed among all members (Shamir), each share sealed to its reader;
3. *masks* its vector: plus the keystream of its seed, plus or minus a keystream shared with every other member;
4. *unmasks*: gives shares of the seeds of the sites whose vectors arrived, of the mask keys of those that dropped.

Arithmetic is in the integers modulo 2^64, so the total is exact, bit for bit.

Threat model
    *Honest-but-curious coordinator with colluding sites*: it sees only the total
    of the surviving sites (proven: Bonawitz 2017, theorem 6.3, under the
    Diffie-Hellman assumption on X25519 and AES-256 as a pseudo-random generator).
    *Malicious coordinator, with up to c of n members colluding*: the same for each honest member,
    as long as ``2 * threshold > n + c`` (ibid., theorem 6.5), *given* what the core does around this plugin: it
    verifies that each public key is signed by the data-space identity of a
    member, and that a threshold of members signed one and the same set of
    survivors before any of them answers. The plugin itself refuses a second
    answer, overlapping sets, a set that is not the one it masked for, and fewer survivors than the threshold.
    *Not covered*: a site that lies about its own vector; a coordinator that refuses to open (both spoil
    the result, neither reveals a vector); what the total itself tells, for which noise is
    added before masking.

What is shown
    Proven: the reductions cited above, for the protocol. Tested here: exactness, recovery after
    drop-outs, the refusals, full-entropy keys, masked vectors that pass tests of uniformity.
    Declared: that Python integers and the ``cryptography`` library leak nothing by timing;
    secrets are forgotten after the answer, but Python cannot overwrite memory.

Keys have 256 bits, are made by the operating system's generator, and serve one
round only. The keystream is AES-256 in counter mode, each key used once.
"""

from __future__ import annotations

from typing import cast

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
def secure_sum_share(round_id: str, public_keys: dict[str, Json], threshold: int) -> dict[str, Json]:
    """Seal a share of this site's secrets to each other member."""
    return cast("dict[str, Json]", _member.share(round_id, public_keys, threshold))


@hookimpl
def secure_sum_mask(round_id: str, vector: NDArray[np.int64], shares: dict[str, Json]) -> NDArray[np.uint64]:
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
    masked: dict[str, NDArray[np.uint64]],
    answers: dict[str, Json],
    threshold: int,
) -> NDArray[np.int64]:
    """The exact sum of the surviving sites' vectors."""
    return open_sum(round_id, public_keys, masked, answers, threshold)
