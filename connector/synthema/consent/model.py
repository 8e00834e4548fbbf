"""Consent and EHDS opt-out: two state machines, chosen by the legal basis that a person's record rests on.

*Consent* (GDPR Art. 7(3)): what rests on consent stops when it is withdrawn,
whatever was approved before. *Opt-out* (EHDS Art. 71): reversible, and it blocks
only permits approved after it (71(3)). States are those of ISO/IEC TS 27560 as
the Data Privacy Vocabulary names them; all but the two valid ones deny.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
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

ENDED_STATES = frozenset({ConsentState.WITHDRAWN, ConsentState.REVOKED, ConsentState.INVALIDATED, ConsentState.EXPIRED})
"""The states a consent ends in. What ended comes back only as a renewed consent, never as the old one."""


class OptOutState(StrEnum):
    """Whether a person has opted out of secondary use (EHDS Art. 71(1)); a person nobody heard of has not."""

    NONE = "NotOptedOut"
    OUT = "OptedOut"
    REVERSED = "OptOutReversed"


_ASKED_AGAIN = frozenset({ConsentState.REQUESTED, ConsentState.RENEWED, ConsentState.INVALIDATED})

CONSENT_TRANSITIONS: dict[ConsentState, frozenset[ConsentState]] = {
    ConsentState.UNKNOWN: frozenset(ConsentState) - {ConsentState.UNKNOWN},
    ConsentState.REQUESTED: frozenset(
        {ConsentState.GIVEN, ConsentState.REFUSED, ConsentState.DEFERRED, ConsentState.EXPIRED}
    ),
    ConsentState.DEFERRED: frozenset({ConsentState.REQUESTED, ConsentState.GIVEN, ConsentState.REFUSED}),
    ConsentState.REFUSED: frozenset({ConsentState.REQUESTED, ConsentState.GIVEN}),
    ConsentState.GIVEN: ENDED_STATES | {ConsentState.RENEWED},
    ConsentState.RENEWED: ENDED_STATES | {ConsentState.RENEWED},
    ConsentState.EXPIRED: _ASKED_AGAIN | {ConsentState.WITHDRAWN},
    ConsentState.WITHDRAWN: _ASKED_AGAIN,
    ConsentState.REVOKED: _ASKED_AGAIN,
    ConsentState.INVALIDATED: frozenset({ConsentState.REQUESTED, ConsentState.RENEWED}),
}
"""The whole life of a consent; a step that is not listed cannot happen."""

OPT_OUT_TRANSITIONS: dict[OptOutState, frozenset[OptOutState]] = {
    OptOutState.NONE: frozenset({OptOutState.OUT}),
    OptOutState.OUT: frozenset({OptOutState.REVERSED}),
    OptOutState.REVERSED: frozenset({OptOutState.OUT}),
}
"""Reversible at any time and without a reason (EHDS Art. 71(1))."""


def require_consent_step(old: ConsentState, new: ConsentState) -> None:
    """Raise :class:`ConflictError` on a step the consent table does not know."""
    if new not in CONSENT_TRANSITIONS[old]:
        allowed = ", ".join(sorted(CONSENT_TRANSITIONS[old]))
        raise ConflictError(f"consent cannot go from {old} to {new}", fix=f"from {old} it can go to: {allowed}")


def require_opt_out_step(old: OptOutState, new: OptOutState) -> None:
    """Raise :class:`ConflictError` on a step the opt-out table does not know."""
    if new in OPT_OUT_TRANSITIONS[old]:
        return
    if old is new:
        raise ConflictError("this person has opted out already", fix="nothing needs to change")
    raise ConflictError(
        "this person has not opted out, so there is nothing to take back", fix="nothing needs to change"
    )


class ConsentItem(StrEnum):
    """The separate boxes of a consent form (ERN generic informed consent form; EU RD Platform elements 7.1–7.4)."""

    SECONDARY_USE = "secondary-use"
    BEYOND_DISEASE = "beyond-disease"
    FOR_PROFIT = "for-profit"
    THIRD_COUNTRY = "third-country"
    LINKAGE = "linkage"
    GENETIC_DATA = "genetic-data"
    ALGORITHM_TRAINING = "algorithm-training"
    RECONTACT = "recontact"
    INCIDENTAL_FINDINGS = "incidental-findings"
    BIOLOGICAL_SAMPLE = "biological-sample"
    BIOBANK_LINK = "biobank-link"


class WithdrawalLevel(StrEnum):
    """How much a person takes back.

    Contact only (data stay in use), any access to new data (what is held already stays in use), or all use.
    """

    CONTACT = "no-further-contact"
    ACCESS = "no-further-access"
    USE = "no-further-use"


Machine = Literal["consent", "opt-out"]

_CONSENT_BASES = ("A6-1-a", "A9-2-a")
_OTHER_BASES = ("A6-1-c", "A6-1-d", "A6-1-e", "A6-1-f", "A9-2-g", "A9-2-h", "A9-2-i", "A9-2-j")


def machine_for(legal_basis: str) -> Machine:
    """Which state machine a legal basis calls for; raises :class:`InputError` on a basis we do not know.

    Takes the IRI of DPV's GDPR module, ``eu-gdpr:A9-2-a`` or ``A9-2-a``.
    """
    name = full_basis(legal_basis).removeprefix(EU_GDPR)
    if any(name == basis or name.startswith(basis + "-") for basis in _CONSENT_BASES):
        return "consent"
    if any(name == basis or name.startswith(basis + "-") for basis in _OTHER_BASES):
        return "opt-out"
    raise InputError(
        f"'{legal_basis[:80]}' is not a legal basis that health data can be used on here",
        fix=f"name one such as {EU_GDPR}A9-2-a (consent) or {EU_GDPR}A9-2-j (research)",
    )


def full_basis(legal_basis: str) -> str:
    """A legal basis as an IRI of DPV's GDPR module, however it was written."""
    name = legal_basis.removeprefix(EU_GDPR).removeprefix("eu-gdpr:")
    return legal_basis if ":" in name or "/" in name else EU_GDPR + name


