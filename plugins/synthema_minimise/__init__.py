"""Minimise: keep only the needed fields, recode to bands, and let no patient stand out among fewer than k.

On request patients get pseudonyms of the permit, and their dates are moved. Recoding and moving follow the codebook and
the row alone, so they may stand in front of a differentially private algorithm without changing its guarantee.
"""

from __future__ import annotations

from dataclasses import dataclass

from synthema.datasets.codebook import Codebook
from synthema.spi.hookspecs import hookimpl
from synthema.spi.model import Anonymised, Parameters, Table
from synthema_minimise.classes import Classes, classes_of, without_small_classes
from synthema_minimise.deidentify import (
    Deidentification,
    deidentification_of,
    deidentified_codebook,
    deidentified_table,
)
from synthema_minimise.recoding import recoded_codebook, recoded_table

__all__ = ["anonymise", "anonymised_codebook"]

DEFAULT_K = 5


@dataclass(frozen=True, slots=True)
class _Wanted:
    fields: tuple[str, ...]
    bands: tuple[str, ...]
    k: int
    suppress: bool
    people: Deidentification


def _wanted(codebook: Codebook, parameters: Parameters) -> _Wanted:
    k = parameters.get("k", DEFAULT_K)
    answer = parameters.get("small_classes", "refuse")
    if not isinstance(k, int) or isinstance(k, bool) or k < 1:
        raise ValueError("k is the size of the smallest class allowed: give a whole number of at least 1")
    if answer not in ("refuse", "suppress"):
        raise ValueError("small_classes is 'refuse' or 'suppress'")
    return _Wanted(
        tuple(parameters.get("fields", ())),
        tuple(parameters.get("band", ())),
        k,
        answer == "suppress",
        deidentification_of(codebook, parameters),
    )


def _after(codebook: Codebook, wanted: _Wanted) -> Codebook:
    recoded = recoded_codebook(codebook, wanted.fields, wanted.bands)
    if set(wanted.people.dates) & set(wanted.bands):
        raise ValueError("a date is both banded and moved: choose one of the two")
    return deidentified_codebook(recoded, codebook, wanted.people) if wanted.people.asked else recoded


@hookimpl
def anonymised_codebook(codebook: Codebook, parameters: Parameters) -> Codebook:
    """The codebook of what :func:`anonymise` gives back, from the codebook alone."""
    return _after(codebook, _wanted(codebook, parameters))


@hookimpl
def anonymise(table: Table, codebook: Codebook, parameters: Parameters) -> Anonymised:
    """Fields kept, numbers banded, small classes refused or suppressed.

    Raises ``ValueError`` when classes are under k and ``small_classes`` is "refuse", or
    when nothing is left. For the stability of each way see :mod:`synthema_minimise.classes`.
    """
    wanted = _wanted(codebook, parameters)
    after = _after(codebook, wanted)
    recoded = recoded_table(table, codebook, recoded_codebook(codebook, wanted.fields, wanted.bands))
    if wanted.people.asked:
        recoded = deidentified_table(table, recoded, codebook.patient_key, wanted.people)
    names = after.names("quasi-identifier")
    found = classes_of(recoded, names, wanted.k)
    if not found.under:
        return Anonymised(recoded, after, wanted.k if wanted.suppress else 1, _measures(found, suppressed=0))
    if not wanted.suppress:
        # No figures: only sentences that stand here as they are leave the sandbox.
        raise ValueError(
            "some patients share their quasi-identifiers with fewer than k: band or drop a quasi-identifier, lower k, "
            "or choose small_classes = suppress"
        )
    kept = without_small_classes(recoded, names, wanted.k)
    if kept.height == 0:
        raise ValueError("every class has fewer than k patients: band or drop a quasi-identifier, or lower k")
    left = classes_of(kept, names, wanted.k)
    note = f"{found.rows_under} of {recoded.height} rows were in classes under {wanted.k} and are left out."
    return Anonymised(kept, after, wanted.k, _measures(left, suppressed=found.rows_under), (note,))


def _measures(found: Classes, *, suppressed: int) -> dict[str, float]:
    """Figures of the result; ``prosecutorRisk`` is the chance to pick the right row of a known patient's class."""
    return {
        "smallestClass": float(found.smallest),
        "classes": float(found.number),
        "suppressedRows": float(suppressed),
        "prosecutorRisk": 1.0 / found.smallest if found.smallest else 0.0,
    }
