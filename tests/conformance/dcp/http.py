"""Serving an application on a free port of this machine while a test runs."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI


def listener() -> socket.socket:
    """A socket on a free port of loopback."""
    found = socket.socket()
    found.bind(("127.0.0.1", 0))
    return found


def url_of(listening: socket.socket) -> str:
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


@contextlib.contextmanager
def serving(app: FastAPI, listening: socket.socket) -> Iterator[None]:
    """Serve an application while the block runs."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(timeout=10)
