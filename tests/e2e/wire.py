"""Listens to everything connectors send to each other: a proxy before each public address keeps the bytes."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit

from synthema.config import Settings, load_settings
from synthema.demo import processes

CHUNK = 1 << 16


class Wire:
    """Proxies on loopback; ``heard`` is all that passed, in either direction."""

    def __init__(self) -> None:
        self._heard: list[bytes] = []
        self._listening: list[socket.socket] = []

    def heard(self) -> bytes:
        """Everything that was said so far."""
        return b"\n".join(self._heard)

    def before(self, settings: dict[str, Settings]) -> dict[str, Settings]:
        """Put a proxy at each public address, and let the connector listen at another port."""
        changed = {}
        for (key, own), port in zip(settings.items(), processes.free_ports(len(settings)), strict=True):
            path = own.home / "connector.toml"
            head, table, tables = path.read_text(encoding="utf-8").partition("\n[[")
            line = f'public_listen = "127.0.0.1:{port}"\n'
            path.write_text(f"{head.rstrip()}\n{line}{table}{tables}", encoding="utf-8")
            changed[key] = load_settings(Path(own.home))
            self._listen(urlsplit(own.public_url).port or 0, port)
        return changed

    def close(self) -> None:
        """End the proxies."""
        for each in self._listening:
            each.close()

    def _listen(self, port: int, upstream: int) -> None:
        server = socket.create_server(("127.0.0.1", port), backlog=128)
        self._listening.append(server)
        threading.Thread(target=self._accept, args=(server, upstream), daemon=True).start()

    def _accept(self, server: socket.socket, upstream: int) -> None:
        while True:
            try:
                caller, _ = server.accept()
            except OSError:
                return
            try:
                callee = socket.create_connection(("127.0.0.1", upstream), timeout=5)
            except OSError:  # the connector is down
                caller.close()
                continue
            callee.settimeout(None)
            for source, target in ((caller, callee), (callee, caller)):
                threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                self._heard.append(data)
                target.sendall(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        source.close()
