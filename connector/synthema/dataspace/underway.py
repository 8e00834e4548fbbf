"""The states between the protocol's states: what a process is about to become while our message is on its way.

The protocol knows AGREED; between the decision to send the agreement and its
acknowledgement we are AGREEING. Counterparties see the protocol's state only.
Nothing is stored for it: the message in the outbox is the fact, and a process
cannot say one thing while its outbox says another.
"""

from __future__ import annotations

from collections.abc import Mapping

from synthema.dataspace.transitions import Machine, Party

BEGINNING = "INITIAL"
"""A process of ours whose first message has not been queued yet."""

_BECOMING: Mapping[str, str] = {
    "REQUESTED": "REQUESTING",
    "OFFERED": "OFFERING",
    "ACCEPTED": "ACCEPTING",
    "AGREED": "AGREEING",
    "VERIFIED": "VERIFYING",
    "FINALIZED": "FINALIZING",
    "STARTED": "STARTING",
    "SUSPENDED": "SUSPENDING",
    "COMPLETED": "COMPLETING",
    "TERMINATED": "TERMINATING",
}


def internal_state(machine: Machine, state: str | None, role: Party, waiting: str | None) -> str:
    """The state with the ``waiting`` message (of ours, None if there is none) taken into account.

    A message that may not be sent in this state changes nothing: it will be dropped.
    """
    after = machine.table.get((state, waiting, role)) if waiting is not None else None
    if after is None:
        return state or BEGINNING
    return "RESUMING" if (state, after) == ("SUSPENDED", "STARTED") else _BECOMING[after]
