"""What commands print: sentences for people, one JSON value for machines, nothing mixed.

Results go to stdout; progress and problems go to stderr. With ``--format json``
stdout holds exactly one envelope ``{"status", "data" | "error"}``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console

from synthema.errors import SynthemaError

screen = Console(highlight=False)
progress = Console(stderr=True, highlight=False)


class Format(StrEnum):
    """How a command answers."""

    TEXT = "text"
    JSON = "json"


FormatOption = Annotated[Format, typer.Option("--format", help="text for people, json for machines")]


def answer(value: Any, output: Format, text: Callable[[Any], None]) -> None:
    """Print a result in the chosen form."""
    if output is Format.JSON:
        print_envelope({"status": "ok", "data": value})
    else:
        text(value)


def print_envelope(envelope: dict[str, Any]) -> None:
    """Write the one JSON value of a command."""
    sys.stdout.write(json.dumps(envelope, ensure_ascii=False, indent=2, sort_keys=True) + "\n")


@contextmanager
def friendly(output: Format) -> Iterator[None]:
    """Turn an error of ours into its sentence and fix, and the exit status of its kind."""
    try:
        yield
    except SynthemaError as error:
        if output is Format.JSON:
            print_envelope({"status": "error", "error": error.as_dict()})
        else:
            progress.print(f"[bold red]{error.code}[/]", end=" ")
            progress.print(error.diagnostics(), markup=False)
        raise typer.Exit(error.exit_status) from error
