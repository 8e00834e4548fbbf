"""The assembled connector: what carries a study across the rooms, and what people may ask of it.

Names are loaded when they are asked for: a command that only talks to a running
connector does not wait for all the rooms.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector
    from synthema.assembly.lock import home_lock
    from synthema.assembly.operations import OPERATIONS, Operation, find_operation
    from synthema.assembly.setup import initialise

__all__ = ["OPERATIONS", "Connector", "Operation", "find_operation", "home_lock", "initialise"]

_PLACES = {
    "OPERATIONS": "operations",
    "Connector": "connector",
    "Operation": "operations",
    "find_operation": "operations",
    "home_lock": "lock",
    "initialise": "setup",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'synthema.assembly' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
