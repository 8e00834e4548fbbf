"""Decides what follows for each derived thing; pure: the same trace under the same rules gives the same plan.

Sources: GDPR Art. 7(3), 12(3), 17(1)(b), 17(3), 19; EHDS Art. 71(1), (3), (4), 73(1)(e); EDPB Opinion 28/2024 on
AI models (anonymity is judged case by case: extraction and what queries give away, for each person).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from synthema.assembly.withdrawal.model import (
    GRAVITY,
    Cause,
    Consequence,
    Derived,
    Item,
    Kind,
    Plan,
    Rules,
    Touch,
    Trace,
)

OPINION = "EDPB Opinion 28/2024"

_STANDING: Mapping[Touch, tuple[str, Mapping[str, tuple[str, ...]]]] = {
    Touch.COVERED: (
        "It rests on what the person has not taken back, so it stays in use.",
        {"consent": ("GDPR 7(3)",), "opt-out": ("EHDS 71(4)",), "notice": ("GDPR 7(3)",)},
    ),
    Touch.EARLIER_PERMIT: (
        "The permit was approved before the person opted out: processing under it goes on, and nothing must be undone.",
        dict.fromkeys(("consent", "opt-out", "notice"), ("EHDS 71(3)",)),
    ),
    Touch.EARLIER_USE: (
        "It was made before the person opted out, and an opt-out counts for what comes after: nothing must be undone.",
        dict.fromkeys(("consent", "opt-out", "notice"), ("EHDS 71(1)", "EHDS 71(3)")),
    ),
}

_RECORDS = {
    Kind.MASKED: (
        "Sums that left before are masked and carry noise; nobody can take one person out of them again.",
        ("GDPR 7(3)", "GDPR 17(3)"),
    ),
    Kind.EVIDENCE: (
        "It states what was measured on a whole cohort at a past time and must stay checkable; it holds no rows.",
        ("GDPR 5(2)", "GDPR 17(3)"),
    ),
    Kind.DESCRIPTION: (
        "It describes columns and values that may occur, out of the codebook, and says nothing of people.",
        ("GDPR 4(1)",),
    ),
}

_FATES = {
    "keep": Consequence.ASSESS,
    "retrain": Consequence.RETRAIN,
    "suspend": Consequence.SUSPEND,
    "delete": Consequence.DELETE,
}


def make_plan(cause: Cause, trace: Trace, rules: Rules) -> Plan:
    """One consequence for each thing of the trace, and for nothing else."""
    things = _each_once(trace.things)
    items = tuple(decide(thing, cause, rules) for thing in things)
    return Plan(cause, items, trace.complete, trace.unfinished)


def decide(thing: Derived, cause: Cause, rules: Rules) -> Item:
    """What follows for one derived thing."""
    if thing.gone:
        return _item(thing, Consequence.NOTHING, "Nothing of it is left: it was deleted before.", ("GDPR 17(1)(b)",))
    if thing.touch is not Touch.USED:
        stands, by_machine = _STANDING[thing.touch]
        return _item(thing, Consequence.NOTHING, stands, by_machine[cause.machine])
    if thing.kind in _RECORDS:
        why, articles = _RECORDS[thing.kind]
        return _item(thing, Consequence.RECORD, why, articles)
    return _DECIDERS[thing.kind](thing, cause, rules)


def _run(thing: Derived, cause: Cause, rules: Rules) -> Item:
    if rules.running == "drop" and thing.details.get("rounds"):
        why = (
            "Work on the record ends with the present round: what was sent in it stays in the sum, and from the next "
            "round on the person is left out."
        )
        return _item(thing, Consequence.DROP, why, ("GDPR 7(3)",), due=cause.at + timedelta(days=1))
    why = "The record is being worked on, and what it rested on was taken back: the run ends without a result."
    return _item(thing, Consequence.STOP, why, ("GDPR 7(3)",), due=cause.at + timedelta(days=1))


def _quarantined(thing: Derived, cause: Cause, _rules: Rules) -> Item:
    why = "It was not released, and rests on what was taken back: its run is stopped and its files are deleted."
    return _item(thing, Consequence.STOP, why, ("GDPR 7(3)", "GDPR 17(1)(b)"), due=cause.at + timedelta(days=1))


def _rows(thing: Derived, cause: Cause, rules: Rules) -> Item:
    why = (
        "The version still holds the record. From now on runs leave it out; the rows are replaced by a version without "
        "it, unless another ground lets them be kept (GDPR Art. 17(1)(b), 17(3))."
    )
    due = cause.at + timedelta(days=rules.rows_days)
    return _item(thing, Consequence.RENEW, why, ("GDPR 17(1)(b)", "GDPR 12(3)"), due=due)


def _extract(thing: Derived, cause: Cause, _rules: Rules) -> Item:
    why = "It holds rows of single persons, and the consent it rested on was taken back: it is deleted."
    due = cause.at + timedelta(days=1)
    return _item(thing, Consequence.DELETE, why, ("GDPR 7(3)", "GDPR 17(1)(b)"), due=due)


def _output(thing: Derived, cause: Cause, rules: Rules) -> Item:
    chosen = {Kind.AGGREGATE: rules.aggregate, Kind.SYNTHETIC: rules.synthetic, Kind.MODEL: rules.model}[thing.kind]
    instead = _possible(_FATES[rules.untested], thing)
    if chosen == "keep" and not thing.shown:
        return _fate(thing, instead, cause, rules, "Nothing shows that it is anonymous. ")
    return _fate(thing, _possible(_FATES[chosen], thing), cause, rules, "", otherwise=instead)


def _possible(fate: Consequence, thing: Derived) -> Consequence:
    """A certificate can only be suspended where there is one of ours; what has none is made anew."""
    if fate is Consequence.SUSPEND and not thing.details.get("certificates"):
        return Consequence.RETRAIN
    return fate


def _fate(
    thing: Derived,
    fate: Consequence,
    cause: Cause,
    rules: Rules,
    because: str,
    *,
    otherwise: Consequence | None = None,
) -> Item:
    days = {
        Consequence.ASSESS: rules.assess_days,
        Consequence.RETRAIN: rules.retrain_days,
    }.get(fate, 1)
    return _item(
        thing,
        fate,
        because + reason_for(fate, thing.shown),
        ARTICLES[fate],
        due=cause.at + timedelta(days=days),
        otherwise=otherwise if fate is Consequence.ASSESS else None,
    )


ARTICLES = {
    Consequence.ASSESS: ("GDPR 17(1)(b)", "GDPR 4(1)", OPINION),
    Consequence.RETRAIN: ("GDPR 17(1)(b)", OPINION),
    Consequence.SUSPEND: ("GDPR 17(1)(b)", "GDPR 5(2)", OPINION),
    Consequence.DELETE: ("GDPR 17(1)(b)",),
}


def reason_for(fate: Consequence, shown: Iterable[str] = ()) -> str:
    """Why an output has this consequence, in sentences."""
    if fate is Consequence.ASSESS:
        told = " ".join(shown)
        return (
            "It may stay if an officer finds, for these recipients and as of now, that the person can neither be "
            f"extracted from it nor told from its answers, beyond what is negligible. {told} "
            "Nothing is unlearned: the person's share in it stays, and the assessment says why that is acceptable."
        ).replace("  ", " ")
    if fate is Consequence.RETRAIN:
        return "It is made anew from the data without the person, which is exact; then the old one is deleted."
    if fate is Consequence.SUSPEND:
        return "Its certificate is suspended until it is assessed or made anew; registries stop serving it."
    return "It is deleted."


def _certificate(thing: Derived, cause: Cause, rules: Rules) -> Item:
    if rules.certificate == "keep" and thing.shown and rules.synthetic == "keep":
        why = (
            "It stays valid while the dataset is assessed: the dataset was shown to be anonymous when it was "
            "certified. If the assessment finds otherwise, it is suspended."
        )
        return _item(thing, Consequence.RECORD, why, ("GDPR 5(2)", OPINION))
    why = reason_for(Consequence.SUSPEND)
    return _item(thing, Consequence.SUSPEND, why, ARTICLES[Consequence.SUSPEND], due=cause.at + timedelta(days=1))


def _holding(thing: Derived, cause: Cause, rules: Rules) -> Item:
    why = "The issuer's status list is looked at now: what it suspends or revokes is not served here any more."
    due = cause.at + timedelta(days=rules.notice_days)
    return _item(thing, Consequence.FOLLOW, why, ("GDPR 19",), due=due)


def _copy(thing: Derived, cause: Cause, rules: Rules) -> Item:
    why = "Its holder is told what is concerned and which exclusion list counts now, and answers with a receipt."
    due = cause.at + timedelta(days=rules.notice_days)
    return _item(thing, Consequence.NOTIFY, why, ("GDPR 19", "GDPR 17(2)"), due=due)


def _other(thing: Derived, cause: Cause, rules: Rules) -> Item:
    why = "Lineage leads to it, and no rule knows what it is: an officer decides and writes down why."
    due = cause.at + timedelta(days=rules.assess_days)
    return _item(thing, Consequence.ASSESS, why, ("GDPR 5(2)", "GDPR 17(1)(b)"), due=due)


_DECIDERS = {
    Kind.RUN: _run,
    Kind.QUARANTINED: _quarantined,
    Kind.ROWS: _rows,
    Kind.EXTRACT: _extract,
    Kind.AGGREGATE: _output,
    Kind.SYNTHETIC: _output,
    Kind.MODEL: _output,
    Kind.CERTIFICATE: _certificate,
    Kind.HOLDING: _holding,
    Kind.COPY: _copy,
    Kind.OTHER: _other,
}


def _item(
    thing: Derived,
    consequence: Consequence,
    why: str,
    articles: tuple[str, ...],
    *,
    due: datetime | None = None,
    otherwise: Consequence | None = None,
) -> Item:
    return Item(
        subject=thing.subject,
        kind=thing.kind,
        label=thing.label,
        consequence=consequence,
        why=why,
        articles=articles,
        due=due,
        otherwise=otherwise,
        digest=thing.digest,
        run=thing.run,
        holder=thing.holder,
        details=thing.details,
    )


def _each_once(things: Iterable[Derived]) -> list[Derived]:
    """Each thing once, by its IRI; where ways of lineage differ in how grave it is, the gravest counts."""
    kept: dict[str, Derived] = {}
    for thing in things:
        known = kept.get(thing.subject)
        if known is None or GRAVITY.index(thing.touch) > GRAVITY.index(known.touch):
            kept[thing.subject] = thing
    return list(kept.values())
