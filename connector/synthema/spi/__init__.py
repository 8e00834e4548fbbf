"""The plugin interface: hooks, values, manifest; and, for the connector, discovery and approval.

Plugins import from here the marker and the values. What only the connector
needs (registry, loader) is imported on first use: inside the sandbox its
libraries need not be there.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from synthema.spi.hookspecs import KINDS, hookimpl
from synthema.spi.model import (
    Aggregate,
    Anonymised,
    Assurance,
    Contribution,
    Evaluation,
    Generated,
    Json,
    Metric,
    Parameters,
    Plan,
    State,
    Table,
)

if TYPE_CHECKING:
    from synthema.spi.loader import Discovery, InstalledPlugin, discover, find, installed
    from synthema.spi.manifest import Manifest, describe, load_manifest
    from synthema.spi.registry import (
        ApprovedPlugin,
        Listed,
        PluginRegistry,
        approval_bytes,
        plugin_entity,
        plugin_iri,
    )

__all__ = [
    "KINDS",
    "Aggregate",
    "Anonymised",
    "ApprovedPlugin",
    "Assurance",
    "Contribution",
    "Discovery",
    "Evaluation",
    "Generated",
    "InstalledPlugin",
    "Json",
    "Listed",
    "Manifest",
    "Metric",
    "Parameters",
    "Plan",
    "PluginRegistry",
    "State",
    "Table",
    "approval_bytes",
    "describe",
    "discover",
    "find",
    "hookimpl",
    "installed",
    "load_manifest",
    "plugin_entity",
    "plugin_iri",
]

_LATER = {
    "synthema.spi.loader": ("Discovery", "InstalledPlugin", "discover", "find", "installed"),
    "synthema.spi.manifest": ("Manifest", "describe", "load_manifest"),
    "synthema.spi.registry": (
        "ApprovedPlugin",
        "Listed",
        "PluginRegistry",
        "approval_bytes",
        "plugin_entity",
        "plugin_iri",
    ),
}


def __getattr__(name: str) -> Any:
    for module, names in _LATER.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(name)
