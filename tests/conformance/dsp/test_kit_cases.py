"""The cases of the Dataspace Protocol kit, against our connector over HTTP."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.conformance.dsp.cases import CASES, FOUND, SWITCHED_OFF
from tests.conformance.dsp.kit import Kit

pytestmark = pytest.mark.conformance


def test_all_cases_of_the_kit_are_here() -> None:
    run = [case for case in CASES if case not in SWITCHED_OFF]
    assert len(run) == FOUND == 65
    assert CASES.keys() >= SWITCHED_OFF.keys()
    groups = Counter(case.partition(":")[0] for case in run)
    assert groups == {"MET": 1, "CAT": 3, "CN": 15, "CN_C": 16, "TP": 15, "TP_C": 15}


@pytest.mark.parametrize("case", CASES)
def test_case(kit: Kit, case: str) -> None:
    CASES[case](kit)
