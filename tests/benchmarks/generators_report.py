"""The report of the generator benchmark as Markdown, written from the figures alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from tests.benchmarks.generators_data import Cohort

Figures = Mapping[tuple[str, str, int], Mapping[str, float]]
SHOWN = (
    ("SDM", "sdm", 1.0, 3),
    ("C", "c", 1.0, 3),
    ("KM", "km", 1.0, 3),
    ("broken, %", "broken", 100.0, 1),
    ("LiRA AUC", "lira", 1.0, 3),
    ("TPR@1 %, %", "tpr", 100.0, 1),
    ("one-table AUC", "density_ratio", 1.0, 3),
    ("CPU s", "cpu", 1.0, 1),
    ("MB", "memory", 1.0, 0),
)
EXPLAINED = (
    ("ε", "the privacy loss that the generator promises for one patient, at δ = 1e-5; — for no promise"),
    ("SDM", "quality score of SDMetrics (column shapes and pair trends), real training rows against synthetic ones"),
    (
        "C",
        (
            "Harrell's C, on held-out real patients, of a Cox model trained on synthetic rows; *real C*: on "
            "the real ones"
        ),
    ),
    (
        "KM",
        "mean distance of the survival curves of synthetic and training rows; *floor*: of held-out and training rows",
    ),
    (
        "broken",
        (
            "rows that break a rule of the codebook, or hold another value than the one that follows; SDV's rows as "
            "SDV gives them"
        ),
    ),
    (
        "LiRA AUC, TPR@1 %",
        (
            "likelihood-ratio membership attack with {shadows} runs of the generator, each on a random half of the "
            'rows (at most 2,000); .5 and 1 % are guesses. "too slow": it would have taken more time than allowed'
        ),
    ),
    (
        "one-table AUC",
        "membership attack that sees one synthetic table only (density ratio): weaker, but there for every generator",
    ),
    ("CPU s, MB", "to learn and draw once, one thread; the process at its largest, libraries included"),
    (
        "front",
        (
            "● no generator with at least as strong a promise (ε as small or smaller) is at least as good in C and "
            "LiRA AUC and better in one"
        ),
    ),
)
HEAD = """# Generators compared

Written by `make bench-generators`; do not edit it by hand. Each line is mean ± standard deviation over the number of
70/30 splits in its second column; as many synthetic rows as training rows.

| column | meaning |
|---|---|
"""


class Compared(Protocol):
    """What the report needs of a generator."""

    @property
    def name(self) -> str: ...
    @property
    def epsilon(self) -> float | None: ...


def page(cohorts: Sequence[Cohort], entries: Sequence[Compared], figures: Figures, shadows: int) -> str:
    """The whole page."""
    explained = "".join(f"| {name} | {words.format(shadows=shadows)} |\n" for name, words in EXPLAINED)
    return HEAD + explained + "".join(_cohort(cohort, entries, figures) for cohort in cohorts)


def _cohort(cohort: Cohort, entries: Sequence[Compared], figures: Figures) -> str:
    found = {
        entry.name: [line for (name, generator, _), line in sorted(figures.items())
                     if (name, generator) == (cohort.name, entry.name)]
        for entry in entries
    }  # fmt: skip
    if not any(found.values()):
        return f"\n## {cohort.name}\n\nNot measured yet: `make bench-generators ARGS='--data {cohort.name}'`.\n"
    lines = [
        "",
        f"## {cohort.name}",
        "",
        _said(cohort, found),
        "",
        f"| generator | splits | ε | {' | '.join(title for title, *_ in SHOWN)} | front |",
        "|---" * (len(SHOWN) + 4) + "|",
    ]
    front = on_front([(e.name, e.epsilon, _mean(found[e.name], "c"), _mean(found[e.name], "lira")) for e in entries])
    for entry in entries:
        measured = found[entry.name]
        if not measured:
            lines.append(f"| {entry.name} | 0 | {_epsilon(entry)} |{' not measured |' + ' |' * (len(SHOWN) - 1)} |")
            continue
        cells = [_cell(measured, name, factor, digits) for _, name, factor, digits in SHOWN]
        mark = "●" if entry.name in front else ""
        lines.append(f"| {entry.name} | {len(measured)} | {_epsilon(entry)} | {' | '.join(cells)} | {mark} |")
    return "\n".join(lines) + "\n"


def _said(cohort: Cohort, found: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    book = cohort.codebook
    columns, rules = len([v for v in book.variables if v.role != "identifier"]), len(book.rules)
    size = f"{cohort.table.height} patients, {columns} columns, {rules} rules"
    return f"{book.title}: {size} ({cohort.source}).{_real(found)}"


def on_front(lines: Sequence[tuple[str, float | None, float | None, float | None]]) -> set[str]:
    """The generators (name, ε, C, LiRA AUC) that none with as strong a promise is better than; others unmeasured."""
    measured = [
        (name, np.inf if eps is None else eps, c, auc)
        for name, eps, c, auc in lines
        if c is not None and auc is not None
    ]
    return {
        name
        for name, eps, c, auc in measured
        if not any(
            other_eps <= eps and other_c >= c and other_auc <= auc and (other_c > c or other_auc < auc)
            for other, other_eps, other_c, other_auc in measured
            if other != name
        )
    }


def _mean(lines: Sequence[Mapping[str, float]], name: str) -> float | None:
    values = [line[name] for line in lines if name in line]
    return float(np.mean(values)) if values else None


def _cell(lines: Sequence[Mapping[str, float]], name: str, factor: float, digits: int) -> str:
    values = [factor * line[name] for line in lines if name in line]
    if not values:
        return "too slow" if name in ("lira", "tpr") else ""
    spread = f" ± {np.std(values):.{digits}f}" if len(values) > 1 else ""
    fewer = f" ({len(values)})" if len(values) < len(lines) else ""
    return f"{np.mean(values):.{digits}f}{spread}{fewer}"


def _real(found: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    most = max(found.values(), key=len)
    real, floor = _mean(most, "real_c"), _mean(most, "real_km")
    return "" if real is None or floor is None else f" Real C {real:.3f}, floor {floor:.3f}."


def _epsilon(entry: Compared) -> str:
    return "—" if entry.epsilon is None else f"{entry.epsilon:g}"
