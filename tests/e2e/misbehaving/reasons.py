"""Why a coordinator turns away each thing that a hostile site does; the site writes down what it is answered."""

from __future__ import annotations

import json
from pathlib import Path

REASONS = {
    "wrong keys": "is not signed by",
    "another's name": "not from this site",
    "no vector": "not a .npy vector",
    "short vector": "another shape or type",
    "floats": "another shape or type",
    "an old round": "is not due",
    "a lie about survivors": "not of the agreed form",
}


def refused_for_its_reason(told: Path) -> dict[str, str]:
    """See that each was refused for its own reason; returns all answers, by what was done."""
    answers = {each["what"]: each["answer"] for each in map(json.loads, told.read_text().splitlines())}
    for what, reason in REASONS.items():
        assert reason in answers[what], (what, answers[what])
    return answers
