"""The contract tests notice plugins that break their promise: a test that never fails is worth nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.spi.plugin_files import manifest_text, write_plugin

FEDERATED = """
import numpy as np
import polars as pl
from synthema.spi import Contribution, Generated, State, hookimpl

@hookimpl
def federated_open(plan):
    return State(0, 2, plan.rho{spend}, {sensitivity}, False, {{"sex": [1, 1]}})

@hookimpl
def federated_contribute(state, table, codebook):
    return Contribution(np.array([table.height * {weight}, 0{more}], dtype=np.int64))

@hookimpl
def federated_absorb(state, total):
    return State(1, 2, 0.0, 1.0, True, {{}})

@hookimpl
def federated_sample(state, plan):
    table = pl.DataFrame({{
        v.name: [v.categories[0] if v.type == "category" else {value}] * plan.rows for v in plan.codebook.variables
    }})
    return Generated(table, 0.0, 0.0)
"""
HOOKS = '["federated_open", "federated_contribute", "federated_absorb", "federated_sample"]'
GOOD = {"spend": "", "sensitivity": 1.0, "weight": 1, "more": "", "value": "v.minimum"}


def outcome(folder: Path, code: str, kind: str, contract: str, hooks: str) -> set[str]:
    """Run the contract tests on a plugin; the names of those that failed."""
    write_plugin(folder, "subject", code, manifest_text("subject", kind, hooks))
    (folder / "test_it.py").write_text(
        f"from synthema.spi.testing import {contract}\n"
        f"class TestIt({contract}):\n    plugin = 'subject'\n    rows = 60\n",
        encoding="utf-8",
    )
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        os.devnull,
        "--tb=no",
        "test_it.py",
    ]
    done = subprocess.run(
        [*command, "--tb=no", "-rfE"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return set(re.findall(r"^(?:FAILED|ERROR) \S+::(\w+)", done.stdout, re.MULTILINE))


@pytest.mark.parametrize(
    ("change", "noticed"),
    [
        ({}, None),
        ({"weight": 2}, "one_row_more_or_less"),
        ({"sensitivity": 0.5}, "one_row_more_or_less"),
        ({"more": ", 0"}, "as_long_as_the_state_says"),
        ({"spend": " * 2"}, "spend_no_more_than_the_plan"),
        ({"value": "v.maximum + 1"}, "rows_come_out"),
        ({"value": "None"}, "rows_come_out"),
    ],
)
def test_a_federated_algorithm_that_breaks_its_promise(
    tmp_path: Path, change: dict[str, object], noticed: str | None
) -> None:
    failed = outcome(
        tmp_path, FEDERATED.format(**GOOD | change), "federated-algorithm", "FederatedAlgorithmContract", HOOKS
    )
    if noticed is None:
        assert not failed
    else:
        assert any(noticed in name for name in failed), failed


def test_an_anonymiser_that_forgets_the_identifier(tmp_path: Path) -> None:
    code = """
from synthema.spi import Anonymised, hookimpl

@hookimpl
def anonymise(table, codebook, parameters):
    return Anonymised(table, codebook, 1)

@hookimpl
def anonymised_codebook(codebook, parameters):
    return codebook
"""
    failed = outcome(tmp_path, code, "anonymiser", "AnonymiserContract", '["anonymise", "anonymised_codebook"]')
    assert failed == {"test_identifiers_are_gone"}


def test_a_generator_that_answers_nothing(tmp_path: Path) -> None:
    code = "from synthema.spi import hookimpl\n@hookimpl\ndef generate(table, codebook, parameters, rows):\n    pass\n"
    failed = outcome(tmp_path, code, "generator", "GeneratorContract", '["generate"]')
    assert "test_it_makes_the_rows_that_were_asked_for" in failed
