"""What changed between two versions of an assessment, in sentences for the people who are to sign the new one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from synthema.clock import duration
from synthema.dpia.model import Dpia, Gate, Measure, Risk
from synthema.dpia.parts import SIGNS, listed, spelled

Direction = Literal["looser", "stricter", "other"]


@dataclass(frozen=True, slots=True)
class Change:
    """One change: what it is about, whether it lets more or less pass, and the sentence."""

    subject: str
    direction: Direction
    sentence: str

    def as_dict(self) -> dict[str, str]:
        """The change as JSON."""
        return {"subject": self.subject, "direction": self.direction, "sentence": self.sentence}


def compare(old: Dpia, new: Dpia) -> tuple[Change, ...]:
    """All changes from one version to another: first what lets more pass, then what lets less, then the rest."""
    found = [
        *_gates(old, new),
        *_risks(old, new),
        *_measures(old, new),
        *_scope(old, new),
        *_texts(old, new),
    ]
    order: dict[Direction, int] = {"looser": 0, "stricter": 1, "other": 2}
    return tuple(sorted(found, key=lambda change: order[change.direction]))


def _gates(old: Dpia, new: Dpia) -> Iterator[Change]:
    before, after = ({gate.id: gate for gate in dpia.gates} for dpia in (old, new))
    for name in before.keys() - after.keys():
        yield Change(f"gate {name}", "looser", f"The gate '{name}' is gone: {before[name].sentence()} no longer.")
    for name in after.keys() - before.keys():
        yield Change(f"gate {name}", "stricter", f"There is a new gate '{name}': {after[name].sentence()}.")
    for name in sorted(before.keys() & after.keys()):
        yield from _gate(before[name], after[name])


def _gate(old: Gate, new: Gate) -> Iterator[Change]:
    name = f"gate {old.id}"
    if old.metric != new.metric or old.operator != new.operator:
        yield Change(name, "other", f"The gate '{old.id}' was: {old.sentence()}. It is now: {new.sentence()}.")
    elif old.threshold != new.threshold:
        direction = _tightening(new, old.threshold, new.threshold)
        yield Change(
            name,
            direction,
            f"The threshold of '{old.id}' goes from {SIGNS[old.operator]} {old.threshold:g} to "
            f"{SIGNS[new.operator]} {new.threshold:g}, which is {direction}.",
        )
    if old.bound != new.bound:
        direction = "looser" if new.bound == "value" else "stricter"
        yield Change(name, direction, f"The gate '{old.id}' judges the {new.bound}, no longer the {old.bound}.")
    if old.phase != new.phase:
        yield Change(name, "other", f"The gate '{old.id}' is checked {new.phase}, no longer {old.phase}.")
    if old.maximum_age != new.maximum_age:
        direction = "looser" if duration(new.maximum_age) > duration(old.maximum_age) else "stricter"
        sentence = (
            f"Evidence for '{old.id}' may be {spelled(new.maximum_age)} old, no longer {spelled(old.maximum_age)}."
        )
        yield Change(name, direction, sentence)
    if old.minimum_n != new.minimum_n:
        direction = "looser" if new.minimum_n < old.minimum_n else "stricter"
        sentence = f"Evidence for '{old.id}' needs {new.minimum_n} records, no longer {old.minimum_n}."
        yield Change(name, direction, sentence)
    yield from _missing(old, new)
    if old.evidence != new.evidence:
        yield Change(name, "other", f"'{old.id}' asks for {new.evidence}, no longer {old.evidence}.")
    if old.confirmed_by_site != new.confirmed_by_site:
        word = "confirmed" if new.confirmed_by_site else "to be confirmed"
        yield Change(name, "other", f"The threshold of '{old.id}' is now {word}.")
    if old.rationale != new.rationale:
        yield Change(name, "other", f"The rationale of '{old.id}' is worded anew.")


def _missing(old: Gate, new: Gate) -> Iterator[Change]:
    if old.on_missing != new.on_missing:
        noted = new.on_missing == "note"
        what = "is noted and no longer stops a run" if noted else "stops a run and is no longer noted only"
        yield Change(f"gate {old.id}", "looser" if noted else "stricter", f"A missing figure for '{old.id}' {what}.")


def _tightening(gate: Gate, old: float, new: float) -> Direction:
    match gate.operator:
        case "lt" | "lteq":
            return "looser" if new > old else "stricter"
        case "gt" | "gteq":
            return "looser" if new < old else "stricter"
        case _:
            return "other"


def _risks(old: Dpia, new: Dpia) -> Iterator[Change]:
    before, after = ({risk.id: risk for risk in dpia.risks} for dpia in (old, new))
    for name in sorted(before.keys() - after.keys()):
        yield Change(f"risk {name}", "looser", f"The risk '{name}' is no longer assessed: {before[name].sentence}")
    for name in sorted(after.keys() - before.keys()):
        yield Change(f"risk {name}", "stricter", f"There is a new risk '{name}': {after[name].sentence}")
    for name in sorted(before.keys() & after.keys()):
        yield from _risk(before[name], after[name])


def _risk(old: Risk, new: Risk) -> Iterator[Change]:
    name = f"risk {old.id}"
    for what, was, now in (
        ("before measures", old.before, new.before),
        ("after measures", old.residual, new.residual),
    ):
        if (was.severity, was.likelihood) != (now.severity, now.likelihood):
            yield Change(name, "other", f"The risk '{old.id}' {what} was: {was.words}. It is now: {now.words}.")
    gone, come = set(old.measures) - set(new.measures), set(new.measures) - set(old.measures)
    if gone:
        yield Change(name, "looser", f"The risk '{old.id}' is no longer met by {listed(sorted(gone))}.")
    if come:
        yield Change(name, "stricter", f"The risk '{old.id}' is now met by {listed(sorted(come))} as well.")
    yield from _reworded(name, old, new, {"before", "residual", "measures"})
    if old.residual.sentence != new.residual.sentence:
        yield Change(name, "other", f"Why the rest of the risk '{old.id}' is small is worded anew.")


def _measures(old: Dpia, new: Dpia) -> Iterator[Change]:
    before, after = ({measure.id: measure for measure in dpia.measures} for dpia in (old, new))
    for name in sorted(before.keys() - after.keys()):
        yield Change(f"measure {name}", "looser", f"The measure '{name}' is gone: {before[name].sentence}")
    for name in sorted(after.keys() - before.keys()):
        yield Change(f"measure {name}", "stricter", f"There is a new measure '{name}': {after[name].sentence}")
    for name in sorted(before.keys() & after.keys()):
        yield from _measure(before[name], after[name])
    defined_before, defined_after = ({metric.id: metric for metric in dpia.metrics} for dpia in (old, new))
    for name in sorted(defined_before.keys() & defined_after.keys()):
        if defined_before[name] != defined_after[name]:
            yield Change(f"metric {name}", "other", f"The figure '{name}' is defined anew.")


def _measure(old: Measure, new: Measure) -> Iterator[Change]:
    name = f"measure {old.id}"
    if (old.plugin, old.capability) != (new.plugin, new.capability):
        was, now = (measure.plugin or measure.capability for measure in (old, new))
        yield Change(name, "other", f"The measure '{old.id}' is carried out by {now}, no longer by {was}.")
    elif old.plugin_digest != new.plugin_digest:
        yield Change(name, "other", f"The measure '{old.id}' rests on other files of the plugin '{new.plugin}'.")
    lost = set(old.metrics) - set(new.metrics)
    if lost:
        yield Change(name, "looser", f"The measure '{old.id}' no longer shows in {listed(sorted(lost))}.")
    if gained := set(new.metrics) - set(old.metrics):
        yield Change(name, "stricter", f"The measure '{old.id}' shows in {listed(sorted(gained))} as well.")
    yield from _reworded(name, old, new, {"plugin", "capability", "plugin_digest", "metrics"})


def _scope(old: Dpia, new: Dpia) -> Iterator[Change]:
    for field, word in (
        ("datasets", "dataset"),
        ("actions", "action"),
        ("purposes", "purpose"),
        ("data_categories", "category of data"),
        ("legal_bases", "legal basis"),
    ):
        before, after = set(getattr(old.processing, field)), set(getattr(new.processing, field))
        for name in sorted(after - before):
            yield Change("processing", "looser", f"The assessment covers another {word}: {name}.")
        for name in sorted(before - after):
            yield Change("processing", "stricter", f"The assessment no longer covers the {word} {name}.")
    if old.review_due != new.review_due:
        direction: Direction = "looser" if new.review_due > old.review_due else "stricter"
        sentence = f"The review is due on {new.review_due.isoformat()}, no longer on {old.review_due.isoformat()}."
        yield Change("review", direction, sentence)
    if old.outcome != new.outcome:
        sentence = f"The outcome was that {old.outcome.words}. It is now that {new.outcome.words}."
        yield Change("outcome", "other", sentence)
    if old.opinion != new.opinion:
        word = "favourable" if new.opinion.favourable else "unfavourable"
        sentence = f"The officer's opinion is another one, of {new.opinion.given_on.isoformat()}: {word}."
        yield Change("opinion", "other", sentence)


def _texts(old: Dpia, new: Dpia) -> Iterator[Change]:
    for field, words in (("plan", "item of the action plan"), ("triggers", "reason to review")):
        before, after = ({item.id: item for item in getattr(dpia, field)} for dpia in (old, new))
        for name in sorted(before.keys() - after.keys()):
            yield Change(field, "looser", f"The {words} '{name}' is gone: {before[name].sentence}.")
        for name in sorted(after.keys() - before.keys()):
            yield Change(field, "stricter", f"There is a new {words} '{name}': {after[name].sentence}.")
        for name in sorted(before.keys() & after.keys()):
            if before[name] != after[name]:
                yield Change(field, "other", f"The {words} '{name}' was changed: {after[name].sentence}.")
    for field in ("processing", "principles"):
        covered = {"datasets", "actions", "purposes", "data_categories", "legal_bases"} if field == "processing" else ()
        yield from _reworded(field, getattr(old, field), getattr(new, field), set(covered))
    names = ("id", "title", "language", "roles", "views", "consultation", "notes")
    changed = [name for name in names if getattr(old, name) != getattr(new, name)]
    yield from (Change(name, "other", f"'{name}' was changed.") for name in changed)


def _reworded(subject: str, old: Any, new: Any, told: set[str]) -> Iterator[Change]:
    """Fields of a part that changed and of which nothing was said yet."""
    fields: Sequence[str] = list(type(old).model_fields)
    changed = [name for name in fields if name not in told and getattr(old, name) != getattr(new, name)]
    if changed:
        yield Change(subject, "other", f"Of {subject}, {listed(changed)} was changed.")
