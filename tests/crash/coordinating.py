"""A coordinator as a process of its own that kills itself: ``python -m tests.crash.coordinating FOLDER PORT ORDER``.

``ORDER`` is JSON: ``die`` (after how many commits; 0 never; ``AT_ITS_END`` once the study has ended), ``before`` (just
before that commit instead of after it), how many ``rounds``, how long the coordinator waits, and whether it begins no
later round before all members have read what became of the last one (``together``). The product knows nothing of
this. The sites call over HTTP on loopback.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select

from synthema.canonical import canonical_json
from synthema.clock import FixedClock
from synthema.errors import ConflictError, SynthemaError
from synthema.federation import Coordinator, StudyPlan, StudyState
from synthema.federation.store import studies
from synthema.storage import Database
from tests.databases import new_database
from tests.unit.federation.world import HUB, Keys, Log, Resolver, SecureSum, Session, Summing
from tests.waiting import until

ROUNDS = 2
RHO = 0.2
AT_ITS_END = -1
NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def keys_from(path: Path) -> dict[str, Keys]:
    """The keys of all parties, as the parent wrote them."""
    made = {}
    for did, text in json.loads(path.read_text()).items():
        made[did] = Keys()
        made[did]._key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(text))
    return made


def burn(database: Database, order: dict[str, Any]) -> None:
    """Kill this process at a commit."""
    left, commit = int(order["die"]), database._commit

    def counting(group: list[Any]) -> None:
        nonlocal left
        left -= 1
        if left == 0 and order["before"]:
            os.kill(os.getpid(), signal.SIGKILL)
        commit(group)
        if left == 0 or (order["die"] == AT_ITS_END and _has_ended(database)):
            os.kill(os.getpid(), signal.SIGKILL)

    database._commit = counting  # type: ignore[method-assign]


def _has_ended(database: Database) -> bool:
    with database.read() as connection:
        return connection.execute(select(studies.c.state)).scalar() == StudyState.FINISHED


def main(folder: Path, port: int, order: dict[str, Any]) -> None:
    """Bring the study up or back, serve its sites, and run it to its end."""
    keys = keys_from(folder / "keys.json")
    database = new_database(folder / "coordinator.sqlite")
    burn(database, order)
    coordinator = Coordinator(
        database, Log("https://hub.example"), keys[HUB], Resolver(keys), FixedClock(NOW), HUB,
        answer_seconds=order.get("answer_seconds", 60.0),
        acceptance_seconds=order.get("acceptance_seconds", 60.0), folder=folder / "received",
    )  # fmt: skip
    plan = StudyPlan.model_validate_json((folder / "plan.json").read_text())
    coordinator.recover()
    try:
        coordinator.study(plan.id)
    except SynthemaError:
        coordinator.invite(plan)

    class Handler(BaseHTTPRequestHandler):
        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["content-length"]))
            try:
                coordinator.handle(plan.id, urlsplit(self.path).path[1:], data)
            except ConflictError as error:
                self._answer(409, error.message.encode())
                return
            except SynthemaError as error:
                self._answer(400, error.message.encode())
                return
            self._answer(200, b"")

        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            after = int(parse_qs(asked.query)["after"][0])
            self._answer(200, coordinator.next(plan.id, asked.path[1:], after, 0.5) or b"")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hub = Session({"summing": Summing(rounds=order.get("rounds", ROUNDS), rho=RHO), "secure-sum": SecureSum()})
    hub.before = _between_rounds(coordinator, plan, together=order.get("together", False))
    if not (folder / "result.json").exists():
        found: dict[str, Any]
        try:
            result = coordinator.result(plan.id) or coordinator.run_study(plan.id, hub)  # killed once it had ended
            found = {"rounds": [record.number for record in result.rounds], "rho": result.rho} | result.state.values
        except SynthemaError as error:
            found = {"error": error.message}
        told = folder / "result.part"
        told.write_bytes(canonical_json(found))
        told.rename(folder / "result.json")  # whole, or not there
    threading.Event().wait()


def _between_rounds(coordinator: Coordinator, plan: StudyPlan, *, together: bool) -> Callable[[str], None]:
    """What waits until every member can be asked in the next round, where they are to stay together."""

    def before(hook: str) -> None:
        if together and hook == "federated_absorb":
            until(lambda: coordinator.present(plan.id) == set(plan.dids))

    return before


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3]))
