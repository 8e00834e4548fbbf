"""Withdrawal reaches what was derived: three hospitals, a hub and a registry, each a process, over real HTTP.

Everything that is sent between them passes through proxies that keep the bytes: no patient's key, no token, and no
number of people leaves a hospital.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from synthema.demo.house import DATASET, House
from synthema.demo.patients import HospitalData, hospital_data
from synthema.demo.processes import prepare
from tests.e2e import space as spaces
from tests.e2e.space import HUB, REGISTRY, SITES, Space, data_space, ended_run, log_text
from tests.e2e.wire import Wire
from tests.waiting import until

pytestmark = pytest.mark.e2e

PURPOSE = "ehds:HealthcareScientificResearch"
FIRST_KEY = 900_000_000  # keys of nine digits, which nothing else looks like
SOON = 120


@dataclass
class Watched:
    """A data space and the wire between its members."""

    space: Space
    wire: Wire
    keys: dict[str, list[str]]

    def agreed(self, house: House) -> list[str]:
        return self.keys[house.name]


def long_keys(brought: HospitalData) -> HospitalData:
    def renamed(text: str) -> str:
        return re.sub(r"(?m)^\d+", lambda found: str(FIRST_KEY + int(found.group())), text)

    return replace(brought, table=renamed(brought.table), consents=renamed(brought.consents))


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    data = [long_keys(brought) for brought in hospital_data((1, 1, 1))]
    wire = Wire()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spaces, "prepare", lambda actors, folder: wire.before(prepare(actors, folder)))
        with data_space(tmp_path_factory.mktemp("withdrawal"), data, [REGISTRY], budget=12.0) as space:
            keys = {
                house.name: [line.split(",")[0] for line in brought.consents.splitlines() if ",ConsentGiven," in line]
                for house, brought in zip(space.sites, data, strict=True)
            }
            yield Watched(space, wire, keys)
    wire.close()


def plans(house: House) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = house.call("withdrawal/list", {"all": True})
    return found


def shown(house: House, identifier: str) -> dict[str, Any]:
    found: dict[str, Any] = house.call("withdrawal/show", {"withdrawal": identifier})
    return found


def plan_after(house: House, before: int) -> dict[str, Any]:
    """The plan that follows a withdrawal, once it is there."""
    found = until(lambda: plans(house), lambda seen: len(seen) > before, SOON)
    return shown(house, found[0]["withdrawal"])


def answered(house: House, identifier: str) -> dict[str, Any]:
    """A plan once every partner it told has answered."""
    found: dict[str, Any] = until(
        lambda: shown(house, identifier),
        lambda plan: bool(plan["notices"]) and all(notice["answered"] for notice in plan["notices"]),
        SOON,
    )
    return found


def items(plan: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [item for item in plan["items"] if item["kind"] == kind]


def certified(watched: Watched, title: str) -> dict[str, Any]:
    """A study that was released, certified, and taken in by the registry."""
    space = watched.space
    ended = space.ended(space.begin(title), 180)
    assert ended["state"] == "released", ended["reason"]
    order = {"hub": space.hub.did, "package": ended["result"]["package"]}
    collected = space.registry.call("registry/collect", order)
    receipt = space.registry.call("registry/ingest", {"package": collected["package"], "purpose": PURPOSE})
    assert receipt["accepted"], receipt["lines"]
    return ended


def standing(registry: House, certificate: str) -> str:
    (holding,) = [h for h in registry.call("registry/list") if h["certificate"] == certificate]
    return str(holding["state"])


@pytest.mark.article("GDPR 19")
@pytest.mark.article("GDPR 7(3)")
def test_a_withdrawal_after_certification_reaches_hub_and_registry(watched: Watched) -> None:
    space = watched.space
    study = certified(watched, "Withdrawn after certification")
    certificate = study["result"]["certificate"]
    site, hub, registry = space.sites[0], space.hub, space.registry
    before = {house.name: len(plans(house)) for house in space.houses.values()}

    site.call("consent/withdraw", {"dataset": DATASET, "patient": watched.agreed(site)[0]})

    plan = answered(site, plan_after(site, before[site.name])["withdrawal"])
    assert [item["consequence"] for item in items(plan, "source rows")] == ["replace the rows"]
    assert {item["consequence"] for item in items(plan, "masked sums")} == {"stays as a record"}
    assert items(plan, "evidence")
    (copy,) = items(plan, "copy at a partner")
    assert (copy["holder"], copy["state"]) == (hub.did, "done")
    (notice,) = plan["notices"]
    said = notice["document"]["credentialSubject"]
    assert said["exclusion_list"] == plan["listVersion"]
    assert said["studies"] == [study["id"]]
    assert said["things"] == [study["result"]["document"]["credentialSubject"]["id"]]
    assert notice["receipt"]["issuer"] == hub.did

    at_hub = answered(hub, plan_after(hub, before[hub.name])["withdrawal"])
    assert at_hub["from"] == site.did
    (dataset,) = items(at_hub, "synthetic dataset")
    assert dataset["consequence"] == "keep with a recorded assessment"
    assert "Nothing is unlearned" in dataset["why"]
    (kept,) = items(at_hub, "certificate")
    assert kept["thing"] == certificate
    assert "stays valid while" in kept["sentence"]
    assert len(items(at_hub, "evidence")) == 3
    (copy,) = items(at_hub, "copy at a partner")
    assert (copy["holder"], copy["state"]) == (registry.did, "done")

    at_registry = until(
        lambda: shown(registry, plan_after(registry, before[registry.name])["withdrawal"]),
        lambda found: found["state"] == "done",
        SOON,
    )
    assert at_registry["from"] == hub.did
    assert standing(registry, certificate) == "held", "the certificate is still valid"

    # The hub's officer finds that it cannot stay: the certificate goes, and the registry takes the dataset out.
    hub.call(
        "withdrawal/do",
        {
            "items": [dataset["item"]], "person": hub.signatories[0].person, "finding": "not negligible",
            "recipients": "one registry", "means": "attacks were measured at three sites",
            "reason": "one of the sites is small",
        },
    )  # fmt: skip
    until(lambda: standing(registry, certificate), lambda state: state == "suspended", SOON)
    again = items(shown(hub, at_hub["withdrawal"]), "synthetic dataset")[0]
    assert (again["consequence"], again["state"]) == ("make anew without", "open")
    assert "Suspended after all" in items(shown(hub, at_hub["withdrawal"]), "certificate")[0]["sentence"]
    for house in (site, hub, registry):
        assert house.call("log/verify")["size"] > 0
        text = log_text(house)
        assert "WithdrawalPlanning" in text
    quiet(watched)


@pytest.mark.article("GDPR 7(3)")
def test_a_suspended_certificate_takes_the_dataset_out_of_the_registry(watched: Watched) -> None:
    """The hub's officer set that what is concerned is suspended at once; the registry hears of it and looks."""
    space = watched.space
    study = certified(watched, "Suspended at once")
    certificate = study["result"]["certificate"]
    hub, registry, site = space.hub, space.registry, space.sites[1]
    rules = {"synthetic": "suspend", "certificate": "suspend"}
    hub.call("withdrawal/set-rules", {"rules": rules, "person": hub.signatories[0].person})
    before = len(plans(hub))
    try:
        site.call("consent/withdraw", {"dataset": DATASET, "patient": watched.agreed(site)[0]})
        until(lambda: standing(registry, certificate), lambda state: state == "suspended", SOON)
        plan = answered(hub, plan_after(hub, before)["withdrawal"])
        concerned = [item for item in plan["items"] if item["thing"] == certificate]
        assert [(item["consequence"], item["state"]) for item in concerned] == [("suspend the certificate", "done")]
        told = site.call("withdrawal/report", {"withdrawal": plans(site)[0]["withdrawal"]})["sentences"]
        assert any("answered on" in sentence for sentence in told)
        assert any("Nothing is unlearned" in sentence for sentence in told)
    finally:
        hub.call("withdrawal/set-rules", {"rules": {}, "person": hub.signatories[0].person})
    quiet(watched)


