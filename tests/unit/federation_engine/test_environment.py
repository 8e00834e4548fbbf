"""FLARE's environment is found where it is, and made where it is not."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from synthema.cli.main import app
from synthema.errors import PluginError
from synthema.federation.flare import FlareEnvironment


def pretended(folder: Path, says: str) -> Path:
    """A folder whose interpreter says this when it is asked for FLARE's version."""
    (folder / "bin").mkdir(parents=True)
    python = folder / "bin" / "python"
    python.write_text(f"#!/bin/sh\n{says}\n")
    python.chmod(0o700)
    return folder


def test_an_environment_that_is_there_is_used_as_it_is(tmp_path: Path) -> None:
    made = FlareEnvironment(pretended(tmp_path / "flare", "echo 2.9.0"))
    assert made.make() is made
    assert made.require().version() == "2.9.0"


@pytest.mark.parametrize(("says", "found"), [("echo 2.8.1", "2.8.1"), ("exit 1", "nothing")])
def test_another_release_is_not_taken_for_it(tmp_path: Path, says: str, found: str) -> None:
    with pytest.raises(PluginError, match=f"found: {found}") as refused:
        FlareEnvironment(pretended(tmp_path / "flare", says)).require()
    assert "synthema study engine" in refused.value.fix


def test_an_environment_that_cannot_be_installed_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def create(folder: Path, *, with_pip: bool) -> None:
        assert with_pip
        pretended(folder, "exit 1")

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 1, "", "no index can be reached")

    monkeypatch.setattr("synthema.federation.flare.environment.venv.create", create)
    monkeypatch.setattr("synthema.federation.flare.environment.subprocess.run", run)
    with pytest.raises(PluginError, match="no index can be reached"):
        FlareEnvironment(tmp_path / "flare").make(tmp_path / "pins.txt")
    assert asked[-1][-3:] == ["--constraint", str(tmp_path / "pins.txt"), "nvflare>=2.9,<2.10"]


def test_the_command_tells_where_flare_is(tmp_path: Path) -> None:
    folder = pretended(tmp_path / "flare", "echo 2.9.0")
    said = CliRunner().invoke(app, ["study", "engine", str(folder), "--format", "json"])
    assert said.exit_code == 0, said.output
    assert json.loads(said.stdout)["data"] == {"folder": str(folder), "version": "2.9.0"}
