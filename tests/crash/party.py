"""One connector of two as a process of its own, to be killed at any moment and started again on the same home."""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from synthema.canonical import digest
from synthema.config import Settings
from synthema.dataspace import Counter, OfferQuestion, Verdict
from synthema.dataspace.ports import CautiousContracts
from tests.unit.dataspace import world

ROOT = Path(__file__).parents[2]
PEERS = {"hospital": ("hub", "hub"), "hub": ("hospital", "site")}
OFFERED_TOO = 3  # one request in so many is answered with an offer, so that all states are passed


class Answers(CautiousContracts):
    """Agrees to what it knows, but answers some requests with an offer first; the same ones after a restart."""

    def decide_offer(self, question: OfferQuestion) -> Verdict:
        chosen = int(digest(question.process)[-4:], 16) % OFFERED_TOO == 0
        if question.role == "provider" and question.reference is not None and chosen:
            return Counter(question.reference)
        return super().decide_offer(question)


def settings_of(folder: Path, name: str, own: str, other: str) -> Settings:
    """The settings of one of the two."""
    peer, role = PEERS[name]
    return world.settings_for(folder / name, name, own, [(peer, other, role)])


@dataclass
class Party:
    """One of the two connectors as its killer sees it; the listening socket outlives its process."""

    folder: Path
    name: str
    listening: socket.socket
    other: str
    kills: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return world.url_of(self.listening)

    @contextlib.contextmanager
    def opened(self) -> Iterator[world.Node]:
        """The connector on its home, in this process and without serving; only while its own is not running."""
        assert self._process is None
        node = world.make_node(settings_of(self.folder, self.name, self.url, self.other))
        try:
            yield node
        finally:
            node.peers.close()
            node.database.close()

    def count(self, query: str) -> int:
        """A number from its database, read from outside while it works."""
        with contextlib.closing(sqlite3.connect(self.folder / self.name / "state.sqlite", timeout=30)) as reader:
            return int(reader.execute(query).fetchone()[0])

    def start(self) -> None:
        """Start its process; it works until it is killed."""
        descriptor = self.listening.fileno()
        os.set_inheritable(descriptor, True)
        code = "from tests.crash.party import main; main()"
        arguments = [sys.executable, "-c", code, str(self.folder), self.name, str(descriptor), self.url, self.other]
        self._process = subprocess.Popen(arguments, cwd=ROOT, pass_fds=[descriptor])

    def kill(self) -> None:
        """``kill -9``."""
        assert self._process is not None
        assert self._process.poll() is None, f"the {self.name} died by itself"
        self.end()
        self.kills += 1

    def end(self) -> None:
        """Clear up after a test, whatever state it left."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def main() -> None:
    """Serve until killed: folder, name, descriptor of the listening socket, own address, the other's address."""
    folder, name, descriptor, own, other = sys.argv[1:]
    node = world.make_node(settings_of(Path(folder), name, own, other))
    node.office.decide_offer = Answers().decide_offer  # type: ignore[method-assign]
    with world.running(node, socket.socket(fileno=int(descriptor))):
        while True:
            time.sleep(1)
