"""A hub gathers evidence: each site is asked once, over its own restarts and over those of the hub."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from synthema.assembly import asking, gathering
from synthema.assembly.gathering import Gathering
from synthema.errors import PeerError

SITE = "did:web:site.example"
EVIDENCE = {"credential": {"id": "urn:evidence"}, "series": {}}
GONE = PeerError("it does not answer", fix="wait")


class Peers:
    """A site that answers as it is told to; ``orders`` counts how often it was asked to measure."""

    def __init__(self, *says: Any, away: int = 0) -> None:
        self._says: Iterator[Any] = iter(says)
        self._away = away
        self.orders = 0
        self.asked: list[str] = []

    def post(self, _did: str, _path: str, _value: Any) -> tuple[int, Any]:
        self.orders += 1
        if self.orders <= self._away:
            raise GONE
        return 200, {"effect": "permit", "run": f"run-{self.orders}", "sentences": []}

    def get(self, _did: str, path: str) -> Any:
        self.asked.append(path.rpartition("/")[2])
        said = next(self._says)
        if isinstance(said, PeerError):
            raise said
        state, evidence = said
        return {"state": state, "reason": "why", "evidence": evidence}


def gathered(monkeypatch: pytest.MonkeyPatch, peers: Peers, *events: dict[str, Any], patience: float = 60.0) -> Any:
    monkeypatch.setattr(gathering, "SECONDS_BETWEEN_LOOKS", 0.0)
    monkeypatch.setattr(gathering, "failures_of", lambda *_: [])
    monkeypatch.setattr(Gathering, "verified", lambda *_: SimpleNamespace(issuer=SITE, statement=None))
    story = list(events)
    plan: Any = SimpleNamespace(id="study-1", output="synthetic", model_dump=lambda mode: {})
    rooms: Any = SimpleNamespace(settings=SimpleNamespace(answer_seconds=patience))
    study: Any = lambda _identifier: SimpleNamespace(events=story)  # noqa: E731
    made = Gathering(rooms, peers, None, study, lambda _study, event: story.append(event), threading.Event())  # type: ignore[arg-type]
    return made.gather(plan, [SITE], "sha256:0"), story


def test_a_site_is_asked_once_and_its_run_stands_in_the_story(monkeypatch: pytest.MonkeyPatch) -> None:
    peers = Peers(("running", None), ("released", None), ("released", EVIDENCE))
    found, story = gathered(monkeypatch, peers)
    assert found == {SITE: EVIDENCE}
    assert peers.orders == 1, "figures that are released and not signed yet are waited for"
    assert [(event["kind"], event.get("run")) for event in story] == [("measuring", "run-1"), ("evidence", None)]


def test_a_hub_that_was_killed_asks_after_the_run_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    peers = Peers(("released", EVIDENCE))
    found, _ = gathered(monkeypatch, peers, {"kind": "measuring", "site": SITE, "run": "run-former"})
    assert found == {SITE: EVIDENCE}
    assert (peers.orders, peers.asked) == (0, ["run-former"])


@pytest.mark.parametrize("state", ["failed", "released"])
def test_a_site_that_was_started_anew_measures_again(monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    peers = Peers(("running", None), GONE, GONE, (state, None), ("running", None), ("released", EVIDENCE))
    found, story = gathered(monkeypatch, peers)
    assert found == {SITE: EVIDENCE}
    assert peers.orders == 2
    assert peers.asked[-1] == "run-2"
    assert [event["run"] for event in story if event["kind"] == "measuring"] == ["run-1", "run-2"]


def test_a_failure_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PeerError, match="could not measure the candidate: why"):
        gathered(monkeypatch, Peers(("failed", None)))
    with pytest.raises(PeerError, match="could not measure"):  # a second one is no restart any more
        gathered(monkeypatch, Peers(GONE, ("failed", None), ("failed", None)))
    with pytest.raises(PeerError, match="does not answer"):
        gathered(monkeypatch, Peers(GONE, GONE), patience=0.0)


def test_a_site_that_is_on_its_way_back_is_asked_until_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "SECONDS_BETWEEN_CALLS", 0.0)
    found, story = gathered(monkeypatch, Peers(("released", EVIDENCE), away=2))
    assert found == {SITE: EVIDENCE}
    assert [event["run"] for event in story if event["kind"] == "measuring"] == ["run-3"]
    with pytest.raises(PeerError, match="does not answer"):
        gathered(monkeypatch, Peers(away=3), patience=0.0)
