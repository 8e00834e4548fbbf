"""Operations of analysis before activation: findings, differences, what-if, replay, coverage."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import Field

from synthema.assembly.operations.registry import Input, operation
from synthema.clock import from_text
from synthema.errors import DeniedError, InputError, NotFoundError
from synthema.ids import new_id
from synthema.policy import AccessRequest, CompiledPolicies, Fact, Policy, parse_policy
from synthema.policy.analysis import (
    CaseFile,
    Recorded,
    Replayed,
    analyse,
    case_record,
    compare,
    cover,
    decide_again,
    decide_otherwise,
    load_case_files,
    placed,
    read_cases,
    read_what_if,
    rule_places,
    run_cases,
    summary,
    what_if,
)
from synthema.policy.analysis.example import with_examples
from synthema.policy.model import Layer
from synthema.policy.values import parse_value
from synthema.policy.wellformed import is_iri
from synthema.runs.model import ACTIONS, OUTPUTS, RunRequest, Step
from synthema.runs.store import RunRecord
from synthema.vocabulary import Datatype
from synthema.vocabulary.namespaces import ODRL

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector


class Text(Input):
    """A policy in the data protection officer's form, and the name of its file for messages."""

    text: str
    file: str = "policy.yaml"


@operation("policy/lint")
def lint(connector: Connector, given: Text) -> dict[str, Any]:
    """What to look at in a policy before it counts here, beside the law and the policies in force; nothing is kept."""
    policy, beside = connector.policies.beside(_parse(connector, given.text, given.file))
    found = analyse(policy, connector.vocabulary, beside, standing=connector.policies.standing, notes=True)
    findings = placed(found, rule_places(given.text, given.file, policy))
    return {
        "policy": policy.id,
        "findings": with_examples(findings, connector.vocabulary),
        "clean": not any(finding.severity == "error" for finding in findings),
    }


class Compared(Input):
    """A new text of a policy, and the text it is compared with: the version in force if none is given."""

    new: str
    old: str | None = None
    file: str = "policy.yaml"
    whole: bool = Field(
        default=False, description="beside the law and the other policies in force, as the site decides"
    )


@operation("policy/diff")
def diff(connector: Connector, given: Compared) -> dict[str, Any]:
    """Every class of requests that two versions of a policy answer differently, each with a request that shows it."""
    new, beside = connector.policies.beside(_parse(connector, given.new, given.file))
    if given.old is not None:
        old, _ = connector.policies.beside(_parse(connector, given.old, f"the old {given.file}"))
    else:
        found = connector.policies.in_force(new.id)
        if found is None:
            raise NotFoundError("no version of this policy is in force", where=new.id, fix="give the old version too")
        old = found
    around = beside if given.whole else []
    found_ = compare(old, new, connector.vocabulary, beside=around, standing=connector.policies.standing)
    return {
        "old": old.version,
        "new": new.version,
        "policy": new.id,
        **found_.record(),
        "sentences": found_.sentences(),
    }


class Supposed(Input):
    """A request in the words of policy cases; what the house knows of it is laid beneath, if ``known``."""

    request: str
    file: str = "request.yaml"
    agreement: str | None = Field(default=None, description="the agreement or permit the request rests on")
    known: bool = True
    draft: str | None = Field(default=None, description="a policy under which the same request is decided as well")


@operation("policy/what-if")
def suppose(connector: Connector, given: Supposed) -> dict[str, Any]:
    """How a request would be decided here now, what single fact would turn it, and how a draft would decide it."""
    stated = read_what_if(given.request, connector.vocabulary, file=given.file, now=connector.clock.now())
    target = stated.target if is_iri(stated.target) else connector.log.iri("dataset", stated.target)
    request = connector.policies.placed(replace(stated, target=target))
    if given.known:
        known = _known(connector, request, given.agreement)
        request = replace(request, facts={**known, **request.facts})
    compiled = connector.policies.compiled(target, given.agreement)
    request = replace(request, facts={o: f for o, f in request.facts.items() if o not in compiled.standing})
    draft = None if given.draft is None else connector.policies.beside(_parse(connector, given.draft, "draft"))[0]
    return what_if(compiled, request, draft).record()


