"""Published knowledge: found by code or plain name, asked only of those who show it, and lost when columns part."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import polars as pl
import pytest

from synthema.datasets import dictionary
from synthema.datasets.codebook import Codebook, Variable
from synthema.spi.published import FOLDER, Check, checks_of, concepts
from synthema_evaluation.columns import Tables, compared_variables
from synthema_evaluation.concepts import Found
from synthema_evaluation.fidelity import genomic
from synthema_evaluation.published import effect_of, knowledge_metric

AML = "http://www.orpha.net/ORDO/Orphanet_519"
DISEASES = (
    AML,
    "http://www.orpha.net/ORDO/Orphanet_52688",
    "http://www.orpha.net/ORDO/Orphanet_232",
    "http://www.orpha.net/ORDO/Orphanet_29073",
    "http://purl.obolibrary.org/obo/MONDO_0004225",
)


def gene(name: str, *, categories: tuple[str, ...] = ("0", "1"), codes: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"name": name, "label": name, "type": "category", "categories": categories, "more_codes": codes}


def book(*more: dict[str, Any], outcome: str = "overall survival") -> Codebook:
    return Codebook.model_validate(
        {
            "id": "leukaemia",
            "version": "1",
            "title": "Simulated leukaemia",
            "disease": AML,
            "patient_key": "patient",
            "variables": [
                {"name": "patient", "label": "Patient", "type": "text", "role": "identifier"},
                {"name": "age", "label": "Age", "type": "integer", "minimum": 18, "maximum": 100},
                *more,
                {"name": "days", "label": "Days", "type": "decimal", "role": "time", "minimum": 0, "maximum": 9999},
                {"name": "status", "label": "Status", "type": "category", "role": "event", "categories": ["0", "1"]},
            ],
            "outcomes": [{"name": outcome, "time": "days", "event": "status", "event_value": "1", "unit": "d"}],
        }
    )


BOOK = book(
    gene("risk_2022", categories=("Favorable", "Intermediate-I", "Adverse")),
    gene("NPM1"),
    gene("FLT3_ITD"),
)


def patients(rows: int, seed: int) -> pl.DataFrame:
    """Simulated patients in whom risk and age shorten survival, and NPM1 and FLT3-ITD go together."""
    random = np.random.default_rng(seed)
    risk = random.integers(0, 3, rows)
    age = random.integers(20, 90, rows)
    npm1 = random.random(rows) < 0.3
    itd = random.random(rows) < np.where(npm1, 0.5, 0.15)
    days = random.exponential(2000 / np.exp(0.7 * risk + 0.03 * (age - 55)))
    return pl.DataFrame(
        {
            "age": age,
            "risk_2022": [("Favorable", "Intermediate-I", "Adverse")[level] for level in risk],
            "NPM1": npm1.astype(int).astype(str),
            "FLT3_ITD": itd.astype(int).astype(str),
            "days": days.clip(1, 9999),
            "status": (random.random(rows) < 0.8).astype(int).astype(str),
        }
    )


def parted(table: pl.DataFrame) -> pl.DataFrame:
    return pl.DataFrame([table[c].sample(table.height, shuffle=True, seed=i) for i, c in enumerate(table.columns)])


def known(synthetic: pl.DataFrame, codebook: Codebook = BOOK) -> tuple[Any, dict[str, dict[str, Any]]]:
    tables = Tables(patients(600, 1), patients(300, 2), synthetic)
    metric, series = knowledge_metric(tables, codebook, compared_variables(codebook, *(tables.train, synthetic)))
    return metric, {each["id"]: each for each in series.get("checks", [])}


def test_every_source_was_looked_up() -> None:
    assert all(check.checked for disease in DISEASES for check in checks_of(disease))


def test_every_finding_names_its_source_and_speaks_of_known_concepts_and_levels() -> None:
    for disease in DISEASES:
        checks = checks_of(disease)
        assert len({check.id for check in checks}) == len(checks) >= 5
        for check in checks:
            assert re.search(r"(19|20)\d\d;\d+|doi 10\.|PMC\d+", check.source), check.id
            assert check.concepts <= set(concepts()), check.id
            for group in check.groups:
                for concept, wanted in group.items():
                    levels = concepts()[concept].levels or dict.fromkeys(("present", "absent"), frozenset[str]())
                    assert set([wanted] if isinstance(wanted, str) else wanted) <= set(levels), check.id
            assert bool(check.groups) != (len(check.of) in (1, 2) and check.kind not in ("higher", "more_often"))


def test_no_pack_names_two_things_alike() -> None:
    names = [name for concept in concepts().values() for name in concept.names]
    codes = [code for concept in concepts().values() for code in concept.codes]
    assert len(set(names)) == len(names)
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z0-9]+", name) for name in names)
    assert len(list(FOLDER.glob("*.yaml"))) == len(DISEASES) + 1


def test_fresh_patients_reproduce_what_is_published_and_parted_columns_lose_it() -> None:
    fresh, lines = known(patients(600, 3))
    assert fresh.value == 1.0
    assert fresh.control == 1.0
    assert {name for name, line in lines.items() if line["verdict"] == "reproduced"} == {
        "genetic-risk-order", "age-shortens-survival", "npm1-with-itd",
    }  # fmt: skip
    lost, lines = known(parted(patients(600, 3)))
    assert lost.value == 0.0
    assert lost.upper < 0.25
    assert lines["age-shortens-survival"]["verdict"] in ("weaker", "contradicted")


def test_each_finding_says_in_a_sentence_who_shows_it() -> None:
    _, lines = known(patients(600, 3))
    assert lines["npm1-with-itd"]["says"] == "The real data show it; the synthetic data show it."
    assert lines["itd-takes-the-gain-of-npm1"]["says"] == "The real data do not show it clearly."
    _, lost = known(parted(patients(600, 3)))
    assert lost["npm1-with-itd"]["says"].startswith("The real data show it; the synthetic data do not")


def test_what_training_rows_do_not_show_is_not_asked() -> None:
    _, lines = known(patients(600, 3))
    # in these patients neither gene changes survival, and no other gene is there
    assert lines["itd-takes-the-gain-of-npm1"]["verdict"].startswith("not asked: training rows do not show")
    assert lines["tp53-adverse"]["verdict"].startswith("not asked: too few training rows")
    assert lines["tp53-adverse"]["real"] is None


def test_a_turned_effect_is_a_contradiction_and_a_vanished_group_a_loss() -> None:
    made = patients(600, 3)
    swapped = made.with_columns(
        pl.col("risk_2022").replace({"Favorable": "Adverse", "Adverse": "Favorable"}), NPM1=pl.lit("0")
    )
    metric, lines = known(swapped)
    assert lines["genetic-risk-order"]["verdict"] == "contradicted"
    assert lines["npm1-with-itd"]["verdict"].startswith("lost")
    assert metric.value == pytest.approx(1 / 3)


def test_a_variable_is_found_by_code_and_two_of_a_kind_are_not_chosen_between() -> None:
    coded = book(gene("mutation_a", codes=("http://identifiers.org/hgnc:7910",)))
    assert _name(coded, "npm1") == "mutation_a"
    assert _name(book(gene("b", codes=("http://identifiers.org/hgnc/7910",))), "npm1") == "b"
    assert _name(book(gene("c", codes=("http://identifiers.org/hgnc:17910",))), "npm1") is None
    assert _name(book(gene("npm1"), gene("NPM1")), "npm1") is None
    assert _name(book(gene("TP53"), gene("tp53_multi")), "tp53 multi-hit") == "tp53_multi"


def _name(codebook: Codebook, concept: str) -> str | None:
    variable = Found(codebook, codebook.variables).variable(concept)
    return None if variable is None else variable.name


def test_categories_of_any_wording_are_read() -> None:
    codebook = book(gene("tp53", categories=("wild type", "mutated")))
    table = pl.DataFrame({"tp53": ["mutated", "wild type", None, "mutated"]})
    rows = Found(codebook, codebook.variables).rows(table, {"tp53": "present"})
    assert rows is not None
    assert rows[0].tolist() == [True, False, False, True]
    assert rows[1].tolist() == [True, True, False, True]
    assert Found(codebook, codebook.variables).rows(table, {"npm1": "present"}) is None


def test_survival_free_of_something_is_not_taken_for_death() -> None:
    assert Found(book(outcome="overall survival"), ()).outcome("death") is not None
    mixed = book(outcome="progression-free survival")
    assert Found(mixed, ()).outcome("progression") is None


def test_effects_by_hand() -> None:
    codebook, found = BOOK, Found(BOOK, BOOK.variables)
    cells = [("1", "1")] * 30 + [("1", "0")] * 10 + [("0", "1")] * 20 + [("0", "0")] * 40
    table = pl.DataFrame({"NPM1": [a for a, _ in cells], "FLT3_ITD": [b for _, b in cells]})
    together = Check("x", "", "", False, "together", of=("npm1", "flt3-itd"))
    effect = effect_of(together, table, table, found, codebook)
    assert effect is not None
    assert effect.value == pytest.approx(np.log(30 * 40 / (10 * 20)))
    assert effect.error == pytest.approx(np.sqrt(1 / 30 + 1 / 40 + 1 / 10 + 1 / 20))
    apart = effect_of(
        Check("x", "", "", False, "apart", of=("npm1", "flt3-itd"), sign=-1.0), table, table, found, codebook
    )
    assert apart is not None
    assert apart.value == pytest.approx(-effect.value)


@pytest.mark.article("GDPR 5(1)(f)")
def test_how_few_patients_have_two_mutations_cannot_be_read_off() -> None:
    def told(both: int) -> Any:
        cells = [("1", "1")] * both + [("1", "0")] * (20 - both) + [("0", "1")] * (20 - both) + [("0", "0")] * 60
        table = pl.DataFrame({"NPM1": [a for a, _ in cells], "FLT3_ITD": [b for _, b in cells]})
        pair = Check("x", "", "", False, "together", of=("npm1", "flt3-itd"))
        effect = effect_of(pair, table, table, Found(BOOK, BOOK.variables), BOOK)
        assert effect is not None
        return effect.value + 2 * np.log(20 - both)  # what the larger cells add is taken off

    assert told(0) == pytest.approx(told(1))
    assert told(1) == pytest.approx(told(4))
    assert told(4) != pytest.approx(told(8))


def test_the_bundled_dictionaries_are_understood() -> None:
    for name, fewest in (("aml", 15), ("mds", 8), ("mgus", 6), ("mm", 8), ("scd", 6)):
        codebook = dictionary(name)
        found = Found(codebook, codebook.variables)
        asked = [c for c in checks_of(codebook.disease) if all(found.variable(concept) for concept in c.concepts)]
        assert len(asked) >= fewest, (name, len(asked))
        assert found.outcome("death") is not None


def test_genes_are_known_by_symbol_or_code() -> None:
    def named(name: str, *codes: str) -> Variable:
        return Variable.model_validate(gene(name, codes=codes))

    assert genomic(named("tp53"))
    assert genomic(named("FLT3_ITD"))
    assert genomic(named("anything", "http://identifiers.org/hgnc:1"))
    assert not genomic(named("complex_karyotype"))
    assert not genomic(named("age"))
