"""A connector that works until it kills itself, or is killed: :func:`start` makes a process for it.

An order says what to do (``work``), and where to die (``target``, ``when``, ``nth``). The product knows
nothing of this: the functions named are wrapped here. Every answer is written out before the next step,
so that the parent knows what this connector has promised.

The processes are forked from one that has imported everything and opened nothing: importing takes longer
than most of them live.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from importlib import import_module
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from synthema.assembly import Connector, home_lock
from synthema.clock import FixedClock
from synthema.config import load_settings
from synthema.demo.house import metadata
from synthema.errors import SynthemaError
from tests.e2e.house import DATASET, EXPLICIT_CONSENT, NOW, House
from tests.forked import fork


def start(home: Path, order: dict[str, Any], said: Path, complaints: Path) -> BaseProcess:
    """Start a connector on this home; what it says goes to one file, what it complains of to another."""
    return fork(_main, home, order, said, complaints)


def say(*words: str) -> None:
    print(*words, flush=True)  # noqa: T201 - the parent reads it


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Fuse:
    """Kills this process just before or just after the n-th call of a function."""

    def __init__(self, when: str, nth: int) -> None:
        self._before = when == "before"
        self._left = nth

    def burn(self, *, before: bool) -> None:
        """One end of a call."""
        if before == self._before:
            self._left -= 1
            if self._left == 0:
                die()

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function with the fuse at both ends."""

        def wrapped(*given: Any, **named: Any) -> Any:
            self.burn(before=True)
            result = function(*given, **named)
            self.burn(before=False)
            return result

        return wrapped


def lay(target: str, fuse: Fuse) -> None:
    """Wrap ``module:name`` or ``module:Class.name``; ``commit`` is the moment of SQLite's COMMIT itself."""
    if target == "commit":
        event.listen(Engine, "commit", lambda _connection: fuse.burn(before=True))
        return
    module, _, path = target.partition(":")
    *owners, name = path.split(".")
    owner: Any = import_module(module)
    for part in owners:
        owner = getattr(owner, part)
    setattr(owner, name, fuse.around(getattr(owner, name)))


def work(house: House, kind: str) -> None:
    """Do one piece of work and say what came of it."""
    if kind == "adding":
        number = len(house.connector.datasets.versions()) + 1
        rows = house.table.splitlines()
        added = house.call(
            "dataset/add",
            {
                "name": DATASET,
                "title": f"MGUS cohort {number}",
                "file": "mgus.csv",
                "table": "\n".join(rows[:-number]),
                "codebook": "mgus",
                "metadata": metadata(EXPLICIT_CONSENT),
            },
        )
        say("added", added["id"])
        return
    epsilon = 0.01 if kind == "withheld" else 3.0
    _, answer = house.request(epsilon=epsilon)
    say("answered", answer["run"], answer["effect"])
    verdict = house.call("request/run", {"run": answer["run"]})["verdict"]
    say("settled", answer["run"], "released" if verdict["released"] else "withheld")


def _main(home: Path, order: dict[str, Any], said: Path, complaints: Path) -> None:
    """Open the connector and work until killed."""
    for path, stream in ((said, 1), (complaints, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), stream)
    fuse = Fuse(order.get("when", "before"), order.get("nth", 0))
    if order.get("opening"):
        lay(order["target"], fuse)
    with home_lock(home):
        house = House(Connector.open(load_settings(home), FixedClock(NOW)))
        house.permit = order["permit"]
        house.table = Path(order["table"]).read_text(encoding="utf-8")
        house.connector.sandbox.isolation()
        if "target" in order and not order.get("opening"):
            lay(order["target"], fuse)
        say("ready")
        while True:
            try:
                work(house, order.get("work", "released"))
            except SynthemaError as error:
                say("error", str(error).replace("\n", " "))
                raise
