"""Server-side request forgery: a partner is called at its registered origin, and nowhere a name could point to."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import certifi
import httpx
import pytest

from synthema.dataspace import addresses, transport
from synthema.dataspace import messages as m
from synthema.dataspace.addresses import require_reachable, resolve
from synthema.dataspace.peer import PeerClient
from synthema.dataspace.transport import PinnedTransport, within
from synthema.demo.processes import free_ports
from synthema.errors import PeerError
from tests.unit.web_hostile.live import Live

EVERYWHERE = "0.0.0.0"  # noqa: S104 - refused, not listened at
NOT_A_PARTNER = [
    "127.0.0.1", "127.8.8.8", EVERYWHERE, "169.254.169.254", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "100.100.100.200", "192.0.0.192", "::1", "::", "fe80::1", "fe80::1%eth0", "ff02::1", "fd00:ec2::254",
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "::127.0.0.1", "64:ff9b::169.254.169.254",
    "64:ff9b:1::7f00:1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:0:7f00:1::",
]  # fmt: skip
A_PARTNER = ["93.184.215.14", "10.1.2.3", "192.168.7.7", "172.16.0.9", "2606:2800:21f:cb07::1", "fd12:3456::1"]


@pytest.mark.parametrize("address", NOT_A_PARTNER)
def test_a_name_may_not_point_to_this_machines_surroundings(address: str) -> None:
    with pytest.raises(PeerError, match="which no partner can have"):
        require_reachable("hospital.example", address)


@pytest.mark.parametrize("address", A_PARTNER)
def test_partners_may_live_in_private_networks(address: str) -> None:
    require_reachable("hospital.example", address)


def test_this_machine_is_reached_only_where_it_is_registered_as_such() -> None:
    for host in ("localhost", "127.0.0.1", "::1"):
        require_reachable(host, "127.0.0.1")
        with pytest.raises(PeerError):
            require_reachable(host, "10.0.0.1")


def pointing(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Let every name point to these addresses, a list for each time it is asked; tells which names were."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, *_: object, **__: object) -> list[Any]:
        found = answers[min(len(asked), len(answers) - 1)]
        asked.append(host)
        kinds = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in found]
        return [(kind, socket.SOCK_STREAM, 6, "", (address, port)) for kind, address in zip(kinds, found, strict=True)]

    _let_ask(monkeypatch, getaddrinfo)
    return asked


def _let_ask(monkeypatch: pytest.MonkeyPatch, getaddrinfo: Callable[..., Any]) -> None:
    """Put a name service of our own before the judge; the sockets themselves stay as they are."""
    own = SimpleNamespace(getaddrinfo=getaddrinfo, AF_INET=socket.AF_INET, SOCK_STREAM=socket.SOCK_STREAM)
    monkeypatch.setattr(addresses, "socket", own)


def test_a_bad_address_does_not_hide_behind_a_good_one(monkeypatch: pytest.MonkeyPatch) -> None:
    pointing(monkeypatch, ["93.184.215.14", "169.254.169.254"])
    with pytest.raises(PeerError, match=r"169\.254"):
        resolve("hospital.example", 443)


def test_names_that_cannot_be_resolved_are_a_partners_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise UnicodeError("label too long")

    _let_ask(monkeypatch, fail)
    with pytest.raises(PeerError, match="cannot be resolved"):
        resolve("x" * 100 + ".example", 443)


def test_a_name_is_asked_once_and_its_address_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: what the name says the second time does not count."""
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}") as port:
        monkeypatch.setattr(addresses, "_is_of_a_partner", lambda address: str(address) != "169.254.169.254")
        asked = pointing(monkeypatch, ["127.0.0.1"], ["169.254.169.254"])
        with httpx.Client(transport=PinnedTransport()) as client:
            for _ in range(3):
                assert client.get(f"http://hospital.example:{port}/").text == "{}"
    assert asked == ["hospital.example"]


def test_a_name_that_moved_is_judged_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = free_ports(1)  # nobody listens there
    monkeypatch.setattr(addresses, "_is_of_a_partner", lambda address: str(address) != "169.254.169.254")
    asked = pointing(monkeypatch, ["127.0.0.1"], ["169.254.169.254"])
    with httpx.Client(transport=PinnedTransport()) as client:
        with pytest.raises(httpx.ConnectError):
            client.get(f"http://hospital.example:{port}/")
        with pytest.raises(PeerError, match="which no partner can have"):
            client.get(f"http://hospital.example:{port}/")
    assert len(asked) == 2


