"""What published knowledge speaks of, found in a codebook: by standard code, by plain name, or by categories.

The concepts and the checks lie in ``packs/`` as YAML, one file for each disease with its sources.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import polars as pl
import yaml
from numpy.typing import NDArray

from synthema.datasets.codebook import Codebook, SurvivalOutcome, Variable
from synthema_evaluation.columns import Floats, numbers, texts

Flags = NDArray[np.bool_]
Condition = Mapping[str, str | list[str]]
"""Concepts and the levels they must have; for what is there or not, ``present`` or ``absent``."""
Kind = Literal["hazard", "together", "apart", "higher", "more_often", "rise_together", "fall_together"]

FOLDER: Final = Path(__file__).parent / "packs"
PRESENT: Final = frozenset({"1", "2", "yes", "y", "true", "t", "mutated", "mut", "positive", "pos", "present"})
ABSENT: Final = frozenset({"0", "no", "n", "false", "f", "wildtype", "wt", "unmutated", "negative", "neg", "absent"})
FREE_OF: Final = re.compile(r"free", re.IGNORECASE)
OUTCOMES: Final = {
    "death": re.compile(r"death|dead|died|surviv|overall|mortal|\bos\b", re.IGNORECASE),
    "progression": re.compile(r"progress|transform|leuk|malignan|relapse", re.IGNORECASE),
}


@dataclass(frozen=True, slots=True)
class Concept:
    """A thing that publications name, and how a codebook may call it."""

    names: frozenset[str] = frozenset()
    codes: tuple[str, ...] = ()
    levels: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Check:
    """One published finding.

    ``groups`` are ordered: the hazard, the number or the share rises from the first to the last.
    ``rises_with`` and ``falls_with`` name the number that a hazard follows; ``of`` the one or two
    concepts that the other kinds compare. ``checked`` says whether somebody found the publication named as the
    source and read in its abstract or text what the sentence says.
    """

    id: str
    sentence: str
    source: str
    checked: bool
    kind: Kind
    outcome: str = ""
    of: tuple[str, ...] = ()
    groups: tuple[Condition, ...] = ()
    sign: float = 1.0

    @property
    def concepts(self) -> frozenset[str]:
        """All concepts the check speaks of."""
        return frozenset(self.of) | {name for group in self.groups for name in group}


def plain(text: str) -> str:
    """Small letters and digits only, so that ``FLT3_ITD`` and ``FLT3-ITD`` are the same."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


@cache
def concepts() -> Mapping[str, Concept]:
    """All concepts by name."""
    read: dict[str, dict[str, Any]] = yaml.safe_load((FOLDER / "concepts.yaml").read_text(encoding="utf-8"))
    return {
        name: Concept(
            frozenset(given.get("names", ())),
            tuple(str(code).lower() for code in given.get("codes", ())),
            {level: frozenset(map(str, called)) for level, called in given.get("levels", {}).items()},
        )
        for name, given in read.items()
    }


@cache
def checks_of(disease: str) -> tuple[Check, ...]:
    """The published findings about a disease (its IRI); none where no pack knows it."""
    for path in sorted(FOLDER.glob("*.yaml")):
        pack: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        if pack.get("disease") == disease:
            return tuple(_check(given) for given in pack["checks"])
    return ()


def _check(given: dict[str, Any]) -> Check:
    common = {key: given[key] for key in ("id", "sentence", "source", "checked")}
    groups = tuple(given.get("groups", ()))
    if "hazard" in given:
        number = given.get("rises_with") or given.get("falls_with")
        sign = -1.0 if "falls_with" in given else 1.0
        return Check(**common, kind="hazard", outcome=given["hazard"], of=(number,) if number else (), groups=groups,
                     sign=sign)  # fmt: skip
    for kind in ("together", "apart", "rise_together", "fall_together"):
        if kind in given:
            sign = -1.0 if kind in ("apart", "fall_together") else 1.0
            return Check(**common, kind=kind, of=tuple(given[kind]), sign=sign)
    kind = "higher" if "higher" in given else "more_often"
    return Check(**common, kind=kind, of=(given[kind],), groups=groups)  # type: ignore[arg-type]


