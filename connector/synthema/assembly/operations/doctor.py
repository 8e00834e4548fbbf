"""The operation behind ``synthema doctor``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthema.assembly.examination import examine
from synthema.assembly.operations.registry import Input, operation

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector


class Examine(Input):
    """Whether partners could reach the connector now: what needs that is not looked at otherwise."""

    served: bool = True


@operation("doctor/check")
def check_connector(connector: Connector, given: Examine) -> list[dict[str, str]]:
    """Look at this connector: keys, state, log, machine, policies, its place in the data space, and its partners."""
    return examine(connector, served=given.served)
