"""Commands on our pages exist, with the options they are given, and those marked as runnable say what the page says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from synthema.cli.main import app
from tests.docs.markdown import ROOT, Block, blocks, pages

ALL_BLOCKS = [block for page in pages() for block in blocks(page)]
RUNNABLE = sorted({block.page for block in ALL_BLOCKS if block.mark == "run"})
_INLINE = re.compile(r"`(synthema [^`]+)`")


def _commands(block: Block) -> Iterator[str]:
    """The command lines of a console block, without their prompt."""
    for line in block.lines:
        if line.startswith(("$ ", "# ")) and block.language == "console":
            yield line[2:]


def _ours(text: str) -> list[str] | None:
    """The words after ``synthema`` in a command line; ``None`` for other programs."""
    words = shlex.split(text)
    for number, word in enumerate(words):
        alone = word == "synthema" and (number == 0 or words[number - 1] == "connector")  # in a container of that name
        if alone or word.endswith("/bin/synthema"):
            return words[number + 1 :]
    return None


def _check(words: list[str], where: str) -> None:
    """The words name a command of ours, and each option is one of it."""
    command: Any = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    if getattr(command, "commands", None) and words and not words[0].startswith("-"):
        pytest.fail(f"{where}: there is no command '{words[0]}'")
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    known = options | {"--help", "-h"}
    unknown = [word for word in words if re.match(r"--?[a-z]", word) and word.partition("=")[0] not in known]
    assert not unknown, f"{where}: {unknown} is not an option of this command"


@pytest.mark.parametrize("block", [b for b in ALL_BLOCKS if b.language == "console"], ids=str)
def test_commands_in_blocks_exist(block: Block) -> None:
    for command in _commands(block):
        words = _ours(command)
        if words is not None:
            _check(words, str(block))


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_sentences_exist(page: Path) -> None:
    for text in _INLINE.findall(page.read_text(encoding="utf-8")):
        _check(shlex.split(text)[1:], f"{page.relative_to(ROOT)}: {text}")


@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: str(page.relative_to(ROOT)))
def test_runnable_commands_say_what_the_page_says(page: Path, tmp_path: Path) -> None:
    for block in blocks(page):
        if block.mark.startswith("file: "):
            (tmp_path / block.mark.removeprefix("file: ")).write_text("\n".join(block.lines) + "\n", encoding="utf-8")
        if block.mark == "run":
            _run(block, tmp_path)


def _run(block: Block, folder: Path) -> None:
    output = ""
    for line in block.lines:
        if line.startswith("$ "):
            words = _ours(line[2:])
            assert words is not None, f"{block}: only commands of ours can be run: {line}"
            done = subprocess.run(
                [sys.executable, "-m", "synthema.cli.main", *words],
                cwd=folder, capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            assert done.returncode == 0, f"{block}: {line}\n{done.stderr}"
            output = done.stdout
        else:
            assert line in output, f"{block}: not printed: {line}\n{output}"
            output = output.partition(line)[2]


def test_the_checks_find_what_is_wrong() -> None:
    with pytest.raises(pytest.fail.Exception):
        _check(["policy", "obliterate"], "here")
    with pytest.raises(AssertionError):
        _check(["policy", "lint", "--loudly"], "here")
    assert _ours("make demo") is None
    assert len(RUNNABLE) >= 2
