"""FLARE's own Python environment, its processes, and their lives, which end with the connector's."""

from __future__ import annotations

import os
import signal
import subprocess
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from synthema.errors import PluginError, StorageError
from synthema.federation.flare.synthema_relay.process import PARENT, SOCKET

REQUIREMENT = "nvflare>=2.9,<2.10"
_INSTALL_SECONDS = 900
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE")


@dataclass(frozen=True, slots=True)
class FlareEnvironment:
    """A virtual environment that holds NVIDIA FLARE 2.9 and nothing of Synthema."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def version(self) -> str | None:
        """The release of FLARE that is installed, or None; nothing of FLARE is imported."""
        if not self.python.exists():
            return None
        asked = "from importlib.metadata import version; print(version('nvflare'))"
        done = subprocess.run(  # noqa: S603 - the interpreter of our own environment
            [str(self.python), "-I", "-c", asked], capture_output=True, text=True, timeout=60, check=False
        )
        return done.stdout.strip() or None if done.returncode == 0 else None

    def require(self) -> FlareEnvironment:
        """The environment itself, if it holds the release the adapter was made for; raises :class:`PluginError`."""
        found = self.version()
        if found is None or not found.startswith("2.9."):
            raise PluginError(
                f"NVIDIA FLARE 2.9 is not installed in {self.folder} (found: {found or 'nothing'})",
                fix="run 'synthema study engine FOLDER', or name a folder that holds it",
            )
        return self

    def make(self, constraints: Path | None = None) -> FlareEnvironment:
        """Find FLARE in the folder, or make the environment with ``venv`` and ``pip``; raises :class:`PluginError`."""
        if (self.version() or "").startswith("2.9."):
            return self
        venv.create(self.folder, with_pip=True)
        pinned = ["--constraint", str(constraints)] if constraints is not None else []
        command = [str(self.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *pinned]
        done = subprocess.run(  # noqa: S603 - pip of our own environment
            [*command, REQUIREMENT], capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False
        )
        if done.returncode != 0:
            raise PluginError(
                f"NVIDIA FLARE could not be installed: {done.stderr.strip()[-400:]}",
                fix=f"give this machine access to a package index, or install '{REQUIREMENT}' into {self.folder}",
            )
        return self.require()


class FlareProcess:
    """One of FLARE's programs under way; it ends with this process, whatever way this process ends."""

    def __init__(self, environment: FlareEnvironment, code: Path, kit: Path, socket: Path, what: Sequence[str]) -> None:
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        ours = {
            "PYTHONPATH": str(code), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "MALLOC_ARENA_MAX": "2",
            "OMP_NUM_THREADS": "1", PARENT: str(os.getpid()), SOCKET: str(socket),
        }  # fmt: skip
        self.log = kit / f"{what[0]}.out"
        try:
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(  # noqa: S603 - the interpreter of our own environment
                    [str(environment.python), "-m", "synthema_relay.process", *what],
                    cwd=kit, env=kept | ours, start_new_session=True, stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE if what[0] == "admin" else log, stderr=log,
                )  # fmt: skip
        except OSError as error:
            raise StorageError(f"FLARE cannot be started: {error}", fix="check the environment's folder") from error

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def pipes(self) -> subprocess.Popen[bytes]:
        """The process with its standard input and output."""
        return self._process

    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End it and its process group now; its job processes notice and follow."""
        if self.alive():
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def client_arguments(kit: Path, name: str) -> list[str]:
    """How a site's FLARE is started on its kit."""
    said = ["--set", "secure_train=true", f"uid={name}", "org=synthema", "config_folder=config"]
    return ["client", "-m", str(kit), "-s", "fed_client.json", *said]


def server_arguments(kit: Path) -> list[str]:
    """How a coordinator's FLARE is started on its kit."""
    said = ["--set", "secure_train=true", "org=synthema", "config_folder=config"]
    return ["server", "-m", str(kit), "-s", "fed_server.json", *said]
