from __future__ import annotations

from datetime import UTC, datetime, timedelta
from textwrap import dedent

import pytest

from synthema.errors import PolicyLoadError
from synthema.policy import (
    ANY_DATASET,
    Combination,
    Constraint,
    Duty,
    Kind,
    Layer,
    OperandReference,
    Operator,
    Policy,
    Timing,
    parse_policy,
)
from synthema.policy.model import Event
from synthema.vocabulary import expand, load_vocabulary

V = load_vocabulary()

GOOD = """\
policy: mgus-research
title: Research on MGUS
layer: L2
version: 1.0
law: [GDPR 9(2)(j), {act: GDNG, article: "6", eli: "https://law.example/gdng"}]
targets: [any dataset of this site, mgus, https://other.example/id/dataset/x]
assigner: did:web:hospital.example
effective: {from: 2026-11-01, to: "2028-11-01T12:00:00+01:00"}
conflict: prohibition wins
permit:
  - action: [synthesise, syn:trainModel]
    id: research
    when:
      purpose is: [health research, training of algorithms]
      legal basis is: A9-2-j
      epsilon at most: epsilon remaining
      Minimum cell count is at least: 5 patients
      opt-out list age less than: PT24H
      public sector body is: false
      plugin digest is any of: [sha256:aa]
      data category includes all of: [syn:Art51-1-l]
      time before: 2027-01-01
      any of:
        - epsilon at most: 1e-1
        - all of:
            - epsilon at most: 6
            - contributing parties at least: 3
    duties:
      - sign agreement
      - {do: publish results, when: after, within: P548D, counted from: completion, shown by: a reference}
forbid:
  - action: reidentify
    law: EHDS 61(3)
    unless:
      output is none of: personal
oblige:
  - action: synthesise
    duty: {do: keep log, when: during}
"""


def parse(text: str) -> Policy:
    return parse_policy(text, V, file="p.yaml", base="https://hospital.example/")


def test_the_whole_form_is_read() -> None:
    policy = parse(GOOD)
    assert (policy.id, policy.layer) == ("https://hospital.example/id/policy/mgus-research", Layer.SITE)
    assert policy.version == "1.0"
    assert policy.targets == (
        ANY_DATASET,
        "https://hospital.example/id/dataset/mgus",
        "https://other.example/id/dataset/x",
    )
    assert [str(law) for law in policy.law] == ["GDPR 9(2)(j)", "GDNG 6"]
    assert policy.law[0].eli == "http://data.europa.eu/eli/reg/2016/679/oj"
    assert policy.effective_from == datetime(2026, 11, 1, tzinfo=UTC)
    assert policy.effective_to == datetime(2028, 11, 1, 11, tzinfo=UTC)
    permission, prohibition, obligation = policy.rules
    assert permission.id == "https://hospital.example/id/policy/mgus-research#research"
    assert prohibition.id.endswith("#forbid-1")
    assert permission.actions == (expand("syn:synthesise"), expand("syn:trainModel"))
    assert permission.duties[0] == Duty(expand("syn:signAgreement"))
    assert permission.duties[1] == Duty(
        expand("syn:publishResults"), Timing.POST, timedelta(days=548), Event.COMPLETION, "a reference"
    )
    assert obligation.kind is Kind.OBLIGATION
    assert obligation.duties[0].timing is Timing.DURING


def test_conditions_become_typed_constraints() -> None:
    when = parse(GOOD).rules[0].when
    assert isinstance(when, Combination)
    found = dict(zip((part.left for part in when.parts if isinstance(part, Constraint)), when.parts, strict=False))
    assert found[expand("syn:epsilonRequested")].right == OperandReference(expand("syn:epsilonRemaining"))  # type: ignore[union-attr]
    assert found[expand("syn:minCellCount")] == Constraint(expand("syn:minCellCount"), Operator.GTEQ, 5, "patients")
    assert found[expand("syn:optOutListAge")].right == timedelta(days=1)  # type: ignore[union-attr]
    assert found[expand("syn:publicSectorBody")] == Constraint(expand("syn:publicSectorBody"), Operator.EQ, right=False)
    choice = when.parts[-1]
    assert isinstance(choice, Combination)
    assert choice.joined == "or"
    assert choice.parts[0] == Constraint(expand("syn:epsilonRequested"), Operator.LTEQ, 0.1)
    assert isinstance(choice.parts[1], Combination)


HEAD = "policy: p\ntitle: t\nlayer: site\nversion: 1\npermit:\n"

