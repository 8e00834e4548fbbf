"""A small simulated cohort for tests of plugins. No row describes a person: all are drawn from a random generator."""

from __future__ import annotations

import numpy as np
import polars as pl

from synthema.datasets.codebook import Codebook
from synthema.errors import InputError
from synthema.spi.model import Table

_CODEBOOK = {
    "id": "simulated-cohort",
    "version": "1",
    "title": "A simulated cohort: no row describes a person",
    "disease": "http://www.orpha.net/ORDO/Orphanet_519",
    "patient_key": "patient",
    "variables": [
        {"name": "patient", "label": "Patient", "type": "integer", "role": "identifier", "minimum": 1, "maximum": 1e6},
        {
            "name": "age",
            "label": "Age at diagnosis",
            "type": "integer",
            "role": "quasi-identifier",
            "minimum": 18,
            "maximum": 100,
            "unit": "a",
            "may_be_missing": False,
            "edges": [18, 30, 40, 50, 60, 70, 80, 100],
            "bands": [18, 50, 65, 100],
        },
        {
            "name": "sex",
            "label": "Sex",
            "type": "category",
            "role": "quasi-identifier",
            "categories": ["female", "male"],
            "may_be_missing": False,
        },
        {
            "name": "haemoglobin",
            "label": "Haemoglobin",
            "type": "decimal",
            "role": "sensitive",
            "unit": "g/dL",
            "minimum": 3,
            "maximum": 20,
            "edges": [3, 7, 9, 11, 13, 15, 20],
        },
        {
            "name": "marker",
            "label": "Gene marker",
            "type": "category",
            "role": "sensitive",
            "categories": ["absent", "present"],
        },
        {
            "name": "progression",
            "label": "Months to progression",
            "type": "decimal",
            "role": "other",
            "minimum": 0,
            "maximum": 240,
            "unit": "mo",
            "edges": [0, 6, 12, 24, 60, 120, 240],
        },
        {
            "name": "followup",
            "label": "Months of follow-up",
            "type": "decimal",
            "role": "time",
            "minimum": 0,
            "maximum": 240,
            "unit": "mo",
            "edges": [0, 6, 12, 24, 60, 120, 240],
            "may_be_missing": False,
        },
        {
            "name": "status",
            "label": "Status at the end",
            "type": "category",
            "role": "event",
            "categories": ["alive", "dead"],
            "may_be_missing": False,
        },
    ],
    "outcomes": [
        {"name": "overall survival", "time": "followup", "event": "status", "event_value": "dead", "unit": "mo"}
    ],
    "rules": [
        {
            "id": "progression-before-end",
            "sentence": "progression is never after the end of follow-up",
            "left": "progression",
            "comparison": "<=",
            "right": "followup",
        }
    ],
}


def simulated_codebook(*, with_identifier: bool = True) -> Codebook:
    """The codebook of the simulated cohort, with or without its patient key."""
    codebook = Codebook.model_validate(_CODEBOOK)
    return codebook if with_identifier else codebook.keep(tuple(name for name in codebook.names() if name != "patient"))


def simulated_table(rows: int, *, seed: int = 0, with_identifier: bool = True) -> Table:
    """Rows that conform to :func:`simulated_codebook`: numbers, texts, and nulls for what was not recorded."""
    random = np.random.default_rng(seed)
    age = random.integers(25, 90, rows)
    marker = random.random(rows) < 0.3
    followup = np.minimum(random.exponential(80 - age / 2 + 20 * marker, rows) + 1, 240).round(1)
    table = pl.DataFrame(
        {
            "patient": np.arange(1, rows + 1),
            "age": age,
            "sex": random.choice(["female", "male"], rows),
            "haemoglobin": np.clip(random.normal(11, 2, rows), 3, 20).round(1),
            "marker": np.where(marker, "present", "absent"),
            "progression": (followup * random.random(rows)).round(1),
            "followup": followup,
            "status": np.where(random.random(rows) < 0.6, "dead", "alive"),
        }
    ).with_columns(
        pl.when(pl.Series(random.random(rows) < share)).then(None).otherwise(pl.col(name)).alias(name)
        for name, share in (("haemoglobin", 0.1), ("marker", 0.05), ("progression", 0.5))
    )
    return table if with_identifier else table.drop("patient")


def check_conforms(table: Table, codebook: Codebook) -> None:
    """Raise :class:`InputError` unless the table's columns are the codebook's, and every value is allowed by it."""
    if set(table.columns) != set(codebook.names()):
        raise InputError(
            f"the columns are {', '.join(table.columns)}", fix=f"give exactly: {', '.join(codebook.names())}"
        )
    for variable in codebook.variables:
        column = table[variable.name]
        known = column.drop_nulls()
        wrong = f"column '{variable.name}'"
        if not variable.may_be_missing and len(known) < len(column):
            raise InputError(f"{wrong} has missing values", fix="the codebook says it is always recorded")
        if variable.type == "category":
            strange = sorted(set(known.cast(pl.String)) - set(variable.categories))
            if strange:
                raise InputError(f"{wrong} holds '{strange[0]}'", fix=f"use: {', '.join(variable.categories)}")
        elif not known.dtype.is_numeric() and len(known):
            raise InputError(f"{wrong} is not a number", fix="give numbers")
        elif len(known):
            _check_numbers(known, variable.minimum, variable.maximum, wrong, whole=variable.type == "integer")


def _check_numbers(values: pl.Series, minimum: float | None, maximum: float | None, wrong: str, *, whole: bool) -> None:
    numbers = values.cast(pl.Float64).to_numpy()
    low, high = float(numbers.min()), float(numbers.max())
    if (
        not np.isfinite(numbers).all()
        or (minimum is not None and low < minimum)
        or (maximum is not None and high > maximum)
    ):
        raise InputError(f"{wrong} reaches from {low:g} to {high:g}", fix=f"stay between {minimum} and {maximum}")
    if whole and not np.equal(numbers, np.round(numbers)).all():
        raise InputError(f"{wrong} holds fractions", fix="give whole numbers")
