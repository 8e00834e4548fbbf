"""The manifest: understood whole or refused with the field's name, and put into sentences."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from synthema.errors import InputError, PluginError
from synthema.spi import manifest as manifest_module
from synthema.spi.manifest import Manifest, Parameter, describe, load_manifest, schema_text
from tests.unit.spi.plugin_files import manifest_text

PLUGINS = Path(__file__).parents[3] / "plugins"
FIRST_PARTY = sorted(PLUGINS.glob("synthema_*/plugin.toml"))


def load(tmp_path: Path, text: str) -> Manifest:
    path = tmp_path / "plugin.toml"
    path.write_text(text, encoding="utf-8")
    return load_manifest(path)


def documented_example() -> str:
    return textwrap.dedent((manifest_module.__doc__ or "").split("::\n", 1)[1])


def test_the_documented_example_is_valid(tmp_path: Path) -> None:
    manifest = load(tmp_path, documented_example())
    assert manifest.kinds == ("federated-algorithm",)
    assert manifest.validate_parameters({}) == {"degree": 2}


def test_the_published_schema_is_current() -> None:
    published = (PLUGINS / "plugin.schema.json").read_text(encoding="utf-8")
    assert published == schema_text(), "run: python -m synthema.spi.manifest > plugins/plugin.schema.json"


@pytest.mark.parametrize("path", FIRST_PARTY, ids=lambda path: path.parent.name)
def test_first_party_manifests_fit_the_schema_and_read_well(path: Path) -> None:
    import tomllib

    jsonschema.validate(tomllib.loads(path.read_text(encoding="utf-8")), json.loads(schema_text()))
    assert all(sentence.endswith(".") for sentence in describe(load_manifest(path)))


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('network = "none"', 'network = "loopback"', "network"),
        ('network = "none"', "", "network"),
        ('name = "x"', 'name = "X y"', "name"),
        ('version = "0.1.0"', 'version = "one"', "is not a version"),
        ('api = ">=0.1,<1"', 'api = ">=2"', "this is 0.1.0"),
        ('api = ">=0.1,<1"', 'api = "any"', "is not a version range"),
        ('["analyse"]', '["analyze"]', "there is no hook named analyze"),
        ('["analyse"]', '["evaluate"]', "also has analyse"),
        ('["analyse"]', '["analyse", "anonymise"]', "also has anonymised_codebook"),
        ('["analyse"]', '["analyse", "analyse"]', "named twice"),
        ('kind = "analysis"', 'kind = "magic"', "is none of"),
        ('unit = "none"', 'unit = "patient"', "both 'none'"),
        ('outputs = ["aggregate"]', 'outputs = ["everything"]', "outputs"),
        ("spec_version = 1", "spec_version = 2", "spec_version"),
        ("spec_version = 1", "spec_version = 1\nsurprise = 1", "surprise"),
        ("spec_version = 1", "spec_version = ", "not valid TOML"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_its_name(tmp_path: Path, old: str, new: str, what: str) -> None:
    text = manifest_text("x-y").replace('name = "x-y"', 'name = "x"').replace('"x"', '"xx"')
    changed = text.replace(old.replace('"x"', '"xx"'), new, 1)
    assert changed != text
    with pytest.raises(PluginError) as caught:
        load(tmp_path, changed)
    assert what in caught.value.message
    assert caught.value.where
    assert caught.value.fix


def test_a_missing_manifest_says_where_to_put_one(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"no plugin\.toml"):
        load_manifest(tmp_path / "plugin.toml")


def parameter(**values: Any) -> Parameter:
    return Parameter(name="p", description="a number", **values)


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 3}, [0, 4, 1.0, True, "1", None, [1]]),
        ({"type": "number", "maximum": 1}, [2, float("nan"), float("inf"), True, "1"]),
        ({"type": "boolean"}, [0, "true"]),
        ({"type": "string", "choices": ("a", "b")}, ["c", 1, ""]),
        ({"type": "string", "maximum_items": 3}, ["long text"]),
        ({"type": "array", "items": "integer", "minimum": 0, "maximum_items": 2}, [[1, 2, 3], [-1], ["a"], "ab", {}]),
        ({"type": "object", "items": "string"}, [{"a": 1}, ["a"], "a"]),
    ],
)
def test_a_parameter_takes_only_what_it_says(values: dict[str, Any], wrong: list[Any]) -> None:
    subject = parameter(**values)
    for value in wrong:
        with pytest.raises(InputError) as caught:
            subject.check(value)
        assert caught.value.where == "parameters.p"


@pytest.mark.parametrize(
    "values",
    [{"type": "array"}, {"type": "integer", "items": "integer"}, {"type": "integer", "maximum": 1, "default": 2}],
)
def test_a_parameter_that_contradicts_itself_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="p"):
        parameter(**values)


def test_parameters_are_filled_in_checked_and_unknown_ones_named(tmp_path: Path) -> None:
    more = """
[[parameters]]
name = "must"
type = "integer"
description = "a number that has to be said"
[[parameters]]
name = "may"
type = "string"
optional = true
description = "a word"
"""
    manifest = load(tmp_path, manifest_text("some") + more)
    assert manifest.validate_parameters({"must": 1}) == {"must": 1}
    assert manifest.validate_parameters({"must": 1, "may": "x"}) == {"must": 1, "may": "x"}
    with pytest.raises(InputError, match="'must' is missing"):
        manifest.validate_parameters({})
    with pytest.raises(InputError, match="no parameter 'other'"):
        manifest.validate_parameters({"must": 1, "other": 2})


def test_a_dpo_reads_what_matters(tmp_path: Path) -> None:
    text = " ".join(describe(load(tmp_path, documented_example())))
    for words in (
        "pseudonymised personal data",
        "synthetic rows",
        "differential privacy for each patient",
        "measured by tests, not proven",
        "at least three sites take part",
        "no network",
        "at least 1, at most 3, 2 unless said otherwise",
        "Apache-2.0",
    ):
        assert words in text
