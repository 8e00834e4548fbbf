"""What flows between a connector and its partners: the data space with its data planes, and downloads in progress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from synthema.assembly.approval import approval_of
from synthema.assembly.computing import ComputePlane
from synthema.assembly.fetches import Fetches
from synthema.assembly.outside_planes import OutsidePlanes
from synthema.assembly.participation import Participation
from synthema.assembly.shelf import Shelf
from synthema.dataspace import Dataspace, PeerClient, Ports
from synthema.runs.governor import Governor

COMPUTATIONS = "/computations"
"""Path below which consumers look how the computations they ordered stand."""


@dataclass(frozen=True, slots=True)
class Flows:
    """The data space, its planes beside the built-in pull, and the downloads of this connector."""

    dataspace: Dataspace
    computing: ComputePlane
    outside: OutsidePlanes
    fetches: Fetches

    @classmethod
    def make(cls, governor: Governor, participation: Participation, shelf: Shelf, peers: PeerClient) -> Self:
        """Put them together; an agreement that ends takes its transfers with it."""
        rooms = governor.rooms
        settings = rooms.settings
        computing = ComputePlane(governor, participation, settings.public_url + COMPUTATIONS)
        outside = OutsidePlanes(settings, rooms, shelf)
        ports = Ports(shelf, shelf, shelf, (computing, *outside.planes), approval_of(settings))
        dataspace = Dataspace(settings, rooms.database, rooms.log, peers, rooms.clock, ports)
        rooms.permits.on_end(dataspace.basis_ended)
        return cls(dataspace, computing, outside, Fetches(dataspace, settings.home))

    def begin(self) -> None:
        """Take up the work that waits."""
        self.dataspace.start()
        self.computing.begin()
        self.outside.begin()

    def close(self) -> None:
        """Stop; what waits is kept."""
        self.fetches.close()
        self.outside.stop()
        self.computing.close()
        self.dataspace.stop()
        self.outside.close()
