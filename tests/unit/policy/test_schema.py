"""The JSON Schema takes every policy that is shipped, and is never stricter than the reader."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from synthema.policy import parse_policy, render, schema_text, template_names, write_form
from synthema.resources import bundled
from tests.unit.policy.language import COMPLETE
from tests.unit.policy.sample import VALUES, V
from tests.unit.policy.test_templates import values_of

SCHEMA = json.loads(schema_text(V))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
FOLDER = bundled("policies")


def read(text: str) -> object:
    return yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - BaseLoader makes strings only


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", sorted((FOLDER / "law").glob("*.yaml")), ids=lambda path: path.stem)
def test_it_takes_the_law(path: Path) -> None:
    VALIDATOR.validate(read(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", template_names())
def test_it_takes_every_template_as_written_and_as_written_back(name: str) -> None:
    text = render(name, values_of(name))
    VALIDATOR.validate(read(text))
    VALIDATOR.validate(yaml.safe_load(text))  # as an editor sees it: numbers are numbers
    VALIDATOR.validate(read(write_form(parse_policy(text, V), V)))


def test_it_takes_the_example_of_the_guide_and_every_construct() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", (FOLDER / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    for text in (example, COMPLETE, write_form(parse_policy(COMPLETE, V), V)):
        VALIDATOR.validate(read(text))


WORDINGS = [
    ("synthesise", "Synthesise"),
    ("synthesise", "syn:synthesise"),
    ("synthesise", "make synthetic data"),
    ("synthesise", "synthesize"),
    ("synthesise", "https://w3id.org/synthema/ns#synthesise"),
    ("purpose is:", "Purpose is:"),
    ("epsilon at most", "epsilon is at most"),
    ("epsilon at most", "privacy loss at most"),
    ("epsilon at most", "epsilonRequested at most"),
    ("epsilon at most", "syn:epsilonRequested at most"),
    ("health research", "Health Research"),
    ("targets: any dataset", "targets: Any dataset"),
    ("layer: site", "layer: L2"),
    ("layer: site", "layer: l2"),
    ("layer: site", "layer: Site"),
    ("when: after", "when: post"),
    ("all of:", "All of:"),
]


@pytest.mark.parametrize(("known", "other"), WORDINGS)
def test_it_leaves_other_spellings_to_the_reader(known: str, other: str) -> None:
    text = render("research-synthetic-data", VALUES["research-synthetic-data"])
    changed = text.replace(known, other)
    assert changed != text
    assert parse_policy(changed, V) == parse_policy(text, V)
    VALIDATOR.validate(read(changed))


def test_editors_are_told_what_a_line_means() -> None:
    properties = SCHEMA["properties"]
    assert all(len(properties[key]["description"]) > 20 for key in properties)
    for section in ("permit", "forbid", "oblige"):
        rule = properties[section]["items"]["properties"]
        assert all(len(rule[key]["description"]) > 20 for key in rule)
    condition = SCHEMA["$defs"]["condition"]["properties"]
    assert "differential privacy" in condition["epsilon at most"]["description"]
    assert "export where" in SCHEMA["$defs"]["action"]["anyOf"][0]["anyOf"][1]["properties"]