def _known(connector: Connector, request: AccessRequest, agreement: str | None) -> dict[str, Fact]:
    """What the rooms know about such a request, whatever is to run; nothing for an act that is no run or no dataset."""
    purpose = request.facts.get(ODRL + "purpose")
    kind = next((k for k, acts in ACTIONS.items() if request.action in acts), None)
    if kind is None or purpose is None or not isinstance(purpose.value, str):
        return {}
    name = request.target.removeprefix(connector.log.iri("dataset", ""))
    try:
        asked = RunRequest(
            id=new_id("run"),
            requester=request.assignee,
            dataset=connector.datasets.version(name).id,
            purpose=purpose.value,
            action=request.action,
            anonymise=Step(plugin="none"),
            compute=Step(plugin="none"),
            kind=kind,
            output=OUTPUTS[kind],
            agreement=agreement,
        )
        return connector.governor.known(asked)
    except (NotFoundError, DeniedError, InputError):
        return {}


class Past(Input):
    """Since when to decide again (a day or a time with its zone), and a draft to decide under instead."""

    since: str
    draft: str | None = None
    file: str = "draft.yaml"


@operation("policy/replay")
def replay(connector: Connector, given: Past) -> dict[str, Any]:
    """Decide again what was decided here: to the byte, or to see what a draft would have changed."""
    since = _moment(given.since)
    draft = None if given.draft is None else connector.policies.beside(_parse(connector, given.draft, given.file))[0]
    outcomes: list[Replayed] = []
    for run in connector.governor.changed_since(since):
        agreement = run.request.agreement

        def of_then(request: AccessRequest, agreement: str | None = agreement) -> CompiledPolicies:
            return connector.policies.compiled_at(request.target, agreement, request.at)

        outcomes += [
            decide_again(recorded, of_then) if draft is None else decide_otherwise(recorded, of_then, draft)
            for recorded in _decisions(run, since)
        ]
    return {
        "since": given.since,
        "draft": None if draft is None else {"policy": draft.id, "version": draft.version},
        "decisions": [outcome.record() for outcome in outcomes],
        "same": sum(outcome.same is True for outcome in outcomes),
        "different": sum(outcome.same is False for outcome in outcomes),
        "lost": sum(outcome.same is None for outcome in outcomes),
        "sentence": summary(outcomes, draft=draft is not None),
    }


def _decisions(run: RunRecord, since: datetime) -> list[Recorded]:
    """What was decided about a run since a time: on its request, and on what came out of it."""
    kept = [(run.id, "request", run.decision), *((run.id, str(act.get("about")), act["decision"]) for act in run.acts)]
    return [
        Recorded(run_id, about, decision)
        for run_id, about, decision in kept
        if decision is not None and from_text(decision["request"]["at"]) >= since
    ]


def _moment(text: str) -> datetime:
    moment = parse_value(text, Datatype.DATE)
    if not isinstance(moment, datetime):
        raise InputError("this is no time", where="since", fix="write it like 2026-11-21")
    return moment


class Covered(Input):
    """A policy, and the cases to hold against it; the bundled ones for it if none are given."""

    text: str
    file: str = "policy.yaml"
    cases: str = ""


@operation("policy/coverage")
def show_coverage(connector: Connector, given: Covered) -> dict[str, Any]:
    """Which rules and conditions of a policy its cases show, and cases to write for those they do not."""
    policy, _ = connector.policies.beside(_parse(connector, given.text, given.file))
    files = _cases(connector, policy, given.cases)
    found = cover(policy, files, connector.vocabulary, [connector.policies.law])
    results = [
        result
        for file in files
        for result in run_cases(
            file.cases, _beside(connector, policy, file), connector.vocabulary, standing=file.standing
        )
    ]
    return {**found.record(), "cases": [case_record(result) for result in results]}


def _cases(connector: Connector, policy: Policy, text: str) -> list[CaseFile]:
    if text:
        file = read_cases(text, connector.vocabulary)
        if file.policy != policy.id:
            raise InputError(f"these are the cases of {file.policy}", fix=f"write: policy: {policy.id}")
        return [file]
    return list(load_case_files(connector.vocabulary, policy=policy.id))


def _beside(connector: Connector, policy: Policy, file: CaseFile) -> list[Policy]:
    others = [each for each in file.beside if each.id != policy.id]
    if not any(each.layer is Layer.UNION for each in (*others, policy)):
        others.append(connector.policies.law)
    return [*others, policy]


def _parse(connector: Connector, text: str, file: str) -> Policy:
    return parse_policy(text, connector.vocabulary, file=file, base=connector.settings.public_url)
