"""Holds one loaded plugin: checks that it is what its manifest says, and calls its hooks one by one.

Used inside the sandbox, and by contract tests in the author's own process.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pluggy

from synthema.errors import PluginError
from synthema.spi.exchange import signature
from synthema.spi.hookspecs import PROJECT, Hooks
from synthema.spi.manifest import Manifest


class Host:
    """One plugin in this process. Raises :class:`PluginError` unless hooks and manifest agree exactly."""

    def __init__(self, plugin: object, manifest: Manifest) -> None:
        self.manifest = manifest
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(Hooks)
        try:
            self._manager.register(plugin, name=manifest.name)
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise PluginError(
                f"plugin '{manifest.name}' has a hook that does not fit: {error}",
                fix="name hooks and their arguments as in synthema.spi.hookspecs.Hooks",
            ) from error
        self._check_capabilities(plugin)

    def call(self, hook: str, arguments: Mapping[str, Any]) -> Any:
        """Call one hook with its arguments; raises :class:`PluginError` if it is not there or answers nothing."""
        signature(hook)
        if hook not in self.manifest.capabilities:
            raise PluginError(
                f"plugin '{self.manifest.name}' does not declare {hook}",
                fix=f"use one of its capabilities: {', '.join(self.manifest.capabilities)}",
            )
        answers = getattr(self._manager.hook, hook)(**arguments)
        if len(answers) != 1:  # pluggy drops None: an empty list means that nothing was answered
            raise PluginError(
                f"plugin '{self.manifest.name}' answered nothing to {hook}", fix="return a value of synthema.spi.model"
            )
        return answers[0]

    def _check_capabilities(self, plugin: object) -> None:
        callers = self._manager.get_hookcallers(plugin) or []
        implemented, declared = {caller.name for caller in callers}, set(self.manifest.capabilities)
        if implemented != declared:
            missing = ", ".join(sorted(declared - implemented)) or "none"
            extra = ", ".join(sorted(implemented - declared)) or "none"
            raise PluginError(
                f"plugin '{self.manifest.name}' is not what it declares (missing: {missing}; undeclared: {extra})",
                fix="make capabilities in plugin.toml equal to the hooks that the package implements",
            )
        if any(hook.wrapper or hook.hookwrapper for caller in callers for hook in caller.get_hookimpls()):
            raise PluginError(
                f"plugin '{self.manifest.name}' wraps hooks", fix="implement hooks plainly, without wrappers"
            )
