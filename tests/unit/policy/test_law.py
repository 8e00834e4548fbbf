"""The law packs: what the Union pack adds by itself, and how a Member State's pack comes in."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from synthema.errors import PolicyLoadError
from synthema.policy import (
    Fact,
    Layer,
    Policy,
    compile_policies,
    decide,
    example_member_state_law,
    load_pack,
    member_state_law,
    standing_facts,
    union_law,
)
from synthema.policy.law import NATIONAL_OPT_OUT_LAW
from synthema.policy.model import Value
from synthema.resources import bundled
from tests.unit.policy.sample import CASE_FILES, V

(UNION,) = [file for file in CASE_FILES if file.policy.endswith("/law/ehds")]
GOOD = next(case.request for case in UNION.cases if case.expect == "permit")
GUIDE = (bundled("policies") / "law" / "README.md").read_text(encoding="utf-8")
(PACK,) = re.findall(r"```yaml\n(policy: .*?)```", GUIDE, re.DOTALL)


@pytest.mark.article("EHDS 61(4)")
@pytest.mark.article("EHDS 61(5)")
@pytest.mark.article("EHDS 68(12)")
@pytest.mark.article("EHDS 73(1)(e)")
@pytest.mark.article("GDPR 5(1)(e)")
def test_under_the_ehds_the_law_itself_brings_duties() -> None:
    analysis = replace(GOOD, action=V.actions.resolve("analyse"))
    decision = decide(compile_policies(UNION.beside, V), analysis)
    assert decision.effect == "permit"
    due = {
        V.duties.name(o.action): (str(o.within), str(o.after), [str(law) for law in o.law])
        for o in decision.obligations
    }
    assert set(due) == {"publish results", "report finding", "delete", "keep log"}
    assert due["delete"][1:] == ("expiry", ["EHDS 68(12)"])
    assert due["publish results"][1:] == ("completion", ["EHDS 61(4)"])


def test_no_member_state_pack_is_named_by_default(tmp_path: Path) -> None:
    assert member_state_law(None, tmp_path, V) is None
    assert standing_facts(None)[NATIONAL_OPT_OUT_LAW].value is False


@pytest.mark.article("EHDS 51(4)")
def test_the_pack_of_the_guide_is_read_and_counts(tmp_path: Path) -> None:
    (tmp_path / "law").mkdir()
    (tmp_path / "law" / "our-state.yaml").write_text(PACK, encoding="utf-8")
    pack = member_state_law(Path("law/our-state.yaml"), tmp_path, V)
    assert pack is not None
    assert pack.layer is Layer.MEMBER_STATE
    compiled = compile_policies([*UNION.beside, pack], V, standing=standing_facts(pack))
    genetic = V.operand("data category").iri
    request = replace(GOOD, facts={k: f for k, f in GOOD.facts.items() if k != NATIONAL_OPT_OUT_LAW})
    clinical = replace(request, facts={**request.facts, genetic: _fact("data category", "syn:Art51-1-l")})
    assert decide(compiled, clinical).effect == "permit"
    genomic = decide(
        compiled, replace(request, facts={**request.facts, genetic: _fact("data category", "ehds:GenomicData")})
    )
    assert genomic.effect == "deny"
    assert {str(reference) for reason in genomic.reasons for reference in reason.law} == {"EHDS 51(4)", "GDPR 9(4)"}


@pytest.mark.article("EHDS 71(4)")
def test_only_a_pack_that_speaks_of_it_opens_the_exception(tmp_path: Path) -> None:
    (tmp_path / "pack.yaml").write_text(PACK, encoding="utf-8")
    speaking = load_pack(tmp_path / "pack.yaml", V, Layer.MEMBER_STATE)
    silent = example_member_state_law(V)
    exception = V.operand("opt-out exception").iri
    facts = {k: f for k, f in GOOD.facts.items() if k != NATIONAL_OPT_OUT_LAW}
    facts |= {
        exception: _fact("opt-out exception", True),
        V.operand("data category").iri: _fact("data category", "syn:Art51-1-l"),
    }
    request = replace(GOOD, facts=facts)

    def outcome(pack: Policy | None, **more: Value) -> str:
        policies = [*UNION.beside, *([pack] if pack else [])]
        compiled = compile_policies(policies, V, standing=standing_facts(pack))
        changed = {
            V.operand(name.replace("_", " ")).iri: _fact(name.replace("_", " "), value) for name, value in more.items()
        }
        return decide(compiled, replace(request, facts={**request.facts, **changed})).effect

    assert outcome(None) == "deny"
    assert outcome(silent) == "deny"
    assert outcome(speaking) == "deny", "the pack of the guide wants a public sector body"
    assert outcome(speaking, public_sector_body=True) == "permit"
    assert outcome(speaking, public_sector_body=True, purpose="education") == "deny"


def _fact(operand: str, value: Value) -> Fact:
    found = V.operand(operand)
    return Fact(V.terms_of(found).resolve(value) if isinstance(value, str) else value)


def test_a_pack_that_is_not_there_or_no_law_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(PolicyLoadError, match="is not there"):
        member_state_law(Path("missing.yaml"), tmp_path, V)
    (tmp_path / "site.yaml").write_text(PACK.replace("layer: member state", "layer: site"), encoding="utf-8")
    with pytest.raises(PolicyLoadError, match="belongs to"):
        member_state_law(Path("site.yaml"), tmp_path, V)
    permitting = PACK + "\npermit:\n  - action: use\n"
    (tmp_path / "permits.yaml").write_text(permitting, encoding="utf-8")
    with pytest.raises(PolicyLoadError, match="permits nothing"):
        member_state_law(tmp_path / "permits.yaml", tmp_path, V)


def test_every_rule_of_the_union_pack_names_an_article_with_its_identifier() -> None:
    law = union_law(V)
    for rule in law.rules:
        assert rule.law, f"{rule.id} names no article of its own"
        assert all(reference.eli.startswith("http://data.europa.eu/eli/reg/") for reference in rule.law)


def test_before_the_ehds_only_what_already_binds_is_asked() -> None:
    """A site under GDPR and contracts needs no permit, place or opt-out list for the law's sake."""
    regime = V.operand("regime")
    needed = {
        V.operand(name).iri
        for name in ("purpose", "legal basis", "data format", "output", "dpia outcome", "public sector body")
    }
    facts = {k: f for k, f in GOOD.facts.items() if k in needed} | {regime.iri: _fact("regime", "pre-EHDS")}
    decision = decide(
        compile_policies(UNION.beside, V), replace(GOOD, facts=facts, at=datetime(2027, 1, 1, tzinfo=UTC))
    )
    assert decision.effect == "permit", decision.sentences()
