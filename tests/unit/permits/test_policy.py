"""A permit as a policy: what it permits, whom, and what it demands; decided, not read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from synthema.permits import Permit, PermitState, Terms, permit_policy, permit_sentences
from synthema.policy import Fact, compile_policies, decide, explain_policy, parse_policy, write_form
from synthema.policy.wellformed import check_policy
from synthema.vocabulary.namespaces import ODRL, SYN
from tests.unit.permits.support import BODY, HOLDER, SITE, V, content
from tests.unit.policy import sample

AT = sample.AT
PERSON = "https://institute.example/id/person/2"


def permit(**changes: Any) -> Permit:
    said = content(**changes)
    return Permit(
        id="permit-1", content=said, issuer=BODY, regime="EHDS", state=PermitState.ISSUED, applied_at=AT,
        approved_at=AT, valid_to=said.valid_to,
    )  # fmt: skip


def policy_of(one: Permit, **terms: Any) -> Any:
    return permit_policy(
        one,
        V,
        site=SITE,
        datasets={"mgus": sample.DATASET},
        base=sample.BASE,
        terms=Terms(**({"epsilon": 3.0} | terms)),
    )


def decided(one: Permit, action: str = "synthesise", *, without: str = "", at: datetime = AT, **facts: Any) -> str:
    policies = [p for p in sample.all_policies() if p.layer != "L4"]
    compiled = compile_policies([*policies, policy_of(one)], V)
    asked = sample.request(action)
    known = {
        **asked.facts,
        SYN + "authorisedPerson": Fact(PERSON),
        SYN + "outputClass": Fact(V.data_formats.resolve("synthetic")),
        **{(ODRL if name == "purpose" else SYN) + name: Fact(value) for name, value in facts.items()},
    }
    known.pop(SYN + without, None)
    return decide(compiled, replace(asked, assignee=HOLDER, at=at, facts=known)).effect


def test_what_the_permit_says_is_permitted() -> None:
    assert decided(permit()) == "permit"


@pytest.mark.article("EHDS 66(2)")
def test_a_permit_for_an_anonymised_table_lets_one_be_made_and_leave_and_no_other_does() -> None:
    table, others = policy_of(permit(outputs=("anonymised",))), policy_of(permit())
    assert ODRL + "anonymize" in table.rules[0].actions
    assert ODRL + "anonymize" not in others.rules[0].actions
    (leaving,) = (rule for rule in table.rules if rule.id.endswith("#release"))
    assert V.data_formats.resolve("anonymised") in str(leaving.when)
    assert not [rule for rule in table.rules if rule.id.endswith("#together")]


@pytest.mark.article("EHDS 68(10)")
@pytest.mark.parametrize(
    "facts",
    [
        {"purpose": "https://w3id.org/dpv/legal/eu/ehds#ImproveHealthcare"},
        {"permitState": SYN + "PermitSuspended"},
        {"permitState": SYN + "PermitExpired"},
        {"dataCategory": (SYN + "Art51-1-f",)},
        {"dataCategory": (SYN + "Art51-1-l", SYN + "Art51-1-f")},
        {"epsilonRequested": 3.5},
        {"outputClass": V.data_formats.resolve("personal")},
    ],
    ids=str,
)
def test_what_it_does_not_say_is_not(facts: dict[str, Any]) -> None:
    assert decided(permit(), **facts) == "deny"


@pytest.mark.article("EHDS 73(1)(a)")
def test_only_the_named_persons_work_with_the_data() -> None:
    assert decided(permit(), authorisedPerson="https://institute.example/id/person/9") == "deny"
    assert decided(permit(), without="authorisedPerson") == "deny"
    assert decided(permit(authorised_persons=())) == "deny"


def test_where_nobody_sees_a_record_no_person_is_asked_for() -> None:
    masked = V.data_formats.resolve("masked")
    shared = {"outputClass": masked, "contributingParties": 3}
    assert decided(permit(), "contribute update", without="authorisedPerson", **shared) == "permit"
    assert (
        decided(permit(), "contribute update", without="authorisedPerson", **(shared | {"contributingParties": 2}))
        == "deny"
    )
    assert decided(permit(outputs=("aggregate",)), "contribute update", without="authorisedPerson", **shared) == "deny"


def test_figures_may_be_worked_out_together_where_it_names_figures() -> None:
    (together,) = (rule for rule in policy_of(permit()).rules if rule.id.endswith("#together"))
    assert {SYN + "analyse", SYN + "queryAggregate", SYN + "trainModel"} <= set(together.actions)
    shared = {"outputClass": V.data_formats.resolve("aggregate"), "contributingParties": 3}
    few = shared | {"contributingParties": 2}
    asked = "query aggregate"
    assert decided(permit(), asked, without="authorisedPerson", **shared) == "permit"
    assert decided(permit(), asked, without="authorisedPerson", **few) == "deny"
    for outputs in (("aggregate",), ("masked",), ("synthetic", "masked")):
        assert decided(permit(outputs=outputs), asked, without="authorisedPerson", **shared) == "deny"


def test_before_its_first_day_it_permits_nothing() -> None:
    later = permit(valid_from=date(2027, 1, 1))
    assert decided(later) == "deny"
    assert decided(later, at=datetime(2027, 1, 1, tzinfo=UTC)) == "permit"


@pytest.mark.parametrize("outputs", [("aggregate",), ("synthetic",), ("masked",), ("aggregate", "synthetic", "masked")])
def test_only_the_named_outputs_leave(outputs: tuple[str, ...]) -> None:
    for name in ("aggregate", "synthetic"):
        effect = decided(permit(outputs=outputs), outputClass=V.data_formats.resolve(name))
        assert effect == ("permit" if name in outputs else "deny")


def test_tools_are_pinned_to_their_files() -> None:
    pinned = policy_of(permit(), plugin_digests=("sha256:aa", "sha256:bb"))
    policies = [p for p in sample.all_policies() if p.layer != "L4"]
    asked = sample.request("synthesise")
    facts = {
        **asked.facts,
        SYN + "authorisedPerson": Fact(PERSON),
        SYN + "outputClass": Fact(V.data_formats.resolve("synthetic")),
    }
    for digests, effect in ((("sha256:aa",), "permit"), (("sha256:aa", "sha256:cc"), "deny")):
        known = {**facts, SYN + "pluginDigest": Fact(digests)}
        compiled = compile_policies([*policies, pinned], V)
        assert decide(compiled, replace(asked, assignee=HOLDER, facts=known)).effect == effect


@pytest.mark.article("EHDS 68(12)")
@pytest.mark.article("EHDS 61(4)")
@pytest.mark.article("EHDS 61(5)")
def test_what_the_holder_owes_comes_with_every_decision() -> None:
    compiled = compile_policies([*(p for p in sample.all_policies() if p.layer != "L4"), policy_of(permit())], V)
    asked = sample.request("synthesise")
    facts = {
        **asked.facts,
        SYN + "authorisedPerson": Fact(PERSON),
        SYN + "outputClass": Fact(V.data_formats.resolve("synthetic")),
    }
    decision = decide(compiled, replace(asked, assignee=HOLDER, facts=facts))
    owed = {
        o.action.rpartition("#")[2].rpartition("/")[2]: o
        for o in decision.obligations
        if o.rule.startswith(sample.BASE)
    }
    own = [o for o in decision.obligations if "/policy/permit-1#" in o.rule]
    assert {o.article for o in own} >= {"EHDS 61(4)", "EHDS 61(5)", "EHDS 68(12)"}
    assert owed["delete"].within == timedelta(days=180)
    assert owed["publishResults"].within == timedelta(days=548)


def test_the_policy_is_one_of_ours_in_every_form() -> None:
    policy = policy_of(permit(), plugin_digests=("sha256:aa",))
    check_policy(policy, V)
    assert parse_policy(write_form(policy, V), V, base=sample.BASE) == policy
    assert any("must not try to identify" in sentence for sentence in explain_policy(policy, V))


def test_a_permit_in_sentences_goes_point_by_point() -> None:
    said = permit_sentences(permit(), V, {HOLDER: "The institute", BODY: "The access body", SITE: "The hospital"})
    text = "\n".join(said)
    assert said[0] == "The institute holds this permit of The access body (EHDS)."
    for point in "abcdefgh":
        assert f"({point}) " in text
    for words in (
        "mgus, pseudonymised, from The hospital: laboratory values at diagnosis",
        "scientific research in health and care",
        "left out (Art. 71(3))",
        PERSON,
        "From 2026-01-01 to 2028-12-31; it can be extended once",
        "any tool that two people of the site approved",
        "aggregated statistics, synthetic data, masked contribution",
        "Conditions that people watch over: results are shown to the registry first",
    ):
        assert words in text
    extended = permit(opt_out_exception="public health emergency", conditions=()).model_copy(update={"extended": True})
    said = permit_sentences(extended, V)
    assert any("not left out (Art. 71(4)): public health emergency" in sentence for sentence in said)
    assert "(h) No further conditions." in said
