"""Negotiations and transfers between two connectors over HTTP."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from synthema.canonical import digest_bytes
from synthema.dataspace import COMPUTE, Counter, Hold, Process, Refuse
from synthema.dataspace.dataplane.fetching import Wanted, fetch
from synthema.dataspace.policy_wire import from_wire
from synthema.dataspace.transitions import Kind
from synthema.errors import ConflictError, DeniedError, IntegrityError, NotFoundError, PeerError
from tests.unit.dataspace.world import DATASET, HIDDEN, PATIENCE, POLICY, World, offer_of, world
from tests.waiting import until


def settled(connectors: World, kind: Kind, state: str) -> None:
    """Wait until all processes of both sides are in this state."""
    both = (connectors.hospital.dataspace, connectors.hub.dataspace)
    until(lambda: {p.state for side in both for p in side.processes(kind)}, lambda seen: seen <= {state}, PATIENCE)


def test_a_negotiation_ends_in_the_same_agreement_on_both_sides(two: World) -> None:
    agreement = two.hub.dataspace.negotiate(two.hospital.did, DATASET, PATIENCE)
    settled(two, "negotiation", "FINALIZED")

    (theirs,) = two.hospital.dataspace.agreements()
    assert agreement.role == "consumer"
    assert theirs.role == "provider"
    assert (theirs.id, theirs.digest, theirs.dataset) == (agreement.id, agreement.digest, DATASET)
    assert (agreement.provider, agreement.consumer) == (two.hospital.did, two.hub.did)
    assert [a.id for a in two.hub.office.agreements] == [a.id for a in two.hospital.office.agreements] == [agreement.id]


def test_the_agreement_reads_as_the_policy_it_was_made_from(two: World) -> None:
    agreement = two.hub.dataspace.negotiate(two.hospital.did, DATASET, PATIENCE)

    policy = from_wire(agreement.policy)
    assert policy["permission"] == POLICY["permission"]
    assert policy["prohibition"] == POLICY["prohibition"]
    assert policy["syn:layer"] == "L4"
    assert (policy["target"], policy["assignee"]) == ([DATASET], [two.hub.did])


def test_every_state_is_in_the_log_of_each_side(two: World) -> None:
    agreement = two.hub.dataspace.negotiate(two.hospital.did, DATASET, PATIENCE)
    settled(two, "negotiation", "FINALIZED")

    states = ["REQUESTED", "AGREED", "VERIFIED", "FINALIZED"]
    for node in (two.hospital, two.hub):
        (process,) = node.dataspace.processes("negotiation")
        assert [step["state"] for step in node.dataspace.timeline(process.id)] == states
        text = b"".join(entry.body for entry in node.log.entries())
        assert all(f'stateAfter> "{state}"'.encode() in text for state in states)
        assert agreement.digest.encode() in text


def test_a_request_in_other_words_is_answered_with_the_catalogues_words(two: World) -> None:
    other = offer_of(two.hospital)
    del other["prohibition"]
    two.hospital.office.verdict = None
    process = two.hub.dataspace.request_contract(two.hospital.did, DATASET, other)
    ended = two.hub.dataspace.wait("negotiation", process.id, PATIENCE, lambda p: p.ended)
    assert ended.state == "TERMINATED"
    assert ended.reasons == ("the offer is not the one in the catalogue",)


def test_even_a_willing_provider_signs_only_its_own_words(two: World) -> None:
    from synthema.dataspace import Accept

    two.hospital.office.verdict = Accept()
    other = offer_of(two.hospital)
    del other["prohibition"]
    process = two.hub.dataspace.request_contract(two.hospital.did, DATASET, other)
    offered = two.hub.dataspace.wait(
        "negotiation", process.id, PATIENCE, lambda p: p.pending or p.state == "TERMINATED"
    )
    assert (offered.state, offered.pending) == ("OFFERED", True)
    assert "prohibition" in offered.details["offer"]

    two.hub.dataspace.approve("negotiation", process.id, "http://hub.example/id/person/officer")
    two.hub.dataspace.wait("negotiation", process.id, PATIENCE, lambda p: p.state == "FINALIZED")
    states = [step["state"] for step in two.hub.dataspace.timeline(process.id)]
    assert states == ["REQUESTED", "OFFERED", "ACCEPTED", "AGREED", "VERIFIED", "FINALIZED"]


def test_a_counter_offer_goes_back_and_forth(two: World) -> None:
    narrower = {k: v for k, v in offer_of(two.hospital).items() if k != "@id"} | {"http://example.org/note": "narrower"}
    two.hospital.office.verdict = Counter(narrower)
    process = two.hub.dataspace.request_contract(two.hospital.did, DATASET)
    two.hub.dataspace.wait("negotiation", process.id, PATIENCE, lambda p: p.pending)

    two.hospital.office.verdict = None
    offered = two.hub.dataspace.process("negotiation", process.id).details["offer"]
    two.hub.dataspace.counter(process.id, offered)
    ended = two.hub.dataspace.wait("negotiation", process.id, PATIENCE, lambda p: p.ended)
    assert ended.state == "FINALIZED"
    assert ended.details["agreement"]["http://example.org/note"] == "narrower"


def test_a_refusal_carries_its_reasons(two: World) -> None:
    two.hospital.office.verdict = Refuse(("the purpose is reserved for public bodies (EHDS Art. 53(2))",))
    with pytest.raises(DeniedError, match=r"Art\. 53"):
        two.hub.dataspace.negotiate(two.hospital.did, DATASET, PATIENCE)
    settled(two, "negotiation", "TERMINATED")
    assert not two.hospital.dataspace.agreements()


def test_a_held_request_waits_for_a_person_and_survives_being_terminated(two: World) -> None:
    two.hospital.office.verdict = Hold("new consumer")
    process = two.hub.dataspace.request_contract(two.hospital.did, DATASET)
    two.hub.dataspace.wait("negotiation", process.id, PATIENCE, lambda p: p.state == "REQUESTED")
    (held,) = _pending(two)
    assert held.reasons == ("new consumer",)
    two.hub.dataspace.terminate("negotiation", process.id, ("changed our mind",))
    settled(two, "negotiation", "TERMINATED")
    with pytest.raises(ConflictError):
        two.hospital.dataspace.approve("negotiation", held.id, "http://hospital.example/id/person/dpo")


def test_approval_lets_a_held_request_go_on(two: World) -> None:
    two.hospital.office.verdict = Hold("new consumer")
    process = two.hub.dataspace.request_contract(two.hospital.did, DATASET)
    (held,) = _pending(two)
    two.hospital.dataspace.approve("negotiation", held.id, "http://hospital.example/id/person/dpo")
    two.hub.dataspace.wait("negotiation", process.id, PATIENCE, lambda p: p.state == "FINALIZED")
    assert b"DataspaceApproval" in b"".join(entry.body for entry in two.hospital.log.entries())


def test_a_guard_holds_each_step_until_it_is_approved(tmp_path: Path) -> None:
    class Guard:
        def holds(self, process: object) -> bool:
            return True

    with world(tmp_path, guard=Guard()) as two:
        process = two.hub.dataspace.request_contract(two.hospital.did, DATASET)
        for _ in range(2):
            (held,) = _pending(two)
            two.hospital.dataspace.approve("negotiation", held.id, "http://hospital.example/id/person/dpo")
            two.hub.dataspace.wait("negotiation", process.id, PATIENCE, lambda p: p.state in ("VERIFIED", "FINALIZED"))
        two.hub.dataspace.wait("negotiation", process.id, PATIENCE, lambda p: p.state == "FINALIZED")


def test_hidden_and_unknown_datasets_are_alike(two: World) -> None:
    hub = two.hub.dataspace
    assert [d["@id"] for d in hub.catalogue_of(two.hospital.did)] == [DATASET]
    for dataset in (HIDDEN, "http://hospital.example/id/dataset/none"):
        with pytest.raises(PeerError, match="answered 404"):
            hub.dataset_of(two.hospital.did, dataset)
        offer = offer_of(two.hospital) | {"@id": "http://hospital.example/id/offer/offer-research-hidden"}
        process = hub.request_contract(two.hospital.did, dataset, offer)
        assert hub.wait("negotiation", process.id, PATIENCE, lambda p: p.ended).state == "TERMINATED"
    assert not two.hospital.dataspace.processes("negotiation")


def test_an_artefact_is_pulled_under_an_agreement(two: World, tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    file.write_bytes(b"synthetic rows" * 1000)
    two.hospital.store.artefacts = {"artefact-1": b"small", "artefact-2": file}
    agreement = two.hub.dataspace.negotiate(two.hospital.did, DATASET, PATIENCE)

    assert two.hub.dataspace.pull(two.hospital.did, agreement, "artefact-1") == b"small"
    expected = digest_bytes(file.read_bytes())
    body = two.hub.dataspace.pull(two.hospital.did, agreement, "artefact-2", expected_digest=expected)
    assert body == file.read_bytes()
    settled(two, "transfer", "COMPLETED")
    assert expected.encode() in b"".join(entry.body for entry in two.hospital.log.entries())


def test_wrong_bytes_end_the_transfer(two: World) -> None:
    two.hospital.store.artefacts = {"artefact-1": b"small"}
    two.hospital.store.lies = True
    agreement = two.hub.dataspace.negotiate(two.hospital.did, DATASET, PATIENCE)
    with pytest.raises(IntegrityError):
        two.hub.dataspace.pull(two.hospital.did, agreement, "artefact-1")
    settled(two, "transfer", "TERMINATED")


def test_what_the_agreement_does_not_cover_is_not_there(two: World) -> None:
    agreement = two.hub.dataspace.negotiate(two.hospital.did, DATASET, PATIENCE)
    with pytest.raises(PeerError, match="404"):
        two.hub.dataspace.pull(two.hospital.did, agreement, "artefact-9")


def test_suspension_closes_the_door_and_resuming_opens_it(two: World, tmp_path: Path) -> None:
    two.hospital.store.artefacts = {"artefact-1": b"small"}
    hub = two.hub.dataspace
    agreement = hub.negotiate(two.hospital.did, DATASET, PATIENCE)
    process = hub.request_transfer(agreement)
    started = hub.wait("transfer", process.id, PATIENCE, lambda p: p.state == "STARTED")
    assert _fetched(two, started, tmp_path) == b"small"

    settled(two, "transfer", "STARTED")
    (theirs,) = two.hospital.dataspace.processes("transfer")
    two.hospital.dataspace.suspend(theirs.id, ("night shift",))
    suspended = hub.wait("transfer", process.id, PATIENCE, lambda p: p.state == "SUSPENDED")
    assert suspended.reasons == ("night shift",)
    with pytest.raises(PeerError, match="404"):
        _fetched(two, started, tmp_path)

    settled(two, "transfer", "SUSPENDED")
    two.hospital.dataspace.resume(theirs.id)
    again = hub.wait("transfer", process.id, PATIENCE, lambda p: p.state == "STARTED")
    assert _fetched(two, again, tmp_path) == b"small"
    with pytest.raises(PeerError, match="404"):
        _fetched(two, started, tmp_path)  # the old token is dead
    hub.complete(process.id)
    settled(two, "transfer", "COMPLETED")
    with pytest.raises(PeerError, match="404"):
        _fetched(two, again, tmp_path)


def _fetched(two: World, process: Process, folder: Path) -> bytes:
    """The artefact, fetched with the address the process holds."""
    target = folder / "fetched"
    fetch(two.hub.peers, process, Wanted("artefact-1", 100), target)
    content = target.read_bytes()
    target.unlink()
    return content


def test_a_computation_is_taken_on_once(two: World) -> None:
    agreement = two.hub.dataspace.negotiate(two.hospital.did, DATASET, PATIENCE)
    process = two.hub.dataspace.request_compute(agreement, {"plugin": "marginals", "rows": 100}, PATIENCE)
    assert process.details["format"] == COMPUTE
    (started,) = two.hospital.computer.started_flows
    assert (started.agreement_id, started.dataset_id, started.profile) == (agreement.id, DATASET, COMPUTE)
    assert started.metadata == {"parameters": {"plugin": "marginals", "rows": 100}}


def test_a_refused_computation_says_why(two: World) -> None:
    agreement = two.hub.dataspace.negotiate(two.hospital.did, DATASET, PATIENCE)
    with pytest.raises(DeniedError, match="not approved"):
        two.hub.dataspace.request_compute(agreement, {"refuse": True}, PATIENCE)
    assert not two.hospital.computer.started_flows


def test_negotiation_and_transfer_are_quick(two: World) -> None:
    """A generous bound: a poll somewhere in the way would break it."""
    two.hospital.store.artefacts = {"artefact-1": b"small"}
    begun = time.monotonic()
    agreement = two.hub.dataspace.negotiate(two.hospital.did, DATASET, PATIENCE)
    two.hub.dataspace.pull(two.hospital.did, agreement, "artefact-1")
    print(f"negotiation and pull: {time.monotonic() - begun:.3f} s")  # noqa: T201


def test_verbs_name_what_is_missing(two: World) -> None:
    hub = two.hub.dataspace
    with pytest.raises(PeerError, match="not a registered peer"):
        hub.negotiate("did:web:nobody.example", DATASET, 1)
    with pytest.raises(NotFoundError):
        hub.process("negotiation", "negotiation-none")
    two.hospital.dataspace.stop()
    process = hub.request_contract(two.hospital.did, DATASET)
    with pytest.raises(PeerError, match="still"):
        hub.wait("negotiation", process.id, 0.2, lambda p: p.ended)


def _pending(two: World) -> tuple:  # type: ignore[type-arg]
    held: tuple = until(  # type: ignore[type-arg]
        lambda: two.hospital.dataspace.processes("negotiation", pending=True), seconds=PATIENCE
    )
    return held
