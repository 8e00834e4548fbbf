"""Every kind of mistake is refused with file, line, the word that is wrong, and how to mend it; all of them at once."""

from __future__ import annotations

import json
from typing import NamedTuple

import jsonschema
import pytest
import yaml

from synthema.errors import PolicyLoadError
from synthema.policy import parse_policy
from synthema.policy.problems import MAX_SHOWN, SeveralProblemsError
from synthema.policy.schema import schema_text
from tests.unit.policy.sample import V

HEAD = "policy: p\ntitle: t\nlayer: site\nversion: 1\n"
PERMIT = f"{HEAD}permit:\n"
FORBID = f"{HEAD}forbid:\n"
OBLIGE = f"{HEAD}oblige:\n"
RULE = "  - action: use\n"
VALIDATOR = jsonschema.Draft202012Validator(json.loads(schema_text(V)))


class Mistake(NamedTuple):
    """A text, the line that is wrong, what is said, how to mend it, and whether an editor's schema sees it, too."""

    text: str
    line: int | None
    says: str
    fix: str
    schema: bool = True


def when(line: str, says: str, fix: str, *, schema: bool = True) -> Mistake:
    return Mistake(f"{PERMIT}{RULE}    when: {{{line}}}\n", 7, says, fix, schema)


def duty(line: str, says: str, fix: str, *, schema: bool = True) -> Mistake:
    return Mistake(f"{PERMIT}{RULE}    duties: [{{{line}}}]\n", 7, says, fix, schema)


