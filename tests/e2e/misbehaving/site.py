"""One site of a study as a process of its own: ``python -m tests.e2e.misbehaving.site FOLDER DID ORDER``.

``ORDER`` is JSON: ``url`` of the coordinator, ``authority`` (PEM) its certificate comes from, ``how`` the site
misbehaves (``""``: not at all), ``told`` where the hostile one writes down what it is told.
"""

from __future__ import annotations

import json
import ssl
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from synthema.canonical import canonical_json
from synthema.clock import FixedClock
from synthema.errors import PeerError
from synthema.federation import Participant, SiteLimits, StudyPlan
from synthema.storage import Database, metadata
from tests.crash.coordinating import NOW, keys_from
from tests.e2e.misbehaving import misbehaviour
from tests.unit.federation.world import LENGTH, Log, Resolver, SecureSum, Session, Summing

PATIENCE = 400.0


class Calling:
    """A site's way to the coordinator over TLS; one that does not answer is asked again."""

    def __init__(self, url: str, authority: str, me: str) -> None:
        self._url = f"{url}/{me}"
        believed = ssl.create_default_context(cafile=authority)
        self._http = httpx.Client(verify=believed, trust_env=False, timeout=30.0)

    def post(self, study_id: str, data: bytes) -> None:
        """Hand in one parcel."""
        answer = self._asked("POST", self._url, data)
        if not answer.is_success:
            raise PeerError(f"answered {answer.status_code}: {answer.text}", fix="look at the coordinator")

    def poll(self, study_id: str, after: int) -> bytes | None:
        """The next parcel, if there is one."""
        return self._asked("GET", f"{self._url}?after={after}").content or None

    def _asked(self, method: str, address: str, data: bytes | None = None) -> httpx.Response:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return self._http.request(method, address, content=data)
            except httpx.HTTPError as error:
                if time.monotonic() > end:
                    raise PeerError(f"no answer: {error}", fix="is it running?") from error
                time.sleep(0.1)


def vector_of(dids: tuple[str, ...], did: str) -> Any:
    """What a site contributes: known to the test, different for each."""
    return np.arange(LENGTH) + 100 * dids.index(did)


def main(folder: Path, did: str, order: dict[str, str]) -> None:
    """Take part to the end, and write down how it ended."""
    if order["how"]:
        misbehaviour.begin(order["how"], order["told"])
    keys, name = keys_from(folder / "keys.json"), did.rpartition(":")[2]
    plan = StudyPlan.model_validate_json((folder / "plan.json").read_text())
    database, log = Database(f"sqlite:///{folder}/{name}.sqlite"), Log(f"https://{name}")
    metadata.create_all(database.engine)
    session = Session({"summing": Summing(), "secure-sum": SecureSum()}, vector_of(plan.dids, did))
    site = Participant(
        database, log, keys[did], Resolver(keys), FixedClock(NOW), did,
        Calling(order["url"], order["authority"], did), silence_seconds=PATIENCE,
    )  # fmt: skip
    outcome = site.run(plan, session, SiteLimits.of_plan(plan))
    found = {
        "state": outcome.state, "reason": outcome.reason, "rounds": [left.number for left in outcome.rounds],
        "log": log.types(),
    }  # fmt: skip
    (folder / f"{name}.json").write_bytes(canonical_json(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]))
