"""Landlock by ctypes: from now on this process sees only the paths it is given (kernel 5.13 and later).

The kernel's interface grew in steps (ABI 1 to 7); every right that the running
kernel knows is taken away, and given back only where a rule says so. No rule
gives the right to execute. From ABI 4 on TCP is refused, from ABI 6 on abstract
sockets and signals to processes outside.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same on every architecture
_ABI_QUESTION = 1
_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_TRUNCATE = 1 << 14
_ALL_OF_ABI_1 = (1 << 13) - 1

READ = _READ_FILE | _READ_DIR
WRITE = READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _TRUNCATE
_FOR_FILES = _WRITE_FILE | _READ_FILE | _TRUNCATE


class _Ruleset(ctypes.Structure):
    _fields_ = (("access_fs", ctypes.c_uint64), ("access_net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def abi() -> int:
    """The Landlock ABI of the running kernel; 0 when there is none."""
    version = _syscall(_CREATE, None, 0, _ABI_QUESTION)
    return max(version, 0)


def restrict(readable: Iterable[Path], writable: Iterable[Path]) -> int:
    """Leave this thread, and all it will start, only these paths; return the ABI. Raises OSError.

    Paths that do not exist are passed over. Call it before any thread is started,
    with no-new-privileges set.
    """
    version = abi()
    if version < 1:
        raise OSError("this kernel has no Landlock")
    handled = _handled(version)
    ruleset = _Ruleset(handled, 0b11 if version >= 4 else 0, 0b11 if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    descriptor = _syscall(_CREATE, ctypes.byref(ruleset), size, 0)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "no Landlock ruleset")
    try:
        for path in readable:
            _allow(descriptor, path, READ & handled)
        for path in writable:
            _allow(descriptor, path, WRITE & handled)
        if _syscall(_RESTRICT, descriptor, 0) != 0:
            raise OSError(ctypes.get_errno(), "Landlock was refused")
    finally:
        os.close(descriptor)
    return version


def _handled(version: int) -> int:
    rights = _ALL_OF_ABI_1
    for since, bit in ((2, 13), (3, 14), (5, 15)):  # refer, truncate, device ioctl
        if version >= since:
            rights |= 1 << bit
    return rights


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not path.is_dir():
            rights &= _FOR_FILES
        rule = _Beneath(rights, parent)
        if _syscall(_ADD, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0) != 0:
            raise OSError(ctypes.get_errno(), f"no Landlock rule for {path}")
    finally:
        os.close(parent)


def _syscall(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    result: int = libc.syscall(ctypes.c_long(number), *arguments)
    return result
