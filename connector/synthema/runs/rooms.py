"""The rooms a governor rests on, put together once for each connector."""

from __future__ import annotations

from dataclasses import dataclass

from synthema.budget import BudgetLedger
from synthema.clock import Clock
from synthema.config import Settings
from synthema.consent import ConsentStore
from synthema.datasets import DatasetStore
from synthema.dpia import DpiaStore
from synthema.identity import FileSigner
from synthema.obligations import ObligationLedger
from synthema.permits import PermitStore
from synthema.policy import PolicyStore
from synthema.provenance import ProvenanceLog
from synthema.runs.sandbox import Sandbox
from synthema.spi import PluginRegistry
from synthema.storage import Database


@dataclass(frozen=True, slots=True)
class Rooms:
    """The rooms a governor rests on."""

    settings: Settings
    database: Database
    log: ProvenanceLog
    clock: Clock
    signer: FileSigner
    policies: PolicyStore
    consents: ConsentStore
    dpias: DpiaStore
    permits: PermitStore
    budget: BudgetLedger
    obligations: ObligationLedger
    datasets: DatasetStore
    plugins: PluginRegistry
    sandbox: Sandbox
