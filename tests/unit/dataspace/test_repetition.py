"""Repetition, disorder and sudden death: nothing is lost, nothing happens twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from synthema.canonical import digest
from synthema.dataspace import messages as m
from synthema.dataspace.model import Caller
from synthema.errors import ConflictError, NotFoundError
from tests.unit.dataspace.world import (
    DATASET,
    PATIENCE,
    Node,
    World,
    listener,
    make_node,
    offer_of,
    running,
    settings_for,
    url_of,
)
from tests.waiting import until


def hub_as_caller(two: World) -> Caller:
    return Caller(two.hub.did, "hub", "hub")


def request_of(two: World, consumer_pid: str = "c-1") -> m.ContractRequestMessage:
    offer = {**offer_of(two.hospital), "target": DATASET}
    callback = two.hub.settings.public_url + "/dsp"
    return m.ContractRequestMessage(consumer_pid=consumer_pid, offer=offer, callback_address=callback)


def test_a_repeated_first_message_opens_nothing_new(two: World) -> None:
    two.hospital.dataspace.stop()
    caller, message = hub_as_caller(two), request_of(two)
    first, is_new = two.hospital.dataspace.contract_request_received(caller, message, "key-1")
    before = two.hospital.entries()
    again = [two.hospital.dataspace.contract_request_received(caller, message, k) for k in ("key-1", "key-2", None)]
    assert is_new
    assert [(process.id, new) for process, new in again] == [(first.id, False)] * 3
    assert two.hospital.entries() == before
    two.hospital.dataspace.start()


def test_a_repeated_message_has_no_effect_and_a_second_one_is_not_allowed(two: World) -> None:
    two.hospital.dataspace.stop()
    hospital, caller = two.hospital.dataspace, hub_as_caller(two)
    process, _ = hospital.contract_request_received(caller, request_of(two))
    pids: Any = {"provider_pid": process.id, "consumer_pid": "c-1"}
    end = m.ContractNegotiationTerminationMessage(**pids, code="x")
    assert hospital.message_received("negotiation", caller, process.id, end, "key-9").state == "TERMINATED"
    before = two.hospital.entries()
    assert hospital.message_received("negotiation", caller, process.id, end, "key-9").state == "TERMINATED"
    assert two.hospital.entries() == before
    with pytest.raises(ConflictError):
        hospital.message_received("negotiation", caller, process.id, end, "key-10")
    other = m.ContractNegotiationTerminationMessage(**pids, code="y")
    with pytest.raises(ConflictError, match="idempotency"):
        hospital.message_received("negotiation", caller, process.id, other, "key-9")
    two.hospital.dataspace.start()


def test_only_the_counterparty_finds_a_process(two: World) -> None:
    process = two.hub.dataspace.request_contract(two.hospital.did, DATASET)
    two.hub.dataspace.wait("negotiation", process.id, PATIENCE, lambda p: p.state == "FINALIZED")
    (theirs,) = two.hospital.dataspace.processes("negotiation")
    third = two.hospital.settings.peers[1]
    stranger = Caller(third.did, third.name, third.role)
    assert two.hospital.dataspace.process_seen_by("negotiation", hub_as_caller(two), theirs.id).id == theirs.id
    for kind, pid in (("negotiation", theirs.id), ("negotiation", "negotiation-x"), ("transfer", theirs.id)):
        with pytest.raises(NotFoundError):
            two.hospital.dataspace.process_seen_by(kind, stranger, pid)  # type: ignore[arg-type]


def test_a_stranger_cannot_use_anothers_agreement_or_token(two: World) -> None:
    two.hospital.store.artefacts = {"artefact-1": b"x"}
    hub, hospital = two.hub.dataspace, two.hospital.dataspace
    agreement = hub.negotiate(two.hospital.did, DATASET, PATIENCE)
    process = hub.request_transfer(agreement)
    started = hub.wait("transfer", process.id, PATIENCE, lambda p: p.state == "STARTED")
    token = m.DataAddress.model_validate(started.details["address"]).property("authorization")
    assert token
    third = two.hospital.settings.peers[1]
    stranger = Caller(third.did, third.name, third.role)
    assert hospital.artefact_asked(hub_as_caller(two), token, "artefact-1").artefact.content == b"x"
    for caller, shown in ((stranger, token), (hub_as_caller(two), token[:-1]), (hub_as_caller(two), "")):
        with pytest.raises(NotFoundError):
            hospital.artefact_asked(caller, shown, "artefact-1")
    request = m.TransferRequestMessage(
        consumer_pid="c", agreement_id=agreement.id, format="HttpData-PULL", callback_address=third.url + "/dsp"
    )
    with pytest.raises(NotFoundError):
        hospital.transfer_request_received(stranger, request)


def test_a_lost_answer_is_asked_again_without_acting_twice(two: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every message arrives twice or more, and its first answer is lost."""
    from synthema.errors import PeerError

    seen: set[str] = set()
    for node in (two.hospital, two.hub):
        post = node.peers.post

        def lossy(did: str, path: str, json: Any, *, key: str | None = None, post: Any = post) -> tuple[int, Any]:
            answer: tuple[int, Any] = post(did, path, json, key=key)
            if digest(json) not in seen:
                seen.add(digest(json))
                raise PeerError("the answer was lost", fix="ask again")
            return answer

        monkeypatch.setattr(node.peers, "post", lossy)
    agreement = two.hub.dataspace.negotiate(two.hospital.did, DATASET, PATIENCE)
    process = two.hub.dataspace.request_compute(agreement, {}, PATIENCE)
    until(lambda: two.hospital.dataspace.processes("transfer")[0].state, lambda state: state == "STARTED", PATIENCE)
    assert len(two.hospital.computer.started_flows) == 1
    assert len(two.hospital.office.agreements) == len(two.hub.office.agreements) == 1
    assert [s["state"] for s in two.hub.dataspace.timeline(process.id)] == ["REQUESTED", "STARTED"]


