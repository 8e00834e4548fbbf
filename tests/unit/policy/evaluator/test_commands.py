"""``synthema policy evaluate`` and ``import`` at the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from synthema.policy import parse_policy
from synthema.policy.intake import Syntax, read_graph
from synthema.policy.rdf import to_turtle
from tests.unit.cli.support import run
from tests.unit.policy import sample
from tests.unit.policy.evaluator.worlds import PREFIXES, act, asking, permission, saying


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """A policy, a request and a state of the world, as files."""
    texts = {
        "policy": permission("odrl:duty [ odrl:action odrl:inform ]"),
        "request": asking(),
        "world": saying(),
        "told": saying(rest=act("letter", "odrl:inform")),
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.ttl").write_text(PREFIXES + text)
    return {name: str(tmp_path / f"{name}.ttl") for name in texts}


def test_a_denial_is_told_and_exits_3(files: dict[str, str]) -> None:
    given = ("--policy", files["policy"], "--request", files["request"], "--world", files["world"])
    result = run("policy", "evaluate", *given, status=3)
    assert "is not fulfilled yet" in result.stdout
    lax = run("policy", "evaluate", *given, "--duties", "lax", "--format", "json")
    assert json.loads(lax.stdout)["data"]["effect"] == "permit"


@pytest.mark.parametrize(("form", "syntax"), [("turtle", Syntax.TURTLE), ("nquads", Syntax.N_QUADS)])
def test_a_permit_comes_as_rdf(files: dict[str, str], form: str, syntax: Syntax) -> None:
    given = ("--policy", files["policy"], "--request", files["request"], "--world", files["told"])
    result = run("policy", "evaluate", *given, "--format", form)
    graph = read_graph(result.stdout.encode(), syntax)
    assert graph.of_type("https://w3id.org/force/compliance-report#PermissionReport")


def test_without_a_request_what_was_done_is_checked(files: dict[str, str]) -> None:
    assert "complies" in run("policy", "evaluate", "--policy", files["policy"], "--world", files["world"]).stdout


def test_the_time_can_be_given(files: dict[str, str]) -> None:
    given = ("--policy", files["policy"], "--world", files["world"], "--at", "2027-01-01T00:00:00Z")
    result = run("policy", "evaluate", *given, "--format", "json")
    assert json.loads(result.stdout)["data"]["at"] == "2027-01-01T00:00:00.000000Z"


def test_a_file_that_is_not_understood_is_named(files: dict[str, str], tmp_path: Path) -> None:
    broken = tmp_path / "broken.ttl"
    broken.write_text(PREFIXES + "ex:policy a odrl:Set ; odrl:permissions ex:a .")
    result = run("policy", "evaluate", "--policy", str(broken), "--world", files["world"], status=2)
    assert "broken.ttl" in result.stderr
    assert "odrl:permission" in result.stderr


def test_a_policy_is_imported_as_the_form_of_a_dpo(tmp_path: Path) -> None:
    policy = sample.template("research-synthetic-data")
    source = tmp_path / "research.ttl"
    source.write_text(to_turtle(policy))
    target = tmp_path / "research.yaml"
    assert "policy lint" in run("policy", "import", str(source), "-o", str(target)).stdout
    assert parse_policy(target.read_text(), sample.V) == policy
    assert "layer: site" in run("policy", "import", str(source)).stdout


def test_a_policy_of_others_is_imported_for_a_layer(tmp_path: Path) -> None:
    source = tmp_path / "partner.ttl"
    text = (
        "@prefix syn: <https://w3id.org/synthema/ns#> . ex:p a odrl:Set ; "
        "odrl:permission [ odrl:action syn:synthesise ; odrl:target ex:samples ] ."
    )
    source.write_text(PREFIXES + text)
    assert "not in the Synthema profile" in run("policy", "import", str(source), status=2).stderr
    assert "layer: dataset" in run("policy", "import", str(source), "--layer", "dataset").stdout
    assert "is no layer" in run("policy", "import", str(source), "--layer", "planet", status=2).stderr
