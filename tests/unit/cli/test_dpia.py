"""``synthema dpia``: what works on files alone, and the way of an assessment through a connector."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from synthema.dpia import load_dpia
from synthema.dpia.rdf import from_rdf
from synthema.resources import bundled
from tests.unit.cli.support import data_of, run
from tests.unit.cli.test_connector import home, people, ports, signing
from tests.unit.dpia.test_cnil import export

__all__ = ["home", "people", "ports"]

EXAMPLE = bundled("legal") / "dpia" / "synthetic-data.yaml"


def test_a_file_is_checked_and_handed_out_without_a_connector(tmp_path: Path) -> None:
    said = run("dpia", "check", EXAMPLE).stdout
    assert "Against 'membership'" in said
    assert "18 of 18 thresholds are to be confirmed" in said
    for form in ("html", "turtle", "nquads", "yaml"):
        run("dpia", "export", EXAMPLE, "--to", form, "-o", tmp_path / form)
    assert (tmp_path / "html").read_text().startswith("<!doctype html>")
    assert from_rdf((tmp_path / "turtle").read_bytes(), "turtle") == load_dpia(EXAMPLE)
    assert load_dpia(tmp_path / "yaml") == load_dpia(EXAMPLE)
    run("dpia", "export", EXAMPLE, "-o", tmp_path / "html", status=5)


def test_a_wrong_file_is_explained(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(EXAMPLE.read_text().replace("operator: gteq", "operator: gteqq", 1))
    said = run("dpia", "check", wrong, status=2).stderr
    assert "wrong.yaml:" in said
    assert "did you mean 'gteq'?" in said


def test_two_files_are_compared(tmp_path: Path) -> None:
    looser = tmp_path / "looser.yaml"
    looser.write_text(EXAMPLE.read_text().replace("threshold: 0.65", "threshold: 0.75", 1))
    assert "LOOSER: The threshold of 'membership-attack'" in run("dpia", "diff", EXAMPLE, looser).stdout
    assert "Nothing changed." in run("dpia", "diff", EXAMPLE, EXAMPLE).stdout


def test_an_export_of_the_cnil_tool_becomes_a_draft(tmp_path: Path) -> None:
    (tmp_path / "cnil.json").write_text(json.dumps(export()))
    said = run("dpia", "import", tmp_path / "cnil.json", "-o", tmp_path / "dpia.yaml").stdout
    assert "gates: the threshold of each figure" in said
    assert "names of persons: kept as roles only" in said
    assert "Nobody" not in (tmp_path / "dpia.yaml").read_text()
    (tmp_path / "bad.json").write_text('{"pia": {"name": 1}}')
    assert "pia.name" in run("dpia", "import", tmp_path / "bad.json", "-o", tmp_path / "b.yaml", status=2).stderr


@pytest.mark.article("GDPR 35(2)")
def test_an_assessment_is_signed_watched_and_declared_about(
    home: Path,
    people: dict[str, dict[str, Any]],
    tmp_path: Path,
) -> None:
    first = data_of("dpia", "propose", EXAMPLE, "--confirm", "--home", home)
    for role in ("data steward", "dpo"):
        run("dpia", "sign", first["dpia"], "--home", home, *signing(people[role]))
    told = run("dpia", "status", first["dpia"], "--home", home).stdout
    assert "NOT CONFORMANT" in told  # the plugins are installed, and nobody has approved them
    assert "plugin 'minimise' is not approved" in told
    second = data_of("dpia", "propose", EXAMPLE, "--confirm", "--threshold", "crowd=3", "--home", home)
    assert any("from ≥ 5 to ≥ 3, which is looser" in change["sentence"] for change in second["changes"])
    signed = run("dpia", "sign", second["dpia"], "--home", home, *signing(people["dpo"]))
    assert "LOOSER: The threshold of 'crowd'" in signed.stderr
    assert "LOOSER" in run("dpia", "show", second["dpia"], "--home", home).stdout
    assert "LOOSER" in run("dpia", "diff", first["dpia"], second["dpia"], "--home", home).stdout
    said = ("declare", first["dpia"], "raised", "new-attack", "--text", "a paper")
    assert "does not hold now" in run("dpia", *said, "--home", home, *signing(people["data steward"])).stdout
    assert "better than those tried here" in run("dpia", "status", first["dpia"], "--home", home).stdout
    run("dpia", "declare", first["dpia"], "raised", "nothing", "--text", "so so", "--home", home,
        *signing(people["dpo"]), status=2)  # fmt: skip
    run("dpia", "export", first["dpia"], "-o", tmp_path / "a.html", "--home", home)
    assert "Not conformant." in (tmp_path / "a.html").read_text()
    assert "withdrawn" in run("dpia", "withdraw", first["dpia"], "--home", home).stdout
    run("dpia", "status", "dpia-none", "--home", home, status=4)
