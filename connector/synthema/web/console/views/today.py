"""Today: what needs a person now, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from synthema.budget import ALERT
from synthema.web.console.desk import Desk
from synthema.web.console.pages import Page, Route, Visit
from synthema.web.console.views import alerts
from synthema.web.console.views.alerts import Need, need
from synthema.web.console.views.budgets import account_name, recipient_name

MAX_STOPPED: Final = 5
"""Stopped work stays in the list of requests for good; only the latest is worth a person's day."""

_SIGNABLE = ("draft", "in review")


def today(desk: Desk, _visit: Visit) -> Page:
    """Everything that waits for a person, the most pressing kind first."""
    needs = [
        *alerts.of_obligations(desk),
        *alerts.of_withdrawals(desk),
        *_policies(desk),
        *alerts.of_assessments(desk),
        *alerts.of_permits(desk),
        *_plugins(desk),
        *_stopped(desk),
        *_budgets(desk),
        *_health(desk),
    ]
    return Page("today.html", "What needs you today", {"needs": needs})


def _policies(desk: Desk) -> Iterator[Need]:
    for policy in desk.ask("policy/list"):
        if policy["state"] in _SIGNABLE:
            yield need(
                "Policy to sign",
                f"“{policy['title']}”, version {policy['version']}, has {len(policy['signedBy'])} of 2 signatures.",
                desk.policy_address(policy),
            )


def _plugins(desk: Desk) -> Iterator[Need]:
    for plugin in desk.ask("plugin/list"):
        if plugin["standing"] in ("not approved", "changed since approval") or plugin["problem"]:
            yield need(
                "Plugin awaiting approval",
                f"“{plugin['name']}” is {plugin['standing']} and cannot run.",
                f"{desk.base}/plugins#{plugin['name']}",
            )


def _stopped(desk: Desk) -> Iterator[Need]:
    stopped = [run for run in desk.ask("request/list") if run["state"] in ("quarantined", "stopped")]
    for run in stopped[:MAX_STOPPED]:
        yield need(
            "Run stopped in quarantine" if run["state"] == "stopped" else "Run in quarantine",
            run["reason"] or "Its output waits for the checks before release.",
            f"{desk.base}/requests/{run['run']}",
        )
    if desk.role == "hub":
        studies = [study for study in desk.ask("study/list") if study["state"] in ("quarantined", "stopped")]
        for study in studies[:MAX_STOPPED]:
            kind = "Study stopped in quarantine" if study["state"] == "stopped" else "Study in quarantine"
            yield need(kind, f"“{study['title']}”: {study['reason'] or ''}", f"{desk.base}/studies/{study['id']}")


def _budgets(desk: Desk) -> Iterator[Need]:
    for account in desk.ask("budget/show"):
        if account["share"] >= ALERT:
            yield need(
                "Privacy budget nearly spent",
                f"{account['share']:.0%} of the budget of {recipient_name(desk, account)} for "
                f"{account_name(account)} is spent or set aside.",
                f"{desk.base}/budgets/{account['account']}",
            )


def _health(desk: Desk) -> Iterator[Need]:
    rows: list[dict[str, Any]] = desk.ask("doctor/check")
    for row in rows:
        if row["status"] != "ok" and row["check"] != "plugins":  # plugins stand here by name already
            yield need("Health", f"{row['check']}: {row['result']}. {row['fix']}", f"{desk.base}/health")


ROUTES = (Route("", today),)
