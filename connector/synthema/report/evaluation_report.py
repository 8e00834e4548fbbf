"""The report of one evaluation, from the JSON that holds its evidence: what was compared, found, attacked and drawn."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from synthema.datasets.codes import unit_words
from synthema.report.model import (
    Chapter,
    Check,
    Checks,
    Code,
    CorrelationPlot,
    ForestPlot,
    HazardRatio,
    Item,
    Marginal,
    MarginalsPlot,
    Roc,
    RocPlot,
    Story,
    SurvivalPlot,
    SurvivalSeries,
    Table,
)
from synthema.report.render import render
from synthema.vocabulary import spaced

FIDELITY: Final = (
    "marginalSimilarity", "pairSimilarity", "correlationDifference", "rareCategoryRetention", "classifierAUC",
    "clinicalSyntheticFidelity", "genomicSyntheticFidelity", "genomicCorrelationDifference",
)  # fmt: skip
SURVIVAL: Final = (
    "survivalDistance", "restrictedMeanDifference", "medianDifference", "competingRisksDistance",
    "hazardRatioCorrelation", "hazardRatioOverlap", "logRankP",
)  # fmt: skip
USE: Final = (
    "concordanceSynthetic", "concordanceReal", "concordanceGap", "aucSynthetic", "aucReal", "aucGap",
    "calibrationError", "groupConcordanceGap", "groupSurvivalDistance",
)  # fmt: skip
PRIVACY: Final = (
    "shadowMembershipAUC", "shadowMembershipTPR", "shadowMembershipTPRStrict", "canaryAUC", "membershipAUC",
    "membershipTPR", "membershipTPRStrict", "outlierMembershipAUC", "singlingOutRisk", "linkabilityRisk",
    "inferenceRisk", "attributeInferenceAdvantage", "identityDisclosureRisk", "copiedRowShare", "smallestClass",
)  # fmt: skip
LOGIC: Final = ("ruleViolations", "knowledgeReproduced")
COMPARISON: Final = ("nearestRecordRatio", "nearestRecordShare")
SHOWN: Final = frozenset({*FIDELITY, *SURVIVAL, *USE, *PRIVACY, *LOGIC, *COMPARISON})
SHOWN_VARIABLES: Final = 12
YARDSTICK: Final = (
    "Held-out patients are the yardstick: a synthetic table is good when it is as far from the training rows as other "
    "real patients are, and safe when an attacker learns no more about those it was made from than about those it was "
    "not."
)
UNCONFIRMED: Final = (
    "The worse end of each 95 % interval is held against its limit. No law sets these numbers: they bind nobody until "
    "a data protection officer has confirmed them in the impact assessment (GDPR Article 35)."
)
COLUMNS: Final = ("Figure", "Value", "95 % from", "to", "Control", "n", "What it means")


@dataclass(frozen=True, slots=True)
class Limit:
    """A suggested limit on the worse end of a figure's interval."""

    metric: str
    most: float
    source: str


SUGGESTED: Final = (
    Limit("shadowMembershipAUC", 0.55, "membership inference with shadow models"),
    Limit("membershipAUC", 0.55, "membership inference"),
    Limit("shadowMembershipTPR", 0.02, "membership inference with shadow models at one per cent of false positives"),
    Limit("membershipTPR", 0.02, "membership inference at one per cent of false positives"),
    Limit("identityDisclosureRisk", 0.09, "identity disclosure (El Emam, Mosquera and Bass 2020)"),
    Limit("ruleViolations", 0.0, "clinical rules"),
)


def render_evaluation_report(evidence: Mapping[str, Any]) -> str:
    """One self-contained HTML file about one evaluation; see :func:`synthema.report.render`."""
    return render(evaluation_story(evidence))


def evaluation_story(evidence: Mapping[str, Any]) -> Story:
    """The chapters of an evaluation, from its evidence as ``synthema evaluate`` writes it."""
    return Story(
        title=f"Evaluation of synthetic data: {evidence['codebook']['title']}",
        subtitle="Measured against real patients the generator learned from, and real patients it never saw",
        chapters=tuple(_chapters(evidence)),
        made=f"Made on {datetime.fromisoformat(evidence['made']):%-d %B %Y at %H:%M} (UTC)",
    )


