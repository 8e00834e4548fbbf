"""Every construct of the language: written, read, written back, and taken to ODRL and RDF and back."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyoxigraph
import pytest

from synthema.canonical import canonical_json
from synthema.errors import PolicyLoadError
from synthema.policy import (
    Combination,
    Constraint,
    Duty,
    Kind,
    Operator,
    Policy,
    Timing,
    from_odrl,
    parse_policy,
    policy_digest,
    to_nquads,
    to_odrl,
    to_turtle,
    write_form,
)
from synthema.policy.model import Event, Parent, Refinement
from synthema.vocabulary import expand
from tests.unit.policy.language import COMPLETE
from tests.unit.policy.sample import BASE, V, form

FROZEN = Path(__file__).with_name("frozen")
ODRL = "http://www.w3.org/ns/odrl/2/"


def complete() -> Policy:
    return parse_policy(COMPLETE, V, base=BASE)


def is_(operand: str, operator: Operator, right: object) -> Constraint:
    return Constraint(expand(operand), operator, expand(right) if isinstance(right, str) else right)  # type: ignore[arg-type]


# ── the form ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_actions_datasets_and_parties_are_narrowed() -> None:
    rule = complete().rules[0]
    mgus, haematology = f"{BASE}/id/dataset/mgus", f"{BASE}/id/collection/haematology"
    assert rule.actions == (expand("syn:analyse"), expand("syn:export"))
    assert rule.targets == (mgus, haematology)
    assert rule.assignees == (f"{BASE}/id/collection/university-hospitals",)
    export, collection, party = rule.refinements
    assert collection == Refinement(haematology, is_("syn:dataCategory", Operator.IS_A, "syn:Art51-1-l"))
    assert party == Refinement(rule.assignees[0], is_("syn:recipientRole", Operator.IS_A, "syn:Researcher"))
    assert export.of == expand("syn:export")
    assert isinstance(export.condition, Combination)


def test_collections_are_named_in_words() -> None:
    policy = complete()
    assert policy.targets == (f"{BASE}/id/collection/haematology",)
    assert policy.assignees == (f"{BASE}/id/collection/university-hospitals",)


def test_inheritance_names_a_version() -> None:
    assert complete().inherits == (Parent(f"{BASE}/id/policy/research-base", "3"),)
    assert form("inherits: [a version 2026-11, 'b, version 1.0']\npermit: [{action: use}]\n").inherits == (
        Parent(f"{BASE}/id/policy/a", "2026-11"),
        Parent(f"{BASE}/id/policy/b", "1.0"),
    )
    assert form("inherits: https://a.example/id/policy/x version 1\n").rules == ()


def test_duties_have_conditions_and_consequences() -> None:
    _, publish = complete().rules[0].duties
    personal = is_("syn:outputClass", Operator.IS_A, "dpv:PersonalData")
    assert publish == Duty(
        action=expand("syn:publishResults"),
        timing=Timing.POST,
        within=timedelta(days=548),
        after=Event.COMPLETION,
        evidence="public reference",
        when=is_("syn:outputClass", Operator.IS_A, "dpv:SyntheticData"),
        consequences=(
            Duty(expand("syn:informHDAB")),
            Duty(expand("syn:returnData"), evidence="receipt", when=personal),
        ),
    )


def test_prohibitions_have_remedies() -> None:
    rule = complete().rules[1]
    assert rule.kind is Kind.PROHIBITION
    genomic = is_("syn:dataCategory", Operator.IS_A, "ehds:GenomicData")
    assert rule.remedies == (
        Duty(expand("odrl:delete")),
        Duty(expand("odrl:inform"), evidence="letter", when=genomic),
    )


def test_days_mean_whole_days() -> None:
    moments = {part.left: part for part in complete().rules[0].when.parts}  # type: ignore[union-attr]
    assert moments[expand("odrl:dateTime")] == is_("odrl:dateTime", Operator.LT, datetime(2028, 3, 6, tzinfo=UTC))
    due = is_("syn:dpiaReviewDue", Operator.GTEQ, datetime(2027, 3, 5, tzinfo=UTC))
    assert moments[expand("syn:dpiaReviewDue")] == due
    after = form("permit:\n  - action: use\n    when: {time after: 2027-03-05+01:00}\n").rules[0].when
    assert after == is_("odrl:dateTime", Operator.GTEQ, datetime(2027, 3, 5, 23, tzinfo=UTC))
    assert complete().effective_from == datetime(2026, 11, 21, tzinfo=UTC)
    assert complete().effective_to == datetime(2028, 11, 20, 23, tzinfo=UTC)


def test_a_form_written_back_is_read_as_the_same_policy_and_stays_as_it_is() -> None:
    policy = complete()
    written = write_form(policy, V)
    assert parse_policy(written, V) == policy
    assert write_form(parse_policy(written, V), V) == written
    for line in (
        f"inherits: {BASE}/id/policy/research-base version 3",
        f"targets: any dataset in {BASE}/id/collection/haematology",
        "- export where:",
        "epsilon at most: 0.5",
        "delta at most: 0.000001",
        "within: 548 days",
        "within: 1 day 6 hours 5 minutes",
        "time before: '2028-03-06'",
        "if violated:",
    ):
        assert line in written


def test_a_comparison_with_a_moment_is_not_written_as_one_with_a_day() -> None:
    midnight = "2027-03-05T00:00:00Z"
    for phrase in ("on or before", "after", "is", "is not exactly"):
        policy = form(f"permit:\n  - action: use\n    when: {{time {phrase}: '{midnight}'}}\n")
        assert midnight in write_form(policy, V)
        assert parse_policy(write_form(policy, V), V) == policy


def test_a_rule_for_any_party_in_a_policy_for_any_party() -> None:
    assert form("permit:\n  - {action: use, assignees: any party}\n").rules[0].assignees == ()


# ── ODRL and RDF ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_odrl_has_the_shape_of_the_standard() -> None:
    value = to_odrl(complete())
    assert value["inheritFrom"] == [f"{BASE}/id/policy/research-base"]
    rule = value["permission"][0]
    assert rule["action"][1]["rdf:value"] == {"@id": expand("syn:export")}
    assert rule["target"][1]["@type"] == "AssetCollection"
    assert rule["target"][1]["source"] == f"{BASE}/id/collection/haematology"
    assert rule["assignee"][0]["@type"] == "PartyCollection"
    assert len(rule["assignee"][0]["refinement"]) == 1
    assert [duty["action"] for duty in rule["duty"][1]["consequence"]] == [
        expand("syn:informHDAB"),
        expand("syn:returnData"),
    ]
    assert "constraint" in rule["duty"][1]
    assert [duty["action"] for duty in value["prohibition"][0]["remedy"]] == [ODRL + "delete", ODRL + "inform"]
    assert "syn:dutyConstraint" in value["obligation"][0]


def test_odrl_comes_back_as_the_same_policy() -> None:
    policy = complete()
    again = from_odrl(json.loads(canonical_json(to_odrl(policy))), V)
    assert again == policy
    assert policy_digest(again) == policy_digest(policy)


@pytest.mark.parametrize(
    ("path", "new", "message"),
    [
        (("inheritFrom",), ["urn:other"], "do not name the same policies"),
        (("inheritFrom",), [], "do not name the same policies"),
        (("permission", 0, "action", 1, "refinement"), [], "says nothing"),
        (("permission", 0, "action", 1, "rdf:value"), "syn:export", "not of the right type"),
        (("permission", 0, "action", 1, "more"), 1, "unknown keys: more"),
        (("permission", 0, "action", 1), 7, "something else than texts and objects"),
        (("permission", 0, "target", 1, "@type"), "PartyCollection", "not the one of this profile"),
        (("permission", 0, "target", 1, "source"), "urn:x y", "not a full identifier"),
        (("permission", 0, "duty", 1, "consequence", 0, "consequence"), [{}], "a consequence of its own"),
        (("permission", 0, "duty", 1, "syn:deadline"), "18 months", "not a duration"),
        (("permission", 0, "duty", 1, "syn:deadline"), "P18M", "exact length"),
        (("prohibition", 0, "remedy"), ["x"], "something else than objects"),
        (("prohibition", 0, "consequence"), [], "unknown keys: consequence"),
        (("syn:effectiveFrom",), "2026-11-21", "not a time with a zone"),
    ],
)
def test_odrl_that_is_not_understood_is_refused(path: tuple[str | int, ...], new: object, message: str) -> None:
    value = json.loads(json.dumps(to_odrl(complete())))
    at = value
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = new
    with pytest.raises(PolicyLoadError, match=message):
        from_odrl(value, V)


def test_a_thing_narrowed_in_two_ways_is_refused() -> None:
    value = to_odrl(complete())
    value["permission"][0]["target"].append({**value["permission"][0]["target"][1], "refinement": [{"or": []}]})
    with pytest.raises(PolicyLoadError, match="in two ways"):
        from_odrl(value, V)


def test_every_node_of_the_rdf_has_a_name() -> None:
    quads = list(pyoxigraph.parse(to_nquads(complete()), format=pyoxigraph.RdfFormat.N_QUADS))
    assert not any(isinstance(node, pyoxigraph.BlankNode) for quad in quads for node in (quad.subject, quad.object))
    again = pyoxigraph.parse(to_turtle(complete()), format=pyoxigraph.RdfFormat.TURTLE)
    assert {quad.triple for quad in again} == {quad.triple for quad in quads}


def test_the_rdf_says_what_is_narrowed_and_what_follows() -> None:
    store = pyoxigraph.Store()
    store.load(to_turtle(complete()).encode(), format=pyoxigraph.RdfFormat.TURTLE)
    prefixes = (
        "PREFIX odrl: <http://www.w3.org/ns/odrl/2/> PREFIX syn: <https://w3id.org/synthema/ns#> "
        "PREFIX rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> "
    )
    for question in (
        "ASK { ?r odrl:action [ rdf:value syn:export ; odrl:refinement ?c ] . ?c odrl:and ?part }",
        "ASK { ?r odrl:target [ a odrl:AssetCollection ; odrl:source ?s ; odrl:refinement/odrl:rightOperand ?v ] }",
        "ASK { ?r odrl:assignee [ a odrl:PartyCollection ; odrl:source ?s ; odrl:refinement ?c ] }",
        "ASK { ?r odrl:duty [ odrl:action syn:publishResults ; odrl:constraint ?c ; odrl:consequence ?d ] }",
        "ASK { ?r a odrl:Prohibition ; odrl:remedy [ odrl:action odrl:inform ; odrl:constraint ?c ] }",
        "ASK { ?r a odrl:Duty ; syn:triggeredBy syn:export ; syn:dutyConstraint ?c ; odrl:consequence ?d }",
        "ASK { ?p odrl:inheritFrom ?b ; syn:inheritance [ syn:inheritedPolicy ?b ; syn:inheritedVersion '3' ] }",
    ):
        assert store.query(prefixes + question), question


def test_a_refinement_of_what_a_rule_does_not_name_is_not_lost_in_silence() -> None:
    policy = complete()
    stray = Refinement(expand("syn:link"), is_("syn:disease", Operator.IS_A, "orpha:545"))
    rules = (replace(policy.rules[0], refinements=(stray,)),)
    with pytest.raises(PolicyLoadError, match="which it does not name"):
        to_odrl(Policy(policy.id, policy.layer, "1", "t", rules))


# ── what was signed before ───────────────────────────────────────────────────────────────────────────────────────

DIGESTS = json.loads((FROZEN / "digests.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", DIGESTS)
def test_a_policy_that_was_signed_keeps_its_bytes(name: str) -> None:
    """The digest is what people signed: new constructs and new prefixes must not change it."""
    policy = parse_policy((FROZEN / f"{name}.yaml").read_text(encoding="utf-8"), V, base=BASE)
    assert {
        "policy": policy_digest(policy),
        "nquads": f"sha256:{hashlib.sha256(to_nquads(policy)).hexdigest()}",
        "turtle": f"sha256:{hashlib.sha256(to_turtle(policy).encode()).hexdigest()}",
    } == DIGESTS[name]
