"""Privacy budgets: how much of what was agreed is spent, what that means, and what one more release would leave."""

from __future__ import annotations

from typing import Any, Final

from synthema.budget import ALERT, EVERYONE
from synthema.errors import InputError, SynthemaError
from synthema.web.console.desk import Desk
from synthema.web.console.pages import Page, Route, Visit

_TITLE: Final = "Privacy budget: what is spent and what is left"
_FIELDS: Final = ("epsilon", "delta", "times")


def show_budgets(desk: Desk, _visit: Visit) -> Page:
    """A meter and a ledger for each account."""
    accounts = desk.ask("budget/show")
    shown = [{**account, "name": account_name(account), "whose": recipient_name(desk, account)} for account in accounts]
    return Page("budgets.html", _TITLE, accounts, {"shown": shown, "alert": ALERT})


def show_budget(desk: Desk, visit: Visit) -> Page:
    """One account with its odometer; with ``?epsilon=…`` also what a release would cost and leave."""
    name = visit.path["account"]
    account = next((each for each in desk.ask("budget/show") if each["account"] == name), None)
    odometer = desk.ask("budget/odometer", account=name)  # says what to do where there is no such account
    asked = {field: visit.query.get(field, "").strip() for field in _FIELDS}
    forecast, problem = _forecast(desk, name, asked)
    value = {"budget": account, "odometer": odometer, "forecast": forecast}
    value |= {} if problem is None else {"error": problem.as_dict()}
    more = {
        "asked": asked,
        "problem": problem,
        "alert": ALERT,
        "whose": recipient_name(desk, odometer),
        "told": min(odometer["composition"]["best"]["epsilon"] / odometer["ceiling"], 1),
    }
    title = f"Privacy budget of {recipient_name(desk, odometer)} for {account_name(odometer)}"
    return Page("budget.html", title, value, more, status=422 if problem else 200)


def _forecast(desk: Desk, account: str, asked: dict[str, str]) -> tuple[dict[str, Any] | None, SynthemaError | None]:
    """What the release that was asked about would do to the account; nothing where none was asked about."""
    if not any(asked.values()):
        return None, None
    try:
        numbers = {field: _number(field, text) for field, text in asked.items() if text}
        if "epsilon" not in numbers:
            raise InputError("no ε is given", fix="say how much privacy loss ε the release would ask for")
        return desk.ask("budget/what-if", account=account, **numbers), None
    except SynthemaError as error:
        return None, error


def _number(field: str, text: str) -> float | int:
    try:
        return int(text) if field == "times" else float(text)
    except ValueError as error:
        raise InputError(f"{field} is not a number: {text[:40]}", fix="write e.g. 2, 0.5 or 1e-6") from error


def account_name(account: dict[str, Any]) -> str:
    """The dataset of an account."""
    return f"dataset {account['dataset']}"


def recipient_name(desk: Desk, account: dict[str, Any]) -> str:
    """Whose budget it is, in words."""
    return "all recipients together" if account["recipient"] == EVERYONE else desk.party(account["recipient"])


ROUTES = (Route("/budgets", show_budgets), Route("/budgets/{account}", show_budget))
