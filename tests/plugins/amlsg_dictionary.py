"""AMLSG in the columns of our dictionary of AML: what a hospital does before ``synthema dataset check``.

``python -m tests.plugins.amlsg_dictionary FILE.csv`` writes the table. Nothing of it is in the product: column names of
the cohort stand here only. Loss of chromosome Y occurs with ``gender`` 1 alone, so 1 is male. What the cohort does not
say is left out: whether a CEBPA mutation is in frame in bZIP (:func:`codebook` is the dictionary without it, and so
without the ELN 2022 risk that follows from it), and what ``oAML`` means. Its own risk groups are not in the dictionary.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from synthema.datasets import Codebook, dictionary
from tests.plugins.amlsg import FOLDER

KINDS = {"AML": "de novo", "sAML": "secondary", "tAML": "therapy-related"}
ALLOGENEIC = ("ALLO", "FREMD", "HAPLO")
SAME = {
    "patient": "PDID",
    "ecog": "Performance_ECOG",
    "hb": "HB",
    "platelets": "platelet",
    "wbc": "wbc",
    "ldh": "LDH",
    "bm_blasts": "BM_Blasts",
    "pb_blasts": "PB_Blasts",
    "t_8_21": "t_8_21",
    "inv16": "inv16_t16_16",
    "t_15_17": "t_15_17",
    "t_6_9": "t_6_9",
    "inv3": "inv3_t3_3",
    "t_9_22": "t_9_22",
    "minus5": "minus5_5q",
    "minus7": "minus7",
    "abn17p": "mono17_17p_abn17p",
    "complex_karyotype": "complex",
    "npm1": "NPM1",
    "flt3_itd": "FLT3_ITD",
    "flt3_tkd": "FLT3_TKD",
    "cebpa": "CEBPA",
    "os_days": "OS",
    "death": "Status",
}
GENES = {
    "srsf2": "SFRS2",
    **{
        name: name.upper()
        for name in (
            "tp53", "asxl1", "runx1", "sf3b1", "u2af1", "zrsr2", "stag2", "bcor", "ezh2", "dnmt3a", "tet2", "idh1",
            "idh2", "nras", "kras",
        )
    },
}  # fmt: skip


def rows() -> list[dict[str, str]]:
    """All patients in the dictionary's columns, values as text, empty where nothing is known."""
    mutated: dict[str, set[str]] = {gene: set() for gene in GENES.values()}
    with (FOLDER / "AMLSG_Genetic.txt").open(encoding="utf-8") as stream:
        for variant in csv.DictReader(stream, delimiter="\t"):
            if variant["Result"] in ("ONCOGENIC", "POSSIBLE") and variant["GENE"] in mutated:
                mutated[variant["GENE"]].add(variant["SAMPLE_NAME"])
    with (FOLDER / "AMLSG_Clinical_Anon.csv").open(encoding="utf-8") as stream:
        return [_row(given, mutated) for given in csv.DictReader(stream)]


def _row(given: dict[str, str], mutated: dict[str, set[str]]) -> dict[str, str]:
    made = {name: given[column] for name, column in SAME.items()}
    made |= {name: "1" if given["PDID"] in mutated[gene] else "0" for name, gene in GENES.items()}
    remission, relapse = whole(given["CR_date"]), whole(given["Recurrence_date"])
    transplanted = given["TPL_type"] in ALLOGENEIC
    return made | {
        "age": whole(given["AOD"]),
        "sex": {"1": "M", "2": "F"}.get(given["gender"], ""),
        "aml_type": KINDS.get(given["TypeAML"], ""),
        "t_9_11": whole(given["t_9_11"]),
        "kmt2a_other": {"True": "1", "False": "0"}.get(given["t_v_11"], ""),
        "cr": "1" if remission else "0",
        "cr_days": remission,
        "relapse": ("1" if relapse else "0") if remission else "",
        "relapse_days": (relapse or given["OS"]) if remission else "",
        "hsct": "1" if transplanted else "0",
        "hsct_days": whole(given["TPL_date"]) if transplanted else "",
    }


def whole(text: str) -> str:
    """A number without the decimals that a spreadsheet gave it."""
    return text.removesuffix(".0")


def codebook() -> Codebook:
    """The dictionary of AML without what AMLSG does not record."""
    book = dictionary("aml")
    return book.keep(tuple(name for name in book.names() if name not in ("cebpa_bzip", "eln2022")))


def write(path: Path) -> None:
    """The table as CSV."""
    table = rows()
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(table[0]))
        writer.writeheader()
        writer.writerows(table)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
