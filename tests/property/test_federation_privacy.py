"""Noise and state tables, for all inputs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthema.errors import ConflictError, InputError
from synthema.federation.model import (
    FINAL_PARTICIPATION_STATES,
    FINAL_STUDY_STATES,
    PARTICIPATION_TRANSITIONS,
    STUDY_TRANSITIONS,
    ParticipationState,
    StudyState,
    advance_participation,
    advance_study,
)
from synthema.federation.privacy import MARGIN, clipped, cost_of_sum, noise_share


@settings(deadline=None)
@given(
    rho=st.floats(1e-4, 20),
    sensitivity=st.floats(1, 50),
    honest=st.integers(1, 50),
    length=st.integers(1, 10_000_000),
)
def test_the_honest_sites_noise_never_costs_more_than_rho(
    rho: float, sensitivity: float, honest: int, length: int
) -> None:
    share = noise_share(rho, sensitivity, honest, length)
    assert share.rho <= rho * (1 + MARGIN)
    assert share.rho == cost_of_sum(share.sigma, sensitivity, honest, length)
    assert share.total_sigma(honest) >= sensitivity / math.sqrt(2 * rho) * (1 - 1e-12)
    # The noise of further sites comes on top and makes nothing worse.
    assert share.total_sigma(honest + 1) > share.total_sigma(honest)


@pytest.mark.parametrize("numbers", [(0, 1, 2, 5), (1, 0, 2, 5), (1, 1, 0, 5), (1, 1, 2, 0)])
def test_noise_needs_positive_numbers(numbers: tuple[float, float, int, int]) -> None:
    with pytest.raises(InputError):
        noise_share(*numbers)


@given(
    first=st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=20),
    data=st.data(),
    bound=st.integers(1, 2**50),
)
def test_clipping_never_drives_two_vectors_apart(first: list[int], data: st.DataObject, bound: int) -> None:
    second = data.draw(st.lists(st.integers(-(2**62), 2**62), min_size=len(first), max_size=len(first)))
    a, b = np.array(first, np.int64), np.array(second, np.int64)
    cut_a, cut_b = clipped(a, len(a), bound), clipped(b, len(b), bound)
    assert np.abs(cut_a).max() <= bound
    assert np.all(np.abs(cut_a.astype(object) - cut_b.astype(object)) <= np.abs(a.astype(object) - b.astype(object)))


EVENTS = ["invite", "accept", "start", "open", "round", "contribute", "answer", "finish", "refuse", "abort"]


@given(st.lists(st.tuples(st.sampled_from(EVENTS), st.sampled_from(["site", "coordinator"])), max_size=12))
def test_states_move_only_as_the_tables_say_and_ends_are_final(events: list[tuple[str, str]]) -> None:
    study, part = StudyState.PLANNED, ParticipationState.OFFERED
    for message, role in events:
        if (study, message, role) in STUDY_TRANSITIONS:
            study = advance_study(study, message, role)
        else:
            with pytest.raises(ConflictError):
                advance_study(study, message, role)
        if (part, message, role) in PARTICIPATION_TRANSITIONS:
            part = advance_participation(part, message, role)
        else:
            with pytest.raises(ConflictError):
                advance_participation(part, message, role)


def test_no_step_leads_out_of_a_final_state_and_every_state_can_be_reached() -> None:
    assert not [state for state, *_ in STUDY_TRANSITIONS if state in FINAL_STUDY_STATES]
    assert not [state for state, *_ in PARTICIPATION_TRANSITIONS if state in FINAL_PARTICIPATION_STATES]
    assert set(STUDY_TRANSITIONS.values()) | {StudyState.PLANNED} == set(StudyState)
    assert set(PARTICIPATION_TRANSITIONS.values()) | {ParticipationState.OFFERED} == set(ParticipationState)
