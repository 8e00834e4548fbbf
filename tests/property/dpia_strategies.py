"""Impact assessments as hypothesis makes them: whole from risk to gate, with odd texts, levels and dates."""

from __future__ import annotations

from datetime import date
from typing import Any

from hypothesis import strategies as st

from synthema.dpia import Dpia
from synthema.dpia.model import Principles
from synthema.dpia.parts import FITTING, WORSE_END
from synthema.dpia.terms import known_measures, known_risks

texts = st.text(min_size=1, max_size=40, alphabet=st.characters(exclude_categories=("Cs", "Cc", "Cn"))).filter(
    str.strip
)
remarks = st.one_of(st.just(""), texts)
ids = st.from_regex(r"[a-z][a-z0-9-]{0,11}", fullmatch=True)
metric_ids = st.from_regex(r"[a-z][A-Za-z0-9]{0,11}", fullmatch=True)
dates = st.dates(date(2020, 1, 1), date(2040, 1, 1))
names = st.sets(st.sampled_from(["syn:synthesise", "syn:analyse", "dpv:Use", "odrl:use", "eu-ehds:X"]), min_size=1)
units = st.sampled_from(["share", "index", "patients", "records", "parties", "epsilon", "level", "days", "months"])
populations = st.sampled_from(["cohort", "training patients", "synthetic records", "the run", "releases"])
numbers = st.floats(-1e6, 1e6, allow_nan=False)
durations = st.sampled_from(["PT1H", "P1D", "P30D", "P365D", "PT90M"])
digests = st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True)


