"""A study while it runs at its coordinator: who is still with it, what lies ready for each site. Thread-safe."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from synthema.errors import ConflictError, DeniedError, InputError
from synthema.federation.messages import CoordinatorKind, Message, Parcel, seal, vector_from_bytes
from synthema.federation.model import StudyPlan
from synthema.federation.ports import Signer
from synthema.federation.round import CoordinatorRound

_ROUND_KINDS = ("keys", "shares", "masked", "agreement", "answer")
_LONGEST_REASON = 500


class LiveStudy:
    """One study in memory. ``sequence`` is the number of the last message each site has, for a study that is over."""

    def __init__(self, plan: StudyPlan, signer: Signer, *, sequence: int = 0) -> None:
        self.plan = plan
        self.plan_digest = plan.digest
        self.active: frozenset[str] = frozenset(plan.dids)
        self.accepted: frozenset[str] = frozenset()
        self.refusal: str | None = None
        self.started = False
        self.ended = False
        self._signer = signer
        self._first = sequence
        self._outboxes: dict[str, list[bytes]] = {did: [] for did in plan.dids}
        self._changed = threading.Condition()
        self._round: CoordinatorRound | None = None
        self._number = 0
        self._round_id: str | None = None
        self._interruption: str | None = None

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
            if self.ended:
                raise ConflictError("the study has ended", fix="ask for the next message to learn why")
            if message.kind == "accept":
                self.accepted |= {message.sender}
            elif message.kind == "refusal" and message.sender in self.active:
                reason = str(message.body.get("reason", "no reason given"))[:_LONGEST_REASON]
                self.refusal = f"{message.sender} stopped taking part: {reason}"
            elif message.kind in _ROUND_KINDS and self._round is not None and message.round_id == self._round_id:
                self._round.receive(message.sender, message.kind, content)
            else:
                raise ConflictError(f"'{message.kind}' is not due now", fix="wait for the coordinator's next message")
            self._changed.notify_all()

    def next(self, site: str, after: int, seconds: float) -> bytes | None:
        """What follows number ``after`` for this site, if it comes in time."""
        index = after - self._first
        with self._changed:
            outbox = self._outboxes[site]
            self._changed.wait_for(lambda: len(outbox) > index, seconds)
            return outbox[index] if 0 <= index < len(outbox) else None

    # From the thread that runs the study -----------------------------------------------

    def wait(self, until: Callable[[], bool], seconds: float) -> None:
        """Wait for something, not longer than this; raises :class:`DeniedError` when a site or the owner stops it."""
        with self._changed:
            self._changed.wait_for(
                lambda: until() or self.refusal is not None or self._interruption is not None, seconds
            )
            stopped = self._interruption or self.refusal
        if stopped is not None:
            raise DeniedError(stopped, fix="read the reason; a new plan is a new study")

    def begin(self, current: CoordinatorRound, number: int, round_id: str) -> CoordinatorRound:
        """Make a round the one that messages belong to."""
        with self._changed:
            self._round, self._number, self._round_id = current, number, round_id
        return current

    def advance(self) -> None:
        """Take the round one exchange on, with those who answered; those who did not are out of the study."""
        with self._changed:
            if self._round is None:
                raise ConflictError("no round is open", fix="begin a round first")
            asks = self._round.advance()
            for site in sorted(self._round.missing & self.active):
                self.active -= {site}
                self._push(site, "abort", {"reason": "this site did not answer in time and was left out"})
            for ask in asks:
                self._push(ask.site, ask.kind, ask.body)
            self._changed.notify_all()

    def say(self, site: str, kind: str, body: dict[str, Any]) -> None:
        """Lay a message ready for one site."""
        with self._changed:
            self._push(site, kind, body)
            self._changed.notify_all()

    def end(self, kind: CoordinatorKind, body: dict[str, Any]) -> None:
        """Say the last word to all who are still with the study."""
        with self._changed:
            self.ended, self._round = True, None
            for site in sorted(self.active):
                self._push(site, kind, body)
            self._changed.notify_all()

    def interrupt(self, reason: str) -> None:
        """Make whoever waits in :meth:`wait` stop with this reason."""
        with self._changed:
            self._interruption = reason
            self._changed.notify_all()

    def _push(self, site: str, kind: str, body: dict[str, Any]) -> None:
        outbox = self._outboxes[site]
        message = Message.model_validate(
            {
                "kind": kind,
                "study": self.plan.id,
                "plan": self.plan_digest,
                "sender": self.plan.coordinator,
                "recipient": site,
                "sequence": self._first + len(outbox) + 1,
                "round": self._number,
                "round_id": self._round_id,
                "body": body,
            }
        )
        outbox.append(seal(message, b"", self._signer).to_bytes())
