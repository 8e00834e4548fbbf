"""What ``synthema doctor`` looks at: the machine, the installation, and the connector in a home."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from synthema.errors import SynthemaError

Row = dict[str, str]

STATUS_OF = {"ok": 0, "warn": 1, "fail": 4}
"""Result of a check → exit status."""

_PYTHON = (3, 11, 4)
_EXTRAS = {
    "synthesis": (("scipy",), "makes synthetic data"),
    "dp": (("opendp",), "draws the noise of marginals at one site"),
    "report": (("altair", "vl_convert"), "draws the figures of reports"),
}
_USUAL_ISOLATION = 2


def examine(home: Path | None) -> list[Row]:
    """Rows ``number``, ``check``, ``result``, ``status`` (ok, warn, fail) and ``fix``."""
    rows = {row["check"]: row for row in _machine()}
    if home is not None:
        rows |= {row["check"]: row for row in _connector(home)}
    return [{"number": str(number)} | row for number, row in enumerate(rows.values(), start=1)]


def _row(check: str, result: str, status: str, fix: str) -> Row:
    return {"check": check, "result": result, "status": status, "fix": "" if status == "ok" else fix}


def _machine() -> Iterator[Row]:
    new_enough = sys.version_info[:3] >= _PYTHON
    yield _row("python", platform.python_version(), "ok" if new_enough else "fail", "install Python 3.11.4 or later")
    yield _bundled()
    for extra, (modules, purpose) in _EXTRAS.items():
        missing = [name for name in modules if find_spec(name) is None]
        yield _row(
            f"extra {extra}",
            f"lacks {', '.join(missing)}, which {purpose}" if missing else "installed",
            "warn" if missing else "ok",
            f"pip install 'synthema[{extra}]'",
        )
    yield _isolation()


def _bundled() -> Row:
    from synthema.resources import bundled

    try:
        for kind in ("policies", "ontologies", "legal"):
            bundled(kind)
    except SynthemaError as error:
        return _row("installation", error.message, "fail", error.fix)
    return _row("installation", "policies, ontologies and legal texts are in place", "ok", "")


def _isolation() -> Row:
    from synthema.runs.sandbox import isolation

    report = isolation()
    status = "ok" if report.level >= _USUAL_ISOLATION else "warn" if report.level else "fail"
    return _row(
        "isolation",
        " ".join(report.sentences()),
        status,
        "run on Linux 6.12 or later (5.13 at the least) with Landlock and seccomp, as root or with user namespaces",
    )


def _connector(home: Path) -> Iterator[Row]:
    from synthema.cli.client import call, is_running
    from synthema.config import load_settings

    try:
        settings = load_settings(home)
    except SynthemaError as error:
        yield _row("settings", error.message, "fail", error.fix)
        return
    yield _row("settings", f"{settings.name}, a {settings.role} in {settings.mode} mode", "ok", "")
    exposed = settings.home.stat().st_mode & 0o077
    yield _row(
        "home folder",
        "others on this machine may read it" if exposed else "readable by its owner only",
        "fail" if exposed else "ok",
        f"run: chmod 700 {home}",
    )
    yield _passphrase(settings.home)
    try:
        served = is_running(settings)
        yield _row("served", "yes" if served else "no", "ok", "")
        yield from call(home, "doctor/check", {"served": served})
    except SynthemaError as error:
        yield _row("connector", error.message, "fail", error.fix)


def _passphrase(home: Path) -> Row:
    from synthema.assembly.setup import KEYS, PASSPHRASE
    from synthema.identity import FileSigner, read_passphrase_file

    try:
        FileSigner.open(home / KEYS, read_passphrase_file(home / PASSPHRASE))
    except SynthemaError as error:
        return _row("passphrase", error.message, "fail", error.fix)
    return _row("passphrase", "opens all keys; nobody else on this machine may read it", "ok", "")


def settings_help() -> list[dict[str, Any]]:
    """Every key of ``connector.toml`` with its meaning and what counts when it is left out."""
    from synthema.config import Settings

    return list(_fields(Settings, ""))


def _fields(model: Any, prefix: str) -> Iterator[dict[str, Any]]:
    for name, field in model.model_fields.items():
        inner = field.annotation if hasattr(field.annotation, "model_fields") else None
        if inner is not None:
            yield from _fields(inner, f"{prefix}{name}.")
        elif prefix + name != "home":
            default = "must be given" if field.is_required() else _text(field.default)
            yield {"setting": prefix + name, "meaning": field.description or "", "default": default}


def _text(value: Any) -> str:
    return "none" if value == () else str(value)
