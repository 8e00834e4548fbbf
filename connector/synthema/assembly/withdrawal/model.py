"""The values of a withdrawal on its way: what was derived, what follows for each thing, and where that stands.

Nothing here promises that a model forgets a person. What was made lawfully before consent was taken back
(GDPR Art. 7(3), second sentence) either goes, is made anew without them, is taken out of use, or stays with the
reason written down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal

from pydantic import Field

from synthema.values import Closed


class Kind(StrEnum):
    """What a derived thing is."""

    ROWS = "source rows"
    RUN = "run under way"
    QUARANTINED = "output in quarantine"
    EXTRACT = "extract"
    AGGREGATE = "aggregate"
    MASKED = "masked sums"
    SYNTHETIC = "synthetic dataset"
    MODEL = "model"
    DESCRIPTION = "description"
    EVIDENCE = "evidence"
    CERTIFICATE = "certificate"
    HOLDING = "dataset in a registry"
    COPY = "copy at a partner"
    OTHER = "other output"


class Consequence(StrEnum):
    """What follows for a derived thing; each has exactly one at a time."""

    STOP = "stop"
    DROP = "leave out from the next round"
    DELETE = "delete"
    RENEW = "replace the rows"
    ASSESS = "keep with a recorded assessment"
    RETRAIN = "make anew without"
    SUSPEND = "suspend the certificate"
    FOLLOW = "follow the issuer"
    NOTIFY = "notify the holder"
    RECORD = "stays as a record"
    NOTHING = "nothing to undo"


class Touch(StrEnum):
    """How a withdrawal bears on a use of a person's record that took place."""

    USED = "rested on what was taken back"
    COVERED = "rests on what still stands"
    EARLIER_PERMIT = "rests on a permit approved before the opt-out"
    EARLIER_USE = "took place before the opt-out"


GRAVITY: Final = (Touch.COVERED, Touch.EARLIER_USE, Touch.EARLIER_PERMIT, Touch.USED)
"""From the lightest to the gravest: where several people are concerned, the gravest counts."""


class ItemState(StrEnum):
    """Where a consequence stands. Only :data:`STEPS` says how it may move."""

    OPEN = "open"  # to be done, by the connector or by a person
    WORKING = "working"  # begun by the connector; a restart takes it up again
    DONE = "done"
    STAYS = "stays"  # nothing has to be done, or it was decided that it stays; the reason is kept


STEPS: Final[dict[ItemState, frozenset[ItemState]]] = {
    ItemState.OPEN: frozenset({ItemState.OPEN, ItemState.WORKING, ItemState.DONE, ItemState.STAYS}),
    ItemState.WORKING: frozenset({ItemState.DONE}),
    ItemState.DONE: frozenset(),
    ItemState.STAYS: frozenset(),
}
"""The whole life of a consequence; an open one may become an open one of another kind (a failed assessment)."""

FINISHED: Final = frozenset({ItemState.DONE, ItemState.STAYS})
BY_ITSELF: Final = frozenset(
    {
        Consequence.STOP,
        Consequence.DROP,
        Consequence.DELETE,
        Consequence.SUSPEND,
        Consequence.FOLLOW,
        Consequence.NOTIFY,
    }
)
"""What the connector does without a person; the other open ones are tasks for people."""
AT_REST: Final = frozenset({Consequence.RECORD, Consequence.NOTHING})
"""What needs nobody: it stays, with its reason."""

Fate = Literal["keep", "retrain", "suspend", "delete"]


class Rules(Closed):
    """The policy of consequences that a data protection officer sets for a dataset; the defaults are the law's order.

    ``keep`` is for what was shown to be anonymous: with noise that is accounted for, or with attacks that were
    measured. What was not shown to be so falls under ``untested``.
    """

    running: Literal["drop", "stop"] = Field(
        default="drop",
        description="rounds of a study: leave the person out from the next round, or stop this site's part",
    )
    extract: Literal["delete"] = Field(default="delete", description="rows of single persons are always deleted")
    aggregate: Fate = Field(default="keep", description="figures of a whole cohort")
    synthetic: Fate = Field(default="keep", description="synthetic datasets")
    model: Fate = Field(default="keep", description="models and noised sums")
    untested: Literal["retrain", "suspend", "delete"] = Field(
        default="retrain", description="what was never shown to be anonymous"
    )
    certificate: Literal["keep", "suspend"] = Field(
        default="keep", description="a certificate while its dataset is assessed: stays valid, or is suspended"
    )
    assess_days: int = Field(default=30, ge=1, le=92, description="days for an assessment (GDPR Art. 12(3): one month)")
    rows_days: int = Field(default=30, ge=1, le=92, description="days to replace rows (GDPR Art. 12(3): one month)")
    retrain_days: int = Field(default=90, ge=1, le=366, description="days to make a thing anew")
    notice_days: int = Field(default=7, ge=1, le=30, description="days for a partner's receipt (GDPR Art. 19)")


@dataclass(frozen=True, slots=True)
class Derived:
    """A thing that lineage leads to from the records concerned.

    ``subject`` is its IRI, ``holder`` the did of the party that holds it where that is not us, ``shown`` what shows
    that it is anonymous (one sentence each), ``gone`` that nothing of it is left. ``details`` are for the steps that
    follow; they name no person.
    """

    subject: str
    kind: Kind
    label: str
    touch: Touch = Touch.USED
    digest: str | None = None
    run: str | None = None
    holder: str | None = None
    shown: tuple[str, ...] = ()
    gone: bool = False
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trace:
    """All that was derived. ``unfinished`` means that more may come: work is still under way."""

    things: tuple[Derived, ...]
    complete: bool = True
    unfinished: bool = False


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a plan is made.

    ``machine`` is what was taken back: a consent, an opt-out; or ``notice`` where a partner told us. ``list_version``
    is the exclusion list that leaves the people out, ``list_iri`` its address, ``dataset`` whose rows it is about (a
    name here, an IRI of the partner's in a notice). The people are known to the tracer by keyed tokens only.
    """

    machine: Literal["consent", "opt-out", "notice"]
    dataset: str
    list_version: int
    at: datetime
    levels: tuple[str, ...] = ()
    notice: str | None = None
    sender: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One derived thing with what follows for it, why, on which ground and until when."""

    subject: str
    kind: Kind
    label: str
    consequence: Consequence
    why: str
    articles: tuple[str, ...] = ()
    due: datetime | None = None
    otherwise: Consequence | None = None
    digest: str | None = None
    run: str | None = None
    holder: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def by_itself(self) -> bool:
        """Whether the connector does it without a person."""
        return self.consequence in BY_ITSELF

    @property
    def first_state(self) -> ItemState:
        """Where it stands when the plan is made."""
        return ItemState.STAYS if self.consequence in AT_REST else ItemState.OPEN


@dataclass(frozen=True, slots=True)
class Plan:
    """What a withdrawal leads to at this connector."""

    cause: Cause
    items: tuple[Item, ...]
    complete: bool
    unfinished: bool

    @property
    def undoes_nothing(self) -> bool:
        """Whether nothing has to be done about anything that was made."""
        return all(item.consequence in AT_REST for item in self.items)