def _chapters(evidence: Mapping[str, Any]) -> Iterator[Chapter]:
    figures = {str(metric["id"]): metric for metric in evidence["metrics"]}
    series: Mapping[str, Any] = evidence["series"]
    yield Chapter(
        "What was compared",
        (
            YARDSTICK,
            *map(_plain, evidence["notes"]),
        ),
        (_compared(evidence),),
    )
    yield Chapter(
        "Suggested limits",
        (UNCONFIRMED,),
        (_limits(figures),),
    )
    yield Chapter("Is it like the real table?", items=tuple(_fidelity(figures, series)))
    yield Chapter("Do patients fare alike?", items=tuple(_survival(figures, series)))
    yield Chapter("Can one learn from it, for every group?", items=tuple(_use(figures, series)))
    yield Chapter("Can it be attacked?", items=tuple(_attacked(figures, series)))
    yield Chapter("Does it obey clinical rules, and show what is known?", items=tuple(_logic(figures, series)))
    others = tuple(name for name in figures if name not in SHOWN)
    if others:
        yield Chapter("Further figures", items=(_figures("Further figures", figures, others),))
    yield Chapter("The evidence", items=(Code.json("All figures and series as JSON", dict(evidence)),))


def _compared(evidence: Mapping[str, Any]) -> Table:
    rows = [(name, table["rows"], table["digest"]) for name, table in evidence["tables"].items()]
    plugin, book = evidence["plugin"], evidence["codebook"]
    rows.append((f"Evaluator {plugin['name']} {plugin['version']}", None, plugin["digest"]))
    rows.append((f"Codebook {book['id']} {book['version']}", None, book["digest"]))
    if evidence.get("generator"):
        maker = evidence["generator"]
        rows.append((f"Generator {maker['name']} {maker['version']}", None, maker["digest"]))
    return Table("Tables and programs", ("What", "Rows", "Digest"), tuple(rows))


def _limits(figures: Mapping[str, Any]) -> Checks:
    checks = []
    for limit in SUGGESTED:
        if limit.metric not in figures:
            continue
        metric = figures[limit.metric]
        # a share of zero has an upper bound above zero: a rule that may never break is held against the share itself
        worse = metric["value"] if limit.most == 0 or metric["upper"] is None else metric["upper"]
        end = "share" if limit.most == 0 else "upper end"
        checks.append(
            Check(
                f"{limit.source}: the {end} of {spaced(limit.metric)}, {worse:.3g}, is at most {limit.most:g}",
                ok=worse <= limit.most,
                note=f"n {metric['n']}",
                fix=""
                if worse <= limit.most
                else "hold more patients out if the interval is wide; else spend less "
                "privacy loss, or choose another generator",
            )
        )
    return Checks("Suggested limits", tuple(checks))


def _figures(title: str, figures: Mapping[str, Any], names: tuple[str, ...], note: str = "") -> Table:
    rows = tuple(
        (spaced(name), m["value"], m["lower"], m["upper"], m["control"], m["n"], _plain(m["definition"]))
        for name in names
        if name in figures
        for m in (figures[name],)
    )
    return Table(title, COLUMNS, rows, note)


def _plain(text: str) -> str:
    """A sentence that speaks of figures by the names that they have in the tables."""
    return re.sub(r"\b[a-z]+[A-Z]\w*", lambda found: spaced(found[0]) if found[0] in SHOWN else found[0], text)


