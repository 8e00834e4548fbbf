"""Whether an assessment holds at a moment: what it rests on is looked at again, each time something is decided.

An assessment that was right when it was signed stops being so when a plugin's files
change, a review date passes, a signature is taken back, an item of the action plan is
not done, or a release is not measured again in time (GDPR Art. 35(11)). Then the
connector denies, and says which of these it is and what would change it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Any, Final, Literal

from synthema.canonical import digest
from synthema.clock import duration, to_text
from synthema.dpia.check import Evidence, GateResult, judge_gate
from synthema.dpia.model import CORE, PEOPLE, Dpia, Gate, Measure
from synthema.dpia.parts import GOOD_OUTCOMES, Outcome, listed
from synthema.dpia.terms import expand
from synthema.identity.four_eyes import OFFICER_ROLE, REQUIRED_SIGNATURES
from synthema.vocabulary.namespaces import SYN

Kind = Literal["outcome", "review", "trigger", "signature", "threshold", "measure", "plan", "gate"]

MENDING: Final = SYN + "evaluateModel"
"""The action by which a release is measured again; an overdue measurement does not stop it."""


@dataclass(frozen=True, slots=True)
class PluginState:
    """Where a plugin stands now: ``approved`` or why not, the digest of its present files, what it can do."""

    standing: str
    digest: str | None = None
    capabilities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Signature:
    """A person's signature under a version, and when it was taken back."""

    person: str
    roles: tuple[str, ...]
    withdrawn_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """Something that left under the assessment: measured again by its post-release gates until it is recalled."""

    thing: str
    released_at: datetime
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What an assessment rests on at a moment. What is not known here counts as not there."""

    plugins: Mapping[str, PluginState] = field(default_factory=dict)
    signatures: tuple[Signature, ...] = ()
    done: Mapping[str, datetime] = field(default_factory=dict)  # item of the action plan → when it was done
    raised: Mapping[str, datetime] = field(default_factory=dict)  # trigger that was raised and not answered → since
    releases: tuple[Release, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing the assessment rests on: whether it holds, since or until when, and what would change it."""

    kind: Kind
    subject: str
    holds: bool
    sentence: str
    fix: str = ""
    due: datetime | None = None
    evidence: str | None = None
    measured_at: datetime | None = None
    release: str | None = None  # the thing that a post-release gate is about

    def as_dict(self) -> dict[str, Any]:
        """The finding as JSON."""
        return {
            "kind": self.kind,
            "subject": self.subject,
            "holds": self.holds,
            "sentence": self.sentence,
            "fix": self.fix,
            "due": None if self.due is None else to_text(self.due),
            "evidence": self.evidence,
            "measuredAt": None if self.measured_at is None else to_text(self.measured_at),
        }


@dataclass(frozen=True, slots=True)
class Conformance:
    """All findings about one version at one moment. Conformant (DPV's DPIAConformant) only if all hold."""

    dpia: Dpia
    at: datetime
    findings: tuple[Finding, ...]

    @property
    def conformant(self) -> bool:
        return all(finding.holds for finding in self.findings)

    def stops(self, action: str | None = None) -> tuple[Finding, ...]:
        """The findings that stop an action (any, when none is named); measuring a release again mends, so it may."""
        failing = tuple(finding for finding in self.findings if not finding.holds)
        if action is not None and expand(action) == MENDING:
            return tuple(finding for finding in failing if finding.kind != "gate")
        return failing

    def sentences(self, action: str | None = None) -> tuple[str, ...]:
        """What stops an action, each with what would change it."""
        return tuple(f"{finding.sentence} To change it: {finding.fix}." for finding in self.stops(action))

    def outcome(self, action: str | None = None) -> Outcome | None:
        """The outcome that holds now; None when a good one cannot be relied on.

        A risk whose measures are not all in place counts as before them, so a high risk may remain.
        """
        if self.dpia.standing_outcome not in GOOD_OUTCOMES:
            return self.dpia.standing_outcome
        stopping = self.stops(action)
        missing = {finding.subject for finding in stopping if finding.kind == "measure"}
        if any(risk.before.is_high and missing & set(risk.measures) for risk in self.dpia.risks):
            return Outcome.HIGH_RESIDUAL
        return None if stopping else self.dpia.standing_outcome

    def next_due(self) -> Finding | None:
        """What falls due next, of what still holds."""
        coming = [finding for finding in self.findings if finding.holds and finding.due is not None]
        return min(coming, key=lambda finding: finding.due or self.at, default=None)

    def results(self, action: str | None = None) -> tuple[GateResult, ...]:
        """What stops an action, in the form a gate report takes in."""
        return tuple(
            GateResult(f"{f.kind}:{f.subject}", f.kind, passed=False, sentence=f.sentence, source=f.evidence)
            for f in self.stops(action)
            if f.kind not in ("outcome", "review")  # the report says these itself
        )

    def as_dict(self) -> dict[str, Any]:
        """The whole as JSON."""
        due = self.next_due()
        return {
            "dpia": self.dpia.id,
            "digest": self.dpia.digest,
            "at": to_text(self.at),
            "conformant": self.conformant,
            "findings": [finding.as_dict() for finding in self.findings],
            "nextDue": None if due is None else due.as_dict(),
        }

    @property
    def fingerprint(self) -> str:
        """Digest of what was found."""
        return digest(self.as_dict())


