"""Level 3: namespaces of its own for processes, network, mounts, IPC and host name. Standard library only."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from pathlib import Path

_NEWNS, _NEWUTS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = (
    0x00020000,
    0x04000000,
    0x08000000,
    0x10000000,
    0x20000000,
    0x40000000,
)
_MS_REC, _MS_PRIVATE, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 0x4000, 0x40000, 2, 4, 8
_PR_SET_PDEATHSIG = 1
_SIGNALLED = 128  # as shells do: 128 and the signal's number


def enter_namespaces() -> None:
    """Go on in fresh namespaces, as the child of their first process.

    Root needs no user namespace for this, others make one. Raises :class:`OSError`
    where the machine does not allow it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    flags = _NEWNS | _NEWUTS | _NEWIPC | _NEWPID | _NEWNET
    uid, gid = os.geteuid(), os.getegid()
    if uid != 0:
        flags |= _NEWUSER
    _check(libc.unshare(flags), "namespaces")
    if uid != 0:
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1", encoding="ascii")
    _fork_and_wait(libc)  # the connector's child waits outside …
    _fork_and_wait(libc)  # … and number 1 inside, which signals do not reach as they should, only waits too
    _check(libc.mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None), "private mounts")
    flags = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    _check(libc.mount(b"proc", b"/proc", b"proc", ctypes.c_ulong(flags), None), "own /proc")


def _fork_and_wait(libc: ctypes.CDLL) -> None:
    """Go on in a child; the process left behind ends with its own parent, and as its child ends."""
    _check(libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0), "prctl")
    child = os.fork()
    if child == 0:
        _check(libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0), "prctl")
        return
    os.closerange(0, 256)
    _pid, status = os.waitpid(child, 0)
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else _SIGNALLED + os.WTERMSIG(status)
    if code > _SIGNALLED and os.getpid() != 1:
        _end_by(code - _SIGNALLED)
    os._exit(code)


def _end_by(number: int) -> None:
    """End by a signal, without leaving a memory image."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _check(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what} refused: {os.strerror(ctypes.get_errno())}")
