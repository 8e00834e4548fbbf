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
    done: [sign agreement]              # duties done before; see :mod:`~synthema.policy.analysis.case_requests`
    collections: {target: [https://…]}  # what the dataset and the party belong to
    expect: deny
    because: federated-synthesis        # end of the id of a decisive rule
    change: {epsilon: 6}                # the smallest change that would permit; "none" where there is none
  - name: a round of the study
    expect: permit
    obligations: [publish results]      # duties that come with the permit, at least these
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from synthema.clock import to_text
from synthema.errors import NotFoundError
from synthema.policy.analysis.case_requests import Expected, read_expected, read_request_form, shared_part
from synthema.policy.authoring import parse_policy
from synthema.policy.compile import compile_policies
from synthema.policy.decide import decide
from synthema.policy.decision import Decision
from synthema.policy.form import Spot, read_form
from synthema.policy.inheritance import resolve
from synthema.policy.model import AccessRequest, Fact, Parent, Policy
from synthema.policy.templates import render
from synthema.resources import bundled
from synthema.vocabulary import Vocabulary
from synthema.vocabulary.namespaces import SYN

REGIME = SYN + "regime"


@dataclass(frozen=True, slots=True)
class Case:
    """A request and what must come of it. ``because`` names (the end of) a decisive rule's identifier."""

    name: str
    request: AccessRequest
    expect: Literal["permit", "deny"]
    because: str | None
    where: str
    expected: Expected = field(default_factory=Expected)


@dataclass(frozen=True, slots=True)
class CaseFile:
    """The cases of one policy, and the policies of other layers they are decided with.

    ``shared`` are the facts under ``request``, ``fields`` the act, dataset, party and time there.
    """

    policy: str
    beside: tuple[Policy, ...]
    cases: tuple[Case, ...]
    regime: str
    shared: Mapping[str, Fact]
    fields: Mapping[str, str]

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
    shared = shared_part(found.get("request"))
    regime = found["regime"].text("regime") if "regime" in found else "pre-EHDS"
    return CaseFile(
        policy=found["policy"].text("policy"),
        beside=tuple(_beside(item, vocabulary) for item in found["with"].listed("with")) if "with" in found else (),
        cases=tuple(_case(shared, spot, vocabulary) for spot in found["cases"].listed("cases")),
        regime=vocabulary.schemes["Regimes"].resolve(regime),
        shared=shared.facts(vocabulary),
        fields=shared.fields(vocabulary),
    )


def _case(shared: Any, spot: Spot, vocabulary: Vocabulary) -> Case:
    name, request, own = read_request_form(spot, vocabulary, shared=shared)
    if "expect" not in own:
        spot.fail("the case lacks 'expect'", "write 'expect: permit' or 'expect: deny'")
    expect = own["expect"].text("expect")
    if expect not in ("permit", "deny"):
        own["expect"].fail(f"'{expect}' is no decision", "write permit or deny")
    because = own["because"].text("because") if "because" in own else None
    expected = read_expected(own, vocabulary)
    return Case(name, request, "permit" if expect == "permit" else "deny", because, spot.where, expected)


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


def load_case_files(
    vocabulary: Vocabulary, folder: Path | None = None, *, policy: str | None = None
) -> tuple[CaseFile, ...]:
    """All case files of a folder (the bundled ``policies/cases`` when none is given), or only those of one policy."""
    folder = folder or bundled("policies") / "cases"
    texts = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.yaml"))}
    return tuple(
        read_cases(text, vocabulary, file=name)
        for name, text in texts.items()
        if policy is None or _policy_named(text, name) in (policy, None)
    )


@lru_cache(maxsize=256)
def _policy_named(text: str, file: str) -> str | None:
    """The policy a case file is about; ``None`` where it does not say, which its reader will complain of."""
    named = [value for _, name, value in read_form(text, file).entries("the file") if name == "policy"]
    return named[0].text("policy") if named else None


def resolved(policies: Iterable[Policy]) -> list[Policy]:
    """The policies with what they inherit from one another; raises :class:`PolicyLoadError` for a missing parent."""
    given = list(policies)

    def find(parent: Parent) -> Policy:
        for policy in given:
            if (policy.id, policy.version) == (parent.policy, parent.version):
                return policy
        raise NotFoundError("it is not among the policies given", fix="give it too (--with)")

    return [resolve(policy, find) for policy in given]


def inherited(policies: Iterable[Policy]) -> frozenset[tuple[str, str]]:
    """Identifier and version of what some policies inherit from: given for that, it need not count by itself."""
    return frozenset((parent.policy, parent.version) for policy in policies for parent in policy.inherits)


def run_cases(
    cases: Sequence[Case],
    policies: Iterable[Policy],
    vocabulary: Vocabulary,
    *,
    standing: Mapping[str, Fact] | None = None,
) -> tuple[CaseResult, ...]:
    """Decide every case under the policies; ``standing`` facts hold where a case does not say otherwise."""
    compiled = compile_policies(policies, vocabulary)
    return tuple(_judge(case, decide(compiled, request_of(case, standing)), vocabulary) for case in cases)


def request_of(case: Case, standing: Mapping[str, Fact] | None = None) -> AccessRequest:
    """The request of a case, with facts that hold where it does not say otherwise."""
    return replace(case.request, facts={**(standing or {}), **case.request.facts})


def _judge(case: Case, decision: Decision, vocabulary: Vocabulary) -> CaseResult:
    wrong = _wrong(case, decision, vocabulary)
    said = wrong or f"{decision.effect}, as expected"
    return CaseResult(case, decision, passed=not wrong, sentence=f"{case.name}: {said}")


def _wrong(case: Case, decision: Decision, vocabulary: Vocabulary) -> str:
    """How a decision differs from what must come of a case, if it does."""
    if decision.effect != case.expect:
        return f"expected {case.expect}, got {decision.effect}: {' '.join(decision.sentences()[1:3])}"
    decisive = {reason.rule for reason in decision.reasons if reason.rule}
    if case.because is not None and not any(rule.endswith(case.because) for rule in decisive):
        return f"expected the rule {case.because} to decide, but it was {', '.join(sorted(decisive)) or 'none'}"
    return case.expected.missed_by(decision, vocabulary)


def case_record(result: CaseResult) -> dict[str, Any]:
    """The outcome of a case for the console and the log."""
    return {
        "name": result.case.name,
        "where": result.case.where,
        "expected": result.case.expect,
        "got": result.decision.effect,
        "passed": result.passed,
        "at": to_text(result.case.request.at),
        "sentence": result.sentence,
        "decision": result.decision.digest,
    }
