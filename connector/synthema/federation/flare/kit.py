"""The files from which FLARE starts: hardened, and as few as it needs.

At a site nothing of what FLARE allows by default is left open: no uploaded code, no shell, no streaming
of logs, two classes and no more, and every task and result goes through a gate that asks the connector.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

PROJECT = "synthema"
ADMINISTRATOR = "coordinator@synthema.example"
EXECUTOR = "synthema_relay.executor.RelayExecutor"
CONTROLLER = "synthema_relay.controller.RelayController"
TASK_GATE = "synthema_relay.policy.TaskGate"
RESULT_GATE = "synthema_relay.policy.ResultGate"
POLICY = "synthema_relay.policy.SitePolicy"
AGREEMENTS = "agreements"
POLL_SECONDS = 0.1
_NOTHING = ("clone_job", "download_job", "operate", "shell_commands", "byoc", "server-predeployed-flwr")


def site_files(name: str, server: str, port: int) -> dict[str, Any]:
    """Path → content (JSON values) of a site's kit, without key and certificates. ``server`` is a host name."""
    return {
        "startup/fed_client.json": {
            "format_version": 2,
            "servers": [
                {"name": PROJECT, "identity": server, "service": {"target": f"{server}:{port}", "scheme": "grpc"}}
            ],
            "client": {
                "ssl_private_key": "client.key", "ssl_cert": "client.crt", "ssl_root_cert": "rootCA.pem",
                "fqsn": name, "is_leaf": True, "connection_security": "mtls",
            },
        },
        "local/resources.json": {
            "format_version": 2,
            "class_list_enforcement_mode": "enforce",
            "class_allow_list": [EXECUTOR, TASK_GATE, RESULT_GATE],
            "allow_log_streaming": False,
            "client": {"retry_timeout": 30, "compression": "None"},
            "components": [
                _component("resource_manager", "app_common.resource_managers.passthrough_resource_manager",
                           "PassthroughResourceManager"),
                _component("resource_consumer", "app_common.resource_consumers.passthrough_resource_consumer",
                           "PassthroughResourceConsumer"),
                _component("process_launcher", "app_common.job_launcher.client_process_launcher",
                           "ClientProcessJobLauncher"),
                {"id": "site_policy", "path": POLICY, "args": {}},
            ],
        },
        "local/authorization.json": _authorisation(),
        "local/privacy.json": {
            "scopes": [
                {
                    "name": "gate",
                    "task_data_filters": [{"path": TASK_GATE, "args": {}}],
                    "task_result_filters": [{"path": RESULT_GATE, "args": {}}],
                }
            ],
            "default_scope": "gate",
        },
        "local/log_config.json": _LOGGING,
    }  # fmt: skip


def server_files(server: str, port: int, workspace: Path) -> dict[str, Any]:
    """Path → content of the coordinator's server."""
    return {
        "startup/fed_server.json": {
            "format_version": 2,
            "servers": [
                {
                    "name": PROJECT, "service": {"target": f"{server}:{port}", "scheme": "grpc"},
                    "admin_server": server, "admin_port": port, "ssl_private_key": "server.key",
                    "ssl_cert": "server.crt", "ssl_root_cert": "rootCA.pem", "connection_security": "mtls",
                }
            ],
        },
        "local/resources.json": {
            "format_version": 2,
            "class_list_enforcement_mode": "enforce",
            "class_allow_list": [CONTROLLER],
            "servers": [
                {"admin_storage": "transfer", "max_num_clients": 1000, "heart_beat_timeout": 60, "admin_timeout": 10.0}
            ],
            "snapshot_persistor": {
                "path": "nvflare.app_common.state_persistors.storage_state_persistor.StorageStatePersistor",
                "args": {
                    "uri_root": "/",
                    "storage": {
                        "path": "nvflare.app_common.storages.filesystem_storage.FilesystemStorage",
                        "args": {"root_dir": str(workspace / "snapshots"), "uri_root": "/"},
                    },
                },
            },
            "components": [
                # A refused job is tried once; FLARE would otherwise ask the sites again and again.
                _component("job_scheduler", "app_common.job_schedulers.job_scheduler", "DefaultJobScheduler",
                           max_jobs=16, max_schedule_count=1, min_schedule_interval=1.0),
                _component("job_manager", "apis.impl.job_def_manager", "SimpleJobDefManager",
                           uri_root=str(workspace / "jobs"), job_store_id="job_store"),
                _component("job_store", "app_common.storages.filesystem_storage", "FilesystemStorage"),
                _component("process_launcher", "app_common.job_launcher.server_process_launcher",
                           "ServerProcessJobLauncher"),
            ],
        },
        "local/authorization.json": _authorisation(),
        "local/log_config.json": _LOGGING,
    }  # fmt: skip


