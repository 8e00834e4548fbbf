"""What may be said of a table that was made anonymous: counted by the connector itself, and never a bare yes.

Whether a person can still be identified by means reasonably likely to be used (GDPR recital 26) depends on who holds
the table, what else there is to know, and when it is asked. So the statement beside a table gives what was promised,
how sure each promise is, what was measured, for whom and on which day it was assessed, and what no figure covers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import polars as pl

from synthema.clock import to_text
from synthema.datasets.codebook import Codebook
from synthema.errors import PluginError
from synthema.runs.model import RunRequest
from synthema.spi.manifest import Manifest
from synthema.spi.model import Anonymised, Table

MEASURES: Final[tuple[str, ...]] = (
    "prosecutorRisk",
    "averageRisk",
    "journalistRisk",
    "marketerRisk",
    "atRisk",
    "presence",
    "diversity",
    "entropyDiversity",
    "closeness",
    "informationLoss",
    "marginalUtility",
    "pairUtility",
)
"""Figures of an anonymiser that gates may ask for, under these names; ``…Before`` are those of the table before."""

UNCOVERED: Final = (
    "An attacker who knows sensitive values of a person beforehand.",
    "Several releases of one cohort, whose classes can be intersected: under one permit and over all permits.",
    "Characteristics that others may know and that the codebook does not name as quasi-identifiers.",
    "Several sensitive variables of which one is known and narrows down another.",
)


@dataclass(frozen=True, slots=True)
class Counted:
    """What the connector counted on the table itself, whatever the plugin says of it; see :func:`count`."""

    smallest_class: int
    unique: float
    rows: int


def count(result: Anonymised, before: Table, known: Codebook) -> Counted:
    """Look at a table that a plugin made of ``before``, described by ``known``.

    Raises :class:`PluginError` where it holds an identifier or a pseudonym (GDPR Art. 4(5)), a column or more rows than
    it was given, or smaller classes than the plugin says.
    """
    table, columns = result.table, set(result.table.columns)
    named = {*known.names("identifier"), *result.codebook.names("identifier")}
    problems = {
        "a direct identifier or a pseudonym is left in the table, so it is personal data (GDPR Art. 4(5))": named
        & columns,
        "the table holds columns that it was not made of": columns - set(before.columns),
        "the table is not as its codebook says": columns ^ set(result.codebook.names()),
        "the table has more rows than it was made of": range(max(0, table.height - before.height)),
        "the table has no rows": [] if table.height else ["none"],
    }
    for problem, found in problems.items():
        if found:
            raise PluginError(f"{problem}; nothing is given out", fix="use an anonymiser that passes its tests")
    grouping = [name for name in known.names("quasi-identifier") if name in columns]
    sizes = table.group_by(grouping).len()["len"] if grouping else pl.Series([table.height])
    smallest, told = int(str(sizes.min())), int(result.measures.get("smallestClass", 0))
    if smallest < told:
        raise PluginError(
            f"the anonymiser says that no class is smaller than {told}, and the connector counts {smallest}",
            fix="use an anonymiser that passes its tests",
        )
    # A class of patients is never larger than its rows: the smaller number counts.
    return Counted(min(smallest, told), float(sizes.filter(sizes == 1).sum()) / table.height, table.height)


def in_no_order(table: Table) -> Table:
    """The rows in an order that follows from what they show, so that their place tells nothing more.

    Rows that stand as they came would give away who was taken in when, and match row by row with another release.
    """
    return table.sort(table.columns, nulls_last=True, maintain_order=False)


def figures_of(result: Anonymised, counted: Counted) -> dict[str, float]:
    """The figures that meet the gates. What the plugin did not measure is missing, and stops at its gate."""
    found = {name: float(result.measures[name]) for name in MEASURES if name in result.measures}
    return found | {"uniqueShare": max(counted.unique, result.measures.get("uniqueness", 0.0))}


def report(
    request: RunRequest, manifest: Manifest, result: Anonymised, counted: Counted, holder: str, at: datetime
) -> dict[str, Any]:
    """Everything measured before and after, and the graded statement, as JSON."""
    return {
        "statement": list(statement(request, manifest, result, counted, holder, at)),
        "table": {"rows": counted.rows, "columns": result.table.columns},
        "after": {name: value for name, value in result.measures.items() if not name.endswith("Before")},
        "before": {
            name.removesuffix("Before"): value for name, value in result.measures.items() if name.endswith("Before")
        },
        "countedByTheConnector": {"smallestClass": counted.smallest_class, "uniqueness": counted.unique},
        "asked": {
            "prepared": request.anonymise.model_dump(mode="json"),
            "anonymised": request.compute.model_dump(mode="json"),
        },
        "notes": list(result.notes),
        "notCovered": list(UNCOVERED),
    }


def statement(
    request: RunRequest, manifest: Manifest, result: Anonymised, counted: Counted, holder: str, at: datetime
) -> tuple[str, ...]:
    """What this table is and is not, in sentences, each with its grade."""
    measures, promise, basis = result.measures, manifest.guarantee, request.agreement or "no permit"
    made_for = (
        f"This table was made for {holder}, under {basis}, for the purpose {request.purpose}, and assessed on "
        f"{to_text(at)}. For others, later, or beside other data it is another question."
    )
    counts = (
        f"Counted by the connector: the smallest group who share what others may know has {counted.smallest_class} "
        f"patients. The plugin '{manifest.name}' promises {promise.kind}; that promise is {promise.assurance}."
    )
    known = measures.get("presence")
    present = (
        "Not measured: δ-presence, as no figures on the population were given."
        if known is None
        else f"Measured: of the people fitting a class, at most the share {known:.3g} is in the table (δ-presence)."
    )
    judgement = (
        "Whether this is anonymous in law is a judgement on means reasonably likely to be used (GDPR recital 26). The "
        "site's impact assessment makes it for these figures, this holder and this day; the figures do not."
    )
    changes = tuple(_change(measures, name, words) for name, words in _WORDS.items())
    return (made_for, counts, *changes, present, judgement)


_WORDS: Final[Mapping[str, str]] = {
    "uniqueness": "the share of patients who stand alone",
    "prosecutorRisk": "the highest chance to pick the right row of a patient who is known to be in the table",
    "journalistRisk": "the same for somebody who does not know that she is in it",
    "marketerRisk": "the mean share of right links",
    "diversity": "the fewest different sensitive values in a class (l)",
    "closeness": "the furthest that a class lies from the whole table (t)",
}


def _change(measures: Mapping[str, float], name: str, words: str) -> str:
    if name not in measures:
        return f"Not measured: {words}."
    before = measures.get(f"{name}Before")
    went = "" if before is None else f" (before: {before:.3g})"
    return f"Measured by the plugin: {words} is {measures[name]:.3g}{went}."
