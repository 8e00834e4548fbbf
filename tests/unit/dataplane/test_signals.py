"""What data planes are told of their transfers, and what they may say: inside, over HTTP, and after a crash."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from synthema.canonical import digest_bytes
from synthema.config import OutsideDataPlane, Settings
from synthema.dataspace import COMPUTE, Agreement, Process
from synthema.dataspace.dataplane import FlowState, store
from synthema.dataspace.dataplane.outside import OutsidePlane
from synthema.dataspace.messages import DataAddress
from synthema.dataspace.model import Artefact
from synthema.errors import ConflictError, DeniedError, InputError
from synthema.web.security import install_guards
from synthema.web.signalling import signalling_router
from tests.unit.dataplane.another_plane import AnotherPlane
from tests.unit.dataspace.world import DATASET, PATIENCE, World, listener, serving, url_of, world
from tests.waiting import until

SECRET = "s" * 43
FORMAT = "Another-PULL"


def soon(look: Callable[[], Any], wanted: Any) -> None:
    """Wait until something is as it should be."""
    until(look, lambda seen: seen == wanted, PATIENCE)


def told_in_order(told: list[tuple[str, str]]) -> list[str]:
    """What a data plane heard: it may be told the same twice, never in another order."""
    return [verb for verb, _ in groupby(verb for _, verb in told)]


def agreed(two: World) -> Agreement:
    return two.hub.dataspace.negotiate(two.hospital.did, DATASET, PATIENCE)


def begun(two: World, format_: str = COMPUTE, state: str = "STARTED") -> tuple[Process, str]:
    """A transfer of the hub, and the hospital's identifier for it."""
    process = two.hub.dataspace.request_transfer(agreed(two), format_)
    found = two.hub.dataspace.wait("transfer", process.id, PATIENCE, lambda p: p.ended or p.state == state)
    assert found.state == state, found.reasons
    soon(lambda: two.hospital.dataspace.process("transfer", found.peer_pid or "").state, state)
    return found, found.peer_pid or ""


def flow(two: World, identifier: str) -> store.Flow:
    with two.hospital.database.read() as connection:
        return store.get(connection, identifier)


def steps(two: World) -> list[str]:
    """The states that data flows came into, as the log has them."""
    bodies = [entry.body.decode() for entry in two.hospital.log.entries() if b"DataFlowStep>" in entry.body]
    return [line.split('"')[1] for body in bodies for line in body.splitlines() if "#stateAfter>" in line]


