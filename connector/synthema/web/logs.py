"""What the server writes for its operator: one record is one line, whatever a stranger has sent.

Names, paths and ids come from outside. A line break in one of them would forge a
record, and a control character could steer the terminal it is read on.
"""

from __future__ import annotations

import logging
import unicodedata
from typing import Final

_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_ODD: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


class OneLine(logging.Formatter):
    """Writes a record as one line, and the lines of a traceback marked as its continuation."""

    def __init__(self) -> None:
        super().__init__(_FORMAT)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is the library's
        return visible(super().formatMessage(record))

    def formatException(self, ei: object) -> str:  # noqa: N802 - the name is the library's
        lines = super().formatException(ei).split("\n")  # type: ignore[arg-type]
        return "\n".join(f"  | {visible(line)}" for line in lines)

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 - the name is the library's
        return "\n".join(f"  | {visible(line)}" for line in stack_info.split("\n"))


def visible(text: str) -> str:
    """The text with every character that is not to be seen written as its escape."""
    if text.isprintable():
        return text
    return "".join(_escape(c) if unicodedata.category(c) in _ODD else c for c in text)


def install_logs() -> None:
    """Write warnings and errors of this process to standard error, each on a line of its own."""
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
