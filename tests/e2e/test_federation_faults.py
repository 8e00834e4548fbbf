"""What happens to a study when a hospital or the hub disappears, or asks for what was not agreed.

Real connectors, each a process of its own, talk over HTTP on loopback. Nothing
is pretended: processes are killed, plugins really differ, codebooks really differ.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from synthema.canonical import digest_bytes
from synthema.demo.house import House
from synthema.demo.patients import hospital_data
from synthema.resources import bundled
from tests.e2e.space import HUB, SITES, Space, data_space, ended_run, log_text, spent

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

ANSWER_SECONDS = 15.0
SILENCE_SECONDS = 40.0
SOON = ANSWER_SECONDS + 30  # a loaded machine starts sandboxes slowly
LOST = SITES[2].key


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Space]:
    folder = tmp_path_factory.mktemp("faults")
    patience = {"answer_seconds": ANSWER_SECONDS, "hub_silence_seconds": SILENCE_SECONDS}
    with data_space(folder, hospital_data((1, 1, 1)), **patience) as started:
        yield started


@pytest.mark.article("GDPR 32")
def test_a_hospital_that_disappears_in_a_round_ends_the_study_everywhere(space: Space) -> None:
    before = {house.name: spent(house) for house in space.sites}
    study = space.begin("A hospital disappears")
    space.reaches(study, lambda: space.rounds(study) >= 1, 120)
    space.kill(LOST)
    ended = space.ended(study, SOON)
    lost = space.houses[LOST]

    assert ended["state"] == "failed"
    assert lost.did in ended["reason"]
    assert "did not" in ended["reason"] or "missing" in ended["reason"]
    assert ended["candidate"] is None
    assert ended["result"] is None
    for house in space.sites[:2]:
        run = ended_run(house, study)
        assert run["state"] == "failed"
        assert lost.did in run["reason"]
        assert run["reason"][:200] in _unescaped(log_text(house))
        assert spent(house) > before[house.name], "a run that started has spent its budget"

    space.restart(LOST)
    run = ended_run(lost, study, SOON)  # it came back, and heard how the study had ended meanwhile
    assert run["state"] == "failed"
    assert "the coordinator ended the study" in run["reason"]
    assert "this site was restarted and is back in the study" in log_text(lost)
    assert spent(lost) > before[lost.name]
    for house in space.sites:
        (account,) = [gauge for gauge in house.call("budget/show") if gauge["basis"]]
        assert account["rho"]["reserved"] == 0, "what no round spent is free again"
    for house in space.houses.values():
        assert house.call("log/verify")["size"] > 0
    assert not list((lost.running.settings.home / "runs").glob("*")), "the prepared table is gone"


def test_a_hub_killed_in_a_round_goes_on_where_it_was(space: Space) -> None:
    before = {house.name: spent(house) for house in space.sites}
    study = space.begin("The hub disappears in a round")
    space.reaches(study, lambda: space.rounds(study) >= 1, 120)
    space.kill(HUB.key)
    hub = space.restart(HUB.key)
    space.reaches(study, lambda: bool(space.study(study)["state"] == "quarantined"), 180)
    opened = hub.call("study/rounds", {"study": study})
    assert [each["round"] for each in opened] == list(range(1, len(opened) + 1))
    assert "resumed" in [event["kind"] for event in space.study(study)["events"]]
    costs = set()
    for house in space.sites:
        run = ended_run(house, study)
        assert run["state"] == "released"
        log = log_text(house)
        assert all(log.count(f"masked vector of round {each['round']} handed over") >= 1 for each in opened)
        costs.add(round(spent(house) - before[house.name], 9))
    assert len(costs) == 1, "no site spent more than another"
    space.ended(study, 120)


def test_a_hub_that_stays_away_ends_the_study_at_every_site(space: Space) -> None:
    study = space.begin("The hub stays away")
    space.reaches(study, lambda: space.rounds(study) >= 1, 120)
    space.kill(HUB.key)
    for house in space.sites:
        run = ended_run(house, study, 120)
        assert run["state"] == "failed"
        assert any(words in run["reason"] for words in ("does not answer", "cannot be reached", "fell silent"))
        assert run["reason"][:100] in _unescaped(log_text(house))
    space.restart(HUB.key)
    ended = space.ended(study, 60)
    assert ended["state"] == "failed"
    assert "sites" in ended["reason"]


def test_a_hub_killed_with_a_candidate_in_quarantine_goes_on_with_the_evidence(space: Space) -> None:
    study = space.begin("The hub disappears with a candidate")
    space.reaches(study, lambda: _kinds(space, study).count("measuring") == len(space.sites), 180)
    home = space.hub.running.settings.home
    kept = list((home / "studies").glob("*/candidate.parquet"))
    assert [path.parent.name for path in kept] == [study]
    candidate = space.study(study)["candidate"]
    assert digest_bytes(kept[0].read_bytes()) == candidate
    space.kill(HUB.key)
    hub = space.restart(HUB.key)

    ended = space.ended(study, 180)
    assert ended["state"] in ("released", "stopped"), ended["reason"]  # as the sites' gates say, and not failed
    assert ended["candidate"] == candidate
    kinds = [event["kind"] for event in ended["events"]]
    assert "resumed" in kinds
    assert kinds.count("evidence") >= len(space.sites)
    for house in space.sites:
        assert ended_run(house, study)["state"] == "released"
        runs = [run for run in house.call("request/list") if run["study"] == study and run["action"] != "synthesise"]
        assert len(runs) == 1, "a site that had been asked is not asked again"
    assert hub.call("log/verify")["size"] > 0
    assert list((home / "studies").rglob("*.parquet")) == []


def test_a_hospital_killed_while_it_measures_is_asked_once_more(space: Space) -> None:
    study = space.begin("A hospital disappears with a candidate")
    space.reaches(study, lambda: _kinds(space, study).count("measuring") == len(space.sites), 180)
    space.kill(LOST)
    lost = space.restart(LOST)
    ended = space.ended(study, 180)
    assert ended["state"] in ("released", "stopped"), ended["reason"]
    asked = [event["site"] for event in ended["events"] if event["kind"] == "measuring"]
    assert [asked.count(house.did) for house in space.sites] in ([1, 1, 2], [1, 1, 1])
    assert ended_run(lost, study)["state"] == "released"


def test_a_candidate_that_was_changed_on_disk_is_withheld(space: Space) -> None:
    study = space.begin("The candidate is changed while the hub is down")
    space.reaches(study, lambda: bool(space.study(study)["state"] == "quarantined"), 180)
    home = space.hub.running.settings.home
    space.kill(HUB.key)
    with (home / "studies" / study / "candidate.parquet").open("ab") as file:
        file.write(b"a row more")
    space.restart(HUB.key)

    ended = space.ended(study, 30)
    assert ended["state"] == "stopped"
    assert "is not the one that was made" in ended["reason"]
    assert ended["result"] is None
    assert list((home / "studies").rglob("*.parquet")) == []
    assert not (home / "artefacts" / study).exists(), "nothing was kept for release"


def test_a_hub_that_asks_with_another_codebook_is_refused(space: Space) -> None:
    shipped = (bundled("ontologies") / "dictionaries" / "mgus.yaml").read_text(encoding="utf-8")
    wider = shipped.replace("edges: [0, 0.3, 0.6,", "edges: [0, 0.2, 0.6,")
    assert wider != shipped
    study = space.begin("Another codebook", codebook=wider)
    ended = space.ended(study, SOON)
    assert ended["state"] == "refused"
    assert "codebook is not the one" in ended["reason"], "a reason that is about what the hub itself sent is told"
    for house in space.sites:
        assert not [run for run in house.call("request/list") if run["study"] == study], "refused before any decision"


def test_a_site_with_other_plugin_files_refuses_the_plan(space: Space, tmp_path: Path) -> None:
    spec = find_spec("synthema_marginals")
    assert spec is not None
    assert spec.origin is not None
    changed = tmp_path / "synthema_marginals"
    shutil.copytree(Path(spec.origin).parent, changed, ignore=shutil.ignore_patterns("__pycache__"))
    with (changed / "rounds.py").open("a", encoding="utf-8") as file:
        file.write("\n# another build\n")
    house = space.restart(LOST, {"PYTHONPATH": str(tmp_path)})
    try:
        _approve(house, "marginals")  # its own people approved the files it has
        before = spent(house)
        study = space.begin("Other plugin files")
        ended = space.ended(study, SOON)
        assert ended["state"] == "refused"
        run = ended_run(house, study)
        assert run["state"] == "denied"
        assert "the files of plugin 'marginals' have changed since the assessment was signed" in run["reason"]
        assert spent(house) == before
        assert space.rounds(study) == 0
    finally:
        space.restart(LOST)


def _kinds(space: Space, study: str) -> list[str]:
    return [event["kind"] for event in space.study(study)["events"]]


def _approve(house: House, plugin: str) -> None:
    asked = house.call("plugin/signing", {"name": plugin})
    approvals = [{"person": s.person, "signature": s.sign(asked["sign"])} for s in house.signatories]
    house.call("plugin/approve", {"name": plugin, "digest": asked["digest"], "approvals": approvals})


def _unescaped(text: str) -> str:
    return text.replace('\\"', '"').replace("\\\\", "\\")