class TestInside:
    def test_every_stop_is_told_and_logged(self, two: World) -> None:
        _, theirs = begun(two)
        two.hospital.dataspace.suspend(theirs, ("for now",))
        soon(lambda: two.hospital.computer.told, [(theirs, "suspend")])
        soon(lambda: two.hospital.dataspace.process("transfer", theirs).state, "SUSPENDED")
        two.hospital.dataspace.resume(theirs)
        soon(lambda: two.hospital.dataspace.process("transfer", theirs).state, "STARTED")
        two.hospital.dataspace.terminate("transfer", theirs, ("enough",))
        soon(lambda: two.hospital.computer.told[-1], (theirs, "terminate"))
        soon(lambda: flow(two, theirs).state, FlowState.TERMINATED)
        assert told_in_order(two.hospital.computer.told) == ["suspend", "resume", "terminate"]
        assert steps(two) == ["STARTED", "SUSPENDED", "STARTED", "TERMINATED"]

    def test_what_the_counterparty_does_is_told_too(self, two: World) -> None:
        ours, theirs = begun(two)
        two.hub.dataspace.suspend(ours.id)
        soon(lambda: two.hospital.computer.told, [(theirs, "suspend")])
        soon(lambda: two.hub.dataspace.process("transfer", ours.id).state, "SUSPENDED")
        two.hub.dataspace.resume(ours.id)
        soon(lambda: two.hospital.computer.told[-1], (theirs, "resume there"))
        soon(lambda: two.hub.dataspace.process("transfer", ours.id).state, "STARTED")
        two.hub.dataspace.complete(ours.id)
        soon(lambda: two.hospital.computer.told[-1], (theirs, "completed"))

    def test_a_stop_is_told_before_the_counterparty_has_answered(self, two: World) -> None:
        """Nothing waits for a partner that is away."""
        _, theirs = begun(two)
        two.hub.dataspace.stop()
        two.hospital.dataspace.reconciler.stop()
        two.hospital.dataspace.terminate("transfer", theirs, ("enough",))
        soon(lambda: two.hospital.computer.told, [(theirs, "terminate")])
        assert two.hospital.dataspace.process("transfer", theirs).state == "STARTED"

    def test_what_was_not_told_before_a_crash_is_told_after_it(self, two: World) -> None:
        _, theirs = begun(two)
        two.hospital.dataspace._signaller.stop()
        two.hospital.dataspace.suspend(theirs, ("for now",))
        soon(lambda: two.hospital.dataspace.process("transfer", theirs).state, "SUSPENDED")
        assert two.hospital.computer.told == []
        assert [wanted for _, _, wanted in two.hospital.dataspace._signaller.owed()] == [FlowState.SUSPENDED]
        two.hospital.dataspace._signaller.start()
        soon(lambda: two.hospital.computer.told, [(theirs, "suspend")])
        soon(two.hospital.dataspace._signaller.owed, [])

    def test_a_look_that_comes_too_late_tells_nothing_twice(self, two: World) -> None:
        """Between the look that found something to tell and the telling, another worker may have told it."""
        _, theirs = begun(two)
        two.hospital.dataspace.suspend(theirs, ("for now",))
        soon(lambda: flow(two, theirs).state, FlowState.SUSPENDED)
        two.hospital.dataspace._signaller._work(theirs)
        assert two.hospital.computer.told == [(theirs, "suspend")]

    def test_a_plane_that_breaks_is_told_again(self, two: World, monkeypatch: pytest.MonkeyPatch) -> None:
        _, theirs = begun(two)
        computer, tries = two.hospital.computer, []

        def broken(identifier: str, _message: object) -> None:
            tries.append(identifier)
            if len(tries) == 1:
                raise RuntimeError("a fault")
            computer.told.append((identifier, "terminate"))

        monkeypatch.setattr(computer, "terminate", broken)
        two.hospital.dataspace.terminate("transfer", theirs, ("enough",))
        soon(lambda: flow(two, theirs).problem, "the data plane broke on the signal")
        soon(lambda: flow(two, theirs).state, FlowState.TERMINATED)
        assert flow(two, theirs).problem is None

    def test_a_plane_may_take_its_time_to_start(self, two: World) -> None:
        two.hospital.computer.slow = True
        process = two.hub.dataspace.request_transfer(agreed(two), COMPUTE)
        soon(lambda: [flow(two, p.id).state for p in two.hospital.dataspace.processes("transfer")
                      if two.hospital.computer.started_flows], [FlowState.STARTING])  # fmt: skip
        (theirs,) = two.hospital.dataspace.processes("transfer")
        status = two.hospital.computer.prepare(two.hospital.computer.started_flows[0])  # type: ignore[arg-type]
        two.hospital.dataspace.flow_started(status.model_copy(update={"state": FlowState.STARTED}))
        two.hub.dataspace.wait("transfer", process.id, PATIENCE, lambda p: p.state == "STARTED")
        assert len(two.hospital.computer.started_flows) == 1
        with pytest.raises(ConflictError):
            two.hospital.dataspace.flow_started(status.model_copy(update={"state": FlowState.STARTING}))
        two.hospital.dataspace.flow_errored(theirs.id, "the disk is full")
        two.hospital.dataspace.flow_errored(theirs.id, "the disk is full")
        ended = two.hub.dataspace.wait("transfer", process.id, PATIENCE, lambda p: p.ended)
        assert (ended.state, ended.reasons) == ("TERMINATED", ("the disk is full",))

    def test_a_plane_that_denies_going_on_ends_the_transfer(self, two: World, monkeypatch: pytest.MonkeyPatch) -> None:
        ours, theirs = begun(two)
        two.hub.dataspace.suspend(ours.id)
        soon(lambda: flow(two, theirs).state, FlowState.SUSPENDED)
        soon(lambda: two.hub.dataspace.process("transfer", ours.id).state, "SUSPENDED")

        def deny(*_: object) -> None:
            raise DeniedError("the policy was withdrawn", fix="ask")

        monkeypatch.setattr(two.hospital.computer, "resume", deny)
        two.hub.dataspace.resume(ours.id)
        ended = two.hub.dataspace.wait("transfer", ours.id, PATIENCE, lambda p: p.ended)
        assert (ended.state, ended.reasons) == ("TERMINATED", ("the policy was withdrawn",))

    def test_two_planes_for_one_format_are_refused(self, tmp_path: Path) -> None:
        plane = OutsidePlane("double", "http://127.0.0.1:9/s", (COMPUTE,), SECRET)
        with pytest.raises(InputError, match="two data planes"), world(tmp_path, planes=[plane]):
            pass
        plane.close()


