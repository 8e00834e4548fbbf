"""One small story that holds every kind of item, with hostile text wherever text can stand."""

from __future__ import annotations

from synthema.report import (
    Actor,
    BudgetLine,
    BudgetPlot,
    Chapter,
    Check,
    Checks,
    Code,
    Decision,
    GraphEdge,
    GraphNode,
    Marginal,
    MarginalsPlot,
    Outcome,
    ProvenanceGraph,
    Reason,
    ReceivedVectorPlot,
    Story,
    SurvivalPlot,
    SurvivalSeries,
    Table,
)

HOSTILE = "<script>alert(\"x\")</script><img src='https://evil.example/x' onerror=x>]]>&amp;{{ 7 * 7 }}"

SURVIVAL = SurvivalPlot(
    "Survival " + HOSTILE,
    (
        SurvivalSeries("A " + HOSTILE, "real", (1.0, 5.0), (0.9, 0.5)),
        SurvivalSeries("A " + HOSTILE, "synthetic", (1.0, 6.0), (0.8, 0.4)),
    ),
    alt="Two falling curves " + HOSTILE,
    time_unit=HOSTILE,
    outcome=HOSTILE,
)
MARGINALS = MarginalsPlot("Shares", (Marginal(HOSTILE, ("F", HOSTILE), (0.5, 0.5), (0.4, 0.6)),), alt="Even bars")
RECEIVED = ReceivedVectorPlot("Received", (10, 12, 9, 11), "Flat", test=HOSTILE, statistic=0.4, p_value=0.9)
BUDGET = BudgetPlot("Budget", (BudgetLine(HOSTILE, 1.0, 4.0, 1.0), BudgetLine("B", 5.0, 4.0)), alt="A quarter spent")
GRAPH = ProvenanceGraph(
    "Origin",
    (
        GraphNode("d", "Dataset " + HOSTILE, HOSTILE),
        GraphNode("r", "Run", "Run", "activity"),
        GraphNode("p", "DPO", "Person", "agent"),
    ),
    (GraphEdge("d", "r", HOSTILE), GraphEdge("p", "r"), GraphEdge("r", "unknown")),
    alt="A dataset leads to a run",
)
DECISION = Decision(
    "Use " + HOSTILE,
    "deny",
    (HOSTILE,),
    (Reason(HOSTILE, "rule", "L0", "EHDS 54(c)"),),
    ("Change the purpose",),
    ("Delete within 6 months",),
    "sha256:00",
)
CHECKS = Checks("Checks", (Check("Schema", ok=True), Check("Digest", ok=False, reason=HOSTILE, fix="ask again")))

STORY = Story(
    "Story " + HOSTILE,
    "Subtitle",
    (Actor(HOSTILE, "site", "did:web:a.example"),),
    (
        Chapter("First " + HOSTILE, (HOSTILE,), (DECISION, CHECKS)),
        Chapter("Plots", (), (SURVIVAL, MARGINALS, RECEIVED, BUDGET, GRAPH)),
        Chapter(
            "Rest",
            (),
            (
                Table("Table", ("a", "b"), ((HOSTILE, 1.5), ("x", None)), HOSTILE),
                Code.json("Certificate", {"k": HOSTILE, "lines": "a\n\n\nb"}),
                Outcome(HOSTILE, shown=True),
            ),
        ),
    ),
    made="21 November 2026",
)
