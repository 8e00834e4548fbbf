"""Policy cases: requests in short form and the decisions they must get. A policy counts only if its own cases pass.

policy: https://…/id/policy/research    # whose cases these are
with:                                   # the policies of other layers they are decided with
- file: law/ehds.yaml
- template: study-agreement
values: {name: …, title: …}
request: {action: synthesise, …}        # what all cases share
cases:
- name: too much privacy loss
facts: {epsilon: 12}                # laid over the shared facts
without: [legal basis]              # shared facts left out
expect: deny
because: federated-synthesis        # end of the id of a decisive rule
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from synthema.clock import to_text
from synthema.errors import InputError
from synthema.policy.authoring import parse_policy
from synthema.policy.compile import compile_policies
from synthema.policy.decide import decide
from synthema.policy.decision import Decision
from synthema.policy.form import Spot, read_form
from synthema.policy.model import AccessRequest, Fact, Fulfilment, Policy, Value
from synthema.policy.templates import render
from synthema.policy.values import parse_value
from synthema.resources import bundled
from synthema.vocabulary import Datatype, Operand, Vocabulary, expand
from synthema.vocabulary.namespaces import SYN

_CASE_KEYS = ("name", "action", "target", "assignee", "at", "facts", "without", "done", "expect", "because")
REGIME = SYN + "regime"
_DEFAULT_AT = datetime(2027, 1, 15, 9, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Case:
    """A request and what must come of it. ``because`` names (the end of) a decisive rule's identifier."""

    name: str
    request: AccessRequest
    expect: Literal["permit", "deny"]
    because: str | None
    where: str


