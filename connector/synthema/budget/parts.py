"""What one part of a run is charged, out of what was set aside for all of its parts."""

from __future__ import annotations

from collections.abc import Sequence

from synthema.budget.mechanisms import Mechanism, loss_of
from synthema.budget.model import Reservation
from synthema.errors import DeniedError

ROUNDING = 10**9
"""One part in so many is what floating point may err by in what all parts cost (the margin of a study's noise)."""


def charge(left: Reservation, before: Sequence[Reservation], rho: float) -> int:
    """Units of the next part: its own loss, rounded up, out of the open reservation ``left``.

    Parts that together cost what was set aside may be above it by what rounding adds: a unit for each part, and
    the part in :data:`ROUNDING` by which their prices may err. So much is forgiven once, over all parts, and never
    more. Raises :class:`DeniedError` where the parts cost more than was set aside.
    """
    wanted = loss_of((Mechanism("zcdp", rho),)).units
    whole = left.units + sum(each.units for each in before)
    all_parts = wanted + sum(loss_of(each.mechanisms).units for each in before)
    if all_parts > whole + whole // ROUNDING + len(before) + 1:
        raise DeniedError(
            f"this part costs rho = {rho:.6g}, and {left.rho:.6g} of what was set aside for the run is left",
            fix="let the parts cost less, or ask for more in a new request",
        )
    return min(wanted, left.units)
