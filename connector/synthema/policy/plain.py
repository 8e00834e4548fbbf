"""Statements with lettered parts, laid out as lines of text, as Markdown, or as a page to print and file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

_ROMAN = ((10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~])")


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence, and the parts or remarks that belong to it.

    ``parts`` are lettered, each by one letter or number: they are what the sentence
    counts. ``remarks`` are sentences of their own about the same thing.
    """

    text: str
    parts: tuple[Statement, ...] = ()
    remarks: tuple[Statement, ...] = ()


@dataclass(frozen=True, slots=True)
class Outline:
    """A title, what is said at the start, the numbered statements, and what is said at the end."""

    title: str
    opening: tuple[Statement, ...]
    numbered: tuple[Statement, ...]
    closing: tuple[Statement, ...] = ()
    record: tuple[tuple[str, str], ...] = ()


def lines(outline: Outline) -> tuple[str, ...]:
    """The outline as lines of text."""
    found = [outline.title]
    for statement in outline.opening:
        found += statement_lines(statement)
    for number, statement in enumerate(outline.numbered, start=1):
        found += _marked(statement, f"{number}. ", "", 0)
    for statement in outline.closing:
        found += statement_lines(statement)
    return tuple(found)


def statement_lines(statement: Statement, indent: str = "", level: int = 0) -> Iterator[str]:
    """A statement without a number of its own as lines of text."""
    yield from _marked(statement, "", indent, level)


def _marked(statement: Statement, mark: str, indent: str, level: int) -> Iterator[str]:
    yield f"{indent}{mark}{statement.text}"
    inner = indent + ("   " if mark else "  ")
    for number, part in enumerate(statement.parts, start=1):
        yield from _marked(part, f"({_letter(number, level)}) ", inner, level + 1)
    for remark in statement.remarks:
        yield from _marked(remark, "", inner if mark else indent, level)


def _letter(number: int, level: int) -> str:
    """(a) within a rule, (i) within that, (1) within that, and so on from the start."""
    match level % 3:
        case 0:
            head, last = divmod(number - 1, 26)
            return ("" if not head else _letter(head, 0)) + chr(ord("a") + last)
        case 1:
            return roman(number)
        case _:
            return str(number)


def roman(number: int) -> str:
    """A small number in Roman numerals: 4 is "iv"."""
    text = ""
    for value, sign in _ROMAN:
        count, number = divmod(number, value)
        text += sign * count
    return text


# ── Markdown ─────────────────────────────────────────────────────────────────────────────────────────────────────


def markdown(outline: Outline) -> str:
    """The outline as Markdown (CommonMark), with a record of what it was made from at the end."""
    text = [f"# {_md(outline.title)}", ""]
    for statement in outline.opening:
        text += [*_md_lines(statement, "", "", 0), ""]
    for number, statement in enumerate(outline.numbered, start=1):
        text += [*_md_lines(statement, f"{number}. ", "", 0), ""]
    for statement in outline.closing:
        text += [*_md_lines(statement, "", "", 0), ""]
    if outline.record:
        text += ["---", ""]
        text += [f"- {_md(name)}: `{value.replace('`', '')}`" for name, value in outline.record]
        text.append("")
    return "\n".join(text)


def _md_lines(statement: Statement, mark: str, indent: str, level: int) -> Iterator[str]:
    yield f"{indent}{mark}{_md(statement.text)}"
    inner = indent + " " * len(mark)
    if statement.parts:
        yield ""
    for number, part in enumerate(statement.parts, start=1):
        # CommonMark letters no lists, so each entry carries its letter.
        yield from _lettered(part, _letter(number, level), inner, level)
    for remark in statement.remarks:
        yield ""
        yield from _md_lines(remark, "", inner, level)


def _lettered(part: Statement, letter: str, indent: str, level: int) -> Iterator[str]:
    whole = list(_md_lines(Statement(f"({letter}) {part.text}", part.parts, part.remarks), "", "", level + 1))
    yield f"{indent}- {whole[0]}"
    yield from (f"{indent}  {line}" if line else "" for line in whole[1:])


def _md(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", text)


# ── a page ───────────────────────────────────────────────────────────────────────────────────────────────────────

_STYLE = """
body { font: 11pt/1.5 Georgia, "Times New Roman", serif; max-width: 42rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } ol { padding-left: 2rem; } li { margin: .3rem 0; }
ol.l0 { list-style-type: lower-alpha; } ol.l1 { list-style-type: lower-roman; } ol.l2 { list-style-type: decimal; }
dl { font-size: .85rem; border-top: 1px solid; padding-top: 1rem; overflow-wrap: anywhere; } dt { font-weight: bold; }
li, p { overflow-wrap: anywhere; } @media print { body { margin: 0; max-width: none; } li { break-inside: avoid; } }
""".strip()


def page(outline: Outline) -> str:
    """The outline as one HTML page without scripts, fonts or pictures from elsewhere, ready to print and file."""
    body = [f"<h1>{escape(outline.title)}</h1>"]
    body += [_html(statement, 0) for statement in outline.opening]
    if outline.numbered:
        body.append("<ol>" + "".join(f"<li>{_inner(statement, 0)}</li>" for statement in outline.numbered) + "</ol>")
    body += [_html(statement, 0) for statement in outline.closing]
    if outline.record:
        entries = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in outline.record)
        body.append(f"<dl>{entries}</dl>")
    head = f'<meta charset="utf-8"><title>{escape(outline.title)}</title><style>{_STYLE}</style>'
    content = "\n".join(body)
    return f'<!doctype html>\n<html lang="en-GB">\n<head>{head}</head>\n<body>\n{content}\n</body>\n</html>\n'


def _html(statement: Statement, level: int) -> str:
    return f"<p>{escape(statement.text)}</p>{_below(statement.parts, statement.remarks, level)}"


def _inner(statement: Statement, level: int) -> str:
    return f"{escape(statement.text)}{_below(statement.parts, statement.remarks, level)}"


def _below(parts: Sequence[Statement], remarks: Sequence[Statement], level: int) -> str:
    entries = "".join(f"<li>{_inner(part, level + 1)}</li>" for part in parts)
    listed = f'<ol class="l{level % 3}">{entries}</ol>' if parts else ""
    return listed + "".join(_html(remark, level) for remark in remarks)
