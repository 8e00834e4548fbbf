"""Runs commands as a person would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from synthema.cli.main import app

TEMPLATE_VALUES = {
    "name": "research",
    "title": "Synthetic data for research",
    "version": "1",
    "assigner": "did:web:a.example",
    "epsilon": "6",
    "epsilon_reason": "Decided by the data protection officer",
    "parties": "3",
    "parties_reason": "A sum over fewer sites can be taken apart",
}


def run(*arguments: object, status: int = 0, typed: str | None = None) -> Result:
    """Run a command and expect its exit status."""
    result = CliRunner().invoke(app, [str(each) for each in arguments], input=typed)
    assert result.exit_code == status, f"exit {result.exit_code}\n{result.stdout}\n{result.stderr}"
    return result


def data_of(*arguments: object, status: int = 0) -> Any:
    """Run a command with ``--format json`` and return the value it prints."""
    envelope = json.loads(run(*arguments, "--format", "json", status=status).stdout)
    assert envelope["status"] == "ok"
    return envelope["data"]


def new_policy(file: Path, **changed: str) -> Path:
    """A site policy made from the template."""
    values = [part for key, value in (TEMPLATE_VALUES | changed).items() for part in ("--set", f"{key}={value}")]
    run("policy", "new", "research-synthetic-data", *values, "-o", file)
    return file
