"""At a site, asks the connector before a job, before each task and before each result; no answer is a no."""

from __future__ import annotations

import hashlib
import os
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.filter import Filter
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable

from .frames import FrameError, ask
from .process import SOCKET

PARCELS = "parcels"
HEADER = "about"
_SECONDS = 20.0


class RefusedError(Exception):
    """The connector said no, or said nothing."""


def permission(question: str, **details: Any) -> None:
    """Ask the connector; raises :class:`RefusedError` with its reason unless it permits."""
    try:
        answer, _ = ask(os.environ[SOCKET], {"ask": question, **details}, seconds=_SECONDS)
    except (OSError, KeyError, FrameError) as error:
        raise RefusedError(f"the connector does not answer ({type(error).__name__})") from error
    if answer.get("permit") is not True:
        raise RefusedError(str(answer.get("reason", "the connector gives no reason")))


class SitePolicy(FLComponent):
    """In the site's parent process: each command of the coordinator is put to the connector."""

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Permit a command only when the connector does."""
        if event_type != EventType.AUTHORIZE_COMMAND_CHECK:
            return
        fl_ctx.set_prop(key=FLContextKey.AUTHORIZATION_RESULT, value=False, sticky=False)
        items = fl_ctx.get_prop(FLContextKey.SECURITY_ITEMS, {}) or {}
        meta = items.get(FLContextKey.JOB_META) or {}
        command = str(fl_ctx.get_prop(FLContextKey.COMMAND_NAME, ""))
        try:
            permission("command", command=command, meta=_plain(meta))
        except RefusedError as error:
            fl_ctx.set_prop(FLContextKey.AUTHORIZATION_REASON, f"refused: {error}", sticky=False)
            return
        fl_ctx.set_prop(key=FLContextKey.AUTHORIZATION_RESULT, value=True, sticky=False)


class TaskGate(Filter):
    """Forced on every task that comes in: only a parcel for which the connector gives leave reaches the executor."""

    def process(self, shareable: Shareable, fl_ctx: FLContext) -> Shareable:
        """Raise :class:`RefusedError` to have FLARE refuse the task."""
        name = str(fl_ctx.get_prop(FLContextKey.TASK_NAME, ""))
        permission("task", job=fl_ctx.get_job_id(), task=name, about=_about(shareable), **_measure(shareable))
        return shareable


class ResultGate(Filter):
    """Forced on every result that goes out: nothing but bytes the connector has just made, and gives leave for."""

    def process(self, shareable: Shareable, fl_ctx: FLContext) -> Shareable:
        """A new value with the bytes and their header only; raises :class:`RefusedError`."""
        permission("result", job=fl_ctx.get_job_id(), about=_about(shareable), **_measure(shareable))
        clean = Shareable()
        clean.set_return_code(shareable.get_return_code())
        clean[HEADER], clean[PARCELS] = shareable[HEADER], shareable[PARCELS]
        return clean


def _about(shareable: Shareable) -> dict[str, Any]:
    about = shareable.get(HEADER)
    return about if isinstance(about, dict) else {}


def _measure(shareable: Shareable) -> dict[str, Any]:
    payload = shareable.get(PARCELS)
    if not isinstance(payload, bytes):
        raise RefusedError("only bytes are carried here")
    return {"size": len(payload), "digest": f"sha256:{hashlib.sha256(payload).hexdigest()}"}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | bool) or value is None else str(value)
