"""The hospital of the tests as a process of its own, to be killed."""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path

from tests.unit.dataspace import world


def main() -> None:
    """Serve until killed: home, descriptor of the listening socket, own address, the hub's address."""
    home, descriptor, own, hub = sys.argv[1:]
    listening = socket.socket(fileno=int(descriptor))
    settings = world.settings_for(Path(home), "hospital", own, [("hub", hub, "hub")])
    with world.running(world.make_node(settings), listening):
        while True:
            time.sleep(1)
