"""The probe: what it finds in a real sandbox, as root and not, and that it finds holes where there are some."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from synthema.runs.sandbox import isolation
from synthema.runs.sandbox.attacks import ATTACKS
from synthema.runs.sandbox.probe import attack, canaries
from synthema.runs.sandbox.worker import open_to_everyone

CONNECTOR = Path(__file__).parents[3] / "connector"
UNPRIVILEGED = 65533

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux only")


def reachable_python() -> str:
    """An interpreter of our version that an identity without rights can start."""
    for candidate in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        if Path(candidate).exists() and open_to_everyone(Path(candidate).resolve()):
            return candidate
    pytest.skip("no interpreter that other identities can reach")


@pytest.mark.article("GDPR 32")
def test_every_attack_is_held_off_and_the_level_says_so() -> None:
    report = isolation()
    assert report.level >= 2, report.sentences()
    assert report.failures == ()
    assert {"Landlock", "system-call filter", "limits", "scrubbed environment"} <= set(report.mechanisms)
    assert report.as_attributes()["isolationLevel"] == report.level


@pytest.mark.parametrize("namespaces", [False, True])
def test_each_form_of_sandbox_holds_by_itself(namespaces: bool) -> None:
    if namespaces and not isolation().namespaces:
        pytest.skip("this machine gives no namespaces")
    result = attack(namespaces=namespaces)
    assert set(result["attacks"]) == set(ATTACKS)
    assert not [name for name, succeeded in result["attacks"].items() if succeeded]


@pytest.mark.skipif(os.geteuid() != 0, reason="already without rights")
def test_the_sandbox_holds_also_when_the_connector_is_not_root() -> None:
    code = (
        "import json, warnings\n"
        "from synthema.runs.sandbox.probe import attack, machine, _attempt\n"
        "report = _attempt(machine(), namespaces=False)\n"
        "spaced = _attempt(machine(), namespaces=True)\n"
        "print(json.dumps([report.level, list(report.failures), report.machine.uid, spaced.level]))"
    )
    packages = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    done = subprocess.run(
        [reachable_python(), "-c", code],
        env={"PYTHONPATH": f"{CONNECTOR}:{packages}", "PYTHONDONTWRITEBYTECODE": "1"},
        cwd="/",
        user=UNPRIVILEGED,
        group=UNPRIVILEGED,
        extra_groups=[],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    level, failures, uid, spaced = json.loads(done.stdout)
    assert (level, failures, uid) == (2, [], UNPRIVILEGED)
    assert spaced in (0, 3)


def test_without_a_sandbox_the_same_attacks_succeed(tmp_path: Path) -> None:
    """A probe that finds nothing anywhere would prove nothing."""
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    with canaries(tmp_path, tmp_path / "in", tmp_path / "out") as targets:
        code = (
            "import json, sys\n"
            f"sys.path.insert(0, {str(CONNECTOR)!r})\n"
            "from synthema.runs.sandbox.boot import put_up_shells\n"
            "put_up_shells()\n"
            "from synthema.runs.sandbox.attacks import Targets, run_attacks\n"
            f"print(json.dumps(run_attacks(Targets.from_json({asdict(targets)!r}))))"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=True)
    succeeded = {name for name, success in json.loads(done.stdout).items() if success}
    assert {
        "read a file outside",
        "list a folder outside",
        "read the accounts of the machine",
        "write a file outside",
        "connect by TCP",
        "send by UDP",
        "connect to a Unix socket",
        "connect to an abstract socket",
        "make a pair of sockets",
        "read the connector's environment",
        "read the connector's command line",
        "signal the connector",
        "find secrets in its environment",
        "start a process",
        "start a program",
    } <= succeeded


def test_a_machine_that_lets_an_attack_through_has_level_0() -> None:
    from synthema.runs.sandbox.probe import _level

    full = {"scrubbed environment", "limits", "capabilities dropped", "Landlock", "system-call filter", "namespaces"}
    held = dict.fromkeys(ATTACKS, False)
    assert _level(full, held) == 3
    assert _level(full - {"namespaces"}, held) == 2
    assert _level(full - {"Landlock"}, held) == 1
    assert _level(full, held | {"send by UDP": True}) == 0
    assert _level(full, {}) == 0