def administrator_files(server: str, port: int) -> dict[str, Any]:
    """Path → content of the account by which the coordinator's connector submits and deletes jobs."""
    return {
        "startup/fed_admin.json": {
            "format_version": 1,
            "admin": {
                "project_name": PROJECT, "username": ADMINISTRATOR, "server_identity": server, "scheme": "grpc",
                "host": server, "port": port, "connection_security": "mtls", "uid_source": "user_input",
                "with_file_transfer": True, "upload_dir": "transfer", "download_dir": "transfer",
                "client_key": "client.key", "client_cert": "client.crt", "ca_cert": "rootCA.pem",
            },
        },
        "local/resources.json": {
            "format_version": 1,
            "admin": {"idle_timeout": 0, "login_timeout": 10.0, "with_debug": False,
                      "authenticate_msg_timeout": 5.0, "prompt": "> "},
        },
    }  # fmt: skip


def session_job(agreements: Mapping[str, str], *, enough: int) -> dict[str, Any]:
    """Path → content of the job that is a session: relays and nothing else. ``agreements``: site's name → agreement."""
    sites = sorted(agreements)
    return {
        "meta.json": {
            "name": "synthema-session", "resource_spec": {}, "deploy_map": {"app": ["server", *sites]},
            "min_clients": enough, "mandatory_clients": [], AGREEMENTS: dict(agreements),
        },
        "app/config/config_fed_server.json": {
            "format_version": 2, "server": {"task_request_interval": POLL_SECONDS, "heart_beat_timeout": 60},
            "task_data_filters": [], "task_result_filters": [], "components": [],
            "workflows": [{"id": "relay", "path": CONTROLLER, "args": {"sites": sites}}],
        },
        "app/config/config_fed_client.json": {
            "format_version": 2,
            "executors": [{"tasks": ["parcel"], "executor": {"path": EXECUTOR, "args": {}}}],
            "task_data_filters": [], "task_result_filters": [], "components": [],
        },
    }  # fmt: skip


def write_files(folder: Path, files: Mapping[str, Any]) -> Path:
    """Write a kit or a job (JSON values, or bytes for keys and certificates), readable by its owner only."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        data = content if isinstance(content, bytes) else json.dumps(content, indent=1).encode()
        path.touch(mode=0o600)
        path.write_bytes(data)
    return folder


def lay_out_relay(folder: Path) -> Path:
    """Copy the part that runs inside FLARE, afresh; returns the folder to put on FLARE's path."""
    source = resources.files("synthema.federation.flare") / "synthema_relay"
    shutil.rmtree(folder, ignore_errors=True)
    files = {f"synthema_relay/{item.name}": item.read_bytes() for item in source.iterdir() if item.name[-3:] == ".py"}
    return write_files(folder, files)


def _component(identifier: str, module: str, name: str, **arguments: Any) -> dict[str, Any]:
    return {"id": identifier, "path": f"nvflare.{module}.{name}", "args": arguments}


def _authorisation() -> dict[str, Any]:
    """One role with the least it needs; every other right, and every other role, is 'none'."""
    least = {"submit_job": "any", "manage_job": "any", "view": "any", **dict.fromkeys(_NOTHING, "none")}
    nothing: Sequence[str] = ("submit_job", "manage_job", "view", *_NOTHING)
    others = {role: dict.fromkeys(nothing, "none") for role in ("org_admin", "lead", "member")}
    return {"format_version": "1.0", "permissions": {"project_admin": least, **others}}


_LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "baseFormatter": {
            "()": "nvflare.fuel.utils.log_utils.BaseFormatter",
            "fmt": "%(asctime)s - %(name)s - %(levelname)s - %(fl_ctx)s - %(message)s",
        }
    },
    "handlers": {
        "logFileHandler": {
            "class": "logging.handlers.RotatingFileHandler", "level": "INFO", "formatter": "baseFormatter",
            "filename": "log.txt", "mode": "a", "maxBytes": 5_000_000, "backupCount": 2,
        }
    },
    "loggers": {"root": {"level": "INFO", "handlers": ["logFileHandler"]}},
}  # fmt: skip
