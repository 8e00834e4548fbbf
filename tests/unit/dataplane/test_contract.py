"""The contract of data planes, held by the built-in pull and by a stranger's plane over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from synthema.clock import FixedClock
from synthema.dataspace.dataplane import ArtefactPlane, DataFlowStatusMessage, DataPlane
from synthema.dataspace.dataplane import store as flows
from synthema.dataspace.dataplane.artefacts import TOKEN, opens
from synthema.dataspace.dataplane.messages import DataFlowSuspendMessage
from synthema.dataspace.dataplane.outside import OutsidePlane
from synthema.errors import DeniedError, PeerError
from synthema.storage import Database
from tests.unit.dataplane.another_plane import AnotherPlane
from tests.unit.dataplane.contract import FLOW, DataPlaneContract, order
from tests.unit.dataspace.world import listener, serving, url_of

SECRET = "s" * 43


class TestBuiltInPull(DataPlaneContract):
    @pytest.fixture
    def plane(self, database: Database, clock: FixedClock) -> DataPlane:
        self.database, self.clock = database, clock
        database.write(lambda c: flows.open_flow(c, FLOW, "HttpData-PULL", clock.now()))
        return ArtefactPlane(database, clock, "http://hospital.example/artefacts")

    def flowing(self, plane: DataPlane, status: DataFlowStatusMessage) -> bool:
        assert status.data_address is not None
        with self.database.read() as connection:
            access = flows.get(connection, FLOW).access
        return opens(access, status.data_address.property(TOKEN) or "", self.clock)


@pytest.fixture
def another() -> Iterator[AnotherPlane]:
    with listener() as listening:
        found = AnotherPlane(SECRET, url_of(listening))
        with serving(found.app(), listening):
            yield found


class TestOverHttp(DataPlaneContract):
    @pytest.fixture
    def plane(self, another: AnotherPlane) -> Iterator[DataPlane]:
        plane = OutsidePlane("another", f"{another.url}/signalling", ("Another-PULL",), SECRET)
        yield plane
        plane.close()

    def flowing(self, plane: DataPlane, status: DataFlowStatusMessage) -> bool:
        assert status.data_address is not None
        token = status.data_address.property("authorization")
        answer = httpx.get(str(status.data_address.endpoint), headers={"Authorization": f"Bearer {token}"})
        return answer.is_success


def test_its_messages_are_those_of_the_specification(another: AnotherPlane) -> None:
    """Data Plane Signaling 1.0-RC3, DataFlowStartMessage: the required members, by their names."""
    plane = OutsidePlane("another", f"{another.url}/signalling", ("Another-PULL",), SECRET)
    plane.start(order("Another-PULL", metadata={"artefact": "sha256:0"}))
    required = {"messageId", "participantId", "counterPartyId", "dataspaceContext", "dataFlowId"}
    required |= {"agreementId", "datasetId", "profile", "claims"}
    assert set(another.asked[0]) == required | {"metadata"}
    plane.close()


def test_a_plane_that_refuses_is_told_apart_from_one_that_is_away(another: AnotherPlane) -> None:
    stranger = OutsidePlane("another", f"{another.url}/signalling", ("Another-PULL",), "another secret")
    with pytest.raises(DeniedError, match="who are you"):
        stranger.start(order("Another-PULL"))
    stranger.close()
    with listener() as nobody:
        away = OutsidePlane("away", f"{url_of(nobody)}/signalling", ("Another-PULL",), SECRET)
        with pytest.raises(PeerError, match="does not answer"):
            away.suspend(FLOW, DataFlowSuspendMessage())
        away.close()
