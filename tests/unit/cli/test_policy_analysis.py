"""Analysis before activation on files, and at a connector."""

from __future__ import annotations

import socket
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from synthema.assembly import Connector, find_operation
from synthema.clock import FixedClock
from synthema.config import load_settings
from synthema.policy import access_request, decide
from synthema.runs import store
from synthema.runs.model import RunRequest, Step
from tests.unit.cli.support import data_of, new_policy, run

SMALL = """\
policy: small
title: Small
layer: site
version: {version}
law: GDPR 9(2)(j)
permit:
  - id: work
    action: [synthesise, analyse]
    when: {{purpose is: {purpose}, epsilon at most: {epsilon}}}
confirmed: {{epsilon: agreed}}
"""

REQUEST = """\
action: synthesise
target: https://a.example/id/dataset/mgus
assignee: did:web:hub.example
at: 2027-01-15
facts: {purpose: health research, epsilon: 7, legal basis: research exception, dpia outcome: risks mitigated,
  data format: pseudonymised, regime: pre-EHDS}
"""

CASES = """\
policy: https://w3id.org/synthema/id/policy/small
request: {action: synthesise, target: "https://a.example/id/dataset/mgus", assignee: "did:web:hub.example"}
cases:
  - {name: nothing is known, expect: deny}
"""


def small(folder: Path, name: str = "small.yaml", **changed: object) -> Path:
    path = folder / name
    path.write_text(SMALL.format(**({"version": 1, "purpose": "health research", "epsilon": 6} | changed)))
    return path


# on files ------------------------------------------------------------------------------------


def test_lint_names_line_article_and_example(tmp_path: Path) -> None:
    file = small(tmp_path, purpose="dpv:Advertising")
    result = run("policy", "lint", file, status=2)
    assert (
        f"error: work: whatever this rule permits, ehds-54-c of the layer 'union law' forbids (EHDS 54(c)) ({file}:7)"
        in result.stdout
    )
    assert "For example: to" in result.stdout
    finding = data_of("policy", "lint", file, status=2)["findings"][0]
    assert (finding["code"], finding["severity"], finding["where"]) == ("never-permits", "error", f"{file}:7")
    assert finding["witness"]["facts"]


