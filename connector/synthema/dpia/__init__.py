"""Executable impact assessments (GDPR Art. 35): risk → measure → metric → gate."""

from synthema.dpia.check import Evidence, GateReport, GateResult, check, describe
from synthema.dpia.load import load_dpia, read_dpia
from synthema.dpia.model import Dpia, Gate, Measure, MetricDefinition, Outcome, Phase, Risk, confirm_gates
from synthema.dpia.store import DpiaState, DpiaStore, DpiaVersion, signing_bytes

__all__ = [
    "Dpia",
    "DpiaState",
    "DpiaStore",
    "DpiaVersion",
    "Evidence",
    "Gate",
    "GateReport",
    "GateResult",
    "Measure",
    "MetricDefinition",
    "Outcome",
    "Phase",
    "Risk",
    "check",
    "confirm_gates",
    "describe",
    "load_dpia",
    "read_dpia",
    "signing_bytes",
]