def examine(dpia: Dpia, found: Circumstances, at: datetime) -> Conformance:
    """Look at everything an assessment rests on; pure, and what is unknown does not hold."""
    findings = (
        _outcome(dpia),
        _review(dpia, at),
        _signatures(found),
        *_thresholds(dpia),
        *(_trigger(dpia, name, since) for name, since in sorted(found.raised.items())),
        *(_measure(measure, found.plugins) for measure in dpia.measures),
        *_plan(dpia, found.done, at),
        *_releases(dpia, found.releases, at),
    )
    return Conformance(dpia, at, findings)


def end_of(day: date) -> datetime:
    """The last moment of a day: until then something due on it is in time."""
    return datetime.combine(day, time.max, UTC)


def _outcome(dpia: Dpia) -> Finding:
    outcome = dpia.standing_outcome
    favourable = dpia.opinion.favourable
    if outcome not in GOOD_OUTCOMES:
        refused = dpia.consultation is not None
        return Finding(
            "outcome",
            dpia.id,
            holds=False,
            sentence=f"The assessment's outcome is that {outcome.words} (GDPR Art. 36(1))"
            + (", and its answer does not permit the processing." if refused else "."),
            fix="record its answer under 'consultation' in a new version, or add measures against the risk",
        )
    if not favourable:
        return Finding(
            "outcome",
            dpia.id,
            holds=False,
            sentence="The data protection officer's opinion is unfavourable (GDPR Art. 35(2)).",
            fix="meet the officer's objections in a new version, and ask for the advice again",
        )
    return Finding("outcome", dpia.id, holds=True, sentence=f"The outcome is that {outcome.words}.")


def _review(dpia: Dpia, at: datetime) -> Finding:
    due = end_of(dpia.review_due)
    if at <= due:
        sentence = f"The review is due on {dpia.review_due.isoformat()} (GDPR Art. 35(11))."
        return Finding("review", dpia.id, holds=True, sentence=sentence, due=due)
    return Finding(
        "review",
        dpia.id,
        holds=False,
        sentence=f"The review was due on {dpia.review_due.isoformat()} and has not been made (GDPR Art. 35(11)).",
        fix="review the assessment, set a new date, and have two people sign the new version",
        due=due,
    )


def _signatures(found: Circumstances) -> Finding:
    valid = [signature for signature in found.signatures if signature.withdrawn_at is None]
    gone = len(found.signatures) - len(valid)
    people = {signature.person for signature in valid}
    officer = any(OFFICER_ROLE in signature.roles for signature in valid)
    if len(people) >= REQUIRED_SIGNATURES and officer:
        return Finding("signature", "four-eyes", holds=True, sentence=f"{len(people)} people have signed.")
    reason = f"; {gone} withdrew" if gone else ""
    lacking = "" if officer else ", and no data protection officer among them"
    return Finding(
        "signature",
        "four-eyes",
        holds=False,
        sentence=f"{len(people)} of {REQUIRED_SIGNATURES} signatures stand{reason}{lacking} (GDPR Art. 35(2)).",
        fix="propose a version that both can sign",
    )


def _thresholds(dpia: Dpia) -> Iterator[Finding]:
    if waiting := dpia.unconfirmed():
        yield Finding(
            "threshold",
            waiting[0],
            holds=False,
            sentence=f"The thresholds of {listed(waiting[:10])} are to be confirmed: no law sets them.",
            fix="the data protection officer confirms each, or sets another, and proposes the assessment again",
        )


def _trigger(dpia: Dpia, name: str, since: datetime) -> Finding:
    known = next((trigger.sentence for trigger in dpia.triggers if trigger.id == name), name).rstrip(".")
    return Finding(
        "trigger",
        name,
        holds=False,
        sentence=f"A reason to review was raised on {since.date().isoformat()}: {known} (GDPR Art. 35(11)).",
        fix="review the assessment and sign a new version, or record why the risk has not changed",
    )