@dataclass(frozen=True, slots=True)
class CaseFile:
    """The cases of one policy, and the policies of other layers they are decided with."""

    policy: str
    beside: tuple[Policy, ...]
    cases: tuple[Case, ...]
    regime: str

    @property
    def standing(self) -> Mapping[str, Fact]:
        """The standing fact about the legal regime of these cases."""
        return {REGIME: Fact(self.regime)}


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What came of one case."""

    case: Case
    decision: Decision
    passed: bool
    sentence: str


def read_cases(text: str, vocabulary: Vocabulary, *, file: str = "cases.yaml") -> CaseFile:
    """Read a file of cases; raises :class:`PolicyLoadError` naming file and line."""
    root = read_form(text, file)
    found = {name: value for _, name, value in root.entries("the file")}
    if set(found) - {"policy", "with", "regime", "request", "cases"} or not {"policy", "cases"} <= set(found):
        root.fail("a case file holds policy, with, regime, request and cases", "add or remove keys to match")
    shared = _entries(found["request"]) if "request" in found else {}
    regime = found["regime"].text("regime") if "regime" in found else "pre-EHDS"
    return CaseFile(
        policy=found["policy"].text("policy"),
        beside=tuple(_beside(item, vocabulary) for item in found["with"].listed("with")) if "with" in found else (),
        cases=tuple(_case(shared, _entries(spot), spot, vocabulary) for spot in found["cases"].listed("cases")),
        regime=vocabulary.schemes["Regimes"].resolve(regime),
    )


def _beside(spot: Spot, vocabulary: Vocabulary) -> Policy:
    """A bundled policy, or a template with its values."""
    found = {name: value for _, name, value in spot.entries("an entry of 'with'")}
    if set(found) == {"file"}:
        name = found["file"].text("file")
        path = bundled("policies") / name
        if not re.fullmatch(r"([a-z0-9-]+/)+[a-z0-9-]+\.yaml", name) or not path.is_file():
            found["file"].fail(f"there is no bundled policy '{name}'", "write e.g. law/ehds.yaml")
        return parse_policy(path.read_text(encoding="utf-8"), vocabulary, file=name)
    if set(found) == {"template", "values"}:
        values = {key: value.text(key) for _, key, value in found["values"].entries("values")}
        name = found["template"].text("template")
        return parse_policy(render(name, values), vocabulary, file=f"templates/{name}.yaml")
    raise spot.error("an entry of 'with' is a file, or a template with values", "write 'file: law/ehds.yaml'")


def load_case_files(vocabulary: Vocabulary, folder: Path | None = None) -> tuple[CaseFile, ...]:
    """All case files of a folder (the bundled ``policies/cases`` when none is given)."""
    folder = folder or bundled("policies") / "cases"
    return tuple(
        read_cases(path.read_text(encoding="utf-8"), vocabulary, file=path.name)
        for path in sorted(folder.glob("*.yaml"))
    )


def run_cases(
    cases: Sequence[Case],
    policies: Iterable[Policy],
    vocabulary: Vocabulary,
    *,
    standing: Mapping[str, Fact] | None = None,
) -> tuple[CaseResult, ...]:
    """Decide every case under the policies; ``standing`` facts hold where a case does not say otherwise."""
    compiled = compile_policies(policies, vocabulary)
    settled = dict(standing or {})

    def request(case: Case) -> AccessRequest:
        return replace(case.request, facts={**settled, **case.request.facts})

    return tuple(_judge(case, decide(compiled, request(case))) for case in cases)


def _judge(case: Case, decision: Decision) -> CaseResult:
    if decision.effect != case.expect:
        said = f"expected {case.expect}, got {decision.effect}: {' '.join(decision.sentences()[1:3])}"
        return CaseResult(case, decision, passed=False, sentence=f"{case.name}: {said}")
    decisive = {reason.rule for reason in decision.reasons if reason.rule}
    if case.because is not None and not any(rule.endswith(case.because) for rule in decisive):
        said = f"expected the rule {case.because} to decide, but it was {', '.join(sorted(decisive)) or 'none'}"
        return CaseResult(case, decision, passed=False, sentence=f"{case.name}: {said}")
    return CaseResult(case, decision, passed=True, sentence=f"{case.name}: {decision.effect}, as expected")


def _entries(spot: Spot) -> dict[str, Spot]:
    found: dict[str, Spot] = {}
    for key, name, value in spot.entries("a case"):
        if name not in _CASE_KEYS:
            key.fail(f"a case has no '{name}'", f"use: {', '.join(_CASE_KEYS)}")
        found[name] = value
    return found


def _case(shared: Mapping[str, Spot], own: Mapping[str, Spot], spot: Spot, vocabulary: Vocabulary) -> Case:
    found = {**shared, **own}
    for key in ("name", "action", "target", "assignee", "expect"):
        if key not in found:
            spot.fail(f"the case lacks '{key}'", f"add '{key}' to the case or to 'request'")
    expect = found["expect"].text("expect")
    if expect not in ("permit", "deny"):
        found["expect"].fail(f"'{expect}' is no decision", "write permit or deny")
    at = _read(found["at"], Datatype.DATE) if "at" in found else _DEFAULT_AT
    moment = at if isinstance(at, datetime) else _DEFAULT_AT
    facts = {**_facts(shared, vocabulary), **_facts(own, vocabulary)}
    for item in found["without"].items("without") if "without" in found else ():
        facts.pop(_operand(item, item.text("an operand"), vocabulary).iri, None)
    action = found["action"].text("action")
    request = AccessRequest(
        id=f"case: {found['name'].text('name')}",
        action=vocabulary.actions.find(action) or expand(action),
        target=found["target"].text("target"),
        assignee=found["assignee"].text("assignee"),
        at=moment,
        facts=facts,
        fulfilled=tuple(
            Fulfilment(vocabulary.duties.resolve(item.text("done")), moment, "case", "case")
            for item in (found["done"].items("done") if "done" in found else ())
        ),
    )
    because = found["because"].text("because") if "because" in found else None
    return Case(found["name"].text("name"), request, "permit" if expect == "permit" else "deny", because, spot.where)


def _facts(found: Mapping[str, Spot], vocabulary: Vocabulary) -> dict[str, Fact]:
    if "facts" not in found:
        return {}
    facts: dict[str, Fact] = {}
    for key, name, value in found["facts"].entries("facts"):
        operand = _operand(key, name, vocabulary)
        facts[operand.iri] = Fact(_value(value, operand, vocabulary), "case")
    return facts


def _operand(spot: Spot, name: str, vocabulary: Vocabulary) -> Operand:
    try:
        return vocabulary.operand(name)
    except InputError as error:
        raise spot.error(error.message, error.fix) from error


def _value(spot: Spot, operand: Operand, vocabulary: Vocabulary) -> Value:
    if spot.is_list:
        return tuple(str(_one(item, operand, vocabulary)) for item in spot.items("a value"))
    return _one(spot, operand, vocabulary)


def _one(spot: Spot, operand: Operand, vocabulary: Vocabulary) -> Value:
    text = spot.text("a value")
    if operand.datatype is Datatype.TERM:
        # An unknown term stays as it is: that it denies is a case worth writing.
        return vocabulary.terms_of(operand).find(text) or expand(text)
    return _read(spot, operand.datatype)


def _read(spot: Spot, datatype: Datatype) -> Value:
    try:
        return parse_value(spot.text("a value"), datatype)
    except InputError as error:
        raise spot.error(error.message, error.fix) from error


def case_record(result: CaseResult) -> dict[str, Any]:
    """The outcome of a case for the console and the log."""
    return {
        "name": result.case.name,
        "expected": result.case.expect,
        "got": result.decision.effect,
        "passed": result.passed,
        "at": to_text(result.case.request.at),
        "sentence": result.sentence,
        "decision": result.decision.digest,
    }
