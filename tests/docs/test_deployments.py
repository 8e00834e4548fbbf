"""The files of ``deployments/`` are well-formed and fit the connector they start."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from synthema.config import load_settings
from tests.docs.markdown import ROOT

DEPLOYMENTS = ROOT / "deployments"
UNIT = DEPLOYMENTS / "systemd" / "synthema@.service"


def test_the_settings_of_the_site_kit_load(tmp_path: Path) -> None:
    shutil.copyfile(DEPLOYMENTS / "site-kit" / "connector.toml", tmp_path / "connector.toml")
    settings = load_settings(tmp_path)
    assert settings.role == "site"
    assert settings.mode == "production"
    assert {peer.role for peer in settings.peers} == {"hub", "registry", "site"}
    assert settings.public_url.startswith("https://")
    assert settings.management_url.startswith("http://127.0.0.1")


def _service() -> configparser.SectionProxy:
    unit = configparser.ConfigParser(strict=True, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(UNIT, encoding="utf-8")
    return unit["Service"]


def test_the_unit_leaves_the_sandbox_what_it_needs() -> None:
    service = _service()
    assert service["ExecStart"].split()[1:3] == ["serve", "--home"]
    assert service["NoNewPrivileges"] == "yes"
    calls = set(service["SystemCallFilter"].split())
    assert {"mount", "seccomp", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"} <= calls
    # Each of these costs plugins their namespaces or their own /proc; README.md says so.
    for option in ("RestrictNamespaces", "ProtectKernelTunables", "ProtectProc", "ProcSubset", "PrivateUsers"):
        assert option not in service
        assert option in (DEPLOYMENTS / "systemd" / "README.md").read_text(encoding="utf-8")


def test_the_unit_is_one_for_systemd(tmp_path: Path) -> None:
    verifier = shutil.which("systemd-analyze")
    if verifier is None:
        pytest.skip("systemd-analyze is not on this machine; the unit's parts are checked above")
    text = UNIT.read_text(encoding="utf-8").replace("/opt/synthema/bin/synthema", "/bin/true")
    copy = tmp_path / "synthema@.service"
    copy.write_text(text, encoding="utf-8")
    done = subprocess.run([verifier, "verify", str(copy)], capture_output=True, text=True, timeout=60, check=False)
    complaints = [line for line in done.stderr.splitlines() if str(copy) in line or "synthema@" in line]
    assert not complaints, done.stderr


def test_the_compose_file_fits_its_parts() -> None:
    folder = DEPLOYMENTS / "compose"
    compose = yaml.safe_load((folder / "compose.yaml").read_text(encoding="utf-8"))
    connector, proxy = compose["services"]["connector"], compose["services"]["proxy"]
    assert (
        folder / connector["build"]["context"] / connector["build"]["dockerfile"]
    ).resolve() == folder / "Containerfile"
    assert "ports" not in connector, "only the proxy is reached from outside"
    listens = connector["environment"]["SYNTHEMA_PUBLIC_LISTEN"]
    proxied = (folder / "Caddyfile").read_text(encoding="utf-8")
    assert f"http://connector:{listens.rpartition(':')[2]}" in proxied
    assert "910" not in proxied, "the management address is never forwarded"
    assert proxy["depends_on"] == ["connector"]
    used = {volume.split(":")[0] for service in (connector, proxy) for volume in service["volumes"]}
    assert {volume for volume in used if not volume.startswith(".")} == set(compose["volumes"])
    assert 'CMD ["serve"' in (folder / "Containerfile").read_text(encoding="utf-8")


def test_legal_templates_say_that_they_are_templates() -> None:
    for folder in ("ropa", "agreements", "ethics"):
        for path in sorted((ROOT / "legal" / folder).glob("*.md")):
            assert path.read_text(encoding="utf-8").startswith("> **Template.**"), path.name
