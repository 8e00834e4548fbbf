"""Operations on withdrawals: what follows from a consent taken back, what was done, what stays and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from synthema.assembly.operations.registry import Input, Nothing, operation
from synthema.assembly.permitting import names_of
from synthema.assembly.withdrawal import Rules, report, store
from synthema.assembly.withdrawal.deciding import Assessment, Decisions
from synthema.errors import InputError

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector
    from synthema.identity.people import Person


class FindWithdrawals(Input):
    """Which withdrawals; nothing given finds those that are not carried out yet."""

    all: bool = Field(default=False, description="also those that are carried out")


@operation("withdrawal/list")
def list_withdrawals(connector: Connector, given: FindWithdrawals) -> list[dict[str, Any]]:
    """The withdrawals that are carried on here, with where each stands; newest first."""
    return _plans(connector, every=given.all)


class OneWithdrawal(Input):
    """A withdrawal by its id."""

    withdrawal: str


@operation("withdrawal/show")
def show_withdrawal(connector: Connector, given: OneWithdrawal) -> dict[str, Any]:
    """One withdrawal: every derived thing with what follows for it, and the notices with their receipts."""
    return _whole(connector, given.withdrawal)


@operation("withdrawal/report")
def report_withdrawal(connector: Connector, given: OneWithdrawal) -> dict[str, Any]:
    """One withdrawal in sentences: what was done, what is left, who was told, what stays and why."""
    with connector.database.read() as connection:
        plan = store.find_plan(connection, given.withdrawal)
        notices = store.notices_of(connection, given.withdrawal)
    now, names = connector.clock.now(), names_of(connector)
    return report.plan_json(plan, now, names) | {"sentences": report.sentences(plan, notices, now, names)}


@operation("withdrawal/plan")
def plan_withdrawals(connector: Connector, given: Nothing) -> list[dict[str, Any]]:
    """Look now instead of soon: plan, act, tell partners; returns what is not carried out yet."""
    connector.withdrawals.work()
    return _plans(connector, every=False)


class Do(Input):
    """What a data protection officer decides about derived things."""

    items: list[str] = Field(min_length=1, description="identifiers of the consequences, as withdrawal show gives them")
    person: str
    finding: Literal["negligible", "not negligible"] | None = Field(
        default=None, description="assessment: what remains of the person in it"
    )
    recipients: str = Field(default="", description="assessment: who can use the thing")
    means: str = Field(default="", description="assessment: what somebody could try, and what was tried")
    keep: str | None = Field(default=None, description="the article on which rows stay, e.g. GDPR 17(3)(d)")
    made_anew: str | None = Field(default=None, description="the run (or study) that made the thing anew")
    reason: str = Field(default="", description="why, in one or two sentences")


@operation("withdrawal/do")
def do_withdrawal(connector: Connector, given: Do) -> dict[str, Any]:
    """Record what an officer decides: an assessment, another ground, or that a thing was made anew."""
    officer = connector.people.require(given.person, "dpo")
    decisions = Decisions(connector.withdrawals.ground, connector.withdrawals.steps)
    _decide(decisions, given, officer)
    connector.withdrawals.wake()
    with connector.database.read() as connection:
        found = store.find_item(connection, given.items[0])
    return _whole(connector, found.plan)


def _decide(decisions: Decisions, given: Do, officer: Person) -> None:
    chosen = [given.finding, given.keep, given.made_anew]
    if sum(each is not None for each in chosen) != 1:
        raise InputError(
            "say one thing: a finding, a ground to keep, or what made it anew",
            fix="give --finding, --keep or --made-anew",
        )
    if given.finding is not None:
        assessment = _assessment(given)
        decisions.assess(given.items, assessment, officer)
    elif given.keep is not None:
        _require(given.reason, "reason")
        decisions.let_stay(given.items, given.keep, given.reason, officer)
    elif given.made_anew is not None:
        for item in given.items:
            decisions.made_anew(item, given.made_anew, officer)


def _assessment(given: Do) -> Assessment:
    for field in ("recipients", "means", "reason"):
        _require(getattr(given, field), field)
    return Assessment(
        finding=given.finding or "not negligible",
        recipients=given.recipients,
        means=given.means,
        reason=given.reason,
    )


def _require(text: str, field: str) -> None:
    if len(text.strip()) < 3:
        raise InputError(
            f"'{field}' is missing: an officer's decision names it", where=field, fix=f"give --{field} in one sentence"
        )


class RulesFor(Input):
    """Whose rules; ``*`` is every dataset without rules of its own, and what partners tell of."""

    dataset: str = "*"


@operation("withdrawal/rules")
def show_rules(connector: Connector, given: RulesFor) -> dict[str, Any]:
    """What follows for which class of derived things, in force for a dataset."""
    return _rules(connector, _dataset(connector, given.dataset))


class SetRules(RulesFor):
    """New rules, and the officer who sets them."""

    rules: Rules
    person: str


@operation("withdrawal/set-rules")
def set_rules(connector: Connector, given: SetRules) -> dict[str, Any]:
    """Set what follows for which class of derived things; needs a data protection officer."""
    officer = connector.people.require(given.person, "dpo")
    decisions = Decisions(connector.withdrawals.ground, connector.withdrawals.steps)
    name = _dataset(connector, given.dataset)
    decisions.set_rules(name, given.rules, officer)
    return _rules(connector, name)


def _dataset(connector: Connector, name: str) -> str:
    return name if name == store.EVERY else connector.datasets.version(name).name


def _rules(connector: Connector, name: str) -> dict[str, Any]:
    with connector.database.read() as connection:
        rules = store.rules_for(connection, name)
    meanings = {field: info.description for field, info in Rules.model_fields.items()}
    return {"dataset": name, "rules": rules.model_dump(mode="json"), "meanings": meanings}


def _plans(connector: Connector, *, every: bool) -> list[dict[str, Any]]:
    with connector.database.read() as connection:
        plans = store.all_plans(connection, unfinished_only=not every)
    return [report.plan_json(plan, connector.clock.now(), names_of(connector)) for plan in plans]


def _whole(connector: Connector, identifier: str) -> dict[str, Any]:
    with connector.database.read() as connection:
        plan = store.find_plan(connection, identifier)
        notices = store.notices_of(connection, identifier)
    now, names = connector.clock.now(), names_of(connector)
    return report.plan_json(plan, now, names) | {
        "items": [report.item_json(item, now) for item in plan.items],
        "notices": [report.notice_json(notice, names) for notice in notices],
    }
