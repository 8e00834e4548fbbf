"""What strangers send into the operator's log: one record stays one line, and a terminal only shows text."""

from __future__ import annotations

import io
import logging
import sys

import pytest

from synthema.web.logs import OneLine, install_logs, visible

FORGED = "x\n2026-01-01 00:00:00,000 ERROR synthema: the keys were sold"


def written(message: str, *args: object, exc_info: bool = False) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(OneLine())
    record = logging.LogRecord(
        "synthema.web", logging.WARNING, "", 0, message, args, sys.exc_info() if exc_info else None
    )
    handler.handle(record)
    return stream.getvalue()


@pytest.mark.parametrize(
    "odd", ["\n", "\r\n", "\x1b[2J", "\x00", "\x7f", "\x85", "\u2028", "\u202e", "\u200b", "\ufeff", "\ud800", "\x9b"]
)
def test_what_is_not_to_be_seen_is_written_as_its_escape(odd: str) -> None:
    text = written("the partner %s said %s", f"a{odd}b", odd)
    assert text.count("\n") == 1
    assert text.rstrip("\n").isprintable()
    assert f"a{visible(odd)}b" in text
    assert "\\" in visible(odd)


def test_a_record_cannot_be_forged() -> None:
    assert written("refused: %s", FORGED).splitlines() == [written("refused: %s", FORGED).rstrip("\n")]


def test_neither_can_a_traceback() -> None:
    try:
        raise ValueError(FORGED)  # noqa: TRY301
    except ValueError:
        lines = written("failed", exc_info=True).splitlines()
    assert "failed" in lines[0]
    assert all(line.startswith("  | ") for line in lines[1:])


def test_letters_of_all_languages_stay() -> None:
    assert visible("Spitäl ελ 病院 ε ≥ “q”") == "Spitäl ελ 病院 ε ≥ “q”"


def test_all_records_of_the_process_are_written_so() -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        root.handlers = []
        install_logs()
        assert [type(handler.formatter) for handler in root.handlers] == [OneLine]
    finally:
        root.handlers, root.level = before, level
