"""One site of a study as a process of its own: ``python -m tests.e2e.misbehaving.site FOLDER DID ORDER``.

``ORDER`` is JSON: ``url`` of the coordinator, ``authority`` (PEM) its certificate comes from, ``how`` the site
misbehaves (``""``: not at all), ``told`` where the hostile one writes down what it is told.
"""

from __future__ import annotations

import json
import ssl
import sys
from pathlib import Path
from typing import Any

import numpy as np

from synthema.canonical import canonical_json
from synthema.clock import FixedClock
from synthema.federation import Participant, SiteLimits, StudyPlan
from tests.crash.calling import Calling
from tests.crash.coordinating import NOW, keys_from
from tests.databases import new_database
from tests.e2e.misbehaving import misbehaviour
from tests.unit.federation.world import LENGTH, Log, Resolver, SecureSum, Session, Summing

PATIENCE = 400.0


def vector_of(dids: tuple[str, ...], did: str) -> Any:
    """What a site contributes: known to the test, different for each."""
    return np.arange(LENGTH) + 100 * dids.index(did)


def main(folder: Path, did: str, order: dict[str, str]) -> None:
    """Take part to the end, and write down how it ended."""
    if order["how"]:
        misbehaviour.begin(order["how"], order["told"])
    keys, name = keys_from(folder / "keys.json"), did.rpartition(":")[2]
    plan = StudyPlan.model_validate_json((folder / "plan.json").read_text())
    database, log = new_database(folder / f"{name}.sqlite"), Log(f"https://{name}")
    session = Session({"summing": Summing(), "secure-sum": SecureSum()}, vector_of(plan.dids, did))
    site = Participant(
        database, log, keys[did], Resolver(keys), FixedClock(NOW), did,
        Calling(order["url"], did, PATIENCE, believed=ssl.create_default_context(cafile=order["authority"])),
        silence_seconds=PATIENCE,
    )  # fmt: skip
    outcome = site.run(plan, session, SiteLimits.of_plan(plan))
    found = {
        "state": outcome.state, "reason": outcome.reason, "rounds": [left.number for left in outcome.rounds],
        "log": log.types(),
    }  # fmt: skip
    (folder / f"{name}.json").write_bytes(canonical_json(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]))
