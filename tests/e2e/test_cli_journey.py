"""The guide for your own data, run block by block as it stands: three hospitals, a hub, a registry, simulated rows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from synthema.demo.processes import free_ports

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "connector" / "docs" / "guides" / "own-data.md"
BLOCK = re.compile(r"<!-- own-data: (?P<what>[^>]+) -->\n```\w+\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
ANY_BLOCK = re.compile(r"^```\w+$", re.MULTILINE)
HOUSES = {"clinic-a": 21101, "clinic-b": 21201, "clinic-c": 21301, "hub": 21401, "registry": 21501}
COMMAND_SECONDS = 240


@dataclass
class Journey:
    """A folder in which the guide's blocks are run, and what they printed."""

    folder: Path
    ports: dict[str, str]
    prelude: str = ""
    said: list[tuple[str, str]] = field(default_factory=list)
    servers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def follow(self, what: str, text: str) -> None:
        """Do what the guide says at one block."""
        kind, *words = what.split()
        text = self.here(text)
        if kind == "file":
            (self.folder / words[0]).write_text(text, encoding="utf-8")
        elif kind == "prelude":
            self.prelude = text
        elif kind == "serve":
            self.serve(text)
        elif kind == "fails":
            self.run(text, "hub", int(words[0]))
        elif words == ["once"]:
            self.run(text, "hub")
        else:
            with ThreadPoolExecutor(2) as houses:
                list(houses.map(lambda house: self.run(text, house), words[1:]))

    def run(self, text: str, house: str, status: int = 0) -> None:
        """Run a block in a shell at one house; fails with what it printed when it ends otherwise."""
        where = f"HOUSE={house}\nPORT={self.here(str(HOUSES[house]))}\n"
        script = f"set -eo pipefail\n{where}{self.prelude}\n{text}"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        self.said.append((text, done.stdout))
        assert done.returncode == status, f"at {house}: {text}\n{done.stdout}\n{done.stderr}"

    def serve(self, text: str) -> None:
        """Start each line in a window of its own."""
        for line in text.splitlines():
            log = (self.folder / "server.log").open("ab")
            self.servers.append(
                subprocess.Popen(
                    line.split(),
                    cwd=self.folder,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            )
            log.close()
        end = time.monotonic() + 120
        for house, port in HOUSES.items():
            self._await(house, int(self.here(str(port))), end)

    def _await(self, house: str, port: int, end: float) -> None:
        while not any(c.laddr.port == port and c.status == psutil.CONN_LISTEN for c in psutil.net_connections("tcp4")):
            assert time.monotonic() < end, f"{house} did not start: {(self.folder / 'server.log').read_text()}"
            time.sleep(0.2)

    def here(self, text: str) -> str:
        """The guide's text with the port numbers that are free on this machine."""
        return re.sub(r"(?<!\d)21[1-5]0[12](?!\d)", lambda found: self.ports[found[0]], text)

    def printed(self, command: str) -> str:
        """What the blocks with a command printed."""
        found = [output for text, output in self.said if command in text]
        assert found, f"the guide has no '{command}'"
        return "\n".join(found)

    @property
    def environment(self) -> dict[str, str]:
        tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": tools, "SYNTHEMA": str(ROOT), "POLARS_MAX_THREADS": "2", "OMP_NUM_THREADS": "1"}

    def stop(self) -> None:
        """End the servers as Ctrl-C does."""
        for server in self.servers:
            server.terminate()
        for server in self.servers:
            try:
                server.wait(timeout=20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """The guide, followed to its end."""
    wanted = [str(port + second) for port in HOUSES.values() for second in (0, 1)]
    made = Journey(
        tmp_path_factory.mktemp("own-data"), dict(zip(wanted, map(str, free_ports(len(wanted))), strict=True))
    )
    try:
        for block in BLOCK.finditer(GUIDE.read_text(encoding="utf-8")):
            made.follow(block["what"], block["text"])
        yield made
    finally:
        made.stop()


def test_every_block_of_the_guide_is_run() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    assert len(BLOCK.findall(text)) == len(ANY_BLOCK.findall(text)) >= 20


def test_a_users_own_table_becomes_a_released_dataset(journey: Journey) -> None:
    told = journey.printed("study run study.yaml")
    assert "Virtual sickle cell cohort" in told
    assert " is released" in told
    assert told.count("passes its gates") == 3
    assert "120 patients are sealed" in journey.printed("dataset add")
    assert "ConsentRefused: 3" in journey.printed("consent import")


def test_the_registry_checks_it_and_takes_it_in(journey: Journey) -> None:
    told = journey.printed("cert ingest")
    assert told.count(" OK ") >= 20, told
    assert "Taken in" in told
    assert " FAIL " in journey.printed("purpose advertising")


def test_everything_is_remembered(journey: Journey) -> None:
    assert journey.printed("log verify").count("unchanged") >= 4
    assert "scd" in journey.printed("budget show")
    assert (journey.folder / "entry-0.tlog-proof").is_file()
    assert "54" in journey.printed("study run advertising.yaml")
    assert "agreement" in journey.printed("request submit")


def test_the_servers_stop_when_they_are_told_to(journey: Journey) -> None:
    assert all(server.poll() is None for server in journey.servers)
    journey.stop()
    assert [server.returncode for server in journey.servers] == [0] * 5