def _lines(text: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(text, min_size=1, max_size=3).map("\n".join)


@st.composite
def levels(draw: st.DrawFn) -> tuple[dict[str, int], dict[str, Any]]:
    """A level before measures, and one that is not greater after them."""
    severity, likelihood = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    after = {"severity": draw(st.integers(1, severity)), "likelihood": draw(st.integers(1, likelihood))}
    return {"severity": severity, "likelihood": likelihood}, after | {"sentence": draw(texts)}


@st.composite
def dpias(draw: st.DrawFn) -> Dpia:
    """An assessment that a data protection officer might have written, and some that nobody would."""
    metrics: list[dict[str, Any]] = [
        {
            "id": name,
            "sentence": draw(texts),
            "estimator": draw(texts),
            "population": draw(populations),
            "unit": draw(units),
            "direction": draw(st.sampled_from(sorted(FITTING))),
            "confidence": draw(st.one_of(st.none(), st.floats(0.5, 0.99))),
        }
        for name in draw(st.lists(metric_ids, min_size=1, max_size=3, unique=True))
    ]
    measures = [draw(_measure(name, [m["id"] for m in metrics])) for name in draw(_ids())]
    measures[0]["metrics"] = [metrics[0]["id"]]
    gates = [draw(_gate(metric, f"gate-{n}")) for n, metric in enumerate([*metrics, metrics[0], metrics[0]])]
    gates[-1]["phase"], gates[-2]["phase"] = "pre-run", "pre-release"
    risks = [draw(_risk(name, [m["id"] for m in measures])) for name in draw(_ids())]
    high = any(r["residual"]["severity"] >= 3 and r["residual"]["likelihood"] >= 3 for r in risks)
    outcome, consultation = draw(_outcome(high=high))
    return Dpia.model_validate(
        {
            "id": draw(ids),
            "version": draw(st.from_regex(r"[0-9][0-9A-Za-z.+-]{0,8}", fullmatch=True)),
            "title": draw(texts),
            "roles": {"author": draw(remarks), "evaluator": draw(remarks), "validator": draw(remarks)},
            "processing": {
                **{
                    name: draw(_lines(texts))
                    for name in ("description", "responsibilities", "standards", "data", "life_cycle", "assets")
                },
                "datasets": draw(st.sets(st.from_regex(r"[a-z]{1,6}", fullmatch=True), min_size=1, max_size=3)),
                "actions": draw(names) | {"syn:synthesise"},
                "purposes": draw(names),
                "data_categories": draw(names),
                "legal_bases": draw(names),
            },
            "principles": {name: draw(texts) for name in Principles.model_fields},
            "views": {
                "sought": draw(st.booleans()),
                "text": draw(texts),
                "with_whom": draw(remarks),
                "on": draw(st.one_of(st.none(), dates)),
            },
            "risks": risks,
            "measures": measures,
            "metrics": metrics,
            "gates": gates,
            "plan": [
                {
                    "id": name,
                    "sentence": draw(texts),
                    "responsible": draw(texts),
                    "due": draw(dates),
                    "measure": draw(st.one_of(st.none(), st.sampled_from([m["id"] for m in measures]))),
                }
                for name in draw(st.lists(ids, max_size=2, unique=True))
            ],
            "outcome": outcome,
            "consultation": consultation,
            "review_due": draw(dates),
            "triggers": [
                {"id": name, "sentence": draw(texts)} for name in draw(st.lists(ids, max_size=2, unique=True))
            ],
            "opinion": {"given_on": draw(dates), "favourable": draw(st.booleans()), "text": draw(texts)},
            "notes": [{"about": draw(texts), "text": draw(_lines(texts))} for _ in range(draw(st.integers(0, 2)))],
        }
    )


def _ids() -> st.SearchStrategy[list[str]]:
    return st.lists(ids, min_size=1, max_size=3, unique=True)


@st.composite
def _measure(draw: st.DrawFn, name: str, metrics: list[str]) -> dict[str, Any]:
    by_plugin = draw(st.booleans())
    return {
        "id": name,
        "type": draw(st.sampled_from(sorted(known_measures()))),
        "kind": draw(st.sampled_from(["technical", "organisational"])),
        "sentence": draw(texts),
        "capability": "evaluate" if by_plugin else draw(st.sampled_from(["people", "core:runs", "core:budget"])),
        "plugin": "evaluation" if by_plugin else None,
        "plugin_digest": draw(st.one_of(st.none(), digests)) if by_plugin else None,
        "metrics": sorted(draw(st.sets(st.sampled_from(metrics)))),
    }


@st.composite
def _gate(draw: st.DrawFn, metric: dict[str, Any], name: str) -> dict[str, Any]:
    direction = metric["direction"]
    return {
        "id": name,
        "metric": metric["id"],
        "operator": draw(st.sampled_from(sorted(FITTING[direction]))),
        "threshold": draw(numbers),
        "bound": draw(st.sampled_from(["value", WORSE_END[direction]])),
        "phase": draw(st.sampled_from(["pre-run", "in-run", "pre-release", "post-release"])),
        "evidence": draw(st.sampled_from(["syn:EvaluationReport", "syn:CohortCount", "https://example.org/kind#x"])),
        "maximum_age": draw(durations),
        "minimum_n": draw(st.integers(1, 500)),
        "rationale": draw(texts),
        "confirmed_by_site": draw(st.booleans()),
    }


@st.composite
def _risk(draw: st.DrawFn, name: str, measures: list[str]) -> dict[str, Any]:
    before, after = draw(levels())
    return {
        "id": name,
        "type": draw(st.sampled_from(sorted(known_risks()))),
        "feared_event": draw(st.sampled_from(["illegitimate access", "disappearance", "other"])),
        "sentence": draw(texts),
        "impacts": draw(remarks),
        "sources": draw(remarks),
        "threats": draw(remarks),
        "affects": ["syn:synthesise"] if draw(st.booleans()) else [],
        "before": before,
        "measures": sorted({measures[0], draw(st.sampled_from(measures))}),
        "residual": after,
    }


@st.composite
def _outcome(draw: st.DrawFn, *, high: bool) -> tuple[str, dict[str, Any] | None]:
    bad = ["DPIAOutcomeHighResidualRisk", "DPIAOutcomeDPAConsultation"]
    outcome = draw(st.sampled_from(bad if high else ["DPIAOutcomeRisksMitigated", "DPIAOutcomeRisksAcceptable", *bad]))
    if outcome != "DPIAOutcomeDPAConsultation" or draw(st.booleans()):
        return outcome, None
    days = sorted([draw(dates), draw(dates)])
    return outcome, {
        "reference": draw(texts),
        "submitted_on": days[0],
        "answered_on": days[1],
        "permits": draw(st.booleans()),
        "advice": draw(texts),
    }
