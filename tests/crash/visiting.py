"""One site of a study that kills itself at a commit: ``python -m tests.crash.visiting FOLDER PORT DID ORDER``.

``ORDER`` is JSON: ``die`` (at which commit of this life; 0 never), ``before`` (just before it instead of after it).
Started again on the same folder, it comes back into the study. Its ledger and its log are the product's own. It writes
``back`` once it has heard all that the coordinator had to say, and ``ended.json`` when it is done.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from synthema.budget import BudgetLedger
from synthema.canonical import canonical_json
from synthema.clock import FixedClock
from synthema.errors import NotFoundError
from synthema.federation import Contributed, Participant, SiteLimits, StudyPlan
from synthema.storage import Database
from tests.crash.calling import Calling
from tests.crash.coordinating import NOW, RHO, burn, keys_from
from tests.databases import new_database
from tests.e2e.misbehaving.site import vector_of
from tests.unit.datasets.support import make_log
from tests.unit.federation.world import Resolver, SecureSum, Session, Summing

PATIENCE = 60.0
EPSILON, DELTA, RUN = 8.0, 1e-6, "run-1"


class Telling(Calling):
    """A way to the coordinator that says when nothing more was waiting there."""

    def __init__(self, url: str, me: str, file: Path) -> None:
        super().__init__(url, me, PATIENCE)
        self._file = file

    def poll(self, study_id: str, after: int) -> bytes | None:
        found = super().poll(study_id, after)
        if found is None:
            self._file.touch()
        return found


def main(folder: Path, port: int, did: str, order: dict[str, Any]) -> None:
    """Take part, or come back, and write down how it ended."""
    keys = keys_from(folder / "keys.json")
    plan = StudyPlan.model_validate_json((folder / "plan.json").read_text())
    database, clock = new_database(folder / "visitor.sqlite"), FixedClock(NOW)
    log = make_log(database, clock)
    ledger = BudgetLedger(database, log, clock)
    try:
        reservation = (folder / "reservation").read_text()
    except FileNotFoundError:
        reservation = _set_aside(ledger, database, plan)
        (folder / "reservation").write_text(reservation)

    def spend(connection: Connection, left: Contributed) -> None:
        ledger.spend_part(connection, reservation, left.round_id, left.rho)

    site = Participant(
        database, log, keys[did], Resolver(keys), clock, did,
        Telling(f"http://127.0.0.1:{port}", did, folder / "back"), silence_seconds=PATIENCE, spend=spend,
    )  # fmt: skip
    session = Session({"summing": Summing(rho=RHO), "secure-sum": SecureSum()}, vector_of(plan.dids, did))
    limits = SiteLimits.of_plan(plan)
    (folder / "alive").touch()
    burn(database, order)
    try:
        site.participation(plan.id)
    except NotFoundError:
        outcome = site.run(plan, session, limits)
    else:
        site.recover(keep={plan.id})
        ledger.settle_after_restart()
        outcome = site.go_on(plan, session, limits)
    database.write(lambda connection: ledger.free_rest(connection, reservation, "the study has ended"))
    found = {"state": outcome.state, "reason": outcome.reason, "rho": outcome.rho}
    (folder / "ended.json").write_bytes(canonical_json(found))


def _set_aside(ledger: BudgetLedger, database: Database, plan: StudyPlan) -> str:
    account = ledger.open_account("data", plan.coordinator, EPSILON, DELTA)

    def reserve(connection: Connection) -> str:
        made = ledger.reserve(connection, account, plan.rho, RUN)
        ledger.open_parts(connection, made)
        return made.id

    return database.write(reserve)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4]))
