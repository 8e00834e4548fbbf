"""How calls to partners travel: to an address that was judged, and over by one moment.

The name of a partner is resolved once; that very address is judged
(:mod:`.addresses`), connected to and kept, so that a name cannot point elsewhere
between check and use. Connections belong to names, not to addresses: what one
partner's certificate proved is never used for another's.

httpx limits the time between two pieces of an answer; a partner that sends one
byte now and then would hold a worker for days, in its headers already. Here a
call says how long it may take in all, and each read and write gets what is left.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import httpcore
import httpx

from synthema.dataspace.addresses import resolve

_CONNECTIONS: Final = 64
_KEPT: Final = 16
_KEPT_SECONDS: Final = 20.0


class _Ends(threading.local):
    """When the call that this thread is making must be over."""

    at: float | None = None


_ends = _Ends()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Whatever this thread reads or writes inside is over after so many seconds, or raises a timeout of httpx."""
    before, _ends.at = _ends.at, time.monotonic() + seconds
    try:
        yield
    finally:
        _ends.at = before


_authorities: list[Path] = []


def trust(authorities: Path) -> None:
    """Believe certificates of these authorities (PEM) as well, in this whole process: for a house's own authority."""
    if authorities not in _authorities:
        ssl.create_default_context(cafile=authorities)  # a file that cannot be read is found now
        _authorities.append(authorities)


def _ssl_context() -> ssl.SSLContext:
    return _believing(tuple((each, each.stat().st_mtime_ns) for each in _authorities))


@lru_cache(maxsize=2)
def _believing(authorities: tuple[tuple[Path, int], ...]) -> ssl.SSLContext:
    """One for all clients of this process: reading the authorities of the world costs as much as a hundred calls."""
    context = httpx.create_ssl_context(trust_env=False)
    for each, _changed in authorities:
        context.load_verify_locations(each)
    return context


class PinnedTransport(httpx.HTTPTransport):
    """httpx's own transport with pinned addresses and the deadlines of :func:`within`; no proxy is asked."""

    def __init__(self) -> None:
        context = _ssl_context()
        super().__init__(verify=context, trust_env=False)
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=_CONNECTIONS,
            max_keepalive_connections=_KEPT,
            keepalive_expiry=_KEPT_SECONDS,
            network_backend=_PinnedBackend(),
        )


class _PinnedBackend(httpcore.SyncBackend):
    def __init__(self) -> None:
        self._addresses: dict[tuple[str, int], str] = {}
        self._lock = threading.Lock()

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *args: Any, **kwargs: Any
    ) -> httpcore.NetworkStream:
        address = self._address(host, port)
        try:
            stream = super().connect_tcp(address, port, _left(timeout, httpcore.ConnectTimeout), *args, **kwargs)
        except httpcore.NetworkError:
            with self._lock:
                self._addresses.pop((host, port), None)  # it may have moved: asked, and judged, anew
            raise
        return _TimedStream(stream)

    def _address(self, host: str, port: int) -> str:
        with self._lock:
            address = self._addresses.get((host, port))
        if address is None:
            address = resolve(host, port)
            with self._lock:
                address = self._addresses.setdefault((host, port), address)
        return address


class _TimedStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _TimedStream(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(timeout: float | None, error: type[Exception]) -> float | None:
    if _ends.at is None:
        return timeout
    left = _ends.at - time.monotonic()
    if left <= 0:
        raise error("the call takes too long")
    return left if timeout is None else min(timeout, left)
