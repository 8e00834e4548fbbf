"""At the coordinator, in FLARE's job process: brings each site what lies ready for it, one exchange at a time."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

from nvflare.apis.client import Client
from nvflare.apis.controller_spec import ClientTask, Task
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.impl.controller import Controller
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal

from .executor import TASK
from .frames import FrameError, ask
from .policy import HEADER, PARCELS
from .process import SOCKET, end_with_parent

_SECONDS = 60.0


class RelayController(Controller):
    """Lives as long as the session: the connector says what to bring to whom, and when it is over.

    Parameters
    ----------
    sites : list of str
        The sites of the session.
    patience : float
        Seconds that one exchange may take; a site that is gone holds up nobody but itself.
    """

    def __init__(self, sites: list[str], patience: float = 180.0) -> None:
        super().__init__(task_check_period=0.05)
        self._sites = sites
        self._patience = patience
        self._over = threading.Event()
        end_with_parent()

    def start_controller(self, fl_ctx: FLContext) -> None:
        """Nothing to prepare."""

    def stop_controller(self, fl_ctx: FLContext) -> None:
        """Let the threads end."""
        self._over.set()

    def control_flow(self, abort_signal: Signal, fl_ctx: FLContext) -> None:
        """Serve each site in a thread of its own until the connector closes the session."""
        job = fl_ctx.get_job_id()
        threads = [threading.Thread(target=self._serve, args=(site, job), daemon=True) for site in self._sites]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            if abort_signal.triggered:
                self._over.set()
                return
            time.sleep(0.05)

    def process_result_of_unknown_task(
        self, client: Client, task_name: str, client_task_id: str, result: Shareable, fl_ctx: FLContext
    ) -> None:
        """What comes too late is dropped: the connector asks again."""

    def _serve(self, site: str, job: str) -> None:
        last: dict[str, Any] = {}
        parcels = b""
        while not self._over.is_set():
            try:
                about, payload = ask(os.environ[SOCKET], {"ask": "work", "job": job, "site": site, "last": last},
                                     parcels, seconds=_SECONDS)  # fmt: skip
            except (OSError, FrameError):
                self._over.wait(1.0)
                continue
            last, parcels = {}, b""
            if about.get("do") == "close":
                return
            if about.get("do") == "exchange":
                last, parcels = self._exchange(site, about, payload)
            elif about.get("do") != "wait":  # the connector does not know this job yet, or no longer
                self._over.wait(0.5)

    def _exchange(self, site: str, about: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
        data = Shareable()
        data[HEADER], data[PARCELS] = about, payload
        results: list[Shareable] = []
        done = threading.Event()

        def received(client_task: ClientTask, fl_ctx: FLContext) -> None:  # noqa: ARG001 - FLARE calls by name
            results.append(client_task.result)
            client_task.result = None
            done.set()

        task = Task(name=TASK, data=data, timeout=int(self._patience), result_received_cb=received)
        with self._engine.new_context() as fl_ctx:
            self.send(task=task, fl_ctx=fl_ctx, targets=[site])
        end = time.monotonic() + self._patience
        while not done.wait(0.5) and not self._over.is_set() and time.monotonic() < end:
            continue
        asked = {"study": about.get("study"), "exchange": about.get("exchange")}
        if not results:
            self.cancel_task(task)
            return {**asked, "failed": "the site did not answer"}, b""
        code = results[0].get_return_code()
        if code != ReturnCode.OK:
            return {**asked, "failed": f"the site refused the task: {code}"}, b""
        return {**asked, "answer": results[0].get(HEADER)}, results[0].get(PARCELS, b"")
