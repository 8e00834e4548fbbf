"""Starts one of FLARE's programs and ends it with whoever started it: ``python -m synthema_relay.process WHAT …``."""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time

PROGRAMS = {
    "server": "nvflare.private.fed.app.server.server_train",
    "client": "nvflare.private.fed.app.client.client_train",
    "admin": "synthema_relay.admin",
}
PARENT = "SYNTHEMA_PARENT"
SOCKET = "SYNTHEMA_SOCKET"
_SECONDS = 0.2


def end_with_parent() -> None:
    """Kill this process once the process named in the environment is no longer its parent.

    A kill of the connector thus ends FLARE's parent process, and that ends its job processes, which name it in turn.
    """
    expected = int(os.environ[PARENT])
    os.environ[PARENT] = str(os.getpid())

    def watch() -> None:
        while os.getppid() == expected:
            time.sleep(_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def main() -> None:
    """Run the named program with the remaining arguments."""
    end_with_parent()
    program = PROGRAMS[sys.argv.pop(1)]
    runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