MISTAKES = {
    # ── the file ──
    "no text": Mistake("", None, "the file is empty", "template"),
    "broken YAML": Mistake("policy: [\n", 2, "not valid YAML", "indentation"),
    "tab": Mistake("policy: p\n\ttitle: t\n", 2, "not valid YAML", "indentation"),
    "anchor": Mistake("policy: &a p\n", 1, "anchors", "write the text out"),
    "alias": Mistake("policy: *a\n", 1, "anchors", "write the text out"),
    "tag": Mistake("policy: !!python/object:os.system x\n", 1, "tags", "write the text out"),
    "a list": Mistake("- policy: p\n", 1, "the policy is not a block", "indent"),
    "text alone": Mistake("policy\n", 1, "the policy is not a block", "indent"),
    "two documents": Mistake(f"{PERMIT}{RULE}---\n{PERMIT}", 7, "not valid YAML", "indentation"),
    # ── the policy ──
    "unknown key": Mistake(f"polcy: x\n{PERMIT}{RULE}", 1, "a policy has no 'polcy'", "did you mean 'policy'?"),
    "key of ODRL": Mistake(f"permission: []\n{PERMIT}{RULE}", 1, "no 'permission'", "did you mean 'permit'?"),
    "key with capital": Mistake(f"Targets: x\n{PERMIT}{RULE}", 1, "no 'Targets'", "did you mean 'targets'?"),
    "key twice": Mistake(f"title: a\n{PERMIT}{RULE}", 3, "'title' stands twice", "write it once", schema=False),
    "no layer": Mistake("policy: p\ntitle: t\nversion: 1\npermit: [{action: use}]\n", 1, "lacks 'layer'", "layer: …"),
    "unknown layer": Mistake(f"{PERMIT.replace('site', 'sit')}{RULE}", 3, "'sit' is not a known layer", "'site'?"),
    "empty title": Mistake(f"{PERMIT.replace('title: t', 'title:')}{RULE}", 2, "title is empty", "leave the line out"),
    "list for a title": Mistake(
        f"{PERMIT.replace('title: t', 'title: [a]')}{RULE}", 2, "title is not a single", "one value"
    ),
    "no rules": Mistake(HEAD, 1, "has no rules", "add a rule"),
    "empty list of rules": Mistake(f"{HEAD}permit: []\n", 5, "permit is an empty list", "leave the line out"),
    "rules that are no list": Mistake(f"{HEAD}permit:\n  action: use\n", 6, "permit is not a list", "'- '"),
    "name of a policy": Mistake(
        f"{PERMIT.replace('policy: p', 'policy: a b')}{RULE}", 1, "not name a policy", "/id/policy", schema=False
    ),
    "conflict": Mistake(f"conflict: perm\n{PERMIT}{RULE}", 1, "conflict strategy", "remove the line"),
    "conflict invalid": Mistake(f"conflict: invalid\n{PERMIT}{RULE}", 1, "'prohibition wins'", "remove the line"),
    "time without zone": Mistake(f"effective: {{from: 2027-01-01T10:00:00}}\n{PERMIT}{RULE}", 1, "no time zone", "Z"),
    "no day": Mistake(
        f"effective: {{from: 2027-02-30}}\n{PERMIT}{RULE}", 1, "not a day of the calendar", "2026-11-21", schema=False
    ),
    "German date": Mistake(f"effective: {{from: 21.11.2026}}\n{PERMIT}{RULE}", 1, "not an ISO 8601", "2026-11-21"),
    "ends first": Mistake(
        f"effective: {{from: 2027-01-01, to: 2026-01-01}}\n{PERMIT}{RULE}", 1, "ends before", "put 'from'", schema=False
    ),
    "part of a period": Mistake(f"effective: {{until: 2027-01-01}}\n{PERMIT}{RULE}", 1, "no 'until'", "from, to"),
    "inherits without version": Mistake(
        f"inherits: base\n{PERMIT}{RULE}", 1, "does not name a version", "base version 3"
    ),
    "inherits itself": Mistake(
        f"inherits: p version 2\n{PERMIT}{RULE}", 1, "this policy itself", "each other policy once", schema=False
    ),
    "inherits twice": Mistake(
        f"inherits: [a version 2, a version 3]\n{PERMIT}{RULE}",
        1,
        "named twice",
        "each other policy once",
        schema=False,
    ),
    "confirmed unknown": Mistake(f"confirmed: {{epsilom: x}}\n{PERMIT}{RULE}", 1, "not a known operand", "'epsilon'?"),
    "confirmed without reason": Mistake(f"confirmed: {{epsilon: }}\n{PERMIT}{RULE}", 1, "reason is empty", "reason"),
    "confirmed twice": Mistake(
        f"confirmed: {{epsilon: x, epsilon requested: y}}\n{PERMIT}{RULE}", 1, "confirmed twice", "once", schema=False
    ),
    "unknown act": Mistake(f"law: BDSG 1\n{PERMIT}{RULE}", 1, "not a law reference", "GDPR 9(2)(j)"),
    "article of an act": Mistake(f"law: GDPR nine\n{PERMIT}{RULE}", 1, "not a law reference", "GDPR 9(2)(j)"),
    "act without eli": Mistake(f"law: {{act: GDNG, article: 6}}\n{PERMIT}{RULE}", 1, "lacks 'eli'", "eli: …"),
    "eli that is none": Mistake(
        f"law: {{act: GDNG, article: 6, eli: gdng}}\n{PERMIT}{RULE}", 1, "not an identifier", "https", schema=False
    ),
    # ── parties and datasets ──
    "party by name": Mistake(
        f"assigner: hospital\n{PERMIT}{RULE}", 1, "does not name a party", "did:web", schema=False
    ),
    "any datasets": Mistake(
        f"targets: any datasets\n{PERMIT}{RULE}", 1, "does not name datasets", "any dataset of this"
    ),
    "name of a dataset": Mistake(
        f"targets: 'my data'\n{PERMIT}{RULE}", 1, "does not name a dataset", "/id/dataset/", schema=False
    ),
    "name of a collection": Mistake(
        f"targets: any dataset in my data\n{PERMIT}{RULE}", 1, "not name a collection", "/id/collection/", schema=False
    ),
    "empty targets": Mistake(f"targets: []\n{PERMIT}{RULE}", 1, "targets is an empty list", "leave the line out"),
    "narrowed for the whole policy": Mistake(
        f"targets: {{a where: {{disease is: MGUS}}}}\n{PERMIT}{RULE}", 1, "cannot be narrowed", "in the rules"
    ),
    "any party beside certain parties": Mistake(
        f"assignees: did:web:a\n{PERMIT}{RULE}    assignees: any party\n",
        8,
        "for certain parties",
        "leave",
        schema=False,
    ),
    # ── rules ──
    "no action": Mistake(f"{PERMIT}  - id: a\n", 6, "the rule lacks 'action'", "action: …"),
    "unknown action": Mistake(
        f"{PERMIT}  - action: sintesise\n", 6, "not a known action", "did you mean 'synthesise'?"
    ),
    "no action at all like it": Mistake(f"{PERMIT}  - action: qqq\n", 6, "not a known action", "synthesise"),
    "action twice": Mistake(f"{PERMIT}  - action: [use, use]\n", 6, "or one twice", "each action once", schema=False),
    "empty list of actions": Mistake(f"{PERMIT}  - action: []\n", 6, "action is an empty list", "at least one"),
    "unknown key of a rule": Mistake(
        f"{PERMIT}{RULE}    wenn: {{}}\n", 7, "a rule has no 'wenn'", "did you mean 'when'?"
    ),
    "condition outside of when": Mistake(
        f"{PERMIT}{RULE}    epsilon at most: 6\n", 7, "has no 'epsilon", "below 'when:'"
    ),
    "unless in a permission": Mistake(
        f"{PERMIT}{RULE}    unless: {{epsilon at most: 6}}\n", 7, "prohibitions only", "forbid"
    ),
    "duty in a permission": Mistake(f"{PERMIT}{RULE}    duty: inform\n", 7, "does not belong here", "'duties'"),
    "duties of a prohibition": Mistake(f"{FORBID}{RULE}    duties: inform\n", 7, "has no duties", "oblige"),
    "remedy of a permission": Mistake(
        f"{PERMIT}{RULE}    if violated: inform\n", 7, "prohibitions only", "'if not kept'"
    ),
    "remedy of an obligation": Mistake(
        f"{OBLIGE}  - {{action: use, duty: inform, if violated: delete}}\n", 6, "prohibitions only", "'if not kept'"
    ),
    "obligation without duty": Mistake(f"{OBLIGE}{RULE}", 6, "the rule lacks 'duty'", "duty: …"),
    "obligation with two duties": Mistake(
        f"{OBLIGE}{RULE}    duty: [inform, delete]\n", 7, "exactly one duty", "one entry under oblige for each"
    ),
    "id of a rule": Mistake(f"{PERMIT}{RULE}    id: a b\n", 7, "cannot be the id of a rule", "hyphens", schema=False),
    "id kept for others": Mistake(f"{PERMIT}{RULE}    id: law-1\n", 7, "is kept for", "another name", schema=False),
    "id twice": Mistake(
        f"{PERMIT}  - {{action: use, id: a}}\n  - {{action: use, id: a}}\n",
        7,
        "same identifier",
        "its own",
        schema=False,
    ),
    "rule that is a word": Mistake(f"{PERMIT}  - use\n", 6, "the rule is not a block", "indent"),
    # ── what narrows ──
    "refinement without where": Mistake(
        f"{PERMIT}  - action: {{export: {{output is: synthetic}}}}\n", 6, "not understood", "write 'export where:'"
    ),
    "only if in place of where": Mistake(
        f"{PERMIT}  - action: {{export only if: {{output is: synthetic}}}}\n", 6, "not understood", "'export where:'"
    ),
    "refinement of something misspelt": Mistake(
        f"{PERMIT}  - action: {{exprt where: {{output is: synthetic}}}}\n",
        6,
        "not a known action",
        "'export'?",
        schema=False,
    ),
    "refinement without conditions": Mistake(
        f"{PERMIT}  - action: {{export where: }}\n", 6, "a condition is not a block", "indent"
    ),
    "two things in one entry": Mistake(
        f"{PERMIT}  - action: {{export where: {{output is: synthetic}}, use where: {{output is: personal}}}}\n",
        *(6, "holds several things", "begin each"),
    ),
    "one thing narrowed twice": Mistake(
        f"{PERMIT}{RULE}    targets: [{{a where: {{disease is: MGUS}}}}, {{a where: {{disease is: AML}}}}]\n",
        *(6, "names a dataset twice", "each once", False),
    ),
    # ── conditions ──
    "unknown operand": when("epsylon at most: 6", "not a known operand", "did you mean 'epsilon'?"),
    "no comparison": when("epsilon: 6", "does not say how to compare", "at most"),
    "sign for a comparison": when("epsilon <=: 6", "does not say how", "did you mean 'epsilon at most'?", schema=False),
    "word of ODRL": when("epsilon lteq: 6", "does not say how to compare", "did you mean 'epsilon at most'?"),
    "isA of ODRL": when("purpose isA: use", "does not say how", "did you mean 'purpose is'?", schema=False),
    "is not": when("purpose is not: statistics", "does not say how", "'purpose is none of'"),
    "comparison of another kind": when("purpose at most: 6", "means nothing for 'purpose'", "purpose is"),
    "list of numbers": when("epsilon is any of: [6]", "means nothing for 'epsilon'", "epsilon at most"),
    "andSequence": when("and sequence: []", "is not supported", "use 'all of'"),
    "andSequence in one word": when("andSequence: []", "is not supported", "use 'all of'", schema=False),
    "hasPart": when("data category hasPart: x", "is not supported", "use 'includes all of'", schema=False),
    "or": when("or: []", "does not join", "did you mean 'any of'?"),
    "not": when("not: {}", "a condition has no 'not'", "is none of"),
    "choice of one": when("any of: [{epsilon at most: 6}]", "fewer than two", "write the one alone", schema=False),
    "joint without list": when("all of: {epsilon at most: 6}", "is not a list", "'- '"),
    "condition twice": when("epsilon at most: 6, epsilon at most: 5", "stands twice", "'all of'", schema=False),
    "no condition": Mistake(f"{PERMIT}{RULE}    when: {{}}\n", 7, "condition is empty", "at least one line"),
    "condition that is a word": Mistake(f"{PERMIT}{RULE}    when: always\n", 7, "not a block", "indent"),
    "unknown term": when("purpose is: marketng", "not a known purpose", "did you mean 'dpv:Marketing'?"),
    "identifier in another case": when("purpose is: 'dpv:marketing'", "not a known purpose", "'dpv:Marketing'?"),
    "term twice": when("disease is: [AML, AML]", "names a term twice", "once", schema=False),
    "empty list of terms": when("disease is: []", "is an empty list", "at least one"),
    "number in words": when("epsilon at most: six", "is not a number", "finite number", schema=False),
    "not a number": when("epsilon at most: .nan", "is not a number", "finite number", schema=False),
    "decimal comma": when("epsilon at most: '0,5'", "is not a number", "e.g. 0.5"),
    "more digits than there are": when(
        "epsilon at most: '0.10000000000000000555'", "more digits", "write 0.1", schema=False
    ),
    "wrong unit": when("cohort size at least: 50 kg", "counted in patients, not in 'kg'", "50 patients", schema=False),
    "unit where there is none": when("epsilon at most: 6 points", "without a unit", "the number alone", schema=False),
    "per cent": when("singling out risk at most: 5 %", "without a unit", "write 0.05"),
    "part of a patient": when("cohort size at least: 5.5", "is not a count", "whole number"),
    "neither true nor false": when("public sector body is: perhaps", "neither true nor false", "true or false"),
    "months": when(
        "opt-out list age at most: P1M", "exact length", "28 days are never more than 1 month", schema=False
    ),
    "years in words": when(
        "permit duration at most: 10 years", "exact length", "3651 days are never more", schema=False
    ),
    "negative duration": when("opt-out list age at most: -P1D", "negative", "without the minus", schema=False),
    "part of an hour": when("opt-out list age at most: 1.5 hours", "not a duration", "12 hours", schema=False),
    "number for a duration": when("opt-out list age at most: 30", "not a duration", "30 days"),
    "day that is compared": when("dpia review due is: 2027-03-05", "same as a whole day", "on or after", schema=False),
    "another kind of operand": when("epsilon at most: cohort size", "cannot be compared", "same kind", schema=False),
    "itself": when("epsilon at most: epsilon", "cannot be compared", "two different", schema=False),
    # ── duties ──
    "unknown duty": duty("do: infrom", "'infrom' is not a known duty", "did you mean 'inform'?"),
    "duty without act": duty("when: after", "the duty lacks 'do'", "do: …"),
    "unknown key of a duty": duty("do: inform, deadline: P1D", "no 'deadline'", "did you mean 'within'?"),
    "unknown timing": duty("do: inform, when: afterwards", "not a known timing", "did you mean 'after'?"),
    "condition under when": duty("do: inform, when: {epsilon at most: 6}", "says before, during or after", "'only if'"),
    "deadline before the act": duty("do: inform, within: P1D", "no deadline after it", "post", schema=False),
    "deadline of no length": duty("do: inform, when: after, within: P0D", "not a positive", "P30D", schema=False),
    "negative deadline": duty("do: inform, when: after, within: -P1D", "negative", "minus"),
    "counted without deadline": duty(
        "do: inform, when: after, counted from: release", "no deadline", "within", schema=False
    ),
    "unknown event": duty("do: inform, when: after, within: P1D, counted from: relase", "known event", "'release'?"),
    "consequence with a time": duty(
        "do: inform, if not kept: {do: delete, when: after}", "due at once", "leave 'when' out"
    ),
    "consequence of a consequence": duty(
        "do: inform, if not kept: {do: delete, if not kept: inform access body}", "due at once", "'if not kept' out"
    ),
    "consequence that repeats": duty(
        "do: inform, if not kept: inform", "repeats a duty", "each further duty", schema=False
    ),
    "unknown consequence": duty("do: inform, if not kept: delet", "not a known duty", "did you mean 'delete'?"),
    "remedy with a time": Mistake(
        f"{FORBID}{RULE}    if violated: {{do: delete, within: P1D}}\n", 7, "due at once", "leave 'within' out"
    ),
    "empty remedies": Mistake(f"{FORBID}{RULE}    if violated: []\n", 7, "remedy is an empty list", "at least one"),
}


