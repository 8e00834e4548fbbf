"""What this machine can hold back: offered mechanisms first, then the attack probe inside a real worker.

Levels (a policy may ask for one): 0 nothing can be relied on; 1 limits, own
identity, empty environment; 2 = 1 with Landlock and a system-call filter;
3 = 2 in namespaces of its own; 4 a virtual machine or gVisor, which this
connector does not bring. What is reported was measured: if any attack
succeeds, the level is 0.
"""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from synthema.canonical import digest
from synthema.errors import PluginError
from synthema.runs.sandbox import landlock, syscalls
from synthema.runs.sandbox.attacks import Targets
from synthema.runs.sandbox.process import Bounds, WorkerProcess

_PROBE_BOUNDS = Bounds(memory_bytes=512 * 1024**2, seconds=30, output_bytes=1024**2)
_FULL = frozenset({"scrubbed environment", "limits", "capabilities dropped", "Landlock", "system-call filter"})


@dataclass(frozen=True, slots=True)
class Machine:
    """What the machine offers, before anything is tried."""

    kernel: str
    architecture: str
    uid: int
    landlock_abi: int
    seccomp: bool
    user_namespaces: bool
    bubblewrap: str | None
    gvisor: str | None


@dataclass(frozen=True, slots=True)
class IsolationReport:
    """What was found to hold: level, mechanisms in force, and the attacks that got through."""

    level: int
    mechanisms: tuple[str, ...]
    landlock_abi: int
    probe_digest: str
    failures: tuple[str, ...]
    namespaces: bool
    machine: Machine

    def as_attributes(self) -> dict[str, str | int]:
        """What a run's provenance record says about its sandbox."""
        return {
            "isolationLevel": self.level,
            "isolationMechanisms": ", ".join(self.mechanisms),
            "landlockAbi": self.landlock_abi,
            "isolationProbe": self.probe_digest,
        }

    def sentences(self) -> list[str]:
        """The report for a person."""
        lines = [f"Plugins run at isolation level {self.level}: {', '.join(self.mechanisms) or 'nothing holds'}."]
        return lines + [f"Not held back: {failure}." for failure in self.failures]


def machine() -> Machine:
    """Look at what the machine offers."""
    return Machine(
        kernel=platform.release(),
        architecture=platform.machine(),
        uid=os.geteuid(),
        landlock_abi=landlock.abi(),
        seccomp=syscalls.architecture() is not None and Path("/proc/sys/kernel/seccomp").exists(),
        user_namespaces=Path("/proc/self/ns/user").exists() and _number("/proc/sys/user/max_user_namespaces") > 0,
        bubblewrap=shutil.which("bwrap"),
        gvisor=shutil.which("runsc"),
    )


_CACHE: dict[int, IsolationReport] = {}
_CACHE_LOCK = threading.Lock()


def isolation() -> IsolationReport:
    """The strongest isolation this process can give a plugin; probed once for each identity it runs under."""
    with _CACHE_LOCK:
        uid = os.geteuid()
        if uid not in _CACHE:
            _CACHE[uid] = probe()
        return _CACHE[uid]


def probe() -> IsolationReport:
    """Run the attack probe, with namespaces and then without, and report the better outcome."""
    offered = machine()
    report = _attempt(offered, namespaces=True)
    return report if report.level == 3 else _attempt(offered, namespaces=False)


def _attempt(offered: Machine, *, namespaces: bool) -> IsolationReport:
    try:
        result = attack(namespaces=namespaces)
    except PluginError as error:
        return _report(offered, (), 0, (f"the probe itself: {error.message}",), {}, namespaces=namespaces)
    succeeded = tuple(name for name, success in result["attacks"].items() if success)
    mechanisms = tuple(result["mechanisms"])
    failures = (*succeeded, *result["failures"])
    return _report(offered, mechanisms, result["landlock_abi"], failures, result["attacks"], namespaces=namespaces)


def _report(
    offered: Machine,
    mechanisms: tuple[str, ...],
    abi: int,
    failures: tuple[str, ...],
    attacks: dict[str, bool],
    *,
    namespaces: bool,
) -> IsolationReport:
    measured = {"machine": asdict(offered), "mechanisms": list(mechanisms), "attacks": attacks, "failures": [*failures]}
    return IsolationReport(
        level=_level(set(mechanisms), attacks),
        mechanisms=mechanisms,
        landlock_abi=abi,
        probe_digest=digest(measured),
        failures=failures,
        namespaces=namespaces,
        machine=offered,
    )


def _level(mechanisms: set[str], attacks: dict[str, bool]) -> int:
    if not attacks or any(attacks.values()):
        return 0
    if not mechanisms >= _FULL:
        return 1
    return 3 if "namespaces" in mechanisms else 2


def attack(*, namespaces: bool) -> dict[str, Any]:
    """Start a worker without plugins and let it try every attack on canaries; raises :class:`PluginError`."""
    with tempfile.TemporaryDirectory(prefix="synthema-probe-") as name:
        folder = Path(name)
        worker = WorkerProcess(folder, _PROBE_BOUNDS, sys.executable)
        try:
            with canaries(folder, worker.input, worker.output) as targets:
                answer = worker.request(
                    {
                        "confinement": worker.confinement(),
                        "namespaces": namespaces,
                        "attack": asdict(targets),
                        "plugins": [],
                        "forbidden": [],
                    }
                )
        finally:
            worker.close()
    if "error" in answer:
        raise PluginError(str(answer["error"].get("message")), fix="see the isolation report")
    return answer


@contextlib.contextmanager
def canaries(folder: Path, inputs: Path, output: Path) -> Iterator[Targets]:
    """Things that everyone on the machine could reach, were it not for the sandbox."""
    folder.chmod(0o755)
    outside = folder / "outside"
    outside.mkdir()
    outside.chmod(0o777)
    secret = outside / "patients.csv"
    secret.write_text("canary", encoding="utf-8")
    secret.chmod(0o644)
    given = inputs / "0-0.arrow"
    given.write_text("canary", encoding="utf-8")
    given.chmod(0o444)
    path, abstract = folder / "listener", f"synthema-{secrets.token_hex(8)}"
    with contextlib.ExitStack() as stack:
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        for address in (str(path), "\0" + abstract):
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(address)
            listener.listen()
        path.chmod(0o777)
        yield Targets(
            outside_file=str(secret),
            outside_folder=str(outside),
            input_file=f"{inputs.name}/{given.name}",
            output_folder=output.name,
            tcp_port=tcp.getsockname()[1],
            udp_port=udp.getsockname()[1],
            socket_path=str(path),
            abstract_name=abstract,
            parent=os.getpid(),
        )


def _number(path: str) -> int:
    try:
        return int(Path(path).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0
