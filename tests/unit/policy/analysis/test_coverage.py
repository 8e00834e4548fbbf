from __future__ import annotations

import pytest
import yaml

from synthema.policy import CaseFile, read_cases, run_cases, union_law
from synthema.policy.analysis import Coverage, cover
from tests.unit.policy.sample import CASE_FILES, V, form

LAW = union_law(V)
POLICY = form("""
permit:
  - id: work
    action: [synthesise, analyse]
    when:
      purpose is: health research
      any of: [{epsilon at most: 3}, {ethics approval is: true}]
    duties: [sign agreement]
forbid:
  - {id: no-link, action: link, when: {purpose is: education}, unless: {ethics approval is: true}}
confirmed: {epsilon: agreed}
""")
HEAD = f"""
policy: {POLICY.id}
with:
  - {{file: law/ehds.yaml}}
  - {{file: cases/beside/permissive-dataset.yaml}}
  - {{file: cases/beside/permissive-agreement.yaml}}
request:
  action: synthesise
  target: https://hospital.example/id/dataset/mgus
  assignee: did:web:hub.example
  facts:
    purpose: health research
    epsilon: 2
    ethics approval: false
    legal basis: research exception
    dpia outcome: risks mitigated
    data format: pseudonymised
cases:
"""


def covered(cases: str) -> Coverage:
    return cover(POLICY, [read_cases(HEAD + cases, V)], V)


def gaps(found: Coverage) -> set[str]:
    return {gap.shows for gap in found.gaps}


def test_one_case_shows_what_it_decides_and_no_more() -> None:
    found = covered("  - {name: a, done: sign agreement, expect: permit}\n")
    shown = {
        "work applies",
        "work, the duty done beforehand: sign the data use agreement",
        "work, this decides: the purpose is scientific research in health and care",
        "work, this decides: the privacy loss ε of this release is at most 3",
    }
    assert shown.isdisjoint(gaps(found))
    # The approval is false, but the other alternative holds: it decides nothing here.
    assert "work, this fails and so decides: there is an ethics approval" in " ".join(gaps(found)) or any(
        "ethic" in gap for gap in gaps(found)
    )
    assert found.shown == len(shown)
    assert 0 < found.percent < 100


def test_an_unstated_fact_shows_that_a_condition_is_not_met() -> None:
    before = covered("  - {name: a, done: sign agreement, expect: permit}\n")
    after = covered(
        "  - {name: a, done: sign agreement, expect: permit}\n  - {name: b, without: [purpose], expect: deny}\n"
    )
    assert "work, this fails and so decides: the purpose is scientific research in health and care" in gaps(
        before
    ) - gaps(after)


def test_every_gap_comes_with_a_case_that_closes_it_and_gets_the_decision_it_says() -> None:
    first = "  - {name: a, done: sign agreement, expect: permit}\n"
    found = covered(first)
    assert all(gap.case for gap in found.gaps)
    text = HEAD + first + "".join(f"{gap.case}\n" for gap in found.gaps)
    file = read_cases(text, V)
    assert cover(POLICY, [file], V).percent == 100
    results = run_cases(file.cases, [*file.beside, POLICY], V, standing=file.standing)
    assert [result.sentence for result in results if not result.passed] == []
    entries = yaml.safe_load(text)["cases"]
    assert [gap.decision for gap in found.gaps] == [entry["expect"] for entry in entries[1:]]


@pytest.mark.parametrize(
    "file", [f for f in CASE_FILES if "law" not in f.policy], ids=lambda f: f.policy.rpartition("/")[2]
)
def test_the_gaps_of_the_shipped_policies_can_be_closed(file: CaseFile) -> None:
    policy = next(each for each in file.beside if each.id == file.policy)
    found = cover(policy, [file], V, [LAW])
    assert found.shown > 0
    for gap in found.gaps:
        assert gap.case is not None, gap.sentence
    record = found.record()
    assert record["percent"] == found.percent
    assert record["total"] == found.shown + len(found.gaps)
