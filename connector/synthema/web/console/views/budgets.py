"""Privacy budgets: how much of what was agreed has been spent, for each recipient of each dataset."""

from __future__ import annotations

from typing import Any, Final

from synthema.budget.model import EVERYONE
from synthema.web.console.desk import Desk
from synthema.web.console.pages import Page, Route, Visit

ALERT: Final = 0.8
"""Share of a budget from which a person should look."""

_TITLE: Final = "Privacy budget: what is spent and what is left"


def show_budgets(desk: Desk, _visit: Visit) -> Page:
    """A meter and a ledger for each account."""
    accounts = desk.ask("budget/show")
    shown = [{**account, "name": account_name(account), "whose": recipient_name(desk, account)} for account in accounts]
    return Page("budgets.html", _TITLE, accounts, {"shown": shown, "alert": ALERT})


def account_name(account: dict[str, Any]) -> str:
    """The dataset of an account."""
    return f"dataset {account['dataset']}"


def recipient_name(desk: Desk, account: dict[str, Any]) -> str:
    """Whose budget it is, in words."""
    return "all recipients together" if account["recipient"] == EVERYONE else desk.party(account["recipient"])


ROUTES = (Route("/budgets", show_budgets),)
