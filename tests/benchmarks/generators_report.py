"""The report of the generator benchmark as Markdown, written from the figures alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from synthema_evaluation.shadows import FEWEST_SHADOWS
from tests.benchmarks.generators_data import Cohort

Cell = Mapping[str, float]
Cells = Mapping[tuple[str, str, int], Cell]
Place = tuple[str, float, float | None, float | None]
"""A generator's name, ε (infinite for no promise), C and LiRA AUC."""

SHOWN = (
    ("SDM", "sdm", 1.0, 3),
    ("C", "c", 1.0, 3),
    ("C − real C", "c_gap", 1.0, 3),
    ("KM", "km", 1.0, 3),
    ("broken, %", "broken", 100.0, 1),
    ("LiRA AUC", "lira", 1.0, 3),
    ("TPR@1 %, %", "tpr", 100.0, 1),
    ("one-table AUC", "density_ratio", 1.0, 3),
    ("CPU s", "cpu", 1.0, 1),
    ("MB", "memory", 1.0, 0),
)
EXPLAINED = {
    "ε": "the privacy loss that the generator promises for one patient, at δ = 1e-5; — for no promise",
    "SDM": "quality score of SDMetrics (column shapes and pair trends), real training rows against synthetic ones",
    "C": (
        "Harrell's C, on held-out real patients, of a Cox model trained on synthetic rows; *real C*: on the real ones. "
        "Columns that by a rule are known only with the outcome (a cause of death) are left out of the model"
    ),
    "C − real C": (
        "the difference on the same split; splits differ more than generators, so compare this and not C between lines "
        "of unlike numbers of splits"
    ),
    "KM": (
        "mean distance of the survival curves of synthetic and training rows; *floor*: of held-out and training rows"
    ),
    "broken": (
        "rows that break a rule of the codebook, or hold another value than the one that follows; SDV's rows as SDV "
        "gives them"
    ),
    "LiRA AUC, TPR@1 %": (
        "likelihood-ratio membership attack with {shadows} runs of the generator, each on a random half of the rows "
        "(at most 2,000); .5 and 1 % are guesses. In brackets the 95 % interval (patients and runs drawn anew; mean "
        "over splits), then how many splits were attacked if not all, and with how many runs if fewer. *too dear*: "
        "even {least} runs would take more than the {seconds:g} CPU seconds that one cell was allowed; *not yet*: "
        "they would not, but nobody has run it"
    ),
    "one-table AUC": (
        "membership attack that sees one synthetic table only (density ratio): weaker, but there for every generator"
    ),
    "CPU s, MB": "to learn and draw once, one thread; the process at its largest, libraries included",
    "front": (
        "● no generator with at least as strong a promise (ε as small or smaller) is at least as good in C and LiRA "
        "AUC (means; an AUC below .5 counts as .5) and better in one, on the splits that all compared have; *no LiRA*: "
        "not compared, for want of an attack"
    ),
}
HEAD = """# Generators compared

Written by `make bench-generators`; do not edit it by hand. Each line is mean ± standard deviation over the number of
70/30 splits in its second column; as many synthetic rows as training rows. A cohort of your own needs its rows and a
codebook, as [this one](../../../tests/benchmarks/codebooks/rotterdam.yaml):
`make bench-generators ARGS='--table FILE --codebook FILE'` prints its table.

Code measured (digest of the plugin's files): {code}. What has changed since is measured anew by the next run.

| column | meaning |
|---|---|
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one cell's attack may cost: at best ``shadows`` runs, at least ``least``, at most ``seconds`` of a core."""

    shadows: int
    least: int
    seconds: float

    def why_not(self, cells: Sequence[Cell]) -> str:
        """Why a generator has no attack."""
        return "too dear" if min(cell["cpu"] for cell in cells) * self.least > self.seconds else "not yet"


class Compared(Protocol):
    """What the report needs of a generator."""

    @property
    def name(self) -> str: ...
    @property
    def plugin(self) -> str: ...
    @property
    def epsilon(self) -> float | None: ...


