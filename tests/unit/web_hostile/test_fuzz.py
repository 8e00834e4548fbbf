"""Mutated messages of every kind at a real connector: refused messages change nothing, and nothing breaks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synthema.clock import SystemClock
from synthema.identity import tokens
from tests.unit.dataspace.world import World, world
from tests.unit.web_hostile.mutations import KINDS, Kind, everything, hostile


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A hospital that takes messages and does not work on them, so that states stay where messages put them."""
    with world(tmp_path_factory.mktemp("two")) as connectors:
        connectors.hospital.dataspace.stop()
        connectors.hub.dataspace.stop()
        yield connectors


def send(two: World, path: str, body: bytes) -> httpx.Response:
    token = tokens.mint(two.hub.signer, two.hub.did, two.hospital.did, SystemClock(), lifetime=timedelta(minutes=1))
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    url = two.hospital.settings.public_url + path
    return httpx.post(url, content=body, headers=headers, timeout=30, trust_env=False)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_valid_messages_are_taken(two: World, kind: Kind) -> None:
    path, message = kind.make(two)
    answer = send(two, path, _bytes(message))
    assert answer.status_code in (200, 201), answer.text


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@settings(
    max_examples=12,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_refused_messages_change_nothing(two: World, kind: Kind, data: st.DataObject) -> None:
    path, message = kind.make(two)
    body = data.draw(hostile(message))
    before = everything(two)
    answer = send(two, path, body)
    assert answer.status_code in (200, 201, 400, 404), answer.text
    if answer.status_code >= 400:
        assert answer.json()["@type"].endswith("Error")
        assert everything(two) == before
    path, message = KINDS[0].make(two)
    assert send(two, path, _bytes(message)).status_code == 200


def test_every_kind_of_message_is_thrown() -> None:
    assert len({kind.name for kind in KINDS}) == 15


def _bytes(message: dict[str, Any]) -> bytes:
    return httpx.Request("POST", "http://x", json=message).content