@dataclass(frozen=True, slots=True)
class Representative:
    """Who agreed in a person's place, and until when that counts.

    For a parent, and for a guardian of a minor, ``until`` is the day the person comes of
    age: from that day on nobody's word but their own counts. Days begin at midnight UTC.
    """

    kind: Literal["parent", "guardian"]
    until: date

    @property
    def ends_at(self) -> datetime:
        """The first moment at which the representative's word no longer counts."""
        return start_of(self.until)


def start_of(day: date) -> datetime:
    """The first moment of a day, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


NOT_YET = "not valid yet"
NEEDS_OWN = "came of age and has not agreed themselves"
OTHER_PURPOSE = "did not agree to this purpose"
NO_NEW_DATA = "no new data since their withdrawal"


@dataclass(frozen=True, slots=True)
class Question:
    """What a use asks of each person's record; made by :func:`synthema.consent.use.question`.

    ``purposes`` holds the purpose with everything it is a kind of; None where no purpose was
    named, which only a record without purposes of its own lets pass. ``data_as_of`` is when the
    data were taken in, as far as known.
    """

    required: frozenset[ConsentItem] = frozenset({ConsentItem.SECONDARY_USE})
    purposes: frozenset[str] | None = None
    data_as_of: datetime | None = None


ANY_USE = Question()
"""Secondary use as such, with nothing special about it."""


@dataclass(frozen=True, slots=True)
class ConsentRecord:
    """What one person agreed to for one dataset, as it stood from ``effective_at`` on.

    The person is known by a keyed token only. ``items`` are the boxes that were ticked; a
    box that is not there was not ticked. ``purposes`` (IRIs) bound what was agreed to; where
    there are none, the dataset's policy alone says for which purposes. ``legal_basis`` None
    means that of the dataset. ``source`` is a keyed token of the record this one was read from.
    """

    id: str
    dataset_id: str
    patient_token: str
    legal_basis: str | None
    state: ConsentState
    effective_at: datetime
    items: frozenset[ConsentItem] = frozenset({ConsentItem.SECONDARY_USE})
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    notice_version: str | None = None
    purposes: frozenset[str] = frozenset()
    representative: Representative | None = None
    level: WithdrawalLevel | None = None
    no_new_data_since: datetime | None = None
    source: str | None = None
    source_version: str | None = None

    def refusal(self, at: datetime, question: Question = ANY_USE) -> str | None:
        """Why this record does not allow a use at this time, or None when it does."""
        if self.state not in VALID_STATES:
            return str(self.state)
        if self.valid_from is not None and at < self.valid_from:
            return NOT_YET
        if self.valid_to is not None and at >= self.valid_to:
            return str(ConsentState.EXPIRED)
        if self.representative is not None and at >= self.representative.ends_at:
            return NEEDS_OWN
        return terms_refusal(self.items, self.purposes, question) or self._no_new_data(question)

    def _no_new_data(self, question: Question) -> str | None:
        since = self.no_new_data_since
        if since is None or (question.data_as_of is not None and question.data_as_of <= since):
            return None
        return NO_NEW_DATA


def terms_refusal(items: frozenset[ConsentItem], purposes: frozenset[str], question: Question) -> str | None:
    """Why what was agreed to does not cover a use, or None when it does."""
    if purposes and (question.purposes is None or not purposes & question.purposes):
        return OTHER_PURPOSE
    missing = sorted(question.required - items)
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
        if self.state is not OptOutState.OUT:
            return False
        return permit_approved_at is None or permit_approved_at >= self.effective_at


@dataclass(frozen=True, slots=True)
class NationalException:
    """A permit reads the data of people who opted out, as national law provides (EHDS Art. 71(4))."""

    law: str
    reason: str
    permit: str

    def sentence(self, people: int) -> str:
        """What a decision and the log say of it."""
        who = "The record of 1 person" if people == 1 else f"The records of {people} people"
        return (
            f"{who} who opted out {'is' if people == 1 else 'are'} read all the same under {self.law} "
            f"(EHDS Art. 71(4)). Reason in the permit: {self.reason}"
        )


@dataclass(frozen=True, slots=True)
class Exclusions:
    """Who must be left out of a run, with why in numbers only.

    ``excluded`` holds the caller's own patient keys, of the type they came in, and stays
    inside the site; it is empty where only numbers were asked for, and ``left_out`` is their
    number. ``version`` names the exclusion list they were taken from. ``machine``
    is the dataset's own; ``bases`` counts those who remain by the legal basis of each, and
    ``consented`` those of them who remain by consent. ``overruled`` counts people who opted
    out and are read all the same under ``exception``.
    """

    excluded: frozenset[str | int]
    left_out: int
    version: int
    remaining: int
    machine: Machine
    reasons: dict[str, int] = field(default_factory=dict)
    refreshed_at: datetime | None = None
    bases: dict[str, int] = field(default_factory=dict)
    consented: int = 0
    exception: NationalException | None = None
    overruled: int = 0

    def summary(self) -> str:
        """One or two sentences for people: how many are left out and why."""
        if not self.left_out:
            text = f"No person is left out; {self.remaining} remain (exclusion list version {self.version})."
        else:
            why = ", ".join(f"{count} {reason}" for reason, count in sorted(self.reasons.items()))
            text = f"{self.left_out} left out ({why}); {self.remaining} remain (exclusion list version {self.version})."
        return text if self.exception is None else f"{text} {self.exception.sentence(self.overruled)}"


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Something a person took back, for whoever carries it on into what was made of the data.

    ``dataset_id`` is None for an opt-out, which counts for all datasets of the site. ``level``
    is None where only single boxes or purposes were taken back; ``lost`` names those.
    """

    kind: Machine
    dataset_id: str | None
    patient_token: str
    state: str
    level: WithdrawalLevel | None
    at: datetime
    list_version: int
    lost: tuple[str, ...] = ()
