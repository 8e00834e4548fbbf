"""Decides again what was decided before: to the byte under the policies of then, or otherwise under a draft."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from synthema.errors import SynthemaError
from synthema.policy import words
from synthema.policy.analysis.whatif import with_draft
from synthema.policy.compile import CompiledPolicies
from synthema.policy.decide import decide, replay
from synthema.policy.decision import read_request
from synthema.policy.model import AccessRequest, Policy

Of = Callable[[AccessRequest], CompiledPolicies]
"""Gives the policies that counted for a request at its time; raises :class:`SynthemaError` where it cannot."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A decision as it was kept (:meth:`Decision.as_dict`), with the run it was made for and what was decided."""

    run: str
    about: str
    decision: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Replayed:
    """A recorded decision, decided again. ``same`` is ``None`` where the policies of then are not to be had."""

    run: str
    about: str
    at: str
    effect: str
    same: bool | None
    now: str | None
    sentence: str

    def record(self) -> dict[str, Any]:
        """The outcome for machines."""
        return {
            "run": self.run,
            "about": self.about,
            "at": self.at,
            "effect": self.effect,
            "same": self.same,
            "now": self.now,
            "sentence": self.sentence,
        }


def summary(replayed: Sequence[Replayed], *, draft: bool) -> str:
    """All outcomes in one sentence."""
    total = len(replayed)
    differing = sum(one.same is False for one in replayed)
    lost = sum(one.same is None for one in replayed)
    if draft:
        head = f"of {total} decisions {differing} would change"
    else:
        head = f"of {total} decisions {total - differing - lost} are the same, byte for byte, when decided again"
        head += f", and {differing} differ" if differing else ""
    tail = f"; {lost} cannot be decided again" if lost else ""
    return words.sentence(head + tail)


def decide_again(recorded: Recorded, policies: Of) -> Replayed:
    """Decide under the policies of then, which has to give the same bytes."""
    decision = recorded.decision
    try:
        request = read_request(_request_in(decision))
    except SynthemaError as error:
        return _outcome(recorded, error.message, same=False)
    try:
        compiled = policies(request)
    except SynthemaError as error:
        return _outcome(recorded, error.message, same=None)
    if compiled.digest != decision.get("policy_digest"):
        return _outcome(recorded, "the policies, the law pack or the vocabulary of then are not here", same=None)
    try:
        again = replay(decision, compiled)
    except SynthemaError as error:
        return _outcome(recorded, error.message, same=False)
    return _outcome(recorded, "the same, byte for byte", same=True, now=again.effect)


def _request_in(decision: Mapping[str, Any]) -> Mapping[str, Any]:
    request = decision.get("request")
    return request if isinstance(request, Mapping) else {}


def decide_otherwise(recorded: Recorded, policies: Of, draft: Policy) -> Replayed:
    """Decide under a draft in place of its version of then, beside the other policies of then.

    Where these are not all here any more, both sides are decided under those that are, so that
    only the draft makes the difference.
    """
    decision = recorded.decision
    try:
        request = read_request(_request_in(decision))
        compiled = policies(request)
        same_law = compiled.digest == decision.get("policy_digest")
        before = str(decision.get("effect")) if same_law else decide(compiled, request).effect
        under = decide(with_draft(compiled, draft), request)
    except SynthemaError as error:
        return _outcome(recorded, error.message, same=None)
    then = "then" if same_law else "without the draft, under the law of now"
    if under.effect == before:
        return _outcome(recorded, f"{under.effect}, as {then}", same=True, now=under.effect)
    why = " ".join(under.sentences()[1:3])
    return _outcome(recorded, f"{before} {then}, {under.effect} under the draft: {why}", same=False, now=under.effect)


def _outcome(recorded: Recorded, said: str, *, same: bool | None, now: str | None = None) -> Replayed:
    at = str(_request_in(recorded.decision).get("at", ""))
    effect = str(recorded.decision.get("effect", ""))
    return Replayed(recorded.run, recorded.about, at, effect, same, now, words.sentence(said))