def test_a_peer_that_sleeps_is_reached_when_it_wakes(tmp_path: Path) -> None:
    with listener() as one, listener() as two:
        urls = url_of(one), url_of(two)
        hub = make_node(settings_for(tmp_path / "hub", "hub", urls[1], [("hospital", urls[0], "site")]))
        settings = settings_for(tmp_path / "hospital", "hospital", urls[0], [("hub", urls[1], "hub")])
        with running(hub, two):
            hospital = make_node(settings)
            hub.dataspace._bases[settings.did] = "/dsp"
            offer = offer_of(hospital)
            process = hub.dataspace.request_contract(settings.did, DATASET, offer)
            time.sleep(0.1)
            with running(hospital, one):
                hub.dataspace.wait("negotiation", process.id, PATIENCE, lambda p: p.state == "FINALIZED")


def test_a_crash_between_two_steps_is_made_good(tmp_path: Path) -> None:
    """The hospital's reconciler dies holding its lease; the next one takes up the work."""
    with listener() as one, listener() as two:
        urls = url_of(one), url_of(two)
        hub = make_node(settings_for(tmp_path / "hub", "hub", urls[1], [("hospital", urls[0], "site")]))
        settings = settings_for(tmp_path / "hospital", "hospital", urls[0], [("hub", urls[1], "hub")])
        with running(hub, two):
            first: Node = make_node(settings)
            caller = Caller(hub.did, "hub", "hub")
            offer = {**offer_of(first), "target": DATASET}
            message = m.ContractRequestMessage(consumer_pid="c", offer=offer, callback_address=urls[1] + "/dsp")
            process, _ = first.dataspace.contract_request_received(caller, message)
            assert first.dataspace.reconciler._lease(4)  # taken, and never done
            first.database.close()
            second = make_node(settings)
            with running(second, one):
                # The hub does not know this negotiation, so the hospital is turned away and ends it.
                until(lambda: second.dataspace.process("negotiation", process.id).ended, seconds=PATIENCE)


@pytest.mark.crash
def test_killed_in_the_middle_a_connector_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    with listener() as one, listener() as two:
        urls = url_of(one), url_of(two)
        hub = make_node(settings_for(tmp_path / "hub", "hub", urls[1], [("hospital", urls[0], "site")]))
        settings = settings_for(tmp_path / "hospital", "hospital", urls[0], [("hub", urls[1], "hub")])
        with running(hub, two):
            hub.dataspace._bases[settings.did] = "/dsp"
            template = make_node(settings)
            offer = offer_of(template)
            template.database.close()
            hospital = _start(tmp_path / "hospital", one, urls)
            processes = [hub.dataspace.request_contract(settings.did, DATASET, offer) for _ in range(20)]
            # Killed in the middle of it: some messages have gone through, and many have not.
            until(lambda: _messages(hub), lambda gone: gone >= 25, 60, 0.005)
            os.kill(hospital.pid, signal.SIGKILL)
            hospital.wait()
            hospital = _start(tmp_path / "hospital", one, urls)
            try:
                for process in processes:
                    hub.dataspace.wait("negotiation", process.id, 60, lambda p: p.state == "FINALIZED")
                agreed = {agreement.id for agreement in hub.dataspace.agreements()}
            finally:
                hospital.terminate()
                hospital.wait()
            with running(make_node(settings), one) as after:  # what it had not written of the last answers, it asks for
                assert len(agreed) == len(after.dataspace.processes("negotiation")) == 20
                for process in after.dataspace.processes("negotiation"):
                    after.dataspace.wait("negotiation", process.id, 60, lambda p: p.state == "FINALIZED")
                    states = [step["state"] for step in after.dataspace.timeline(process.id)]
                    assert states == ["REQUESTED", "AGREED", "VERIFIED", "FINALIZED"]
                assert {a.id for a in after.dataspace.agreements()} == agreed


def _messages(node: Node) -> int:
    """How many messages of negotiations have gone through."""
    return sum(len(node.dataspace.timeline(p.id)) for p in node.dataspace.processes("negotiation"))


def _start(home: Path, listening: Any, urls: tuple[str, str]) -> subprocess.Popen[bytes]:
    """The hospital in a process of its own, on the same home and the same socket."""
    os.set_inheritable(listening.fileno(), True)
    code = "from tests.unit.dataspace.hospital_process import main; main()"
    arguments = [sys.executable, "-c", code, str(home), str(listening.fileno()), *urls]
    return subprocess.Popen(arguments, cwd=Path(__file__).parents[3], pass_fds=[listening.fileno()])
