"""All management operations; importing this package registers them."""

from synthema.assembly.operations import certificates, datasets, governance, log, permits, runs, studies
from synthema.assembly.operations.registry import OPERATIONS, Operation, find_operation

__all__ = [
    "OPERATIONS",
    "Operation",
    "certificates",
    "datasets",
    "find_operation",
    "governance",
    "log",
    "permits",
    "runs",
    "studies",
]
