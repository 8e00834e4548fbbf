"""Reads our Markdown pages: their links, their code blocks, and what is marked above a block."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_OUTSIDE = (".venv", ".git", ".hypothesis", ".pytest_cache", "node_modules", "synthema-demo", "demo-output")
_FENCE = re.compile(r"^```(?P<language>[a-z]*)\s*$")
_MARK = re.compile(r"^<!-- (?P<mark>[a-z]+(?:: [\w.-]+)?) -->$")
_LINK = re.compile(r"!?\[(?:[^\]\[]|\[[^\]]*\])*\]\((?P<target>[^)\s]+)\)")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, the mark in a comment right above it, its lines, and the line it begins on."""

    page: Path
    line: int
    language: str
    mark: str
    lines: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """All Markdown pages of the repository."""
    found = (path for path in ROOT.rglob("*.md") if not set(_OUTSIDE) & set(path.relative_to(ROOT).parts))
    return sorted(found)


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found: list[Block] = []
    open_at, language, mark, inside = 0, "", "", list[str]()
    last_mark = ""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fence = _FENCE.match(line)
        if open_at and fence:
            found.append(Block(page, open_at, language, mark, tuple(inside)))
            open_at, last_mark = 0, ""
        elif open_at:
            inside.append(line)
        elif fence:
            open_at, language, mark, inside = number, fence["language"], last_mark, []
        elif line.strip():
            known = _MARK.match(line)
            last_mark = known["mark"] if known else ""
    assert not open_at, f"{page}:{open_at}: the block is never closed"
    return found


def links(page: Path) -> list[str]:
    """The targets of all links and images outside code."""
    text = re.sub(r"^```.*?^```\s*$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [match["target"] for match in _LINK.finditer(re.sub(r"`[^`\n]*`", "", text))]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.+?) *$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-") for heading in headings}
