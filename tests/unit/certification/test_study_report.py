"""The report of a study: read strictly, how few patients it shows, and what it looks like to people."""

from __future__ import annotations

from typing import Any

import pytest

from synthema.canonical import canonical_json
from synthema.certification import StudyReport, read_document, read_study_report
from synthema.errors import InputError
from synthema.report import render_study_report, study_story

DIGEST = "sha256:" + "0" * 64
HUB = "did:web:hub.example"
SITES = [f"did:web:site{number}.example" for number in range(3)]


def figure(name: str, value: float, n: int, **more: Any) -> dict[str, Any]:
    plain = {"id": name, "value": value, "n": n, "lower": None, "upper": None, "control": None, "definition": name}
    return plain | more


def document(**changes: Any) -> dict[str, Any]:
    return {
        "kind": "synthema-study-report-1",
        "study": "study-1",
        "plan": DIGEST,
        "title": "A report <b>",
        "purpose": "health research",
        "action": "query aggregate",
        "coordinator": HUB,
        "sites": SITES,
        "fewestSites": 3,
        "rounds": 1,
        "transcript": DIGEST,
        "algorithm": {"name": "statistics", "version": "0.1.0", "digest": DIGEST},
        "parameters": {"fewest": 10},
        "fields": ["sex"],
        "privacy": None,
        "figures": {"metrics": [figure("mean", 1.5, 120)], "series": {}, "notes": ["A note."]},
    } | changes


def report(**figures: Any) -> StudyReport:
    return read_document(StudyReport, document(figures={"metrics": [], "series": {}, "notes": []} | figures))


def test_the_smallest_count_is_looked_for_wherever_patients_are_counted() -> None:
    metrics = [figure("mean", 1.5, 120), figure("groupSize", 31.0, 120), figure("groupSize", 0.0, 120)]
    assert report(metrics=metrics).smallest_count == 31
    counted = {"counts:sex": [{"value": "F", "patients": 12}, {"value": "M", "patients": None}]}
    assert report(metrics=metrics, series=counted).smallest_count == 12
    table = {"table:a": {"rows": ["x"], "columns": ["y"], "patients": [[None, 11], [14, 0]]}}
    assert report(metrics=metrics, series=counted | table).smallest_count == 11
    assert report(metrics=[figure("mean", 1.5, 0)]).smallest_count == 0
    noisy = {"counts:sex": [{"value": "F", "patients": 12}, {"value": "not recorded", "patients": -4}]}
    assert report(metrics=metrics, series=noisy).smallest_count == 12


@pytest.mark.parametrize(
    "changes",
    [
        {"sites": SITES[::-1]},
        {"sites": [SITES[0], SITES[0], SITES[1]]},
        {"fewestSites": 4},
        {"figures": {"metrics": [], "series": {}, "notes": []}},
        {"privacy": {"epsilon": 0.0, "delta": 0.0, "rho": 0.0, "sigma": 0.0}},
        {"rows": [{"id": 1}]},
        {"kind": "another"},
    ],
)
def test_what_is_not_exactly_a_report_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        read_study_report(canonical_json(document(**changes)))


def test_only_the_canonical_bytes_are_a_report() -> None:
    content = canonical_json(document())
    assert read_study_report(content).as_bytes() == content
    with pytest.raises(InputError, match="canonical"):
        read_study_report(content + b"\n")
    with pytest.raises(InputError):
        read_study_report(b"{")


CURVES = {
    "survival:overall survival": [
        {"group": "F", "unit": "mo", "before": [10.0, 20.0], "patients": 60,
         "survival": [[0.9, 0.8], [0.85, 0.7], [0.95, 0.9]]},
    ],
    "counts:sex": [{"value": "F", "patients": 60}, {"value": "M", "patients": None}],
    "table:sex by age": {"rows": ["F"], "columns": ["young", "not recorded"], "patients": [[60, None]]},
    "steps": 4,
}  # fmt: skip


def test_the_page_shows_figures_curves_and_protection_and_nothing_from_elsewhere() -> None:
    ratio = figure("hazardRatio", 1.3, 120, lower=1.1, upper=1.6, definition="sex: M against F")
    found = report(metrics=[figure("mean", 1.5, 120), ratio], series=CURVES)
    page = render_study_report(found, DIGEST, {HUB: "The hub"}, "2026-11-22")
    assert page.count("<svg") == 2
    for words in ("Figures of 3 sites together", "The hub", "no differential privacy is promised", "sex: M against F"):
        assert words in page
    assert "<script" not in page
    assert "A report <b>" not in page  # what others wrote is escaped
    without = study_story(found, DIGEST, {}, drawn=False)
    assert all(item.kind != "plot" for chapter in without.chapters for item in chapter.items)


def test_a_series_of_another_form_is_shown_as_it_is() -> None:
    odd = {"survival:overall survival": "what", "counts:sex": [1], "table:x": {"rows": []}}
    page = render_study_report(report(metrics=[figure("mean", 1.5, 120)], series=odd), DIGEST, {})
    assert "Further results of the analysis" in page
