"""The public protocol as strangers, peers and attackers see it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request

from synthema.clock import SystemClock
from synthema.dataspace import CatalogueEntry, Offered
from synthema.dataspace import catalogue as catalogue_room
from synthema.dataspace import messages as m
from synthema.errors import DeniedError, StorageError
from synthema.identity import tokens
from synthema.web.security import install_guards, json_response, read_json
from tests.unit.dataspace import schemas
from tests.unit.dataspace.world import DATASET, HIDDEN, World, listener, offer_of, serving, url_of, world

CONTEXT = {"@context": [m.CONTEXT]}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The hospital does not work through its tasks here, so that states stay where messages put them."""
    with world(tmp_path_factory.mktemp("two")) as connectors:
        connectors.hospital.dataspace.stop()
        yield connectors


class Client:
    """The hub, speaking by hand."""

    def __init__(self, connectors: World) -> None:
        self.world = connectors
        self.base = connectors.hospital.settings.public_url

    def token(self, **changes: Any) -> str:
        given: dict[str, Any] = {
            "signer": self.world.hub.signer,
            "issuer": self.world.hub.did,
            "audience": self.world.hospital.did,
            "clock": SystemClock(),
            "lifetime": timedelta(minutes=1),
        }
        return tokens.mint(**(given | changes))

    def send(
        self, method: str, path: str, value: Any = None, *, token: str | None = None, **more: Any
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token() if token is None else token}"} | more.pop("headers", {})
        if value is not None:
            more["json"] = value
        return httpx.request(method, self.base + path, headers=headers, timeout=10, **more)

    def open_negotiation(self, pid: str) -> dict[str, Any]:
        offer = {**offer_of(self.world.hospital), "target": DATASET}
        callback = self.world.hub.settings.public_url + "/dsp"
        body = m.ContractRequestMessage(consumer_pid=pid, offer=offer, callback_address=callback).wire()
        answer = self.send("POST", "/dsp/negotiations/request", body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())


@pytest.fixture
def hub(two: World) -> Client:
    return Client(two)


OPERATIONS = [
    ("POST", "/dsp/catalog/request"),
    ("GET", "/dsp/catalog/request"),
    ("GET", f"/dsp/catalog/datasets/{DATASET}"),
    ("POST", "/dsp/negotiations/request"),
    ("POST", "/dsp/negotiations/offers"),
    ("GET", "/dsp/negotiations/negotiation-1"),
    *[("POST", f"/dsp/negotiations/negotiation-1/{path}") for path in
      ("request", "offers", "agreement", "agreement/verification", "events", "termination")],
    ("POST", "/dsp/transfers/request"),
    ("GET", "/dsp/transfers/transfer-1"),
    *[("POST", f"/dsp/transfers/transfer-1/{path}") for path in ("start", "suspension", "completion", "termination")],
    ("GET", "/artefacts/artefact-1"),
]  # fmt: skip

HOSTILE = {
    "NaN": b'{"a": NaN}',
    "huge number": b'{"a": 1e999}',
    "long integer": b'{"a": ' + b"9" * 10_000 + b"}",
    "big integer": b'{"@type": "CatalogRequestMessage", "filter": [12345678901234567890]}',
    "lone surrogate": b'{"a": "\\ud800"}',
    "NUL": b'{"a": "\\u0000"}',
    "same key twice": b'{"a": 1, "a": 2}',
    "deep": b"[" * 5000 + b"]" * 5000,
    "not UTF-8": b"\xff\xfe{}",
    "cut off": b'{"a": ',
    "array": b"[]",
    "text": b'"text"',
    "null": b"null",
    "nothing": b"",
    "wrong types": json.dumps({**CONTEXT, "@type": 5, "offer": [], "consumerPid": True, "reason": {}}).encode(),
    "odd context": b'{"@context": {"@import": "file:///etc/passwd"}, "@type": "CatalogRequestMessage"}',
}


