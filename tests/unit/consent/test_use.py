from __future__ import annotations

import pytest

from synthema.consent import ConsentItem, ConsentRecord, ConsentState, Use, national_exception, question
from synthema.consent.model import OTHER_PURPOSE
from synthema.vocabulary import load_vocabulary
from tests.unit.consent.support import EHDS, HEALTH_RESEARCH, NOW, SYN, TRAINING

WORDS = load_vocabulary()
BASE = {ConsentItem.SECONDARY_USE}


def record(**values: object) -> ConsentRecord:
    return ConsentRecord("consent-1", "mgus", "token", None, ConsentState.GIVEN, NOW, **values)  # type: ignore[arg-type]


@pytest.mark.article("GDPR 6(1)(a)")
@pytest.mark.parametrize(
    ("use", "boxes"),
    [
        (Use(), set()),
        (Use(purpose=HEALTH_RESEARCH), set()),
        (Use(purpose=TRAINING), {ConsentItem.ALGORITHM_TRAINING}),
        (Use(purpose=EHDS + "TrainTestAndEvaluateAISystemsAlgorithms"), {ConsentItem.ALGORITHM_TRAINING}),
        (Use(action=SYN + "trainModel"), {ConsentItem.ALGORITHM_TRAINING}),
        (Use(action=SYN + "synthesise"), set()),
        (Use(action=SYN + "link"), {ConsentItem.LINKAGE}),
        (Use(action=SYN + "reportFinding"), {ConsentItem.INCIDENTAL_FINDINGS}),
        (Use(for_profit=True), {ConsentItem.FOR_PROFIT}),
        (Use(for_profit=False), set()),
        (Use(purpose="https://w3id.org/dpv#CommercialResearch"), {ConsentItem.FOR_PROFIT}),
        (Use(place="https://w3id.org/dpv/loc#US"), {ConsentItem.THIRD_COUNTRY}),
        (Use(place="https://w3id.org/dpv/loc#NO"), set()),
        (Use(place="nowhere known"), {ConsentItem.THIRD_COUNTRY}),
        (Use(categories=(SYN + "Art51-1-l", EHDS + "GenomicData")), {ConsentItem.GENETIC_DATA}),
        (Use(contact=True), {ConsentItem.RECONTACT}),
        (Use(disease="http://www.orpha.net/ORDO/Orphanet_1", own_disease="urn:d"), {ConsentItem.BEYOND_DISEASE}),
        (Use(disease="urn:d", own_disease="urn:d"), set()),
    ],
)
def test_a_use_asks_for_its_boxes(use: Use, boxes: set[ConsentItem]) -> None:
    asked = question(use, WORDS)
    assert asked.required == BASE | boxes
    assert record(items=frozenset(BASE | boxes)).refusal(NOW, asked) is None
    for box in boxes:
        assert record(items=frozenset(BASE | boxes) - {box}).refusal(NOW, asked) == f"did not agree to {box}"


@pytest.mark.article("GDPR 5(1)(b)")
@pytest.mark.parametrize(
    ("agreed", "asked", "covered"),
    [
        ((HEALTH_RESEARCH,), HEALTH_RESEARCH, True),
        (("https://w3id.org/dpv#ScientificResearch",), HEALTH_RESEARCH, True),
        ((SYN + "Art53-1-e",), HEALTH_RESEARCH, True),
        ((TRAINING,), HEALTH_RESEARCH, False),
        ((HEALTH_RESEARCH,), SYN + "Art53-1-d", False),
        ((HEALTH_RESEARCH,), "urn:unheard-of", False),
        ((HEALTH_RESEARCH,), None, False),
        ((), None, True),
        ((), HEALTH_RESEARCH, True),
    ],
)
def test_a_purpose_is_covered_with_all_its_kinds(agreed: tuple[str, ...], asked: str | None, *, covered: bool) -> None:
    found = record(purposes=frozenset(agreed)).refusal(NOW, question(Use(purpose=asked), WORDS))
    assert found == (None if covered else OTHER_PURPOSE)


GOOD = {
    "law": "urn:national-pack",
    "regime": "EHDS",
    "reason": "a public health emergency",
    "permit": "urn:permit",
    "purpose": SYN + "Art53-1-a",
}


@pytest.mark.article("EHDS 71(4)")
@pytest.mark.parametrize(
    ("change", "applies"),
    [
        ({}, True),
        ({"purpose": SYN + "Art53-1-b"}, True),
        ({"purpose": SYN + "Art53-1-c"}, True),
        ({"purpose": HEALTH_RESEARCH}, True),
        ({"purpose": TRAINING}, True),
        ({"purpose": SYN + "Art53-1-d"}, False),
        ({"purpose": SYN + "Art53-1-f"}, False),
        ({"purpose": "urn:unheard-of"}, False),
        ({"law": None}, False),
        ({"law": ""}, False),
        ({"regime": "pre-EHDS"}, False),
        ({"reason": None}, False),
        ({"reason": "  "}, False),
    ],
)
def test_the_exception_needs_every_condition(change: dict[str, str | None], *, applies: bool) -> None:
    found = national_exception(**GOOD | change, vocabulary=WORDS)  # type: ignore[arg-type]
    assert (found is not None) == applies
    if found is not None:
        assert "3 people who opted out" in found.sentence(3)
        assert "71(4)" in found.sentence(3)
