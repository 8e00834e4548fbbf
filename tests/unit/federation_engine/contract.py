"""What every engine must do, whatever carries its parcels. An engine's tests subclass :class:`EngineContract`.

A subclass gives ``carried``: the parties of ``tests.unit.federation.world`` whose studies run over its engine.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import pytest
from numpy.typing import NDArray

from synthema.errors import DeniedError, SynthemaError
from synthema.federation import (
    FederationEngine,
    Outcome,
    ParticipationState,
    SiteLimits,
    StudyPlan,
    StudyResult,
    StudyState,
)
from tests.unit.federation.world import LENGTH, Session, Summing, World


class Carried(Protocol):
    """Parties whose studies run over one engine."""

    world: World
    outcomes: dict[str, Outcome | SynthemaError]

    def run(
        self, plan: StudyPlan, algorithm: Any = None, limits: dict[str, dict[str, Any]] | None = None
    ) -> StudyResult | SynthemaError:
        """Run a study, every party through its engine; the result, or the error that ended it."""
        ...

    def bare(self) -> FederationEngine:
        """An engine of a connector that neither coordinates nor takes part."""
        ...


def without_noise(_sigma: float, length: int) -> NDArray[np.int64]:
    """Stands in for the sampler, so that what the engine carried can be compared number by number."""
    return np.zeros(length, dtype=np.int64)


def plain_sum(world: World) -> list[int]:
    """What a sum over all sites must be when no noise is added."""
    return [int(number) for number in sum(world.vectors[did] for did in world.dids)]


class EngineContract:
    """Every engine passes these."""

    def test_a_study_ends_with_the_exact_sum_of_its_sites(
        self, carried: Carried, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("synthema.federation.privacy.discrete_gaussian", without_noise)
        plan = carried.world.plan(rounds=2)
        result = carried.run(plan, Summing(rounds=2))
        assert isinstance(result, StudyResult), result
        assert result.state.values["totals"] == [plain_sum(carried.world)] * 2
        assert [outcome.state for outcome in finished(carried)] == [ParticipationState.FINISHED] * 3
        assert carried.world.coordinator.study(plan.id).state is StudyState.FINISHED

    def test_each_site_adds_its_noise_itself(self, carried: Carried) -> None:
        plan = carried.world.plan()
        result = carried.run(plan, Summing(rounds=3))
        assert isinstance(result, StudyResult), result
        totals = np.array(result.state.values["totals"])
        assert totals.shape == (3, LENGTH)
        assert np.any(totals != plain_sum(carried.world))
        assert np.all(abs(totals - plain_sum(carried.world)) < 12 * result.rounds[0].sigma)
        assert all(len(outcome.rounds) == 3 for outcome in finished(carried))

    def test_a_site_stops_the_coordinator_that_asks_for_a_round_too_many(self, carried: Carried) -> None:
        plan = carried.world.plan(rounds=2)
        result = carried.run(plan, Summing(rounds=5))
        assert isinstance(result, SynthemaError)
        assert carried.world.coordinator.study(plan.id).state is StudyState.FAILED
        assert all(len(outcome.rounds) <= 2 for outcome in finished(carried))

    def test_a_site_whose_grant_is_narrower_refuses_and_says_why(self, carried: Carried) -> None:
        plan, narrow = carried.world.plan(), carried.world.dids[1]
        result = carried.run(plan, Summing(rounds=1), {narrow: {"rounds": 1}})
        assert isinstance(result, SynthemaError)
        assert carried.world.coordinator.study(plan.id).state is StudyState.FAILED
        refused = carried.outcomes[narrow]
        assert isinstance(refused, Outcome)
        assert refused.state is ParticipationState.REFUSED
        assert "rounds granted" in str(refused.reason)
        assert "StudyRefusal" in carried.world.logs[narrow].types()

    def test_no_single_vector_reaches_the_coordinator(self, carried: Carried) -> None:
        plan = carried.world.plan()
        result = carried.run(plan, Summing(rounds=1))
        assert isinstance(result, StudyResult), result
        kept = sorted((carried.world.folder / "received" / plan.id).rglob("*.npy"))
        assert len(kept) == 3
        for path in kept:
            received = np.load(path).astype(np.int64)
            assert not any(np.array_equal(received, vector) for vector in carried.world.vectors.values())

    def test_a_connector_without_the_role_says_so(self, carried: Carried) -> None:
        plan, session = carried.world.plan(), Session({})
        with pytest.raises(DeniedError, match="does not coordinate"):
            carried.bare().coordinate(plan, session)
        with pytest.raises(DeniedError, match="takes no part"):
            carried.bare().participate(plan, session, SiteLimits.of_plan(plan))


def finished(carried: Carried) -> list[Outcome]:
    return [outcome for outcome in carried.outcomes.values() if isinstance(outcome, Outcome)]