def test_the_version_is_told_to_everybody(hub: Client) -> None:
    answer = httpx.get(hub.base + "/.well-known/dspace-version")
    (version,) = answer.json()["protocolVersions"]
    assert (answer.status_code, version["version"], version["path"], version["binding"]) == (
        200,
        "2025-1",
        "/dsp",
        "HTTPS",
    )
    assert httpx.get(hub.base + "/.well-known/did.json").json()["id"] == hub.world.hospital.did


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_without_a_good_token_nothing_is_there(hub: Client, method: str, path: str) -> None:
    spent = hub.token()
    hub.send("GET", "/dsp/negotiations/x", token=spent)
    bad = [
        "x",
        "nonsense",
        spent,
        hub.token(audience="did:web:other.example"),
        hub.token(signer=hub.world.hospital.signer),
    ]
    answers = [hub.send(method, path, {} if method == "POST" else None, token=token) for token in bad]
    answers.append(httpx.request(method, hub.base + path, json={} if method == "POST" else None))
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.text for answer in answers}) == 1
    assert answers[0].json()["@type"].endswith("Error")


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_json_is_never_a_500(hub: Client, name: str) -> None:
    headers = {"content-type": "application/json"}
    for method, path in OPERATIONS:
        answer = hub.send(method, path, content=HOSTILE[name], headers=headers)
        expected = {"POST": {400}, "GET": {200, 404}}[method]
        assert answer.status_code in expected, (method, path, answer.text)


def test_other_media_types_are_refused(hub: Client) -> None:
    answer = hub.send("POST", "/dsp/catalog/request", content=b"<xml/>", headers={"content-type": "text/xml"})
    assert answer.status_code == 400
    assert answer.json()["@type"] == "CatalogError"


def test_the_catalogue_comes_page_by_page(hub: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue_room, "PAGE", 2)
    shelf = hub.world.hospital.shelf
    policy = shelf.offers[DATASET][0].policy
    extra = [f"http://hospital.example/id/dataset/dataset-{n}" for n in range(4)]
    try:
        for name in extra:
            shelf.entries[name] = CatalogueEntry(name, {})
            shelf.offers[name] = (Offered(name + "/offer", policy),)
        first = hub.send("POST", "/dsp/catalog/request", m.CatalogRequestMessage().wire())
        assert 'rel="next"' in first.headers["link"]
        if schemas.FOLDER.is_dir():
            assert schemas.errors(first.json()) == []
        listed = hub.world.hub.dataspace.catalogue_of(hub.world.hospital.did)
        assert [dataset["@id"] for dataset in listed] == sorted([DATASET, *extra])
    finally:
        for name in extra:
            del shelf.entries[name], shelf.offers[name]


