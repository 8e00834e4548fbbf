"""The codebook of a dataset: what each variable means, its bounds, its role, its rules.

A codebook is public. Everything that a private algorithm must know beforehand
(bounds, categories, bins) comes from here and never from the data: reading it
from the data would be a leak that no privacy budget counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import Field, SerializerFunctionWrapHandler, ValidationError, model_serializer, model_validator

from synthema.canonical import digest
from synthema.datasets.derivations import (
    Bands,
    Cases,
    Comparison,
    Condition,
    Count,
    Derivation,
    Score,
    conditions_of,
    values_of,
)
from synthema.errors import InputError
from synthema.resources import bundled
from synthema.values import Closed

VariableType = Literal["integer", "decimal", "category", "text"]
VariableRole = Literal["identifier", "quasi-identifier", "sensitive", "time", "event", "site", "other"]
__all__ = [
    "Codebook",
    "Comparison",
    "Exclusion",
    "OtherUnit",
    "Rule",
    "Share",
    "SurvivalOutcome",
    "Variable",
    "VariableRole",
    "VariableType",
    "dictionary",
    "load_codebook",
    "read_codebook",
]


class OtherUnit(Closed):
    """A unit the same quantity is often written in: ``value in other unit = factor × value in ours``."""

    unit: str = Field(description="UCUM code, e.g. g/L")
    factor: float = Field(gt=0, allow_inf_nan=False)


class Variable(Closed):
    """One column.

    ``text`` is for identifiers only: nothing private is ever computed on it. ``minimum`` and
    ``maximum`` are what is possible at all; ``typical`` is where a cohort's median lies, which
    together with ``other_units`` gives away a column in the wrong unit. ``edges`` cut a number's
    range into bins (``len(edges) - 1`` of them; the last is closed on both sides); ``bands`` are
    coarser edges that an anonymiser may recode to. ``categories`` lists every value a category may take.
    ``heading`` is the column's heading in the source file where that is no name (``BM BLASTS``).
    ``derivation`` says how the value follows from others: it is checked, and recomputed in synthetic rows.
    """

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")
    label: str
    type: VariableType
    role: VariableRole = "other"
    unit: str | None = Field(default=None, description="UCUM code, e.g. g/dL")
    minimum: float | None = None
    maximum: float | None = None
    typical: tuple[float, float] | None = None
    other_units: tuple[OtherUnit, ...] = ()
    edges: tuple[float, ...] = ()
    bands: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    missing: tuple[str, ...] = Field(default=("", "NA"), description="texts that mean: not recorded")
    may_be_missing: bool = True
    code: str | None = Field(default=None, description="IRI of the standard code (LOINC, SNOMED CT, …)")
    more_codes: tuple[str, ...] = Field(default=(), description="IRIs of further codes: HGNC of a gene, SNOMED CT, …")
    category_codes: dict[str, str] = Field(default_factory=dict, description="category → IRI of its standard code")
    heading: str | None = Field(default=None, description="heading in the source file, if it is not the name")
    derivation: Derivation | None = Field(default=None, description="how the value follows from other variables")

    @model_serializer(mode="wrap")
    def _without_what_is_not_said(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A variable that says none of what was added later keeps the digest it had before."""
        written: dict[str, Any] = handler(self)
        late = ("more_codes", "category_codes", "heading", "derivation")
        return {name: value for name, value in written.items() if value or name not in late}

    def following_only(self, names: frozenset[str]) -> Variable:
        """The variable, without its derivation unless that rests on these variables alone."""
        if self.derivation is None or self.derivation.variables <= names:
            return self
        return self.model_copy(update={"derivation": None})

    @property
    def codes(self) -> tuple[str, ...]:
        """All standard codes of the variable, the main one first."""
        return (*((self.code,) if self.code else ()), *self.more_codes)

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.type == "category":
            if not self.categories:
                raise ValueError(f"variable {self.name}: a category needs its list of categories")
            if len(set(self.categories)) != len(self.categories) or set(self.categories) & set(self.missing):
                raise ValueError(f"variable {self.name}: a category is named twice, or is also a text for missing")
        elif self.type == "text":
            if self.role != "identifier":
                raise ValueError(f"variable {self.name}: free text may only be an identifier")
        elif self.minimum is None or self.maximum is None or self.minimum >= self.maximum:
            raise ValueError(f"variable {self.name}: a number needs minimum < maximum")
        if self.typical is not None and self.typical[0] >= self.typical[1]:
            raise ValueError(f"variable {self.name}: typical needs a lower and a higher value")
        self._steps_rise()
        if set(self.category_codes) - set(self.categories):
            raise ValueError(f"variable {self.name}: a code is given for something that is no category of it")
        self._derivation_fits()
        return self

    def _steps_rise(self) -> None:
        for name in ("edges", "bands"):
            values = getattr(self, name)
            if values and (len(values) < 2 or list(values) != sorted(set(values))):
                raise ValueError(f"variable {self.name}: {name} must rise, with at least two values")

    def _derivation_fits(self) -> None:
        found = self.derivation
        if found is None:
            return
        if self.type == "text" or (self.type == "category") != isinstance(found, Bands | Cases):
            raise ValueError(f"variable {self.name}: 'bands' and 'cases' derive a category, the others a number")
        if isinstance(found, Bands):
            rises = list(found.edges) == sorted(set(found.edges))
            if not rises or len(found.edges) != len(self.categories) + 1:
                raise ValueError(f"variable {self.name}: its derivation needs rising edges, one more than categories")
        if values_of(found) - set(self.categories):
            raise ValueError(f"variable {self.name}: its derivation gives a value that is no category of it")


