"""The help of every command reads well, comes quickly, and is the page in the reference."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from synthema.cli.main import app
from tests.unit.cli.support import run

SCRIPT = Path(__file__).parents[3] / "connector" / "docs" / "reference" / "make_cli.py"
HEAVY = {"sqlalchemy", "polars", "numpy", "fastapi", "uvicorn", "pyoxigraph", "pydantic", "cryptography", "httpx"}


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", {})
    if not children:
        yield " ".join(path), command
    for name, child in children.items():
        yield from commands(child, (*path, name))


ALL = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("path", ALL)
def test_a_command_says_its_purpose_and_gives_an_example(path: str) -> None:
    purpose, _, rest = ALL[path].help.partition("\n\n")
    assert purpose.endswith(".")
    assert rest.strip().startswith(f"Example: synthema {path}")


@pytest.mark.parametrize("path", ALL)
def test_a_command_explains_every_parameter(path: str) -> None:
    assert [p.name for p in ALL[path].params if not p.help and p.name != "help"] == []


def test_commands_that_errors_recommend_exist() -> None:
    for path in ("init", "doctor", "log verify", "study list", "study show", "request list", "request show",
                 "dataset list", "dpia list", "policy list"):  # fmt: skip
        assert path in ALL


def test_the_reference_page_is_current() -> None:
    spec = importlib.util.spec_from_file_location("make_cli", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.PAGE.read_text(encoding="utf-8") == script.page(), f"run: python {SCRIPT}"


def test_help_loads_no_room() -> None:
    code = "import sys, synthema.cli.main; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY.isdisjoint(done.stdout.split())


def test_the_command_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "synthema.cli.main", "policy", "lnt"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Did you mean 'lint'?" in done.stderr
    assert done.stdout == ""


def test_version() -> None:
    assert run("--version").stdout.startswith("synthema 0.")
