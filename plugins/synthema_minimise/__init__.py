"""Minimise: keep only the needed fields, recode to bands, and let no patient stand out among fewer than k.

On request patients get pseudonyms of the permit, and their dates are moved. Recoding and moving follow the codebook and
the row alone, so they may stand in front of a differentially private algorithm without changing its guarantee.
"""

from __future__ import annotations

from dataclasses import dataclass

from synthema.datasets.codebook import Codebook
from synthema.spi.hookspecs import hookimpl
from synthema.spi.model import Anonymised, Parameters, Table
from synthema_minimise.classes import (
    PATIENT,
    Classes,
    classes_of,
    most_rows_of_a_patient,
    with_patients,
    without_small_classes,
)
from synthema_minimise.deidentify import (
    Deidentification,
    deidentification_of,
    deidentified_codebook,
    deidentified_table,
)
from synthema_minimise.recoding import recoded_codebook, recoded_table

__all__ = ["anonymise", "anonymise_control", "anonymised_codebook"]

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
    recoded = _recoded(table, codebook, wanted)
    names = after.names("quasi-identifier")
    found = classes_of(recoded, names, wanted.k)
    most = most_rows_of_a_patient(recoded)
    if not found.under:
        return Anonymised(
            recoded.drop(PATIENT), after, wanted.k * most if wanted.suppress else 1, _measures(found, suppressed=0)
        )
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
    measures = _measures(left, suppressed=found.rows_under)
    return Anonymised(kept.drop(PATIENT), after, wanted.k * most, measures, (note,))


@hookimpl
def anonymise_control(table: Table, fitted: Table, codebook: Codebook, parameters: Parameters) -> Table:
    """Rows kept apart, recoded as :func:`anonymise` recodes ``fitted``.

    With ``suppress`` a row stays only if its class was large enough in ``fitted``. No class is refused for being
    small among these rows: nothing is promised about them, and they never leave.
    """
    wanted = _wanted(codebook, parameters)
    recoded = _recoded(table, codebook, wanted)
    if wanted.suppress:
        names = _after(codebook, wanted).names("quasi-identifier")
        recoded = without_small_classes(recoded, names, wanted.k, like=_recoded(fitted, codebook, wanted))
    return recoded.drop(PATIENT)


def _recoded(table: Table, codebook: Codebook, wanted: _Wanted) -> Table:
    """The kept fields in their new form, with a column that says whose each row is."""
    recoded = recoded_table(table, codebook, recoded_codebook(codebook, wanted.fields, wanted.bands))
    if wanted.people.asked:
        recoded = deidentified_table(table, recoded, codebook.patient_key, wanted.people)
    keys = table[codebook.patient_key] if codebook.patient_key in table.columns else None
    if keys is not None and keys.null_count():
        raise ValueError("a row does not say which patient it belongs to: complete the patient key")
    return with_patients(recoded, keys)


def _measures(found: Classes, *, suppressed: int) -> dict[str, float]:
    """Figures of the result; ``prosecutorRisk`` is the chance to pick the right patient of a known one's class."""
    return {
        "smallestClass": float(found.smallest),
        "classes": float(found.number),
        "suppressedRows": float(suppressed),
        "prosecutorRisk": 1.0 / found.smallest if found.smallest else 0.0,
    }
