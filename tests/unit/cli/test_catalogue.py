"""What the commands on the health catalogue say, and the files they write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from synthema.cli import catalogue
from tests.unit.cli.support import data_of, run

MISSING = {"field": "hdab", "sentence": "which health data access body supports access", "example": "hdab: {…}"}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """What the connector was asked; it answers as if one dataset were incomplete."""
    calls: list[tuple[str, Any]] = []
    state = {"dataset": "mgus", "iri": "urn:x", "title": "MGUS", "readers": "hubs"}
    answers: dict[str, Any] = {
        "catalogue/show": [state | {"complete": False, "missing": [MISSING]}],
        "catalogue/export": {"mediaType": "text/turtle", "text": "<urn:x> a <urn:y> .\n"},
        "catalogue/croissant": {"@type": "sc:Dataset"},
        "dataset/describe": {"dataset": "mgus", "version": 2, "described": ["contact"], "missing": [MISSING]},
    }

    def call(_home: Path, operation: str, value: Any = None) -> Any:
        calls.append((operation, value))
        return answers[operation]

    monkeypatch.setattr(catalogue, "call", call)
    return calls


def test_show_names_what_is_missing_and_the_command(asked: list[tuple[str, Any]]) -> None:
    said = run("catalogue", "show").stdout
    assert "lacks 1 facts" in said
    assert "hdab: which health data access body supports access; e.g. hdab: {…}" in said
    assert "synthema dataset describe mgus facts.yaml" in said
    assert data_of("catalogue", "show")[0]["complete"] is False
    assert [operation for operation, _ in asked] == ["catalogue/show"] * 2


def test_describe_sends_what_the_file_states_and_says_what_is_left(
    asked: list[tuple[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "facts.yaml").write_text("contact: mailto:data@clinic.example\n")
    said = run("dataset", "describe", "mgus", tmp_path / "facts.yaml").stdout
    assert asked == [("dataset/describe", {"dataset": "mgus", "facts": {"contact": "mailto:data@clinic.example"}})]
    assert "mgus, version 2: contact is stated now." in said
    assert "still lacks" in said


def test_export_writes_a_new_file_and_claims_no_admission(asked: list[tuple[str, Any]], tmp_path: Path) -> None:
    file = tmp_path / "mgus.ttl"
    said = run("catalogue", "export", "--dataset", "mgus", "-o", file).stdout
    assert file.read_text() == "<urn:x> a <urn:y> .\n"
    assert "that is no admission to the catalogue of HealthData@EU" in said
    assert asked == [("catalogue/export", {"dataset": "mgus", "form": "turtle"})]
    assert "this file exists already" in run("catalogue", "export", "-o", file, status=5).stderr


def test_croissant_is_written_as_json(asked: list[tuple[str, Any]], tmp_path: Path) -> None:
    file = tmp_path / "croissant.json"
    said = run("catalogue", "croissant", "sha256:ab", "-o", file).stdout
    assert json.loads(file.read_text()) == {"@type": "sc:Dataset"}
    assert "It is no certificate" in said
    assert asked == [("catalogue/croissant", {"artefact": "sha256:ab"})]
