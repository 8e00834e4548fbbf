from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from synthema.datasets import Codebook, Variable, dictionary, load_codebook
from synthema.errors import InputError
from synthema.resources import bundled

NAMES = ("aml", "mds", "mgus", "mm", "scd")


@pytest.mark.parametrize("name", NAMES)
def test_dictionaries_are_fit_for_private_computation(name: str) -> None:
    book = dictionary(name)
    assert book.variable(book.patient_key).role == "identifier"
    assert book.outcomes
    for variable in book.variables:
        if variable.role == "identifier":
            assert variable.name == book.patient_key
        elif variable.type == "category":
            assert len(variable.categories) >= 2
        else:
            assert variable.edges[0] == variable.minimum, variable.name
            assert variable.edges[-1] == variable.maximum, variable.name
            assert 5 <= len(variable.edges) - 1 <= 12, variable.name
        if variable.role == "quasi-identifier" and variable.type != "category":
            assert (variable.bands[0], variable.bands[-1]) == (variable.minimum, variable.maximum)
    for outcome in book.outcomes:
        assert outcome.event_value in book.variable(outcome.event).categories
        assert book.variable(outcome.time).role == "time"
    assert dictionary(name).digest == book.digest


def test_their_diseases_are_those_of_the_vocabulary() -> None:
    known = (bundled("ontologies") / "diseases" / "blood-diseases.ttl").read_text()
    for name in NAMES:
        assert dictionary(name).disease.rpartition("_")[2] in known


def test_an_unknown_dictionary() -> None:
    with pytest.raises(InputError, match="no dictionary 'gout'") as error:
        dictionary("gout")
    assert "aml" in error.value.fix
    with pytest.raises(InputError):
        dictionary("../../pyproject")


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ({"type": "text"}, "only be an identifier"),
        ({"type": "category"}, "needs its list"),
        ({"type": "category", "categories": ["a", "a"]}, "named twice"),
        ({"type": "category", "categories": ["a", "NA"]}, "also a text for missing"),
        ({"type": "decimal"}, "minimum < maximum"),
        ({"type": "decimal", "minimum": 2, "maximum": 1}, "minimum < maximum"),
        ({"type": "decimal", "minimum": 0, "maximum": 1, "edges": [1, 0]}, "edges must rise"),
        ({"type": "decimal", "minimum": 0, "maximum": 1, "typical": [1, 0]}, "typical"),
        ({"type": "decimal", "minimum": 0, "maximum": 1, "other_units": [{"unit": "x", "factor": 0}]}, "factor"),
        ({"type": "date"}, "type"),
        ({"type": "decimal", "minimum": 0, "maximum": 1, "colour": "red"}, "colour"),
    ],
)
def test_variables_that_make_no_sense(variable: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Variable.model_validate({"name": "x", "label": "X"} | variable)


def test_loading_names_file_and_field(tmp_path: Path) -> None:
    path = tmp_path / "book.yaml"
    document = dictionary("mgus").model_dump(mode="json")
    document["variables"][1]["minimum"] = 500
    for text, said in (
        (yaml.safe_dump(document), "variables.1"),
        ("id: [", "not valid YAML"),
        ("[]", "codebook"),
        ("", "codebook"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=said) as error:
            load_codebook(path)
        assert error.value.where == str(path)
    path.write_bytes(b"\xff")
    with pytest.raises(InputError):
        load_codebook(path)
    with pytest.raises(InputError):
        load_codebook(tmp_path / "none.yaml")
    with pytest.raises(InputError):
        load_codebook(tmp_path)


def test_keeping_some_variables_keeps_what_still_holds() -> None:
    book = dictionary("mgus").keep(("age", "futime", "death"))
    assert isinstance(book, Codebook)
    assert [o.name for o in book.outcomes] == ["overall survival"]
    assert [rule.id for rule in book.rules] == ["age-at-last-contact"]  # the others lost a variable
    with pytest.raises(InputError):
        book.keep(("hgb",))
