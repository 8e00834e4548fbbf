"""What publications say of a disease, and which variables of a codebook they speak of.

Findings and the things they name lie beside this file as YAML, one file for each disease with its sources. All of it is
public: an evaluation asks rows for it, and a private generator may let it guide what it counts, at no cost. A variable
is found by its standard code, by its approved symbol or plain name, or by its categories, never by the column name of a
known cohort.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from synthema.datasets.codebook import Codebook, SurvivalOutcome, Variable

Condition = Mapping[str, str | list[str]]
"""Concepts and the levels they must have; for what is there or not, ``present`` or ``absent``."""
Kind = Literal["hazard", "together", "apart", "higher", "more_often", "rise_together", "fall_together"]

__all__ = [
    "FOLDER",
    "Check",
    "Concept",
    "Condition",
    "Kind",
    "Named",
    "checks_of",
    "concepts",
    "plain",
]

FOLDER: Final = Path(__file__).parent
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
    """The published findings about a disease (its IRI); none where no file knows it."""
    for path in sorted(FOLDER.glob("*.yaml")):
        read: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        if read.get("disease") == disease:
            return tuple(_check(given) for given in read["checks"])
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


class Named:
    """Which variable of a codebook stands for which concept, and which outcome for which sort."""

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
