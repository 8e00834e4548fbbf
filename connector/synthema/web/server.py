"""Serves a connector: the public protocol on one port, management on another, until told to stop."""

from __future__ import annotations

import faulthandler
import signal
import threading
from types import FrameType
from urllib.parse import urlsplit

import uvicorn

from synthema.assembly import Connector, home_lock
from synthema.assembly.setup import MANAGEMENT_TOKEN
from synthema.config import Settings
from synthema.errors import InputError
from synthema.web.envelope import LOOPBACK
from synthema.web.listening import server
from synthema.web.logs import install_logs
from synthema.web.management import management_app
from synthema.web.public import public_app


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; finishes what is being written before it returns.

    SIGUSR1 writes to standard error what each thread is doing, for whoever looks after a connector that stands still.
    Raises :class:`InputError` where data would cross a network without TLS.
    """
    public = listening_address(settings.public_url, settings.public_listen)
    management = listening_address(settings.management_url, settings.management_listen)
    if public == management:
        raise InputError(
            "the public protocol and the management interface would share one address",
            fix="give management_url (or management_listen) a port of its own",
        )
    install_logs()
    faulthandler.register(signal.SIGUSR1)
    with home_lock(settings.home):
        connector = Connector.open(settings)
        try:
            token = (settings.home / MANAGEMENT_TOKEN).read_text().strip()
            serve_both(
                server(public_app(connector), *public),
                server(management_app(connector, token), *management),
            )
        finally:
            connector.close()


def listening_address(url: str, listen: str | None) -> tuple[str, int]:
    """Host and port to listen at. This server speaks plain HTTP, so TLS needs a proxy and a ``…_listen`` setting."""
    parts = urlsplit(url)
    if listen is not None:
        host, _, port = listen.rpartition(":")
        return host, int(port)
    if parts.scheme == "https":
        raise InputError(
            f"{url} needs TLS, and this server speaks plain HTTP",
            fix='put a TLS proxy in front, and say where it reaches the connector: public_listen = "127.0.0.1:8101"',
        )
    if parts.hostname not in LOOPBACK:
        raise InputError(
            f"{url} would send everything across the network in the clear",
            fix="use an https address with a TLS proxy in front; plain http is for this machine only",
        )
    return parts.hostname, parts.port or 80


def serve_both(public: uvicorn.Server, management: uvicorn.Server) -> None:
    """Run two servers until SIGTERM or SIGINT, or until one of them ends."""
    servers = (public, management)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        for each in servers:
            each.should_exit = True

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
