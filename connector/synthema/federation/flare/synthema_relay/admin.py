"""At the coordinator, beside FLARE's server: submits, watches and deletes jobs. Commands and answers are JSON lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from nvflare.fuel.flare_api.flare_api import Session, new_secure_session


def main() -> None:
    """Serve commands until the input ends. Arguments: the user's name and the folder of the kit."""
    answers, sys.stdout = sys.stdout, sys.stderr  # FLARE prints; the answers' line stays clean
    session = new_secure_session(sys.argv[1], sys.argv[2], timeout=60.0)
    commands: dict[str, Callable[[str], Any]] = {
        "sites": lambda _: _sites(session),
        "submit": session.submit_job,
        "meta": session.get_job_meta,
        "abort": session.abort_job,
        "delete": session.delete_job,
    }
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = {"value": commands[asked["command"]](asked.get("argument", ""))}
        except Exception as error:  # noqa: BLE001 - whatever FLARE raises is an answer
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer, default=str), file=answers, flush=True)


def _sites(session: Session) -> dict[str, float]:
    """The connected sites, and when each was last heard (seconds since 1970)."""
    return {client.name: client.last_connect_time or 0.0 for client in session.get_connected_client_list()}


if __name__ == "__main__":
    main()
