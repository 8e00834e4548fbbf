"""Commands that write and explain a policy: as text, to file, for machines."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from synthema.policy import from_odrl, parse_policy, policy_digest, to_nquads, to_turtle
from tests.unit.cli.support import data_of, new_policy, run
from tests.unit.policy.language import COMPLETE
from tests.unit.policy.sample import V


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "complete.yaml"
    path.write_text(COMPLETE, encoding="utf-8")
    return path


def test_a_policy_is_explained_as_text_and_for_machines(file: Path) -> None:
    said = run("policy", "explain", file).stdout
    assert "takes over the rules of the policy research-base, version 3" in said
    assert data_of("policy", "explain", file)["sentences"] == said.rstrip("\n").split("\n")


def test_a_policy_is_explained_to_be_filed(file: Path, tmp_path: Path) -> None:
    assert run("policy", "explain", file, "--format", "markdown").stdout.startswith("# Research with the registry")
    page = tmp_path / "policy.html"
    assert "is written" in run("policy", "explain", file, "--format", "html", "-o", page).stdout
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    run("policy", "explain", file, "-o", page, status=5)  # never overwritten


def test_a_policy_is_written_for_other_systems(file: Path, tmp_path: Path) -> None:
    policy = parse_policy(COMPLETE, V, base="https://a.example")
    at = ("--base", "https://a.example")
    assert run("policy", "export", file, *at).stdout == to_turtle(policy)
    assert run("policy", "export", file, "--to", "nquads", *at).stdout.encode() == to_nquads(policy)
    written = tmp_path / "policy.jsonld"
    run("policy", "export", file, "--to", "jsonld", *at, "-o", written)
    assert from_odrl(json.loads(written.read_text(encoding="utf-8")), V) == policy
    assert data_of("policy", "export", file, *at)["digest"] == policy_digest(policy)


def test_the_schema_for_editors_is_printed(tmp_path: Path) -> None:
    schema = json.loads(run("policy", "schema").stdout)
    value = yaml.safe_load(new_policy(tmp_path / "research.yaml").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(value)
    copy = tmp_path / "policy.schema.json"
    assert "yaml-language-server: $schema=policy.schema.json" in run("policy", "schema", "-o", copy).stdout
    assert json.loads(copy.read_text(encoding="utf-8")) == schema


def test_all_mistakes_are_told_with_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(COMPLETE.replace("do: keep log", "do: keep lock").replace("layer: site", "layer: sit"))
    for command in ("explain", "lint", "export"):
        told = run("policy", command, file, status=2).stderr
        assert f"{file}:3: 'sit' is not a known layer (fix: did you mean 'site'?)" in told
        assert "'keep lock' is not a known duty (fix: did you mean 'keep log'?)" in told
    envelope = json.loads(run("policy", "explain", file, "--format", "json", status=2).stdout)
    assert envelope["error"]["where"] == f"{file}:3"
