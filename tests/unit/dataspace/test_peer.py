"""Calling out: only registered peers, only their origin, within limits."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from synthema.clock import SystemClock
from synthema.config import did_web
from synthema.dataspace.peer import PeerClient, fetch_did_document
from synthema.errors import PeerError
from tests.unit.dataspace.world import lasting_signer, listener, settings_for, url_of


class Canned:
    """A server that answers every request with the same bytes, and remembers what it was asked."""

    def __init__(self, listening: socket.socket, answer: bytes) -> None:
        self.asked: list[bytes] = []
        self._answer = answer
        self._listening = listening
        listening.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                with connection:
                    self.asked.append(connection.recv(65536))
                    connection.sendall(self._answer)


@contextlib.contextmanager
def answering(tmp_path: Path, answer: bytes) -> Iterator[tuple[PeerClient, str, Canned]]:
    with listener() as listening:
        server = Canned(listening, answer)
        url = url_of(listening)
        settings = settings_for(tmp_path, "hub", "http://127.0.0.1:9", [("hospital", url, "site")])
        with PeerClient(settings, lasting_signer(tmp_path), SystemClock()) as client:
            yield client, did_web(url), server


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


JSON = "Content-Type: application/json"


def test_an_answer_is_read_and_a_fresh_token_sent_each_time(tmp_path: Path) -> None:
    with answering(tmp_path, http(b'{"a": 1}', "200 OK", JSON)) as (client, did, server):
        assert client.get(did, "/x") == {"a": 1}
        assert client.post(did, "/x", {"b": 2}, key="k") == (200, {"a": 1})
        assert client.get_bytes(did, "/x", 100, token="secret") == b'{"a": 1}'
    tokens = [line for ask in server.asked for line in ask.split(b"\r\n") if line.startswith(b"Authorization: Bearer ")]
    assert len(set(tokens)) == 3
    assert b"Idempotency-Key: k" in server.asked[1]
    assert b"Synthema-Transfer: secret" in server.asked[2]
    assert did.removeprefix("did:web:").replace("%3A", ":").encode() in server.asked[0]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (http(b'{"a": NaN}', "200 OK", JSON), "acceptable JSON"),
        (http(b'{"a": 1, "a": 2}', "200 OK", JSON), "acceptable JSON"),
        (http(b"[" * 100 + b"]" * 100, "200 OK", JSON), "acceptable JSON"),
        (http(b"1" * 9_000, "200 OK", JSON), "acceptable JSON"),
        (http(b"hello"), "no JSON"),
        (http(b"{}", "302 Found", "Location: http://127.0.0.1:1/"), "answered 302"),
        (http(b"\x1f\x8b", "200 OK", JSON, "Content-Encoding: gzip"), "compressed"),
        (http(b"x" * 5_000_000), "more than"),
        (http(b'{"reason": ["because\\u001b"]}', "404 Not Found", JSON), "answered 404: because"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort", "does not answer"),
        (b"nonsense", "does not answer"),
    ],
)
def test_answers_out_of_order_are_refused(tmp_path: Path, answer: bytes, problem: str) -> None:
    with (
        answering(tmp_path, answer) as (client, did, _),
        pytest.raises(PeerError, match=problem) as refusal,
    ):
        client.get(did, "/x", max_bytes=1_000_000)
    assert "\x1b" not in str(refusal.value)


def test_nobody_at_home_is_a_peer_error(tmp_path: Path) -> None:
    with listener() as listening:
        url = url_of(listening)
    settings = settings_for(tmp_path, "hub", "http://127.0.0.1:9", [("hospital", url, "site")])
    with (
        PeerClient(settings, lasting_signer(tmp_path), SystemClock()) as client,
        pytest.raises(PeerError, match="does not answer"),
    ):
        client.get(did_web(url), "/")


@pytest.mark.parametrize(
    "path",
    ["", "x", "//evil.example/x", "/a/../b", "/..", "/a b", "/a\r\nX: y", "/\\evil", "/a#b", "/é", "/" + "a" * 5000],
)
def test_paths_cannot_leave_the_peer(tmp_path: Path, path: str) -> None:
    with answering(tmp_path, http(b"{}")) as (client, did, server):
        with pytest.raises(PeerError):
            client.get(did, path)
        assert not server.asked


def test_addresses_must_be_on_the_registered_origin(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, "hub", "http://127.0.0.1:9", [("h", "https://hospital.example", "site")])
    with PeerClient(settings, lasting_signer(tmp_path), SystemClock()) as client:
        did = "did:web:hospital.example"
        for good in ("https://hospital.example/dsp", "https://HOSPITAL.example:443/dsp"):
            assert client.path_of(did, good) == "/dsp"
        for bad in (
            "http://hospital.example/dsp",
            "https://hospital.example:8443/dsp",
            "https://hospital.example.evil.example/dsp",
            "https://hospital.example@evil.example/dsp",
            "https://user:pw@hospital.example/dsp",
            "https://127.0.0.1/dsp",
            "https://2130706433/dsp",
            "https://[::1/dsp",
            "https://hospital.example:99999/",
            "file:///etc/passwd",
            "/dsp",
            "",
        ):
            with pytest.raises(PeerError):
                client.path_of(did, bad)


def test_plain_http_is_for_loopback_and_demos(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, "hub", "http://127.0.0.1:9", [("h", "http://hospital.example", "site")])
    production = settings.model_copy(update={"mode": "production"})
    with (
        PeerClient(production, lasting_signer(tmp_path), SystemClock()) as client,
        pytest.raises(PeerError, match="not https"),
    ):
        client.get("did:web:hospital.example", "/")
    with pytest.raises(PeerError, match="not https"):
        fetch_did_document("http://hospital.example/.well-known/did.json")
    with pytest.raises(PeerError, match="not the address"):
        fetch_did_document("file:///etc/passwd")


def test_a_did_document_is_read_without_a_token(tmp_path: Path) -> None:
    with answering(tmp_path, http(b'{"id": "did:web:x"}')) as (_, did, server):
        url = "http://" + did.removeprefix("did:web:").replace("%3A", ":")
        assert fetch_did_document(f"{url}/.well-known/did.json") == b'{"id": "did:web:x"}'
    assert b"Authorization" not in server.asked[0]
