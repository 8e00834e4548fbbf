"""Whatever happens in whatever order, what is not a valid consent or blocks as an opt-out is never read.

The model beside the register is a dictionary and the two laws: a withdrawal stops everything that rests
on consent whatever was permitted (GDPR 7(3)), an opt-out only what was permitted after it (EHDS 71(3)).
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from synthema.clock import FixedClock
from synthema.consent import (
    CONSENT_TRANSITIONS,
    VALID_STATES,
    ConsentState,
    ConsentStore,
    Ground,
    Withdrawal,
    WithdrawalLevel,
    representative,
)
from synthema.errors import ConflictError
from synthema.storage import Database, metadata
from tests.unit.datasets.support import make_log, make_signer

START = datetime(2026, 11, 21, tzinfo=UTC)
PEOPLE = ("a", "b")
CONSENT, RESEARCH = "A9-2-a", "A9-2-j"


@dataclass
class Person:
    """What ought to be true of one person."""

    state: ConsentState = ConsentState.UNKNOWN
    ends: datetime | None = None
    out_since: datetime | None = None
    reversed: bool = False


class Register(RuleBasedStateMachine):
    """Random lives of two people in one register."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.database = Database(f"sqlite:///{Path(self.folder.name)}/state.sqlite")
        few = [table for name, table in metadata.tables.items() if name.startswith(("consent_", "log_"))]
        metadata.create_all(self.database.engine, tables=few)
        self.clock = FixedClock(START)
        self.consents = ConsentStore(self.database, make_log(self.database, self.clock), self.clock, make_signer())
        self.people = {key: Person() for key in PEOPLE}
        self.told: list[Withdrawal] = []

    def teardown(self) -> None:
        self.database.close()
        self.folder.cleanup()

    @initialize()
    def listen(self) -> None:
        self.consents.on_withdrawal(lambda _, found: self.told.extend(found))

    @rule(key=st.sampled_from(PEOPLE), state=st.sampled_from(ConsentState))
    def change(self, key: str, state: ConsentState) -> None:
        self.clock.advance(timedelta(minutes=1))
        person = self.people[key]
        lawful = state in CONSENT_TRANSITIONS[person.state]
        told = len(self.told)
        try:
            self.consents.change("mgus", key, state)
        except ConflictError:
            assert not lawful
            return
        assert lawful
        if person.state in VALID_STATES and state not in VALID_STATES:
            assert len(self.told) == told + 1, "whoever listens hears of every consent that ends"
        person.state = state
        if state in VALID_STATES:
            person.ends = None

    @rule(key=st.sampled_from(PEOPLE), days=st.integers(1, 5))
    def give_until(self, key: str, days: int) -> None:
        self.clock.advance(timedelta(minutes=1))
        person = self.people[key]
        ends = self.clock.now() + timedelta(days=days)
        self.consents.give("mgus", key, valid_to=ends)
        first = ConsentState.GIVEN in CONSENT_TRANSITIONS[person.state]
        person.state, person.ends = ConsentState.GIVEN if first else ConsentState.RENEWED, ends

    @rule(key=st.sampled_from(PEOPLE), days=st.integers(1, 5))
    def parent_agrees(self, key: str, days: int) -> None:
        self.clock.advance(timedelta(minutes=1))
        person = self.people[key]
        of_age = (self.clock.now() + timedelta(days=days)).date()
        born = date(of_age.year - 18, of_age.month, min(of_age.day, 28))
        if of_age.day > 28:
            return
        whose = representative("parent", self.clock.now().date(), born=born)
        self.consents.give("mgus", key, representative=whose)
        first = ConsentState.GIVEN in CONSENT_TRANSITIONS[person.state]
        person.state, person.ends = ConsentState.GIVEN if first else ConsentState.RENEWED, whose.ends_at

    @rule(key=st.sampled_from(PEOPLE), level=st.sampled_from(WithdrawalLevel))
    def withdraw(self, key: str, level: WithdrawalLevel) -> None:
        self.clock.advance(timedelta(minutes=1))
        person = self.people[key]
        try:
            self.consents.withdraw("mgus", key, level)
        except ConflictError:
            return
        if level is WithdrawalLevel.USE:
            person.state = ConsentState.WITHDRAWN
        elif level is WithdrawalLevel.ACCESS:
            person.ends = START  # asked without saying how old the data are, such a consent covers nothing

    @rule(key=st.sampled_from(PEOPLE))
    def opt_out(self, key: str) -> None:
        self.clock.advance(timedelta(minutes=1))
        person = self.people[key]
        if person.out_since is not None:
            with pytest.raises(ConflictError):
                self.consents.opt_out(key)
            return
        self.consents.opt_out(key)
        person.out_since = self.clock.now()

    @rule(key=st.sampled_from(PEOPLE))
    def opt_in(self, key: str) -> None:
        self.clock.advance(timedelta(minutes=1))
        person = self.people[key]
        if person.out_since is None:
            with pytest.raises(ConflictError):
                self.consents.opt_in(key)
            return
        self.consents.opt_in(key)
        person.out_since = None

    @rule(days=st.integers(1, 3))
    def time_passes(self, days: int) -> None:
        self.clock.advance(timedelta(days=days))

    @rule()
    def sweep(self) -> None:
        self.clock.advance(timedelta(minutes=1))
        self.consents.expire_due()
        for person in self.people.values():
            access_only = person.ends == START
            ended = person.ends is not None and self.clock.now() >= person.ends
            if ended and not access_only and person.state in VALID_STATES:
                person.state = ConsentState.EXPIRED

    @invariant()
    def only_the_valid_are_read_on_consent(self) -> None:
        now = self.clock.now()
        for approved in (None, START - timedelta(days=999), now):
            found = self.consents.exclusions("mgus", PEOPLE, Ground(CONSENT, approved, now))
            for key, person in self.people.items():
                valid = person.state in VALID_STATES and (person.ends is None or now < person.ends)
                assert (key not in found.excluded) == valid

    @invariant()
    def an_opt_out_reaches_exactly_the_later_permits(self) -> None:
        now = self.clock.now()
        for approved in (None, START - timedelta(days=1), now - timedelta(minutes=3), now):
            found = self.consents.exclusions("mgus", PEOPLE, Ground(RESEARCH, approved, now))
            for key, person in self.people.items():
                out = person.out_since
                blocks = out is not None and (approved is None or approved >= out)
                assert (key in found.excluded) == blocks


TestRegister = Register.TestCase
TestRegister.settings = settings(max_examples=10, stateful_step_count=15, deadline=None)
TestRegister.pytestmark = [pytest.mark.article("GDPR 7(3)"), pytest.mark.article("EHDS 71(3)")]
