"""HTTP itself as a weapon: slow, oversized and ambiguous requests are refused, and cost nobody else anything."""

from __future__ import annotations

import contextlib
import gzip
import socket
import time
from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI, Request, Response

from synthema.demo.processes import free_ports
from synthema.web.listening import Impatient
from synthema.web.security import install_guards, json_response, read_json
from tests.unit.web_hostile.live import Live, served
from tests.unit.web_hostile.raw import connected, head, heard, said, status

JSON = "Content-Type: application/json"
MEGABYTE = 1024 * 1024


@pytest.fixture(scope="module")
def hurried(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server that waits half a second for anything."""
    app = FastAPI()
    install_guards(app, max_bytes=MEGABYTE, seconds=0.5, hosts={"127.0.0.1"})

    @app.post("/echo")
    async def echo(asked: Request) -> Response:
        return json_response(await read_json(asked))

    @app.post("/unread")
    async def unread() -> Response:
        return json_response("done")

    @app.get("/large")
    async def large() -> Response:
        return Response(b"x" * 64 * MEGABYTE)

    patch = pytest.MonkeyPatch()
    patch.setattr(Impatient, "stall_seconds", 0.5)
    with served(app, free_ports(1)[0], head_seconds=0.5) as url:
        yield url
    patch.undo()


# slowness ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", b"POST /echo HT", b"POST /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "])
def test_a_head_that_does_not_come_is_not_waited_for(hurried: str, sent: bytes) -> None:
    assert said(hurried, sent) == b""


def test_a_drip_of_header_bytes_gains_no_time(hurried: str) -> None:
    with connected(hurried) as connection:
        connection.sendall(b"POST /echo HTTP/1.1\r\nX: ")
        with pytest.raises(ConnectionError):
            _drip(connection, b"y", 8)


def _drip(connection: socket.socket, piece: bytes, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        connection.sendall(piece)
        time.sleep(0.05)


def test_a_second_request_must_come_as_quickly_as_the_first(hurried: str) -> None:
    with connected(hurried) as connection:
        connection.sendall(head("POST", "/unread", ["Host: 127.0.0.1", "Content-Length: 0"]))
        assert status(heard(connection)) == 200
        connection.sendall(b"POST /unread HTTP/1.1\r\nHo")
        assert connection.recv(100) == b""


def test_a_body_that_does_not_come_is_not_waited_for(hurried: str) -> None:
    answer = said(hurried, head("POST", "/echo", ["Host: 127.0.0.1", JSON, "Content-Length: 100"]), b'{"a"')
    assert status(answer) == 408
    assert b'"code":"input"' in answer
    assert b"connection: close" in answer.lower()


def test_a_drip_of_body_bytes_gains_no_time(hurried: str) -> None:
    with connected(hurried) as connection:
        connection.sendall(head("POST", "/echo", ["Host: 127.0.0.1", JSON, "Content-Length: 10000"]))
        connection.settimeout(0.05)
        answer = b""
        end = time.monotonic() + 8
        while not answer and time.monotonic() < end:
            connection.sendall(b" ")
            try:
                answer = connection.recv(4096)
            except TimeoutError:
                continue
        assert status(answer) == 408


def test_who_does_not_read_the_answer_is_cut_off(hurried: str) -> None:
    received = 0
    with connected(hurried) as connection:
        connection.sendall(head("GET", "/large", ["Host: 127.0.0.1"]))
        time.sleep(1.5)
        with contextlib.suppress(ConnectionError):
            while data := connection.recv(MEGABYTE):
                received += len(data)
    assert received < 64 * MEGABYTE


def test_slow_ones_do_not_keep_others_waiting(hurried: str) -> None:
    slow = [connected(hurried) for _ in range(50)]
    try:
        for each in slow:
            each.sendall(b"POST /echo HTTP/1.1\r\nX: ")
        assert httpx.post(f"{hurried}/echo", json={"a": 1}, timeout=5).json() == {"a": 1}
    finally:
        for each in slow:
            each.close()


# size ----------------------------------------------------------------------------------------------------------------


def test_nothing_of_a_strangers_body_is_kept(hub: Live) -> None:
    """Half a gigabyte may come from a partner in a study; a stranger is answered before a byte of it is read."""
    headers = ["Host: x", JSON, f"Content-Length: {400 * MEGABYTE}"]
    answer = said(hub.public, head("POST", "/federation/studies/study-1/answers", headers), b'{"parcel": "')
    assert status(answer) == 404
    assert b"connection: close" in answer.lower()


@pytest.mark.parametrize(
    "path", ["/dsp/catalog/request", "/dsp/negotiations/request", "/withdrawals/notices", "/witness/add-checkpoint"]
)
def test_a_body_over_its_cap_is_refused_before_and_while_it_comes(site: Live, path: str) -> None:
    declared = ["Host: x", JSON, f"Content-Length: {9 * MEGABYTE}"]
    assert status(said(site.public, head("POST", path, declared))) == 413
    token = f"Authorization: Bearer {site.token()}"
    chunked = head("POST", path, ["Host: x", JSON, token, "Transfer-Encoding: chunked"])
    piece = b"%x\r\n" % MEGABYTE + b" " * MEGABYTE + b"\r\n"
    with connected(site.public) as connection:
        connection.sendall(chunked)
        try:
            for _ in range(10):
                connection.sendall(piece)
        except OSError:
            pass  # it has answered and closed already
        assert status(heard(connection)) in (0, 413)
    assert site.works()


@pytest.mark.parametrize("lines", [["X: " + "y" * 64 * 1024], [f"X-{n}: {'y' * 100}" for n in range(1000)]])
def test_oversized_heads_are_refused_in_our_form(site: Live, lines: list[str]) -> None:
    answer = said(site.public, head("GET", "/.well-known/did.json", ["Host: x", *lines]))
    assert status(answer) in (0, 400, 431)
    assert not answer or b'"code":"input"' in answer


def test_addresses_have_a_length(site: Live) -> None:
    answer = site.ask("GET", "/dsp/catalog/datasets/" + "x" * 10_000)
    assert (answer.status_code, answer.json()["@type"]) == (414, "CatalogError")


def test_a_compressed_body_is_not_unfolded(site: Live) -> None:
    bomb = gzip.compress(b'{"a": "' + b"x" * 32 * MEGABYTE + b'"}')
    for encoding in ("gzip", "deflate", "br", "identity, gzip"):
        headers = {"content-type": "application/json", "content-encoding": encoding}
        answer = site.ask("POST", "/dsp/catalog/request", content=bomb, headers=headers)
        assert answer.status_code == 400
        assert "compressed" in answer.text


# ambiguity -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "twice",
    [
        ["Content-Length: 2", "Content-Length: 3"],
        ["Content-Length: 2", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
        ["Content-Length: +2"],
        ["Content-Length: 2, 3"],
        ["Transfer-Encoding: gzip, chunked"],
        ["Content-Type: text/plain", "Content-Length: 2"],
        ["Host: y", "Content-Length: 2"],
        ["Idempotency-Key: a", "Idempotency-Key: b", "Content-Length: 2"],
        ["Authorization: Bearer x", "Authorization: Bearer y", "Content-Length: 2"],
        ["Synthema-Log-Head: a", "Synthema-Log-Head: b", "Content-Length: 2"],
        [" folded: header", "Content-Length: 2"],
        ["Name With Space: x", "Content-Length: 2"],
        ["X: a\rb", "Content-Length: 2"],
        ["X: a\0b", "Content-Length: 2"],
    ],
)
def test_requests_that_two_readers_would_understand_differently_are_refused(hurried: str, twice: list[str]) -> None:
    answer = said(hurried, head("POST", "/echo", ["Host: 127.0.0.1", JSON, *twice]), b"{}")
    assert status(answer) == 400, answer
    assert b'"fix":' in answer
    assert answer.count(b"HTTP/1.1 ") == 1


def test_a_second_request_does_not_hide_in_a_body_that_nobody_reads(hurried: str) -> None:
    hidden = head("POST", "/echo", ["Host: 127.0.0.1", JSON, "Content-Length: 2"]) + b"{}"
    answer = said(hurried, head("POST", "/unread", ["Host: 127.0.0.1", f"Content-Length: {len(hidden)}"]) + hidden)
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("path", ["%00", "a%0ab", "a%0D%0AX:%20y", "%1b[31m", "%7f", "%e2%80%a8", "%c2%85"])
def test_control_characters_are_nowhere_in_an_address(site: Live, path: str) -> None:
    for before in ("/dsp/catalog/datasets/", "/dsp/negotiations/", "/dsp/transfers/", "/artefacts/"):
        answer = site.ask("GET", before + path)
        assert (answer.status_code, answer.json()["@type"][-5:]) == (404, "Error")
    assert site.ask("GET", f"/dsp/catalog/request?after={path}").status_code in (200, 400)
    assert site.works()


@pytest.mark.parametrize(
    "line",
    [
        "GET http://169.254.169.254/latest HTTP/1.1",
        "GET //evil.example/dsp HTTP/1.1",
        "CONNECT evil.example:443 HTTP/1.1",
        "GET /dsp/../management HTTP/1.1",
        "GET /dsp/%2e%2e/%2e%2e/management HTTP/1.1",
        "GET /artefacts/..%2f..%2fsecrets%2fpassphrase HTTP/1.1",
        "GET /status/..%2f..%2fkeys HTTP/1.1",
        "PRI * HTTP/2.0",
        "GET /dsp/catalog/request HTTP/9.9",
        "\x16\x03\x01\x02\x00\x01\x00",
    ],
)
def test_odd_requests_are_answered_in_our_form_or_not_at_all(site: Live, line: str) -> None:
    answer = said(site.public, f"{line}\r\nHost: x\r\nConnection: close\r\n\r\n".encode("latin-1"))
    assert status(answer) in (0, 400, 404, 405)
    assert not answer or b"application/json" in answer
    assert site.works()


def test_nothing_is_upgraded(site: Live) -> None:
    headers = ["Host: x", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
    answer = said(site.public, head("GET", "/dsp/catalog/request", [*headers, "Sec-WebSocket-Key: eA=="]))
    assert status(answer) == 404


def test_the_house_answers_under_its_own_name_only(site: Live) -> None:
    """A page whose name was made to point at this machine sends its own name as host (DNS rebinding)."""
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[::ffff:7f00:1]", "x@127.0.0.1.y"):
        answer = site.inside("POST", "/management/log/size", json={}, headers={"Host": host})
        assert answer.status_code == 421
    for host in ("localhost", "127.0.0.1:1", "LOCALHOST", "[::1]"):
        assert site.inside("POST", "/management/log/size", json={}, headers={"Host": host}).status_code == 200
