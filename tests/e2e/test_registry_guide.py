"""The guide for registries, command by command as it stands, at a hub, three hospitals and a registry."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from synthema.demo.patients import hospital_data
from tests.docs.markdown import ROOT, blocks
from tests.e2e.space import REGISTRY, Space, data_space
from tests.postgres.cluster import binaries, cluster, short_folder

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

GUIDE = ROOT / "connector" / "docs" / "guides" / "registry.md"
FAILING = ("--purpose advertising",)
"""Commands that the guide shows failing; so does the last verification, of a suspended certificate."""

Step = tuple[str, list[str]]


def steps() -> list[Step]:
    """Each command of the guide, with the lines the page shows below it."""
    found: list[Step] = []
    for block in blocks(GUIDE):
        if block.language != "console":
            continue
        for line in block.lines:
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


@dataclass
class Journey:
    """The guide, followed in a folder with the homes of hub and registry: command, what the page shows, and printed."""

    space: Space
    folder: Path
    study: dict[str, Any]
    said: list[tuple[str, list[str], str]] = field(default_factory=list)

    def follow(self) -> None:
        for command, shown in steps():
            if "--to postgres" in command and binaries() is None:
                continue
            status = 6 if any(part in command for part in FAILING) or any(" FAIL " in line for line in shown) else 0
            done = subprocess.run(
                ["bash", "-c", self.here(command)],
                cwd=self.folder,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == status, f"{command}\n{done.stdout}\n{done.stderr}"
            self.said.append((command, shown, done.stdout))
            self.after(command)

    def here(self, command: str) -> str:
        """The command with what differs from one run to the next."""
        package = self.study["result"]["package"]
        command = command.replace("did:web:hub.example", self.space.hub.did)
        command = command.replace("--package sha256:…", f"--package {package}")
        command = command.replace("http://…/certificate-…", self.study["result"]["certificate"])
        if "sha256:…" in command:
            (held,) = self.space.registry.call("registry/list")
            command = command.replace("sha256:…", held["artefact"])
        if "notice-…" in command:
            notices = self.space.registry.call("registry/notices", {"unseen": True})
            command = command.replace("notice-…", notices[0]["id"])
        return command

    def after(self, command: str) -> None:
        """What the reader does by hand between two commands."""
        if command.startswith("synthema log prove"):
            keys = self.space.registry.call("log/keys")
            (self.folder / "registry.key").write_text(keys["log"] + "\n", encoding="utf-8")


def _environment() -> dict[str, str]:
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": tools, "COLUMNS": "200", "POLARS_MAX_THREADS": "2"}


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    folder = tmp_path_factory.mktemp("guide")
    with ExitStack() as stack:
        space = stack.enter_context(data_space(folder, hospital_data((50, 30, 20)), (REGISTRY,), budget=60.0))
        if binaries() is not None:
            database = stack.enter_context(cluster(stack.enter_context(short_folder())))
            secret = space.settings[REGISTRY.key].home / "secrets" / "registry-postgres"
            secret.touch(mode=0o600)
            secret.write_text(database, encoding="utf-8")
        study = space.ended(space.begin("A virtual cohort", epsilon=5.0), 300.0)
        assert study["state"] == "released", study["reason"]
        made = Journey(space, folder, study)
        made.follow()
        yield made


def _pattern(line: str) -> re.Pattern[str]:
    """A shown line: numbers may be others, and ``…`` stands for anything."""
    parts = re.split(r"(…|\d[\d.,-]*)", line.rstrip())
    return re.compile("".join({"…": ".*"}.get(p, r"[\d.,-]+" if p[:1].isdigit() else re.escape(p)) for p in parts))


def test_every_command_says_what_the_guide_shows(journey: Journey) -> None:
    assert len(journey.said) >= len(steps()) - 1, "one command needs PostgreSQL"
    for command, shown, output in journey.said:
        printed = [line.rstrip() for line in output.splitlines()]
        for line in shown:
            assert any(map(_pattern(line).fullmatch, printed)), f"{command}\n{line}\n{output}"


def test_the_journey_goes_from_a_package_to_its_end(journey: Journey) -> None:
    text = "\n".join(command for command, _ in steps())
    for verb in ("collect", "verify", "ingest", "list", "receipts", "load", "catalogue", "suspend", "refresh"):
        assert f"synthema cert {verb}" in text
    receipts = journey.space.hub.call("certificate/receipts", {})
    assert {receipt["event"] for receipt in receipts} == {"accepted", "suspended"}
    served = journey.space.settings[REGISTRY.key].home / "served"
    assert not [path for path in served.rglob("*") if path.suffix in (".parquet", ".ndjson", ".json")]


def test_its_users_were_told(journey: Journey) -> None:
    told = next(output for command, _, output in journey.said if command.startswith("synthema cert notices"))
    assert "suspend" in told
