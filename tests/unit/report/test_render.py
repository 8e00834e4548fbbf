from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from synthema.errors import InputError
from synthema.report import Chapter, Outcome, Story, Table, render
from synthema.report.render import cell_text
from tests.unit.report.stories import HOSTILE, STORY

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Reader(HTMLParser):
    """Collects tags, and checks that every element is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def html() -> str:
    return render(STORY)


@pytest.fixture(scope="module")
def page(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader


def test_the_page_is_well_formed(page: Reader) -> None:
    assert page.open == []


def test_nothing_is_fetched_from_anywhere(html: str, page: Reader) -> None:
    for tag, attributes in page.tags:
        assert tag not in {
            "script",
            "link",
            "img",
            "iframe",
            "object",
            "embed",
            "base",
            "form",
            "image",
            "foreignobject",
        }
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name != "style"
            if name in {"src", "href", "xlink:href", "srcset", "action", "data"}:
                assert value is not None
                assert value.startswith("#")
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", html))
    assert "@import" not in html


def test_the_security_policy_allows_only_the_one_style_sheet(html: str, page: Reader) -> None:
    policy = next(
        a["content"] for t, a in page.tags if t == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    )
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'"


def test_hostile_text_is_shown_as_text(html: str, page: Reader) -> None:
    assert "<script" not in html
    assert "<img" not in html
    assert "49" not in "".join(t for t in page.text if "7 * 7" in t)
    assert any(HOSTILE in text for text in page.text)


def test_every_drawing_has_words_and_a_table(html: str, page: Reader) -> None:
    drawings = [attributes for tag, attributes in page.tags if attributes.get("role") == "img" and tag == "div"]
    assert len(drawings) == 5
    assert all(drawing["aria-label"] for drawing in drawings)
    for figure in re.findall(r"<figure.*?</figure>", html, re.DOTALL):
        assert "<details>" in figure
        assert "<table>" in figure


def test_headings_do_not_skip_a_level(page: Reader) -> None:
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_ids_are_unique(page: Reader) -> None:
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_drawings_are_valid_xml(html: str) -> None:
    drawings = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert len(drawings) == 5
    for drawing in drawings:
        assert ET.fromstring(drawing).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 - our own drawing


def test_the_same_story_gives_the_same_bytes(html: str) -> None:
    assert render(STORY) == html


def test_code_keeps_its_text(page: Reader) -> None:
    assert any('"lines": "a\\n\\n\\nb"' in text for text in page.text)


def test_an_outcome_says_whether_it_was_shown() -> None:
    html = render(Story("s", chapters=(Chapter("c", items=(Outcome("A", shown=True), Outcome("B", shown=False))),)))
    assert html.index("SHOWN</strong> A") < html.index("NOT SHOWN</strong> B")


def test_checks_are_counted(html: str) -> None:
    assert "1 of 2 checks failed." in html
    assert "What to do: ask again" in html


def test_a_table_with_a_short_row_is_refused() -> None:
    with pytest.raises(InputError, match="wrong length"):
        Table("T", ("a", "b"), (("x",),))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (True, "yes"),
        (False, "no"),
        (1384, "1384"),
        (123456, "123\u202f456"),
        (0.123456, "0.1235"),
        ("x", "x"),
    ],
)
def test_cells_are_written_for_people(value: str | float | bool | None, text: str) -> None:
    assert cell_text(value) == text


def test_columns_of_numbers_are_aligned() -> None:
    table = Table("T", ("a", "b", "c", "d"), ((1, 0.5, "x", True), (2, None, "y", False)))
    assert table.numeric == (False, True, False, False)
    assert '<th scope="col" class="figure">b</th>' in render(Story("s", chapters=(Chapter("c", items=(table,)),)))
