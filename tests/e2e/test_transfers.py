"""Computations and their results between two real connectors: ordered, run, released, fetched, stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synthema.canonical import digest_bytes
from synthema.dataspace import COMPUTE, Agreement, Process
from synthema.dataspace.dataplane.fetching import Wanted
from synthema.errors import DeniedError, PeerError
from synthema.runs.model import RunState
from tests.e2e.house import site_policy, write_generator
from tests.e2e.pair import PATIENCE, Pair, pair
from tests.e2e.transfer_commands import Commands
from tests.waiting import until

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with pair(tmp_path_factory.mktemp("pair")) as made:
        yield made


def shown(two: Pair, transfer: str) -> dict[str, object]:
    """A computation as the hub sees it at the hospital."""
    hub = two.hub.connector
    theirs = hub.dataspace.process("transfer", transfer).peer_pid
    found: dict[str, object] = hub.peers.get(two.hospital.did, f"/computations/{theirs}")
    return found


def artefacts(two: Pair, process: Process) -> list[dict[str, str]]:
    """What a computation has released."""
    found: Any = shown(two, process.id)["artefacts"]
    return list(found)


def test_a_named_study_is_run_released_and_fetched(two: Pair, tmp_path: Path) -> None:
    agreement = two.agree()
    process = two.transfer(agreement, COMPUTE, two.order())
    assert process.state in ("STARTED", "COMPLETED"), process.reasons
    ended = two.ended(process)
    assert (ended.state, ended.reasons) == ("COMPLETED", ())

    result = shown(two, process.id)
    assert (result["title"], result["state"]) == ("Progression from MGUS", "released")
    files = {file["name"]: file for file in artefacts(two, process)}
    assert set(files) == {"synthetic.parquet", "codebook.json", "evaluation.json"}
    digest = files["synthetic.parquet"]["digest"]
    name = digest.removeprefix("sha256:")
    target = tmp_path / "synthetic.parquet"
    fetched = two.hub.connector.dataspace.fetch(agreement, Wanted(name, 10**8, digest), target, timeout=PATIENCE)
    assert fetched == digest
    assert target.read_bytes()[:4] == b"PAR1"
    log = "".join(two.hospital.log_text())
    for entry in ("DataFlowStep", "ArtefactHandedOut", "Release"):
        assert f"ns#{entry}>" in log


# what stops a computation ------------------------------------------------------------------


@pytest.fixture(scope="module")
def slow(two: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A generator that takes its time, approved at the hospital."""
    folder = tmp_path_factory.mktemp("strangers")
    write_generator(folder, "dawdler", "import time\ntime.sleep(120)")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        two.hospital.approve("dawdler")
        yield "dawdler"


@pytest.fixture
def dawdling(two: Pair, slow: str) -> tuple[Agreement, Process, str]:
    """An agreement, a transfer of the hub, and the hospital's run that is under way for it."""
    agreement = two.agree()
    process = two.transfer(agreement, COMPUTE, two.order(compute={"plugin": slow, "parameters": {}}, epsilon=0.5))
    assert process.state == "STARTED", process.reasons
    (run,) = [run for run in two.hospital.connector.governor.recent() if run.request.agreement == agreement.id]
    until(lambda: state_of(two, run.id), lambda state: state is RunState.RUNNING, 30)
    return agreement, process, run.id


def state_of(two: Pair, run: str) -> RunState:
    return two.hospital.connector.governor.run(run).state


def assert_stopped(two: Pair, process: Process, run: str, reason: str) -> None:
    """The run has failed with nothing kept, and the hub knows why."""
    until(lambda: state_of(two, run), lambda state: state is RunState.FAILED, 10)
    ended = two.ended(process)
    assert ended.state == "TERMINATED"
    assert reason in " ".join((*ended.reasons, two.hospital.connector.governor.run(run).reason or ""))
    assert shown(two, process.id)["artefacts"] == []


