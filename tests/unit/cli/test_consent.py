"""The commands of ``synthema consent`` at a real connector."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import yaml

from tests.unit.cli.support import data_of, run
from tests.unit.cli.test_offline import table
from tests.unit.consent.support import notice

METADATA = """\
description: Patients with monoclonal gammopathy of undetermined significance
categories: [l]
legal_basis: https://w3id.org/dpv/legal/eu/gdpr#A9-2-a
simulated: true
"""
AT = ("--dataset", "mgus", "--home")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "clinic"
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    public, management = (f"http://127.0.0.1:{each.getsockname()[1]}" for each in sockets)
    for each in sockets:
        each.close()
    run(
        "init", "--home", made, "--name", "Clinic A", "--role", "site", "--mode", "demo",
        "--public-url", public, "--management-url", management,
    )  # fmt: skip
    (tmp_path / "metadata.yaml").write_text(METADATA)
    run(
        "dataset", "add", table(tmp_path), "--codebook", "mgus", "--name", "mgus", "--title", "MGUS cohort",
        "--metadata", tmp_path / "metadata.yaml", "--home", made,
    )  # fmt: skip
    return made


@pytest.mark.article("GDPR 7(3)")
def test_one_patients_consent(home: Path, tmp_path: Path) -> None:
    assert "may be read" in run("consent", "give", "1", *AT, home, "--item", "secondary-use").stdout
    assert "left out now: ConsentWithdrawn" in run("consent", "withdraw", "1", *AT, home).stdout
    shown = run("consent", "show", "1", *AT, home).stdout
    assert "ConsentGiven" in shown
    assert "no-further-use" in shown
    run("consent", "refuse", "1", *AT, home, status=5)
    assert "ConsentRefused" in run("consent", "refuse", "2", *AT, home).stdout
    assert "ConsentRefused" in run("consent", "list", "mgus", "--home", home).stdout
    assert "No list with opt-outs was imported yet" in run("consent", "status", "mgus", "--home", home).stdout
    asked = run("consent", "exclusions", "mgus", "--for-profit", "--home", home).stdout
    assert "Asked of each consent: for-profit, secondary-use." in asked


@pytest.mark.article("EHDS 71(1)")
def test_opting_out_and_in_again(home: Path) -> None:
    assert "EHDS Art. 71(3)" in run("consent", "opt-out", "1", "--home", home).stdout
    run("consent", "opt-out", "1", "--home", home, status=5)
    assert "reversed" in run("consent", "opt-in", "1", "--home", home).stdout
    assert "rest on consent" in run("consent", "close-matching", "mgus", "--home", home, status=5).stderr


def test_a_dry_run_before_the_import(home: Path, tmp_path: Path) -> None:
    registry = tmp_path / "registry.csv"
    registry.write_text("pseudonym,date,7.1,7.2\n1,2026-01-01,Yes,Yes\n2,2026-01-01,Yes,Perhaps\n")
    options = ("--kind", "cde", *AT, home)
    dry = run("consent", "import", registry, *options, "--dry-run", status=2).stdout
    assert "Nothing was changed" in dry
    assert "line 3, field 7.2: 'Perhaps' is not an answer" in dry
    run("consent", "import", registry, *options, status=2)
    registry.write_text(registry.read_text().replace("Perhaps", "No"))
    assert "ConsentGiven: 1" in run("consent", "import", registry, *options).stdout
    again = data_of("consent", "import", registry, *options, "--dry-run")
    assert (again["unchanged"], again["changes"]) == (2, {})


@pytest.mark.article("GDPR 7(1)")
def test_a_receipt_for_the_patient(home: Path, tmp_path: Path) -> None:
    (tmp_path / "notice.yaml").write_text(yaml.safe_dump(notice().model_dump(mode="json")))
    assert "Version 2.1" in run("consent", "notice", tmp_path / "notice.yaml", "--home", home).stdout
    run("consent", "give", "1", *AT, home, "--notice", "2.1")
    receipt = tmp_path / "receipt.ttl"
    run("consent", "receipt", "1", *AT, home, "-o", receipt)
    assert "dpv:ConsentReceipt" in receipt.read_text()
    assert '"dpv:ConsentRecord"' in run("consent", "receipt", "1", *AT, home, "--form", "json", "--whole-record").stdout
    run("consent", "receipt", "1", *AT, home, "-o", receipt, status=5)


@pytest.mark.article("GDPR 8")
def test_a_parent_agrees(home: Path) -> None:
    run("consent", "give", "1", *AT, home, "--given-by", "parent", status=2)
    run("consent", "give", "1", *AT, home, "--given-by", "parent", "--birth-date", "2015-02-03")
    assert "parent" in run("consent", "show", "1", *AT, home).stdout
