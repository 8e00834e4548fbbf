"""The consent filter over 100,000 patients: the register beside one plain SQL query over the same rows.

The cohort is mixed: most people's records rest on the dataset's consent, one in eight on the research
exception, some opted out, some withdrew or came of age, and one in four has a history of several
versions. The peer answers the same question with one query of SQLite over the indices,
from the same file, without purposes or boxes, and reads the tokens of those left out. Both must
leave out equally many people. The last lines hold the register to one second. Run it alone:
``python -m tests.benchmarks consent``.
"""

from __future__ import annotations

import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from synthema.clock import FixedClock, to_text
from synthema.consent import (
    ConsentRecord,
    ConsentState,
    ConsentStore,
    Ground,
    OptOut,
    OptOutState,
    Representative,
    store,
)
from synthema.ids import new_id
from synthema.storage import Database, metadata
from tests.unit.datasets.support import make_log, make_signer

PEOPLE = 100_000
ROUNDS = 5
LIMIT = 1000.0  # milliseconds
GOAL = 4.0
NAMED_GOAL = 8.0  # keyed tokens of 100,000 keys are made too
START = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
BASIS = "https://w3id.org/dpv/legal/eu/gdpr#A9-2-a"
RESEARCH = "https://w3id.org/dpv/legal/eu/gdpr#A9-2-j"

_PLAIN = """
SELECT c.consent_token FROM consent_cohorts c
LEFT JOIN consent_records r ON r.sequence = (
  SELECT max(x.sequence) FROM consent_records x
  WHERE x.patient_token = c.consent_token AND x.dataset_id = 'mgus' AND x.effective_at <= :now
)
LEFT JOIN consent_opt_outs o ON o.sequence = (
  SELECT max(y.sequence) FROM consent_opt_outs y WHERE y.patient_token = c.opt_out_token AND y.effective_at <= :now
)
WHERE c.version_id = 'dataset-1' AND CASE
  WHEN coalesce(r.legal_basis, :basis) = :research THEN coalesce(o.state = 'OptedOut', 0)
  WHEN r.state IS NULL OR r.state NOT IN ('ConsentGiven', 'RenewedConsentGiven') THEN 1
  WHEN r.valid_to <= :now OR r.valid_from > :now OR r.representative_until <= :now THEN 1
  ELSE 0
END
"""


def run() -> list[dict[str, Any]]:
    """Milliseconds for the filter of a whole cohort."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.sqlite"
        database = Database(f"sqlite:///{path}")
        try:
            metadata.create_all(database.engine)
            consents = _filled(database)
            ground = Ground(BASIS, None, START)
            ours, left_out = _median(lambda: consents.cohort_exclusions("mgus", "dataset-1", ground).left_out)
            named, excluded = _median(lambda: len(consents.exclusions("mgus", range(PEOPLE), ground).excluded))
            peer, plain = _median(lambda: _plain(path))
        finally:
            database.close()
    if not left_out == excluded == plain or not 0 < plain < PEOPLE:
        raise ArithmeticError(f"{left_out}, {excluded} and {plain} people are left out")
    return [
        _line("in numbers, as a decision needs it, vs. one plain SQL query", ours, peer, GOAL),
        _line("by name, as a run needs it, vs. one plain SQL query", named, peer, NAMED_GOAL),
        _line("in numbers vs. the limit of one second", ours, LIMIT, 1.0),
        _line("by name vs. the limit of one second", named, LIMIT, 1.0),
    ]


def _line(what: str, ours: float, peer: float, goal: float) -> dict[str, Any]:
    return {
        "name": f"consent filter over {PEOPLE:,} patients: {what}",
        "ours": round(ours),
        "peer": round(peer),
        "ratio": round(ours / peer, 2),
        "goal": goal,
        "unit": "ms",
    }


def _filled(database: Database) -> ConsentStore:
    clock = FixedClock(START)
    consents = ConsentStore(database, make_log(database, clock), clock, make_signer())
    chance = random.Random(1)  # noqa: S311 - the same cohort every time
    tokens = dict(consents._tokens("mgus", str(key)) for key in range(PEOPLE))
    records = [record for token in tokens for record in _history(token, chance)]
    outs = [
        OptOut(new_id("optout"), token, chance.choice([OptOutState.OUT, OptOutState.REVERSED]), START)
        for token in tokens.values()
        if chance.random() < 0.05
    ]
    database.write(lambda connection: store.insert_cohort(connection, "dataset-1", tokens))
    database.write(lambda connection: store.insert_consents(connection, records, START))
    database.write(lambda connection: store.insert_opt_outs(connection, outs, START))
    return consents


def _history(token: str, chance: random.Random) -> list[ConsentRecord]:
    if chance.random() < 0.02:
        return []
    given = ConsentRecord(
        new_id("consent"),
        "mgus",
        token,
        RESEARCH if chance.random() < 0.125 else None,
        ConsentState.GIVEN,
        START - timedelta(days=400),
        valid_to=START + timedelta(days=chance.randint(-20, 400)) if chance.random() < 0.2 else None,
        representative=Representative("parent", date(2026, 11, chance.randint(1, 28)))
        if chance.random() < 0.05
        else None,
    )
    if chance.random() < 0.75:
        return [given]
    later = ConsentRecord(
        new_id("consent"), "mgus", token, given.legal_basis,
        chance.choice([ConsentState.WITHDRAWN, ConsentState.RENEWED]), START - timedelta(days=30),
    )  # fmt: skip
    return [given, later]


def _plain(path: Path) -> int:
    with sqlite3.connect(path) as connection:
        rows = connection.execute(_PLAIN, {"now": to_text(START), "basis": BASIS, "research": RESEARCH})
        return len(frozenset(row[0] for row in rows))


def _median(work: Callable[[], int]) -> tuple[float, int]:
    """Median milliseconds of several rounds, and what the last one found."""
    times, found = [], 0
    for _ in range(ROUNDS):
        began = time.perf_counter()
        found = work()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times), found