def test_there_are_many_kinds_of_mistakes() -> None:
    assert len(MISTAKES) >= 60


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_refused_with_line_and_fix(name: str) -> None:
    mistake = MISTAKES[name]
    with pytest.raises(PolicyLoadError) as caught:
        parse_policy(mistake.text, V, file="p.yaml")
    assert not isinstance(caught.value, SeveralProblemsError), caught.value.diagnostics()
    assert caught.value.where == ("p.yaml" if mistake.line is None else f"p.yaml:{mistake.line}")
    assert mistake.says in caught.value.message
    assert mistake.fix in caught.value.fix


@pytest.mark.parametrize("name", MISTAKES)
def test_an_editor_sees_what_a_schema_can_say(name: str) -> None:
    mistake = MISTAKES[name]
    try:
        value = yaml.load(mistake.text, Loader=yaml.BaseLoader)  # noqa: S506 - BaseLoader makes strings only
    except yaml.YAMLError:
        return  # no editor takes it for YAML
    assert bool(list(VALIDATOR.iter_errors(value))) is mistake.schema


SEVERAL = """\
policy: p
title: t
layer: sit
version: 1
law: [GDPR 9, BDSG 1]
permitt: []
permit:
  - action: [exprt, use]
    when:
      epsylon at most: 6
      purpose is: [marketng, statistics, reserch]
      any of:
        - delta at most: tiny
        - cohort size at least: 5 kg
    duties:
      - infrom
      - {do: delete, when: later, within: P1M}
  - {id: a}
"""


