"""The FLARE engine keeps the same contract as the embedded one, over real processes and TLS."""

from __future__ import annotations

import pytest

from synthema.federation import StudyResult
from tests.flare.federation import AGREEMENT, Federation
from tests.unit.federation.world import Summing
from tests.unit.federation_engine.contract import EngineContract


class TestFlare(EngineContract):
    """The contract, over FLARE."""

    @pytest.fixture
    def carried(self, running: Federation) -> Federation:
        return running

    def test_one_session_carries_many_studies(self, running: Federation) -> None:
        agreements = dict.fromkeys(running.world.dids, AGREEMENT)
        session = running.hub.session(agreements, enough=3)
        assert isinstance(running.run(running.world.plan(), Summing(rounds=1)), StudyResult)
        assert running.hub.session(agreements, enough=3) is session
