"""The connector's end of a worker: starts it, speaks with it under a deadline, and says in words how it ended."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from synthema.canonical import parse_json_strictly
from synthema.errors import InputError, PluginError
from synthema.runs.sandbox import frames

BOOT = Path(__file__).resolve().parent / "boot.py"
MAX_CAPTURED_BYTES = 64 * 1024
MAX_THREADS = 4
PREFIX = "session-"
_LOOK_EVERY = 0.25  # seconds between looks at the size of the output folder

# A worker dies with the thread that started it (PR_SET_PDEATHSIG), so one thread starts all and never ends.
_LAUNCHER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sandbox-launcher")
_UIDS_IN_USE: set[int] = set()
_UIDS_LOCK = threading.Lock()
# systemd keeps this range for identities that exist only while something runs (systemd.exec, DynamicUser=).
_FIRST_UID, _LAST_UID = 61184, 65519


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one worker may use: bytes of memory, seconds of work, bytes of output."""

    memory_bytes: int
    seconds: float
    output_bytes: int


class WorkerProcess:
    """One worker and its exchange folder, made below ``workdir``; one caller at a time."""

    def __init__(self, workdir: Path, bounds: Bounds, python: str) -> None:
        # Closed to others: what is inside must be open to the worker's identity, which starts there.
        self._private = Path(tempfile.mkdtemp(prefix=PREFIX, dir=workdir))
        self.folder = folder = self._private / "exchange"
        folder.mkdir()
        self.input, self.output, self.code = folder / "in", folder / "out", folder / "code"
        self.bounds = bounds
        self.seconds_left = float(bounds.seconds)
        self._captured = bytearray()
        self._uid = _take_uid() if os.geteuid() == 0 else None
        try:
            _make_folders(folder, self._uid)
            self._process = _LAUNCHER.submit(self._launch, python).result()
        except BaseException:
            shutil.rmtree(self._private, ignore_errors=True)
            _give_uid_back(self._uid)
            raise
        for stream in (self._process.stdin, self._process.stdout):
            os.set_blocking(cast("Any", stream).fileno(), False)
        self._drain = threading.Thread(target=self._capture, name="sandbox-stderr", daemon=True)
        self._drain.start()

    def confinement(self) -> dict[str, Any]:
        """The plan that the worker confines itself to, for its first message."""
        return {
            "parent": os.getpid(),
            "writable": [self.output.name],
            "uid": self._uid,
            "memory_bytes": self.bounds.memory_bytes,
            "cpu_seconds": int(self.bounds.seconds * MAX_THREADS) + 2,
            "file_bytes": self.bounds.output_bytes,
            "threads": 128 + (0 if self._uid is not None else _tasks_of(os.getuid())),
        }

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def captured_output(self) -> str:
        """What plugins printed, at most 64 KiB; for the site's own operator, as it may hold values from the data."""
        return self._captured.decode(errors="replace")

    def request(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send one message and return the answer; raises :class:`PluginError` when the worker ends or is too slow."""
        started = time.monotonic()
        try:
            answer = parse_json_strictly(self._converse(frames.pack(message)), max_bytes=frames.MAX_MESSAGE_BYTES)
        except (InputError, ValueError) as error:
            self.kill()
            raise PluginError(
                "the plugin process answered in a form that is not allowed", fix="ask the plugin's author"
            ) from error
        finally:
            self.seconds_left -= time.monotonic() - started
        if not isinstance(answer, dict):
            self.kill()
            raise PluginError("the plugin process answered with something else", fix="ask the plugin's author")
        return answer

    def kill(self) -> None:
        """End the worker now, and wait for it."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End the worker and delete its folder."""
        self.kill()
        self._drain.join(timeout=5)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            with contextlib.suppress(OSError):
                cast("Any", stream).close()
        shutil.rmtree(self._private, ignore_errors=True)
        _give_uid_back(self._uid)

    def _launch(self, python: str) -> subprocess.Popen[bytes]:
        threads = str(min(MAX_THREADS, os.cpu_count() or 1))
        environment = {
            "HOME": "/nonexistent",
            "LANG": "C.UTF-8",
            "MALLOC_ARENA_MAX": "2",
            "OMP_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads,
            "PATH": "/usr/bin:/bin",
            "POLARS_MAX_THREADS": threads,
            "TZ": "UTC",
        }
        try:
            return subprocess.Popen(  # noqa: S603 - our own program, and an interpreter named in an approved manifest
                [python, "-I", "-S", "-B", str(BOOT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self.folder,
                env=environment,
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            raise PluginError(
                f"the interpreter {python} cannot be started: {error.strerror}",
                fix="install the environment that the plugin's manifest names",
            ) from error

    def _converse(self, outgoing: bytes) -> bytes:
        """Write everything, read one whole message, and watch clock and disk meanwhile."""
        stdin, stdout = cast("Any", self._process.stdin).fileno(), cast("Any", self._process.stdout).fileno()
        deadline = time.monotonic() + self.seconds_left
        unsent, received, wanted = memoryview(outgoing), bytearray(), 4
        poller = select.poll()
        poller.register(stdout, select.POLLIN)
        if unsent:
            poller.register(stdin, select.POLLOUT)
        while len(received) < wanted:
            self._check(deadline)
            for descriptor, _event in poller.poll(_LOOK_EVERY * 1000):
                if descriptor == stdin:
                    unsent = self._write_some(stdin, unsent)
                    if not unsent:
                        poller.unregister(stdin)
                    continue
                part = os.read(stdout, min(wanted - len(received), 1 << 20))
                if not part:
                    raise self._ended()
                received += part
                if len(received) == 4 and wanted == 4:
                    wanted = 4 + frames.length(bytes(received))
        return bytes(received[4:])

    def _write_some(self, stdin: int, unsent: memoryview) -> memoryview:
        try:
            return unsent[os.write(stdin, unsent[: 1 << 20]) :]
        except BrokenPipeError:
            raise self._ended() from None
        except BlockingIOError:
            return unsent

    def _check(self, deadline: float) -> None:
        if time.monotonic() > deadline:
            self.kill()
            raise PluginError(
                f"the plugin worked longer than the {self.bounds.seconds:g} seconds it was given and was stopped",
                fix="use a smaller table or simpler parameters, or raise limits.seconds",
            )
        if _size_of(self.output) > self.bounds.output_bytes:
            self.kill()
            raise PluginError(
                f"the plugin wrote more than the {self.bounds.output_bytes} bytes it was given and was stopped",
                fix="ask for fewer rows, or raise limits.output_bytes",
            )

    def _ended(self) -> PluginError:
        """Why a worker that closed its channel is no more."""
        try:
            status = self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self.kill()
            return PluginError("the plugin closed its channel", fix="ask the plugin's author")
        if status == -signal.SIGXCPU:
            return PluginError(
                "the plugin used up its processor time and was stopped",
                fix="use a smaller table or simpler parameters, or raise limits.seconds",
            )
        if status in (-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS, -signal.SIGKILL):
            name = signal.Signals(-status).name
            return PluginError(
                f"the plugin process ended with {name}, as happens when memory runs out",
                fix=f"use a smaller table, or raise limits.memory_bytes (now {self.bounds.memory_bytes})",
            )
        return PluginError(f"the plugin process ended by itself (status {status})", fix="ask the plugin's author")

    def _capture(self) -> None:
        stream = cast("Any", self._process.stderr)
        with contextlib.suppress(OSError, ValueError):
            while part := stream.read(8192):
                self._captured += part[: MAX_CAPTURED_BYTES - len(self._captured)]


def _make_folders(folder: Path, uid: int | None) -> None:
    """Input and code belong to the connector and are readable; output belongs to the worker's identity."""
    for name in (".", "in", "out", "code"):
        path = folder / name
        path.mkdir(exist_ok=True)
        path.chmod(0o755)
    (folder / "out").chmod(0o700)
    if uid is not None:
        os.chown(folder / "out", uid, uid)


def _size_of(folder: Path) -> int:
    total = 0
    for path, _folders, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(path, name)).st_size  # noqa: PTH118 - os.walk gives texts
    return total


def _take_uid() -> int:
    """An identity that no account and no other worker of this connector has."""
    with _UIDS_LOCK:
        while True:
            uid = _FIRST_UID + secrets.randbelow(_LAST_UID - _FIRST_UID + 1)
            with contextlib.suppress(KeyError):
                pwd.getpwuid(uid)
                continue
            if uid not in _UIDS_IN_USE:
                _UIDS_IN_USE.add(uid)
                return uid


def _give_uid_back(uid: int | None) -> None:
    with _UIDS_LOCK:
        _UIDS_IN_USE.discard(cast("int", uid))


def _tasks_of(uid: int) -> int:
    """How many threads an identity runs now: the kernel's limit counts them all."""
    count = 0
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):
                if process.stat().st_uid == uid:
                    count += sum(1 for _ in (process / "task").iterdir())
    return count
