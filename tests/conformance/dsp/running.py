"""Starts the target as a process of its own, as ``make tck-target`` does, and plays all cases against it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from synthema.demo.processes import free_ports
from tests.conformance.dsp.cases import CASES, SWITCHED_OFF
from tests.conformance.dsp.kit import Kit
from tests.conformance.suite import Case

HEADER = "Bearer of-the-kit"
AT_ONCE = 4
_ROOT = Path(__file__).parents[3]


@contextlib.contextmanager
def running_target(*options: str) -> Iterator[str]:
    """The address of a target that runs while the block does."""
    port = free_ports(1)[0]
    command = [sys.executable, "-m", "tests.conformance.dsp.target", "--port", str(port), *options]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(_ROOT), os.environ.get("PYTHONPATH", "")))}
    with subprocess.Popen(command, cwd=_ROOT, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_for(address, process)
            yield address
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=20)


@contextlib.contextmanager
def kit_with_target() -> Iterator[Kit]:
    """A kit and a target that know the same header."""
    with running_target("--authorization", HEADER) as address, Kit(address, HEADER) as kit:
        yield kit


def kit_cases() -> Iterator[Case]:
    """The cases that the official kit runs, a few at a time."""
    chosen = [name for name in CASES if name not in SWITCHED_OFF]
    with kit_with_target() as kit, ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(lambda name: Case(name, _problem(kit, name)), chosen)


def _problem(kit: Kit, name: str) -> str:
    try:
        CASES[name](kit)
    except Exception as problem:  # noqa: BLE001 - whatever goes wrong is the case's result
        return str(problem) or type(problem).__name__
    return ""


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, "the target could not start"
        with contextlib.suppress(httpx.TransportError):
            httpx.get(f"{address}/.well-known/dspace-version", timeout=5)
            return
        time.sleep(0.1)
    raise AssertionError("the target does not answer")