class Attached:
    """A hospital with a stranger's data plane, both over HTTP."""

    def __init__(self, two: World, another: AnotherPlane, callbacks: str) -> None:
        self.two = two
        self.another = another
        self.callbacks = callbacks

    def fetch(self, process: Process) -> int:
        address = DataAddress.model_validate(process.details["address"])
        token = {"Authorization": f"Bearer {address.property('authorization')}"}
        return httpx.get(str(address.endpoint), headers=token).status_code

    def call_back(self, flow: str, event: str, state: str, secret: str = SECRET, **more: Any) -> int:
        status = {"messageId": "m1", "dataFlowId": flow, "state": state} | more
        headers = {"Authorization": f"Bearer {secret}"}
        return httpx.post(f"{self.callbacks}/{flow}/dataflow/{event}", json=status, headers=headers).status_code


@pytest.fixture
def attached(tmp_path: Path) -> Iterator[Attached]:
    with listener() as one, listener() as two_:
        another = AnotherPlane(SECRET, url_of(one))
        plane = OutsidePlane("another", f"{another.url}/signalling", (FORMAT,), SECRET)
        with serving(another.app(), one), world(tmp_path, planes=[plane]) as two:
            app = FastAPI()
            install_guards(app)
            app.include_router(signalling_router(_connector(two, tmp_path)))  # type: ignore[arg-type]
            with serving(app, two_):
                yield Attached(two, another, f"{url_of(two_)}/signalling/transfers")
        plane.close()


def _connector(two: World, folder: Path) -> SimpleNamespace:
    """What the callbacks need of a connector."""
    secret = folder / "secrets" / "data-plane-another"
    secret.parent.mkdir()
    secret.write_text(SECRET)
    known = OutsideDataPlane(name="another", url="http://127.0.0.1:9", formats=[FORMAT])
    settings: Settings = two.hospital.settings.model_copy(update={"home": folder, "data_planes": (known,)})
    return SimpleNamespace(dataspace=two.hospital.dataspace, settings=settings)


class TestOverHttp:
    def test_a_strangers_plane_carries_a_transfer_through_its_whole_life(self, attached: Attached) -> None:
        two = attached.two
        ours, theirs = begun(two, FORMAT)
        assert attached.fetch(ours) == 200
        two.hospital.dataspace.suspend(theirs, ("for now",))
        soon(lambda: attached.fetch(ours), 404)
        soon(lambda: two.hub.dataspace.process("transfer", ours.id).state, "SUSPENDED")
        soon(lambda: two.hospital.dataspace.process("transfer", theirs).state, "SUSPENDED")
        two.hospital.dataspace.resume(theirs)
        again = two.hub.dataspace.wait("transfer", ours.id, PATIENCE, lambda p: p.state == "STARTED")
        assert (attached.fetch(again), attached.fetch(ours)) == (200, 404)
        soon(lambda: two.hospital.dataspace.process("transfer", theirs).state, "STARTED")
        assert attached.call_back(theirs, "completed", "COMPLETED") == 200
        ended = two.hub.dataspace.wait("transfer", ours.id, PATIENCE, lambda p: p.ended)
        assert ended.state == "COMPLETED"
        soon(lambda: attached.another.heard[-1], (theirs, "completed"))
        assert told_in_order(attached.another.heard) == ["start", "suspend", "resume", "completed"]

    def test_it_may_start_later_by_calling_back(self, attached: Attached) -> None:
        two = attached.two
        attached.another.slow = True
        process = two.hub.dataspace.request_transfer(agreed(two), FORMAT)
        soon(lambda: [verb for _, verb in attached.another.heard], ["start"])
        (theirs,) = two.hospital.dataspace.processes("transfer")
        soon(lambda: flow(two, theirs.id).state, FlowState.STARTING)
        attached.another.flows[theirs.id]["state"] = "STARTED"
        address = attached.another.address(theirs.id)
        assert attached.call_back(theirs.id, "started", "STARTED", dataAddress=address) == 200
        started = two.hub.dataspace.wait("transfer", process.id, PATIENCE, lambda p: p.state == "STARTED")
        assert attached.fetch(started) == 200

    def test_its_error_ends_the_transfer(self, attached: Attached) -> None:
        ours, theirs = begun(attached.two, FORMAT)
        assert attached.call_back(theirs, "errored", "STARTED", error="the disk is full") == 200
        ended = attached.two.hub.dataspace.wait("transfer", ours.id, PATIENCE, lambda p: p.ended)
        assert (ended.state, ended.reasons) == ("TERMINATED", ("the disk is full",))

    def test_nobody_else_calls_back_and_nobody_about_others_flows(self, attached: Attached) -> None:
        _, theirs = begun(attached.two, FORMAT)
        assert attached.call_back(theirs, "completed", "COMPLETED", secret="a guess") == 401
        assert attached.call_back("transfer-none", "completed", "COMPLETED") == 404
        assert attached.call_back(theirs, "abracadabra", "STARTED") == 400
        assert attached.call_back(theirs, "started", "SUSPENDED") == 400
        assert attached.call_back(theirs, "completed", "NO-SUCH-STATE") == 400
        _, computing = begun(attached.two, COMPUTE)
        assert attached.call_back(computing, "completed", "COMPLETED") == 404

    def test_it_may_read_the_agreement_of_its_flows(self, attached: Attached) -> None:
        ours, theirs = begun(attached.two, FORMAT)
        headers = {"Authorization": f"Bearer {SECRET}"}
        found = httpx.get(f"{attached.callbacks}/{theirs}/agreement", headers=headers).json()
        assert found["@id"] == ours.subject
        assert httpx.get(f"{attached.callbacks}/{theirs}/agreement").status_code == 401

    def test_a_start_repeated_after_a_crash_gets_a_fresh_address(self, attached: Attached) -> None:
        """The plane lets no flow start twice and tells addresses only with a start or a resumption."""
        from tests.unit.dataplane.contract import order

        plane = attached.two.hospital.dataspace._planes.plane_of(FORMAT)
        first, second = plane.start(order(FORMAT)), plane.start(order(FORMAT))
        assert second.state is FlowState.STARTED
        assert second.data_address != first.data_address