class Share(Closed):
    """A multiple of another variable that is added to the left side of a rule, e.g. a time in months as years."""

    variable: str
    factor: float = Field(default=1.0, allow_inf_nan=False)


class Rule(Closed):
    """A clinical rule that must hold between two variables, or a variable and a value, where both are known.

    The left variable is compared with a variable or number (``right``) or with a category (``value``).
    ``when`` limits the rule to rows in which a category variable has a value. ``plus`` adds a multiple of
    another number to the left side: an age plus a time, or a haemoglobin less what a transfusion brings.
    ``source`` says what the rule rests on, and whether a clinician has yet to confirm it.
    """

    id: str
    sentence: str = Field(description="the rule in words, e.g. progression is never after the end of follow-up")
    left: str
    comparison: Comparison
    right: str | float = Field(default=0.0, description="a variable's name, or a number; left out beside 'value'")
    value: str | None = Field(default=None, description="a category of the left variable, instead of 'right'")
    when: dict[str, str] = Field(default_factory=dict)
    plus: Share | None = None
    source: str = ""

    @model_validator(mode="before")
    @classmethod
    def _has_one_right_side(cls, given: Any) -> Any:
        if isinstance(given, dict) and ("right" in given) == (given.get("value") is not None):
            raise ValueError("a rule compares its left variable with 'right' or with 'value', and not with both")
        return given

    @model_validator(mode="after")
    def _value_is_alike_or_not(self) -> Self:
        if self.value is not None and (self.comparison not in ("==", "!=") or self.plus):
            raise ValueError("a rule with 'value' says == or !=, and adds nothing to its left side")
        return self

    @property
    def compared(self) -> frozenset[str]:
        """The variables whose values are compared."""
        right = {self.right} if isinstance(self.right, str) else set()
        return frozenset({self.left} | right | ({self.plus.variable} if self.plus else set()))

    @property
    def variables(self) -> frozenset[str]:
        """All variables the rule reads."""
        return self.compared | frozenset(self.when)

    @model_serializer(mode="wrap")
    def _without_what_is_not_said(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A rule that says none of what was added later keeps the digest it had before."""
        written: dict[str, Any] = handler(self)
        if self.value is not None:
            del written["right"]
        return {name: said for name, said in written.items() if said or name not in ("plus", "source", "value")}


class Exclusion(Closed):
    """A form for writing rules: of several variables at most one has the value named for it.

    Fusions that exclude each other, or a patient who is in one trial arm only. A codebook reads it as one rule for
    each pair, ``<id>/<first>/<second>``.
    """

    id: str
    sentence: str
    at_most_one: dict[str, str] = Field(min_length=2, description="category variable → its value that counts")
    source: str = ""

    def rules(self) -> list[Rule]:
        """The rules it stands for."""
        return [
            Rule(
                id=f"{self.id}/{first}/{second}",
                sentence=f"{self.sentence.rstrip('.')}: here {first} and {second}.",
                left=second,
                comparison="!=",
                value=self.at_most_one[second],
                when={first: self.at_most_one[first]},
                source=self.source,
            )
            for first, second in combinations(self.at_most_one, 2)
        ]


class SurvivalOutcome(Closed):
    """A time and the event that ends it."""

    name: str
    time: str
    event: str
    event_value: str = Field(description="the category of the event variable that means: it happened")
    unit: str = Field(description="UCUM unit of time, e.g. mo")


class Codebook(Closed):
    """All variables and rules of one dataset or disease dictionary."""

    id: str
    version: str
    title: str
    disease: str = Field(description="IRI of the disease, e.g. http://www.orpha.net/ORDO/Orphanet_…")
    patient_key: str = Field(description="the variable that says which rows belong to one person")
    variables: tuple[Variable, ...]
    outcomes: tuple[SurvivalOutcome, ...] = ()
    rules: tuple[Rule, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _exclusions_are_rules(cls, given: Any) -> Any:
        if not isinstance(given, dict) or not isinstance(given.get("rules"), list | tuple):
            return given
        rules: list[Any] = []
        for rule in given["rules"]:
            short = isinstance(rule, dict) and "at_most_one" in rule
            rules += Exclusion.model_validate(rule).rules() if short else [rule]
        return given | {"rules": rules}

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        names = [variable.name for variable in self.variables]
        if len(names) != len(set(names)):
            raise ValueError("a variable is named twice")
        used = [name for outcome in self.outcomes for name in (outcome.time, outcome.event)]
        for rule in self.rules:
            used += rule.variables
        unknown = sorted(set(used) - set(names))
        if unknown:
            raise ValueError(f"unknown variables in outcomes or rules: {', '.join(unknown)}")
        self._rules_make_sense()
        self._derivations_make_sense()
        return self

    def _rules_make_sense(self) -> None:
        ids = [rule.id for rule in self.rules]
        if len(ids) != len(set(ids)):
            raise ValueError("two rules have the same id: a broken rule is told by its id")
        for rule in self.rules:
            asked = rule.when | ({rule.left: rule.value} if rule.value is not None else {})
            for name, value in asked.items():
                variable = self.variable(name)
                if variable.type == "category" and value not in variable.categories:
                    raise ValueError(f"rule {rule.id}: '{value}' is no category of {name}")

    def _derivations_make_sense(self) -> None:
        for variable in self.variables:
            if variable.derivation is None:
                continue
            unknown = sorted(variable.derivation.variables - set(self.names()))
            if unknown:
                raise ValueError(f"variable {variable.name} is derived from unknown variables: {', '.join(unknown)}")
            self._derivation_has_its_types(variable.name, variable.derivation)
        self.in_order_of_derivation()

    def _derivation_has_its_types(self, name: str, derivation: Derivation) -> None:
        for source in derivation.variables:
            before = self.variable(source)
            if before.type == "text" or not _fits(derivation, source, category=before.type == "category"):
                raise ValueError(f"variable {name} cannot be derived from {source}, which is of another type")
        for named, values in _named_categories(derivation):
            unknown = sorted(set(values) - set(self.variable(named).categories))
            if unknown:
                raise ValueError(f"variable {name}: '{unknown[0]}' is no category of {named}")

    def in_order_of_derivation(self) -> tuple[Variable, ...]:
        """The variables, each derived one after those it follows from; raises :class:`ValueError` on a circle."""
        waiting, found, names = list(self.variables), list[Variable](), set[str]()
        while waiting:
            ready = [v for v in waiting if v.derivation is None or v.derivation.variables <= names]
            if not ready:
                raise ValueError(f"derivations go in a circle: {', '.join(sorted(v.name for v in waiting))}")
            found += ready
            names |= {variable.name for variable in ready}
            waiting = [variable for variable in waiting if variable.name not in names]
        return tuple(found)

    @property
    def digest(self) -> str:
        return digest(self.model_dump(mode="json"))

    def variable(self, name: str) -> Variable:
        """The variable of this name; raises :class:`InputError` naming those there are."""
        for variable in self.variables:
            if variable.name == name:
                return variable
        known = ", ".join(variable.name for variable in self.variables)
        raise InputError(f"the codebook has no variable '{name}'", fix=f"use one of: {known}")

    def names(self, *roles: VariableRole) -> tuple[str, ...]:
        """Names of the variables, all or those of the given roles, in order."""
        return tuple(v.name for v in self.variables if not roles or v.role in roles)

    @property
    def derived(self) -> tuple[str, ...]:
        """Names of the variables that follow from others, in order."""
        return tuple(variable.name for variable in self.variables if variable.derivation is not None)

    def keep(self, names: tuple[str, ...]) -> Codebook:
        """The codebook of a table that has only these variables; rules and outcomes that lost one go too.

        A derived variable that lost what it follows from is kept as a variable like others.
        """
        for name in names:
            self.variable(name)
        return Codebook(
            **{
                **self.model_dump(exclude={"variables", "outcomes", "rules"}),
                "variables": tuple(v.following_only(frozenset(names)) for v in self.variables if v.name in names),
                "outcomes": tuple(o for o in self.outcomes if o.time in names and o.event in names),
                "rules": tuple(r for r in self.rules if r.variables <= set(names)),
            }
        )


def _fits(derivation: Derivation, name: str, *, category: bool) -> bool:
    """Whether a variable of this kind may stand at its place in a derivation."""
    if not isinstance(derivation, Cases | Score):
        return category == (derivation.kind == "count")
    return all(_compares(c, category=category) for c in conditions_of(derivation) if c.variable == name)


def _named_categories(derivation: Derivation) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each category variable of a derivation with the values named of it."""
    if isinstance(derivation, Count):
        yield from derivation.of.items()
    elif isinstance(derivation, Cases | Score):
        for condition in conditions_of(derivation):
            alone = (condition.value,) if isinstance(condition.value, str) else ()
            yield condition.variable, (*condition.one_of, *alone)


def _compares(condition: Condition, *, category: bool) -> bool:
    if condition.one_of:
        return category and condition.value is None and condition.comparison == "=="
    if category:
        return isinstance(condition.value, str) and condition.comparison in ("==", "!=")
    return isinstance(condition.value, float)


def load_codebook(path: Path) -> Codebook:
    """Read a codebook from YAML or JSON; raises :class:`InputError` naming file and field."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError("no such codebook", where=str(path), fix="give the path of a codebook file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("the codebook cannot be read", where=str(path), fix="give a UTF-8 text file") from error
    return read_codebook(text, str(path))


def read_codebook(text: str, source: str) -> Codebook:
    """Read a codebook from YAML or JSON text; ``source`` names it in errors. Raises :class:`InputError`."""
    try:
        value: Any = yaml.safe_load(text)
        return Codebook.model_validate(value)
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"not valid YAML: {error}", where=source, fix="mend the line named above") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "codebook"
        raise InputError(f"{field}: {first['msg']}", where=source, fix=f"correct '{field}'") from error


def dictionary(name: str) -> Codebook:
    """A disease dictionary that travels with the software, e.g. ``mgus``; raises :class:`InputError` on others."""
    folder = bundled("ontologies") / "dictionaries"
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in known:
        raise InputError(f"there is no dictionary '{name[:40]}'", fix=f"use one of: {', '.join(known)}")
    return load_codebook(folder / f"{name}.yaml")
