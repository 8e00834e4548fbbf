"""A process that asks for privacy budget until it is denied or killed: ``python -m tests.unit.budget.process ORDER``.

``ORDER`` is JSON: the database, the account, ρ of one run, how often, and whether to wait for a line on standard input
before each. Each answer is written out before the next question.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from synthema.budget import BudgetLedger
from synthema.clock import FixedClock
from synthema.errors import DeniedError
from synthema.identity import FileSigner
from synthema.ids import new_id
from synthema.provenance import ProvenanceLog
from synthema.storage import Database
from tests.unit.datasets.support import ORIGIN


def main(order: dict[str, Any]) -> None:
    clock = FixedClock(datetime(2026, 11, 21, tzinfo=UTC))
    database = Database(f"sqlite:///{order['database']}")
    signer = FileSigner.open(Path(order["keys"]), b"a passphrase for the test")
    ledger = BudgetLedger(database, ProvenanceLog(database, signer, ORIGIN, clock), clock)
    print("ready", flush=True)  # noqa: T201 - the parent reads it
    sys.stdin.readline()
    for _ in range(order["times"]):
        run = new_id("run")
        try:
            made = database.write(
                lambda connection, run=run: ledger.reserve(connection, order["account"], order["rho"], run)
            )
            print("reserved", made.id, flush=True)  # noqa: T201
            if order["spend"]:
                database.write(lambda connection, made=made: ledger.spend(connection, made))
                print("spent", made.id, flush=True)  # noqa: T201
        except DeniedError:
            print("denied", run, flush=True)  # noqa: T201
            break
    database.close()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