class TestGate:
    """An outside plane is told to start only what the policies permit."""

    @pytest.fixture
    def gated(self, attached: Attached) -> Any:
        from synthema.assembly.outside_planes import GatedPlane

        class Shelf:
            denies = False
            opened = 0

            def open_artefact(self, agreement: Agreement, artefact_id: str) -> Artefact:
                if self.denies:
                    raise DeniedError("the policy was withdrawn", fix="ask")
                self.opened += 1
                return Artefact(artefact_id, b"rows", digest_bytes(b"rows"))

            reopen_artefact = open_artefact

        node = attached.two.hospital
        shelf = Shelf()
        compiled = SimpleNamespace(digest="one")
        policies = SimpleNamespace(compiled=lambda *_: compiled)
        rooms = SimpleNamespace(database=node.database, policies=policies)
        plane = node.dataspace._planes.plane_of(FORMAT)
        gate = GatedPlane(plane, rooms, shelf)  # type: ignore[arg-type]
        gate.attach(node.dataspace)
        node.dataspace._planes._by_profile[FORMAT] = gate
        return SimpleNamespace(shelf=shelf, compiled=compiled, gate=gate)

    def test_it_is_told_which_artefact_it_carries(self, attached: Attached, gated: Any) -> None:
        begun(attached.two, FORMAT)
        assert attached.another.asked[0]["metadata"]["artefact"] == digest_bytes(b"rows")

    def test_what_is_denied_is_not_started(self, attached: Attached, gated: Any) -> None:
        gated.shelf.denies = True
        process = attached.two.hub.dataspace.request_transfer(agreed(attached.two), FORMAT)
        ended = attached.two.hub.dataspace.wait("transfer", process.id, PATIENCE, lambda p: p.ended)
        assert ended.reasons == ("the policy was withdrawn",)
        assert "start" not in [verb for _, verb in attached.another.heard]

    def test_policies_that_change_end_what_flows(self, attached: Attached, gated: Any) -> None:
        ours, theirs = begun(attached.two, FORMAT)
        gated.gate.look()
        asked = gated.shelf.opened
        gated.gate.look()
        assert gated.shelf.opened == asked  # nothing has changed: nobody is asked
        gated.shelf.denies, gated.compiled.digest = True, "two"
        gated.gate.look()
        ended = attached.two.hub.dataspace.wait("transfer", ours.id, PATIENCE, lambda p: p.ended)
        assert ended.reasons == ("the policy was withdrawn",)
        soon(lambda: attached.another.heard[-1], (theirs, "terminate"))