BAD = [
    # text, line, what it says, how to mend it
    (HEAD + "  - action: sintesise\n", 6, "'sintesise' is not a known action", "did you mean 'synthesise'"),
    (
        HEAD + "  - action: use\n    when: {purpose is: marketng}\n",
        7,
        "not a known purpose",
        "did you mean 'dpv:Marketing'",
    ),
    (
        HEAD + "  - action: use\n    when:\n      epsylon at most: 6\n",
        8,
        "not a known operand",
        "did you mean 'epsilon'",
    ),
    (HEAD + "  - action: use\n    when: {epsilon at most: six}\n", 7, "is not a number", "finite number"),
    (HEAD + "  - action: use\n    when: {epsilon at most: .nan}\n", 7, "is not a number", "finite number"),
    (HEAD + "  - action: use\n    when: {cohort size at least: 5.5}\n", 7, "not a count", "whole number"),
    (HEAD + "  - action: use\n    when: {opt-out list age at most: P1M}\n", 7, "not a duration", "28 days"),
    (HEAD + "  - action: use\n    when: {purpose at most: 6}\n", 7, "means nothing for 'purpose'", "purpose is"),
    (
        HEAD + "  - action: use\n    when: {epsilon is any of: [6]}\n",
        7,
        "means nothing for 'epsilon'",
        "epsilon at most",
    ),
    (HEAD + "  - action: use\n    when: {epsilon: 6}\n", 7, "does not say how to compare", "at most"),
    (HEAD + "  - action: use\n    when: {and sequence: []}\n", 7, "is not supported", "all of"),
    (HEAD + "  - action: use\n    when: {dataCategory hasPart: x}\n", 7, "is not supported", "includes all of"),
    (HEAD + "  - action: use\n    when: {epsilon at most: cohort size}\n", 7, "cannot be compared", "same kind"),
    (HEAD + "  - action: use\n    when: {}\n", 7, "condition is empty", "at least one line"),
    (HEAD + "  - action: use\n    wenn: {epsilon at most: 6}\n", 7, "a rule has no 'wenn'", "did you mean 'when'"),
    (HEAD + "  - action: use\n    action: use\n", 7, "stands twice", "once"),
    (HEAD + "  - action: use\n    unless: {epsilon at most: 6}\n", 7, "belongs to prohibitions only", "forbid"),
    (HEAD + "  - action: use\n    duty: inform\n", 7, "does not belong here", "duties"),
    (HEAD + "  - action: use\n    duties: [{do: inform, within: P1D}]\n", 7, "no deadline after it", "post"),
    (HEAD + "  - action: use\n    law: BDSG 1\n", 7, "not a law reference", "GDPR"),
    (HEAD + "  - {action: use, id: a}\n  - {action: use, id: a}\n", 7, "same identifier", "its own id"),
    ("conflict: permission wins\n" + HEAD + "  - action: use\n", 1, "not supported", "remove"),
    ("polcy: x\n" + HEAD + "  - action: use\n", 1, "has no 'polcy'", "did you mean 'policy'"),
    ("policy: p\ntitle: t\nversion: 1\n", 1, "lacks 'layer'", "layer"),
    ("policy: p\ntitle: t\nversion: 1\nlayer: land\n", 4, "not a known layer", "use one of"),
    ("policy: p\ntitle: t\nversion: 1\nlayer: site\n", 1, "has no rules", "add a rule"),
    ("policy: p\ntitle:\nversion: 1\nlayer: site\n", 2, "title is empty", "write"),
    ("policy: &a p\n", 1, "anchors", "write the text out"),
    ("policy: !!python/object:os.system x\n", 1, "tags", "write the text out"),
    ("policy: [\n", 2, "not valid YAML", "indentation"),
    ("", None, "the file is empty", "template"),
    ("assignees: somebody\n" + HEAD + "  - action: use\n", 1, "does not name a party", "did:web"),
    ("effective: {from: 2027-01-01, to: 2026-01-01}\n" + HEAD + "  - action: use\n", 1, "ends before", "from"),
    ("effective: {from: 2027-01-01T10:00:00}\n" + HEAD + "  - action: use\n", 1, "no time zone", "Z"),
    ("confirmed: {epsilon: }\n" + HEAD + "  - action: use\n", 1, "reason is empty", "reason"),
]


@pytest.mark.parametrize(("text", "line", "message", "fix"), BAD)
def test_what_is_not_understood_is_refused_with_line_and_fix(
    text: str, line: int | None, message: str, fix: str
) -> None:
    with pytest.raises(PolicyLoadError) as caught:
        parse(text)
    assert caught.value.where == ("p.yaml" if line is None else f"p.yaml:{line}")
    assert message in caught.value.message
    assert fix in caught.value.fix


def test_yaml_does_not_decide_what_a_value_means() -> None:
    text = HEAD + "  - action: use\n    when: {delta at most: 1e-5, isolation level at least: 0o7}\n"
    with pytest.raises(PolicyLoadError, match="not a count"):
        parse(text)
    policy = parse(text.replace("0o7", "2"))
    when = policy.rules[0].when
    assert isinstance(when, Combination)
    assert isinstance(when.parts[0], Constraint)
    assert when.parts[0].right == 1e-5


def test_a_large_file_is_refused() -> None:
    with pytest.raises(PolicyLoadError, match="too large"):
        parse("x" * 300_000)


def test_deep_nesting_is_refused_not_recursed() -> None:
    deep = "".join(f"{'  ' * (n + 4)}- any of:\n" for n in range(400))
    with pytest.raises(PolicyLoadError):
        parse(HEAD + dedent("  - action: use\n    when:\n      any of:\n") + deep)


def test_brackets_without_end_are_refused_not_recursed() -> None:
    with pytest.raises(PolicyLoadError, match="nested too deeply"):
        parse("policy: " + "[" * 200_000)
