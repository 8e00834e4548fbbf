"""The report of an evaluation stands alone, says what its plots show, and holds limits against the worse end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from html.parser import HTMLParser
from typing import Any

import pytest

from synthema.report import Checks, Item, Story, Table, evaluation_story, render_evaluation_report
from synthema.report.model import MarginalsPlot, RocPlot, SurvivalPlot
from synthema.report.plots import table_of
from synthema.vocabulary import spaced
from tests.unit.report.stories import HOSTILE


def metric(name: str, value: float, lower: float | None = None, upper: float | None = None) -> dict[str, Any]:
    return {"id": name, "value": value, "n": 100, "lower": lower, "upper": upper, "control": 0.5, "definition": name}


ROC = {"falsePositives": [0.001, 0.01, 0.1, 1.0], "truePositives": [0.0, 0.03, 0.2, 1.0]}
CURVE = {"unit": "mo", "times": [0.0, 6.0, 12.0], "real": [1.0, 0.8, 0.6], "synthetic": [1.0, 0.7, 0.6],
         "realLower": [1.0, 0.7, 0.5], "realUpper": [1.0, 0.9, 0.7], "distance": 0.033}  # fmt: skip
EVIDENCE: dict[str, Any] = {
    "format": "synthema-evaluation/1",
    "made": "2026-01-01T00:00:00Z",
    "plugin": {"name": "evaluation", "version": "0.1.0", "digest": "sha256:1", "parameters": {"seed": 0}},
    "codebook": {"id": "b", "version": "1", "title": HOSTILE, "digest": "sha256:2"},
    "generator": {"name": "trees", "version": "0.1.0", "digest": "sha256:3", "shadows": 32},
    "tables": {name: {"rows": 100, "digest": "sha256:4"} for name in ("training", "held out", "synthetic")},
    "metrics": [
        metric("shadowMembershipAUC", 0.52, 0.50, 0.54),
        metric("membershipAUC", 0.54, 0.48, 0.60),
        metric("identityDisclosureRisk", 0.05, 0.04, 0.08),
        metric("ruleViolations", 0.0, 0.0, 0.004),
        metric("knowledgeReproduced", 0.9, 0.8, 1.0),
        metric("someNewFigure", 0.1),
    ],
    "series": {
        "marginals": {
            "sex": {"labels": ["F", HOSTILE], "real": [0.5, None], "synthetic": [0.5, 0.5]},
            "age": {"labels": ["18–40", "40–110"], "real": [0.2, 0.8], "synthetic": [0.4, 0.6]},
        },
        "correlation": {"variables": ["a", "b", "c"], "difference": [[0, 0.1, 0.3], [0.1, 0, 0.0], [0.3, 0.0, 0]]},
        "composites": {
            "clinicalSyntheticFidelity": {
                "variables": ["a", "b"],
                "parts": {"marginals": 0.9, "pairs": 0.8, "correlations": 0.7},
            }
        },
        "survival": {"overall": CURVE},
        "hazards": {
            "outcome": "overall",
            "covariates": [{"label": "age", "real": [1.5, 1.2, 1.9], "synthetic": [1.4, 1.1, 1.8]}],
        },
        "attacks": {"shadows": {"roc": {"LiRA": ROC}}, "membership": {"roc": {"density ratio": ROC}}},
        "rules": {"order": {"synthetic": 0.0, "real": None}},
        "knowledge": {
            "checks": [
                {"id": "x", "sentence": "Older patients die earlier.", "source": "Blood 2009;113:3666", "checked": True,
                 "scale": "log", "verdict": "reproduced",
                 "says": "The real data show it; the synthetic data show it.", "real": [0.5, 0.4, 0.6], "heldOut": None,
                 "synthetic": [0.4, 0.3, 0.5]},
            ]
        },
    },
    "notes": ["Only a note."],
}  # fmt: skip


class _Tags(HTMLParser):
    """The elements of a page, and what they point to."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.targets += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action")]


def items(story: Story) -> Iterator[Item]:
    for chapter in story.chapters:
        yield from chapter.items


def one(kind: type[Any], title: str, story: Story) -> Any:
    (found,) = [item for item in items(story) if isinstance(item, kind) and title in item.title]
    return found


@pytest.fixture(scope="module")
def page() -> str:
    return render_evaluation_report(EVIDENCE)


def test_the_page_asks_nobody_for_anything_and_runs_nothing(page: str) -> None:
    seen = _Tags()
    seen.feed(page)
    assert "default-src 'none'" in page
    assert not seen.names & {"script", "link", "iframe", "object", "embed", "img", "image"}
    assert all(target.startswith("#") for target in seen.targets)
    assert not re.search(r"@import|url\((?!#)", page)


def test_every_drawing_has_words_and_a_table(page: str) -> None:
    drawings = re.findall(r'<div class="drawing" role="img" aria-label="([^"]+)"', page)
    assert len(drawings) == page.count("<figure") == page.count("The same as a table") == 5
    assert any("by 0.30, is that of a and c" in words for words in drawings)
    assert any("overall: 0.033" in words for words in drawings)
    assert any("3.0 % by LiRA, 3.0 % by density ratio" in words for words in drawings)


def test_limits_are_held_against_the_worse_end_but_a_rule_against_its_share() -> None:
    checks = one(Checks, "Suggested limits", evaluation_story(EVIDENCE)).checks
    verdicts = {re.search(r"of ([\w ]+),", check.title)[1]: check.ok for check in checks}  # type: ignore[index]
    assert verdicts == {
        "shadow membership AUC": True,
        "membership AUC": False,
        "identity disclosure risk": True,
        "rule violations": True,
    }
    assert all(check.ok or check.fix for check in checks)


def test_figures_are_named_in_words() -> None:
    story = evaluation_story(EVIDENCE)
    assert story.made == "Made on 1 January 2026 at 00:00 (UTC)"
    assert {row[0] for row in one(Table, "Attacks", story).rows} >= {"shadow membership AUC", "membership AUC"}
    assert spaced("clinicalSyntheticFidelity") == "clinical synthetic fidelity"
    assert spaced("membershipTPRStrict") == "membership TPR strict"


def test_what_was_left_out_is_shown_as_left_out() -> None:
    story = evaluation_story(EVIDENCE)
    plot = one(MarginalsPlot, "Shares", story)
    assert [marginal.label for marginal in plot.marginals] == ["age", "sex"]  # the furthest apart first
    assert ("sex", HOSTILE, None, 0.5) in table_of(plot).rows
    assert one(Table, "Each rule", story).rows == (("order", 0.0, None),)


def test_findings_stand_with_their_sources() -> None:
    (row,) = one(Table, "Published knowledge", evaluation_story(EVIDENCE)).rows
    assert row[:2] == ("Older patients die earlier.", "The real data show it; the synthetic data show it.")
    assert row[2:4] == ("0.50 (0.40 to 0.60)", None)
    assert row[-2:] == ("Blood 2009;113:3666", "checked")


def test_a_figure_nobody_foresaw_is_shown_too() -> None:
    story = evaluation_story(EVIDENCE)
    assert [row[0] for row in one(Table, "Further figures", story).rows] == ["some new figure"]


def test_curves_without_a_band_and_evaluations_without_series_are_drawn() -> None:
    story = evaluation_story(EVIDENCE)
    assert one(SurvivalPlot, "Survival", story).series[1].lower == ()
    bare = deepcopy(EVIDENCE) | {"series": {"attacks": {}}, "generator": None}
    assert not [item for item in items(evaluation_story(bare)) if isinstance(item, SurvivalPlot | RocPlot)]
    render_evaluation_report(bare)
