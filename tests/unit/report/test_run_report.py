from __future__ import annotations

from synthema.report import Actor, Figure, RunReport, Step, render_run_report, run_story
from tests.unit.report.stories import BUDGET, CHECKS, DECISION, GRAPH

MINIMAL = RunReport(
    run="run-1", state="denied", purpose="marketing", dataset="mgus v3", requester=Actor("A", "site"), made="today"
)


def test_what_was_never_reached_is_left_out() -> None:
    assert [chapter.title for chapter in run_story(MINIMAL).chapters] == ["What was asked"]


def test_a_full_run_is_told_in_the_order_it_happened() -> None:
    report = RunReport(
        run="run-1",
        state="released",
        purpose="scientific research",
        dataset="mgus v3",
        requester=Actor("A", "site", "did:web:a.example"),
        made="today",
        chain=("minimise", "marginals"),
        steps=(Step("10:00", "Granted", "single use", 4),),
        decision=DECISION,
        budget=BUDGET,
        gates=CHECKS,
        figures=(Figure("membership AUC", 0.51, 900, 0.48, 0.54, 0.5, "0.5 is chance"),),
        graph=GRAPH,
        documents=(("Grant", {"id": "grant-1"}),),
    )
    titles = [chapter.title for chapter in run_story(report).chapters]
    assert titles == [
        "What was asked",
        "What was decided",
        "What happened",
        "What it cost in privacy",
        "What was measured",
        "Where it comes from",
        "Documents",
    ]
    html = render_run_report(report)
    assert "minimise → marginals" in html
    assert "0.5 is chance" in html
