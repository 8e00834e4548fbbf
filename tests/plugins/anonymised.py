"""Tables for the tests of the anonymiser: simulated rows with every kind of column, and what may be said of them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import polars as pl
from hypothesis import strategies as st

from synthema.datasets.codebook import Codebook
from synthema_anonymise.scales import Scale

CODEBOOK = Codebook.model_validate(
    {
        "id": "simulated",
        "version": "1",
        "title": "Simulated rows: none describes a person",
        "disease": "http://www.orpha.net/ORDO/Orphanet_519",
        "patient_key": "patient",
        "variables": [
            {"name": "patient", "label": "Patient", "type": "text", "role": "identifier"},
            {
                "name": "years",
                "label": "Age",
                "type": "integer",
                "role": "quasi-identifier",
                "unit": "a",
                "minimum": 0,
                "maximum": 100,
                "edges": [0, 18, 30, 40, 50, 60, 70, 80, 90, 100],
            },
            {
                "name": "place",
                "label": "District",
                "type": "category",
                "role": "quasi-identifier",
                "categories": ["a", "b", "c", "d", "e"],
            },
            {
                "name": "size",
                "label": "Size",
                "type": "decimal",
                "role": "quasi-identifier",
                "minimum": 1.0,
                "maximum": 2.5,
            },
            {
                "name": "finding",
                "label": "Finding",
                "type": "category",
                "role": "sensitive",
                "categories": ["none", "mild", "severe"],
            },
            {
                "name": "level",
                "label": "Level",
                "type": "decimal",
                "role": "sensitive",
                "minimum": 0,
                "maximum": 50,
                "edges": [0, 10, 20, 30, 40, 50],
            },
            {"name": "dose", "label": "Dose", "type": "integer", "minimum": 0, "maximum": 9},
        ],
        "rules": [
            {"id": "age-dose", "sentence": "s", "left": "dose", "comparison": "<=", "right": "years"},
            {"id": "dose-level", "sentence": "s", "left": "dose", "comparison": "<=", "right": 9.0},
        ],
    }
)
NAMES = CODEBOOK.names("quasi-identifier")
GROUPS = {"place: north": "a | b", "place: south": "c | d"}


def simulated(rows: int, seed: int = 0, missing: float = 0.1) -> pl.DataFrame:
    """Rows drawn from a random generator, the sensitive columns depending on the others."""
    random = np.random.default_rng(seed)
    years = random.integers(0, 101, rows)
    table = pl.DataFrame(
        {
            "patient": [f"p{number}" for number in range(rows)],
            "years": years,
            "place": random.choice(list("abcde"), rows, p=[0.5, 0.3, 0.1, 0.06, 0.04]),
            "size": random.uniform(1, 2.5, rows),
            "finding": np.where(random.random(rows) < years / 150, "severe", random.choice(["none", "mild"], rows)),
            "level": np.clip(random.normal(years / 3, 10, rows), 0, 50),
            "dose": random.integers(0, 10, rows),
        }
    )
    return table.with_columns(
        pl.when(pl.Series(random.random(rows) < missing)).then(None).otherwise(pl.col(name)).alias(name)
        for name in ("years", "place", "finding", "level")
    )


tables = st.builds(simulated, st.integers(1, 60), st.integers(0, 2**31), st.sampled_from([0.0, 0.2, 0.7]))


def classes(table: pl.DataFrame, names: tuple[str, ...] = NAMES) -> list[list[int]]:
    """The rows of each class, in plain Python: what the plugin's own count is checked against."""
    found: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for number, row in enumerate(table.select(names).iter_rows()):
        found[row].append(number)
    return list(found.values())


def allows(scale: Scale, label: str | None, code: int) -> bool:
    """Whether a label is true of a value: the value's code is one the label covers."""
    return bool(scale.covers[scale.steps.index(label), code])
