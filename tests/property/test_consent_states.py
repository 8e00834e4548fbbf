"""Whatever states a person goes through, only a valid present state lets their record be used."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from synthema.clock import FixedClock
from synthema.consent import CONSENT_TRANSITIONS, VALID_STATES, ConsentState, ConsentStore, Ground, OptOut, OptOutState
from synthema.errors import ConflictError
from tests.databases import new_database
from tests.unit.datasets.support import make_log, make_signer

START = datetime(2026, 11, 21, tzinfo=UTC)


@given(st.lists(st.sampled_from(ConsentState), max_size=12))
@settings(max_examples=25, deadline=None)
def test_use_follows_the_last_lawful_step(steps: list[ConsentState]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = new_database(Path(folder) / "state.sqlite")
        clock = FixedClock(START)
        consents = ConsentStore(database, make_log(database, clock), clock, make_signer())
        state = ConsentState.UNKNOWN
        history = [(clock.now(), state)]
        for step in steps:
            clock.advance(timedelta(minutes=1))
            try:
                consents.change("mgus", "1", step)
            except ConflictError:
                assert step not in CONSENT_TRANSITIONS[state]
                continue
            assert step in CONSENT_TRANSITIONS[state]
            state = step
            history.append((clock.now(), state))
        for at, was in history:
            found = consents.exclusions("mgus", ["1"], Ground("A9-2-a", START - timedelta(days=999), at))
            assert (found.remaining == 1) == (was in VALID_STATES)
        assert consents.version() == len(history) - 1
        database.close()


@given(st.integers(-1000, 1000), st.sampled_from(OptOutState))
def test_an_opt_out_blocks_exactly_the_later_permits(hours: int, state: OptOutState) -> None:
    record = OptOut("optout-1", "token", state, START)
    assert record.blocks(START + timedelta(hours=hours)) == (state is OptOutState.OUT and hours >= 0)


def test_no_state_is_a_trap_and_none_is_left_out() -> None:
    assert set(CONSENT_TRANSITIONS) == set(ConsentState)
    for state, following in CONSENT_TRANSITIONS.items():
        assert following, state
        assert ConsentState.UNKNOWN not in following
