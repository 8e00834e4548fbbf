"""Executable impact assessments (GDPR Art. 35): risk → measure → metric → gate."""

from synthema.dpia.check import Evidence, GateReport, GateResult, check, describe, measured
from synthema.dpia.conformance import Conformance, Finding, PluginState, examine
from synthema.dpia.figures import FIGURES
from synthema.dpia.load import dump_yaml, load_dpia, read_dpia
from synthema.dpia.model import Dpia, Gate, Measure, MetricDefinition, Risk, confirm_gates, pin_plugins
from synthema.dpia.parts import Outcome, Phase
from synthema.dpia.records import Declaration, declaration_bytes
from synthema.dpia.store import DpiaStore, signing_bytes
from synthema.dpia.versions import DpiaState, DpiaVersion

__all__ = [
    "FIGURES",
    "Conformance",
    "Declaration",
    "Dpia",
    "DpiaState",
    "DpiaStore",
    "DpiaVersion",
    "Evidence",
    "Finding",
    "Gate",
    "GateReport",
    "GateResult",
    "Measure",
    "MetricDefinition",
    "Outcome",
    "Phase",
    "PluginState",
    "Risk",
    "check",
    "confirm_gates",
    "declaration_bytes",
    "describe",
    "dump_yaml",
    "examine",
    "load_dpia",
    "measured",
    "pin_plugins",
    "read_dpia",
    "signing_bytes",
]
