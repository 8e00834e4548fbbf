"""The command line against a connector in this process: the operation runs here instead of over the management port."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from synthema.assembly import find_operation
from synthema.cli import agreement, transfer
from synthema.cli.main import app
from tests.e2e.house import House


class Commands:
    """Runs commands for one house."""

    def __init__(self, house: House, patch: pytest.MonkeyPatch) -> None:
        self._home = house.connector.settings.home

        def here(_home: Path, operation: str, value: dict[str, Any] | None = None) -> Any:
            return json.loads(json.dumps(find_operation(operation).call(house.connector, value or {})))

        for module in (agreement, transfer):
            patch.setattr(module, "call", here)
            patch.setattr(module, "call_served", here)

    def run(self, *words: str, status: int = 0) -> str:
        """What a command says to a person."""
        done = CliRunner().invoke(app, [*words, "--home", str(self._home)])
        assert done.exit_code == status, (words, done.output)
        return done.output

    def ask(self, *words: str, status: int = 0) -> Any:
        """What a command gives a machine."""
        found = json.loads(self.run(*words, "--format", "json", status=status))
        return found["data"] if status == 0 else found["error"]
