"""Which cases of the ODRL test suite differ, by name, and that the comparison would notice a difference."""

from __future__ import annotations

import pytest

from synthema.policy.intake import Syntax, read_graph
from tests.conformance import odrl
from tests.conformance.suite import STANDARDS

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.skipif(not STANDARDS.is_dir(), reason="../shared/standards is not here"),
]


def test_with_strict_duties_exactly_the_two_cases_differ_that_contradict_the_formal_semantics() -> None:
    cases = list(odrl.strict_cases())
    differing = {case.name: case.problem for case in cases if not case.passed}
    assert len(cases) == 68
    assert differing == {
        "testcase-059-nonset": "activationState is Inactive, the suite says Active",
        "testcase-065-alice": "activationState is Inactive, the suite says Active",
    }


def test_with_lax_duties_every_state_of_every_report_is_the_expected_one() -> None:
    cases = list(odrl.lax_cases())
    assert (len(cases), [case for case in cases if not case.passed]) == (68, [])


def test_a_state_that_differs_is_noticed() -> None:
    path = next(iter(sorted((odrl.DATA / "test_cases").glob("*-026-*.ttl"))))
    expected = odrl._graph(path)
    text = path.read_text().replace("report:Satisfied", "report:Unsatisfied")
    changed = read_graph(text.encode(), Syntax.TURTLE)
    assert list(odrl._differences(expected, changed))
    assert not list(odrl._differences(expected, expected))
