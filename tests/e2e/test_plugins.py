"""Plugins are run as they were approved, see their inputs only, and never run where they cannot be held."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from synthema.config import Limits
from synthema.errors import DeniedError, IsolationError, PluginError
from synthema.runs.execute import generate
from tests.e2e.house import House, Settled, copy_of, refused, write_generator

pytestmark = pytest.mark.e2e

Swap = Callable[[Path], object]


def change_code(package: Path) -> None:
    (package / "__init__.py").write_text((package / "__init__.py").read_text() + "\n# one more line\n")


def change_manifest(package: Path) -> None:
    text = (package / "plugin.toml").read_text()
    (package / "plugin.toml").write_text(text.replace('version = "0.1.0"', 'version = "0.1.1"'))


def add_file(package: Path) -> None:
    (package / "more.py").write_text("nothing = None\n")


def link_file(package: Path) -> None:
    (package / "more.py").symlink_to("/etc/hostname")


SWAPS = [change_code, change_manifest, add_file, link_file]


@pytest.fixture
def sampler(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stranger's generator, installed and approved; returns the folder of its package."""
    package = write_generator(tmp_path / "strangers", "sampler")
    monkeypatch.syspath_prepend(tmp_path / "strangers")
    house.approve("sampler")
    return package


@pytest.mark.parametrize("swap", SWAPS)
def test_a_plugin_whose_files_were_swapped_after_approval_starts_nothing(
    house: House, sampler: Path, swap: Swap
) -> None:
    grant, request = house.granted(compute={"plugin": "sampler"})
    swap(sampler)
    with refused(house, PluginError, "changed since approval|not a plain file"):
        house.connector.governor.start(grant, request)
    with pytest.raises(PluginError):
        house.request(compute={"plugin": "sampler"})


@pytest.mark.parametrize("swap", [change_code, add_file, link_file])
def test_files_swapped_between_check_and_use_are_found_in_the_copy(
    house: House, sampler: Path, swap: Swap, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant, request = house.granted(compute={"plugin": "sampler"})
    governor = house.connector.governor
    check = governor._check_unused

    def check_then_swap(*given: Any) -> Any:
        checked = check(*given)
        swap(sampler)
        return checked

    monkeypatch.setattr(governor, "_check_unused", check_then_swap)
    with refused(house, PluginError, "changed since they were approved|not a plain file"):
        governor.start(grant, request)


def test_swapped_files_that_were_approved_again_need_a_new_decision(house: House, sampler: Path) -> None:
    grant, request = house.granted(compute={"plugin": "sampler"})
    change_code(sampler)
    house.approve("sampler")
    with refused(house, DeniedError, "not the one the grant names"):
        house.connector.governor.start(grant, request)


def test_a_revoked_plugin_starts_nothing(house: House) -> None:
    grant, request = house.granted()
    house.call("plugin/revoke", {"name": "marginals", "person": house.signatories[0].person, "reason": "a fault"})
    with refused(house, PluginError, "revoked"):
        house.connector.governor.start(grant, request)


def test_a_plugin_that_the_grant_does_not_name_is_not_called(house: House) -> None:
    grant, request = house.granted()
    with_session = house.connector.governor.start(grant, request)
    try:
        with refused(house, PluginError, "does not name the plugin 'secure-sum'"):
            with_session.call("secure-sum", "aggregate")
    finally:
        with_session.close()


def test_a_generator_that_promises_no_privacy_has_no_epsilon(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ε of 0 would say that nothing can be learnt; the policy bounds ε, so what has none is denied."""
    write_generator(tmp_path / "strangers", "copier", guarantee="none")
    monkeypatch.syspath_prepend(tmp_path / "strangers")
    house.approve("copier")
    for epsilon in (0.0, 1.0):
        _, answer = house.request(compute={"plugin": "copier"}, epsilon=epsilon)
        assert answer["effect"] == "deny"
        assert "ε" in " ".join(answer["sentences"])


# A plugin may reach nothing but its inputs; this is what it tries, and how the failure shows.
NOSY = {
    "network": ("import socket; socket.create_connection(('127.0.0.1', 9), timeout=1)", "PermissionError|OSError"),
    "home": ("import os; os.listdir({home!r})", "PermissionError|FileNotFoundError"),
    "state": ("open({home!r} + '/state.sqlite', 'rb').read(1)", "PermissionError|FileNotFoundError"),
    "environment": ("import os; os.environ['A_SECRET_OF_THE_CONNECTOR']", "KeyError"),
    "memory": ("filled = bytearray(8 * 1024**3)", "memory"),
    "time": ("while True: pass", "longer than the|processor time"),
    "processes": ("import subprocess; subprocess.run(['true'])", "PermissionError|OSError|BlockingIOError"),
}


@pytest.mark.article("EHDS 73(1)")
@pytest.mark.parametrize("reach", NOSY)
def test_a_plugin_reaches_nothing_but_its_inputs_within_its_bounds(
    settled: Settled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reach: str
) -> None:
    code, held_back = NOSY[reach]
    write_generator(tmp_path / "strangers", "nosy", code.format(home=str(tmp_path / "home")))
    monkeypatch.syspath_prepend(tmp_path / "strangers")
    monkeypatch.setenv("A_SECRET_OF_THE_CONNECTOR", "secret")
    with copy_of(settled, tmp_path, limits=Limits(memory_bytes=2 * 1024**3, seconds=8)) as house:
        house.approve("nosy")
        grant, request = house.granted(compute={"plugin": "nosy"})
        with pytest.raises(PluginError, match=held_back):
            generate(house.connector.governor, grant, request)
        after = house.snapshot()
        assert dict(after.states)[request.id] == "failed"
        assert (after.spent > 0, after.reserved, after.artefacts, after.files) == (True, 0, 0, ())
        assert "ns#Failure>" in house.log_text()[-1]
        assert list((house.connector.settings.home / "runs").iterdir()) == []


# isolation -----------------------------------------------------------------------------------------------------------


@pytest.mark.article("EHDS 73(1)")
def test_without_isolation_a_request_is_denied(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    weaken(house, monkeypatch)
    _, answer = house.request()
    assert answer["effect"] == "deny"
    assert "isolation" in " ".join(answer["sentences"])
    assert house.snapshot().reserved == 0
    assert "PolicyDecision" in house.log_text()[-1]


def test_without_isolation_a_granted_run_does_not_start(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    grant, request = house.granted()
    with monkeypatch.context() as patch:
        weaken(house, patch)
        with refused(house, IsolationError, "level 2"):
            house.connector.governor.start(grant, request)
    # Nothing was used up: on a mended machine the same grant works.
    assert generate(house.connector.governor, grant, request).released


def test_more_isolation_than_there_is_starts_nothing(settled: Settled, tmp_path: Path) -> None:
    with copy_of(settled, tmp_path, minimum_isolation=4) as house:
        grant, request = house.granted()
        assert grant.minimum_isolation == 4
        with refused(house, IsolationError, "level 4"):
            house.connector.governor.start(grant, request)


def weaken(house: House, patch: pytest.MonkeyPatch) -> None:
    weak = replace(house.connector.sandbox.isolation(), level=0)
    patch.setattr("synthema.runs.sandbox.session.isolation", lambda: weak)
