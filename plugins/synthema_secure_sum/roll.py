"""What all members of a round agree on before any secret is shared: who, how many, how large, who with whom."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from synthema.spi.model import Json
from synthema_secure_sum import graph
from synthema_secure_sum.ring import Ring
from synthema_secure_sum.wire import PublicKeys, SecureSumError

MAX_MEMBERS = 100
FEWEST_SURVIVORS = 3
"""With two survivors, each could subtract itself from the sum and read the other."""


@dataclass(frozen=True)
class Roll:
    """Who takes part in a round, in the order that fixes share numbers, signs of masks, and neighbours.

    ``threshold`` is the fewest survivors, ``colluders`` the members that may side with the
    coordinator without harm to the others.
    """

    round_id: str
    threshold: int
    keys: Mapping[str, PublicKeys]
    ring: Ring
    colluders: int

    @classmethod
    def call(
        cls,
        round_id: str,
        public_keys: Mapping[str, Json],
        threshold: int,
        *,
        bound: int | None = None,
        colluders: int | None = None,
    ) -> Roll:
        """Check who takes part.

        ``bound`` is the largest size of any member's number (default: the most that 64 bits allow),
        ``colluders`` the number to withstand (default: the most that the threshold allows). Raises
        :class:`SecureSumError` unless there are 3 to 100 members with keys that differ, a threshold that only
        one group of members can reach whatever the colluders answer, and a ring wide enough for the sum.
        """
        count = len(public_keys)
        if not FEWEST_SURVIVORS <= count <= MAX_MEMBERS:
            raise SecureSumError(f"a secure sum needs {FEWEST_SURVIVORS} to {MAX_MEMBERS} members, not {count}")
        if not (FEWEST_SURVIVORS <= threshold <= count and 2 * threshold > count):
            raise SecureSumError(
                f"a threshold of {threshold} does not fit {count} members: "
                f"it must be a majority, and at least {FEWEST_SURVIVORS}"
            )
        most = min(2 * threshold - count - 1, threshold - 2)
        withstood = most if colluders is None else colluders
        if type(withstood) is not int or not 0 <= withstood <= most:
            raise SecureSumError(f"{count} members with a threshold of {threshold} withstand 0 to {most} colluders")
        keys = {name: PublicKeys.from_json(public_keys[name], name) for name in sorted(public_keys)}
        single = [key for member in keys.values() for key in (member.mask, member.seal)]
        if len(set(single)) != len(single):
            raise SecureSumError("two members sent the same public key")
        return cls(round_id, threshold, keys, Ring.for_sum(count, bound), withstood)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Each member's share number: 1 for the first in order; never 0, where the secret lies."""
        return {name: place for place, name in enumerate(self.keys, start=1)}

    @property
    def drop_outs(self) -> int:
        """How many members may be missing from the survivors."""
        return len(self.keys) - self.threshold

    @property
    def degree(self) -> int:
        """How many neighbours each member has."""
        return graph.degree(len(self.keys), self.drop_outs, self.colluders)

    @cached_property
    def neighbours(self) -> dict[str, tuple[str, ...]]:
        """Those with whom each member shares a mask, and to whom it gives shares of its secrets."""
        return graph.neighbours(list(self.keys), self.degree)

    @property
    def shares_needed(self) -> int:
        """Shares that give a secret: a member and its neighbours, less all drop-outs that may be among them.

        At least two more than the colluders, as the degree is above drop-outs plus colluders.
        """
        return self.degree + 1 - self.drop_outs

    @cached_property
    def transcript(self) -> bytes:
        """32 bytes that differ as soon as anything agreed, or one public key, differs.

        All keys are derived under it, so members who were told different things cannot
        read each other's shares.
        """
        agreed = [self.round_id, self.threshold, self.ring.bits, self.ring.bound, self.colluders]
        said = [*agreed, {name: keys.as_json() for name, keys in self.keys.items()}]
        return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).digest()
