"""A study while it runs at its coordinator: who is still with it, what lies ready for each site. Thread-safe."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from synthema.errors import ConflictError, DeniedError, InputError, SynthemaError
from synthema.federation.going_on import Said
from synthema.federation.messages import CoordinatorKind, Message, Parcel, seal, vector_from_bytes
from synthema.federation.model import StudyPlan
from synthema.federation.ports import Signer
from synthema.federation.round import CoordinatorRound

Keep = Callable[[Sequence[Said]], object]

_ROUND_KINDS = ("keys", "shares", "masked", "agreement", "answer")
_FOLLOWING = {"keys": "roll", "shares": "sealed", "masked": "survivors", "agreement": "agreements", "answer": ""}
"""What a site sends → what those hear who sent it in time."""
_LONGEST_REASON = 500
LEFT_OUT = "this site did not answer in time and was left out of the round; it may come back at the next one"


class Closing(Exception):  # noqa: N818 - not an error: the connector stops, and goes on at its next start
    """Whoever runs a study stops where it is."""


class LiveStudy:
    """One study in memory. ``keep`` writes down what is about to be said; nothing is said that it could not write.

    ``sequence`` is the number of the last message each site has, for a study that is over.
    """

    def __init__(self, plan: StudyPlan, signer: Signer, *, sequence: int = 0, keep: Keep = lambda _said: None) -> None:
        self.plan = plan
        self.plan_digest = plan.digest
        self.active: frozenset[str] = frozenset()
        self.accepted: frozenset[str] = frozenset()
        self.refusals: dict[str, str] = {}
        self.started = False
        self.ended = False
        self._signer = signer
        self._keep = keep
        self._base = dict.fromkeys(plan.dids, sequence)
        self._outboxes: dict[str, list[bytes]] = {did: [] for did in plan.dids}
        self._read = dict.fromkeys(plan.dids, -1)
        self._changed = threading.Condition()
        self._round: CoordinatorRound | None = None
        self._number = 0
        self._round_id: str | None = None
        self._interruption: str | None = None
        self._closing = False

    # From the sites ------------------------------------------------------------------

    def check(self, message: Message, site: str) -> None:
        """Raise :class:`DeniedError` unless the message is from this site, to us, about this very plan."""
        right = (
            message.sender == site
            and message.recipient == self.plan.coordinator
            and message.study == self.plan.id
            and message.plan == self.plan_digest
        )
        if not right:
            raise DeniedError(
                "the message is not from this site to this coordinator about this plan",
                fix="check the plan's digest at the site",
            )

    def require_due(self, message: Message) -> None:
        """Raise :class:`ConflictError` unless this is what the site may say now."""
        with self._changed:
            if self.ended:
                raise ConflictError("the study has ended", fix="ask for the next message to learn why")
            current, sender = self._round, message.sender
            if message.kind in _ROUND_KINDS:
                due = (
                    current is not None
                    and message.round_id == self._round_id
                    and message.kind == current.phase
                    and sender in current.waiting
                )
            else:
                due = sender not in (self.accepted if message.kind == "accept" else self.refusals)
            if not due:
                raise ConflictError(
                    f"'{message.kind}' is not due from this site now", fix="wait for the coordinator's next message"
                )

    def content(self, parcel: Parcel) -> Any:
        """What the round machine takes: a vector, a whole signed message, or a body."""
        message = parcel.message
        if message.kind == "masked":
            with self._changed:
                current = self._round
            if current is None:
                raise ConflictError("no round is open", fix="wait for the coordinator's next message")
            return vector_from_bytes(parcel.attachment, current.length)
        if parcel.attachment:
            raise InputError(f"a '{message.kind}' message carries no vector", fix="attach vectors to 'masked' only")
        return message.as_json() if message.kind in ("keys", "agreement") else message.body

    def take(self, message: Message, content: Any) -> None:
        """Let a site's verified message take effect and wake whoever waits."""
        with self._changed:
            self.require_due(message)
            if message.kind == "accept":
                self.accepted |= {message.sender}
            elif message.kind == "refusal":
                self._gone(message.sender, str(message.body.get("reason", "no reason given")))
            elif self._round is not None:
                self._round.receive(message.sender, message.kind, content)
            self._changed.notify_all()

    def without(self, site: str, reason: str) -> None:
        """A member takes no part, or no longer, as it said on another way."""
        with self._changed:
            if site not in self.refusals:
                self._gone(site, reason)
            self._changed.notify_all()

    def next(self, site: str, after: int, seconds: float) -> bytes | None:
        """What follows number ``after`` for this site, if it comes in time."""
        with self._changed:
            self._read[site] = max(self._read[site], after)
            self._changed.notify_all()
            self._changed.wait_for(lambda: len(self._outboxes[site]) > after - self._base[site], seconds)
            index, outbox = after - self._base[site], self._outboxes[site]
            return outbox[index] if 0 <= index < len(outbox) else None

    # From the thread that runs the study -----------------------------------------------

    @property
    def present(self) -> frozenset[str]:
        """Who can be asked next: who answered last, who came back, who came late; each has read all it was told."""
        with self._changed:
            with_us = self.accepted - self.refusals.keys()
            return frozenset(site for site in with_us if site in self.active or self._read[site] >= self._last(site))

    @property
    def round_id(self) -> str:
        """The identifier of the round that messages belong to."""
        with self._changed:
            if self._round_id is None:
                raise ConflictError("no round is open", fix="begin a round first")
            return self._round_id

    @property
    def enough(self) -> bool:
        """Whether as many sites as the plan wants can be asked next."""
        return len(self.present) >= self.plan.minimum_sites

    @property
    def refusal(self) -> str | None:
        """Why the study cannot go on: too many sites have refused; None while it can."""
        if len(self.plan.dids) - len(self.refusals) >= self.plan.minimum_sites:
            return None
        return "; ".join(f"{site} stopped taking part: {reason}" for site, reason in self.refusals.items())

    @property
    def complete(self) -> bool:
        """Whether there is nobody left to wait for in this exchange."""
        return self._round is not None and not self._round.ended and self._round.waiting <= self.refusals.keys()

    def current(self, number: int) -> CoordinatorRound | None:
        """The round of this number, if it was taken up after a crash."""
        with self._changed:
            return self._round if self._number == number else None

    def wait(self, until: Callable[[], bool], seconds: float) -> None:
        """Wait for something, not longer than this; raises :class:`DeniedError` when sites or the owner stop it."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closing or until() or self.refusal is not None or self._interruption is not None, seconds
            )
            if self._closing:
                raise Closing
            stopped = self._interruption or self.refusal
        if stopped is not None:
            raise DeniedError(stopped, fix="read the reason; a new plan is a new study")

    def start(self) -> None:
        """The members that have accepted are those of the first round."""
        with self._changed:
            self.started = True
            self.active = self.accepted - self.refusals.keys()

    def begin(
        self, current: CoordinatorRound, number: int, round_id: str, opening: dict[str, Any], keep: Keep
    ) -> CoordinatorRound:
        """Make a round the one that messages belong to, and say so to its sites; ``keep`` writes both down first."""
        with self._changed:
            said = [
                self._made(site, self._last(site) + 1, "round", opening, number, round_id)
                for site in sorted(current.expected)
            ]
            keep(said)
            self._round, self._number, self._round_id = current, number, round_id
            self.active |= current.expected
            for each in said:  # they have read and answered everything before
                self._base[each.site] = self._last(each.site)
                self._outboxes[each.site] = []
            self._lay(said)
        return current

    def advance(self) -> None:
        """Take the round one exchange on, with those who answered; the others are out of this round."""
        with self._changed:
            if self._round is None:
                raise ConflictError("no round is open", fix="begin a round first")
            asks = self._round.advance()
            missing = self._round.missing & self.active
            self.active -= missing
            said = [self._now(ask.site, ask.kind, ask.body) for ask in asks]
            if self._round.phase != "aborted":  # else all hear the last word
                said += [self._now(site, "left", {"reason": LEFT_OUT}) for site in sorted(missing - set(self.refusals))]
            self._keep(said)
            self._lay(said)

    def end(self, kind: CoordinatorKind, body: dict[str, Any]) -> None:
        """Say the last word to all who are still with the study."""
        with self._changed:
            self.ended, self._round = True, None
            self._lay([self._now(site, kind, body) for site in sorted(set(self.plan.dids) - set(self.refusals))])

    def interrupt(self, reason: str) -> None:
        """Make whoever waits in :meth:`wait` stop with this reason."""
        with self._changed:
            self._interruption = reason
            self._changed.notify_all()

    def close(self) -> None:
        """Make whoever waits, or is about to, stop where it is: :class:`Closing`."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    # After a crash -----------------------------------------------------------------------

    def take_up(self, accepted: frozenset[str], refusals: Mapping[str, str], said: Sequence[Said]) -> None:
        """Know again who is with the study and what lies ready for each site."""
        with self._changed:
            self.accepted = accepted
            self.refusals = {site: reason[:_LONGEST_REASON] for site, reason in refusals.items()}
            last = {each.site: each.kind for each in said}
            for each in said:
                if not self._outboxes[each.site]:
                    self._base[each.site] = each.sequence - 1
                self._outboxes[each.site].append(each.parcel)
            self.active = frozenset(s for s in accepted - self.refusals.keys() if last.get(s) != "left")

    def take_up_round(
        self, number: int, round_id: str, length: int, said: Sequence[Said], heard: Iterable[Parcel]
    ) -> None:
        """Bring a round to where it was: its exchanges with exactly those whom the next one was sent to."""
        told = [each for each in said if each.round_id == round_id]
        asked = {each.site for each in told if each.kind == "round"}
        with self._changed:
            self._round = CoordinatorRound(asked, self.plan.minimum_sites, length)
            self._number, self._round_id = number, round_id
        by_kind: dict[str, list[Parcel]] = {kind: [] for kind in _ROUND_KINDS}
        for parcel in heard:
            by_kind.setdefault(parcel.message.kind, []).append(parcel)
        for kind, following in _FOLLOWING.items():
            went_on = {each.site for each in told if each.kind == following}
            for parcel in by_kind[kind]:
                if not went_on or parcel.message.sender in went_on:
                    with suppress(SynthemaError):  # it was refused then, and is now
                        self._round.receive(parcel.message.sender, kind, self.content(parcel))
            if not went_on:
                break
            self._round.advance()
        self.active = self._round.expected - self.refusals.keys()

    # Inside, with the lock held ------------------------------------------------------------

    def _gone(self, site: str, reason: str) -> None:
        self.refusals[site] = reason[:_LONGEST_REASON]

    def _last(self, site: str) -> int:
        return self._base[site] + len(self._outboxes[site])

    def _now(self, site: str, kind: str, body: dict[str, Any]) -> Said:
        return self._made(site, self._last(site) + 1, kind, body, self._number, self._round_id)

    def _lay(self, said: Iterable[Said]) -> None:
        for each in said:
            self._outboxes[each.site].append(each.parcel)
        self._changed.notify_all()

    def _made(
        self, site: str, sequence: int, kind: str, body: dict[str, Any], number: int, round_id: str | None
    ) -> Said:
        message = Message.model_validate(
            {
                "kind": kind, "study": self.plan.id, "plan": self.plan_digest, "sender": self.plan.coordinator,
                "recipient": site, "sequence": sequence, "round": number, "round_id": round_id, "body": body,
            }
        )  # fmt: skip
        return Said(site, sequence, round_id, kind, seal(message, b"", self._signer).to_bytes())
