"""Calls an operation of a connector: over its management address when it runs, else in this process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthema.errors import ConflictError

if TYPE_CHECKING:
    from synthema.config import Settings


def call(home: Path, operation: str, value: dict[str, Any] | None = None) -> Any:
    """Run an operation on the connector in ``home`` and return its JSON result."""
    from synthema.config import load_settings

    settings = load_settings(home)
    if is_running(settings):
        return _call_running(settings, operation, value)
    from synthema.assembly import Connector, find_operation, home_lock

    with home_lock(settings.home):
        connector = Connector.open(settings)
        try:
            return find_operation(operation).call(connector, value or {})
        finally:
            connector.close()


def call_served(home: Path, operation: str, value: dict[str, Any] | None = None) -> Any:
    """Run an operation that needs the connector to be served, because others call back or work goes on after it.

    Raises :class:`ConflictError` when it is not running.
    """
    from synthema.config import load_settings

    settings = load_settings(home)
    if not is_running(settings):
        raise ConflictError(
            f"{settings.name} is not running, and this needs its partners to reach it",
            fix=f"start it in another window with: synthema serve --home {home}",
        )
    return _call_running(settings, operation, value)


def is_running(settings: Settings) -> bool:
    """Whether a process holds this connector's home now."""
    from synthema.assembly.lock import home_lock

    try:
        with home_lock(settings.home):
            return False
    except ConflictError:
        return True


def _call_running(settings: Settings, operation: str, value: dict[str, Any] | None) -> Any:
    from synthema.assembly.remote import call_remote
    from synthema.assembly.setup import MANAGEMENT_TOKEN

    token = (settings.home / MANAGEMENT_TOKEN).read_text(encoding="utf-8").strip()
    return call_remote(settings.management_url, token, operation, value)