def page(
    cohorts: Sequence[Cohort],
    entries: Sequence[Compared],
    cells: Cells,
    code: Mapping[str, str],
    shadows: int,
    attack_seconds: float,
) -> str:
    """The whole page; ``code`` says of each plugin which code was measured."""
    limits = Limits(shadows, max(shadows // 4, FEWEST_SHADOWS), attack_seconds)
    words = {"shadows": shadows, "least": limits.least, "seconds": attack_seconds}
    explained = "".join(f"| {name} | {text.format(**words)} |\n" for name, text in EXPLAINED.items())
    said = ", ".join(f"{name} `{told[:19]}`" for name, told in code.items())
    return HEAD.format(code=said) + explained + "".join(_cohort(cohort, entries, cells, limits) for cohort in cohorts)


def _cohort(cohort: Cohort, entries: Sequence[Compared], cells: Cells, limits: Limits) -> str:
    by_split: dict[str, dict[int, Cell]] = {entry.name: {} for entry in entries}
    for (name, generator, seed), cell in sorted(cells.items(), key=lambda item: item[0]):
        if name == cohort.name:
            by_split[generator][seed] = _with_gap(cell)
    found = {name: list(split.values()) for name, split in by_split.items()}
    if not any(found.values()):
        return f"\n## {cohort.name}\n\nNot measured yet: `make bench-generators ARGS='--data {cohort.name}'`.\n"
    places, common = _places(entries, by_split)
    front = on_front(places)
    lines = [
        "",
        f"## {cohort.name}",
        "",
        _said(cohort, found),
        "",
        f"| generator | splits | ε | {' | '.join(title for title, *_ in SHOWN)} | front |",
        "|---" * (len(SHOWN) + 4) + "|",
    ]
    for entry in entries:
        measured = found[entry.name]
        if not measured:
            lines.append(f"| {entry.name} | 0 | {_epsilon(entry)} |{' not measured |' + ' |' * len(SHOWN)}")
            continue
        texts = [_text(measured, name, factor, digits, limits) for _, name, factor, digits in SHOWN]
        mark = "●" if entry.name in front else "" if mean(measured, "lira") is not None else "no LiRA"
        lines.append(f"| {entry.name} | {len(measured)} | {_epsilon(entry)} | {' | '.join(texts)} | {mark} |")
    return "\n".join([*lines, "", *_fronts(entries, places, common)]) + "\n"


def _with_gap(cell: Cell) -> Cell:
    return {**cell, "c_gap": cell["c"] - cell["real_c"]} if "c" in cell and "real_c" in cell else cell


def _places(entries: Sequence[Compared], by_split: Mapping[str, Mapping[int, Cell]]) -> tuple[list[Place], int]:
    """Where each generator lies by the splits that all attacked ones have, and how many these are."""
    attacked = [set(split) for split in by_split.values() if mean(list(split.values()), "lira") is not None]
    common = set.intersection(*attacked) if attacked else set()
    places: list[Place] = []
    for entry in entries:
        split = by_split[entry.name]
        shared = [cell for seed, cell in split.items() if seed in common]
        areas = mean(shared, "lira")
        if areas is None:  # attacked on other splits only: the area hardly differs between splits
            areas = mean(list(split.values()), "lira")
        places.append((entry.name, np.inf if entry.epsilon is None else entry.epsilon, mean(shared, "c"), areas))
    return places, len(common)


def _said(cohort: Cohort, found: Mapping[str, Sequence[Cell]]) -> str:
    book = cohort.codebook
    columns, rules = len([v for v in book.variables if v.role != "identifier"]), len(book.rules)
    size = f"{cohort.table.height} patients, {columns} columns, {rules} rules"
    return f"{book.title}: {size} ({cohort.source}).{_real(found)}"


def on_front(places: Sequence[Place]) -> set[str]:
    """The generators that none with as strong a promise is better than; what was not attacked is not among them."""
    return {place[0] for place in places if not _unmeasured(place) and not any(_beats(o, place) for o in places)}


def _unmeasured(place: Place) -> bool:
    return place[2] is None or place[3] is None


def _beats(other: Place, place: Place) -> bool:
    (_, other_eps, other_c, other_auc), (_, eps, c, auc) = other, place
    if other_c is None or other_auc is None or c is None or auc is None:
        return False
    auc, other_auc = max(auc, 0.5), max(other_auc, 0.5)  # below a guess is chance
    return other_eps <= eps and other_c >= c and other_auc <= auc and (other_c > c or other_auc < auc)


def _fronts(entries: Sequence[Compared], places: Sequence[Place], common: int) -> list[str]:
    """A sentence for each strength of promise: who is on the front there, and who was not compared."""
    peers = {entry.name for entry in entries if entry.plugin == "sdv"}
    lines = (
        [f"The front, on the {common} split{'s' * (common != 1)} that all compared generators have:", ""]
        if common
        else []
    )
    for epsilon in sorted({place[1] for place in places}, reverse=True):
        allowed = [place for place in places if place[1] <= epsilon]
        front = on_front(allowed)
        named = [f"{name}{' (peer)' if name in peers else ''}" for name, *_ in allowed if name in front]
        missing = [place[0] for place in allowed if _unmeasured(place)]
        where = "No promise needed" if np.isinf(epsilon) else f"ε ≤ {epsilon:g} needed"
        text = f"- {where}: on the front {', '.join(named) if named else 'nobody, for want of attacks'}"
        lines.append(text + (f"; not compared {', '.join(missing)}." if missing else "; all compared."))
    return lines


def mean(cells: Sequence[Cell], name: str) -> float | None:
    """The mean over the splits that have the figure; ``None`` where none has."""
    values = [cell[name] for cell in cells if name in cell]
    return float(np.mean(values)) if values else None


def _text(cells: Sequence[Cell], name: str, factor: float, digits: int, limits: Limits) -> str:
    having = [cell for cell in cells if name in cell]
    if not having:
        return limits.why_not(cells) if name in ("lira", "tpr") else ""
    values = [factor * cell[name] for cell in having]
    spread = f" ± {np.std(values):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{spread}{_attack(having, len(cells), name, factor, digits, limits.shadows)}"


def _attack(having: Sequence[Cell], splits: int, name: str, factor: float, digits: int, shadows: int) -> str:
    """The interval of an attack's figure, and how it falls short of all splits and all runs."""
    if f"{name}_low" not in having[0]:
        return f" ({len(having)})" if len(having) < splits else ""
    low, high = (factor * float(np.mean([cell[f"{name}_{end}"] for cell in having])) for end in ("low", "high"))
    short = [f"{len(having)} split{'s' if len(having) > 1 else ''}"] if len(having) < splits else []
    runs = sorted({int(cell["shadows"]) for cell in having if cell["shadows"] < shadows})
    short += [f"{' or '.join(map(str, runs))} runs"] if runs else []
    return f" [{low:.{digits}f}, {high:.{digits}f}]{' ' + ', '.join(short) if short else ''}"


def _real(found: Mapping[str, Sequence[Cell]]) -> str:
    most = max(found.values(), key=len)
    real, floor = mean(most, "real_c"), mean(most, "real_km")
    return "" if real is None or floor is None else f" Real C {real:.3f}, floor {floor:.3f}."


def _epsilon(entry: Compared) -> str:
    return "—" if entry.epsilon is None else f"{entry.epsilon:g}"