def _fidelity(figures: Mapping[str, Any], series: Mapping[str, Any]) -> Iterator[Item]:
    yield _figures("Likeness", figures, FIDELITY)
    marginals = [
        Marginal(name, tuple(values["labels"]), tuple(values["real"]), tuple(values["synthetic"]))
        for name, values in series.get("marginals", {}).items()
    ]
    if marginals:
        marginals.sort(key=_apart, reverse=True)
        yield MarginalsPlot(
            f"Shares of values: the {min(len(marginals), SHOWN_VARIABLES)} variables that differ most",
            tuple(marginals[:SHOWN_VARIABLES]),
            f"Real and synthetic shares side by side, most apart in {marginals[0].label}; real shares of fewer than "
            "five patients are left out.",
        )
    square = series.get("correlation")
    if square and len(square["variables"]) > 1:
        yield CorrelationPlot(
            "Difference of correlations",
            tuple(square["variables"]),
            tuple(tuple(row) for row in square["difference"]),
            "Each field shows how far real and synthetic correlations of two variables lie apart: pale is alike, "
            f"full colour is 0.5 and more. {_furthest(square)}",
        )
    composites = series.get("composites", {})
    if composites:
        yield Table(
            "What the composite scores are made of",
            ("Score", "Single variables", "Pairs", "Correlations", "Variables"),
            tuple(
                (spaced(name), *(each["parts"][part] for part in ("marginals", "pairs", "correlations")),
                 ", ".join(each["variables"]))
                for name, each in composites.items()
            ),
            "A score is the mean of its three parts.",
        )  # fmt: skip
    lost = series.get("rareCategories", {}).get("lost", [])
    if lost:
        yield Table("Rare categories that were lost", ("Category",), tuple((name,) for name in lost))


def _apart(marginal: Marginal) -> float:
    pairs = zip(marginal.real, marginal.synthetic, strict=True)
    return sum(abs(real - synthetic) for real, synthetic in pairs if real is not None)


def _furthest(square: Mapping[str, Any]) -> str:
    """A sentence about the two variables whose correlations differ most."""
    names, rows = square["variables"], square["difference"]
    gap, one, other = max((rows[i][j], names[i], names[j]) for i in range(len(names)) for j in range(i + 1, len(names)))
    return f"Furthest apart, by {gap:.2f}, is that of {one} and {other}."


def _survival(figures: Mapping[str, Any], series: Mapping[str, Any]) -> Iterator[Item]:
    yield _figures("Survival", figures, SURVIVAL)
    for title, key, outcome, start in (
        ("Survival with 95 % bands", "survival", "Free of the event", 1.0),
        ("Cumulative incidence of whichever comes first", "incidence", "Has had the event first", 0.0),
    ):
        for unit, curves in _by_unit(series.get(key, {})).items():
            yield SurvivalPlot(
                title,
                tuple(_curve(name, curve, source) for name, curve in curves for source in ("real", "synthetic")),
                f"Curves of real and synthetic patients{_gaps(curves)}; they end where fewer than ten real patients "
                "are at risk.",
                unit_words(unit),
                outcome,
                start,
            )
    hazards = series.get("hazards", {})
    if hazards:
        yield ForestPlot(
            f"Hazard ratios for {hazards['outcome']}, by one standard deviation of each covariate",
            tuple(
                HazardRatio(row["label"], source, *row[source])
                for row in hazards["covariates"]
                for source in ("real", "synthetic")
            ),
            "Where the two intervals of a covariate overlap, synthetic patients tell the same about it as real ones.",
        )


def _gaps(curves: list[tuple[str, Any]]) -> str:
    """How far apart the curves lie, where that was measured, for those who do not see them."""
    told = [f"{name}: {curve['distance']:.3f}" for name, curve in curves if "distance" in curve]
    return f" (mean distance, {', '.join(told)})" if told else ""


def _by_unit(curves: Mapping[str, Any]) -> dict[str, list[tuple[str, Any]]]:
    found: dict[str, list[tuple[str, Any]]] = {}
    for name, curve in curves.items():
        found.setdefault(str(curve["unit"]), []).append((name, curve))
    return found


def _curve(name: str, curve: Mapping[str, Any], source: Any) -> SurvivalSeries:
    return SurvivalSeries(
        name,
        source,
        tuple(curve["times"]),
        tuple(curve[source]),
        tuple(curve.get(f"{source}Lower", ())),
        tuple(curve.get(f"{source}Upper", ())),
    )