def test_connections_belong_to_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two partners behind one address: what the certificate of one proved is not used for the other."""
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", times=2) as port:
        monkeypatch.setattr(addresses, "_is_of_a_partner", lambda _: True)
        pointing(monkeypatch, ["127.0.0.1"])
        opened: list[str] = []
        connect = transport._PinnedBackend.connect_tcp

        def counted(self: Any, host: str, *args: Any, **kwargs: Any) -> Any:
            opened.append(host)
            return connect(self, host, *args, **kwargs)

        monkeypatch.setattr(transport._PinnedBackend, "connect_tcp", counted)
        with httpx.Client(transport=PinnedTransport()) as client:
            for host in ("a.example", "b.example"):
                assert client.get(f"http://{host}:{port}/").text == "{}"
    assert opened == ["a.example", "b.example"]


@contextlib.contextmanager
def answering(answer: bytes, times: int = 3, pause: float = 0.0) -> Iterator[int]:
    """A server that says the same to everybody, byte by byte if there is a pause."""

    def run() -> None:
        with contextlib.suppress(OSError):
            for _ in range(times):
                connection, _ = listening.accept()
                with connection:
                    connection.recv(65536)
                    for piece in [answer] if not pause else [answer[n : n + 1] for n in range(len(answer))]:
                        connection.sendall(piece)
                        time.sleep(pause)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield int(listening.getsockname()[1])


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\nX: " + b"y" * 2000, b"HTTP/1.1 200 OK\r\n\r\n" + b"y" * 2000])
def test_a_partner_that_drips_its_answer_holds_nobody(answer: bytes) -> None:
    with (
        answering(answer, pause=0.02) as port,
        httpx.Client(transport=PinnedTransport(), timeout=5) as client,
        within(0.4),
        pytest.raises(httpx.ReadTimeout),
    ):
        client.get(f"http://127.0.0.1:{port}/")


def test_headers_without_end_are_not_kept(site: Live) -> None:
    with answering(b"HTTP/1.1 200 OK\r\n" + b"X: yyyyyyyyyyyyyyyy\r\n" * 200_000) as port:
        settings = site.settings.model_copy(
            update={"peers": (site.settings.peers[0].model_copy(update={"url": f"http://127.0.0.1:{port}"}),)}
        )
        with (
            PeerClient(settings, site.connector.signer, site.connector.clock) as client,
            pytest.raises(PeerError, match="does not answer"),
        ):
            client.get(settings.peers[0].did, "/")


def spelled(url: str) -> list[Callable[[str], str]]:
    """Ways to write an address that looks registered and is not, or is and is written oddly."""
    host, port = url.removeprefix("http://").split(":")
    return [
        lambda _: f"http://2130706433:{port}/dsp",
        lambda _: f"http://0x7f000001:{port}/dsp",
        lambda _: f"http://0177.0.0.1:{port}/dsp",
        lambda _: f"http://127.1:{port}/dsp",
        lambda _: f"http://[::ffff:127.0.0.1]:{port}/dsp",
        lambda _: f"http://[::1]:{port}/dsp",
        lambda _: f"http://{host}.:{port}/dsp",
        lambda _: f"http://１２７.0.0.1:{port}/dsp",
        lambda _: f"http://127。0。0。1:{port}/dsp",
        lambda _: f"http://localhost:{port}/dsp",
        lambda _: f"http://{host}:{int(port) + 1}/dsp",
        lambda _: f"http://{host}/dsp",
        lambda _: f"https://{host}:{port}/dsp",
        lambda _: f"http://{host}:{port}@evil.example/dsp",
        lambda _: f"http://evil.example#@{host}:{port}/dsp",
        lambda _: f"http://evil.example\\@{host}:{port}/dsp",
        lambda _: f"http://user:pw@{host}:{port}/dsp",
        lambda _: f"http://@{host}:{port}/dsp",
        lambda _: f"http://{host}:{port}\n/dsp",
        lambda _: f" http://{host}:{port}/dsp",
        lambda _: f"http:/{host}:{port}/dsp",
        lambda _: f"//{host}:{port}/dsp",
        lambda _: f"http://{host}:{port}/dsp/../../management",
        lambda _: f"http://{host}:{port}/dsp#fragment",
        lambda _: "http://169.254.169.254/latest/meta-data/",
        lambda _: "http://metadata.google.internal/",
        lambda _: "file:///etc/passwd",
        lambda _: "gopher://127.0.0.1:6379/_FLUSHALL",
        lambda _: "unix:///var/run/docker.sock",
        lambda _: "data:application/json,{}",
        lambda _: "javascript:alert(1)",
        lambda _: "x" * 2049,
    ]


OFFER = {"@type": "Offer", "@id": "urn:o", "target": "urn:d", "permission": [{"action": "use"}]}


@pytest.mark.parametrize("number", range(len(spelled("http://127.0.0.1:1"))))
def test_callbacks_are_the_registered_origin_or_nothing(site: Live, number: int) -> None:
    callback = spelled(site.partner.settings.public_url)[number]("")
    head = {"@context": [m.CONTEXT], "callbackAddress": callback}
    messages = {
        "/dsp/negotiations/request": {"@type": "ContractRequestMessage", "consumerPid": f"c-{number}", "offer": OFFER},
        "/dsp/negotiations/offers": {"@type": "ContractOfferMessage", "providerPid": f"p-{number}", "offer": OFFER},
        "/dsp/transfers/request": {
            "@type": "TransferRequestMessage",
            "consumerPid": f"t-{number}",
            "agreementId": "urn:a",
            "format": "HttpData-PULL",
        },
    }
    before = len(site.connector.dataspace.processes("negotiation"))
    for path, message in messages.items():
        answer = site.ask("POST", path, json=head | message)
        assert answer.status_code == 400, (path, callback, answer.text)
        assert answer.json()["@type"].endswith("Error")
    assert len(site.connector.dataspace.processes("negotiation")) == before


def test_clients_share_what_they_believe_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = tmp_path / "authority.pem"
    authority.write_bytes(Path(certifi.where()).read_bytes())
    monkeypatch.setattr(transport, "_authorities", [])
    plain = transport._ssl_context()
    assert transport._ssl_context() is plain
    transport.trust(authority)
    ours = transport._ssl_context()
    assert ours is not plain
    assert transport._ssl_context() is ours
    os.utime(authority, ns=(1, 1))
    assert transport._ssl_context() is not ours