@pytest.mark.article("GDPR 7(3)")
def test_a_withdrawal_in_the_midst_of_a_study_counts_from_the_next_round(watched: Watched) -> None:
    space = watched.space
    site, slow = space.sites[0], space.sites[2]
    before = len(plans(site))
    key = watched.agreed(site)[1]
    study = space.begin("Withdrawn in the midst")
    space.reaches(study, lambda: space.rounds(study) >= 1, 90)
    held = space.houses[SITES[2].key].running.process
    os.kill(held.pid, signal.SIGSTOP)  # so that the present round cannot end before the withdrawal
    try:
        site.call("consent/withdraw", {"dataset": DATASET, "patient": key})
        plan = plan_after(site, before)
    finally:
        os.kill(held.pid, signal.SIGCONT)
    under_way = [item for item in items(plan, "run under way") if item["consequence"].startswith("leave out")]
    assert under_way, plan["items"]
    assert ended_run(site, study, 120)["state"] in ("released", "failed")
    ended = space.ended(study, 180)
    if ended["state"] == "released":
        (item,) = [
            i for i in items(finished(site, plan["withdrawal"]), "run under way") if i["run"] == under_way[0]["run"]
        ]
        assert "had left before and stay" in item["outcome"]
        assert "prepared again without those who took consent back" in log_text(site)
        at_hub = [p for p in plans(space.hub) if p["from"] == site.did]
        concerned = shown(space.hub, at_hub[0]["withdrawal"])
        assert items(concerned, "synthetic dataset"), "what the study made later became part of the hub's plan"
    else:  # the class the patient was in became too small: the site may refuse, and says so
        assert "fewer than" in ended["reason"] or "small" in ended["reason"], ended["reason"]
    assert slow.call("log/verify")["size"] > 0
    quiet(watched)


