"""What a person meets when something goes wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli.support import run


def test_an_error_is_a_sentence_and_a_fix_on_stderr(tmp_path: Path) -> None:
    result = run("log", "verify", "--home", tmp_path, status=2)
    assert result.stdout == ""
    assert "there is no connector here" in result.stderr
    assert "Fix: make one with: synthema init" in result.stderr


def test_an_error_is_one_value_for_machines(tmp_path: Path) -> None:
    result = run("log", "verify", "--home", tmp_path, "--format", "json", status=2)
    error = json.loads(result.stdout)["error"]
    assert error["code"] == "input"
    assert error["where"].endswith("connector.toml")
    assert result.stderr == ""


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    def fail() -> None:
        raise ZeroDivisionError("deep inside")

    monkeypatch.setattr("synthema.policy.templates.template_names", fail)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_a_fault_of_ours_shows_no_traceback_and_says_where_the_detail_is(broken: Path) -> None:
    result = run("policy", "templates", status=70)
    assert "fault of synthema" in result.stderr
    assert "Traceback" not in result.stderr
    (kept,) = broken.glob("synthema-fault-*.txt")
    assert str(kept) in result.stderr
    assert "deep inside" in kept.read_text()
    assert kept.stat().st_mode & 0o077 == 0


def test_debug_shows_the_detail(broken: Path) -> None:
    assert "deep inside" in run("--debug", "policy", "templates", status=70).stderr


def test_a_fault_is_one_value_for_machines(broken: Path) -> None:
    result = run("policy", "templates", "--format", "json", status=70)
    assert json.loads(result.stdout)["error"]["code"] == "fault"


def test_brackets_in_a_name_are_no_markup(tmp_path: Path) -> None:
    missing = tmp_path / "[red]policy.yaml"
    assert "[red]policy.yaml" in run("policy", "lint", missing, status=2).stderr


def test_no_colour_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("typer.rich_utils.FORCE_TERMINAL", True)  # FORCE_COLOR, which Typer reads once for all
    assert "\x1b[3" not in run("--help").stdout
