"""A PostgreSQL cluster of our own for a test: made, started and removed with it, reachable by a socket file only.

The server refuses to run as root, so as root it is run as the account that Debian's package makes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ACCOUNT = "postgres"


def binaries() -> Path | None:
    """The folder of the newest server on this machine; None where there is none that we could run."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if not found or (os.geteuid() == 0 and shutil.which("runuser") is None):
        return None
    return found[-1].parent


@contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """A fresh, empty cluster; gives its libpq connection string."""
    tools = binaries()
    assert tools is not None
    data, socket = folder / "data", folder / "socket"
    data.mkdir(mode=0o700)
    socket.mkdir(mode=0o755)
    if os.geteuid() == 0:
        for path in (folder, data, socket):
            shutil.chown(path, ACCOUNT, ACCOUNT)
    settings = f"-c listen_addresses='' -c unix_socket_directories={socket} -c fsync=off"
    _run([str(tools / "initdb"), "-D", str(data), "-U", ACCOUNT, "-A", "trust", "-E", "UTF8", "--no-locale", "-N"])
    _run([str(tools / "pg_ctl"), "-D", str(data), "-l", str(folder / "log"), "-w", "-o", settings, "start"])
    try:
        yield f"host={socket} user={ACCOUNT} dbname=postgres"
    finally:
        _run([str(tools / "pg_ctl"), "-D", str(data), "-m", "immediate", "-w", "stop"])


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder with a short path: a socket's name may have 107 letters at most."""
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as name:
        yield Path(name)


def _run(command: list[str]) -> None:
    prefix = ["runuser", "-u", ACCOUNT, "--"] if os.geteuid() == 0 else []
    done = subprocess.run([*prefix, *command], cwd="/", capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"
