"""The example in the documentation, executed: the files it shows give the output it shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.unit.cli.support import run

PAGE = Path(__file__).parents[4] / "connector" / "docs" / "reference" / "evaluating-odrl.md"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of the page."""
    for name, text in re.findall(r"`(\w+\.ttl)`\n\n```turtle\n(.*?)```", PAGE.read_text(), re.DOTALL):
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_of_the_page_prints_what_the_page_says(files: Path) -> None:
    ((command, output),) = re.findall(r"```console\n\$ synthema (.*?)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert run(*shlex.split(command)).stdout == output


def test_without_the_payment_or_with_more_rows_it_is_denied(files: Path) -> None:
    arguments = ("policy", "evaluate", "--policy", "policy.ttl", "--request", "request.ttl", "--world", "world.ttl")
    request = (files / "request.ttl").read_text()
    (files / "request.ttl").write_text(request.replace("250", "2500"))
    assert "is active" in run(*arguments, status=3).stdout
    (files / "request.ttl").write_text(request)
    world = (files / "world.ttl").read_text()
    (files / "world.ttl").write_text(world.replace("50.00", "49.00"))
    assert "is not fulfilled yet" in run(*arguments, status=3).stdout


def test_the_acts_of_the_page_comply_without_a_request(files: Path) -> None:
    assert "complies" in run("policy", "evaluate", "--policy", "policy.ttl", "--world", "world.ttl").stdout


def test_every_option_of_the_page_exists() -> None:
    shown = run("policy", "evaluate", "--help").stdout
    for option in set(re.findall(r"`--([a-z]+)", PAGE.read_text())) - {"layer"}:
        assert f"--{option}" in shown
