"""What commands print: sentences for people, one JSON value for machines, nothing mixed.

Results go to stdout; progress and problems go to stderr. With ``--format json``
stdout holds exactly one envelope ``{"status", "data" | "error"}``.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from synthema.errors import SynthemaError

FAULT_STATUS = 70
"""Exit status of a fault of ours (``EX_SOFTWARE`` of sysexits.h)."""

_WIDTH_WITHOUT_TERMINAL = 160
_FORMAT = "synthema.format"

screen = Console(highlight=False, soft_wrap=True)
progress = Console(stderr=True, highlight=False, soft_wrap=True)


class Format(StrEnum):
    """How a command answers."""

    TEXT = "text"
    JSON = "json"


def remember(context: typer.Context, value: Format) -> Format:
    """Keep the chosen form, so that an error is told in it too."""
    context.meta[_FORMAT] = value
    return value


FormatOption = Annotated[
    Format, typer.Option("--format", callback=remember, help="Text for people, json for machines.")
]


def answer(value: Any, output: Format, text: Callable[[Any], None]) -> None:
    """Print a result in the chosen form."""
    if output is Format.JSON:
        print_envelope({"status": "ok", "data": value})
    else:
        text(value)


def print_envelope(envelope: dict[str, Any]) -> None:
    """Write the one JSON value of a command."""
    sys.stdout.write(json.dumps(envelope, ensure_ascii=False, indent=2, sort_keys=True) + "\n")


def say(*lines: str) -> None:
    """Print lines for a person, exactly as they are."""
    for line in lines:
        screen.print(line, markup=False)


def note(*lines: str) -> None:
    """Print lines beside the result, on stderr."""
    for line in lines:
        progress.print(line, markup=False)


def show_table(headings: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
    """Print rows under headings, or the sentence ``empty`` when there are none."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(plain(cell) for cell in row))
    if not table.row_count:
        say(empty)
        return
    target = screen if screen.is_terminal else Console(highlight=False, width=_WIDTH_WITHOUT_TERMINAL)
    target.print(table, soft_wrap=False)


def plain(cell: Any) -> str:
    """A value as a cell shows it; never read as markup."""
    text = "" if cell is None else f"{cell:g}" if isinstance(cell, float) else str(cell)
    return text.replace("[", r"\[")


def short(digest: str | None) -> str:
    """The start of a digest, enough to tell two apart by eye."""
    return "" if not digest else digest if len(digest) <= 24 else f"{digest[:19]}…"


@contextmanager
def working(sentence: str) -> Iterator[Callable[[str], None]]:
    """Say on a terminal that something takes its time; the value changes the sentence."""
    if not progress.is_terminal:
        yield lambda _sentence: None
        return
    with progress.status(sentence) as status:
        yield status.update


def tell_error(context: typer.Context, error: SynthemaError) -> typer.Exit:
    """Tell an error of ours as its sentence and fix; returns the exit of its kind."""
    if context.meta.get(_FORMAT) is Format.JSON:
        print_envelope({"status": "error", "error": error.as_dict()})
    else:
        progress.print(f"[bold red]{error.code}[/]", end=" ")
        note(error.diagnostics())
    return typer.Exit(error.exit_status)


def tell_fault(context: typer.Context, fault: Exception, *, debug: bool) -> typer.Exit:
    """Tell a fault of ours without burdening a person with its traceback, which is kept in a file."""
    detail = "".join(traceback.format_exception(fault))
    handle, path = tempfile.mkstemp(prefix="synthema-fault-", suffix=".txt")  # readable by its owner only
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(detail)
    sentence = f"this is a fault of synthema, not of yours ({type(fault).__name__})"
    fix = f"report it with the detail kept in {path} (look first that it holds nothing private); --debug shows it here"
    if context.meta.get(_FORMAT) is Format.JSON:
        print_envelope({"status": "error", "error": {"code": "fault", "message": sentence, "fix": fix}})
    else:
        progress.print("[bold red]fault[/]", end=" ")
        note(f"{sentence}\n  Fix: {fix}")
    if debug:
        note(detail)
    return typer.Exit(FAULT_STATUS)