def test_the_hub_ends_what_it_ordered(two: Pair, dawdling: tuple[Agreement, Process, str]) -> None:
    _, process, run = dawdling
    two.hub.call("transfer/end", {"transfer": process.id, "reason": "not needed any more"})
    assert_stopped(two, process, run, "not needed any more")


@pytest.mark.article("EHDS 63")
def test_the_end_of_the_agreement_stops_its_computations(two: Pair, dawdling: tuple[Agreement, Process, str]) -> None:
    agreement, process, run = dawdling
    two.hospital.call("agreement/end", {"agreement": agreement.id, "reason": "breach of section 4"})
    assert_stopped(two, process, run, "agreement")
    again = two.transfer(agreement, COMPUTE, two.order())
    assert again.state == "TERMINATED"
    assert "breach of section 4" in " ".join(again.reasons)


@pytest.mark.article("GDPR 7(3)")
def test_a_withdrawn_consent_stops_the_computation(two: Pair, dawdling: tuple[Agreement, Process, str]) -> None:
    _, process, run = dawdling
    lines = [line.split(",") for line in two.patients.consents.splitlines()[1:]]
    key = next(line[0] for line in lines if line[1] == "ConsentGiven")
    two.hospital.call("consent/withdraw", {"dataset": "mgus", "patient": key})
    two.hospital.connector.withdrawals.work()
    assert_stopped(two, process, run, "took back")


def test_a_withdrawn_policy_stops_the_computation(two: Pair, dawdling: tuple[Agreement, Process, str]) -> None:
    _, process, run = dawdling
    (own,) = [p for p in two.hospital.call("policy/list") if p["layer"] == "L2" and p["state"] == "active"]
    two.hospital.call("policy/withdraw", {"policy": own["policy"], "version": own["version"]})
    try:
        assert_stopped(two, process, run, "no longer")
    finally:
        text = site_policy(two.hospital, version=f"again-{run[-6:]}")
        two.hospital.activate_policy(text, "site.yaml")


def test_a_suspended_computation_ends_and_is_asked_anew(two: Pair, dawdling: tuple[Agreement, Process, str]) -> None:
    agreement, process, run = dawdling
    theirs = two.hub.connector.dataspace.process("transfer", process.id).peer_pid or ""
    two.hospital.call("transfer/suspend", {"transfer": theirs, "reason": "an incident is looked into"})
    until(lambda: state_of(two, run), lambda state: state is RunState.FAILED, 10)
    hub = two.hub.connector.dataspace
    suspended = hub.wait("transfer", process.id, PATIENCE, lambda p: p.state == "SUSPENDED")
    assert suspended.reasons == ("an incident is looked into",)

    until(lambda: two.hospital.connector.dataspace.process("transfer", theirs).state, lambda s: s == "SUSPENDED", 10)
    two.hospital.call("transfer/resume", {"transfer": theirs})
    hub.wait("transfer", process.id, PATIENCE, lambda p: p.state == "STARTED")
    runs = [r for r in two.hospital.connector.governor.recent() if r.request.agreement == agreement.id]
    assert [r.state is RunState.FAILED for r in runs] == [False, True]
    two.hub.call("transfer/end", {"transfer": process.id, "reason": "seen enough"})
    assert_stopped(two, process, runs[0].id, "seen enough")


# what is not permitted -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"purpose": "dpv:Marketing"}, "purpose"),
        ({"epsilon": 100.0}, "ε"),
        ({"rows": 0}, "rows"),
        ({"kind": "analysis"}, "aggregate"),
        ({"dataset": "another"}, "dataset"),
        ({"requester": "did:web:somebody"}, "requester"),
    ],
)
def test_an_order_that_is_not_permitted_says_why(two: Pair, change: dict[str, object], reason: str) -> None:
    """Nothing the consumer says can put another dataset, party or agreement into the request."""
    process = two.transfer(two.agree(), COMPUTE, two.order(**change))
    assert process.state == "TERMINATED"
    assert reason in " ".join(process.reasons)


