"""The filter, instruction by instruction: an interpreter of its few operations answers for every call."""

from __future__ import annotations

import platform
import re
import struct
from pathlib import Path

import pytest

from synthema.runs.sandbox import syscalls

HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
ALLOW, EPERM, ENOSYS, KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
PID = 4711


def answer(program: bytes, number: int, argument: int = 0, arch: str = "x86_64") -> int:
    """What the kernel would say, following linux/filter.h."""
    data = struct.pack("=IIQ6Q", number, syscalls._AUDIT_ARCH[arch], 0, argument, 0, 0, 0, 0, 0)
    instructions = list(struct.iter_unpack("=HBBI", program))
    position = accumulator = 0
    while True:
        code, yes, no, value = instructions[position]
        position += 1
        if code == syscalls._RETURN:
            return int(value)
        if code == syscalls._LOAD:
            (accumulator,) = struct.unpack_from("=I", data, value)
            continue
        true = {
            syscalls._EQUAL: accumulator == value,
            syscalls._AT_LEAST: accumulator >= value,
            syscalls._ANY_BIT: bool(accumulator & value),
        }[code]
        position += yes if true else no


@pytest.fixture(params=["x86_64", "aarch64"])
def arch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(platform, "machine", lambda: request.param)
    return str(request.param)


def test_every_call_is_answered_as_the_table_says(arch: str) -> None:
    column = syscalls.architecture()
    assert column is not None
    program = syscalls.filter_program(PID)
    refused = {numbers[column] for numbers in syscalls._REFUSED.values()}
    special = {call[column] for call in (syscalls._CLONE, syscalls._CLONE3, syscalls._KILL, syscalls._TGKILL)}
    for number in range(500):
        if number in special or number == syscalls._PRLIMIT[column]:
            continue
        assert answer(program, number, arch=arch) == (EPERM if number in refused else ALLOW), number


def test_threads_may_start_and_processes_may_not(arch: str) -> None:
    column = syscalls.architecture() or 0
    program = syscalls.filter_program(PID)
    thread, new_user = 0x00010000, 0x10000000
    assert answer(program, syscalls._CLONE[column], 0x003D0F00 | thread, arch) == ALLOW
    assert answer(program, syscalls._CLONE[column], 17, arch) == EPERM
    assert answer(program, syscalls._CLONE[column], new_user | 17, arch) == EPERM
    assert answer(program, syscalls._CLONE3[column], 0, arch) == ENOSYS


def test_signals_and_limits_reach_only_oneself(arch: str) -> None:
    column = syscalls.architecture() or 0
    program = syscalls.filter_program(PID)
    for call in (syscalls._KILL, syscalls._TGKILL):
        assert answer(program, call[column], PID, arch) == ALLOW
        assert {answer(program, call[column], other, arch) for other in (0, 1, PID + 1, 0xFFFFFFFF)} == {EPERM}
    assert answer(program, syscalls._PRLIMIT[column], 0, arch) == ALLOW
    assert answer(program, syscalls._PRLIMIT[column], PID, arch) == ALLOW
    assert answer(program, syscalls._PRLIMIT[column], 1, arch) == EPERM


def test_another_architectures_calls_end_the_process() -> None:
    program = syscalls.filter_program(PID)
    other = "aarch64" if platform.machine() == "x86_64" else "x86_64"
    assert answer(program, 0, arch=other) == KILL
    assert answer(program, 0x40000000, arch=platform.machine()) == EPERM


def test_an_unknown_machine_gets_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "vax")
    with pytest.raises(OSError, match="vax"):
        syscalls.filter_program(PID)


def test_the_numbers_are_linuxs_own(arch: str) -> None:
    header, column = HEADERS[arch], syscalls.architecture() or 0
    if not header.exists():
        pytest.skip("the kernel's headers are not here")
    found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)\s*$", header.read_text(), re.MULTILINE)
    known: dict[str, int] = {}
    for name, number in found:
        known.setdefault(name, int(number))
    for name, numbers in syscalls._REFUSED.items():
        if name in known:
            assert numbers[column] == known[name], name
