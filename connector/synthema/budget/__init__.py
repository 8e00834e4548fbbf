"""The privacy-loss ledger: what each recipient may still learn about each dataset."""

from synthema.budget.convert import delta_of, epsilon_of, rho_of
from synthema.budget.ledger import BudgetLedger
from synthema.budget.model import EVERYONE, Account, Balance, Reservation, ReservationState

__all__ = [
    "EVERYONE",
    "Account",
    "Balance",
    "BudgetLedger",
    "Reservation",
    "ReservationState",
    "delta_of",
    "epsilon_of",
    "rho_of",
]
