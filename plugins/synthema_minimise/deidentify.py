"""De-identification: keyed pseudonyms for patients, and dates moved by the same number of days for all of a patient's.

Both come from HMAC-SHA-256 under a secret of the site that differs from permit to permit. Without the secret nobody
can compute a patient's pseudonym from her identifier, or tell that two permits speak of the same patient. With it the
site can find the patient again, so the table stays personal data (GDPR Art. 4(5), recital 26).
"""

from __future__ import annotations

import hmac
from base64 import b32encode
from dataclasses import dataclass

import polars as pl

from synthema.datasets.codebook import Codebook, Rule, Variable
from synthema.spi.model import Parameters

LETTERS = 26
"""Of base 32, 130 bits: two of a million patients share a pseudonym with a chance of 1 in 10²⁷."""


@dataclass(frozen=True, slots=True)
class Deidentification:
    """What was asked for: pseudonyms or none, which dates are moved, how far at most, and the secret of the permit."""

    pseudonyms: bool
    dates: tuple[str, ...]
    days: int
    key: bytes | None

    @property
    def asked(self) -> bool:
        """Whether anything is to be done."""
        return self.pseudonyms or bool(self.dates)


def deidentification_of(codebook: Codebook, parameters: Parameters) -> Deidentification:
    """Read and check the parameters, without the data; raises ``ValueError`` saying what to change."""
    dates = tuple(parameters.get("shift_dates", ()))
    days = parameters.get("shift_days", 182)
    text = parameters.get("permit_key")
    if not isinstance(days, int) or isinstance(days, bool) or days < 1:
        raise ValueError("shift_days is the largest number of days a date is moved: give a whole number of at least 1")
    _check_dates(codebook, dates)
    if text is not None and (len(text) != 64 or set(text) - set("0123456789abcdef")):
        raise ValueError("permit_key is 32 bytes, written as 64 digits 0-9 and a-f")
    return Deidentification(
        bool(parameters.get("pseudonyms", False)), dates, days, bytes.fromhex(text) if text else None
    )


def _check_dates(codebook: Codebook, dates: tuple[str, ...]) -> None:
    timed = {name for outcome in codebook.outcomes for name in (outcome.time, outcome.event)}
    for name in dates:
        variable = codebook.variable(name)
        if variable.type not in ("integer", "decimal") or variable.unit != "d":
            raise ValueError(f"'{name}' is not a number of days (unit d), so it cannot be moved by days")
        if name in timed:
            raise ValueError(f"'{name}' is a survival time and not a date: it does not need to be moved")


def deidentified_codebook(codebook: Codebook, before: Codebook, wanted: Deidentification) -> Codebook:
    """``codebook`` of the kept fields with the pseudonym, if any, and with room for dates that are moved.

    A rule stays if it compares two dates that move together, or none that moves.
    """
    unkept = set(wanted.dates) - set(codebook.names())
    if unkept:
        raise ValueError("a date is to be moved that is not among the kept fields: name it in both or in none")
    still = frozenset(codebook.names()) - set(wanted.dates)
    variables = [
        _moved(v, wanted) if v.name in wanted.dates else v if _is_a_span(v, wanted) else v.following_only(still)
        for v in codebook.variables
    ]
    if wanted.pseudonyms:
        known = before.variable(before.patient_key)
        variables.insert(
            0,
            Variable(
                name=known.name,
                label=f"{known.label} (pseudonym of this permit)",
                type="text",
                role="identifier",
                may_be_missing=False,
            ),
        )
    rules = tuple(rule for rule in codebook.rules if _still_holds(rule, set(wanted.dates)))
    plain = codebook.model_dump(exclude={"variables", "rules", "outcomes"})
    return Codebook(**plain, variables=tuple(variables), rules=rules, outcomes=codebook.outcomes)


def _is_a_span(variable: Variable, wanted: Deidentification) -> bool:
    """Whether a derived variable is a sum in which moves cancel: the time between two dates that move together."""
    if variable.derivation is None or variable.derivation.kind != "sum":
        return False
    moves = [factor for name, factor in variable.derivation.of.items() if name in wanted.dates]
    return abs(sum(moves)) < 1e-9


def _moved(variable: Variable, wanted: Deidentification) -> Variable:
    before = variable.model_dump()
    low, high = float(variable.minimum or 0) - wanted.days, float(variable.maximum or 0) + wanted.days
    wider = {"minimum": low, "maximum": high, "label": f"{variable.label} (moved)", "derivation": None}
    return Variable(**(before | wider))


def _still_holds(rule: Rule, dates: set[str]) -> bool:
    moved = rule.compared & dates
    return not moved or (moved == rule.compared and rule.plus is None and isinstance(rule.right, str))


def deidentified_table(
    table: pl.DataFrame, kept: pl.DataFrame, key_name: str, wanted: Deidentification
) -> pl.DataFrame:
    """``kept`` with pseudonyms and moved dates, from the patients of ``table``; each row depends on itself alone."""
    if wanted.key is None:
        raise ValueError("pseudonyms and moved dates need the secret of the permit, which the connector gives")
    if key_name not in table.columns or table[key_name].null_count():
        raise ValueError("a row does not say which patient it belongs to: complete the patient key")
    patients = table[key_name].cast(pl.String).to_list()
    known = set(patients)
    days = {patient: shift(wanted.key, patient, wanted.days) for patient in known}
    moves = pl.Series("moves", [days[patient] for patient in patients], dtype=pl.Int64)
    found = kept.with_columns((kept[name] + moves).alias(name) for name in wanted.dates)
    if not wanted.pseudonyms:
        return found
    names = {patient: pseudonym(wanted.key, patient) for patient in known}
    return found.insert_column(0, pl.Series(key_name, [names[patient] for patient in patients], dtype=pl.String))


def pseudonym(key: bytes, patient: str) -> str:
    """The pseudonym of a patient under the secret of a permit: 26 small letters and digits."""
    return b32encode(hmac.digest(key, b"pseudonym\0" + patient.encode(), "sha256")).decode()[:LETTERS].lower()


def shift(key: bytes, patient: str, days: int) -> int:
    """By how many days all of a patient's dates are moved: each of ±1 to ±``days`` equally likely, never 0."""
    drawn = int.from_bytes(hmac.digest(key, b"shift\0" + patient.encode(), "sha256"), "big") % (2 * days)
    return drawn - days if drawn < days else drawn - days + 1
