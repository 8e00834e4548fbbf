"""Confines the calling process for good: identity, limits, files, system calls. Standard library only.

Called by the worker before it imports anything that is not ours. Each
mechanism that took hold is named in the result; the caller of the worker
decides whether they suffice. Nothing here can be undone from inside.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthema.runs.sandbox import landlock, syscalls

_PR_SET_PDEATHSIG, _PR_SET_KEEPCAPS, _PR_SET_NO_NEW_PRIVS = 1, 8, 38
_CAP_DAC_READ_SEARCH = 2
_CAPABILITY_VERSION_3 = 0x20080522

DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
SYSTEM_FILES = (
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/share/zoneinfo",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/sys/devices/system/cpu",
)


@dataclass(frozen=True, slots=True)
class Confinement:
    """What to confine to.

    ``uid`` is the identity to take when started by root; ``read_all`` keeps, for
    root only, the single capability to pass folders that are closed to that
    identity (the interpreter may lie in one), Landlock still deciding what is
    opened. Sizes are in bytes, times in seconds.
    """

    parent: int
    readable: tuple[str, ...]
    writable: tuple[str, ...]
    uid: int | None
    read_all: bool
    memory_bytes: int
    cpu_seconds: int
    file_bytes: int
    threads: int

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Confinement:
        return cls(**{**value, "readable": tuple(value["readable"]), "writable": tuple(value["writable"])})


def confine(plan: Confinement) -> dict[str, Any]:
    """Give up everything that the plan does not name; return the mechanisms in force and what failed."""
    os.umask(0o077)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    abi = 0
    failures: list[str] = []
    mechanisms: list[str] = ["scrubbed environment"]

    def attempt(mechanism: str, step: Callable[[], object]) -> object:
        try:
            result = step()
        except OSError as error:
            failures.append(f"{mechanism}: {error.strerror or error}")
            return None
        mechanisms.append(mechanism)
        return result

    attempt("limits", lambda: _limit(plan))
    readable = [Path(path) for path in (*SYSTEM_FILES, *DEVICES, *plan.readable)]
    writable = [Path("/dev/null"), *map(Path, plan.writable)]
    abi = int(attempt("Landlock", lambda: landlock.restrict(readable, writable)) or 0)  # type: ignore[call-overload]
    read_all = plan.read_all and abi > 0
    if os.geteuid() == 0:
        attempt("own identity", lambda: _become(plan.uid, keep=read_all))
    attempt("capabilities dropped", lambda: _give_up_capabilities(read_all=read_all))
    _die_with_parent(plan.parent)
    attempt("system-call filter", lambda: syscalls.install(os.getpid()))
    return {"mechanisms": mechanisms, "failures": failures, "landlock_abi": abi}


def _limit(plan: Confinement) -> None:
    for kind, value in (
        (resource.RLIMIT_AS, plan.memory_bytes),
        (resource.RLIMIT_CPU, plan.cpu_seconds),
        (resource.RLIMIT_FSIZE, plan.file_bytes),
        (resource.RLIMIT_NPROC, plan.threads),
        (resource.RLIMIT_NOFILE, 256),
        (resource.RLIMIT_CORE, 0),
    ):
        _soft, hard = resource.getrlimit(kind)
        bounded = value if hard == resource.RLIM_INFINITY else min(value, hard)
        # The soft limit of CPU time comes first: its signal, unlike SIGKILL, says what happened.
        soft = max(bounded - 1, 1) if kind == resource.RLIMIT_CPU else bounded
        resource.setrlimit(kind, (soft, bounded))


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapabilitySet(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def _become(uid: int | None, *, keep: bool) -> None:
    """Stop being root; with ``keep``, capabilities survive until they are given up one by one."""
    if uid is None:
        raise OSError("no identity to take")
    _prctl(_PR_SET_KEEPCAPS, int(keep))
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _give_up_capabilities(*, read_all: bool) -> None:
    """Give up all capabilities but, where it is there and needed, the one to pass closed folders."""
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    sets = (_CapabilitySet * 2)()
    libc = _libc()
    if libc.capget(ctypes.byref(header), ctypes.byref(sets)) != 0:
        raise OSError(ctypes.get_errno(), "capabilities could not be read")
    kept = sets[0].permitted & (1 << _CAP_DAC_READ_SEARCH if read_all else 0)
    sets = (_CapabilitySet * 2)(_CapabilitySet(kept, kept, 0), _CapabilitySet(0, 0, 0))
    if libc.capset(ctypes.byref(header), ctypes.byref(sets)) != 0:
        raise OSError(ctypes.get_errno(), "capabilities could not be given up")


def _die_with_parent(parent: int) -> None:
    """End with the connector. Set after the change of identity, which clears it."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _prctl(option: int, value: int) -> None:
    if _libc().prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl was refused")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
