"""One round of a secure sum, without I/O: what each side does on each message, and what it refuses.

Both machines are driven by someone else, who verifies signatures, calls the
aggregator plugin and carries messages. Five exchanges make a round::

    coordinator   round ─▶   roll ─▶    sealed ─▶   survivors ─▶   agreements ─▶   opens the sum
    site          keys ─▶    shares ─▶  masked ─▶   agreement ─▶   answer ─▶       forgets its secrets

A site that does not answer in time drops out; the round goes on while enough
are left, and is aborted for good otherwise: it is never run again on the same input.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from synthema.canonical import digest
from synthema.errors import ConflictError, DeniedError, InputError
from synthema.federation.messages import MASKED_TYPES

CoordinatorPhase = Literal["keys", "shares", "masked", "agreement", "answer", "opened", "aborted"]
SitePhase = Literal["waiting", "keys", "shares", "masked", "agreement", "answer", "aborted"]

COORDINATOR_PHASES: dict[tuple[CoordinatorPhase, str], CoordinatorPhase] = {
    ("keys", "enough"): "shares",
    ("shares", "enough"): "masked",
    ("masked", "enough"): "agreement",
    ("agreement", "enough"): "answer",
    ("answer", "enough"): "opened",
    ("keys", "too few"): "aborted",
    ("shares", "too few"): "aborted",
    ("masked", "too few"): "aborted",
    ("agreement", "too few"): "aborted",
    ("answer", "too few"): "aborted",
}
"""What the coordinator waits for, and what follows when enough, or too few, have answered."""

SITE_PHASES: dict[tuple[SitePhase, str], SitePhase] = {
    ("waiting", "round"): "keys",
    ("keys", "roll"): "shares",
    ("shares", "sealed"): "masked",
    ("masked", "survivors"): "agreement",
    ("agreement", "agreements"): "answer",
}
"""What a site has last sent, and what it sends on the coordinator's next message; nothing is done twice."""

NEXT_MESSAGE: dict[CoordinatorPhase, str] = {
    "keys": "round",
    "shares": "roll",
    "masked": "sealed",
    "agreement": "survivors",
    "answer": "agreements",
}
"""The message that asks for what the coordinator waits for."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One message of the coordinator to one site."""

    site: str
    kind: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sets:
    """Whose vectors are in the sum, and who shared secrets but dropped out."""

    survivors: tuple[str, ...]
    dropped: tuple[str, ...]

    def as_json(self, roll_digest: str) -> dict[str, Any]:
        """What each surviving site signs before anyone answers."""
        return {"survivors": list(self.survivors), "dropped": list(self.dropped), "roll": roll_digest}


def public_keys(roll: Mapping[str, Any]) -> dict[str, Any]:
    """Each member's public keys, out of its signed message."""
    return {name: message["body"]["public"] for name, message in sorted(roll.items())}


