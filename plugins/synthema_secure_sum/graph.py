"""Who shares masks with whom: everyone with everyone, or each with its nearest on a circle.

With more than :data:`FULL_UP_TO` members each has ``degree`` neighbours: the ``degree / 2`` next ones
on either side, in the order of the roll. This graph stays connected whichever ``degree - 1``
members are taken away (Harary, "The maximum connectivity of a graph", 1962; four lines of proof in
the README). Taking ``degree`` above drop-outs plus colluders therefore leaves the honest survivors
connected *with certainty*, also against a coordinator that chooses who drops after
seeing the graph: nothing is random, so nothing can be searched for.
"""

from __future__ import annotations

from collections.abc import Sequence

FULL_UP_TO = 30


def degree(members: int, drop_outs: int, colluders: int) -> int:
    """Neighbours of each member, so that the honest survivors stay connected; ``members - 1`` is the full graph."""
    enough = drop_outs + colluders + 1
    even = max(2, enough + enough % 2)
    return members - 1 if members <= FULL_UP_TO or even >= members - 1 else even


def neighbours(names: Sequence[str], how_many: int) -> dict[str, tuple[str, ...]]:
    """Each member's neighbours, itself left out; ``names`` in the order of the roll."""
    count = len(names)
    if how_many >= count - 1:
        return {name: tuple(other for other in names if other != name) for name in names}
    steps = [step for reach in range(1, how_many // 2 + 1) for step in (-reach, reach)]
    return {name: tuple(names[(place + step) % count] for step in steps) for place, name in enumerate(names)}
