"""A thread that looks at once whenever anything was written, and at least every few seconds."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from synthema.errors import SynthemaError
from synthema.storage import Database

LONGEST_SLEEP: Final = 5.0
_log = logging.getLogger(__name__)


class Watch:
    """Calls ``look`` after each commit; several commits meanwhile are one reason to look."""

    def __init__(self, database: Database, look: Callable[[], object], name: str) -> None:
        self._look = look
        self._name = name
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        database.on_commit(self._wake.set)

    def start(self) -> None:
        """Begin, and look at once."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._loop, name=self._name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; waits for the look at hand."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self._thread = None

    def again(self) -> None:
        """Look once more, without anything having been written."""
        self._wake.set()

    def _loop(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                self._look()
            except SynthemaError:
                _log.exception("%s could not look", self._name)
            if not self._stopping.is_set():
                self._wake.wait(LONGEST_SLEEP)
