"""Nothing is lost on any way a policy takes, and no two policies read alike."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

import jsonschema
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from synthema.canonical import canonical_json
from synthema.errors import InputError, PolicyLoadError
from synthema.policy import (
    Kind,
    Layer,
    Policy,
    explain_policy,
    from_odrl,
    parse_policy,
    policy_digest,
    schema_text,
    to_nquads,
    to_odrl,
    to_turtle,
    write_form,
)
from synthema.policy.intake import Syntax, import_policies, read_graph
from synthema.policy.model import Parent
from synthema.policy.outline import policy_outline
from synthema.policy.plain import markdown, page
from synthema.policy.wellformed import check_policy
from tests.property import policy_strategies as some
from tests.property.policy_meaning import meaning, others, places, put, unordered

V = some.VOCABULARY
EFFORT = some.EFFORT
VALIDATOR = jsonschema.Draft202012Validator(json.loads(schema_text(V)))
PARENTS = (Parent("https://site.example/id/policy/base", "3"), Parent("https://other.example/law", "2026-11"))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """A policy of any layer with every construct of the language."""
    policy = draw(some.policies(draw(st.sampled_from(Layer))))
    return replace(policy, inherits=tuple(draw(st.lists(st.sampled_from(PARENTS), max_size=2, unique=True))))


any_policy = policies()


# ── there and back ───────────────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=60 * EFFORT, deadline=None)
@given(any_policy)
def test_the_form_holds_the_whole_policy_and_stays_as_it_is(policy: Policy) -> None:
    written = write_form(policy, V)
    again = parse_policy(written, V)
    assert again == policy
    assert write_form(again, V) == written
    assert explain_policy(again, V) == explain_policy(policy, V)


@settings(max_examples=60 * EFFORT, deadline=None)
@given(any_policy)
def test_odrl_holds_the_whole_policy(policy: Policy) -> None:
    again = from_odrl(json.loads(canonical_json(to_odrl(policy))), V)
    assert again == policy
    assert policy_digest(again) == policy_digest(policy)


@settings(max_examples=40 * EFFORT, deadline=None)
@given(any_policy)
def test_what_another_system_reads_is_the_same_policy(policy: Policy) -> None:
    (from_turtle,) = import_policies(read_graph(to_turtle(policy).encode(), Syntax.TURTLE), V)
    (from_nquads,) = import_policies(read_graph(to_nquads(policy), Syntax.N_QUADS), V)
    assert unordered(from_turtle) == unordered(policy)
    assert unordered(from_nquads) == unordered(policy)


@settings(max_examples=40 * EFFORT, deadline=None)
@given(any_policy)
def test_what_another_system_reads_as_json_ld_is_the_same_policy(policy: Policy) -> None:
    (again,) = import_policies(read_graph(canonical_json(to_odrl(policy)), Syntax.JSON_LD), V)
    assert again == policy


_ODD_TEXTS = (
    *("", " ", " a", "a ", "a  b", "a\nb", "a\r\nb", "a\tb", "a\u00a0b", "a\u2028b", "a\x85b", "a\x00b", "a\ud800b"),
    *(
        "\ufeffa",
        "a\u202eb",
        "null",
        "~",
        "yes",
        "no",
        "on",
        "1",
        "-0",
        "1e-5",
        "0x1F",
        "1_000",
        "12:30:00",
        "2026-01-01",
    ),
    *(
        "a: b",
        "# x",
        "a #b",
        "- a",
        "?",
        "!x",
        "&a",
        "*a",
        "%",
        "@",
        "`",
        "|",
        ">",
        "'",
        '"',
        "\\",
        "[a]",
        "{x}",
        "<<",
        "=",
    ),
    *(
        "any party",
        "any dataset of this site",
        "any dataset in x",
        "any member of x",
        "before",
        "3, version 4",
        "a version b",
    ),
    *(
        "GDPR 9(2)(j)",
        "EHDS",
        "GDPR",
        "http://data.europa.eu/eli/reg/2016/679/oj",
        "urn:x",
        "urn:x\n",
        "URN:x",
        "syn:x",
    ),
    *("DPV:x", "dpv://x", "did:web:x", "https://site.example/id/collection/x", "https://x/\u00e9", "https://x/#law-1"),
)
_ODD_ENDS = (
    "law-1",
    "confirmed-2",
    "inherited-1",
    "a.when",
    "a.duty-1",
    "a",
    "a.law-1",
    "law-1x",
    "",
    "did:web:x",
    "a b",
)
_ODD_NUMBERS = (0, -1, 1, 10**18 - 1, 10**18, 0.5, -0.0, 1e300, 5e-324, 0.1 + 0.2, 123456789.123, -2.5, True)
_ODD_TIMES = (
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
    datetime(2026, 10, 25, 2, 30, 0, 1, tzinfo=timezone(timedelta(hours=-9, minutes=-30))),
    datetime(2026, 1, 1),  # noqa: DTZ001 - without a zone it has to be refused
)
_ODD_SPANS = (
    timedelta(0),
    timedelta(days=-1),
    timedelta(microseconds=1),
    timedelta.max,
    timedelta(days=400, seconds=7),
)
_ODD_WORDS = st.sampled_from(_ODD_TEXTS) | st.text(max_size=6) | some.TEXT


@st.composite
def odd(draw: st.DrawFn, policy: Policy, value: Any) -> Any:
    """Something a policy could hold in place of a value, if it were not refused."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return draw(_ODD_WORDS | st.sampled_from(_ODD_ENDS).map(lambda end: f"{policy.id}#{end}"))
    if isinstance(value, datetime):
        return draw(st.sampled_from(_ODD_TIMES))
    if isinstance(value, timedelta):
        return draw(st.sampled_from(_ODD_SPANS))
    return draw(st.sampled_from(_ODD_NUMBERS) | st.floats()) if isinstance(value, int | float) else value


