"""The one error tree of the connector.

Every error a person can meet carries three things: a stable ``code`` for
machines, a sentence that says what is wrong, and a ``fix`` that says what
would make it right. ``where`` names the file, line or field when there is one.

    SynthemaError
    ├── InputError          the caller's file, field or value is wrong
    │   └── PolicyLoadError a policy that cannot be understood in full
    ├── DeniedError         a rule says no (a decision, not a fault)
    ├── NotFoundError       unknown, or not visible to the caller (never told apart)
    ├── ConflictError       the state does not allow this step now
    ├── IntegrityError      bytes are not what a digest, signature or log says
    ├── IsolationError      no sufficient sandbox can be established
    ├── PluginError         a plugin is missing, changed, or broke its contract
    ├── PeerError           another connector did not answer as it must
    └── StorageError        state could not be written or read
"""

from __future__ import annotations

from typing import ClassVar


class SynthemaError(Exception):
    """Root of all errors raised on purpose; shown to people as sentence and fix."""

    code: ClassVar[str] = "synthema"
    exit_status: ClassVar[int] = 1

    def __init__(self, message: str, *, fix: str, where: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.where = where

    def diagnostics(self) -> str:
        """The text for a person: where, what, and how to mend it."""
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.message}\n  Fix: {self.fix}"

    def as_dict(self) -> dict[str, str]:
        """The value for a machine (API and ``--format json``)."""
        value = {"code": self.code, "message": self.message, "fix": self.fix}
        return value | {"where": self.where} if self.where else value

    def __str__(self) -> str:
        return self.diagnostics()


class InputError(SynthemaError):
    """The caller's file, field or value is wrong; nothing was changed."""

    code = "input"
    exit_status = 2


class PolicyLoadError(InputError):
    """A policy holds something that cannot be understood; it is refused whole."""

    code = "policy-load"


class DeniedError(SynthemaError):
    """A rule says no. The fix names what would change the answer."""

    code = "denied"
    exit_status = 3


class NotFoundError(SynthemaError):
    """Unknown, or not visible to the caller; the two are never told apart."""

    code = "not-found"
    exit_status = 4


class ConflictError(SynthemaError):
    """The present state does not allow this step."""

    code = "conflict"
    exit_status = 5


class IntegrityError(SynthemaError):
    """Bytes are not what their digest, signature or log entry says they are."""

    code = "integrity"
    exit_status = 6


class IsolationError(SynthemaError):
    """The isolation a grant asks for cannot be established on this machine."""

    code = "isolation"
    exit_status = 7


class PluginError(SynthemaError):
    """A plugin is missing, not approved, changed since approval, or broke its contract."""

    code = "plugin"
    exit_status = 8


class PeerError(SynthemaError):
    """Another connector did not answer, or not as the protocol says."""

    code = "peer"
    exit_status = 9


class StorageError(SynthemaError):
    """State could not be written or read; the step it belonged to did not happen."""

    code = "storage"
    exit_status = 10