def finished(house: House, identifier: str) -> dict[str, Any]:
    found: dict[str, Any] = until(
        lambda: shown(house, identifier),
        lambda plan: all(item["state"] != "open" for item in items(plan, "run under way")),
        SOON * 2,
    )
    return found


def test_what_a_power_cut_interrupts_is_taken_up_and_a_partner_that_was_away_is_told(watched: Watched) -> None:
    space = watched.space
    site, hub = space.sites[1], space.hub
    if not [study for study in hub.call("study/list") if study["state"] == "released"]:
        certified(watched, "Made before the power cut")
    before = {house.name: len(plans(house)) for house in (site, hub)}
    space.kill(HUB.key)
    site.call("consent/withdraw", {"dataset": DATASET, "patient": watched.agreed(site)[2]})
    space.kill(SITES[1].key)
    site = space.restart(SITES[1].key)
    plan = plan_after(site, before[site.name])
    tried = until(
        lambda: shown(site, plan["withdrawal"]),
        lambda found: bool(found["notices"]) and found["notices"][0]["attempts"] > 0,
        SOON,
    )
    assert "does not answer" in tried["notices"][0]["sentence"]
    assert len(plans(site)) == before[site.name] + 1, "the withdrawal is carried on once"
    hub = space.restart(HUB.key)
    document = answered(site, plan["withdrawal"])["notices"][0]["document"]
    assert len(plans(hub)) == before[hub.name] + 1

    lose_receipts(space, SITES[1].key)
    again = answered(space.houses[SITES[1].key], plan["withdrawal"])
    assert again["notices"][0]["document"] == document
    assert len(plans(hub)) == before[hub.name] + 1, "the same notice again changes nothing"
    quiet(watched)


def lose_receipts(space: Space, key: str) -> None:
    """Forget receipts, as if they had been lost on the way: the notices go out again."""
    home = space.houses[key].running.settings.home
    space.kill(key)
    with closing(sqlite3.connect(home / "state.sqlite")) as connection:
        connection.execute("UPDATE withdrawal_notices SET receipt = NULL, answered_at = NULL")
        connection.commit()
    space.restart(key)


def quiet(watched: Watched) -> None:
    """Nothing that names a patient has passed the wire: no key, no token, no number of people who withdrew."""
    heard = watched.wire.heard()
    assert b"WithdrawalNotice" in heard
    # Whole numbers only: the last digits of a measured number may be those of a key by chance.
    numbers = {int(found) for found in re.findall(rb"(?<![0-9.])9[0-9]{8}(?![0-9])", heard)}
    for house in watched.space.sites:
        assert numbers.isdisjoint(map(int, watched.agreed(house)))
        for token in tokens(house.running.settings.home):
            assert token.encode() not in heard
    for document in notices(heard):
        assert set(document) == {
            "id", "withdrawal", "recipient", "number", "answer_by", "dataset", "exclusion_list", "things", "studies",
            "asks", "articles",
        }  # fmt: skip


def tokens(home: Path) -> set[str]:
    with closing(sqlite3.connect(home / "state.sqlite")) as connection:
        rows = connection.execute("SELECT consent_token, opt_out_token FROM consent_cohorts").fetchall()
    return {token for row in rows for token in row}


def notices(heard: bytes) -> list[dict[str, Any]]:
    """What the notices on the wire say."""
    found = []
    for start in re.finditer(rb'\{"@context":\[[^\n]*?"type":\["VerifiableCredential","WithdrawalNotice"\]', heard):
        value, _ = json.JSONDecoder().raw_decode(heard[start.start() :].decode("utf-8", "replace"))
        found.append(value["credentialSubject"])
    assert found
    return found
