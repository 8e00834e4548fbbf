"""Classes of patients who share all quasi-identifiers, and the promise that none has fewer than k of them.

Patients are counted and not rows: a patient with ten rows hides nobody. Stability, that is how many output rows can
change when one row of the input changes:

* Refusing: each output row is its own input row recoded, so one. (That a table is
  refused is one bit about all rows; a refusal yields no table to compute on.)
* Suppressing classes under k, one row for each patient: let one row be added to a class of c rows. If
  c + 1 < k nothing comes out, before or after: 0. If c + 1 = k the whole class comes
  out, none of which did before: k. If c >= k one more comes out: 1. So at most k, and
  k is reached. Removing a row is the same read backwards. A changed row is one
  removed from its class and one added to another: at most k rows vanish and at most
  k appear, that is k rows replaced. No other class depends on the row.
* Suppressing where patients have several rows, m at most: a class that comes out because of one row has the rows of
  k patients, so k m at most. As m is read from the table, it is no bound that holds for other tables: such a table
  is not for a private algorithm, and the answer says at least as much by giving k m.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True, slots=True)
class Classes:
    """How a table falls into classes: their number, the fewest patients of one, how many are under k, their rows."""

    number: int
    smallest: int
    under: int
    rows_under: int


PATIENT = "synthema:patient"
"""Stands for the patient's key beside the recoded columns; no name of a codebook has a colon."""


def with_patients(table: pl.DataFrame, patients: pl.Series | None) -> pl.DataFrame:
    """The table with a column that says whose each row is; without keys each row is a patient of its own."""
    owners = pl.Series(range(table.height), dtype=pl.Int64) if patients is None else patients
    return table.with_columns(owners.alias(PATIENT))


def classes_of(table: pl.DataFrame, names: tuple[str, ...], k: int) -> Classes:
    """Count the classes over the named columns; a missing value is a value like others. Without names: one class."""
    if not table.height:
        return Classes(0, 0, 0, 0)
    counted = _counted(table, names)
    small = counted.filter(pl.col("patients") < k)
    smallest = int(str(counted["patients"].min()))
    return Classes(counted.height, smallest, small.height, int(small["rows"].sum()))


def without_small_classes(
    table: pl.DataFrame, names: tuple[str, ...], k: int, *, like: pl.DataFrame | None = None
) -> pl.DataFrame:
    """The rows whose class has at least k patients, counted in ``like`` if it is given."""
    counted = _counted(table if like is None else like, names).filter(pl.col("patients") >= k)
    if not names:
        return table if counted.height else table.clear()
    return table.join(counted.select(names), on=list(names), how="semi", nulls_equal=True, maintain_order="left")


def _counted(table: pl.DataFrame, names: tuple[str, ...]) -> pl.DataFrame:
    figures = (pl.col(PATIENT).n_unique().alias("patients"), pl.len().alias("rows"))
    return table.group_by(list(names)).agg(*figures) if names else table.select(*figures)


def most_rows_of_a_patient(table: pl.DataFrame) -> int:
    """The most rows that one patient has; 1 for an empty table."""
    return int(str(table[PATIENT].value_counts()["count"].max())) if table.height else 1
