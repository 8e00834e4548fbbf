"""What a site tells the coordinator of a study about its own decisions: as much as its settings allow, no more.

A refusal can give away what it protects: how strict the house's policy is, how much of a
budget is left, that somebody took consent back. The whole reason always stands in the site's own log and state;
what leaves is chosen by the data protection officer in ``refusals_tell``:

* ``nothing``: that the site takes no part;
* ``law`` (the default): reasons out of public law and out of the agreement, both of which the coordinator has
  itself; of the site's own policies, its dataset's and its patients' only that they stand in the way;
* ``everything``: the decision as it is.
"""

from __future__ import annotations

from typing import Any

from synthema.config import RefusalsTell
from synthema.errors import InputError, SynthemaError
from synthema.federation import StudyPlan, StudyRecords
from synthema.policy.model import Layer
from synthema.runs.governor import Answer
from synthema.runs.rooms import Rooms

KNOWN_TO_BOTH = frozenset({Layer.UNION, Layer.MEMBER_STATE, Layer.AGREEMENT})
PERMITTED = "This site takes part, within its grant; the decision stands in its own log."
OWN = "Its own policies stand in the way; the reasons stand in this site's log."
STOPPED = "This site takes no part, or no longer; why stands in its own log."


def told_of(answer: Answer, tells: RefusalsTell) -> dict[str, Any]:
    """An answer as the party that asked may see it: effect, sentences, the run to ask about, the decision's digest."""
    whole = answer_json(answer)
    if tells == "everything":
        return whole
    del whole["decision"]
    return whole | {"sentences": list(_sentences(answer, tells))}


def answer_json(answer: Answer) -> dict[str, Any]:
    """The whole answer, for the house itself: decision, sentences, and the run to ask about."""
    decision = answer.decision
    return {
        "run": answer.run,
        "effect": decision.effect,
        "sentences": [*decision.sentences(), *answer.notes],
        "decision": decision.as_dict(),
        "decisionDigest": decision.digest,
    }


def told_of_error(error: SynthemaError, tells: RefusalsTell) -> str:
    """What is told when a site stops; an :class:`InputError` is about what the coordinator itself has sent."""
    open_word = tells == "everything" or (tells == "law" and isinstance(error, InputError))
    return error.message if open_word else STOPPED


def note_refusal(rooms: Rooms, plan: StudyPlan, error: SynthemaError) -> None:
    """Write down in full why this site takes no part in a study; what is told of it may be less."""
    records = StudyRecords(rooms.log.iri, rooms.settings.did)
    rooms.log.record(records.refused(plan, f"{error.message}; {error.fix}", rooms.clock.now()))


def _sentences(answer: Answer, tells: RefusalsTell) -> tuple[str, ...]:
    decision = answer.decision
    if decision.effect == "permit" and not answer.notes:
        return (PERMITTED,)
    if tells == "nothing":
        return (STOPPED,)
    ours = [reason for reason in decision.reasons if reason.layer in KNOWN_TO_BOTH]
    told = tuple(dict.fromkeys(_worded(reason.sentence, [str(law) for law in reason.law]) for reason in ours))
    hidden = len(ours) < len(decision.reasons) or bool(answer.notes)
    return (*told, OWN) if hidden or not told else told


def _worded(sentence: str, articles: list[str]) -> str:
    """The rule in words with its articles; the facts that were compared stay inside."""
    missing = [article for article in articles if article not in sentence]
    return f"{sentence} ({', '.join(missing)})" if missing else sentence
