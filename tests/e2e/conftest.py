"""A hospital that is set up once, and a copy of it for each test; what connectors did when a test failed."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import psutil
import pytest

pytest.register_assert_rewrite("tests.e2e.house")

from synthema.clock import FixedClock  # noqa: E402 - only modules imported later are rewritten
from tests import forked  # noqa: E402
from tests.e2e.house import NOW, House, Settled, copy_of, settle  # noqa: E402


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


@pytest.fixture(scope="session")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Settled:
    return settle(tmp_path_factory.mktemp("settled"), FixedClock(NOW))


@pytest.fixture
def house(settled: Settled, tmp_path: Path, clock: FixedClock) -> Iterator[House]:
    with copy_of(settled, tmp_path, clock) as house:
        yield house


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        report.sections.append(("Connectors at that moment", _what_connectors_do()))
    return report


def _what_connectors_do() -> str:
    """The ends of the logs of the connectors that this process started, with what each of their threads does."""
    logs = []
    for home, pid in forked.living():
        logs.append(home / "server.log")
        os.kill(pid, signal.SIGUSR1)
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error, ValueError):
            words = child.cmdline()
            logs.append(Path(words[words.index("--home") + 1]) / "server.log")
            child.send_signal(signal.SIGUSR1)
    time.sleep(1 if logs else 0)
    return "\n".join(f"{log}\n{log.read_text(errors='replace')[-20_000:]}" for log in logs if log.is_file())
