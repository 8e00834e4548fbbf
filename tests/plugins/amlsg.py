"""The AMLSG cohort (1540 patients with acute myeloid leukaemia), 54 columns, with a codebook, where the data lie.

Published with Papaemmanuil et al. (NEJM 2016) and Gerstung et al. (Nature Genetics 2017). Bounds, edges and
categories are written down here from what such variables can be; none is read from the rows.
"""

from __future__ import annotations

import csv
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from synthema.datasets.codebook import Codebook

FOLDER = Path(os.environ.get("SYNTHEMA_TEST_DATA", "../shared/data")) / "aml-amlsg"

NUMBERS: dict[str, tuple[str, str, list[float]]] = {
    "AOD": ("integer", "Age at diagnosis", [16, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 100]),
    "HB": ("decimal", "Haemoglobin, g/dL", [1, 5, 6, 7, 8, 9, 10, 11, 12, 14, 20]),
    "platelet": ("decimal", "Platelets, 10*9/L", [0, 15, 25, 40, 60, 85, 120, 200, 400, 1500]),
    "wbc": ("decimal", "Leukocytes, 10*9/L", [0, 2, 4, 8, 15, 30, 60, 100, 200, 1000]),
    "LDH": ("decimal", "Lactate dehydrogenase, U/L", [50, 200, 300, 400, 500, 700, 1000, 2000, 10000]),
    "BM_Blasts": ("decimal", "Blasts in bone marrow, %", [0, 20, 30, 40, 50, 60, 70, 80, 90, 100]),
    "PB_Blasts": ("decimal", "Blasts in blood, %", [0, 1, 5, 10, 20, 35, 50, 65, 80, 100]),
    "OS": (
        "integer",
        "Time to death or last contact, days",
        [0, 30, 60, 91, 183, 274, 365, 548, 730, 1096, 1461, 1826, 2557, 3652, 6000],
    ),
}
CATEGORIES: dict[str, list[str]] = {
    "Status": ["0", "1"],
    "gender": ["1", "2"],
    "Performance_ECOG": ["0", "1", "2", "3", "4"],
    "Splenomegaly": ["0", "1"],
    "TypeAML": ["AML", "oAML", "sAML", "tAML"],
    "M_Risk": ["Favorable", "Inter-1", "Inter-2", "Adverse"],
    "CEBPA": ["0", "1", "2"],
}
CHROMOSOMES = [
    "inv3_t3_3",
    "minus5_5q",
    "minus7",
    "minus7q",
    "plus8_8q",
    "minus9q",
    "mono12_12p_abn12p",
    "mono17_17p_abn17p",
    "t_15_17",
    "t_8_21",
    "inv16_t16_16",
    "abn3q_other",
    "complex",
    "t_9_11",
]
MARKERS = ["NPM1", "FLT3_ITD", "FLT3_TKD", "MLL_PTD"]
GENES = [
    "DNMT3A",
    "NRAS",
    "TET2",
    "IDH2",
    "RUNX1",
    "PTPN11",
    "IDH1",
    "TP53",
    "SFRS2",
    "KRAS",
    "WT1",
    "ASXL1",
    "STAG2",
    "KIT",
    "RAD21",
    "EZH2",
    "PHF6",
    "SF3B1",
    "CBL",
    "U2AF1",
    "GATA2",
]
REQUIRED = ("OS", "Status")
RISK_OF = {"t_15_17": "Favorable", "t_8_21": "Favorable", "inv16_t16_16": "Favorable", "inv3_t3_3": "Adverse"}


def _variables() -> list[dict[str, Any]]:
    flags = {name: ["0", "1"] for name in (*CHROMOSOMES, *MARKERS, *GENES)}
    numbers: list[dict[str, Any]] = [
        {"name": n, "label": label, "type": kind, "minimum": edges[0], "maximum": edges[-1], "edges": edges}
        for n, (kind, label, edges) in NUMBERS.items()
    ]
    categories: list[dict[str, Any]] = [
        {"name": n, "label": n, "type": "category", "categories": listed} for n, listed in (CATEGORIES | flags).items()
    ]
    found = [*numbers, *categories]
    for variable in found:
        variable["may_be_missing"] = variable["name"] not in REQUIRED
        variable["role"] = {"OS": "time", "Status": "event"}.get(variable["name"], "other")
    return found


CODEBOOK = Codebook.model_validate(
    {
        "id": "amlsg-test",
        "version": "1",
        "title": "Acute myeloid leukaemia, AMLSG",
        "disease": "http://www.orpha.net/ORDO/Orphanet_519",
        "patient_key": "PDID",
        "variables": _variables(),
        "outcomes": [{"name": "survival", "time": "OS", "event": "Status", "event_value": "1", "unit": "d"}],
        "rules": [
            {
                "id": "one-fusion",
                "sentence": "Fusions that define a kind of leukaemia exclude each other.",
                "at_most_one": dict.fromkeys(("inv3_t3_3", "t_15_17", "t_8_21", "inv16_t16_16", "t_9_11"), "1"),
            },
            *(
                {
                    "id": f"risk/{name}",
                    "sentence": "A fusion decides the cytogenetic risk.",
                    "left": "M_Risk",
                    "comparison": "==",
                    "value": risk,
                    "when": {name: "1"},
                }
                for name, risk in RISK_OF.items()
            ),
        ],
    }
)


def present() -> bool:
    """Whether the data lie where they are looked for (``SYNTHEMA_TEST_DATA``, else ``../shared/data``)."""
    return FOLDER.is_dir()


@cache
def amlsg_table() -> pl.DataFrame:
    """All patients, 54 columns, with the codebook's types."""
    with (FOLDER / "AMLSG_Clinical_Anon.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    mutated: dict[str, set[str]] = {gene: set() for gene in GENES}
    with (FOLDER / "AMLSG_Genetic.txt").open(encoding="utf-8") as stream:
        for variant in csv.DictReader(stream, delimiter="\t"):
            if variant["Result"] in ("ONCOGENIC", "POSSIBLE") and variant["GENE"] in mutated:
                mutated[variant["GENE"]].add(variant["SAMPLE_NAME"])
    for row in rows:
        row |= {gene: "1" if row["PDID"] in mutated[gene] else "0" for gene in GENES}
        row["t_9_11"] = row["t_9_11"].removesuffix(".0")
    columns = {}
    for variable in CODEBOOK.variables:
        kind = {"category": pl.String, "integer": pl.Int64, "decimal": pl.Float64}[variable.type]
        texts = pl.Series([row[variable.name] or None for row in rows], dtype=pl.String)
        columns[variable.name] = texts if kind == pl.String else texts.cast(pl.Float64).cast(kind)
    return pl.DataFrame(columns)


def centres() -> list[str]:
    """The centre of each patient, in the order of :func:`amlsg_table`."""
    with (FOLDER / "AMLSG_Clinical_Anon.csv").open(encoding="utf-8") as stream:
        return [row["Center"] for row in csv.DictReader(stream)]


def split(seed: int, share: float = 0.7) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Train and hold-out rows."""
    table = amlsg_table()
    order = np.random.default_rng(seed).permutation(table.height)
    size = round(share * table.height)
    return table[order[:size].tolist()], table[order[size:].tolist()]
