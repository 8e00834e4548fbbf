"""The demo as a person starts it: one command, five connectors, a report, and nothing left behind."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
import tomllib
import zipfile
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil  # type: ignore[import-untyped]
import pytest

pytestmark = pytest.mark.e2e

SECONDS = 280
LAST_LINE = re.compile(r"demo: (\d+) shown, 0 failed")
LOADING = {"src", "srcset", "href", "xlink:href", "data", "poster", "action", "background"}


@dataclass
class Watched:
    """What was seen of a demo while it ran."""

    status: int = -1
    output: str = ""
    complaints: str = ""
    seconds: float = 0.0
    processes: set[psutil.Process] = field(default_factory=set)
    ports: set[int] = field(default_factory=set)
    secrets: dict[str, list[str]] = field(default_factory=dict)
    modes: set[int] = field(default_factory=set)
    folder: Path = Path()

    def look(self, demo: subprocess.Popen[str]) -> None:
        """Note the processes that run now and the homes they work in."""
        try:
            self.processes |= set(psutil.Process(demo.pid).children(recursive=True))
        except psutil.NoSuchProcess:
            return
        for home in self.folder.glob("connectors-*/*"):
            if (home / "secrets" / "management-token").is_file() and home.name not in self.secrets:
                settings = tomllib.loads((home / "connector.toml").read_text())
                self.ports |= {int(urlsplit(settings[key]).port or 0) for key in ("public_url", "management_url")}
                found = [(home / "secrets" / name).read_text() for name in ("passphrase", "management-token")]
                if all(found):
                    self.secrets[home.name] = found
                    self.modes |= {(home / "secrets" / n).stat().st_mode & 0o077 for n in ("passphrase",)}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """One run of the demo, watched from outside."""
    watched = Watched(folder=tmp_path_factory.mktemp("demo"))
    command = [sys.executable, "-m", "synthema.cli.main", "demo", "--small", "--output", str(watched.folder)]
    complaints = (watched.folder / "stderr").open("w+")
    began = time.monotonic()
    with (
        complaints,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints, text=True
        ) as process,
    ):
        while process.poll() is None:
            if time.monotonic() - began > SECONDS:
                process.terminate()
            watched.look(process)
            time.sleep(0.1)
        watched.output = process.stdout.read() if process.stdout else ""
        watched.status = process.returncode
        complaints.seek(0)
        watched.complaints = complaints.read()
    watched.seconds = time.monotonic() - began
    return watched


def test_every_claim_of_the_story_is_shown(demo: Watched) -> None:
    assert demo.status == 0, demo.complaints[-4000:]
    last = LAST_LINE.fullmatch(demo.output.splitlines()[-1])
    assert last is not None, demo.output
    assert int(last[1]) >= 28
    assert demo.complaints.count("✓") == int(last[1])
    assert "✗" not in demo.complaints


class _Loads(HTMLParser):
    """Collects what a page would load from elsewhere, and what it would run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "iframe", "object", "embed", "base"):
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            outside = (value or "").strip().lower().startswith(("http:", "https:", "//", "file:"))
            if tag != "a" and name in LOADING and outside:
                self.found.append(f"<{tag} {name}={value}>")
            if name.startswith("on") or (value or "").strip().lower().startswith("javascript:"):
                self.found.append(f"<{tag} {name}>")


def test_the_report_needs_nothing_from_outside(demo: Watched) -> None:
    page = (demo.folder / "report.html").read_text(encoding="utf-8")
    loads = _Loads()
    loads.feed(page)
    assert loads.found == []
    assert not re.search(r"@import|url\(\s*['\"]?(https?:|//)", page)
    assert page.count("<h2") >= 9
    assert "<svg" in page


def test_a_certified_package_comes_out(demo: Watched) -> None:
    with zipfile.ZipFile(demo.folder / "package.zip") as package:
        assert package.testzip() is None
        assert {"dataset.parquet", "codebook.json"} <= {Path(name).name for name in package.namelist()}


def test_nothing_is_left_behind(demo: Watched) -> None:
    assert len(demo.processes) >= 5
    assert [process for process in demo.processes if process.is_running()] == []
    assert len(demo.ports) == 10
    assert [port for port in demo.ports if _answers(port)] == []
    assert list(demo.folder.glob("connectors-*")) == []


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_every_connector_has_secrets_of_its_own(demo: Watched) -> None:
    values: list[Any] = [secret for found in demo.secrets.values() for secret in found]
    assert len(demo.secrets) == 5
    assert len(set(values)) == 10
    assert all(len(value.strip()) >= 43 for value in values)  # 32 random bytes as base64
    assert demo.modes == {0}
