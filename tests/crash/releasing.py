"""A connector that kills itself at a named step: ``python -m tests.crash.releasing TARGET WHEN --home HOME``.

``TARGET`` is ``module:Class.name``; the process dies just ``before`` its first call, or just ``after`` it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from synthema.cli.main import main
from tests.crash.child import Fuse, lay
from tests.e2e.space import Space

ROOT = Path(__file__).parents[2]


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


if __name__ == "__main__":
    _, target, moment, *rest = sys.argv
    lay(target, Fuse(moment, 1))
    sys.argv[1:] = ["serve", *rest]
    main()
