"""The Unix socket at which a connector answers FLARE's processes of the same account on the same machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import struct
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from synthema.errors import StorageError, SynthemaError
from synthema.federation.flare.synthema_relay.frames import FrameError, receive, send

Answer = Callable[[dict[str, Any], bytes], tuple[dict[str, Any], bytes]]

_SECONDS = 60.0
_AT_ONCE = 64


class Desk:
    """Answers one question a connection. Whatever goes wrong while answering is a no, with its reason.

    The socket lies in a folder of its own that only this account can enter, and a caller of
    another account is hung up on. Not more than 64 questions are answered at once: the others wait.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._folder = Path(tempfile.mkdtemp(prefix="synthema-"))
        self.path = self._folder / "desk"
        self._room = threading.BoundedSemaphore(_AT_ONCE)
        self._closed = threading.Event()
        try:
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._listener.bind(str(self.path))
            self._listener.listen(_AT_ONCE)
        except OSError as error:
            raise StorageError(f"no socket can be opened: {error}", fix="set TMPDIR to a short, local path") from error
        threading.Thread(target=self._listen, name="flare-desk", daemon=True).start()

    def close(self) -> None:
        """Answer nobody any more."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _listen(self) -> None:
        while not self._closed.is_set():
            self._room.acquire()
            try:
                connection, _ = self._listener.accept()
            except OSError:
                self._room.release()
                return
            threading.Thread(target=self._serve, args=(connection,), name="flare-answer", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                connection.settimeout(_SECONDS)
                if _account(connection) == os.getuid():
                    send(connection, *self._answered(*receive(connection)))
        except (OSError, FrameError):
            return  # the caller takes silence for a no
        finally:
            self._room.release()

    def _answered(self, question: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
        try:
            return self._answer(question, payload)
        except SynthemaError as error:
            return {"permit": False, "reason": error.message}, b""
        except Exception:  # noqa: BLE001 - fail closed: whatever broke, nothing is permitted
            return {"permit": False, "reason": "the connector failed within"}, b""


def _account(connection: socket.socket) -> int:
    """The user id of whoever is at the other end, as the kernel says."""
    _, user, _ = struct.unpack(
        "3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    )
    return int(user)