def _measure(measure: Measure, plugins: Mapping[str, PluginState]) -> Finding:
    what = f"The measure '{measure.id}'"
    if measure.plugin is None:
        by = "people" if measure.capability == PEOPLE else f"the connector ({measure.capability.removeprefix(CORE)})"
        return Finding("measure", measure.id, holds=True, sentence=f"{what} is carried out by {by}.")
    state = plugins.get(measure.plugin)
    problem = _plugin_problem(measure, state)
    if problem is None:
        return Finding(
            "measure",
            measure.id,
            holds=True,
            sentence=f"{what} is in place: plugin '{measure.plugin}' is approved, and its files are those assessed.",
            evidence=measure.plugin_digest,
        )
    reason, fix = problem
    found = None if state is None else state.digest
    return Finding(
        "measure", measure.id, holds=False, sentence=f"{what} is not in place: {reason}.", fix=fix, evidence=found
    )


def _plugin_problem(measure: Measure, state: PluginState | None) -> tuple[str, str] | None:
    name = f"plugin '{measure.plugin}'"
    if state is None or state.digest is None:
        return f"{name} is not installed", f"install {measure.plugin}, and let two people approve it"
    if measure.plugin_digest is None:
        return f"the files of {name} were not assessed", "propose the assessment again, now that the plugin is there"
    if state.digest != measure.plugin_digest:
        return (
            f"the files of {name} have changed since the assessment was signed",
            "restore the files that were assessed, or assess the present ones in a new version",
        )
    if state.standing != "approved":
        return f"{name} is {state.standing}", "let two people, one of them the data protection officer, approve it"
    if measure.capability not in state.capabilities:
        return (
            f"{name} does not have the capability '{measure.capability}'",
            f"name another plugin; this one can {listed(state.capabilities)}",
        )
    return None


def _plan(dpia: Dpia, done: Mapping[str, datetime], at: datetime) -> Iterator[Finding]:
    for item in dpia.plan:
        what = f"The action plan's item '{item.id}' ({item.sentence.rstrip('.')}; {item.responsible})"
        due = end_of(item.due)
        if item.id in done:
            on = done[item.id].date().isoformat()
            yield Finding("plan", item.id, holds=True, sentence=f"{what} was done on {on}.", measured_at=done[item.id])
        elif at <= due:
            sentence = f"{what} is due on {item.due.isoformat()}."
            yield Finding("plan", item.id, holds=True, sentence=sentence, due=due)
        else:
            yield Finding(
                "plan",
                item.id,
                holds=False,
                sentence=f"{what} was due on {item.due.isoformat()} and is not done.",
                fix=f"do it, and declare it with: synthema dpia declare DPIA done {item.id}",
                due=due,
            )


def _releases(dpia: Dpia, releases: Sequence[Release], at: datetime) -> Iterator[Finding]:
    for gate in dpia.gates:
        if gate.phase == "post-release":
            for release in releases:
                yield _again(dpia, gate, release, at)


def _again(dpia: Dpia, gate: Gate, release: Release, at: datetime) -> Finding:
    """Whether a release was measured again in time by a post-release gate, and how it stood.

    What was measured before the release belongs to it; the first new measurement is due one
    ``maximum_age`` after it.
    """
    later = [
        item for item in release.evidence if item.metric == gate.metric and release.released_at < item.measured_at <= at
    ]
    newest = max(later, key=lambda item: item.measured_at, default=None)
    since = release.released_at if newest is None else newest.measured_at
    due = since + duration(gate.maximum_age)
    what = f"Release {release.thing} under gate '{gate.id}'"
    if at > due:
        last = "never" if newest is None else f"last on {since.date().isoformat()}"
        return Finding(
            "gate",
            gate.id,
            holds=False,
            sentence=f"{what} was {last} measured again, which was due on {due.date().isoformat()}.",
            fix="measure it again with: synthema dpia remeasure, or recall it and have its certificate revoked",
            due=due,
            evidence=None if newest is None else newest.source,
            measured_at=None if newest is None else since,
            release=release.thing,
        )
    if newest is None:
        sentence = f"{what} is to be measured again by {due.date().isoformat()}."
        return Finding("gate", gate.id, holds=True, sentence=sentence, due=due, release=release.thing)
    results = judge_gate(dpia, gate, [item for item in later if item.measured_at == since], at)
    worst = next((result for result in results if not result.passed), results[0])
    return Finding(
        "gate",
        gate.id,
        holds=worst.passed,
        sentence=f"{what}: {worst.sentence}",
        fix="" if worst.passed else "recall the release, and ask the issuer to revoke its certificate",
        due=due,
        evidence=newest.source,
        measured_at=since,
        release=release.thing,
    )
