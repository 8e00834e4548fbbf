"""The outside suites as tests, and the command that counts them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from tests.conformance import __main__ as command
from tests.conformance import suite as suites
from tests.conformance.suite import Case, Suite, run
from tests.conformance.suites import SUITES

pytestmark = pytest.mark.conformance


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_each_suite_has_the_cases_it_must_have_and_passes_what_it_must(suite: Suite) -> None:
    if suite.absent:
        pytest.skip("../shared/standards is not here")
    result = run(suite)
    assert result.as_expected, [f"{case.name}: {case.problem}" for case in result.cases if not case.passed]
    assert result.passed == result.found or suite.reason, "fewer than all pass, and nothing says why"


PASSING = Suite("made up", lambda: [Case("one"), Case("two")], 2, 2)


@pytest.mark.parametrize(
    ("suite", "status", "word"),
    [
        (PASSING, 0, "0 differ"),
        (dataclasses.replace(PASSING, cases=lambda: [Case("one"), Case("two", "wrong")]), 1, "1 differ"),
        (dataclasses.replace(PASSING, passed=1), 1, "1 differ"),
        (dataclasses.replace(PASSING, cases=list), 1, "1 differ"),
    ],
    ids=["as expected", "a case fails", "more pass than expected", "no case found"],
)
def test_a_count_that_differs_fails_the_command(
    suite: Suite, status: int, word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "SUITES", (suite,))
    assert command.main([]) == status
    assert capsys.readouterr().out.splitlines()[-1] == f"conformance: 1 suites, {word}"


def test_without_the_outside_files_a_suite_is_absent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(suites, "STANDARDS", tmp_path / "standards")
    monkeypatch.setattr(command, "SUITES", (dataclasses.replace(PASSING, cases=list, folder="odrl-test-suite"),))
    assert command.main([]) == 0
    assert "absent" in capsys.readouterr().out
    assert command.main(["--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["suites"] == [{"name": "made up", "status": "absent"}]