class CoordinatorRound:
    """The coordinator's side. ``sites`` are those asked; ``minimum`` of them must reach each next step."""

    def __init__(self, sites: Collection[str], minimum: int, length: int) -> None:
        self.minimum = minimum
        self.length = length
        self.phase: CoordinatorPhase = "keys"
        self.expected: frozenset[str] = frozenset(sites)
        self.reason: str | None = None
        self.missing: frozenset[str] = frozenset()
        self._received: dict[str, dict[str, Any]] = {}

    @property
    def ended(self) -> bool:
        return self.phase in ("opened", "aborted")

    @property
    def complete(self) -> bool:
        """Whether everyone expected has answered, so that there is nothing to wait for."""
        return not self.ended and not self.waiting

    @property
    def waiting(self) -> frozenset[str]:
        """The sites whose answer to the present exchange is not there yet."""
        return self.expected - set(self._received.get(self.phase, {}))

    def receive(self, site: str, kind: str, content: Any) -> None:
        """Take one site's answer.

        ``content`` is a message's JSON for keys and agreements, a vector for
        ``masked``, the body otherwise. Raises :class:`ConflictError` when it is
        late, early or a second one that differs, :class:`InputError` when it is not of the form.
        """
        if self.ended or kind != self.phase or site not in self.expected:
            raise ConflictError(
                f"'{kind}' is not due from this site now", fix="wait for the coordinator's next message"
            )
        if site in self._received.get(kind, {}):
            raise ConflictError(f"this site has already sent its '{kind}'", fix="answer each message once")
        self._check(site, kind, content)
        self._received.setdefault(kind, {})[site] = content

    def advance(self) -> tuple[Ask, ...]:
        """Go on with those who have answered, or abort; returns the next messages (none when the round has ended)."""
        if self.ended:
            raise ConflictError("the round has ended", fix="start a new round")
        answered = self._received.get(self.phase, {})
        self.missing = self.expected - set(answered)
        if len(answered) < self.minimum:
            self.abort(
                f"only {len(answered)} of {len(self.expected)} sites sent '{self.phase}' in time and "
                f"{self.minimum} are needed; missing: {', '.join(sorted(self.missing))}"
            )
            return ()
        self.phase = COORDINATOR_PHASES[self.phase, "enough"]
        self.expected = frozenset(answered)
        return () if self.phase == "opened" else tuple(self._ask(site) for site in sorted(self.expected))

    def abort(self, reason: str) -> None:
        """Give the round up; nothing can be opened any more."""
        self.phase, self.reason = "aborted", reason

    @property
    def roll(self) -> dict[str, Any]:
        """The signed key messages all members were sent."""
        return dict(sorted(self._received.get("keys", {}).items()))

    @property
    def sets(self) -> Sets:
        """Survivors and dropped, known once the masked vectors are in."""
        survivors = tuple(sorted(self._received.get("masked", {})))
        return Sets(survivors, tuple(sorted(set(self._received.get("shares", {})) - set(survivors))))

    def opening(self) -> tuple[dict[str, Any], dict[str, NDArray[np.unsignedinteger[Any]]], dict[str, Any]]:
        """Public keys, masked vectors and answers, for the aggregator to open; only after the last exchange."""
        if self.phase != "opened":
            raise ConflictError("the round is not ready to be opened", fix="wait for the sites' answers")
        answers = {site: body["answer"] for site, body in self._received["answer"].items()}
        return public_keys(self.roll), dict(self._received["masked"]), answers

    def _ask(self, site: str) -> Ask:
        return Ask(site, NEXT_MESSAGE[self.phase], self._body_for(site))

    def _body_for(self, site: str) -> dict[str, Any]:
        if self.phase == "shares":
            return {"keys": self.roll}
        if self.phase == "masked":
            shares = self._received["shares"]
            return {"sealed": {w: body["sealed"][site] for w, body in sorted(shares.items()) if w != site}}
        if self.phase == "agreement":
            return self.sets.as_json(digest(public_keys(self.roll)))
        return {"agreements": dict(sorted(self._received["agreement"].items()))}

    def _check(self, site: str, kind: str, content: Any) -> None:
        if kind == "masked":
            right = (
                isinstance(content, np.ndarray) and content.dtype in MASKED_TYPES and content.shape == (self.length,)
            )
        elif kind == "keys":
            right = isinstance(content["body"].get("public"), dict)
        elif kind == "shares":
            sealed = content.get("sealed")
            right = isinstance(sealed, dict) and set(sealed) == set(self.roll) - {site}
        elif kind == "agreement":
            right = content["body"] == self.sets.as_json(digest(public_keys(self.roll)))
        else:
            right = isinstance(content.get("answer"), dict)
        if not right:
            raise InputError(f"the '{kind}' of this site is not of the agreed form", fix="use the agreed aggregator")


