"""Whether a use that took place rested on what a person has taken back; pure.

Two questions about each person and each use, answered by the same functions that leave people out of runs: was
the record read then, as far as was known then, and may it be read for the same use now?
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import TypeVar

from synthema.assembly.withdrawal.model import GRAVITY, Touch
from synthema.consent import VALID_STATES, ConsentRecord, Ground, OptOut, OptOutState, machine_for

RecordT = TypeVar("RecordT", ConsentRecord, OptOut)


@dataclass(frozen=True, slots=True)
class Person:
    """One person's consent to a dataset and opt-outs, each version with the moment it became known, oldest first."""

    consents: Sequence[tuple[ConsentRecord, datetime]] = ()
    opt_outs: Sequence[tuple[OptOut, datetime]] = ()

    def consent_at(self, at: datetime) -> ConsentRecord | None:
        """The consent as it was known at a moment."""
        return _known(self.consents, at)[-1]

    def opt_out_at(self, at: datetime) -> OptOut | None:
        """The opt-out as it was known at a moment."""
        return _known(self.opt_outs, at)[-1]

    @property
    def ever_agreed(self) -> bool:
        """Whether a consent was valid at any time; who never agreed has nothing to take back."""
        return any(record.state in VALID_STATES for record, _ in self.consents)

    def standings_at(self, at: datetime) -> Iterator[tuple[ConsentRecord | None, OptOut | None]]:
        """All that may have been known at a moment: of what was noted in that very moment nobody knows the order."""
        return product(_known(self.consents, at), _known(self.opt_outs, at))


@dataclass(frozen=True, slots=True)
class PastUse:
    """A use that took place: on which ground people were asked, and between which moments the data were opened."""

    ground: Ground
    moments: tuple[datetime, ...]


def touch(person: Person, use: PastUse, now: datetime) -> Touch | None:
    """How what a person took back bears on a use; None where their record was not read in it."""
    if not any(_read_by(*known, use.ground, at) for at in use.moments for known in person.standings_at(at)):
        return None
    record = person.consent_at(now)
    basis = (record.legal_basis if record is not None else None) or use.ground.legal_basis
    if machine_for(basis) == "consent":
        refused = record is None or record.refusal(now, use.ground.question) is not None
        return Touch.USED if refused else Touch.COVERED
    return _opted_out(person.opt_out_at(now), use)


def _opted_out(out: OptOut | None, use: PastUse) -> Touch:
    """EHDS Art. 71(3): permits approved before an opt-out go on; without a permit what counts is which came first."""
    if out is None or out.state is not OptOutState.OUT or use.ground.exception is not None:
        return Touch.COVERED
    approved = use.ground.permit_approved_at
    if approved is not None:
        return Touch.USED if out.blocks(approved) else Touch.EARLIER_PERMIT
    return Touch.USED if out.effective_at < min(use.moments) else Touch.EARLIER_USE


def _read_by(record: ConsentRecord | None, out: OptOut | None, ground: Ground, moment: datetime) -> bool:
    """Whether somebody of this standing is not left out; the same order of questions as when people are filtered."""
    basis = (record.legal_basis if record is not None else None) or ground.legal_basis
    if machine_for(basis) == "consent":
        return record is not None and record.refusal(moment, ground.question) is None
    return out is None or not out.blocks(ground.permit_approved_at) or ground.exception is not None


def _known(versions: Sequence[tuple[RecordT, datetime]], at: datetime) -> list[RecordT | None]:
    """What was known right before a moment, then each version that was noted, or took effect, in it."""
    since: list[tuple[RecordT, datetime]] = [(one, max(recorded, one.effective_at)) for one, recorded in versions]
    before: list[RecordT | None] = [one for one, known in since if known < at]
    then: list[RecordT | None] = [one for one, known in since if known == at]
    return (before[-1:] or [None]) + then


def gravest(touches: Iterable[Touch | None]) -> Touch | None:
    """What counts where several people are concerned; None where nobody is."""
    found = [each for each in touches if each is not None]
    return max(found, key=GRAVITY.index, default=None)
