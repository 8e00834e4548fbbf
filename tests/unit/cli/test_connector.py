"""Commands at a real connector, in this process and over its management address."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from synthema.assembly import Connector
from synthema.cli import study
from synthema.cli.output import progress
from synthema.config import load_settings
from synthema.demo.processes import free_ports
from synthema.provenance import VerifierKey
from synthema.resources import bundled
from tests.unit.cli.support import data_of, new_policy, run
from tests.unit.cli.test_offline import STUDY, table

METADATA = """\
description: Patients with monoclonal gammopathy of undetermined significance
categories: [l]
legal_basis: https://w3id.org/dpv/legal/eu/gdpr#A9-2-j
simulated: true
"""


@pytest.fixture
def ports() -> tuple[int, int]:
    public, management = free_ports(2)
    return public, management


@pytest.fixture
def home(tmp_path: Path, ports: tuple[int, int]) -> Path:
    made = tmp_path / "clinic"
    run(
        "init", "--home", made, "--name", "Clinic A", "--role", "site", "--mode", "demo",
        "--public-url", f"http://127.0.0.1:{ports[0]}", "--management-url", f"http://127.0.0.1:{ports[1]}",
        "--peer", "did:web:hub.example,https://hub.example,hub,The hub, in Bologna",
    )  # fmt: skip
    return made


@pytest.fixture
def people(home: Path, tmp_path: Path) -> dict[str, dict[str, Any]]:
    """A data protection officer and a data steward: role → account and key."""
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse battery")
    secret.chmod(0o600)
    made = {}
    for role in ("dpo", "data steward"):
        key = tmp_path / f"{role}.pem"
        account = data_of("person", "new", "--home", home, "--role", role, "--key", key, "--passphrase-file", secret)
        made[role] = {"person": account["person"], "key": key, "secret": secret}
    return made


def signing(account: dict[str, Any]) -> tuple[object, ...]:
    return "--person", account["person"], "--key", account["key"], "--passphrase-file", account["secret"]


def test_init_makes_a_connector_and_never_two(home: Path) -> None:
    settings = (home / "connector.toml").read_text()
    assert 'name = "The hub, in Bologna"' in settings
    arguments = ("--name", "x", "--role", "hub", "--public-url", "http://a", "--management-url", "http://b")
    run("init", "--home", home, *arguments, status=5)


def test_a_misshapen_partner_is_explained(tmp_path: Path) -> None:
    arguments = ("--name", "x", "--role", "hub", "--public-url", "http://a", "--management-url", "http://b")
    result = run("init", "--home", tmp_path / "h", *arguments, "--peer", "did:web:b.example", status=2)
    assert "--peer" in result.stderr
    assert not (tmp_path / "h").exists()


def test_a_person_types_a_passphrase_twice(home: Path, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    arguments = ("person", "new", "--home", home, "--role", "dpo", "--key", key)
    result = run(*arguments, typed="correct horse\ncorrect horse\n")
    assert "may now sign as dpo" in result.stdout
    assert "correct" not in result.stdout + result.stderr
    run("person", "list", "--home", home)
    run(*arguments, typed="correct horse\ncorrect horse\n", status=5)


def test_no_key_is_left_where_no_account_was_made(home: Path, tmp_path: Path) -> None:
    arguments = ("person", "new", "--home", home, "--role", "king", "--key", tmp_path / "key.pem")
    run(*arguments, typed="correct horse\ncorrect horse\n", status=2)
    assert not (tmp_path / "key.pem").exists()


def test_two_signatures_put_a_policy_in_force(home: Path, people: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    file = new_policy(tmp_path / "research.yaml")
    drafted = data_of("policy", "draft", file, "--home", home)
    assert drafted["obstacles"] == []
    run("policy", "activate", "research", "--home", home, status=5)
    for role, state in (("data steward", "in review"), ("dpo", "active")):
        assert state in run("policy", "sign", "research", "--home", home, *signing(people[role])).stdout
    run("policy", "activate", "research", "--home", home)
    assert "active" in run("policy", "list", "--home", home).stdout
    assert "State: active" in run("policy", "show", drafted["policy"], "--home", home).stdout
    run("policy", "show", "unheard-of", "--home", home, status=4)
    assert "withdrawn" in run("policy", "withdraw", "research", "--home", home).stdout


def test_two_signatures_put_an_assessment_in_force(home: Path, people: dict[str, dict[str, Any]]) -> None:
    file = bundled("legal") / "dpia" / "synthetic-data.yaml"
    proposed = data_of("dpia", "propose", file, "--confirm", "--home", home)
    for role in ("data steward", "dpo"):
        signed = data_of("dpia", "sign", proposed["dpia"], "--home", home, *signing(people[role]))
    assert len(signed["signedBy"]) == 2
    assert signed["state"] in run("dpia", "list", "--home", home).stdout
    run("dpia", "sign", "dpia-unknown", "--home", home, *signing(people["dpo"]), status=4)


def test_two_signatures_let_a_plugin_run(home: Path, people: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    files = []
    for role, account in people.items():
        files += ["--signature", tmp_path / f"{role}.json"]
        run("plugin", "sign", "minimise", "--home", home, *signing(account), "-o", files[-1])
    run("plugin", "approve", "marginals", *files, "--home", home, status=2)
    run("plugin", "approve", "minimise", *files, "--home", home)
    standing = {p["name"]: p["standing"] for p in data_of("plugin", "list", "--home", home)}
    assert standing["minimise"] == "approved"
    assert standing["marginals"] == "not approved"
    reason = ("--person", people["dpo"]["person"], "--reason", "an example")
    run("plugin", "revoke", "minimise", *reason, "--home", home)


def test_a_dataset_is_taken_in_and_listed(home: Path, tmp_path: Path) -> None:
    (tmp_path / "metadata.yaml").write_text(METADATA)
    added = data_of(
        "dataset", "add", table(tmp_path), "--codebook", "mgus", "--name", "mgus", "--title", "MGUS cohort",
        "--metadata", tmp_path / "metadata.yaml", "--home", home,
    )  # fmt: skip
    assert added["rows"] == 40
    assert "MGUS cohort" in run("dataset", "list", "--home", home).stdout
    consents = tmp_path / "consents.csv"
    consents.write_text("patient_key,state,date\n" + "".join(f"{n},ConsentGiven,2026-01-15\n" for n in range(1, 41)))
    assert "40" in run("consent", "import", consents, "--dataset", "mgus", "--home", home).stdout
    assert "sealed" not in run("budget", "show", "--home", home).stdout


def test_the_log_is_verified_read_and_proven(home: Path, people: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    assert "All 2 entries of the log are unchanged" in run("log", "verify", "--home", home).stdout
    assert "A role account was registered" in run("log", "entries", "--home", home).stdout
    assert "wasGeneratedBy" in run("log", "entries", "--full", "--home", home).stdout
    assert "From entry 1 on" in run("log", "verify", "--since", 1, "--home", home).stdout
    proof, key = tmp_path / "entry.tlog-proof", tmp_path / "log.key"
    key.write_text(data_of("log", "prove", 1, "-o", proof, "--home", home)["key"] + "\n")
    assert "The proof holds" in run("log", "verify-bundle", proof, "--key", key).stdout
    (tmp_path / "changed").write_text(proof.read_text().replace("index 1", "index 0"))
    run("log", "verify-bundle", tmp_path / "changed", "--key", key, status=6)
    run("log", "verify-bundle", proof, "--key", key, "--quorum", 1, status=2)
    export = tmp_path / "log.nq"
    run("log", "export", "-o", export, "--home", home)
    assert run("log", "export", "--home", home).stdout == export.read_text()
    for form in ("trig", "turtle", "jsonld"):
        assert "prov#" in run("log", "export", "--as", form, "--home", home).stdout


def test_the_log_is_exported_as_files_that_a_stranger_checks(
    home: Path, people: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    tiles = tmp_path / "tiles"
    assert "log of 2 entries, 2 new files" in run("log", "export", "--tiles", tiles, "--home", home).stdout
    assert "0 new files" in run("log", "export", "--tiles", tiles, "--home", home).stdout
    run("log", "export", "--tiles", tiles, "--as", "trig", "--home", home, status=2)
    keys = data_of("log", "keys", "--home", home)
    assert "All 2 entries" in run("log", "verify-tiles", tiles, "--key", keys["log"]).stdout
    run("log", "verify-tiles", tiles, "--key", keys["log"], "--witness", keys["witness"], "--quorum", 1, status=6)
    entries = tiles / "tile" / "entries" / "000.p" / "2"
    entries.write_bytes(entries.read_bytes().replace(b"registered", b"Registered", 1))
    assert "log entry 0" in run("log", "verify-tiles", tiles, "--key", keys["log"], status=6).stderr


def test_the_index_is_made_anew_and_what_is_witnessed_is_shown(home: Path, people: dict[str, dict[str, Any]]) -> None:
    assert "all 2 entries (memory)" in run("log", "reindex", "--home", home).stdout
    assert "No partner has shown its log yet" in run("log", "witnessed", "--home", home).stdout
    run("log", "forget", "stranger.example/log", "--reason", "it is gone", "--home", home, status=4)


def test_an_auditor_asks_the_log_in_sparql(home: Path, tmp_path: Path) -> None:
    secret, key, question = tmp_path / "passphrase", tmp_path / "auditor.pem", tmp_path / "question.rq"
    secret.write_text("correct horse battery")
    secret.chmod(0o600)
    made = data_of("person", "new", "--home", home, "--role", "auditor", "--key", key, "--passphrase-file", secret)
    who = ("--person", made["person"], "--key", key, "--passphrase-file", secret, "--home", home)
    question.write_text(
        "SELECT ?said { ?step a <http://www.w3.org/ns/prov#Activity> ; ?p ?said FILTER(isLiteral(?said)) }"
    )
    told = run("log", "query", question, *who)
    assert "A role account was registered" in told.stdout
    assert "Recorded as entry 1" in told.stderr
    question.write_text("ASK { ?s a <https://w3id.org/synthema/ns#LogQuestion> }")
    assert run("log", "query", question, *who).stdout == "Yes.\n"
    question.write_text("DESCRIBE <http://a.example/x>")
    assert run("log", "query", question, *who).stdout.strip() == ""
    question.write_text("SELECT * { SERVICE <http://a.example/> { ?s ?p ?o } }")
    assert "SERVICE" in run("log", "query", question, *who, status=2).stderr


def test_lineage_answers_in_sentences(home: Path, people: dict[str, dict[str, Any]], ports: tuple[int, int]) -> None:
    person = f"http://127.0.0.1:{ports[0]}/id/person/{people['dpo']['person']}"
    assert "come from" in run("lineage", "origin", person, "--home", home).stdout
    assert data_of("lineage", "graph", person, "--home", home)["nodes"]
    assert "Relation" in run("lineage", "graph", person, "--home", home).stdout
    for verb in ("derived", "agent"):
        run("lineage", verb, person, "--home", home)
    run("lineage", "plugin", "sha256:" + "0" * 64, "--home", home)
    assert "What happened under" in run("lineage", "permit", "permit-1", "--home", home).stdout
    assert "Who saw what" in run("lineage", "seen", "2026", "--home", home).stdout
    run("lineage", "patient", "0" * 64, "--home", home, status=4)


def test_a_wrong_request_is_named_by_field(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "request.yaml"
    file.write_text("dataset: dataset-1\npurpose: research\n")
    assert "action" in run("request", "submit", file, "--home", home, status=2).stderr


@pytest.mark.parametrize(("result", "status"), [
    ({"effect": "deny"}, 3),
    ({"effect": "permit"}, 0),
    ({"effect": "permit", "verdict": {"released": True, "sentences": ["passed"], "artefacts": []}}, 0),
    ({"effect": "permit", "verdict": {"released": False, "sentences": ["failed"], "artefacts": []}}, 6),
])  # fmt: skip
def test_a_request_exits_by_its_outcome(
    result: dict[str, Any], status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "request.yaml"
    file.write_text(
        "dataset: d\npurpose: p\naction: synthesise\nanonymise: {plugin: minimise}\ncompute: {plugin: marginals}\n"
        "kind: generator\noutput: synthetic\n"
    )
    whole = {"run": "run-1", "sentences": ["Decided."], **result}
    monkeypatch.setattr("synthema.cli.request.call", lambda *_: whole)
    assert "Decided." in run("request", "submit", file, status=status).stdout


@pytest.mark.parametrize("state", list(study.STATUS_OF))
def test_a_study_is_followed_to_its_end(state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(STUDY)
    events = [{"at": "2026-01-01T10:00:00Z", "site": "did:web:a.example", "text": "permit"}]
    seen = {"id": "study-1", "title": "Progression", "reason": None, "events": events, "result": None}
    states = iter(["inviting", state])

    def call(_home: Path, operation: str, _value: Any) -> Any:
        return {"study": "study-1"} if operation == "study/start" else seen | {"state": next(states)}

    monkeypatch.setattr(study, "call_served", call)
    monkeypatch.setattr(progress, "_force_terminal", True)
    result = run("study", "run", file, status=study.STATUS_OF[state])
    assert f"is {state}" in result.stdout
    assert "did:web:a.example: permit" in result.stderr


def test_a_study_needs_a_hub_that_runs(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(STUDY)
    assert "synthema serve" in run("study", "run", file, "--home", home, status=5).stderr


def test_a_served_connector_answers_the_same_commands(home: Path, ports: tuple[int, int]) -> None:
    serving = subprocess.Popen(
        [sys.executable, "-m", "synthema.cli.main", "serve", "--home", str(home)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _wait_until_served(serving, ports[1])
        shown = [sys.executable, "-m", "synthema.cli.main", "log", "verify", "--home", str(home), "--format", "json"]
        done = subprocess.run(shown, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout)["data"]["size"] == 0
        # Only its management interface can answer: the connector's home is held.
        run("policy", "show", "unheard-of", "--home", home, status=4)
        assert data_of("person", "list", "--home", home) == []
        serving.send_signal(signal.SIGUSR1)
    finally:
        serving.send_signal(signal.SIGTERM)
        _, said = serving.communicate(timeout=30)
    assert serving.returncode == 0
    assert "Clinic A: public at" in said
    assert "_write_groups" in said, "what each thread does, for whoever looks after it"
    assert "stopped; everything is written" in said


def _wait_until_served(serving: subprocess.Popen[str], port: int) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert serving.poll() is None, serving.communicate()[1]
        try:
            httpx.get(f"http://127.0.0.1:{port}/management", trust_env=False)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("the connector was not served in time")


def test_the_log_gets_another_key(home: Path, people: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    proof, key, did = tmp_path / "entry.tlog-proof", tmp_path / "log.key", tmp_path / "did.json"
    key.write_text(data_of("log", "prove", 1, "-o", proof, "--home", home)["key"] + "\n")
    tiles = tmp_path / "tiles"
    run("log", "export", "--tiles", tiles, "--home", home)
    run("log", "rotate", "--reason", "", "--home", home, status=2)
    shown = run("log", "rotate", "--reason", "The key was two years old.", "--home", home).stdout
    assert "From entry 2 on, a new key signs this log" in shown
    keys = data_of("log", "keys", "--home", home)
    assert keys["log"] in shown
    assert [former["key"] for former in keys["former"]] == [key.read_text().strip()]
    assert "Log until entry 2" in run("log", "keys", "--home", home).stdout
    assert "All 3 entries of the log are unchanged" in run("log", "verify", "--home", home).stdout
    with closing(Connector.open(load_settings(home))) as connector:
        did.write_text(json.dumps(connector.did_document()))
    # The proof from before, by who knows the old key, and by who knows the new one and the DID document.
    assert "The proof holds" in run("log", "verify-bundle", proof, "--key", key).stdout
    run("log", "verify-bundle", proof, "--key", keys["log"], status=6)
    assert "The proof holds" in run("log", "verify-bundle", proof, "--key", keys["log"], "--did", did).stdout
    later = tmp_path / "later.tlog-proof"
    run("log", "prove", 1, "-o", later, "--home", home)
    run("log", "verify-bundle", later, "--key", keys["log"])
    assert "The proof holds" in run("log", "verify-bundle", later, "--key", key, "--did", did).stdout
    # A document of somebody else does not stand in for the key that is trusted.
    witness = VerifierKey.parse(keys["witness"])
    stranger = VerifierKey(witness.name.replace("/witness", "/log"), witness.public_key)
    run("log", "verify-bundle", later, "--key", str(stranger), "--did", did, status=6)
    run("log", "export", "--tiles", tiles, "--home", home)
    assert "All 3 entries" in run("log", "verify-tiles", tiles, "--key", key, "--did", did).stdout
