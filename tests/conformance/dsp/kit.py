"""The kit's side of the line: listens for messages stage by stage, speaks with the kit's patience, checks schemas.

As in the kit, a path is heard once and only while something waits for it; any
other call gets a 404. A refused message is sent again after 200 and 400 ms,
unless the refusal is what the case wants; a 404 is never what a case wants.
Every message in either direction is checked against the official schemas where
they are at hand. In addition to the kit, refusals are checked too: 400 and typed.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from uuid import uuid4

import httpx

from tests.unit.dataspace import schemas

Json = dict[str, Any]
CONTEXT = "https://w3id.org/dspace/2025/1/context.jsonld"
WAIT = 15.0
PAUSES = (0.2, 0.4)
MOMENT = 0.1


def checked(message: Json) -> Json:
    """The message, if the official schema of its type has nothing against it."""
    problems = schemas.errors(message) if schemas.FOLDER.is_dir() else []
    assert not problems, f"{message.get('@type')}: {'; '.join(problems)}"
    assert message["@context"] == [CONTEXT]
    return message


def message(type_: str, **fields: Any) -> Json:
    """A message of the protocol; like the kit's, it has an ``@id`` that nobody needs."""
    return {"@context": [CONTEXT], "@id": str(uuid4()), "@type": type_, **fields}


class Expectation:
    """One message that is waited for; ``answer`` makes the body of the reply."""

    def __init__(self, path: str, answer: Callable[[Json], Json | None]) -> None:
        self._path = re.compile(path)
        self._answer = answer
        self._came = threading.Event()
        self._problem: Exception | AssertionError | None = None
        self.message: Json = {}

    def matches(self, path: str) -> bool:
        """Whether this is the path that is waited for."""
        return self._path.fullmatch(path) is not None

    def hear(self, body: bytes) -> Json | None:
        """Take the message and make the reply; what is wrong with it is told to who waits."""
        try:
            self.message = checked(json.loads(body))
            return self._answer(self.message)
        except Exception as problem:
            self._problem = problem
            raise
        finally:
            self._came.set()

    def wait(self) -> Json:
        """The message; fails when it does not come in time or is wrong."""
        assert self._came.wait(WAIT), f"nothing came at {self._path.pattern} within {WAIT:g} s"
        if self._problem is not None:
            raise AssertionError(f"at {self._path.pattern}: {self._problem}") from self._problem
        return self.message


class Ear:
    """A callback address of its own, with what is waited for there."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._lock = threading.Lock()
        self._expected: list[Expectation] = []

    def expect(self, path: str, answer: Callable[[Json], Json | None] = lambda _: None) -> Expectation:
        """Begin to wait for one message at a path (a regular expression below the address)."""
        expectation = Expectation(path, answer)
        with self._lock:
            self._expected.append(expectation)
        return expectation

    def take(self, path: str) -> Expectation | None:
        """What waits for this path, which then waits no longer."""
        with self._lock:
            found = next((item for item in self._expected if item.matches(path)), None)
            if found is not None:
                self._expected.remove(found)
            return found


class Kit:
    """The kit: one server for all callbacks, one client. ``target`` is the system under test, ``header`` its header."""

    def __init__(self, target: str, header: str) -> None:
        self.target = target
        self.base = f"{target}/dsp"
        self._ears: dict[str, Ear] = {}
        self._names = itertools.count(1)
        self._server = _Server(self._ears)
        self._http = httpx.Client(headers={"Authorization": header}, timeout=20, trust_env=False)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._http.close()

    def ear(self) -> Ear:
        """A fresh callback address."""
        name = f"case-{next(self._names)}"
        ear = self._ears[name] = Ear(f"http://127.0.0.1:{self._server.server_port}/{name}")
        return ear

    def trigger(self, path: str, **fields: str) -> None:
        """Call a webhook of the target (plain JSON)."""
        answer = self._http.post(self.target + path, json=fields)
        assert answer.status_code == 200, f"the webhook answered {answer.status_code}: {answer.text}"

    def post(self, url: str, body: Json, *, refused: bool = False) -> Json:
        """Send a message; it must be taken, or (``refused``) turned away with 400 and a typed error."""
        checked(body)
        for pause in (*PAUSES, None):
            answer = self._http.post(url, json=body)
            if pause is None or refused or not 400 <= answer.status_code < 500 or answer.status_code == 404:
                break
            time.sleep(pause)
        wanted = answer.status_code == 400 if refused else answer.is_success
        assert wanted, f"{body['@type']} was answered {answer.status_code}: {answer.text[:300]}"
        value = checked(answer.json())
        assert value["@type"].endswith("Error") == refused
        return value

    def get(self, url: str, *, status: int = 200) -> Json:
        """Read a resource of the target."""
        answer = self._http.get(url)
        assert answer.status_code == status, f"{url} was answered {answer.status_code}: {answer.text[:300]}"
        value: Json = answer.json()
        return checked(value) if "@type" in value else value


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, ears: dict[str, Ear]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.ears = ears


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        _, name, rest = (*self.path.split("/", 2), "")[:3]
        ear = self.server.ears.get(name)
        expected = ear.take(f"/{rest.rstrip('/')}") if ear is not None else None
        if expected is None:
            self._reply(404, None)
            return
        try:
            self._reply(200, expected.hear(body))
        except Exception:  # noqa: BLE001 - the waiting case tells what it was
            self._reply(500, None)

    def _reply(self, status: int, value: Json | None) -> None:
        body = b"" if value is None else json.dumps(checked(value)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if body:
            self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: the case tells what went wrong."""