@pytest.mark.parametrize(
    ("accepted", "compressed"),
    [
        ("gzip", True),
        ("br, gzip;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("identity", False),
        ("", False),
    ],
)
def test_the_catalogue_is_compressed_for_who_takes_it(hub: Client, accepted: str, compressed: bool) -> None:
    for method, path, body in (
        ("POST", "/dsp/catalog/request", m.CatalogRequestMessage().wire()),
        ("GET", f"/dsp/catalog/datasets/{DATASET}", None),
    ):
        plain = hub.send(method, path, body, headers={"accept-encoding": "identity"})
        answer = hub.send(method, path, body, headers={"accept-encoding": accepted})
        assert (answer.headers.get("content-encoding") == "gzip") == compressed
        assert answer.headers["vary"] == "accept-encoding"
        assert answer.json() == plain.json()


def test_small_answers_are_not_compressed(hub: Client) -> None:
    answer = hub.send("GET", "/dsp/catalog/datasets/none", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in answer.headers


def test_every_operation_of_the_protocol_is_there(hub: Client) -> None:
    """The 25 operations of the HTTPS binding by role, and the consumer's transfer, which the Eclipse kit asks for."""
    process = [
        ("GET", "negotiations/{pid}", 2),
        ("POST", "negotiations/{pid}/termination", 2),
        ("POST", "negotiations/{pid}/events", 2),
        ("GET", "transfers/{pid}", 2),
        *[("POST", f"transfers/{{pid}}/{path}", 2) for path in ("start", "completion", "termination", "suspension")],
    ]
    one_role = [
        ("POST", "catalog/request", 1),
        ("GET", "catalog/datasets/{dataset}", 1),
        ("POST", "negotiations/request", 1),
        ("POST", "negotiations/offers", 1),
        *[("POST", f"negotiations/{{pid}}/{path}", 1) for path in
          ("request", "offers", "agreement", "agreement/verification")],
        ("POST", "transfers/request", 1),
    ]  # fmt: skip
    operations = process + one_role
    assert sum(roles for *_, roles in operations) + 1 == 25 + 1  # and the versions
    for method, path, _ in operations:
        where = "/dsp/" + path.replace("{pid}", "urn:uuid:1").replace("{dataset}", DATASET)
        answer = hub.send(method, where, {} if method == "POST" else None)
        assert "@type" in answer.json(), f"{method} {path} is not the protocol's"


def test_a_filter_is_refused_and_hidden_is_unknown(hub: Client) -> None:
    message = m.CatalogRequestMessage(filter=["x"]).wire()
    assert hub.send("POST", "/dsp/catalog/request", message).status_code == 400
    hidden, unknown = (hub.send("GET", f"/dsp/catalog/datasets/{d}") for d in (HIDDEN, HIDDEN + "-none"))
    assert hidden.status_code == unknown.status_code == 404
    assert hidden.json() == unknown.json()
    assert hub.send("GET", "/dsp/catalog/request?after=%FF%FF").status_code in (200, 400)


def test_illegal_transitions_are_400_and_change_nothing(hub: Client) -> None:
    state = hub.open_negotiation("c-illegal")
    pids = {"provider_pid": state["providerPid"], "consumer_pid": "c-illegal"}
    path = f"/dsp/negotiations/{state['providerPid']}"
    for where, message in (
        ("/agreement/verification", m.ContractAgreementVerificationMessage(**pids)),
        ("/events", m.ContractNegotiationEventMessage(**pids, event_type="ACCEPTED")),
        ("/events", m.ContractNegotiationEventMessage(**pids, event_type="FINALIZED")),
    ):
        answer = hub.send("POST", path + where, message.wire())
        assert answer.status_code == 400, answer.text
        assert answer.json()["@type"] == "ContractNegotiationError"
        assert answer.json()["providerPid"] == state["providerPid"]
        assert answer.json()["consumerPid"] == "c-illegal"
        if schemas.FOLDER.is_dir():
            assert schemas.errors(answer.json()) == []
    assert hub.send("GET", path).json()["state"] == "REQUESTED"
    wrong = m.ContractNegotiationTerminationMessage(provider_pid="other", consumer_pid="c-illegal").wire()
    assert hub.send("POST", path + "/termination", wrong).status_code == 400
    right = m.ContractNegotiationTerminationMessage(**pids).wire()
    assert hub.send("POST", path + "/termination", right).json()["state"] == "TERMINATED"
    assert hub.send("POST", path + "/termination", right).status_code == 400


def test_a_second_consecutive_counter_offer_is_400(hub: Client) -> None:
    state = hub.open_negotiation("c-counter")
    offer = {**offer_of(hub.world.hospital), "target": DATASET}
    body = m.ContractRequestMessage(consumer_pid="c-counter", provider_pid=state["providerPid"], offer=offer).wire()
    assert hub.send("POST", f"/dsp/negotiations/{state['providerPid']}/request", body).status_code == 400


@pytest.mark.parametrize(
    "callback", ["http://evil.example/dsp", "http://2130706433/", "file:///etc/passwd", "http://127.0.0.1:1/dsp", "x"]
)
def test_callbacks_elsewhere_are_refused(hub: Client, callback: str) -> None:
    offer = {**offer_of(hub.world.hospital), "target": DATASET}
    body = m.ContractRequestMessage(consumer_pid="c-callback", offer=offer, callback_address=callback).wire()
    answer = hub.send("POST", "/dsp/negotiations/request", body)
    assert answer.status_code == 400
    assert "callback" in answer.text or "origin" in answer.text or "address" in answer.text


def test_a_repeated_request_is_answered_200_without_a_second_process(hub: Client) -> None:
    first = hub.open_negotiation("c-again")
    offer = {**offer_of(hub.world.hospital), "target": DATASET}
    callback = hub.world.hub.settings.public_url + "/dsp"
    body = m.ContractRequestMessage(consumer_pid="c-again", offer=offer, callback_address=callback).wire()
    answer = hub.send("POST", "/dsp/negotiations/request", body)
    assert (answer.status_code, answer.json()) == (200, first)


def test_a_transfer_without_an_agreement_is_unknown(hub: Client) -> None:
    callback = hub.world.hub.settings.public_url + "/dsp"
    message = m.TransferRequestMessage(
        consumer_pid="c", agreement_id="urn:none", format="HttpData-PULL", callback_address=callback
    )
    answer = hub.send("POST", "/dsp/transfers/request", message.wire())
    assert answer.status_code == 404
    assert answer.json()["@type"] == "TransferError"


def test_a_failing_store_is_said_to_be_ours_without_details(hub: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise StorageError("disk /dev/secret is full", fix="buy one")

    monkeypatch.setattr(hub.world.hospital.dataspace.offers, "page", fail)
    answer = hub.send("POST", "/dsp/catalog/request", m.CatalogRequestMessage().wire())
    assert answer.status_code == 503
    assert "secret" not in answer.text


# --- the guards, alone


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    app = FastAPI()
    install_guards(app, max_bytes=1000, larger={"/large": 100_000}, seconds=0.5)

    async def echo(request: Request) -> Any:
        return json_response(await read_json(request))

    app.add_api_route("/echo", echo, methods=["POST"])
    app.add_api_route("/large", echo, methods=["POST"])

    @app.get("/denied")
    async def denied() -> None:
        raise DeniedError("no", fix="ask")

    @app.get("/broken")
    async def broken() -> None:
        raise ValueError("secret")

    @app.get("/typed/{number}")
    async def typed(number: int) -> int:
        return number

    with listener() as listening, serving(app, listening):
        yield url_of(listening)


def test_bodies_are_capped_by_path(guarded: str) -> None:
    value = {"a": "x" * 2000}
    assert httpx.post(guarded + "/echo", json={"a": 1}).json() == {"a": 1}
    assert httpx.post(guarded + "/echo", json=value).status_code == 413
    assert httpx.post(guarded + "/large", json=value).status_code == 200
    chunks = (b" " * 600 for _ in range(3))  # no length announced
    assert (
        httpx.post(guarded + "/echo", content=chunks, headers={"content-type": "application/json"}).status_code == 413
    )


def test_slow_bodies_are_cut_off(guarded: str) -> None:
    host, port = guarded.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"
        connection.sendall(head.encode())
        connection.settimeout(5)
        assert b" 408 " in connection.recv(65536)


def test_errors_leave_as_code_sentence_and_fix(guarded: str) -> None:
    for path, status, code in (
        ("/denied", 403, "denied"),
        ("/broken", 500, "internal"),
        ("/typed/x", 400, "input"),
        ("/nowhere", 404, "not-found"),
    ):
        answer = httpx.get(guarded + path)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.json()["message"]
        assert answer.json()["fix"]
        assert "secret" not in answer.text
    assert httpx.put(guarded + "/denied").status_code == 405