def test_what_was_not_ordered_under_an_agreement_cannot_be_fetched(two: Pair, tmp_path: Path) -> None:
    agreement = two.agree()
    process = two.transfer(agreement, COMPUTE, two.order())
    assert two.ended(process).state == "COMPLETED", two.ended(process).reasons
    file = artefacts(two, process)[0]
    other = two.agree()
    wanted = Wanted(file["digest"].removeprefix("sha256:"), 10**8)
    with pytest.raises(PeerError, match="404"):
        two.hub.connector.dataspace.fetch(other, wanted, tmp_path / "file", timeout=PATIENCE)


def test_a_result_is_not_given_once_the_policy_has_gone(two: Pair, tmp_path: Path) -> None:
    agreement = two.agree()
    process = two.transfer(agreement, COMPUTE, two.order())
    assert two.ended(process).state == "COMPLETED", two.ended(process).reasons
    file = artefacts(two, process)[0]
    wanted = Wanted(file["digest"].removeprefix("sha256:"), 10**8)
    two.hospital.call("agreement/end", {"agreement": agreement.id, "reason": "breach of section 4"})
    with pytest.raises(DeniedError, match="breach of section 4"):
        two.hub.connector.dataspace.fetch(agreement, wanted, tmp_path / "file", timeout=PATIENCE)


# the command line ------------------------------------------------------------------------------


def test_a_person_goes_from_the_catalogue_to_a_file_with_four_commands(
    two: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = Commands(two.hub, monkeypatch)
    (offered,) = commands.ask("offer", "browse", "hospital")
    assert (offered["dataset"], offered["formats"]) == (two.hospital.dataset_iri(), ["HttpData-PULL", COMPUTE])
    assert any("synthetic data" in sentence for sentence in offered["offers"][0]["sentences"])
    assert "synthema agreement negotiate" in commands.run("offer", "browse", two.hospital.did)

    agreed = commands.ask("agreement", "negotiate", "hospital", offered["dataset"])["agreement"]
    assert "in force" in commands.run("agreement", "list")
    assert "synthetic data" in commands.run("agreement", "show", agreed)

    study = tmp_path / "study.yaml"
    study.write_text(json.dumps(two.order(epsilon=1.0)))
    ended = commands.ask("transfer", "compute", agreed, str(study))
    assert ended["state"] == "COMPLETED"
    digest = next(f["digest"] for f in ended["computation"]["artefacts"] if f["name"] == "synthetic.parquet")

    target = tmp_path / "synthetic.parquet"
    said = commands.run("transfer", "fetch", agreed, "--artefact", digest, "-o", str(target))
    assert digest in said
    assert digest_bytes(target.read_bytes()) == digest
    commands.run("transfer", "fetch", agreed, "--artefact", digest, "-o", str(target), status=5)  # never overwritten
    assert "COMPLETED" in commands.run("transfer", "list")
    assert "Fetch one with" in commands.run("transfer", "show", ended["transfer"])


def test_commands_say_why_not(two: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = Commands(two.hub, monkeypatch)
    assert "hospital" in commands.ask("offer", "browse", "nobody", status=4)["fix"]
    agreed = commands.ask("agreement", "negotiate", "hospital", two.hospital.dataset_iri())["agreement"]
    study = tmp_path / "study.yaml"
    study.write_text(json.dumps(two.order(purpose="dpv:Marketing")))
    assert "purpose" in commands.ask("transfer", "compute", agreed, str(study), status=3)["message"]
    study.write_text("title: only a title\n")
    assert "chain" in commands.ask("transfer", "compute", agreed, str(study), status=2)["message"]
    missing = ["transfer", "fetch", agreed, "--artefact", "sha256:" + "0" * 64, "-o", str(tmp_path / "none")]
    assert commands.ask(*missing, status=9)["code"] == "peer"

    commands.run("agreement", "end", agreed, "--reason", "not needed any more")
    assert "not needed any more" in commands.ask("agreement", "show", agreed)["ended"]
