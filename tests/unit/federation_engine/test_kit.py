"""A site's kit leaves nothing open that FLARE opens by default."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from synthema.errors import IntegrityError, PluginError
from synthema.federation.flare import Authority, FlareEnvironment, FlareSite, SiteGate, fingerprint
from synthema.federation.flare.kit import (
    EXECUTOR,
    RESULT_GATE,
    TASK_GATE,
    lay_out_relay,
    server_files,
    session_job,
    site_files,
    write_files,
)


@pytest.fixture
def files() -> dict[str, Any]:
    return site_files("site-1", "hub.example", 8002)


def test_no_role_may_bring_code_run_commands_or_operate_a_site(files: dict[str, Any]) -> None:
    permissions = files["local/authorization.json"]["permissions"]
    assert set(permissions) == {"project_admin", "org_admin", "lead", "member"}
    for rights in permissions.values():
        for right in ("byoc", "shell_commands", "operate", "clone_job", "download_job", "server-predeployed-flwr"):
            assert rights[right] == "none"
    for role in ("org_admin", "lead", "member"):
        assert set(permissions[role].values()) == {"none"}


def test_classes_are_named_one_by_one_and_enforced(files: dict[str, Any]) -> None:
    resources = files["local/resources.json"]
    assert resources["class_list_enforcement_mode"] == "enforce"
    assert resources["class_allow_list"] == [EXECUTOR, TASK_GATE, RESULT_GATE]
    assert resources["allow_log_streaming"] is False
    assert not any("log" in component["id"] for component in resources["components"])
    assert "site_policy" in [component["id"] for component in resources["components"]]


def test_each_task_and_result_is_forced_through_a_gate(files: dict[str, Any]) -> None:
    privacy = files["local/privacy.json"]
    assert [scope["name"] for scope in privacy["scopes"]] == [privacy["default_scope"]]
    assert [gate["path"] for gate in privacy["scopes"][0]["task_data_filters"]] == [TASK_GATE]
    assert [gate["path"] for gate in privacy["scopes"][0]["task_result_filters"]] == [RESULT_GATE]


def test_connections_authenticate_both_ends(files: dict[str, Any], tmp_path: Path) -> None:
    assert files["startup/fed_client.json"]["client"]["connection_security"] == "mtls"
    server = server_files("hub.example", 8002, tmp_path)["startup/fed_server.json"]["servers"][0]
    assert server["connection_security"] == "mtls"


def test_a_session_carries_ids_and_nothing_to_run() -> None:
    job = session_job({"site-1": "agreement-1", "site-2": "agreement-2"}, enough=2)
    assert job["meta.json"]["agreements"] == {"site-1": "agreement-1", "site-2": "agreement-2"}
    assert not any("custom" in name for name in job)
    assert job["app/config/config_fed_client.json"]["executors"][0]["executor"]["path"] == EXECUTOR


def test_files_are_for_their_owner_only(files: dict[str, Any], tmp_path: Path) -> None:
    write_files(tmp_path / "kit", files | {"startup/client.key": b"secret"})
    for path in (tmp_path / "kit").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0 or path.is_dir()
    assert json.loads((tmp_path / "kit/local/privacy.json").read_text())["default_scope"] == "gate"


def test_the_relay_is_laid_out_afresh_and_knows_nothing_of_synthema(tmp_path: Path) -> None:
    (tmp_path / "code/synthema_relay").mkdir(parents=True)
    (tmp_path / "code/synthema_relay/left_over.py").write_text("raise SystemExit")
    code = lay_out_relay(tmp_path / "code")
    names = {path.stem for path in (code / "synthema_relay").iterdir()}
    assert names == {"__init__", "admin", "controller", "executor", "frames", "policy", "process"}
    for path in (code / "synthema_relay").iterdir():
        lines = [line for line in path.read_text().splitlines() if line.startswith(("import", "from"))]
        assert not any("synthema." in line for line in lines)


def test_a_folder_without_flare_is_named(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"2\.9 is not installed"):
        FlareEnvironment(tmp_path).require()


def test_another_authority_than_the_agreed_one_is_refused(tmp_path: Path, clock: Any) -> None:
    authority, other = (Authority.create("synthema", clock.now()) for _ in range(2))
    site = FlareSite(tmp_path, FlareEnvironment(tmp_path), _no_gate(), "did:web:site.example")
    with pytest.raises(IntegrityError, match="not the one of the agreement"):
        site.install(b"", other.pem, fingerprint(authority.pem), host="hub.example", port=8002)


def _no_gate() -> SiteGate:
    return SiteGate.__new__(SiteGate)
