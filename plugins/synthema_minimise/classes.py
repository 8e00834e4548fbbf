"""Classes of rows that share all quasi-identifiers, and the promise that none is smaller than k.

Stability, that is how many output rows can change when one patient's row changes:

* Refusing: each output row is its own input row recoded, so one. (That a table is
  refused is one bit about all rows; a refusal yields no table to compute on.)
* Suppressing rows in classes under k: let one row be added to a class of c rows. If
  c + 1 < k nothing comes out, before or after: 0. If c + 1 = k the whole class comes
  out, none of which did before: k. If c >= k one more comes out: 1. So at most k, and
  k is reached. Removing a row is the same read backwards. A changed row is one
  removed from its class and one added to another: at most k rows vanish and at most
  k appear, that is k rows replaced. No other class depends on the row.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True, slots=True)
class Classes:
    """How a table falls into classes: number of classes, smallest size, classes and rows under k."""

    number: int
    smallest: int
    under: int
    rows_under: int


def classes_of(table: pl.DataFrame, names: tuple[str, ...], k: int) -> Classes:
    """Count the classes over the named columns; a missing value is a value like others. Without names: one class."""
    if not names or not table.height:
        under = int(0 < table.height < k)
        return Classes(int(table.height > 0), table.height, under, table.height * under)
    sizes = table.group_by(list(names)).len()["len"].to_numpy()
    small = sizes[sizes < k]
    return Classes(len(sizes), int(sizes.min()), len(small), int(small.sum()))


def without_small_classes(table: pl.DataFrame, names: tuple[str, ...], k: int) -> pl.DataFrame:
    """The rows whose class has at least k rows."""
    if not names:
        return table if table.height >= k else table.clear()
    return table.filter(pl.len().over(list(names)) >= k)
