"""A real browser before real pages: three connectors served on loopback, and Debian's Chromium.

Needs ``apt-get install chromium`` and ``pip install playwright``; no browser is
downloaded. Without them these tests are skipped, except in CI, where they fail.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import uvicorn

from tests.unit.web_console.conftest import Site, hub, registry, site
from tests.unit.web_console.world import World

__all__ = ["hub", "registry", "site"]

PATIENCE = 30_000
"""Milliseconds that a look waits for what it should see: a busy machine answers late, not wrongly."""

PATHS = {
    "site": [
        "", "/obligations", "/obligations?all=yes", "/policies", "/policies/check", "/policies/what-if",
        "/policies/replay?since=2026-01-01", "/policies/templates", "/policies/duo?codes=HMB+NPU", "/requests",
        "/permits", "/consents", "/assessments", "/reviews", "/datasets", "/budgets", "/plugins", "/law?text=opt",
        "/law/article?article=EHDS+71", "/log", "/log/0", "/log?text=policy", "/health", "/help",
    ],
    "hub": ["", "/studies", "/studies/study-1"],
    "registry": ["", "/registry"],
}  # fmt: skip
"""Role → pages below ``/console`` that are walked through; a site's own things are added by :class:`Served`."""


@dataclass(frozen=True)
class Served:
    """A connector that answers on a port."""

    world: World
    origin: str
    paths: list[str]

    def address(self, path: str) -> str:
        return f"{self.origin}/console{path}"


@dataclass
class Seat:
    """One person's browser window with what it noticed."""

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", self._dialog)

    def _dialog(self, dialog: Any) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def sign_in(self, served: Served) -> None:
        """Paste the token and press Enter, as a person does."""
        self.page.goto(served.address("/sign-in"))
        self.page.get_by_label("Management token").fill(served.world.token)
        self.page.get_by_label("Management token").press("Enter")
        self.page.get_by_role("navigation").wait_for()
        self.page.wait_for_load_state()

    def go(self, served: Served, path: str) -> None:
        self.page.goto(served.address(path))

    def foreign(self, served: Served) -> list[str]:
        """Requests to anything but the connector."""
        own = urlsplit(served.origin).netloc
        return [url for url in self.requests if urlsplit(url).netloc != own]


def expect(shown: Any) -> Any:
    """What a page, or a part of it, should come to: a click returns before the next page is there whole."""
    from playwright.sync_api import expect as patiently

    return patiently(shown)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    executable = shutil.which("chromium")
    try:
        from playwright.sync_api import expect as patiently
        from playwright.sync_api import sync_playwright
    except ImportError:
        _missing("playwright", "pip install playwright")
    if executable is None:
        _missing("chromium", "apt-get install -y chromium fonts-dejavu-core")
    patiently.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def seat(chromium: Any, request: pytest.FixtureRequest) -> Iterator[Seat]:
    """A window; ``@pytest.mark.parametrize("seat", [{…}], indirect=True)`` gives it other properties."""
    given = {"viewport": {"width": 1100, "height": 900}} | getattr(request, "param", {})
    context = chromium.new_context(**given)
    context.set_default_timeout(PATIENCE)
    yield Seat(context.new_page())
    context.close()


@pytest.fixture(scope="session")
def served_site(site: Site) -> Iterator[Served]:
    more = [
        f"/policies/show?policy={quote(str(site.draft['policy']))}&version=1",
        f"/requests/{site.denied}",
        f"/requests/{site.stopped}",
        f"/policies/what-if?run={site.denied}",
        f"/obligations/{site.obligations['month']}",
        f"/assessments/{site.assessment}",
        f"/assessments/{site.proposed}",
        f"/permits/{site.permit}",
        f"/permits/{site.application}",
        f"/budgets/{site.budget}?epsilon=2",
    ]
    with _serving(site.world, PATHS["site"] + more) as served:
        yield served


@pytest.fixture(scope="session")
def served(served_site: Served, hub: World, registry: World) -> Iterator[dict[str, Served]]:
    """Role → a connector of it."""
    with _serving(hub, PATHS["hub"]) as served_hub, _serving(registry, PATHS["registry"]) as served_registry:
        yield {"site": served_site, "hub": served_hub, "registry": served_registry}


@contextmanager
def _serving(world: World, paths: list[str]) -> Iterator[Served]:
    config = uvicorn.Config(world.app(), host="127.0.0.1", port=0, log_level="error", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Served(world, f"http://127.0.0.1:{port}", paths)
    finally:
        server.should_exit = True
        thread.join(10)


def _missing(what: str, remedy: str) -> None:
    sentence = f"{what} is not installed: {remedy}"
    if os.environ.get("CI") == "true":
        pytest.fail(sentence)
    pytest.skip(sentence)
