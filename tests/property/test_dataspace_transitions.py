"""The two state machines of the protocol, walked at random."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from synthema.dataspace.transitions import MACHINES, NEGOTIATION, TRANSFER, Machine, Party, describe
from synthema.errors import ConflictError

PARTIES = st.sampled_from(["consumer", "provider"])


class _Walk(RuleBasedStateMachine):
    """Both parties send anything at any time; each keeps its own state by the table alone."""

    machine: Machine

    def __init__(self) -> None:
        super().__init__()
        self.state: str | None = None
        self.states: list[str] = []

    @rule(data=st.data(), sender=PARTIES)
    def speak(self, data: st.DataObject, sender: Party) -> None:
        message = data.draw(st.sampled_from(sorted({name for _, name, _ in self.machine.table})))
        legal = self.machine.allows(self.state, message, sender)
        try:
            after = self.machine.advance(self.state, message, sender)
        except ConflictError:
            assert not legal
            return
        assert legal
        self.states.append(after)
        self.state = after

    @invariant()
    def stays_known(self) -> None:
        assert self.state is None or self.state in self.machine.states

    @invariant()
    def ends_once(self) -> None:
        assert all(state not in self.machine.final for state in self.states[:-1])

    @invariant()
    def never_final_without_verification(self) -> None:
        if "FINALIZED" in self.states:
            assert self.states[-3:] == ["AGREED", "VERIFIED", "FINALIZED"]
        if "COMPLETED" in self.states:
            assert "STARTED" in self.states


class NegotiationWalk(_Walk):
    machine = NEGOTIATION


class TransferWalk(_Walk):
    machine = TRANSFER


TestNegotiationWalk = NegotiationWalk.TestCase
TestTransferWalk = TransferWalk.TestCase


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES.keys())
def test_every_state_can_be_reached_and_can_end(machine: Machine) -> None:
    after = {state: {a for (b, _, _), a in machine.table.items() if b == state} for state in (None, *machine.states)}

    def reach(start: str | None) -> set[str]:
        found: set[str] = set()
        todo = list(after[start])
        while todo:
            state = todo.pop()
            if state not in found:
                found.add(state)
                todo += after[state]
        return found

    assert reach(None) == set(machine.states)
    for state in machine.states:
        assert (not after[state]) == (state in machine.final)
        assert state in machine.final or "TERMINATED" in after[state]


@given(st.sampled_from(sorted(NEGOTIATION.table.items(), key=str)))
def test_the_documentation_tells_each_row(row: tuple[tuple[str | None, str, Party], str]) -> None:
    (before, message, sender), after = row
    assert f"| {before or '(none)'} | {message} | {sender} | {after} |" in describe()


def test_a_refusal_names_what_is_allowed() -> None:
    with pytest.raises(ConflictError) as refusal:
        NEGOTIATION.advance("OFFERED", "ContractAgreementVerificationMessage", "consumer")
    assert "ContractNegotiationEventMessage:ACCEPTED" in refusal.value.fix
