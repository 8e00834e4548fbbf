"""The peer of the negotiation benchmark: the same four messages with FastAPI, pydantic and SQLite, and nothing more.

One side is the provider, the other the consumer; each message is read into a pydantic model, changes a state in a table
with a commit of its own, and is answered; then the next one is sent, over connections that are kept open. There are no
tokens, no policies, no log, no retries and no outbox: whoever dies here loses what was on its way.
"""

from __future__ import annotations

import socket
import sqlite3
import sys
import threading
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from fastapi import BackgroundTasks, FastAPI
from pydantic import BaseModel, Field

from tests.unit.dataspace.world import serving

STATES = ("REQUESTED", "AGREED", "VERIFIED", "FINALIZED")
# The next message may overtake the answer to the one before it: the later state counts.
_KEEP = """
INSERT INTO processes VALUES (?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET state = excluded.state, body = excluded.body WHERE excluded.state > state
"""


class Policy(BaseModel):
    """An offer or an agreement."""

    id: str = Field(alias="@id")
    type: str = Field(alias="@type")
    target: str
    assigner: str | None = None
    assignee: str | None = None
    profile: str | list[str] = []
    permission: list[dict[str, Any]] = []
    prohibition: list[dict[str, Any]] = []


class Request(BaseModel):
    """The message that opens a negotiation."""

    consumer_pid: str = Field(alias="consumerPid")
    callback: str = Field(alias="callbackAddress")
    offer: Policy


class Later(BaseModel):
    """Any later message."""

    provider_pid: str = Field(alias="providerPid")
    consumer_pid: str = Field(alias="consumerPid")
    agreement: Policy | None = None


class Side:
    """One of the two: its table, its addresses and its client."""

    def __init__(self, database: Path, other: str, added: float = 0.0) -> None:
        """``other`` is the other side's address, ``added`` what each commit takes longer, in seconds."""
        self.other = other
        self._added = added
        self.app = FastAPI()
        self._http = httpx.Client(timeout=30, trust_env=False)
        self._turn = threading.Lock()
        self._rows = sqlite3.connect(database, check_same_thread=False, isolation_level=None)
        self._rows.execute("PRAGMA journal_mode=WAL")
        self._rows.execute("PRAGMA synchronous=FULL")
        self._rows.execute("CREATE TABLE processes (id TEXT PRIMARY KEY, peer TEXT, state INTEGER, body TEXT)")

    def keep(self, process: str, peer: str, state: str, body: str) -> None:
        """The new state of a process, on disk when this returns."""
        with self._turn:
            self._rows.execute(_KEEP, (process, peer, STATES.index(state), body))
            time.sleep(self._added)

    def finalised(self) -> int:
        """How many processes have come to their end."""
        with self._turn:
            query = f"SELECT count(*) FROM processes WHERE state = {len(STATES) - 1}"  # noqa: S608 - a number of ours
            return int(self._rows.execute(query).fetchone()[0])

    def send(self, path: str, message: dict[str, Any]) -> dict[str, Any]:
        """Send a message and read its answer."""
        answer = self._http.post(self.other + path, json=message)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


def provider(side: Side) -> FastAPI:
    """Takes requests and verifications, answers with an agreement and with its end."""

    @side.app.post("/negotiations/request", status_code=201)
    def requested(message: Request, later: BackgroundTasks) -> dict[str, str]:
        pid = f"negotiation-{uuid4().hex}"
        side.keep(pid, message.consumer_pid, "REQUESTED", message.model_dump_json(by_alias=True))
        later.add_task(agree, pid, message)
        return {"@type": "ContractNegotiation", "providerPid": pid, "consumerPid": message.consumer_pid}

    @side.app.post("/negotiations/{pid}/verification")
    def verified(pid: str, message: Later, later: BackgroundTasks) -> dict[str, str]:
        side.keep(pid, message.consumer_pid, "VERIFIED", message.model_dump_json(by_alias=True))
        later.add_task(finalise, pid, message.consumer_pid)
        return {"@type": "ContractNegotiation"}

    def agree(pid: str, request: Request) -> None:
        agreement = request.offer.model_dump(by_alias=True) | {"@id": f"agreement-{uuid4().hex}", "@type": "Agreement"}
        message = {"providerPid": pid, "consumerPid": request.consumer_pid, "agreement": agreement}
        side.send(f"/negotiations/{request.consumer_pid}/agreement", message)
        side.keep(pid, request.consumer_pid, "AGREED", str(message))

    def finalise(pid: str, consumer_pid: str) -> None:
        side.send(f"/negotiations/{consumer_pid}/events", {"providerPid": pid, "consumerPid": consumer_pid})
        side.keep(pid, consumer_pid, "FINALIZED", "")

    return side.app


def consumer(side: Side) -> FastAPI:
    """Takes agreements and their end, answers with a verification."""

    @side.app.post("/negotiations/{pid}/agreement")
    def agreed(pid: str, message: Later, later: BackgroundTasks) -> dict[str, str]:
        side.keep(pid, message.provider_pid, "AGREED", message.model_dump_json(by_alias=True))
        later.add_task(verify, pid, message.provider_pid)
        return {"@type": "ContractNegotiation"}

    @side.app.post("/negotiations/{pid}/events")
    def finalised(pid: str, message: Later) -> dict[str, str]:
        side.keep(pid, message.provider_pid, "FINALIZED", message.model_dump_json(by_alias=True))
        return {"@type": "ContractNegotiation"}

    def verify(pid: str, provider_pid: str) -> None:
        message = {"providerPid": provider_pid, "consumerPid": pid}
        side.send(f"/negotiations/{provider_pid}/verification", message)
        side.keep(pid, provider_pid, "VERIFIED", str(message))

    return side.app


def request(side: Side, callback: str, offer: dict[str, Any]) -> None:
    """Open a negotiation."""
    pid = f"negotiation-{uuid4().hex}"
    message = {"consumerPid": pid, "callbackAddress": callback, "offer": offer}
    answer = side.send("/negotiations/request", message)
    side.keep(pid, answer["providerPid"], "REQUESTED", str(message))


def main() -> None:
    """The provider as a process of its own, until killed: database, descriptor of its socket, other side, delay."""
    database, descriptor, other, added = sys.argv[1:]
    with serving(provider(Side(Path(database), other, float(added))), socket.socket(fileno=int(descriptor))):
        while True:
            time.sleep(1)