def _use(figures: Mapping[str, Any], series: Mapping[str, Any]) -> Iterator[Item]:
    yield _figures("What a model learns", figures, USE)
    calibration = series.get("calibration", {})
    if calibration:
        rows = tuple(
            (source, each["predicted"], each["observed"]) for source in ("real", "synthetic") for each in
            calibration[source]
        )  # fmt: skip
        yield Table(
            f"Calibration: {calibration['outcome']} by {calibration['by']:g} {unit_words(calibration['unit'])}",
            ("Learned from", "Predicted", "Observed among held-out patients"),
            rows,
        )
    groups = series.get("groups", {})
    if groups:
        keys = ("concordanceGap", "heldOut", "survivalDistance", "training")
        yield Table(
            "Groups of patients",
            ("Group", "Concordance gap", "Held-out patients", "Survival distance", "Training rows"),
            tuple((name, *(values.get(key) for key in keys)) for name, values in groups.items()),
            "Groups that are too small for a figure are left out.",
        )


def _attacked(figures: Mapping[str, Any], series: Mapping[str, Any]) -> Iterator[Item]:
    yield _figures("Attacks", figures, PRIVACY)
    attacks = series.get("attacks", {})
    curves = {**attacks.get("shadows", {}).get("roc", {}), **attacks.get("membership", {}).get("roc", {})}
    if curves:
        yield RocPlot(
            "Membership inference on logarithmic axes",
            tuple(Roc(name, tuple(c["falsePositives"]), tuple(c["truePositives"])) for name, c in curves.items()),
            "A curve along the dashed line is chance; what rises above it at the left betrays single patients. "
            f"Recognised at one per cent of false positives: {_recognised(curves)}.",
        )
    secrets = attacks.get("inference", {})
    if secrets:
        yield Table(
            "Right guesses of sensitive values",
            ("Variable", "Training rows", "Held-out rows"),
            tuple((name, each["train"], each["holdout"]) for name, each in secrets.items()),
        )
    yield _figures(
        "For comparison with other publications only",
        figures,
        COMPARISON,
        "Distances to nearest records do not measure privacy: tables that pass such tests can be attacked (Yao et al. "
        "2025). They stand here because others publish them; no limit should rest on them.",
    )


def _recognised(curves: Mapping[str, Any]) -> str:
    told = []
    for name, curve in curves.items():
        at = min(range(len(curve["falsePositives"])), key=lambda i: abs(curve["falsePositives"][i] - 0.01))
        told.append(f"{100 * curve['truePositives'][at]:.1f} % by {name}")
    return ", ".join(told)


def _logic(figures: Mapping[str, Any], series: Mapping[str, Any]) -> Iterator[Item]:
    yield _figures("Rules and knowledge", figures, LOGIC)
    rules = series.get("rules", {})
    if rules:
        yield Table(
            "Each rule",
            ("Rule", "Synthetic rows that break it", "Training rows that break it"),
            tuple((name, each["synthetic"], each["real"]) for name, each in rules.items()),
        )
    findings = series.get("knowledge", {}).get("checks", [])
    if findings:
        yield Table(
            "Published knowledge about the disease",
            ("Finding", "In short", "Training rows show", "Held-out rows show", "Synthetic rows show", "Scale",
             "Source", "Source checked"),
            tuple(
                (each["sentence"], each.get("says", each["verdict"]),
                 *(_interval(each[key]) for key in ("real", "heldOut", "synthetic")), each["scale"], each["source"],
                 "checked" if each.get("checked") else "not checked")
                for each in findings
            ),
            "Real data show a finding where the 95 % interval of training rows lies above 0, which is as published; "
            "synthetic data show it where it is there at least half as strongly. A source is checked where somebody "
            "found the publication and read there what the finding says; no clinician has confirmed the list.",
        )  # fmt: skip


def _interval(effect: list[float] | None) -> str | None:
    return None if effect is None else f"{effect[0]:.2f} ({effect[1]:.2f} to {effect[2]:.2f})"
