"""The codebook of a dataset: what each variable means, its bounds, its role, its rules.

A codebook is public. Everything that a private algorithm must know beforehand
(bounds, categories, bins) comes from here and never from the data: reading it
from the data would be a leak that no privacy budget counts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import Field, SerializerFunctionWrapHandler, ValidationError, model_serializer, model_validator

from synthema.canonical import digest
from synthema.errors import InputError
from synthema.resources import bundled
from synthema.values import Closed

VariableType = Literal["integer", "decimal", "category", "text"]
VariableRole = Literal["identifier", "quasi-identifier", "sensitive", "time", "event", "site", "other"]
Comparison = Literal["<=", "<", "==", "!=", ">=", ">"]


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
        for name in ("edges", "bands"):
            values = getattr(self, name)
            if values and (len(values) < 2 or list(values) != sorted(set(values))):
                raise ValueError(f"variable {self.name}: {name} must rise, with at least two values")
        return self


class Share(Closed):
    """A multiple of another variable that is added to the left side of a rule, e.g. a time in months as years."""

    variable: str
    factor: float = Field(default=1.0, allow_inf_nan=False)


class Rule(Closed):
    """A clinical rule that must hold between two variables, or a variable and a value, where both are known.

    ``when`` limits the rule to rows in which a category variable has a value. ``plus`` adds a multiple of
    another number to the left side: an age plus a time, or a haemoglobin less what a transfusion brings.
    ``source`` says what the rule rests on, and whether a clinician has yet to confirm it.
    """

    id: str
    sentence: str = Field(description="the rule in words, e.g. progression is never after the end of follow-up")
    left: str
    comparison: Comparison
    right: str | float = Field(description="a variable's name, or a number")
    when: dict[str, str] = Field(default_factory=dict)
    plus: Share | None = None
    source: str = ""

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
        """A rule that says neither ``plus`` nor ``source`` keeps the digest it had before the two existed."""
        written: dict[str, Any] = handler(self)
        return {name: value for name, value in written.items() if value or name not in ("plus", "source")}


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
        return self

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

    def keep(self, names: tuple[str, ...]) -> Codebook:
        """The codebook of a table that has only these variables; rules and outcomes that lost one go too."""
        for name in names:
            self.variable(name)
        return Codebook(
            **{
                **self.model_dump(exclude={"variables", "outcomes", "rules"}),
                "variables": tuple(v for v in self.variables if v.name in names),
                "outcomes": tuple(o for o in self.outcomes if o.time in names and o.event in names),
                "rules": tuple(r for r in self.rules if r.variables <= set(names)),
            }
        )


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
