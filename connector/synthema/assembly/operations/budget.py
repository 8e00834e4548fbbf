"""Operations on privacy budgets: what was told, what is left, what a release would cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from synthema.assembly.operations.registry import Input, Nothing, operation
from synthema.assembly.permitting import names_of
from synthema.budget import EVERYONE, Account, Mechanism, history, odometer, plan, release_of, what_if
from synthema.budget.chart import svg, text_bar

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector


@operation("budget/show")
def show_budgets(connector: Connector, given: Nothing) -> list[dict[str, Any]]:
    """The privacy budgets of this site: ceiling, spent, left."""
    return [_gauge(connector, account) for account in connector.budget.accounts()]


class OneBudget(Input):
    """A privacy budget by its id."""

    account: str


@operation("budget/history")
def budget_history(connector: Connector, given: OneBudget) -> dict[str, Any]:
    """Everything ever set aside on a budget, with what was spent by then."""
    picture = connector.budget.picture(given.account)
    return {"account": given.account, "delta": picture.account.delta, "entries": history(picture)}


@operation("budget/odometer")
def budget_odometer(connector: Connector, given: OneBudget) -> dict[str, Any]:
    """What was told about one patient so far, by every composition we know, and how far each is shown."""
    return odometer(connector.budget.picture(given.account))


class WhatIf(OneBudget):
    """A release: as (ε, δ), or by its mechanisms; and how often it is made."""

    epsilon: float | None = Field(default=None, gt=0)
    delta: float | None = Field(default=None, gt=0, lt=1, description="left out, that of the budget")
    mechanisms: list[dict[str, Any]] = Field(default=[], description="kind, value, delta, count")
    times: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.epsilon is None) == (not self.mechanisms):
            raise ValueError("give either epsilon, or mechanisms")
        return self


@operation("budget/what-if")
def budget_what_if(connector: Connector, given: WhatIf) -> dict[str, Any]:
    """What a release would cost on top of what is spent, whether it fits, and how many more would."""
    picture = connector.budget.picture(given.account)
    if given.epsilon is not None:
        release = [release_of(given.epsilon, given.delta or picture.account.delta)]
    else:
        release = [Mechanism.read(value) for value in given.mechanisms]
    return what_if(picture, release, given.times).as_dict()


class PlanReleases(OneBudget):
    """Among how many releases the rest is to be shared."""

    releases: int = Field(ge=1)


@operation("budget/plan")
def budget_plan(connector: Connector, given: PlanReleases) -> dict[str, Any]:
    """The even share of what is left for so many releases."""
    return plan(connector.budget.picture(given.account), given.releases)


class OneDataset(Input):
    """A dataset by name."""

    dataset: str


@operation("budget/total")
def budget_total(connector: Connector, given: OneDataset) -> dict[str, Any]:
    """What all recipients of a dataset could know about one patient if they pooled what they were told."""
    return connector.budget.total(connector.datasets.version(given.dataset).name)


@operation("budget/chart")
def budget_chart(connector: Connector, given: OneBudget) -> dict[str, Any]:
    """What was spent as a picture (SVG) with a description, and as a bar of text."""
    account = connector.budget.picture(given.account).account
    gauge = connector.budget.gauge(account)
    title = f"Privacy budget of {_recipient(connector, account)} for {account.dataset_id}"
    return {"svg": svg(account, gauge["entries"], title), "text": _bar(gauge)}


def _gauge(connector: Connector, account: Account) -> dict[str, Any]:
    gauge = connector.budget.gauge(account)
    return gauge | {"bar": _bar(gauge)}


def _bar(gauge: dict[str, Any]) -> str:
    return text_bar(gauge["share"], gauge["spent"], gauge["ceiling"], gauge["delta"])


def _recipient(connector: Connector, account: Account) -> str:
    if account.recipient == EVERYONE:
        return "all recipients together"
    return names_of(connector).get(account.recipient, account.recipient)
