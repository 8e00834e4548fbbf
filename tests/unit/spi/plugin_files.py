"""Writes small plugins into a folder, as pip would: a package, its plugin.toml, and the entry point."""

from __future__ import annotations

from pathlib import Path

from synthema.spi.loader import InstalledPlugin, package_digest
from synthema.spi.manifest import load_manifest
from synthema.spi.registry import ApprovedPlugin

ANALYSIS = """
import polars as pl

from synthema.spi import Evaluation, Metric, hookimpl


@hookimpl
def analyse(table, codebook, parameters):
    return Evaluation((Metric("rows", float(table.height), table.height),))
"""


def manifest_text(name: str, kind: str = "analysis", capabilities: str = '["analyse"]', more: str = "") -> str:
    return f"""
spec_version = 1
name = "{name}"
version = "0.1.0"
title = "A small {kind}"
description = "Exists to show that the connector treats every plugin alike."
api = ">=0.1,<1"
kind = "{kind}"
capabilities = {capabilities}
data_categories = ["ClinicalRecord"]
inputs = ["pseudonymised"]
outputs = ["aggregate"]
network = "none"
licence = "Apache-2.0"
{more}
[guarantee]
kind = "none"
unit = "none"
assurance = "declared"
"""


def write_plugin(root: Path, name: str, code: str = ANALYSIS, manifest: str | None = None) -> Path:
    """Write a plugin below a folder that stands on ``sys.path``; returns the package's folder."""
    module = name.replace("-", "_")
    package = root / module
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(code, encoding="utf-8")
    (package / "plugin.toml").write_text(manifest or manifest_text(name), encoding="utf-8")
    info = root / f"{module}-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 0.1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[synthema.plugins]\n{name} = {module}\n", encoding="utf-8")
    return package


def approved(package: Path) -> ApprovedPlugin:
    """The plugin in a folder as if two people had approved it as it is now."""
    manifest = load_manifest(package / "plugin.toml")
    digest = package_digest(package)
    return ApprovedPlugin(manifest.name, package.name, package, manifest, digest, "approval-0")


def installed_in(package: Path) -> InstalledPlugin:
    manifest = load_manifest(package / "plugin.toml")
    return InstalledPlugin(manifest.name, package.name, package, manifest, package_digest(package))
