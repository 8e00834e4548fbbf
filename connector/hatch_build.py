"""Build hook: real wheels carry policies/, ontologies/ and legal/; editable installs read the checkout."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BundleData(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the data folders under ``synthema/_bundled``."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name == "wheel" and version != "editable":
            for folder in ("policies", "ontologies", "legal"):
                build_data["force_include"][folder] = f"synthema/_bundled/{folder}"
