"""What every class keeps: k-anonymity, l-diversity, t-closeness and δ-presence, and how well a table keeps them.

* k-anonymity (Samarati and Sweeney 1998): at least k different patients share all quasi-identifiers.
* l-diversity (Machanavajjhala et al., ICDE 2006): each class has at least l different *recorded* values of each
  sensitive variable (distinct), or values as uncertain as l equally likely ones (entropy). "Not recorded" is no value.
  A number's values are the codebook's intervals: 9.1 and 9.2 in one interval are not two values.
* t-closeness (Li, Li and Venkatasubramanian, ICDE 2007): the values of a class lie within t of those of the whole
  table. Category: half the sum of differences of shares, "not recorded" being one share. Number: the ordered earth
  mover's distance over the recorded intervals, or the difference in the share recorded, whichever is larger.
* δ-presence (Nergiz, Atzori and Clifton, SIGMOD 2007), upper bound: of the people of the population who fit a class,
  at most the share δ are in the table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthema_anonymise.scales import Codes, Flags

Numbers = NDArray[np.float64]
Diversity = Literal["distinct", "entropy"]

SLACK = 1e-9
UNIT = 720_720
"""One patient in whole numbers: divisible by 1 to 16, so that the parts of a patient with several rows add up."""


@dataclass(frozen=True)
class Sensitive:
    """A sensitive variable's codes; ``leaves`` is the code of a value that was not recorded, -1 of no row at all."""

    name: str
    codes: Codes
    leaves: int
    ordered: bool

    def shares(self, groups: Codes, count: int) -> Numbers:
        """How many rows of each group have each code, shape (count, leaves + 1)."""
        asked = (groups >= 0) & (self.codes >= 0)
        flat = groups[asked] * (self.leaves + 1) + self.codes[asked]
        found = np.bincount(flat, minlength=count * (self.leaves + 1)).astype(np.float64)
        return found.reshape(count, self.leaves + 1)

    @cached_property
    def overall(self) -> Numbers:
        """The counts of the whole table, shape (1, leaves + 1)."""
        return self.shares(np.zeros(len(self.codes), dtype=np.int64), 1)

    def distinct(self, counts: Numbers) -> Numbers:
        """The number of different recorded values of each group."""
        return np.asarray((counts[:, : self.leaves] > 0).sum(axis=1), dtype=np.float64)

    def entropy(self, counts: Numbers) -> Numbers:
        """The number of equally likely values that would be as uncertain as the recorded ones of each group."""
        known = counts[:, : self.leaves]
        share = known / np.maximum(known.sum(axis=1, keepdims=True), 1)
        uncertain = -(share * np.log(np.where(share > 0, share, 1.0))).sum(axis=1)
        return np.where(known.any(axis=1), np.exp(uncertain), 0.0)

    def distance(self, counts: Numbers) -> Numbers:
        """How far each group's values are from the whole table's, 0 to 1."""
        mine: Numbers = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        whole = self.overall / max(float(self.overall.sum()), 1.0)
        if not self.ordered:
            return np.asarray(np.abs(mine - whole).sum(axis=1) / 2, dtype=np.float64)
        recorded = np.abs(mine[:, -1] - whole[:, -1])
        apart = np.cumsum(_of_known(mine) - _of_known(whole), axis=1)[:, :-1]
        moved = np.abs(apart).sum(axis=1) / max(self.leaves - 1, 1)
        return np.maximum(recorded, np.where(mine[:, :-1].any(axis=1), moved, 0.0))


def _of_known(shares: Numbers) -> Numbers:
    known = shares[:, :-1]
    sums = known.sum(axis=1, keepdims=True)
    return np.asarray(known / np.where(sums > 0, sums, 1.0))


@dataclass(frozen=True)
class Promises:
    """What each class must keep. Rows of the population carry ``people``, rows of the table carry ``weight``.

    ``weight`` is a patient's :data:`UNIT` divided by the number of her rows. The weight of a class is then never more
    than the number of its patients, so asking it of the weight asks it of the patients.
    """

    k: int
    weight: Numbers
    sensitive: tuple[Sensitive, ...] = ()
    l_value: float = 1
    diversity: Diversity = "distinct"
    t_value: float = 1.0
    people: Numbers | None = field(default=None)
    presence: float = 1.0

    @property
    def least(self) -> float:
        """The least weight of a class."""
        return float(self.k * UNIT)

    def holds(self, groups: Codes, count: int) -> Flags:
        """Whether each of ``count`` groups keeps everything; ``groups`` is each row's group, -1 for none."""
        asked = groups >= 0
        weight = np.bincount(groups[asked], weights=self.weight[asked], minlength=count)
        kept = weight >= self.least
        if self.l_value > 1 or self.t_value < 1:
            for variable in self.sensitive:
                counts = variable.shares(groups, count)
                if self.l_value > 1:
                    kept &= getattr(variable, self.diversity)(counts) >= self.l_value - SLACK
                if self.t_value < 1:
                    kept &= variable.distance(counts) <= self.t_value + SLACK
        if self.people is not None and self.presence < 1:
            people = np.bincount(groups[asked], weights=self.people[asked], minlength=count)
            # Here the weight would flatter: rows are never fewer than patients.
            rows = np.bincount(groups[asked], weights=self.weight[asked] > 0, minlength=count)
            kept &= rows <= self.presence * people + SLACK
        return np.asarray(kept)


@dataclass(frozen=True, slots=True)
class Kept:
    """What a table keeps. ``diversity``, ``entropy``, ``closeness``: the worst class, by sensitive variable."""

    patients: NDArray[np.int64]
    diversity: dict[str, float]
    entropy: dict[str, float]
    closeness: dict[str, float]

    @property
    def k(self) -> int:
        """The fewest patients of a class."""
        return int(self.patients.min()) if len(self.patients) else 0


def groups_of(table: pl.DataFrame, names: tuple[str, ...]) -> tuple[Codes, int]:
    """Each row's class of rows that agree in all named columns, and how many there are; nulls agree with each other."""
    if not names or not table.height:
        return np.zeros(table.height, dtype=np.int64), int(table.height > 0)
    found = table.select(names).with_row_index("").group_by(list(names), maintain_order=True).agg(pl.col(""))[""]
    groups = np.empty(table.height, dtype=np.int64)
    groups[found.explode(empty_as_null=True, keep_nulls=True).to_numpy()] = np.repeat(
        np.arange(len(found)), found.list.len().to_numpy()
    )
    return groups, len(found)


def patients_in(groups: Codes, count: int, patients: Codes | None) -> NDArray[np.int64]:
    """How many different patients each group has; without ``patients`` each row is one."""
    if patients is None:
        return np.bincount(groups, minlength=count).astype(np.int64)
    pairs = np.unique(np.stack([groups, patients], axis=1), axis=0)
    return np.bincount(pairs[:, 0], minlength=count).astype(np.int64)


def kept_by(groups: Codes, count: int, sensitive: tuple[Sensitive, ...], patients: Codes | None) -> Kept:
    """Measure the classes as they are, without using how they were made."""
    diversity, entropy, closeness = {}, {}, {}
    for variable in sensitive:
        counts = variable.shares(groups, count)
        diversity[variable.name] = float(variable.distinct(counts).min())
        entropy[variable.name] = float(variable.entropy(counts).min())
        closeness[variable.name] = float(variable.distance(counts).max())
    return Kept(patients_in(groups, count, patients), diversity, entropy, closeness)
