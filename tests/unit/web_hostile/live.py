"""A site and a hub that know each other, as they run in production: public and management interface on real ports."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from synthema.assembly import Connector, initialise
from synthema.assembly.setup import MANAGEMENT_TOKEN
from synthema.clock import SystemClock
from synthema.config import Peer, Role, Settings, did_web, load_settings
from synthema.demo.processes import free_ports
from synthema.identity import tokens
from synthema.web.listening import server
from synthema.web.management import management_app
from synthema.web.public import public_app


@dataclass
class Live:
    """One connector that serves, and the partner it trusts."""

    connector: Connector
    partner: Connector
    management_token: str

    @property
    def settings(self) -> Settings:
        return self.connector.settings

    @property
    def public(self) -> str:
        return self.settings.public_url

    @property
    def management(self) -> str:
        return self.settings.management_url

    def token(self, **changes: Any) -> str:
        """A fresh token of the partner for this connector."""
        given: dict[str, Any] = {
            "signer": self.partner.signer,
            "issuer": self.partner.settings.did,
            "audience": self.settings.did,
            "clock": SystemClock(),
            "lifetime": timedelta(minutes=1),
        }
        return tokens.mint(**(given | changes))

    def bearer(self, **changes: Any) -> dict[str, str]:
        """The header with such a token."""
        return {"Authorization": f"Bearer {self.token(**changes)}"}

    def manages(self) -> dict[str, str]:
        """The header of somebody of the house."""
        return {"Authorization": f"Bearer {self.management_token}"}

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """What the public interface answers the partner."""
        headers = self.bearer() | more.pop("headers", {})
        return httpx.request(method, self.public + path, headers=headers, timeout=10, trust_env=False, **more)

    def inside(self, method: str, path: str, *, token: str | None = None, **more: Any) -> httpx.Response:
        """What the management interface answers somebody who shows this token (default: the right one)."""
        shown = self.management_token if token is None else token
        headers = {"Authorization": f"Bearer {shown}"} | more.pop("headers", {})
        return httpx.request(method, self.management + path, headers=headers, timeout=10, trust_env=False, **more)

    def works(self) -> bool:
        """Whether the connector still answers as it should, inside and outside."""
        page = self.ask(
            "POST",
            "/dsp/catalog/request",
            json={
                "@context": ["https://w3id.org/dspace/2025/1/context.jsonld"],
                "@type": "CatalogRequestMessage",
            },
        )
        inside = httpx.get(f"{self.management}/management", trust_env=False, timeout=10)
        return page.status_code == inside.status_code == 200


@contextlib.contextmanager
def served(app: FastAPI, port: int, **options: Any) -> Iterator[str]:
    """An application behind the connector's own server; gives its address."""
    running = server(app, "127.0.0.1", port, **options)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    end = time.monotonic() + 20
    while not running.started and time.monotonic() < end:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        running.should_exit = True
        thread.join(timeout=10)


@contextlib.contextmanager
def two_connectors(folder: Path) -> Iterator[dict[Role, Live]]:
    """A site and a hub, both serving both of their interfaces."""
    ports = free_ports(4)
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    roles: tuple[Role, Role] = ("site", "hub")
    peers = {
        role: Peer(did=did_web(url), url=url, role=role, name=role) for role, url in zip(roles, urls, strict=False)
    }
    with contextlib.ExitStack() as stack:
        connectors: dict[Role, Connector] = {}
        secrets: dict[Role, str] = {}
        for role, other, management in zip(roles, reversed(roles), urls[2:], strict=True):
            initialise(
                folder / role,
                name=role,
                role=role,
                public_url=peers[role].url,
                management_url=management,
                mode="demo",
                peers=[peers[other]],
            )
            secrets[role] = (folder / role / MANAGEMENT_TOKEN).read_text().strip()
            connectors[role] = Connector.open(load_settings(folder / role))
            stack.callback(connectors[role].close)
        for role, public_port, management_port in zip(roles, ports, ports[2:], strict=False):
            stack.enter_context(served(public_app(connectors[role]), public_port))
            stack.enter_context(served(management_app(connectors[role], secrets[role]), management_port))
        yield {
            role: Live(connectors[role], connectors[other], secrets[role])
            for role, other in zip(roles, reversed(roles), strict=True)
        }