def test_lint_of_a_folder_checks_every_policy_below_it_with_one_line_each_and_a_sum(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    good = small(tmp_path / "below", "good.yaml")
    (tmp_path / "cases.yaml").write_text(CASES)
    ran = run("policy", "lint", tmp_path)
    assert f"ok  {good}: " in ran.stdout
    assert ran.stdout.endswith("1 of 1 policies need no mending. 1 other YAML files are no policies.\n")
    bad = small(tmp_path, "bad.yaml", purpose="dpv:Advertising")
    broken = tmp_path / "broken.yml"
    broken.write_text("policy: [")
    ran = run("policy", "lint", tmp_path, status=2)
    assert f"MEND  {bad}: 1 error" in ran.stdout
    assert f"MEND  {broken}: not valid YAML" in ran.stdout
    assert "1 of 3 policies need no mending." in ran.stdout
    found = data_of("policy", "lint", tmp_path, status=2)
    assert (found["clean"], found["others"], len(found["policies"])) == (1, 1, 3)
    assert [each["clean"] for each in found["policies"]] == [False, True, False]
    (tmp_path / "empty").mkdir()
    assert "there are no policies here" in run("policy", "lint", tmp_path / "empty", status=2).stderr


def test_lint_looks_at_other_layers_too(tmp_path: Path) -> None:
    dataset = tmp_path / "dataset.yaml"
    dataset.write_text(
        "policy: data\ntitle: D\nlayer: dataset\nversion: 1\nlaw: GDPR 5(1)(b)\n"
        "forbid: [{id: none, action: process data}]\n"
    )
    result = run("policy", "lint", small(tmp_path), "--with", dataset)
    assert "none of the layer 'dataset' forbids" in result.stdout
    assert "nothing stands against it" in result.stdout


def test_diff_tells_each_class_with_an_example(tmp_path: Path) -> None:
    old, new = small(tmp_path), small(tmp_path, "new.yaml", version=2, epsilon=8)
    told = run("policy", "diff", old, new).stdout
    assert "Now permitted, before it was not" in told
    assert "is more than 6 and at most 8" in told
    assert "with purpose: health research; epsilon: 7" in told
    assert "1 class of requests is answered otherwise; every other request is answered alike." in told
    found = data_of("policy", "diff", old, new)
    assert (found["old"], found["new"], found["complete"]) == ("1", "2", True)
    assert run("policy", "diff", old, old).stdout == "Both versions answer every request alike.\n"


def test_diff_beside_other_layers_is_about_the_decision(tmp_path: Path) -> None:
    old, new = small(tmp_path), small(tmp_path, "new.yaml", version=2, epsilon=8)
    dataset = tmp_path / "dataset.yaml"
    dataset.write_text(
        "policy: data\ntitle: D\nlayer: dataset\nversion: 1\nlaw: GDPR 5(1)(b)\npermit: [{action: analyse}]\n"
    )
    found = data_of("policy", "diff", old, new, "--with", dataset)
    assert found["differences"] == [], "without an agreement nothing is permitted"


def test_what_if_says_which_fact_would_turn_the_decision(tmp_path: Path) -> None:
    file = tmp_path / "request.yaml"
    file.write_text(REQUEST)
    others = []
    for layer in ("dataset", "agreement"):
        path = tmp_path / f"{layer}.yaml"
        path.write_text(
            f"policy: {layer}\ntitle: D\nlayer: {layer}\nversion: 1\nlaw: GDPR 5(1)(b)\n"
            "assignees: did:web:hub.example\npermit: [{action: use}]\n"
        )
        others += ["--policy", path]
    site = small(tmp_path)
    draft = small(tmp_path, "draft.yaml", version=2, epsilon=8)
    told = run("policy", "what-if", file, "--policy", site, *others, "--draft", draft).stdout
    assert "It would be permitted if the privacy loss ε of this release is at most 6." in told
    assert "Under the draft it would be decided otherwise:" in told
    found = data_of("policy", "what-if", file, "--policy", site, *others)
    assert (found["effect"], found["draft"], found["complete"]) == ("deny", None, True)


def test_coverage_proposes_cases_and_keeps_to_a_threshold(tmp_path: Path) -> None:
    file, cases = small(tmp_path), tmp_path / "cases.yaml"
    cases.write_text(CASES)
    told = run("policy", "coverage", file, "--cases", cases).stdout
    assert "No case shows this: work applies." in told
    assert "  - name: work applies" in told
    run("policy", "coverage", file, "--cases", cases, "--at-least", 80, status=1)
    gaps = data_of("policy", "coverage", file, "--cases", cases)["gaps"]
    cases.write_text(CASES + "".join(f"{gap['case']}\n" for gap in gaps))
    run("policy", "coverage", file, "--cases", cases, "--at-least", 100)
    assert "get the decision they must get" in run("policy", "test", cases, "--policy", file).stdout
    run("policy", "coverage", file, status=2)


def test_results_of_cases_are_written_for_continuous_integration(tmp_path: Path) -> None:
    file, cases, out = small(tmp_path), tmp_path / "cases.yaml", tmp_path / "out.xml"
    cases.write_text(CASES + "  - {name: wrong, expect: permit}\n")
    run("policy", "test", cases, "--policy", file, "--junit", out, status=1)
    suite = ET.parse(out).getroot()[0]  # noqa: S314 - our own text
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")


def test_cases_of_a_policy_that_inherits(tmp_path: Path) -> None:
    parent = small(tmp_path)
    child = tmp_path / "child.yaml"
    child.write_text(
        "policy: child\ntitle: C\nlayer: site\nversion: 1\nlaw: GDPR 9(2)(j)\n"
        "inherits: small version 1\nforbid: [{id: no-link, action: link}]\n"
    )
    cases = tmp_path / "cases.yaml"
    cases.write_text(CASES.replace("policy/small", "policy/child"))
    run("policy", "test", cases, "--policy", child, "--policy", parent)
    assert "not among the policies given" in run("policy", "lint", child, status=2).stderr
    assert data_of("policy", "lint", child, "--with", parent)["clean"]


# at a connector ------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Path:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    made = tmp_path / "clinic"
    run(
        "init", "--home", made, "--name", "Clinic A", "--role", "site", "--mode", "demo",
        "--public-url", f"http://127.0.0.1:{ports[0]}", "--management-url", f"http://127.0.0.1:{ports[1]}",
    )  # fmt: skip
    return made


def test_a_connector_lints_beside_its_own_law_and_asks_what_if(home: Path, tmp_path: Path) -> None:
    assert data_of("policy", "lint", new_policy(tmp_path / "research.yaml"), "--home", home)["clean"]
    file = tmp_path / "request.yaml"
    file.write_text(REQUEST)
    told = run("policy", "what-if", file, "--home", home, "--draft", small(tmp_path)).stdout
    assert "denied" in told.lower()
    assert "Under the draft it would be decided the same way" in told


def test_a_connector_compares_and_covers(home: Path, tmp_path: Path) -> None:
    connector = Connector.open(load_settings(home))
    try:
        texts = {"old": small(tmp_path).read_text(), "new": small(tmp_path, "n.yaml", version=2, epsilon=8).read_text()}
        found = find_operation("policy/diff").call(connector, texts)
        assert [each["kind"] for each in found["differences"]] == ["allowed"]
        assert find_operation("policy/diff").call(connector, texts | {"whole": True})["differences"] == []
        policy = f"{connector.settings.public_url}/id/policy/small"
        cases = CASES.replace("https://w3id.org/synthema/id/policy/small", policy)
        covered = find_operation("policy/coverage").call(connector, {"text": texts["new"], "cases": cases})
        assert covered["cases"][0]["passed"]
        assert covered["total"] > covered["shown"]
    finally:
        connector.close()


def test_a_connector_decides_again_what_it_decided(home: Path, tmp_path: Path) -> None:
    keep_decision(home)
    told = run("policy", "replay", "--since", "2026-11-01", "--home", home).stdout
    assert "Of 1 decisions 1 are the same, byte for byte, when decided again." in told
    assert data_of("policy", "replay", "--since", "2030-01-01", "--home", home)["decisions"] == []
    draft = small(tmp_path)
    assert (
        "Of 1 decisions 0 would change."
        in run("policy", "replay", "--since", "2026-11-01", "--draft", draft, "--home", home).stdout
    )


def test_a_decision_that_comes_out_otherwise_is_named(home: Path) -> None:
    keep_decision(home, effect="permit")
    result = run("policy", "replay", "--since", "2026-11-01", "--home", home, status=1)
    assert "and 1 differ" in result.stdout
    assert "run-x" in result.stdout


def keep_decision(home: Path, **changed: str) -> None:
    """Record a decision as the governor does."""
    connector = Connector.open(load_settings(home))
    try:
        clock = FixedClock(connector.clock.now())
        request = access_request(
            connector.vocabulary,
            id=connector.log.iri("run", "run-x"),
            action="synthesise",
            target=connector.log.iri("dataset", "mgus"),
            assignee="did:web:hub.example",
            at=clock.now(),
            facts={"purpose": "health research"},
        )
        asked = RunRequest(
            id="run-x",
            requester=request.assignee,
            dataset="mgus",
            purpose="health research",
            action="synthesise",
            anonymise=Step(plugin="minimise"),
            compute=Step(plugin="marginals"),
            kind="generator",
            output="synthetic",
        )
        decision = decide(connector.policies.compiled(request.target), request).as_dict() | changed

        def keep(connection: object) -> None:
            store.insert_run(connection, asked, clock.now())  # type: ignore[arg-type]
            store.move(connection, asked.id, "deny", clock.now(), decision=decision)  # type: ignore[arg-type]

        connector.database.write(keep)
    finally:
        connector.close()
