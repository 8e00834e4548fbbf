"""Who lets a study's candidate go: each hospital for its own data, the hub for its certificate and each hand-over.

Real connectors, each a process of its own. One study for each way it may end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from synthema.demo import house as demo
from synthema.demo.house import House
from synthema.demo.patients import hospital_data
from synthema.demo.scenes import THRESHOLDS
from synthema.errors import SynthemaError
from synthema.vocabulary.namespaces import SYN
from tests.crash.releasing import CERTIFIED, DECIDED, killed_on_its_way_out
from tests.e2e.space import REGISTRY, Space, data_space, log_text

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SECONDS = 200.0
EPSILON = 5.0


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Space]:
    folder = tmp_path_factory.mktemp("release")
    with data_space(folder, hospital_data((50, 30, 20)), (REGISTRY,), budget=60.0) as started:
        yield started


@pytest.fixture(scope="module")
def released(space: Space) -> dict[str, Any]:
    """A study that every policy permits; its hub is killed twice on the way out."""
    return killed_on_its_way_out(space, [DECIDED, CERTIFIED], lambda: space.begin("A virtual cohort", epsilon=EPSILON))


def another_version(house: House, text: str, version: str, change: Callable[[str], str]) -> None:
    changed = change(text)
    assert changed != text or version == "9"
    house.activate_policy(changed.replace("version: 1\n", f"version: {version}\n"), "policy.yaml")


def acts_of(house: House, study: str) -> list[tuple[str, str]]:
    """What a hospital decided of outputs in a study: act and effect, in order."""
    runs = [run["run"] for run in house.call("request/list") if run["study"] == study]
    shown = [house.call("request/show", {"run": run}) for run in runs]
    return [(act["action"].removeprefix(SYN), act["effect"]) for run in shown for act in run["acts"]]


def collect(space: Space, study: dict[str, Any]) -> dict[str, Any]:
    order = {"hub": space.hub.did, "package": study["result"]["package"]}
    found: dict[str, Any] = space.registry.call("registry/collect", order)
    return found


def handed_on(space: Space, study: dict[str, Any]) -> dict[str, Any]:
    """What the hub keeps of hand-overs, by agreement."""
    found: dict[str, Any] = space.study(study["id"])["result"]["handedOn"]
    return found


@pytest.mark.article("GDPR 32(1)")
def test_a_hub_killed_between_deciding_and_publishing_gives_one_certificate(
    space: Space, released: dict[str, Any]
) -> None:
    issued = [each for each in space.hub.call("certificate/list") if each["candidate"] == released["candidate"]]
    assert [(each["state"], each["certificate"]) for each in issued] == [("valid", released["result"]["certificate"])]
    assert log_text(space.hub).count("Offered: A virtual cohort") == 1


@pytest.mark.article("EHDS 73(2)")
def test_every_hospital_and_the_hub_decided_before_a_certificate_was_issued(
    space: Space, released: dict[str, Any]
) -> None:
    for house in space.sites:
        assert acts_of(house, released["id"]) == [("export", "permit"), ("export", "permit"), ("certify", "permit")]
    content = released["result"]["document"]["credentialSubject"]
    statements = [evidence["credential"]["credentialSubject"]["statement"] for evidence in content["evidence"]]
    for statement in statements:
        decided = {decision["action"]: decision["effect"] for decision in statement["decisions"]}
        assert decided[SYN + "export"] == decided[SYN + "certify"] == "permit"
    own = [proven["decision"] for proven in content["decisions"]]
    assert [decision["action"] for decision in own] == [SYN + "certify"] * 3
    log = log_text(space.hub)
    for decision in own:
        assert decision["digest"] in log
    kept = {act["digest"]: act["decision"] for act in released["result"]["acts"]}
    for decision in own:
        facts = kept[decision["digest"]]["request"]["facts"]
        assert SYN + "membershipAUC" in str(facts)
        assert "/upper" in str(facts)


@pytest.mark.article("EHDS 61(2)")
def test_each_hand_over_is_decided_and_counted(space: Space, released: dict[str, Any]) -> None:
    first = collect(space, released)
    receipt = space.registry.call(
        "registry/ingest", {"package": first["package"], "purpose": "ehds:HealthcareScientificResearch"}
    )
    assert receipt["accepted"], receipt["lines"]
    kept = handed_on(space, released)[first["agreement"]]
    assert (kept["to"], kept["count"], kept["last"]["effect"]) == (space.registry.did, 1, "permit")
    assert kept["last"]["digest"] in log_text(space.hub)
    assert "certificateState" in str(kept["last"]["decision"]["request"]["facts"])


@pytest.mark.article("EHDS 61(2)")
def test_a_suspended_certificate_stops_the_hand_over(space: Space, released: dict[str, Any]) -> None:
    certificate = released["result"]["certificate"]
    change = {"certificate": certificate, "reason": "a site doubts its evidence"}
    space.hub.call("certificate/status", change | {"change": "suspend"})
    try:
        with pytest.raises(SynthemaError, match="may not be handed on"):
            collect(space, released)
    finally:
        space.hub.call("certificate/status", change | {"change": "reinstate"})
    denied = [kept for kept in handed_on(space, released).values() if kept["last"]["effect"] == "deny"]
    assert [kept["count"] for kept in denied] == [0]
    assert "suspended" in " ".join(denied[0]["last"]["sentences"])
    assert collect(space, released)["package"]


@pytest.mark.article("EHDS 61(2)")
def test_without_a_policy_of_the_hub_nothing_is_handed_on(space: Space, released: dict[str, Any]) -> None:
    text = demo.release_policy(space.hub, THRESHOLDS)
    another_version(space.hub, text, "2", lambda form: form.replace("[export, distribute, ingest]", "ingest"))
    try:
        with pytest.raises(SynthemaError, match=r"EHDS Article 61\(2\)"):
            collect(space, released)
    finally:
        space.hub.activate_policy(text.replace("version: 1\n", "version: 3\n"), "policy.yaml")


def test_a_hub_that_may_not_certify_begins_no_study(space: Space) -> None:
    text = demo.released_data_policy(space.hub)
    another_version(space.hub, text, "2", lambda form: form.replace("[certify, distribute]", "distribute"))
    try:
        study = space.begin("Nobody would certify it", epsilon=EPSILON)
        ended = space.ended(study, SECONDS)
        assert ended["state"] == "refused"
        assert "could not certify" in ended["reason"]
        for house in space.sites:
            assert not [run for run in house.call("request/list") if run["study"] == study], (
                "nothing was asked or spent"
            )
    finally:
        space.hub.activate_policy(text.replace("version: 1\n", "version: 3\n"), "policy.yaml")


@pytest.mark.article("EHDS 73(2)")
def test_one_hospital_that_does_not_let_its_data_go_stops_the_study(space: Space) -> None:
    house = space.sites[2]
    text = demo.site_policy(house)
    another_version(house, text, "2", lambda form: form.replace("action: [export, certify]", "action: export"))
    try:
        study = space.begin("One hospital does not certify", epsilon=EPSILON)
        ended = space.ended(study, SECONDS)
        assert ended["state"] == "stopped", ended["reason"]
        assert ended["reason"].startswith(house.name)
        assert "may not be certified" in ended["reason"]
        assert "certificate" not in (ended["result"] or {})
        assert acts_of(house, study) == [("export", "permit"), ("export", "permit"), ("certify", "deny")]
        assert acts_of(space.sites[0], study)[-1] == ("certify", "permit")
        assert ended["reason"][:60] in log_text(space.hub)
    finally:
        house.activate_policy(text.replace("version: 1\n", "version: 3\n"), "policy.yaml")


@pytest.mark.article("EHDS 73(2)")
def test_the_bounds_of_the_hub_count_on_what_the_hospitals_measured(space: Space) -> None:
    text = demo.release_policy(space.hub, THRESHOLDS)
    tight = text.replace(f"membership auc at most: {THRESHOLDS['membership-attack']}", "membership auc at most: 0.2")
    space.hub.activate_policy(tight.replace("version: 1\n", "version: 4\n"), "policy.yaml")
    try:
        study = space.begin("A hub with narrow bounds", epsilon=EPSILON)
        ended = space.ended(study, SECONDS)
        assert ended["state"] == "stopped", ended["reason"]
        assert "the hub's own policies" in ended["reason"]
        assert "membership inference" in ended["reason"]
        assert "certificate" not in ended["result"]
        (reason,) = {
            (r["required"], r["evidence"].rpartition("#")[2])
            for act in ended["result"]["acts"]
            for r in act["decision"]["reasons"]
            if r["operand"] == SYN + "membershipAUC"
        }
        assert reason == (0.2, "evaluation/membershipAUC/upper")
        for act in ended["result"]["acts"]:
            assert act["digest"] in log_text(space.hub)
    finally:
        space.hub.activate_policy(text.replace("version: 1\n", "version: 5\n"), "policy.yaml")
