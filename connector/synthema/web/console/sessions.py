"""Who is signed in to the console: sessions kept on the server, and the mark that every form carries.

The management token is asked for once and never stored in the browser. What
the browser holds is a random name of a session; the server keeps only its
digest. A session ends with sign-out, after a time without use, or after a day's work.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from synthema.clock import Clock

IDLE: Final = timedelta(minutes=30)
LONGEST: Final = timedelta(hours=8)
MAX_SESSIONS: Final = 64
_NAME_BYTES = 32


@dataclass(slots=True)
class _Session:
    opened: datetime
    used: datetime

    def is_over(self, now: datetime) -> bool:
        return now - self.used >= IDLE or now - self.opened >= LONGEST


class Sessions:
    """The open sessions of one connector's console; they end with the process. Used from the event loop only."""

    def __init__(self, token: str, clock: Clock) -> None:
        self._token = token
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._open: dict[bytes, _Session] = {}

    def sign_in(self, offered: str) -> str | None:
        """The name of a new session, if this is the management token."""
        if not self.is_token(offered):
            return None
        now = self._clock.now()
        self._open = {name: session for name, session in self._open.items() if not session.is_over(now)}
        while len(self._open) >= MAX_SESSIONS:
            del self._open[min(self._open, key=lambda name: self._open[name].used)]
        name = new_name()
        self._open[_digest(name)] = _Session(now, now)
        return name

    def is_token(self, offered: str) -> bool:
        """Whether this is the management token; takes the same time whatever is offered."""
        return bool(self._token) and hmac.compare_digest(_digest(offered), _digest(self._token))

    def is_open(self, name: str | None) -> bool:
        """Whether a browser's session is open; asking keeps it open."""
        session = self._open.get(_digest(name)) if name else None
        if session is None:
            return False
        now = self._clock.now()
        if session.is_over(now):
            self.sign_out(name)
            return False
        session.used = now
        return True

    def sign_out(self, name: str | None) -> None:
        """End a session; ending one that is not there is no fault."""
        if name:
            self._open.pop(_digest(name), None)

    def form_mark(self, name: str) -> str:
        """The secret mark of a browser's forms: only pages of this console made for this browser can carry it."""
        return hmac.new(self._key, name.encode(), hashlib.sha256).hexdigest()

    def is_form_mark(self, name: str | None, offered: str) -> bool:
        """Whether a form carries the mark of this browser."""
        return bool(name) and hmac.compare_digest(self.form_mark(name or "").encode(), offered.encode())


@dataclass(frozen=True, slots=True)
class CookieNames:
    """Names of a console's cookies.

    Cookies know no ports, so the port is part of the name: several connectors
    on one machine would sign each other out otherwise.
    """

    session: str
    visitor: str
    secure: bool

    @classmethod
    def of(cls, management_url: str) -> CookieNames:
        parts = urlsplit(management_url)
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        prefix = "__Secure-" if secure else ""
        return cls(f"{prefix}synthema-session-{port}", f"{prefix}synthema-visitor-{port}", secure)


def new_name() -> str:
    """A random name nobody can guess."""
    return secrets.token_urlsafe(_NAME_BYTES)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