def test_all_mistakes_are_told_at_once_by_line() -> None:
    with pytest.raises(SeveralProblemsError) as caught:
        parse_policy(SEVERAL, V, file="p.yaml")
    problems = caught.value.problems
    found = [problem.where for problem in problems]
    assert found == [f"p.yaml:{line}" for line in (3, 5, 6, 8, 10, 11, 11, 13, 14, 16, 17, 17, 18)]
    assert all(problem.fix for problem in problems)
    text = caught.value.diagnostics()
    assert text.startswith("13 things in this policy are not understood")
    for each in (
        "'sit' is not a known layer",
        "'exprt'",
        "'epsylon'",
        "'marketng'",
        "'kg'",
        "'infrom'",
        "lacks 'action'",
    ):
        assert each in text


def test_no_more_are_told_than_can_be_read() -> None:
    rules = "".join(f"  - action: no{number}\n" for number in range(MAX_SHOWN + 5))
    with pytest.raises(SeveralProblemsError, match="and 5 more") as caught:
        parse_policy(f"{PERMIT}{rules}", V, file="p.yaml")
    assert len(caught.value.problems) == MAX_SHOWN + 5


def test_a_rule_that_is_understood_is_still_checked_beside_one_that_is_not() -> None:
    text = f"{PERMIT}  - action: qqq\n  - action: [use, use]\n"
    with pytest.raises(SeveralProblemsError) as caught:
        parse_policy(text, V, file="p.yaml")
    assert [problem.where for problem in caught.value.problems] == ["p.yaml:6", "p.yaml:7"]
