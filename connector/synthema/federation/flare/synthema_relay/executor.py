"""At a site, in FLARE's job process: hands parcels to the connector and takes its answers back. No plugin runs here."""

from __future__ import annotations

import os

from nvflare.apis.executor import Executor
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.apis.signal import Signal

from .frames import ask
from .policy import HEADER, PARCELS
from .process import SOCKET, end_with_parent

TASK = "parcel"
_SECONDS = 120.0


class RelayExecutor(Executor):
    """Carries bytes between the coordinator's task and the connector's socket."""

    def __init__(self) -> None:
        super().__init__()
        end_with_parent()

    def execute(self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal) -> Shareable:
        """One exchange: what the coordinator has for this site goes in, what the site answers comes out."""
        if task_name != TASK:
            return make_reply(ReturnCode.TASK_UNKNOWN)
        question = {**shareable[HEADER], "ask": "exchange", "job": fl_ctx.get_job_id()}
        about, payload = ask(os.environ[SOCKET], question, shareable[PARCELS], seconds=_SECONDS)
        reply = make_reply(ReturnCode.OK)
        reply[HEADER], reply[PARCELS] = about, payload
        return reply
