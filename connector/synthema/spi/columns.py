"""How a plugin reads a table by the codebook alone, so that no value of the data decides anything.

A category that the codebook does not list counts as not recorded; a number outside its bounds is moved to the nearest
bound, so that no single patient can weigh more than another.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthema.datasets.codebook import Codebook, Variable

__all__ = ["column", "numbers", "texts", "variable_of"]


def variable_of(codebook: Codebook, name: str) -> Variable:
    """The variable of this name; raises ``ValueError`` when there is none or it identifies people."""
    for variable in codebook.variables:
        if variable.name == name:
            if variable.role == "identifier" or variable.type == "text":
                raise ValueError("an identifier is never computed on: leave it out of the study's parameters")
            return variable
    raise ValueError("the study names a variable that the codebook does not have: correct its parameters")


def texts(table: pl.DataFrame, variable: Variable) -> list[str | None]:
    """A category's column as texts, missing as None."""
    return column(table, variable).cast(pl.String, strict=False).to_list()


def numbers(table: pl.DataFrame, variable: Variable) -> NDArray[np.float64]:
    """A number's column as floats within the codebook's bounds, missing as NaN."""
    values = column(table, variable).cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
    return np.asarray(np.clip(values, variable.minimum, variable.maximum), dtype=np.float64)


def column(table: pl.DataFrame, variable: Variable) -> pl.Series:
    """The variable's column; raises ``ValueError`` when the table lacks it."""
    if variable.name not in table.columns:
        raise ValueError("the table lacks a column that the codebook names: harmonise it first")
    return table[variable.name]
