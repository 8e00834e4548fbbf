"""The assembled connector: what carries a study across the rooms, and what people may ask of it."""

from synthema.assembly.connector import Connector
from synthema.assembly.lock import home_lock
from synthema.assembly.operations import OPERATIONS, Operation, find_operation
from synthema.assembly.setup import initialise

__all__ = ["OPERATIONS", "Connector", "Operation", "find_operation", "home_lock", "initialise"]
