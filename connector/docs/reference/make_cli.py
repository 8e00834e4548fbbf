# ruff: noqa: INP001 - a script beside the page it writes
"""Writes ``cli.md``: the help of every command, as ``--help`` says it.

Run: ``python connector/docs/reference/make_cli.py``. A test keeps the page current.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from synthema.cli.main import app

PAGE = Path(__file__).with_name("cli.md")
_WIDTH = 100
_HEAD = """# Command line

Made from `--help` by `make_cli.py`; do not edit.

Results go to stdout, progress and problems to stderr. `--format json` gives one value on stdout:
`{"status": "ok", "data": …}` or `{"status": "error", "error": {"code", "message", "fix", "where"}}`.

| exit status | meaning |
|---|---|
| 0 | done |
| 1 | a check found something that needs attention |
| 2 | the input or the command line is wrong |
| 3 | a rule says no |
| 4 | unknown, or not visible to you (`doctor`: broken) |
| 5 | the present state does not allow this step |
| 6 | bytes are not what they claim to be, or the result was withheld |
| 7 | the isolation asked for cannot be had here |
| 8 | a plugin is missing, changed or broke its contract |
| 9 | another connector did not answer as it must |
| 10 | state could not be written or read |
| 70 | a fault of synthema itself; its detail is kept in a file |
"""


def page() -> str:
    """The text of the page."""
    return _HEAD + "".join(_sections(typer.main.get_command(app), "synthema", None))


def _sections(command: Any, name: str, parent: Any) -> Iterator[str]:
    # Without markup the help is plain text that looks the same on every terminal.
    command.rich_markup_mode = None
    context = command.make_context(name, [], parent=parent, resilient_parsing=True, terminal_width=_WIDTH)
    path = context.command_path
    depth = "#" * min(len(path.split()) + 1, 3)
    yield f"\n{depth} {path}\n\n```text\n{command.get_help(context).rstrip()}\n```\n"
    for child_name, child in sorted(getattr(command, "commands", {}).items()):
        yield from _sections(child, child_name, context)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