def _coded(iri: str, codes: tuple[str, ...]) -> bool:
    """Whether an IRI ends in one of the codes: ``…/718-7``, ``…/hgnc:7910`` or ``…/hgnc/7910``."""
    parts = re.split(r"[/#]", iri.lower())
    return parts[-1] in codes or ":".join(parts[-2:]) in codes


class Found:
    """Which variable of a codebook stands for which concept, and which of its rows meet a condition."""

    def __init__(self, codebook: Codebook, variables: tuple[Variable, ...]) -> None:
        self._codebook = codebook
        self._variables = {name: self._find(concept, variables) for name, concept in concepts().items()}

    def variable(self, concept: str) -> Variable | None:
        """The variable that stands for a concept, if exactly one does."""
        return self._variables[concept]

    @staticmethod
    def _find(concept: Concept, variables: tuple[Variable, ...]) -> Variable | None:
        """By name or label; else by code; else by categories, all of which must then be levels of the concept."""
        named = [v for v in variables if {plain(v.name), plain(v.label)} & concept.names]
        coded = [v for v in variables if any(_coded(iri, concept.codes) for iri in v.codes)]
        for found in (named, coded):
            if found:
                return found[0] if len(found) == 1 else None
        if concept.names or not concept.levels:
            return None
        called = frozenset().union(*concept.levels.values())
        fitting = [v for v in variables if v.type == "category" and {plain(c) for c in v.categories} <= called]
        return fitting[0] if fitting else None

    def outcome(self, name: str) -> SurvivalOutcome | None:
        """The outcome of that sort, by its name or its event's label; a codebook's only outcome counts as death.

        Progression-free survival and its like mix both sorts and stand for neither.
        """
        for outcome in self._codebook.outcomes:
            called = f"{outcome.name} {self._codebook.variable(outcome.event).label}"
            if OUTCOMES[name].search(called) and not FREE_OF.search(called):
                return outcome
        only = len(self._codebook.outcomes) == 1 and name == "death"
        return self._codebook.outcomes[0] if only else None

    def number(self, table: pl.DataFrame, concept: str) -> Floats | None:
        """A concept's values, missing as NaN; ``None`` where the codebook has no such number."""
        variable = self.variable(concept)
        return None if variable is None or variable.type in ("category", "text") else numbers(table, variable)

    def rows(self, table: pl.DataFrame, condition: Condition) -> tuple[Flags, Flags] | None:
        """Rows that meet a condition, and rows of which it is known; ``None`` where the codebook cannot say."""
        meets, known = np.ones(table.height, dtype=bool), np.ones(table.height, dtype=bool)
        for concept, wanted in condition.items():
            sides = self._sides(table, concept, [wanted] if isinstance(wanted, str) else wanted)
            if sides is None:
                return None
            meets &= sides[0]
            known &= sides[1]
        return meets & known, known

    def _sides(self, table: pl.DataFrame, concept: str, wanted: list[str]) -> tuple[Flags, Flags] | None:
        variable, levels = self.variable(concept), concepts()[concept].levels
        if variable is None or variable.type == "text":
            return None
        if not levels and variable.type != "category":
            values = numbers(table, variable)
            there = np.asarray(values > 0)
            return there if wanted == ["present"] else ~there, np.isfinite(values)
        called = levels or {"present": PRESENT, "absent": ABSENT}
        meant = {
            category: level
            for category in variable.categories
            for level, names in called.items()
            if plain(category) in names or category in names
        }
        if not set(wanted) <= set(meant.values()):
            return None
        found = [meant.get(text) if text is not None else None for text in texts(table, variable.name)]
        return (
            np.array([level in wanted for level in found], dtype=bool),
            np.array([level is not None for level in found], dtype=bool),
        )
