"""A connector that kills itself at a named step: ``python -m tests.crash.releasing TARGET WHEN --home HOME``.

``TARGET`` is ``module:Class.name``; the process dies just ``before`` its first call, or just ``after`` it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from synthema.cli.main import main
from synthema.demo.processes import wait_until_up
from tests.crash.child import Fuse, lay
from tests.e2e.space import HUB, Space
from tests.waiting import until

ROOT = Path(__file__).parents[2]
SECONDS = 200.0

DECIDED = "synthema.assembly.conductor:Conductor._record_release"
CERTIFIED = "synthema.certification.certificate:CertificateIssuer.issue"
PACKED = "synthema.runs.kept_files:KeptFiles.keep_file"
PUBLISHED = "synthema.assembly.publication:Publication.publish"
REPORTED = "synthema.assembly.conductor:publish_report"
"""The steps a hub takes from the record that a result may leave, in their order; the last two end it."""


def to_die_at(space: Space, key: str, step: str, when: str = "after") -> subprocess.Popen[bytes]:
    """Start a member of a data space anew, to kill itself at a step; it is killed first if it runs."""
    house = space.houses[key]
    if house.running.process.poll() is None:
        space.kill(key)
    home = house.running.settings.home
    with (home / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.releasing", step, when, "--home", str(home)],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            env={**os.environ, "POLARS_MAX_THREADS": "2", "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    house.running = replace(house.running, process=process)
    return process


def killed_on_its_way_out(space: Space, steps: Sequence[str], begin: Callable[[], str]) -> dict[str, Any]:
    """A released study whose hub died at each of these steps, and came back each time; ``begin`` starts it."""
    process = to_die_at(space, HUB.key, steps[0])
    wait_until_up(space.hub.running)
    identifier = begin()
    for following in steps[1:]:
        assert process.wait(SECONDS) == -signal.SIGKILL
        process = to_die_at(space, HUB.key, following)
    assert process.wait(SECONDS) == -signal.SIGKILL
    space.restart(HUB.key)
    ended = space.ended(identifier, SECONDS)
    assert ended["state"] == "released", ended["reason"]
    kinds = [event["kind"] for event in ended["events"]]
    assert kinds.count("released") == 1
    done = steps[-1] in (PUBLISHED, REPORTED)  # then nothing was left to do at its last start
    assert kinds.count("resumed") == len(steps) - done
    assert kinds.count("measuring") == len(space.sites), "no site is asked to measure again"
    home = space.hub.running.settings.home
    until(lambda: list((home / "studies").rglob("*.parquet")), lambda left: left == [], 20)  # deleted a moment later
    assert len(list((home / "artefacts" / identifier).glob("*"))) == 1
    for house in (space.hub, *space.sites):
        assert house.call("log/verify")["size"] > 0
    return ended


if __name__ == "__main__":
    _, target, moment, *rest = sys.argv
    lay(target, Fuse(moment, 1))
    sys.argv[1:] = ["serve", *rest]
    main()
