"""Serves a connector: the public protocol on one port, management on another, until told to stop."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI

from synthema.assembly import Connector, home_lock
from synthema.assembly.setup import MANAGEMENT_TOKEN
from synthema.config import Settings
from synthema.web.management import management_app
from synthema.web.public import public_app


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; finishes what is being written before it returns."""
    with home_lock(settings.home):
        connector = Connector.open(settings)
        try:
            token = (settings.home / MANAGEMENT_TOKEN).read_text().strip()
            _serve_both(
                _server(public_app(connector), settings.public_url),
                _server(management_app(connector, token), settings.management_url),
            )
        finally:
            connector.close()


def _server(app: FastAPI, url: str) -> uvicorn.Server:
    parts = urlsplit(url)
    config = uvicorn.Config(
        app,
        host=parts.hostname or "127.0.0.1",
        port=parts.port or (443 if parts.scheme == "https" else 80),
        log_level="warning",
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=5,
    )
    return uvicorn.Server(config)


def _serve_both(public: uvicorn.Server, management: uvicorn.Server) -> None:
    servers = (public, management)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        for server in servers:
            server.should_exit = True

    # uvicorn installs its handlers only in the main thread, so each server runs in a thread of its own.
    threads = [threading.Thread(target=server.run, name="web", daemon=True) for server in servers]
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, stop)
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(timeout=0.5)
            if not all(each.is_alive() for each in threads):
                stop(0, None)  # one server alone is no connector
