"""Connectors as processes of their own, forked from one that has imported everything and opened nothing.

``synthema serve`` spends most of its first seconds on imports, and tests start hundreds of connectors. What a forked
one does from there on is what the command does; the command itself is started by the tests of the command line.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import cast

from synthema.assembly.setup import MANAGEMENT_TOKEN
from synthema.config import Settings
from synthema.demo import processes
from synthema.demo.processes import Actor, Running

_MODEST = {"POLARS_MAX_THREADS": "2", "OMP_NUM_THREADS": "1"}
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        "synthema.cli.main",
        "synthema.web.server",
        "synthema.assembly.operations",
        "synthema.storage.migrate",
        "tests.crash.child",
    ]
)
_started: list[tuple[Path, Forked]] = []


class Forked:
    """A forked process, with what is used of :class:`subprocess.Popen`."""

    def __init__(self, process: BaseProcess) -> None:
        self._process = process
        self.pid = cast("int", process.pid)

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired("synthema serve", timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        if self._process.exitcode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(actor: Actor, settings: Settings, environment: Mapping[str, str] | None = None) -> Running:
    """Start a connector without waiting for it; one whose Python is told something else is started by its command."""
    if environment or _told_python() != _AT_FIRST:
        return processes.start(actor, settings, environment)
    forked = Forked(fork(_serve, settings.home, dict(os.environ) | _MODEST))
    _started.append((settings.home, forked))
    token = (settings.home / MANAGEMENT_TOKEN).read_text()
    return Running(actor, settings, cast("subprocess.Popen[bytes]", forked), token)


def fork(work: Callable[..., None], *arguments: object) -> BaseProcess:
    """Start a process that does this, from the one server of forks that a test's process has."""
    _begin_server()
    process = _FORKS.Process(target=work, args=arguments, daemon=True)
    process.start()
    return process


def _told_python() -> dict[str, str]:
    """What Python looks at when it starts, as PYTHONPATH."""
    return {name: value for name, value in os.environ.items() if name.startswith("PYTHON")}


_AT_FIRST = _told_python()


def living() -> list[tuple[Path, int]]:
    """Home and process of every forked connector that lives."""
    return [(home, forked.pid) for home, forked in _started if forked.poll() is None]


def _begin_server() -> None:
    """Libraries look at these variables when they are imported, which the server does once for all."""
    before = {name: os.environ.get(name) for name in _MODEST}
    os.environ.update(_MODEST)
    try:
        forkserver.ensure_running()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(home: Path, environment: Mapping[str, str]) -> None:
    """In the forked process: what ``synthema serve --home HOME`` does."""
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    log = os.open(home / "server.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    sys.argv = ["synthema", "serve", "--home", str(home)]
    from synthema.cli.main import main

    main()
