"""Turns a :class:`Story` into one self-contained HTML file.

The file holds no script and asks no other host for anything; its content
security policy says so to the browser, and names the one style sheet by digest.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import lru_cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from synthema.report.model import Cell, Item, Plot, Story, Table
from synthema.report.plots import draw, table_of


@dataclass(frozen=True, slots=True)
class _Shown:
    """An item with its drawing and the table beside it, where it has them."""

    item: Item
    svg: Markup | None = None
    table: Table | None = None


@dataclass(frozen=True, slots=True)
class _Section:
    number: int
    title: str
    text: tuple[str, ...]
    shown: tuple[_Shown, ...]


def render(story: Story) -> str:
    """The whole report as HTML text in UTF-8.

    Raises :class:`~synthema.errors.InputError` when a plot needs the extra
    ``report`` and it is missing, or when a series is not well formed.
    """
    sections = tuple(
        _Section(
            number,
            chapter.title,
            chapter.text,
            tuple(_show(item, f"p{number}-{place}") for place, item in enumerate(chapter.items, start=1)),
        )
        for number, chapter in enumerate(story.chapters, start=1)
    )
    environment = _environment()
    style = environment.get_template("story.css").render()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.get_template("story.html").render(
        story=story,
        sections=sections,
        style=Markup(style),  # noqa: S704 - our own style sheet
        style_digest=digest,
    )


def _show(item: Item, prefix: str) -> _Shown:
    if isinstance(item, Plot):
        svg = Markup(draw(item, prefix=prefix))  # noqa: S704 - drawn by us; every foreign text in it is escaped
        return _Shown(item, svg, table_of(item))
    return _Shown(item)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("synthema.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = cell_text
    return environment


def cell_text(value: Cell) -> str:
    """A table cell for people: yes or no, four significant digits, a dash for nothing."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value) if abs(value) < 10_000 else f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    if isinstance(value, float):
        return f"{value:.4g}"
    return value
