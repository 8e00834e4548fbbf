"""What a hostile plugin would try, tried on purpose inside the sandbox. Standard library only.

Each attack returns normally when it *succeeded* and raises when it was held
off. They run against canaries that the connector sets up for the purpose: a
file, listeners, its own process. None of them does lasting harm where it works.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PERMITTED_ENVIRONMENT = frozenset(
    {
        "HOME",
        "LANG",
        "LC_CTYPE",
        "MALLOC_ARENA_MAX",
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "PATH",
        "POLARS_MAX_THREADS",
        "TZ",
    }
)


class HeldOffError(Exception):
    """The attack was held off."""


@dataclass(frozen=True, slots=True)
class Targets:
    """The canaries: paths, ports and the connector's process id as the worker could know them."""

    outside_file: str
    outside_folder: str
    input_file: str
    output_folder: str
    tcp_port: int
    udp_port: int
    socket_path: str
    abstract_name: str
    parent: int

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Targets:
        return cls(**value)


def run_attacks(targets: Targets) -> dict[str, bool]:
    """Try every attack; ``True`` means that it succeeded."""
    return {name: _succeeds(attack, targets) for name, attack in ATTACKS.items()}


def _succeeds(attack: Callable[[Targets], object], targets: Targets) -> bool:
    try:
        attack(targets)
    except (OSError, HeldOffError):
        return False
    return True


def _connector(targets: Targets) -> int:
    """The connector's process id, unless a namespace gives that number to the worker itself."""
    if targets.parent == os.getpid():
        raise HeldOffError
    return targets.parent


def _read_file(targets: Targets) -> None:
    Path(targets.outside_file).read_bytes()


def _list_folder(targets: Targets) -> None:
    list(Path(targets.outside_folder).iterdir())


def _read_accounts(_targets: Targets) -> None:
    Path("/etc/passwd").read_bytes()


def _write_beside(targets: Targets) -> None:
    path = Path(targets.outside_folder) / "written"
    path.write_bytes(b"")
    path.unlink()


def _write_system(_targets: Targets) -> None:
    path = Path("/usr/lib/.synthema-canary")
    path.write_bytes(b"")
    path.unlink()


def _write_input(targets: Targets) -> None:
    os.close(os.open(targets.input_file, os.O_WRONLY | os.O_APPEND))


def _truncate_input(targets: Targets) -> None:
    os.truncate(targets.input_file, 1)


def _unlock_input(targets: Targets) -> None:
    os.chmod(targets.input_file, 0o666)  # noqa: PTH101, S103 - the bare call is the attack


def _tcp(targets: Targets) -> None:
    socket.create_connection(("127.0.0.1", targets.tcp_port), timeout=1).close()


def _udp(targets: Targets) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x", ("127.0.0.1", targets.udp_port))


def _unix(targets: Targets) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(targets.socket_path)


def _abstract(targets: Targets) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect("\0" + targets.abstract_name)


def _socket_pair(_targets: Targets) -> None:
    for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM):
        end.close()


def _parent_environment(targets: Targets) -> None:
    Path(f"/proc/{_connector(targets)}/environ").read_bytes()


def _parent_command(targets: Targets) -> None:
    Path(f"/proc/{_connector(targets)}/cmdline").read_bytes()


def _signal_parent(targets: Targets) -> None:
    os.kill(_connector(targets), 0)


def _environment(_targets: Targets) -> None:
    if not set(os.environ) - PERMITTED_ENVIRONMENT:
        raise HeldOffError


def _new_process(_targets: Targets) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def _program(_targets: Targets) -> None:
    os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)


def _call(number: int, *arguments: Any) -> int:
    """A bare system call; raises :class:`OSError` when the kernel says no."""
    libc = ctypes.CDLL(None, use_errno=True)
    result: int = libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result


def _number(x86_64: int, aarch64: int) -> int:
    return x86_64 if platform.machine() == "x86_64" else aarch64


def _trace_parent(targets: Targets) -> None:
    # PTRACE_SEIZE, unlike PTRACE_ATTACH, does not stop the connector where it works.
    seize, detach, call = 0x4206, 17, _number(101, 117)
    _call(call, seize, _connector(targets), None, None)
    _call(call, detach, _connector(targets), None, None)


def _limit_parent(targets: Targets) -> None:
    core_size, no_change = 4, None
    _call(_number(302, 261), _connector(targets), core_size, no_change, ctypes.create_string_buffer(16))


def _parent_memory(targets: Targets) -> None:
    here = ctypes.create_string_buffer(8)
    local = struct.pack("=QQ", ctypes.addressof(here), 8)
    try:
        _call(_number(310, 270), _connector(targets), local, 1, local, 1, 0)
    except OSError as error:
        if error.errno != errno.EFAULT:  # a wrong address: the right to read was given
            raise


def _namespace(_targets: Targets) -> None:
    user_namespace = 0x10000000
    _call(_number(272, 97), user_namespace)


def _mount(targets: Targets) -> None:
    folder = os.fsencode(targets.output_folder)
    _call(_number(165, 40), b"none", folder, b"tmpfs", 0, None)
    _call(_number(166, 39), folder, 0)


def _io_uring(_targets: Targets) -> None:
    os.close(_call(425, 1, ctypes.create_string_buffer(120)))


def _keyring(_targets: Targets) -> None:
    get_keyring_id, session = 0, -3
    _call(_number(250, 219), get_keyring_id, session, 1)


def _shared_memory(_targets: Targets) -> None:
    private_key, create = 0, 0o1600
    identifier = _call(_number(29, 194), private_key, 4096, create)
    remove = 0
    _call(_number(31, 195), identifier, remove, None)


ATTACKS: dict[str, Callable[[Targets], object]] = {
    "read a file outside": _read_file,
    "list a folder outside": _list_folder,
    "read the accounts of the machine": _read_accounts,
    "write a file outside": _write_beside,
    "write into the system": _write_system,
    "write its input": _write_input,
    "truncate its input": _truncate_input,
    "unlock its input": _unlock_input,
    "connect by TCP": _tcp,
    "send by UDP": _udp,
    "connect to a Unix socket": _unix,
    "connect to an abstract socket": _abstract,
    "make a pair of sockets": _socket_pair,
    "read the connector's environment": _parent_environment,
    "read the connector's command line": _parent_command,
    "read the connector's memory": _parent_memory,
    "trace the connector": _trace_parent,
    "signal the connector": _signal_parent,
    "change the connector's limits": _limit_parent,
    "find secrets in its environment": _environment,
    "start a process": _new_process,
    "start a program": _program,
    "mount a file system": _mount,
    "use io_uring": _io_uring,
    "use the kernel's keyrings": _keyring,
    "share memory": _shared_memory,
    "make a namespace": _namespace,
}