@dataclass(slots=True)
class SiteRound:
    """A site's side. ``minimum`` is the fewest survivors its grant allows, ``members`` the plan's sites.

    Every method checks one message of the coordinator and says what to hand to
    the aggregator; :class:`DeniedError` means that the site stops here.
    """

    me: str
    members: frozenset[str]
    minimum: int
    phase: SitePhase = "waiting"
    threshold: int = 0
    keys: dict[str, Any] = field(default_factory=dict)
    masked_for: frozenset[str] = frozenset()
    sets: Sets | None = None

    def start(self, asked: Any, threshold: Any) -> None:
        """The coordinator opens the round for these sites."""
        self._step("round")
        self._require(_are_names(asked) and type(threshold) is int, "the sites or the threshold are not of the form")
        self._require(set(asked) <= self.members, "the coordinator asked sites that are not in the plan")
        self._require(self.me in asked and len(set(asked)) == len(list(asked)), "the list of asked sites is not right")
        self._require_enough(len(asked), "asked")
        self._require(threshold >= self.minimum, f"a threshold of {threshold} is below the {self.minimum} agreed")
        self.threshold = threshold

    def take_roll(self, roll: Mapping[str, Any], mine: Mapping[str, Any]) -> dict[str, Any]:
        """The members' keys, each from a message whose signature has been verified; returns the keys to share under."""
        self._step("roll")
        self._require(set(roll) <= self.members, "keys came from someone who is not in the plan")
        self._require(roll.get(self.me) == mine, "this site's own keys are missing or were replaced")
        self._require_enough(len(roll), "advertising")
        named = all(isinstance(message["body"].get("public"), dict) for message in roll.values())
        self._require(named, "a site's public keys are not of the agreed form")
        self.keys = public_keys(roll)
        return self.keys

    def take_sealed(self, writers: Collection[str]) -> None:
        """The shares that the other members sealed for this site."""
        self._step("sealed")
        self._require(set(writers) <= set(self.keys) - {self.me}, "shares came from someone without a key")
        self.masked_for = frozenset(writers) | {self.me}
        self._require_enough(len(self.masked_for), "sharing")

    def take_survivors(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Who survived, as the coordinator says; returns the statement to sign."""
        self._step("survivors")
        survivors, dropped = body.get("survivors"), body.get("dropped")
        self._require(_are_names(survivors) and _are_names(dropped), "survivors and dropped are not lists of names")
        alive, gone = list(survivors or ()), list(dropped or ())
        self._require(len(set(alive + gone)) == len(alive) + len(gone), "survivors and dropped overlap")
        self._require(set(alive + gone) == self.masked_for, "survivors and dropped are not those this site masked for")
        self._require(self.me in alive, "this site sent its vector, so it cannot be among the dropped")
        self._require_enough(len(alive), "surviving")
        self.sets = Sets(tuple(sorted(alive)), tuple(sorted(gone)))
        return self.sets.as_json(digest(self.keys))

    def take_agreements(self, agreements: Mapping[str, Any]) -> Sets:
        """The survivors' signed statements, verified; returns the sets to unmask for, once."""
        self._step("agreements")
        if self.sets is None:  # cannot be: the step before set it
            raise ConflictError("no survivors were named", fix="start a new round")
        same = self.sets.as_json(digest(self.keys))
        self._require(set(agreements) <= set(self.sets.survivors), "someone who did not survive signed the survivors")
        self._require(
            all(message["body"] == same for message in agreements.values()),
            "sites were told different survivors or different keys",
        )
        self._require(
            len(agreements) >= self.threshold,
            f"only {len(agreements)} sites signed the survivors; {self.threshold} are needed",
        )
        return self.sets

    def _step(self, message: str) -> None:
        if (self.phase, message) not in SITE_PHASES:
            phase, self.phase = self.phase, "aborted"
            raise DeniedError(
                f"the coordinator sent '{message}' where this site's round is at '{phase}'",
                fix="the coordinator must follow the protocol; each step is done once",
            )
        self.phase = SITE_PHASES[self.phase, message]

    def _require(self, condition: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as a sentence
        if not condition:
            self.phase = "aborted"
            raise DeniedError(otherwise, fix="the coordinator must follow the plan; look at the study's log")

    def _require_enough(self, count: int, what: str) -> None:
        self._require(count >= self.minimum, f"only {count} {what} sites; this site's grant asks for {self.minimum}")


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)
