"""The command that runs the benchmarks: what it counts, and how it ends."""

from __future__ import annotations

import json
import sys
from types import ModuleType
from typing import Any

import pytest

from tests.benchmarks import __main__ as command

FAST = {"name": "fast", "ours": 20.0, "peer": 2.0, "ratio": 10.0, "goal": 8.0, "unit": "appends/s"}
QUICK = {"name": "quick", "ours": 1.0, "peer": 2.0, "ratio": 0.5, "goal": 1.0, "unit": "ms"}
ONLY_SHOWN = QUICK | {"goal": None}


def _pretend(monkeypatch: pytest.MonkeyPatch, **modules: Any) -> None:
    for name, run in modules.items():
        module = ModuleType(name)
        module.run = run  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, f"tests.benchmarks.{name}", module)
    monkeypatch.setattr(command, "_names", lambda only: list(modules))


def _broken() -> list[dict[str, Any]]:
    raise OSError("no such peer")


@pytest.mark.parametrize(
    ("lines", "status", "last"),
    [
        ([FAST, QUICK, ONLY_SHOWN], 0, "bench: 3 benchmarks, 0 short"),
        ([FAST | {"ratio": 7.9}, QUICK], 1, "bench: 2 benchmarks, 1 short"),
        ([QUICK | {"ratio": 1.1}], 1, "bench: 1 benchmarks, 1 short"),
        ([], 2, "bench: 0 benchmarks, 0 short"),
        ([{"name": "half a line"}], 2, "bench: 0 benchmarks, 0 short"),
    ],
    ids=["all met", "a rate too low", "a time too long", "nothing measured", "a line without figures"],
)
def test_the_last_line_and_the_exit_status_say_how_it_went(
    lines: list[dict[str, Any]],
    status: int,
    last: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _pretend(monkeypatch, bench_one=lambda: lines)
    assert command.main([]) == status
    assert capsys.readouterr().out.splitlines()[-1] == last


def test_one_that_cannot_run_does_not_hide_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _pretend(monkeypatch, bench_one=_broken, bench_two=lambda: [FAST])
    assert command.main(["--format", "json"]) == 2
    said = json.loads(capsys.readouterr().out)
    assert said["errors"] == ["bench_one: OSError: no such peer"]
    assert [line["verdict"] for line in said["benchmarks"]] == ["met"]


def test_every_benchmark_here_is_found() -> None:
    assert {"bench_storage", "bench_secure_sum"} <= set(command._names([]))
    assert command._names(["storage"]) == ["bench_storage"]
    assert command._names(["unheard-of"]) == ["bench_unheard-of"]