@st.composite
def odd_policies(draw: st.DrawFn) -> Policy:
    """A policy in which some texts, names and values are odd ones, its rules in any order."""
    policy = draw(any_policy)
    for _ in range(draw(st.integers(1, 2))):
        found = [
            (path, value)
            for path, value in places(policy)
            if isinstance(value, str | int | float | datetime | timedelta) and not isinstance(value, StrEnum)
        ]
        # Where a rule was taken over from is not the author's to write.
        path, value = draw(st.sampled_from([each for each in found if each[0][-1] != "origin"]))
        policy = put(policy, path, draw(odd(policy, value)))
    return replace(policy, rules=tuple(draw(st.permutations(policy.rules))))


@settings(max_examples=200 * EFFORT, deadline=None)
@given(odd_policies())
def test_a_policy_that_is_taken_comes_back_from_every_form_it_can_be_written_in(policy: Policy) -> None:
    """Model → form → model is the identity, but for the order of rules of different kinds, which means nothing."""
    try:
        check_policy(policy, V)
    except PolicyLoadError:
        return
    again = parse_policy(write_form(policy, V), V)
    rules = sorted(policy.rules, key=lambda rule: list(Kind).index(rule.kind))
    written = replace(policy, rules=tuple(rules))
    assert again == written
    assert policy_digest(again) == policy_digest(written)
    assert from_odrl(json.loads(canonical_json(to_odrl(policy))), V) == policy
    (from_turtle,) = import_policies(read_graph(to_turtle(policy).encode(), Syntax.TURTLE), V)
    assert unordered(from_turtle) == unordered(policy)


# ── plain English ────────────────────────────────────────────────────────────────────────────────────────────────


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Policy, Policy]:
    """A policy and one that differs from it in one place."""
    policy, other = draw(any_policy), draw(any_policy)
    found = [(path, value) for path, value in places(policy) if path and path[-1] not in ("id", "eli", "unit", "of")]
    path, value = draw(st.sampled_from(found))
    pool = [each for _, each in places(other)]
    return policy, put(policy, path, draw(st.sampled_from(others(value, pool) or [value])))


@settings(max_examples=300 * EFFORT, deadline=None)
@given(pairs())
def test_two_policies_that_differ_read_differently(both: tuple[Policy, Policy]) -> None:
    first, second = both
    try:
        check_policy(second, V)
        to_odrl(second)
    except (PolicyLoadError, InputError, TypeError, AttributeError):
        assume(False)  # what is no policy need not be told
    if explain_policy(first, V) == explain_policy(second, V):
        assert meaning(first, V) == meaning(second, V)


@settings(max_examples=30 * EFFORT, deadline=None)
@given(any_policy)
def test_every_policy_can_be_filed(policy: Policy) -> None:
    outline = policy_outline(policy, V)
    assert policy.id in markdown(outline)
    assert page(outline).count("<ol") == page(outline).count("</ol>")


# ── the schema ───────────────────────────────────────────────────────────────────────────────────────────────────


def read(text: str) -> Any:
    return yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - BaseLoader makes strings only


@settings(max_examples=20 * EFFORT, deadline=None)
@given(any_policy)
def test_the_schema_takes_every_form(policy: Policy) -> None:
    VALIDATOR.validate(read(write_form(policy, V)))


WORDS = st.sampled_from(
    [
        *("when", "unless", "duties", "duty", "action", "export where", "if violated", "if not kept", "only if", "do"),
        *("purpose is", "Purpose is", "epsilon at most", "epsilon is at most", "all of", "any of", "and", "id", "law"),
        *("use", "Use", "syn:export", "syn:Export", "export", "statistics", "Statistics", "dpv:marketing", "6", "six"),
        *("P30D", "P1M", "30 days", "yes", "true", "before", "any party", "any dataset of this site", "any thing"),
        *("2027-03-05", "2027-03-05T10:00:00", "GDPR 9", "gdpr 9", "base version 3", "did:web:a", "a b", "", " use "),
    ]
)


@st.composite
def mistaken(draw: st.DrawFn) -> Any:
    """A form with one thing in it replaced, taken out, put in or renamed."""
    form = read(write_form(draw(any_policy), V))
    at: Any = form
    for _ in range(draw(st.integers(0, 6))):
        inner = [item for item in (at.values() if isinstance(at, dict) else at) if isinstance(item, dict | list)]
        if not inner:
            break
        at = draw(st.sampled_from(inner))
    new = draw(WORDS | st.lists(WORDS, max_size=2) | st.dictionaries(WORDS, WORDS, max_size=2))
    if isinstance(at, list):
        at[draw(st.integers(0, len(at) - 1))] = new
        return form
    key = draw(st.sampled_from(sorted(at)))
    match draw(st.integers(0, 3)):
        case 0:
            at[key] = new
        case 1:
            del at[key]
        case 2:
            at[draw(WORDS)] = at.pop(key)
        case _:
            at[draw(WORDS)] = new
    return form


@settings(max_examples=150 * EFFORT, deadline=None)
@given(mistaken())
def test_what_the_schema_refuses_the_reader_refuses(form: Any) -> None:
    if not list(VALIDATOR.iter_errors(form)):
        return
    try:
        policy = parse_policy(yaml.safe_dump(form, allow_unicode=True, sort_keys=False), V)
    except PolicyLoadError:
        return
    raise AssertionError(f"the reader takes it: {write_form(policy, V)}")
