"""Consent and EHDS opt-out: two state machines, chosen by the legal basis a run rests on.

*Consent* (GDPR Art. 7(3)): what rests on consent stops when it is withdrawn,
whatever was approved before. *Opt-out* (EHDS Art. 71): reversible, and it blocks
only permits approved after it (71(3)). States are those of ISO/IEC TS 27560 as
the Data Privacy Vocabulary names them; all but the two valid ones deny.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from synthema.errors import ConflictError, InputError

DPV = "https://w3id.org/dpv#"
EU_GDPR = "https://w3id.org/dpv/legal/eu/gdpr#"


class ConsentState(StrEnum):
    """Status of a consent record; the values are local names of the Data Privacy Vocabulary."""

    UNKNOWN = "ConsentUnknown"
    REQUESTED = "ConsentRequested"
    DEFERRED = "ConsentRequestDeferred"
    REFUSED = "ConsentRefused"
    GIVEN = "ConsentGiven"
    RENEWED = "RenewedConsentGiven"
    EXPIRED = "ConsentExpired"
    INVALIDATED = "ConsentInvalidated"
    REVOKED = "ConsentRevoked"
    WITHDRAWN = "ConsentWithdrawn"

    @property
    def iri(self) -> str:
        """The state as a concept of the Data Privacy Vocabulary."""
        return DPV + self.value


VALID_STATES = frozenset({ConsentState.GIVEN, ConsentState.RENEWED})
"""The states in which data may be used; every other one, the unknown included, denies."""


class OptOutState(StrEnum):
    """Whether a person has opted out of secondary use (EHDS Art. 71(1))."""

    IN = "NotOptedOut"
    OUT = "OptedOut"


_ENDS = frozenset({ConsentState.WITHDRAWN, ConsentState.REVOKED, ConsentState.INVALIDATED, ConsentState.EXPIRED})
_ASKED_AGAIN = frozenset({ConsentState.REQUESTED, ConsentState.RENEWED, ConsentState.INVALIDATED})

CONSENT_TRANSITIONS: dict[ConsentState, frozenset[ConsentState]] = {
    ConsentState.UNKNOWN: frozenset(ConsentState) - {ConsentState.UNKNOWN},
    ConsentState.REQUESTED: frozenset(
        {ConsentState.GIVEN, ConsentState.REFUSED, ConsentState.DEFERRED, ConsentState.EXPIRED}
    ),
    ConsentState.DEFERRED: frozenset({ConsentState.REQUESTED, ConsentState.GIVEN, ConsentState.REFUSED}),
    ConsentState.REFUSED: frozenset({ConsentState.REQUESTED, ConsentState.GIVEN}),
    ConsentState.GIVEN: _ENDS | {ConsentState.RENEWED},
    ConsentState.RENEWED: _ENDS | {ConsentState.RENEWED},
    ConsentState.EXPIRED: _ASKED_AGAIN | {ConsentState.WITHDRAWN},
    ConsentState.WITHDRAWN: _ASKED_AGAIN,
    ConsentState.REVOKED: _ASKED_AGAIN,
    ConsentState.INVALIDATED: frozenset({ConsentState.REQUESTED, ConsentState.RENEWED}),
}
"""The whole life of a consent. Consent that ended comes back only as a renewed one, never as the old one."""

OPT_OUT_TRANSITIONS: dict[OptOutState, frozenset[OptOutState]] = {
    OptOutState.IN: frozenset({OptOutState.OUT}),
    OptOutState.OUT: frozenset({OptOutState.IN}),
}
"""Reversible at any time and without a reason (EHDS Art. 71(1))."""


def require_consent_step(old: ConsentState, new: ConsentState) -> None:
    """Raise :class:`ConflictError` on a step the consent table does not know."""
    if new not in CONSENT_TRANSITIONS[old]:
        allowed = ", ".join(sorted(CONSENT_TRANSITIONS[old]))
        raise ConflictError(f"consent cannot go from {old} to {new}", fix=f"from {old} it can go to: {allowed}")


class ConsentItem(StrEnum):
    """The separate boxes of a consent form (ERN generic informed consent form; EU RD Platform elements 7.1–7.4)."""

    SECONDARY_USE = "secondary-use"
    BEYOND_DISEASE = "beyond-disease"
    FOR_PROFIT = "for-profit"
    THIRD_COUNTRY = "third-country"
    LINKAGE = "linkage"
    GENETIC_DATA = "genetic-data"
    RECONTACT = "recontact"


Machine = Literal["consent", "opt-out"]

_CONSENT_BASES = ("A6-1-a", "A9-2-a")
_OTHER_BASES = ("A6-1-c", "A6-1-d", "A6-1-e", "A6-1-f", "A9-2-g", "A9-2-h", "A9-2-i", "A9-2-j")


def machine_for(legal_basis: str) -> Machine:
    """Which state machine a legal basis calls for; raises :class:`InputError` on a basis we do not know.

    Takes the IRI of DPV's GDPR module, ``eu-gdpr:A9-2-a`` or ``A9-2-a``.
    """
    name = legal_basis.removeprefix(EU_GDPR).removeprefix("eu-gdpr:")
    if any(name == basis or name.startswith(basis + "-") for basis in _CONSENT_BASES):
        return "consent"
    if any(name == basis or name.startswith(basis + "-") for basis in _OTHER_BASES):
        return "opt-out"
    raise InputError(
        f"'{legal_basis[:80]}' is not a legal basis that health data can be used on here",
        fix=f"name one such as {EU_GDPR}A9-2-a (consent) or {EU_GDPR}A9-2-j (research)",
    )


@dataclass(frozen=True, slots=True)
class ConsentRecord:
    """What one person agreed to for one dataset, as it stood from ``effective_at`` on.

    The person is known by a keyed token only. ``items`` are the boxes that were
    ticked; a box that is not there was not ticked.
    """

    id: str
    dataset_id: str
    patient_token: str
    legal_basis: str
    state: ConsentState
    effective_at: datetime
    items: frozenset[ConsentItem] = frozenset({ConsentItem.SECONDARY_USE})
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    notice_version: str | None = None

    def refusal(self, at: datetime, required: frozenset[ConsentItem]) -> str | None:
        """Why this record does not allow use at this time, or None when it does."""
        if self.state not in VALID_STATES:
            return str(self.state)
        if self.valid_from is not None and at < self.valid_from:
            return "not valid yet"
        if self.valid_to is not None and at >= self.valid_to:
            return str(ConsentState.EXPIRED)
        missing = sorted(required - self.items)
        return f"did not agree to {missing[0]}" if missing else None


@dataclass(frozen=True, slots=True)
class OptOut:
    """A person's opt-out (or its reversal) as it stood from ``effective_at`` on."""

    id: str
    patient_token: str
    state: OptOutState
    effective_at: datetime

    def blocks(self, permit_approved_at: datetime | None) -> bool:
        """EHDS Art. 71(3): an opt-out blocks permits approved after it; without a permit it always blocks."""
        if self.state is OptOutState.IN:
            return False
        return permit_approved_at is None or permit_approved_at >= self.effective_at


@dataclass(frozen=True, slots=True)
class Exclusions:
    """Who must be left out of a run, with why in numbers only.

    ``excluded`` holds the caller's own patient keys, of the type they came in, and stays
    inside the site; ``version`` names the exclusion list they were taken from.
    """

    excluded: frozenset[str | int]
    version: int
    remaining: int
    machine: Machine
    reasons: dict[str, int] = field(default_factory=dict)
    refreshed_at: datetime | None = None

    def summary(self) -> str:
        """One sentence for people: how many are left out and why."""
        if not self.excluded:
            return f"No person is left out; {self.remaining} remain (exclusion list version {self.version})."
        why = ", ".join(f"{count} {reason}" for reason, count in sorted(self.reasons.items()))
        return (
            f"{len(self.excluded)} left out ({why}); {self.remaining} remain (exclusion list version {self.version})."
        )
