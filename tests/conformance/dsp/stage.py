"""Plays the script through the connector's own door for people: the pending guard.

The guard holds every step, so that the connector does nothing by itself; a
moment later the script takes the step in its place, with the same verbs that a
person has. The moment is for the kit, which opens its ears stage by stage.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from synthema.dataspace import Dataspace, Process
from synthema.errors import ConflictError
from tests.conformance.dsp.script import Act, cue
from tests.conformance.dsp.seeds import POLICY

MOMENT = 0.1
_ATTEMPTS = 100


class Stage:
    """A pending guard that holds everything and then follows the script; ``connector`` is set once it exists."""

    connector: Dataspace

    def __init__(self, moment: float = MOMENT) -> None:
        self._moment = moment

    def holds(self, process: Process) -> bool:
        """Always; what the script says about this state is done a moment later."""
        visit = sum(entry["state"] == process.state for entry in self.connector.timeline(process.id))
        act = cue(process.subject, process.state, visit)
        if act is not None:
            timer = threading.Timer(self._moment, self._perform, (process, act))
            timer.daemon = True
            timer.start()
        return True

    def _perform(self, seen: Process, act: Act) -> None:
        """Take the step, as soon as nothing of ours is on its way; not at all once the process has moved on."""
        for _ in range(_ATTEMPTS):
            if self.connector.process(seen.kind, seen.id).state != seen.state:
                return
            try:
                self._acts(seen)[act]()
            except ConflictError:
                time.sleep(self._moment)
            else:
                return

    def _acts(self, process: Process) -> Mapping[Act, Callable[[], Any]]:
        us, name = self.connector, process.id
        reasons = ("the script says so",)
        return {
            "offer": lambda: us.offer(name, _offer_in(process)),
            "agree": lambda: us.agree(name),
            "finalise": lambda: us.finalise(name),
            "accept": lambda: us.accept(name),
            "counter": lambda: us.counter(name, _offer_in(process)),
            "verify": lambda: us.verify(name),
            "start": lambda: us.resume(name),
            "suspend": lambda: us.suspend(name, reasons),
            "complete": lambda: us.complete(name),
            "terminate": lambda: us.terminate(process.kind, name, reasons),
        }


def _offer_in(process: Process) -> dict[str, Any]:
    return {**POLICY, "@id": process.details["offer"]["@id"]}
