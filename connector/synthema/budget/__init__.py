"""The privacy-loss ledger: what each recipient may still learn about each dataset."""

from synthema.budget.compose import Composition, Reading, advantage, compose
from synthema.budget.convert import delta_of, epsilon_of, rho_of
from synthema.budget.ledger import BudgetLedger
from synthema.budget.mechanisms import Loss, Mechanism, loss_of
from synthema.budget.model import ALERT, EVERYONE, Account, Balance, Reservation, ReservationState
from synthema.budget.outlook import Forecast, Picture, history, odometer, plan, release_of, what_if

__all__ = [
    "ALERT",
    "EVERYONE",
    "Account",
    "Balance",
    "BudgetLedger",
    "Composition",
    "Forecast",
    "Loss",
    "Mechanism",
    "Picture",
    "Reading",
    "Reservation",
    "ReservationState",
    "advantage",
    "compose",
    "delta_of",
    "epsilon_of",
    "history",
    "loss_of",
    "odometer",
    "plan",
    "release_of",
    "rho_of",
    "what_if",
]
