"""Recoding by the codebook: what stays, in which bands, computed row by row and without looking at other rows."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl

from synthema.datasets.codebook import Codebook, Variable


def recoded_codebook(codebook: Codebook, fields: tuple[str, ...], bands: tuple[str, ...]) -> Codebook:
    """The codebook of the recoded table: the kept variables, banded numbers as categories.

    Rules that compare a banded number go, for a band has no order to compare. Raises
    ``ValueError`` when a band is asked for a variable that has none or whose time an outcome needs.
    """
    kept = kept_names(codebook, fields)
    _check_bands(codebook, kept, bands)
    smaller = codebook.keep(kept)
    numbers = frozenset(smaller.names()) - set(bands)
    variables = tuple(_as_category(v) if v.name in bands else v.following_only(numbers) for v in smaller.variables)
    rules = tuple(rule for rule in smaller.rules if not rule.compared & set(bands))
    plain = smaller.model_dump(exclude={"variables", "rules", "outcomes"})
    return Codebook(**plain, variables=variables, rules=rules, outcomes=smaller.outcomes)


def kept_names(codebook: Codebook, fields: tuple[str, ...]) -> tuple[str, ...]:
    """The names to keep in the codebook's order; identifiers never; all others when no field is named."""
    unknown = sorted(set(fields) - set(codebook.names()))
    if unknown:
        raise ValueError(f"the codebook has no variable {', '.join(unknown)}: correct the list of fields")
    kept = tuple(v.name for v in codebook.variables if v.role != "identifier" and (not fields or v.name in fields))
    if not kept:
        raise ValueError("no variable is left: name at least one field that is not an identifier")
    return kept


def _check_bands(codebook: Codebook, kept: tuple[str, ...], bands: tuple[str, ...]) -> None:
    timed = {name for outcome in codebook.outcomes for name in (outcome.time, outcome.event)}
    for name in bands:
        if name not in kept:
            raise ValueError(f"'{name}' is to be banded but is not among the kept fields: name it in both or in none")
        if name in timed:
            raise ValueError(f"'{name}' belongs to a survival outcome and cannot be banded: take it off the list")
        if not codebook.variable(name).bands:
            raise ValueError(f"the codebook gives no bands for '{name}': add bands there or take it off the list")


def _as_category(variable: Variable) -> Variable:
    """A number's variable after banding: only what still means something for a category is carried over."""
    carried = variable.model_dump(include={"name", "label", "role", "missing", "may_be_missing", "code"})
    unit = f", {variable.unit}" if variable.unit else ""
    carried["label"] = f"{variable.label} (bands{unit})"
    return Variable(**carried, type="category", categories=band_labels(variable))


def band_labels(variable: Variable) -> tuple[str, ...]:
    """Labels such as ``50–59`` (whole numbers) or ``1.5 to under 2`` (decimals); the last band holds its upper edge."""
    labels = []
    pairs = list(pairwise(variable.bands))
    for number, (low, high) in enumerate(pairs):
        if variable.type == "integer":
            last = int(np.floor(high)) if number == len(pairs) - 1 else int(np.ceil(high)) - 1
            first = int(np.ceil(low))
            labels.append(f"{first}–{last}" if last > first else f"{first}")
        else:
            labels.append(f"{low:g} to {'' if number == len(pairs) - 1 else 'under '}{high:g}")
    return tuple(labels)


def recoded_table(table: pl.DataFrame, codebook: Codebook, recoded: Codebook) -> pl.DataFrame:
    """The table under the recoded codebook; each row depends on itself alone."""
    absent = sorted(set(recoded.names()) - set(table.columns))
    if absent:
        raise ValueError(f"the table has no column {', '.join(absent)} though the codebook names it")
    columns = []
    for variable in recoded.variables:
        before = codebook.variable(variable.name)
        series = table[variable.name]
        columns.append(series if before.type == variable.type else _banded(series, before))
    return pl.DataFrame(columns)


def _banded(series: pl.Series, variable: Variable) -> pl.Series:
    """The band of each number; numbers outside the outermost bands go to the nearest one."""
    values = series.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
    labels, edges = band_labels(variable), np.asarray(variable.bands)
    place = np.clip(np.searchsorted(edges, np.nan_to_num(values), side="right") - 1, 0, len(labels) - 1)
    texts = [labels[index] if known else None for index, known in zip(place, np.isfinite(values), strict=True)]
    return pl.Series(series.name, texts, dtype=pl.String)
