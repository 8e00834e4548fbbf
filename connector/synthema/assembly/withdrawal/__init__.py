"""Withdrawal reaches what was derived: consents taken back and opt-outs, followed into all that was made."""

from synthema.assembly.withdrawal.ground import Rooms
from synthema.assembly.withdrawal.model import Consequence, ItemState, Kind, Rules, Touch
from synthema.assembly.withdrawal.propagation import Withdrawals
from synthema.assembly.withdrawal.tracing import Sources

__all__ = ["Consequence", "ItemState", "Kind", "Rooms", "Rules", "Sources", "Touch", "Withdrawals"]
