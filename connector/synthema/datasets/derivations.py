"""How one variable of a codebook follows from others, as values: what a person writes down, without any data.

A derived column holds no knowledge of its own. It is checked when a table comes in, and a generator need not learn
it: it is recomputed in every synthetic row, so that no row can contradict itself (:mod:`synthema.datasets.derive`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from synthema.values import Closed

Comparison = Literal["<=", "<", "==", "!=", ">=", ">"]


class Condition(Closed):
    """A comparison of one variable: with a number, a category, or (``one_of``) any of several categories."""

    variable: str
    comparison: Comparison = "=="
    value: str | float | None = Field(default=None, union_mode="left_to_right")
    one_of: tuple[str, ...] = ()


class Case(Closed):
    """A category, and the conditions that must all hold for it."""

    when: tuple[Condition, ...] = Field(min_length=1)
    value: str


class Sum(Closed):
    """A number: each variable times its factor, added up, and ``plus``.

    Years from days, or the time between two dates. ``rounding`` says what becomes of fractions: ``down`` for an age
    in full years.
    """

    kind: Literal["sum"]
    of: dict[str, float] = Field(min_length=1, description="variable → factor")
    plus: float = Field(default=0.0, allow_inf_nan=False)
    rounding: Literal["none", "nearest", "down"] = "none"
    tolerance: float = Field(default=1e-6, ge=0, description="how far a recorded value may lie off, e.g. by rounding")
    source: str = ""

    @property
    def variables(self) -> frozenset[str]:
        """What the value follows from."""
        return frozenset(self.of)


class Product(Closed):
    """A number: each variable to its power, multiplied, and ``times``.

    A body mass index is ``of: {weight: 1, height: -2}``. Dividing by 0 gives a value that is not known.
    """

    kind: Literal["product"]
    of: dict[str, float] = Field(min_length=1, description="variable → exponent")
    times: float = Field(default=1.0, allow_inf_nan=False)
    rounding: Literal["none", "nearest", "down"] = "none"
    tolerance: float = Field(default=1e-6, ge=0, description="how far a recorded value may lie off, e.g. by rounding")
    source: str = ""

    @property
    def variables(self) -> frozenset[str]:
        """What the value follows from."""
        return frozenset(self.of)


class Count(Closed):
    """A whole number: how many of the variables have one of the values named for them, e.g. mutated genes."""

    kind: Literal["count"]
    of: dict[str, tuple[str, ...]] = Field(min_length=1, description="category variable → values that count")
    source: str = ""

    @property
    def variables(self) -> frozenset[str]:
        """What the value follows from."""
        return frozenset(self.of)


class Bands(Closed):
    """A category: the band a number lies in, bands and categories in the same order.

    A band holds its lower edge and not its upper one; the last holds both. Numbers outside all bands give no value.
    """

    kind: Literal["bands"]
    of: str
    edges: tuple[float, ...] = Field(min_length=2)
    source: str = ""

    @property
    def variables(self) -> frozenset[str]:
        """What the value follows from."""
        return frozenset({self.of})


class Cases(Closed):
    """A category: the first case whose conditions hold, else ``otherwise``.

    Where something is not recorded, the value is known only if it would be the same whatever was left out of the
    cases up to the one that holds.
    """

    kind: Literal["cases"]
    cases: tuple[Case, ...] = Field(min_length=1)
    otherwise: str | None = None
    source: str = ""

    @property
    def variables(self) -> frozenset[str]:
        """What the value follows from."""
        return frozenset(condition.variable for case in self.cases for condition in case.when)


class Points(Closed):
    """Points, and the conditions that must all hold for them."""

    when: tuple[Condition, ...] = Field(min_length=1)
    points: float = Field(allow_inf_nan=False)


class Part(Closed):
    """One part of a score: the points of the first case whose conditions hold, else ``otherwise``."""

    cases: tuple[Points, ...] = Field(min_length=1)
    otherwise: float = Field(default=0.0, allow_inf_nan=False)


class Score(Closed):
    """A number: the points of several parts added up, as prognostic scores are."""

    kind: Literal["score"]
    parts: tuple[Part, ...] = Field(min_length=1)
    tolerance: float = Field(default=1e-6, ge=0, description="how far a recorded value may lie off, e.g. by rounding")
    source: str = ""

    @property
    def variables(self) -> frozenset[str]:
        """What the value follows from."""
        return frozenset(condition.variable for condition in conditions_of(self))


Derivation = Annotated[Sum | Product | Count | Score | Bands | Cases, Field(discriminator="kind")]


def values_of(derivation: Derivation) -> frozenset[str]:
    """The categories a derivation can give; none for numbers and bands."""
    if not isinstance(derivation, Cases):
        return frozenset()
    named = {case.value for case in derivation.cases}
    return frozenset(named if derivation.otherwise is None else named | {derivation.otherwise})


def conditions_of(derivation: Cases | Score) -> tuple[Condition, ...]:
    """Every condition of a derivation that has any."""
    if isinstance(derivation, Cases):
        return tuple(condition for case in derivation.cases for condition in case.when)
    return tuple(condition for part in derivation.parts for case in part.cases for condition in case.when)
