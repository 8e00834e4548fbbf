"""Parcels of a study as raw bytes: their digest, their length, and how much of them a hub has in hand."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from fastapi import FastAPI, Request, Response

from synthema.canonical import digest_bytes
from synthema.dataspace import PeerClient
from synthema.dataspace.peer import DIGEST_HEADER, OCTETS
from synthema.demo.processes import free_ports
from synthema.errors import PeerError
from synthema.federation import Passage
from synthema.web.octets import octets_response, parcel_of
from synthema.web.security import install_guards, json_response
from tests.unit.web_hostile.live import Live, served
from tests.unit.web_hostile.raw import head, said, status

PATH = "/federation/studies/study-1/answers"
PARCEL = b"SYNTHEMA-FED-1\n"


def of(content: bytes) -> dict[str, str]:
    return {"Content-Type": OCTETS, DIGEST_HEADER: digest_bytes(content)}


def post(hub: Live, content: bytes, headers: dict[str, str]) -> httpx.Response:
    return hub.ask("POST", PATH, content=content, headers=headers)


@pytest.mark.parametrize(
    ("headers", "expected", "why"),
    [
        ({"Content-Type": "application/json"}, 400, "content type"),
        ({"Content-Type": OCTETS}, 400, "digest of the parcel is missing"),
        (of(b"other bytes"), 422, "not the bytes of the digest"),
        (of(PARCEL) | {"Content-Encoding": "gzip"}, 400, "compressed"),
        (of(PARCEL), 404, "no study"),
    ],
)
def test_a_parcel_is_looked_at_only_as_raw_bytes_with_their_digest(
    hub: Live, headers: dict[str, str], expected: int, why: str
) -> None:
    answer = post(hub, PARCEL, headers)
    assert answer.status_code == expected, answer.text
    assert why in answer.text
    assert hub.works()


def test_a_parcel_says_its_length_before_it_comes(hub: Live) -> None:
    told = [f"{name}: {value}" for name, value in (of(PARCEL) | hub.bearer()).items()]
    chunked = head("POST", PATH, ["Host: x", *told, "Transfer-Encoding: chunked"])
    assert status(said(hub.public, chunked, b"f\r\n" + PARCEL + b"\r\n0\r\n\r\n")) == 411
    larger = head("POST", PATH, ["Host: x", *told, f"Content-Length: {513 * 1024 * 1024}"])
    assert status(said(hub.public, larger)) == 413
    assert hub.works()


def test_the_next_parcel_comes_with_its_digest(site: Live, hub: Live) -> None:
    answer = hub.ask("GET", "/federation/studies/study-1/next?after=0")
    assert answer.status_code == 404  # no such study: nothing is told
    assert octets_response(b"abc").headers[DIGEST_HEADER] == digest_bytes(b"abc")
    assert site.works()


@pytest.fixture
def narrow() -> Iterator[str]:
    """A server with room for one parcel of a hundred bytes; it does not wait for more."""
    app, passage = FastAPI(), Passage(largest=100, in_hand=100, wait_seconds=0.0)
    install_guards(app)

    @app.post("/held")
    async def held(asked: Request) -> Response:
        async with parcel_of(asked, passage) as parcel:
            async with httpx.AsyncClient(trust_env=False) as client:  # while the first is in hand, another comes
                second = await client.post(str(asked.url_for("once")), content=b"y", headers=of(b"y"))
            return json_response({"first": len(parcel), "second": second.status_code})

    @app.post("/once")
    async def once(asked: Request) -> Response:
        async with parcel_of(asked, passage) as parcel:
            return json_response(len(parcel))

    with served(app, free_ports(1)[0]) as url:
        yield url


def test_who_comes_when_the_hands_are_full_is_told_to_come_again(narrow: str) -> None:
    full = httpx.post(f"{narrow}/held", content=b"x" * 100, headers=of(b"x" * 100), trust_env=False)
    assert full.json() == {"first": 100, "second": 503}
    for _ in range(3):  # what was refused is not counted
        room = httpx.post(f"{narrow}/held", content=b"x" * 99, headers=of(b"x" * 99), trust_env=False)
        assert room.json() == {"first": 99, "second": 200}
    larger = httpx.post(f"{narrow}/once", content=b"x" * 101, headers=of(b"x" * 101), trust_env=False)
    assert larger.status_code == 400
    wrong = httpx.post(f"{narrow}/once", content=b"x" * 100, headers=of(b"y"), trust_env=False)
    assert wrong.status_code == 422
    assert httpx.post(f"{narrow}/once", content=b"x" * 100, headers=of(b"x" * 100), trust_env=False).json() == 100


def test_a_site_does_not_take_bytes_of_another_digest(site: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    peers: PeerClient = site.connector.peers
    monkeypatch.setattr(peers, "get_file", lambda *_: (b"bytes", {DIGEST_HEADER.lower(): digest_bytes(b"others")}))
    with pytest.raises(PeerError, match="other bytes than the digest"):
        peers.get_octets(site.partner.settings.did, "/federation/studies/study-1/next?after=0", 100)


def test_a_site_sends_no_more_at_once_than_it_may() -> None:
    passage = Passage(largest=10, in_hand=10, wait_seconds=5.0)
    with ThreadPoolExecutor(2) as workers, passage.hold(10):
        later = workers.submit(lambda: passage.hold(1).__enter__())
        assert not later.done()
    later.result(timeout=5)
