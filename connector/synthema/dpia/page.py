"""An assessment as a page to print: the four sections of the CNIL method, risk maps, gates and their standing.

The page is whole in itself: no script, no picture or type from elsewhere. What colour says, words say too.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from synthema.clock import to_text
from synthema.dpia.check import Evidence, judge_gate
from synthema.dpia.conformance import Conformance
from synthema.dpia.heatmap import risk_map, shade
from synthema.dpia.model import CORE, PEOPLE, Dpia, Gate, Measure
from synthema.dpia.parts import PHASES, SIGNS, Phase, spelled
from synthema.dpia.terms import in_words

CONTEXT: Final = (
    ("description", "Which processing is assessed"),
    ("responsibilities", "Who is responsible"),
    ("standards", "Which standards apply"),
    ("data", "Which data are processed"),
    ("life_cycle", "The life cycle of data and processes"),
    ("assets", "The systems that support them"),
)
NECESSITY: Final = (
    ("necessity", "Why the processing is necessary"),
    ("proportionality", "Why it is proportionate"),
    ("purposes", "Purposes: specified, explicit and legitimate"),
    ("lawfulness", "Legal basis"),
    ("minimisation", "Data minimisation"),
    ("accuracy", "Accuracy"),
    ("storage", "Storage limitation"),
)
RIGHTS: Final = (
    ("information", "Information"),
    ("consent", "Consent"),
    ("access", "Access and portability"),
    ("rectification", "Rectification and erasure"),
    ("objection", "Restriction and objection"),
    ("processors", "Processors"),
    ("transfers", "Transfers out of the Union"),
)
PHASE_WORDS: Final[dict[Phase, str]] = {
    "pre-run": "before a run computes",
    "in-run": "during a run",
    "pre-release": "before a release",
    "post-release": "after a release, again and again",
}


def page(
    dpia: Dpia,
    at: datetime,
    *,
    conformance: Conformance | None = None,
    figures: Mapping[str, Evidence] | None = None,
    state: str = "",
    signed_by: tuple[str, ...] = (),
) -> str:
    """The page as HTML. With what a connector knows of it, it says what holds ``at`` a moment; else what is planned."""
    environment = Environment(
        loader=PackageLoader("synthema.dpia"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"named": in_words, "spelled": spelled}
    return environment.get_template("assessment.html").render(
        dpia=dpia,
        at=to_text(at)[:16].replace("T", " "),
        state=state,
        signed_by=signed_by,
        context=CONTEXT,
        necessity=NECESSITY,
        rights=RIGHTS,
        phases=[(phase, PHASE_WORDS[phase], _gate_rows(dpia, phase, figures or {}, at)) for phase in PHASES],
        maps={when: risk_map(dpia, when, f"map-{when}") for when in ("before", "residual")},
        shade=shade,
        carried=_carried_out,
        plan=_plan_rows(dpia, conformance),
        conformance=conformance,
    )


def _gate_rows(dpia: Dpia, phase: Phase, figures: Mapping[str, Evidence], at: datetime) -> list[dict[str, Any]]:
    return [
        {"gate": gate, "bound": _bound(dpia, gate)} | _standing(dpia, gate, figures.get(gate.metric), at)
        for gate in dpia.gates
        if gate.phase == phase
    ]


def _bound(dpia: Dpia, gate: Gate) -> str:
    metric = dpia.metric(gate.metric)
    end = "" if gate.bound == "value" else f"{gate.bound} end "
    unit = "" if metric.unit in ("share", "index", "level") else f" {metric.unit}"
    return f"{end}{SIGNS[gate.operator]} {gate.threshold:g}{unit}"


def _standing(dpia: Dpia, gate: Gate, figure: Evidence | None, at: datetime) -> dict[str, str]:
    """The word, the sign and the sentence for where a gate stands by the last figure measured."""
    if not gate.confirmed_by_site:
        return {"word": "to be confirmed", "sign": "?", "tone": "wait", "detail": "no threshold is in force yet"}
    if figure is None:
        return {"word": "not measured yet", "sign": "–", "tone": "wait", "detail": "measured in each run"}
    age = (at - figure.measured_at).days
    last = f"last measured {figure.value:.4g} on {figure.n} records, {age} days ago, in {figure.source}"
    (result,) = judge_gate(dpia, gate, [figure], figure.measured_at)
    if result.passed:
        return {"word": "passed", "sign": "✓", "tone": "good", "detail": last}
    return {"word": "not passed", "sign": "✗", "tone": "bad", "detail": f"{last}; {result.sentence}"}


def _carried_out(measure: Measure) -> str:
    if measure.plugin is not None:
        return f"plugin {measure.plugin} ({measure.capability})"
    return "people" if measure.capability == PEOPLE else f"the connector ({measure.capability.removeprefix(CORE)})"


def _plan_rows(dpia: Dpia, conformance: Conformance | None) -> list[dict[str, Any]]:
    found = {} if conformance is None else {f.subject: f for f in conformance.findings if f.kind == "plan"}
    rows = []
    for item in dpia.plan:
        finding = found.get(item.id)
        word, tone = ("open", "wait") if finding is None or finding.due is not None else ("done", "good")
        if finding is not None and not finding.holds:
            word, tone = "overdue", "bad"
        rows.append({"item": item, "word": word, "tone": tone, "sign": {"done": "✓", "overdue": "✗"}.get(word, "–")})
    return rows
