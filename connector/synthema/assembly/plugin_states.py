"""Tells the impact assessments how a plugin stands now: its files are hashed, its approval looked up, each time."""

from __future__ import annotations

from collections.abc import Callable

from synthema.dpia import PluginState
from synthema.errors import SynthemaError
from synthema.spi import PluginRegistry

APPROVED = "approved"


def plugin_states(plugins: PluginRegistry) -> Callable[[str], PluginState]:
    """The port through which the DPIA room asks about plugins."""

    def state_of(name: str) -> PluginState:
        try:
            approved = plugins.require(name)
        except SynthemaError as refusal:
            return _not_approved(name, refusal)
        return PluginState(APPROVED, approved.digest, approved.manifest.capabilities)

    def _not_approved(name: str, refusal: SynthemaError) -> PluginState:
        try:
            installed = plugins.find_installed(name)
        except SynthemaError as missing:
            return PluginState(missing.message)
        standing = refusal.message.rpartition(": it is ")[2]
        return PluginState(standing, installed.digest, installed.manifest.capabilities)

    return state_of
