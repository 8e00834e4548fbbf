from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from synthema.dpia import Dpia, confirm_gates, examine, load_dpia, measured
from synthema.dpia.conformance import Circumstances
from synthema.dpia.heatmap import alternative, risk_map
from synthema.dpia.page import page
from synthema.resources import bundled

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
VOID = {"meta", "br", "rect", "link"}


class Reader(HTMLParser):
    """Elements with their attributes, and whether each one opened is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def dpia() -> Dpia:
    return load_dpia(bundled("legal") / "dpia" / "synthetic-data.yaml")


@pytest.fixture(scope="module")
def text(dpia: Dpia) -> str:
    return page(dpia, NOW)


def test_the_four_sections_of_the_cnil_method_are_there_and_filled(text: str, dpia: Dpia) -> None:
    headings = re.findall(r"<h2 id=\"\w+\">(.*?)</h2>", text)
    assert headings == ["1. Context", "2. Fundamental principles", "3. Risks", "4. Validation"]
    for said in (dpia.processing.life_cycle, dpia.principles.objection, dpia.opinion.text, dpia.views.text):
        assert said[:60].replace("'", "&#39;") in text
    for risk in dpia.risks:
        assert f". {risk.id}</h4>" in text
    for event in ("Illegitimate access", "Unwanted modification", "Disappearance"):
        assert f"<h3>{event}" in text


def test_the_page_is_accessible_and_whole_in_itself(text: str) -> None:
    reader = Reader(text)
    assert reader.open == []
    tags = [tag for tag, _ in reader.elements]
    assert dict(reader.elements)["html"]["lang"] == "en"
    assert tags.count("h1") == tags.count("main") == 1
    assert not {"script", "img", "iframe", "object", "link"} & set(tags)
    assert not [
        v for _, a in reader.elements for k, v in a.items() if k in ("src", "href") and not str(v).startswith("#")
    ]
    assert all(attrs.get("scope") in ("row", "col") for tag, attrs in reader.elements if tag == "th")
    assert tags.count("table") == tags.count("caption")
    ids = [attrs["id"] for _, attrs in reader.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    levels = [int(tag[1]) for tag in tags if re.fullmatch(r"h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert "url(" not in text
    for _, attrs in (element for element in reader.elements if element[0] == "svg"):
        assert attrs["role"] == "img"
        assert set(str(attrs["aria-labelledby"]).split()) <= set(ids)


def test_words_have_enough_contrast(text: str) -> None:
    backgrounds = set(re.findall(r"(?:background: |fill=\")(#[0-9a-f]{6})", text)) - {"#1b1b1b"}
    assert len(backgrounds) > 5
    for background in backgrounds:
        for ink in ("#1b1b1b", "#4a4a4a"):
            if ink == "#1b1b1b" or background != "#d79a86":  # on the map there is black ink only
                assert _contrast(ink, background) >= 4.5, (ink, background)


def _contrast(one: str, other: str) -> float:
    def light(colour: str) -> float:
        parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        red, green, blue = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_gates_say_in_words_how_they_stand(dpia: Dpia, text: str) -> None:
    assert text.count("to be confirmed</span>") == len(dpia.gates)
    confirmed = confirm_gates(dpia)
    figures = {
        "membershipAUC": measured(
            "membershipAUC", 0.9, 200, NOW - timedelta(days=3), "urn:r:1", lower=0.85, upper=0.95
        ),
        "cohortSize": measured("cohortSize", 120, 120, NOW - timedelta(days=3), "urn:r:1"),
    }
    shown = page(confirmed, NOW, figures=figures, conformance=examine(confirmed, Circumstances(), NOW), state="active")
    assert "✗</span> not passed" in shown
    assert "✓</span> passed" in shown
    assert "3 days ago, in urn:r:1" in shown
    assert "– not measured yet" in re.sub(r"</?span[^>]*>", "", shown)
    assert "Not conformant." in shown
    assert "is not installed" in shown


def test_texts_cannot_break_out_of_the_page(dpia: Dpia) -> None:
    evil = dpia.model_copy(update={"title": "<script>alert(1)</script>\"'&"})
    assert "<script>" not in page(evil, NOW)


def test_the_map_has_a_text_that_says_the_same(dpia: Dpia) -> None:
    drawn = risk_map(dpia, "before", "m")
    assert drawn.count("<rect") == 16
    said = alternative(dpia, "before")
    for number, risk in enumerate(dpia.risks, 1):
        assert f"{number} {risk.id}: {risk.before.words}" in said
        assert str(number) in drawn
    assert alternative(dpia, "residual") != said
