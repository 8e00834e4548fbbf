from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from synthema.errors import InputError
from synthema.resources import bundled
from synthema.vocabulary import ChangedBy, Datatype, compact, expand, load_vocabulary

V = load_vocabulary()
GIVEN_BY_RUNS = (
    "odrl:purpose syn:legalBasis syn:recipientRole syn:dataCategory syn:disease syn:outputClass syn:dataFormat "
    "syn:epsilonRequested syn:epsilonRemaining syn:delta syn:minCellCount syn:cohortSize syn:contributingParties "
    "syn:isolationLevel syn:permitState syn:consentState syn:optOutListAge syn:dpiaOutcome syn:publicSectorBody "
    "odrl:dateTime syn:pluginDigest"
)


def test_every_operand_that_runs_supply_is_there_with_a_type() -> None:
    for name in GIVEN_BY_RUNS.split():
        assert V.operands[expand(name)].datatype in Datatype


def test_every_term_and_operand_is_explained_in_words() -> None:
    for scheme in V.schemes.values():
        assert len(scheme) > 1
        for term in scheme:
            assert term.label
            assert scheme.resolve(scheme.name(term.iri)) == term.iri
    assert all(operand.definition for operand in V.operands.values())


@pytest.mark.article("EHDS 53(1)(e)(ii)")
def test_the_legal_overlay_puts_training_of_algorithms_under_scientific_research() -> None:
    for name in ("TrainTestAndEvaluateHealthAlgorithms", "TrainTestAndEvaluateAISystemsAlgorithms"):
        assert V.purposes.is_a(expand(f"ehds:{name}"), expand("ehds:HealthcareScientificResearch"))


@pytest.mark.article("EHDS 54")
@pytest.mark.parametrize(
    ("purpose", "point"),
    [
        ("dpv:Marketing", "c"),
        ("dpv:Advertising", "c"),
        ("health:LifeInsuranceManagement", "b"),
        ("dpv:PersonnelHiring", "b"),
    ],
)
def test_prohibited_uses_are_purposes(purpose: str, point: str) -> None:
    assert V.purposes.is_a(expand(purpose), expand(f"syn:Art54-{point}"))
    assert not V.purposes.is_a(expand(purpose), expand("syn:Art53Purpose"))


@pytest.mark.article("EHDS 51(1)")
def test_all_seventeen_categories_are_there() -> None:
    letters = {compact(i)[-1] for i in V.data_categories.terms if compact(i).startswith("syn:Art51-1-")}
    assert letters == set("abcdefghijklmnopq")


def test_diseases_have_a_common_parent() -> None:
    parent = V.diseases.resolve("rare blood disease")
    for name in ("AML", "MDS", "MM", "SCD", "MGUS", "orpha:519"):
        assert V.diseases.is_a(V.diseases.resolve(name), parent)


def test_a_purpose_a_role_and_a_consent_are_never_to_be_changed() -> None:
    for name in ("purpose", "legal basis", "recipient role", "consent state", "public sector body", "time"):
        assert V.operand(name).changed_by is ChangedBy.NOBODY


def test_the_version_depends_on_statements_not_on_layout(tmp_path: Path) -> None:
    copied = tmp_path / "copy"
    shutil.copytree(bundled("ontologies"), copied, ignore=shutil.ignore_patterns("dictionaries", "shapes"))
    path = copied / "diseases" / "blood-diseases.ttl"
    path.write_text("# a remark\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    assert load_vocabulary(copied).version == V.version
    path.write_text(path.read_text(encoding="utf-8").replace("multiple myeloma", "myeloma"), encoding="utf-8")
    changed = tmp_path / "changed"
    shutil.copytree(copied, changed)
    assert load_vocabulary(changed).version != V.version
    assert load_vocabulary() is V


def test_bad_files_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no vocabulary"):
        load_vocabulary(tmp_path / "nothing")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.ttl").write_text("this is not Turtle", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_vocabulary(tmp_path / "bad")
    assert caught.value.where is not None
    assert caught.value.where.endswith("x.ttl")
