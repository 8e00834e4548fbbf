"""The sandbox: plugins run in a confined process of their own, and the confinement is probed, not assumed."""

from synthema.runs.sandbox.probe import IsolationReport, Machine, isolation, machine, probe
from synthema.runs.sandbox.session import Sandbox, Session, clear_leftovers

__all__ = ["IsolationReport", "Machine", "Sandbox", "Session", "clear_leftovers", "isolation", "machine", "probe"]
