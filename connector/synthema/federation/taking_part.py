"""One participation from its first message to its last: what a site does on each message of the coordinator.

Started by :class:`synthema.federation.participant.Participant`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from synthema import canonical
from synthema.errors import DeniedError, InputError, PeerError, PluginError, SynthemaError
from synthema.federation import store
from synthema.federation.messages import (
    MASKED_TYPES,
    Message,
    Parcel,
    message_from_json,
    seal,
    vector_to_bytes,
    verify,
)
from synthema.federation.model import (
    Contributed,
    Outcome,
    ParticipationState,
    SiteLimits,
    StudyPlan,
    state_from_json,
)
from synthema.federation.ports import SiteSession
from synthema.federation.privacy import MARGIN, NoiseShare, clipped, largest_number, noised, share_in
from synthema.federation.round import SiteRound
from synthema.ids import require_id
from synthema.spi.model import Contribution, State

if TYPE_CHECKING:
    from synthema.federation.participant import Participant

LONGEST_VECTOR = 100_000_000
_OF_A_ROUND = frozenset({"roll", "sealed", "survivors", "agreements"})
_PLUGIN_FAILURE = "a plugin failed at this site"


def tell_refusal(
    site: Participant, plan: StudyPlan, reason: str, sequence: int, number: int, round_id: str | None
) -> None:
    """Tell the coordinator that this site stops; that it cannot be told changes nothing."""
    message = Message(
        kind="refusal", study=plan.id, plan=plan.digest, sender=site.me, recipient=plan.coordinator,
        sequence=sequence, round=number, round_id=round_id, body={"reason": reason},
    )  # fmt: skip
    try:
        site.channel.post(plan.id, seal(message, b"", site.signer).to_bytes())
    except SynthemaError:
        return


class _Ended(Exception):  # noqa: N818 - not an error: the coordinator said its last word
    pass


class Stopping(Exception):  # noqa: N818 - not an error: the connector stops, and may come back
    """The connector of this site stops in the midst of a study; nothing is written down as an end."""


class _Overtaken(Exception):  # noqa: N818 - not an error: the coordinator has gone on
    def __init__(self, message: Message) -> None:
        super().__init__(message.kind)
        self.message = message


class Part:
    """One participation from its first message to its last."""

    def __init__(self, site: Participant, plan: StudyPlan, session: SiteSession, limits: SiteLimits) -> None:
        self._site = site
        self._plan = plan
        self._plan_digest = plan.digest
        self._session = session
        self._limits = limits
        self._sequence = 0
        self._number = 0
        self._round_id: str | None = None
        self._round: SiteRound | None = None
        self._state: State | None = None
        self._share: NoiseShare | None = None
        self._own_keys: dict[str, Any] = {}
        self._lost: str | None = None
        self._handlers: dict[str, Callable[[Message], None]] = {
            "round": self._on_round,
            "roll": self._on_roll,
            "sealed": self._on_sealed,
            "survivors": self._on_survivors,
            "agreements": self._on_agreements,
            "left": self._on_left,
            "finish": self._on_finish,
            "abort": self._on_abort,
        }

    def to_the_end(self) -> Outcome:
        """Answer the coordinator's messages until the study is over."""
        return self._carried_on(lambda: self._do(lambda: self._send("accept", {})))

    def from_here_on(self) -> Outcome:
        """Go on after a restart with what the coordinator says next.

        The round this site was in is lost to it: the secrets of that round died with the process, so that no
        message of it is acted on, and the others finish it as with any site that dropped out.
        """
        with self._site.database.read() as connection:
            row = store.participation(connection, self._plan.id)
            self._number, self._round_id = store.last_round(connection, self._plan.id)
        self._sequence, self._lost = row.sequence, self._round_id
        return self._carried_on(self._accept_again if row.state is ParticipationState.ACCEPTED else lambda: None)

    def _accept_again(self) -> None:
        """Say what may not have been said before the crash; a coordinator that has heard it takes no notice."""
        with suppress(PeerError):
            self._do(lambda: self._send("accept", {}))

    def _carried_on(self, begin: Callable[[], object]) -> Outcome:
        try:
            begin()
            while True:
                self._answer(self._next())
        except _Ended:
            pass
        except Stopping:
            raise
        except PeerError as error:
            self._record_end("abort", "site", error.message)
        except PluginError as error:
            # A plugin's message may hold values of the data: it stays in this site's own state.
            self._stop(PluginError(_PLUGIN_FAILURE, fix="look at the site"), error.message)
        except SynthemaError as error:
            self._stop(error, error.message)
        except BaseException:
            self._record_end("abort", "site", "this site failed within")
            raise
        return self._site.outcome(self._plan.id)

    def _answer(self, message: Message) -> None:
        if self._lost is not None and message.kind in _OF_A_ROUND and message.round_id == self._lost:
            return
        self._do(lambda: self._handlers[message.kind](message))

    def _do(self, act: Callable[[], object]) -> None:
        """Act, and go on with what the coordinator said meanwhile where it does not want to hear of it any more."""
        try:
            act()
        except _Overtaken as overtaken:
            self._answer(overtaken.message)

    def _stop(self, error: SynthemaError, reason: str) -> None:
        """Refuse to go on: the reason for this site's own state, the error's words for its log."""
        self._record_end("refuse", "site", reason, error.message)
        tell_refusal(self._site, self._plan, self._site.tell(error), self._sequence, self._number, self._round_id)

    # One handler for each message of the coordinator ------------------------------------------

    def _on_round(self, message: Message) -> None:
        body, plan = _fields(message, "state", "sigma", "threshold", "sites"), self._plan
        self._state = state_from_json(body["state"])
        self._round = SiteRound(self._site.me, frozenset(plan.dids), plan.minimum_sites)
        self._round.start(body["sites"], body["threshold"])
        self._site.check()
        self._share = self._agreed_noise(self._state, body["sigma"], message.round)
        self._number, self._round_id = message.round, message.round_id
        round_id, state_digest = require_id("round", self._id()), canonical.digest(body["state"])

        def write(connection: Any) -> None:
            now = self._site.clock.now()
            store.begin_round(connection, "site", plan.id, message.round, round_id, state_digest, now)
            store.move_participation(connection, plan.id, "round", "coordinator", now, sequence=message.sequence)
            begun = self._site.records.begun(plan, message.round, round_id, state_digest, now)
            self._site.log.append(connection, begun)

        self._site.database.write(write)
        public = self._aggregate("secure_sum_advertise", me=self._site.me)
        self._own_keys = self._send("keys", {"public": public})

    def _on_roll(self, message: Message) -> None:
        roll = self._verified(_fields(message, "keys")["keys"], "keys")
        keys = self._machine().take_roll(roll, self._own_keys)
        sealed = self._aggregate(
            "secure_sum_share",
            public_keys=keys,
            threshold=self._machine().threshold,
            bound=largest_number(self._noise().sigma, self._plan.bound, len(self._plan.members)),
            colluders=self._plan.tolerated_colluders,
        )
        self._send("shares", {"sealed": sealed})

    def _on_sealed(self, message: Message) -> None:
        sealed = _fields(message, "sealed")["sealed"]
        if not isinstance(sealed, dict):
            raise DeniedError(
                "the sealed shares are not of the agreed form", fix="the coordinator must follow the protocol"
            )
        self._machine().take_sealed(list(sealed))
        vector = self._noised_contribution()
        masked = self._aggregate("secure_sum_mask", vector=vector, shares=sealed)
        if not isinstance(masked, np.ndarray) or masked.dtype not in MASKED_TYPES or masked.shape != vector.shape:
            raise PluginError("the aggregator did not return a masked vector", fix="use an approved version")
        data, share = vector_to_bytes(masked), self._noise()
        left = Contributed(self._number, self._id(), canonical.digest_bytes(data), share.sigma, share.rho)

        def write(connection: Any) -> None:
            now = self._site.clock.now()
            store.note_contribution(connection, left, now)
            store.move_participation(connection, self._plan.id, "contribute", "site", now, sequence=message.sequence)
            self._site.spend(connection, left)
            self._site.log.append(connection, self._site.records.contributed(self._plan, left, now))

        self._site.database.write(write)
        self._send("masked", {}, data)

    def _on_survivors(self, message: Message) -> None:
        self._send("agreement", self._machine().take_survivors(message.body))

    def _on_agreements(self, message: Message) -> None:
        agreements = self._verified(_fields(message, "agreements")["agreements"], "agreement")
        sets = self._machine().take_agreements(agreements)

        def write(connection: Any) -> None:
            now, counts = self._site.clock.now(), (len(sets.survivors), len(sets.dropped))
            store.note_answer(connection, self._id(), sets, now)
            store.move_participation(connection, self._plan.id, "answer", "site", now, sequence=message.sequence)
            self._site.log.append(connection, self._site.records.answered(self._plan, self._number, *counts, now))

        self._site.database.write(write)
        survivors, dropped = list(sets.survivors), list(sets.dropped)
        answer = self._aggregate("secure_sum_unmask", survivors=survivors, dropped=dropped)
        self._send("answer", {"answer": answer})

    def _on_left(self, message: Message) -> None:
        """Too late for this round: nothing of it is gone on with, and the next one is waited for."""
        number, self._round, self._share, self._state = self._number, None, None, None

        def write(connection: Any) -> None:
            now = self._site.clock.now()
            store.move_participation(connection, self._plan.id, "left", "coordinator", now, sequence=message.sequence)
            self._site.log.append(connection, self._site.records.left_out(self._plan, number, now))

        self._site.database.write(write)

    def _on_finish(self, _message: Message) -> None:
        def write(connection: Any) -> None:
            now, rounds = self._site.clock.now(), len(store.contributions(connection, self._plan.id))
            rho = store.spent(connection, self._plan.id)
            store.move_participation(connection, self._plan.id, "finish", "coordinator", now)
            self._site.log.append(connection, self._site.records.finished(self._plan, rounds, rho, now))

        self._site.database.write(write)
        raise _Ended

    def _on_abort(self, message: Message) -> None:
        self._record_end("abort", "coordinator", f"the coordinator ended the study: {message.body.get('reason')}"[:600])
        raise _Ended

    # What the handlers are made of --------------------------------------------------------------

    def _agreed_noise(self, state: State, announced: Any, number: int) -> NoiseShare:
        """The noise this site will add; raises :class:`DeniedError` when the round goes beyond the grant."""
        plan, limits = self._plan, self._limits
        with self._site.database.read() as connection:
            spent = store.spent(connection, plan.id)
        self._demand(1 <= state.length <= LONGEST_VECTOR and not state.finished, "the state asks for no vector")
        self._demand(number <= limits.rounds, f"round {number} goes beyond the {limits.rounds} rounds granted")
        # A row that changes a vector of integers at all changes it by at least 1.
        self._demand(state.sensitivity >= 1, f"a sensitivity of {state.sensitivity:g} understates what one row changes")
        share = share_in(plan, state)
        self._demand(
            spent + share.rho <= limits.rho * (1 + MARGIN),
            f"this round costs rho {share.rho:.4g}; {max(limits.rho - spent, 0):.4g} of {limits.rho:g} granted is left",
        )
        right = isinstance(announced, int | float) and math.isclose(announced, share.sigma, rel_tol=1e-6)
        self._demand(
            right, f"the coordinator announced noise of {announced}, this site's share must be {share.sigma:.6g}"
        )
        honest = share.total_sigma(plan.honest_sites)
        self._demand(
            honest >= limits.lowest_sigma,
            f"the noise of the honest sites would be {honest:.4g}, the grant asks for {limits.lowest_sigma:g}",
        )
        return share

    def _noised_contribution(self) -> Any:
        plan, state, share = self._plan, self._state, self._noise()
        contribution = self._session.call(
            plan.algorithm.plugin, "federated_contribute", state=state, codebook=plan.codebook
        )
        if not isinstance(contribution, Contribution) or state is None:
            raise PluginError("the algorithm did not return a contribution", fix="use an approved version")
        vector = clipped(contribution.vector, state.length, plan.bound)
        return noised(vector, share.sigma, plan.bound, len(plan.members))

    def _aggregate(self, hook: str, **arguments: Any) -> Any:
        return self._session.call(self._plan.aggregator.plugin, hook, round_id=self._id(), **arguments)

    def _next(self) -> Message:
        """The coordinator's next message, verified; raises :class:`PeerError` when it stays silent too long."""
        # Waiting is measured on the machine's steady clock: it must end even where the time of day stands still.
        deadline = time.monotonic() + self._site.silence_seconds
        while time.monotonic() < deadline:
            try:
                data = self._site.channel.poll(self._plan.id, self._sequence)
            except DeniedError:
                raise  # this site's own no, which ended its part while it waited
            except SynthemaError as error:
                raise PeerError(f"the coordinator cannot be reached: {error.message}", fix=error.fix) from error
            if data is not None:
                return self._checked(Parcel.from_bytes(data).message)
        raise PeerError("the coordinator fell silent", fix="ask the coordinator; a new plan is a new study")

    def _checked(self, message: Message) -> Message:
        self._demand(message.kind in self._handlers, f"a coordinator does not say '{message.kind}'")
        self._demand(message.sender == self._plan.coordinator, "the message is not from the plan's coordinator")
        self._demand(message.recipient == self._site.me, "the message is meant for another site")
        self._demand(
            message.study == self._plan.id and message.plan == self._plan_digest, "the message is about another plan"
        )
        self._demand(message.sequence == self._sequence + 1, "the coordinator's messages are out of order")
        known = (self._number, self._round_id)
        self._demand(
            message.kind in ("round", "left", "finish", "abort") or (message.round, message.round_id) == known,
            "the message is about another round",
        )
        verify(message, self._site.resolver)
        self._sequence = message.sequence
        return message

    def _verified(self, said: Any, kind: str) -> dict[str, Any]:
        """Other sites' messages as the coordinator passed them on, each signed by the site it is said to be from."""
        if not isinstance(said, Mapping):
            raise DeniedError("the sites' messages are missing", fix="the coordinator must follow the protocol")
        for name, value in said.items():
            message = message_from_json(value)
            right = (message.kind, message.sender, message.study, message.plan, message.round, message.round_id)
            wanted = (kind, name, self._plan.id, self._plan_digest, self._number, self._round_id)
            self._demand(right == wanted, f"what is said to be from {name[:120]} is not its '{kind}' of this round")
            self._demand(name in self._plan.dids, "a message is from someone who is not in the plan")
            verify(message, self._site.resolver)
        return dict(said)

    def _send(self, kind: str, body: dict[str, Any], attachment: bytes = b"") -> dict[str, Any]:
        """Sign and hand over; returns the message as the others will see it."""
        message = Message.model_validate(
            {
                "kind": kind, "study": self._plan.id, "plan": self._plan_digest, "sender": self._site.me,
                "recipient": self._plan.coordinator, "sequence": self._sequence, "round": self._number,
                "round_id": self._round_id, "body": body,
            }
        )  # fmt: skip
        parcel = seal(message, attachment, self._site.signer)
        try:
            self._site.channel.post(self._plan.id, parcel.to_bytes())
        except SynthemaError as error:
            self._look_for_what_came_between()
            raise PeerError(f"the coordinator did not take '{kind}': {error.message}", fix=error.fix) from error
        return parcel.message.as_json()

    def _look_for_what_came_between(self) -> None:
        """An answer that came too late is not taken: then the next message says why. Raises :class:`_Overtaken`."""
        try:
            data = self._site.channel.poll(self._plan.id, self._sequence)
        except SynthemaError:
            return
        if data is not None:
            raise _Overtaken(self._checked(Parcel.from_bytes(data).message))

    def _record_end(self, event: str, role: str, reason: str, logged: str | None = None) -> None:
        """``reason`` is kept in this site's state; ``logged`` (by default the same) stands in its log."""
        if self._site.stopping():
            raise Stopping
        said = logged or reason
        records = self._site.records

        def write(connection: Any) -> None:
            now = self._site.clock.now()
            store.move_participation(connection, self._plan.id, event, role, now, reason=reason)
            make = records.refused if event == "refuse" else records.failed
            self._site.log.append(connection, make(self._plan, said, now))

        self._site.database.write(write)

    def _machine(self) -> SiteRound:
        self._demand(self._round is not None, "no round is open")
        return self._round  # type: ignore[return-value]

    def _noise(self) -> NoiseShare:
        self._demand(self._share is not None, "no round is open")
        return self._share  # type: ignore[return-value]

    def _id(self) -> str:
        self._demand(self._round_id is not None, "the coordinator named no round")
        return self._round_id  # type: ignore[return-value]

    def _demand(self, condition: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as a sentence
        if not condition:
            raise DeniedError(otherwise, fix="the coordinator must keep to the plan; look at the study's log")


def _fields(message: Message, *names: str) -> dict[str, Any]:
    """The message's body, which must have exactly these fields; raises :class:`InputError`."""
    if set(message.body) != set(names):
        raise InputError(f"a '{message.kind}' message has the fields {', '.join(names)}", fix="follow the protocol")
    return message.body
