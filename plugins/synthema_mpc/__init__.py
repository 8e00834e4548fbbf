"""Sums, comparisons and a log-rank test without a coordinator that is trusted with anything.

Two ways, explained with their threat models in the README:

* the *aggregator* hooks: secret sharing among compute nodes chosen from the members, over the connectors' own
  messages, in the sandbox like any aggregator (:mod:`synthema_mpc.sharing`);
* *parties* that talk to each other with MPyC (extra ``mpc``), for what is more than a sum
  (:mod:`synthema_mpc.parties`, ``python -m synthema_mpc``).
"""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from synthema.spi.hookspecs import hookimpl
from synthema.spi.model import Json
from synthema_mpc.parties import MpcError, Survival, at_least, log_rank, log_rank_reaches, secure_sum
from synthema_mpc.sharing import Member, open_sum

__all__ = [
    "Member",
    "MpcError",
    "Survival",
    "at_least",
    "log_rank",
    "log_rank_reaches",
    "open_sum",
    "secure_sum",
    "secure_sum_advertise",
    "secure_sum_mask",
    "secure_sum_open",
    "secure_sum_share",
    "secure_sum_unmask",
]

_member = Member()  # the site's secrets live and die with the plugin's process


@hookimpl
def secure_sum_advertise(round_id: str, me: str) -> Json:
    """Make this round's key and return the public one."""
    return _member.advertise(round_id, me)


@hookimpl
def secure_sum_share(
    round_id: str, public_keys: dict[str, Json], threshold: int, bound: int, colluders: int
) -> dict[str, Json]:
    """Seal this site's seeds to the compute nodes."""
    return cast("dict[str, Json]", _member.share(round_id, public_keys, threshold, bound=bound, colluders=colluders))


@hookimpl
def secure_sum_mask(round_id: str, vector: NDArray[np.int64], shares: dict[str, Json]) -> NDArray[np.uint64]:
    """Hide the vector under this site's seeds."""
    return _member.mask(round_id, vector, shares)


@hookimpl
def secure_sum_unmask(round_id: str, survivors: list[str], dropped: list[str]) -> Json:
    """Answer once, as a compute node, for exactly these survivors."""
    return _member.unmask(round_id, survivors, dropped)


@hookimpl
def secure_sum_open(
    round_id: str,
    public_keys: dict[str, Json],
    masked: dict[str, NDArray[np.uint64]],
    answers: dict[str, Json],
    threshold: int,
    bound: int,
    colluders: int,
) -> NDArray[np.int64]:
    """The exact sum of the surviving sites' vectors."""
    return open_sum(round_id, public_keys, masked, answers, threshold, bound=bound, colluders=colluders)
