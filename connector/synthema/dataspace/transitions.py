"""The two state machines of the Dataspace Protocol 2025-1, each as one table.

A table maps ``(state before, message, sender)`` to the state after; ``None``
stands for "no process yet". Everything else that knows about states (handlers,
console timeline, generated documentation, property tests) reads these tables.

Sources: Dataspace Protocol 2025-1-err1, contract.negotiation.protocol.md and
transfer.process.protocol.md with their figures. Where text and figure disagree
on termination, the text is followed: both parties may terminate in any state
that is not final.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from synthema.errors import ConflictError

Party = Literal["consumer", "provider"]
Kind = Literal["negotiation", "transfer"]
Table = Mapping[tuple[str | None, str, Party], str]

CONTRACT_REQUEST = "ContractRequestMessage"
CONTRACT_OFFER = "ContractOfferMessage"
CONTRACT_AGREEMENT = "ContractAgreementMessage"
CONTRACT_VERIFICATION = "ContractAgreementVerificationMessage"
CONTRACT_ACCEPTED = "ContractNegotiationEventMessage:ACCEPTED"
CONTRACT_FINALIZED = "ContractNegotiationEventMessage:FINALIZED"
CONTRACT_TERMINATION = "ContractNegotiationTerminationMessage"

TRANSFER_REQUEST = "TransferRequestMessage"
TRANSFER_START = "TransferStartMessage"
TRANSFER_SUSPENSION = "TransferSuspensionMessage"
TRANSFER_COMPLETION = "TransferCompletionMessage"
TRANSFER_TERMINATION = "TransferTerminationMessage"

_PARTIES: tuple[Party, Party] = ("consumer", "provider")


@dataclass(frozen=True)
class Machine:
    """One state machine: its states in order of progress, those that end it, its table."""

    kind: Kind
    title: str
    states: tuple[str, ...]
    final: frozenset[str]
    table: Table

    def allows(self, state: str | None, message: str, sender: Party) -> bool:
        """Whether this party may send this message now."""
        return (state, message, sender) in self.table

    def advance(self, state: str | None, message: str, sender: Party) -> str:
        """The state after a message; raises :class:`ConflictError` when it is not allowed now."""
        try:
            return self.table[state, message, sender]
        except KeyError:
            allowed = sorted({name for before, name, party in self.table if (before, party) == (state, sender)})
            raise ConflictError(
                f"the {sender} may not send {message} while the {self.kind} is {state or 'not begun'}",
                fix=f"allowed now: {', '.join(allowed)}" if allowed else f"start a new {self.kind}",
            ) from None

    def describe(self) -> str:
        """The table as Markdown, for the generated reference."""
        lines = [f"### {self.title}", "", "| state | message | sent by | next state |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {before or '(none)'} | {message} | {sender} | {after} |"
            for (before, message, sender), after in sorted(self.table.items(), key=self._reading_order)
        ]
        return "\n".join(lines) + "\n"

    def _reading_order(self, row: tuple[tuple[str | None, str, Party], str]) -> tuple[int, int, str, str]:
        (before, message, sender), after = row
        return (-1 if before is None else self.states.index(before)), self.states.index(after), message, sender


def _either_terminates(states: tuple[str, ...], message: str) -> dict[tuple[str | None, str, Party], str]:
    return {(state, message, party): "TERMINATED" for state in states for party in _PARTIES}


def _either(before: str, message: str, after: str) -> dict[tuple[str | None, str, Party], str]:
    return {(before, message, party): after for party in _PARTIES}


NEGOTIATION = Machine(
    kind="negotiation",
    title="Contract negotiation",
    states=("REQUESTED", "OFFERED", "ACCEPTED", "AGREED", "VERIFIED", "FINALIZED", "TERMINATED"),
    final=frozenset({"FINALIZED", "TERMINATED"}),
    table={
        (None, CONTRACT_REQUEST, "consumer"): "REQUESTED",
        (None, CONTRACT_OFFER, "provider"): "OFFERED",
        ("REQUESTED", CONTRACT_OFFER, "provider"): "OFFERED",
        ("REQUESTED", CONTRACT_AGREEMENT, "provider"): "AGREED",
        ("OFFERED", CONTRACT_REQUEST, "consumer"): "REQUESTED",
        ("OFFERED", CONTRACT_ACCEPTED, "consumer"): "ACCEPTED",
        ("ACCEPTED", CONTRACT_AGREEMENT, "provider"): "AGREED",
        ("AGREED", CONTRACT_VERIFICATION, "consumer"): "VERIFIED",
        ("VERIFIED", CONTRACT_FINALIZED, "provider"): "FINALIZED",
        **_either_terminates(("REQUESTED", "OFFERED", "ACCEPTED", "AGREED", "VERIFIED"), CONTRACT_TERMINATION),
    },
)

TRANSFER = Machine(
    kind="transfer",
    title="Transfer process",
    states=("REQUESTED", "STARTED", "SUSPENDED", "COMPLETED", "TERMINATED"),
    final=frozenset({"COMPLETED", "TERMINATED"}),
    table={
        (None, TRANSFER_REQUEST, "consumer"): "REQUESTED",
        ("REQUESTED", TRANSFER_START, "provider"): "STARTED",
        **_either("STARTED", TRANSFER_SUSPENSION, "SUSPENDED"),
        **_either("STARTED", TRANSFER_COMPLETION, "COMPLETED"),
        **_either("SUSPENDED", TRANSFER_START, "STARTED"),
        **_either_terminates(("REQUESTED", "STARTED", "SUSPENDED"), TRANSFER_TERMINATION),
    },
)

MACHINES: Mapping[Kind, Machine] = {"negotiation": NEGOTIATION, "transfer": TRANSFER}


def describe() -> str:
    """Both tables as Markdown; the reference documentation is made from this text."""
    return NEGOTIATION.describe() + "\n" + TRANSFER.describe()


def other(party: Party) -> Party:
    """The counterparty's part."""
    return "provider" if party == "consumer" else "consumer"
