from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from synthema.dpia import Dpia, confirm_gates, load_dpia
from synthema.dpia.diff import compare
from synthema.resources import bundled


@pytest.fixture(scope="module")
def dpia() -> Dpia:
    return load_dpia(bundled("legal") / "dpia" / "synthetic-data.yaml")


def with_gate(dpia: Dpia, gate: str, **changes: Any) -> Dpia:
    gates = [g.model_copy(update=changes) if g.id == gate else g for g in dpia.gates]
    return Dpia.model_validate(dpia.model_dump() | {"gates": [g.model_dump() for g in gates]})


@pytest.mark.parametrize(
    ("gate", "changes", "direction", "said"),
    [
        ("membership-attack", {"threshold": 0.7}, "looser", "goes from ≤ 0.65 to ≤ 0.7, which is looser"),
        ("membership-attack", {"threshold": 0.6}, "stricter", "which is stricter"),
        ("crowd", {"threshold": 10.0}, "stricter", "from ≥ 5 to ≥ 10"),
        ("crowd", {"threshold": 3.0}, "looser", "from ≥ 5 to ≥ 3"),
        ("membership-attack", {"bound": "value"}, "looser", "judges the value, no longer the upper"),
        ("membership-attack", {"maximum_age": "P2D"}, "looser", "may be 2 days old, no longer 1 day"),
        ("membership-attack", {"minimum_n": 10}, "looser", "needs 10 records, no longer 20"),
        ("membership-attack", {"on_missing": "note"}, "looser", "is noted and no longer stops a run"),
        ("shadow-attack", {"on_missing": "deny"}, "stricter", "stops a run"),
        ("membership-attack", {"phase": "post-release"}, "other", "is checked post-release"),
        ("membership-attack", {"operator": "lt"}, "other", "It is now"),
        ("membership-attack", {"confirmed_by_site": True}, "other", "is now confirmed"),
        ("membership-attack", {"rationale": "so"}, "other", "worded anew"),
        ("membership-attack", {"evidence": "syn:Report"}, "other", "asks for syn:Report"),
    ],
)
def test_a_change_of_a_gate_is_a_sentence(
    dpia: Dpia, gate: str, changes: dict[str, Any], direction: str, said: str
) -> None:
    (change,) = compare(dpia, with_gate(dpia, gate, **changes))
    assert change.direction == direction
    assert said in change.sentence
    assert gate in change.sentence


def test_what_lets_more_pass_comes_first(dpia: Dpia) -> None:
    new = confirm_gates(dpia, thresholds={"membership-attack": 0.7, "crowd": 10})
    found = compare(dpia, new)
    assert [change.direction for change in found][:2] == ["looser", "stricter"]
    assert {change.direction for change in found[2:]} == {"other"}


def test_risks_measures_scope_and_dates(dpia: Dpia) -> None:
    document = dpia.model_dump(mode="json")
    gone = document["risks"].pop(0)
    document["risks"][0]["residual"] |= {"severity": 2}
    document["risks"][1]["measures"] = ["differential-privacy"]
    document["measures"][3] |= {"sentence": "Another way."}
    document["processing"]["purposes"] += ["eu-ehds:PublicHealth"]
    document["processing"]["legal_bases"] = ["eu-gdpr:A9-2-j"]
    document["review_due"] = "2028-01-01"
    document["triggers"] = document["triggers"][1:]
    document["plan"][0]["due"] = "2026-12-01"
    document["opinion"] |= {"favourable": False}
    told = "\n".join(change.sentence for change in compare(dpia, Dpia.model_validate(document)))
    for said in (
        f"The risk '{gone['id']}' is no longer assessed",
        "after measures was: severity significant, likelihood negligible. It is now: severity limited",
        "is no longer met by attack-before-release",
        "Of measure privacy-ceiling, sentence was changed.",
        "covers another purpose: eu-ehds:PublicHealth",
        "no longer covers the legal basis eu-gdpr:A9-2-a",
        "The review is due on 2028-01-01, no longer on 2027-11-21.",
        "The reason to review 'new-attack' is gone",
        "The item of the action plan 'ask-patients' was changed",
        "unfavourable",
    ):
        assert said in told, said


def test_other_files_of_a_plugin_are_told(dpia: Dpia) -> None:
    pinned = dpia.model_dump(mode="json")
    pinned["measures"][0]["plugin_digest"] = "sha256:" + "0" * 64
    (change,) = compare(dpia, Dpia.model_validate(pinned))
    assert "rests on other files of the plugin 'minimise'" in change.sentence


def test_nothing_changed_says_nothing(dpia: Dpia) -> None:
    assert compare(dpia, dpia) == ()
    assert compare(dpia, dpia.model_copy(update={"version": "9"})) == ()
    assert compare(dpia, dpia.model_copy(update={"review_due": date(2027, 1, 1)}))[0].direction == "stricter"
