"""Withdrawals on their way, as they are kept. Every function works inside the caller's transaction.

People are known by the keyed tokens of the consent room, here as there; no token leaves this table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    insert,
    or_,
    select,
    update,
)

from synthema.assembly.withdrawal.model import (
    FINISHED,
    STEPS,
    Cause,
    Consequence,
    Item,
    ItemState,
    Kind,
    Plan,
    Rules,
)
from synthema.clock import from_text, to_text
from synthema.consent import Withdrawal
from synthema.errors import ConflictError, NotFoundError
from synthema.ids import new_id
from synthema.storage import CanonicalJson, UtcDateTime, metadata

events = Table(
    "withdrawal_events",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("machine", String, nullable=False),  # consent | opt-out
    Column("dataset", String),  # none for an opt-out, which counts for all
    Column("token", String, nullable=False),
    Column("level", String),
    Column("list_version", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("planned", Boolean, nullable=False, index=True),
)

plans = Table(
    "withdrawal_plans",
    metadata,
    Column("id", String, primary_key=True),
    Column("cause", CanonicalJson, nullable=False),
    Column("dataset", String, nullable=False, index=True),
    Column("complete", Boolean, nullable=False),
    Column("unfinished", Boolean, nullable=False),
    Column("state", String, nullable=False, index=True),  # open | done
    Column("created_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
)

people = Table(
    "withdrawal_people",
    metadata,
    Column("plan", String, ForeignKey("withdrawal_plans.id"), primary_key=True),
    Column("token", String, primary_key=True),
)

items = Table(
    "withdrawal_items",
    metadata,
    Column("id", String, primary_key=True),
    Column("plan", String, ForeignKey("withdrawal_plans.id"), nullable=False, index=True),
    Column("subject", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("label", Text, nullable=False),
    Column("consequence", String, nullable=False),
    Column("why", Text, nullable=False),
    Column("articles", CanonicalJson, nullable=False),
    Column("due", UtcDateTime),
    Column("otherwise", String),
    Column("digest", String),
    Column("run", String),
    Column("holder", String),
    Column("details", CanonicalJson, nullable=False),
    Column("state", String, nullable=False, index=True),
    Column("obligation", String),
    Column("outcome", Text),
    Column("evidence", String),
    Column("changed_at", UtcDateTime, nullable=False),
    UniqueConstraint("plan", "subject"),
)

notices = Table(
    "withdrawal_notices",
    metadata,
    Column("id", String, primary_key=True),
    Column("plan", String, ForeignKey("withdrawal_plans.id"), nullable=False, index=True),
    Column("recipient", String, nullable=False, index=True),
    Column("number", Integer, nullable=False),
    Column("document", CanonicalJson, nullable=False),
    Column("items", CanonicalJson, nullable=False),
    Column("answer_by", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", UtcDateTime, nullable=False),
    Column("problem", Text),
    Column("receipt", CanonicalJson),
    Column("answered_at", UtcDateTime),
    UniqueConstraint("recipient", "number"),
)

received = Table(
    "withdrawal_received",
    metadata,
    Column("sender", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("digest", String, nullable=False),
    Column("document", CanonicalJson, nullable=False),
    Column("receipt", CanonicalJson, nullable=False),
    Column("plan", String),
    Column("received_at", UtcDateTime, nullable=False),
)

rules = Table(
    "withdrawal_rules",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("dataset", String, nullable=False, index=True),  # "*" for every dataset without rules of its own
    Column("rules", CanonicalJson, nullable=False),
    Column("person", String, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

EVERY = "*"


@dataclass(frozen=True, slots=True)
class Event:
    """Something a person took back, not yet carried on."""

    sequence: int
    machine: str
    dataset: str | None
    token: str
    level: str | None
    list_version: int
    at: datetime


@dataclass(frozen=True, slots=True)
class KeptItem:
    """A consequence as it stands."""

    id: str
    plan: str
    item: Item
    state: ItemState
    obligation: str | None
    outcome: str | None
    evidence: str | None
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class KeptPlan:
    """A plan as it stands."""

    id: str
    cause: Cause
    complete: bool
    unfinished: bool
    state: str
    created_at: datetime
    changed_at: datetime
    items: tuple[KeptItem, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice to a partner, with its receipt once there is one."""

    id: str
    plan: str
    recipient: str
    number: int
    document: dict[str, Any]
    items: tuple[str, ...]
    answer_by: datetime
    attempts: int
    next_at: datetime
    problem: str | None
    receipt: dict[str, Any] | None
    answered_at: datetime | None


# events ----------------------------------------------------------------------------------------


def insert_events(connection: Connection, withdrawals: Iterable[Withdrawal]) -> int:
    """Keep what people took back, in the transaction in which it is recorded; returns how many there are."""
    rows = [
        {
            "machine": found.kind,
            "dataset": found.dataset_id,
            "token": found.patient_token,
            "level": None if found.level is None else str(found.level),
            "list_version": found.list_version,
            "at": found.at,
            "planned": False,
        }
        for found in withdrawals
    ]
    if rows:
        connection.execute(insert(events), rows)
    return len(rows)


def waiting_events(connection: Connection) -> list[Event]:
    """What was taken back and not yet planned for, oldest first."""
    rows = connection.execute(select(events).where(~events.c.planned).order_by(events.c.sequence)).mappings()
    return [Event(**{key: value for key, value in row.items() if key != "planned"}) for row in rows]


def mark_planned(connection: Connection, sequences: Sequence[int]) -> int:
    """Note that events are planned for; returns how many were not yet."""
    wanted = events.c.sequence.in_(list(sequences))
    return connection.execute(update(events).where(wanted, ~events.c.planned).values(planned=True)).rowcount


# plans -----------------------------------------------------------------------------------------


def insert_plan(connection: Connection, plan: Plan, tokens: Iterable[str], at: datetime) -> str:
    """Keep a plan with its items; returns its id."""
    identifier = new_id("withdrawal")
    connection.execute(
        insert(plans).values(
            id=identifier,
            cause=_cause_json(plan.cause),
            dataset=plan.cause.dataset,
            complete=plan.complete,
            unfinished=plan.unfinished,
            state="open",
            created_at=at,
            changed_at=at,
        )
    )
    rows = [{"plan": identifier, "token": token} for token in sorted(set(tokens))]
    if rows:
        connection.execute(insert(people), rows)
    for item in plan.items:
        insert_item(connection, identifier, item, at)
    return identifier


def insert_item(connection: Connection, plan: str, item: Item, at: datetime) -> KeptItem | None:
    """Keep an item of a plan; None where the plan has one for the same thing already."""
    known = select(items.c.id).where(items.c.plan == plan, items.c.subject == item.subject)
    if connection.execute(known).first() is not None:
        return None
    kept = KeptItem(new_id("consequence"), plan, item, item.first_state, None, None, None, at)
    connection.execute(insert(items).values(_item_row(kept)))
    return kept


def move_item(connection: Connection, item: KeptItem, state: ItemState, at: datetime, **changes: Any) -> bool:
    """Move an item along the table of steps; False where somebody else moved it before.

    Raises :class:`ConflictError` for a step that the table does not know.
    """
    if state not in STEPS[item.state]:
        raise ConflictError(f"what is {item.state} cannot become {state}", fix="look at it: synthema withdrawal show")
    moved = connection.execute(
        update(items)
        .where(items.c.id == item.id, items.c.state == str(item.state))
        .values(state=str(state), changed_at=at, **changes)
    )
    return moved.rowcount == 1


def set_obligation(connection: Connection, item: str, obligation: str | None) -> None:
    """Note the task that an item is."""
    connection.execute(update(items).where(items.c.id == item).values(obligation=obligation))


def set_outcome(connection: Connection, item: str, outcome: str) -> None:
    """Say what became of an item that stays."""
    connection.execute(update(items).where(items.c.id == item).values(outcome=outcome))


def replace_consequence(connection: Connection, kept: KeptItem, item: Item, at: datetime) -> KeptItem:
    """Give an open item another consequence, because an assessment found that it cannot stay."""
    changed = KeptItem(kept.id, kept.plan, item, ItemState.OPEN, None, None, None, at)
    values = {key: value for key, value in _item_row(changed).items() if key not in ("id", "plan", "subject")}
    connection.execute(update(items).where(items.c.id == kept.id, items.c.state == str(ItemState.OPEN)).values(values))
    return changed


def set_plan(connection: Connection, plan: str, at: datetime, **changes: Any) -> None:
    """Keep what changed about a plan."""
    connection.execute(update(plans).where(plans.c.id == plan).values(changed_at=at, **changes))


def find_plan(connection: Connection, identifier: str) -> KeptPlan:
    """A plan with its items; raises :class:`NotFoundError`."""
    row = connection.execute(select(plans).where(plans.c.id == identifier)).mappings().one_or_none()
    if row is None:
        raise NotFoundError("there is no such withdrawal", fix="list them with: synthema withdrawal list")
    chosen = select(items).where(items.c.plan == identifier).order_by(items.c.id)
    found = tuple(_item(dict(each)) for each in connection.execute(chosen).mappings())
    values = {name: row[name] for name in ("id", "complete", "unfinished", "state", "created_at", "changed_at")}
    return KeptPlan(**values, cause=_cause(row["cause"]), items=found)


def all_plans(connection: Connection, *, unfinished_only: bool = False) -> list[KeptPlan]:
    """All plans, newest first."""
    query = select(plans.c.id).order_by(plans.c.created_at.desc(), plans.c.id.desc())
    if unfinished_only:
        query = query.where(plans.c.state == "open")
    return [find_plan(connection, identifier) for identifier in connection.execute(query).scalars().all()]


def find_item(connection: Connection, identifier: str) -> KeptItem:
    """One item; raises :class:`NotFoundError`."""
    row = connection.execute(select(items).where(items.c.id == identifier)).mappings().one_or_none()
    if row is None:
        raise NotFoundError("there is no such consequence", fix="see them with: synthema withdrawal show")
    return _item(dict(row))


def tokens_of(connection: Connection, plan: str) -> frozenset[str]:
    """The keyed tokens of the people a plan is about."""
    return frozenset(connection.execute(select(people.c.token).where(people.c.plan == plan)).scalars())


# notices ---------------------------------------------------------------------------------------


def next_number(connection: Connection, recipient: str) -> int:
    """The number of the next notice to a partner, counted from 1 without gaps."""
    last = connection.scalar(select(func.max(notices.c.number)).where(notices.c.recipient == recipient))
    return 1 if last is None else int(last) + 1


def insert_notice(connection: Connection, notice: Notice) -> None:
    """Keep a notice to be sent."""
    values = {name: getattr(notice, name) for name in notices.columns.keys() if name != "items"}  # noqa: SIM118
    connection.execute(insert(notices).values(**values, items=list(notice.items)))


def due_notices(connection: Connection, at: datetime) -> list[Notice]:
    """The notices without a receipt whose next attempt is due."""
    chosen = select(notices).where(notices.c.receipt.is_(None), notices.c.next_at <= at).order_by(notices.c.number)
    return [_notice(dict(row)) for row in connection.execute(chosen).mappings()]


def notices_of(connection: Connection, plan: str) -> list[Notice]:
    """The notices of a plan, in order of their sending."""
    chosen = select(notices).where(notices.c.plan == plan).order_by(notices.c.recipient, notices.c.number)
    return [_notice(dict(row)) for row in connection.execute(chosen).mappings()]


def update_notice(connection: Connection, identifier: str, **changes: Any) -> None:
    """Keep an attempt or a receipt."""
    connection.execute(update(notices).where(notices.c.id == identifier).values(**changes))


def find_received(connection: Connection, sender: str, identifier: str) -> dict[str, Any] | None:
    """A notice that was taken before: its digest, receipt and plan."""
    chosen = select(received).where(received.c.sender == sender, received.c.id == identifier)
    row = connection.execute(chosen).mappings().one_or_none()
    return None if row is None else dict(row)


def documents_of(connection: Connection, plan: str) -> list[dict[str, Any]]:
    """The notices that led to a plan."""
    return list(connection.execute(select(received.c.document).where(received.c.plan == plan)).scalars())


def last_number(connection: Connection, sender: str) -> int:
    """The highest number of a notice that a partner has sent; 0 before the first."""
    return int(connection.scalar(select(func.max(received.c.number)).where(received.c.sender == sender)) or 0)


def insert_received(connection: Connection, **values: Any) -> None:
    """Keep a notice that was taken, with the receipt it got."""
    connection.execute(insert(received).values(**values))


# rules -----------------------------------------------------------------------------------------


def rules_for(connection: Connection, dataset: str) -> Rules:
    """The policy of consequences for a dataset: its own, else the site's, else the defaults."""
    chosen = select(rules).where(or_(rules.c.dataset == dataset, rules.c.dataset == EVERY))
    found = {row["dataset"]: row["rules"] for row in connection.execute(chosen.order_by(rules.c.sequence)).mappings()}
    return Rules.model_validate(found.get(dataset) or found.get(EVERY) or {})


def insert_rules(connection: Connection, dataset: str, value: Rules, person: str, at: datetime) -> None:
    """Keep a new policy of consequences; the latest counts."""
    connection.execute(insert(rules).values(dataset=dataset, rules=value.model_dump(mode="json"), person=person, at=at))


# rows ------------------------------------------------------------------------------------------


def is_finished(plan: KeptPlan) -> bool:
    """Whether nothing of a plan is left to do."""
    return not plan.unfinished and all(item.state in FINISHED for item in plan.items)


def _cause_json(cause: Cause) -> dict[str, Any]:
    return {
        "machine": cause.machine,
        "dataset": cause.dataset,
        "listVersion": cause.list_version,
        "at": to_text(cause.at),
        "levels": list(cause.levels),
        "notice": cause.notice,
        "sender": cause.sender,
    }


def _cause(value: dict[str, Any]) -> Cause:
    return Cause(
        machine=value["machine"],
        dataset=value["dataset"],
        list_version=value["listVersion"],
        at=from_text(value["at"]),
        levels=tuple(value["levels"]),
        notice=value["notice"],
        sender=value["sender"],
    )


def _item_row(kept: KeptItem) -> dict[str, Any]:
    item = kept.item
    return {
        "id": kept.id,
        "plan": kept.plan,
        "subject": item.subject,
        "kind": str(item.kind),
        "label": item.label,
        "consequence": str(item.consequence),
        "why": item.why,
        "articles": list(item.articles),
        "due": item.due,
        "otherwise": None if item.otherwise is None else str(item.otherwise),
        "digest": item.digest,
        "run": item.run,
        "holder": item.holder,
        "details": dict(item.details),
        "state": str(kept.state),
        "obligation": kept.obligation,
        "outcome": kept.outcome,
        "evidence": kept.evidence,
        "changed_at": kept.changed_at,
    }


def _item(row: dict[str, Any]) -> KeptItem:
    item = Item(
        subject=row["subject"],
        kind=Kind(row["kind"]),
        label=row["label"],
        consequence=Consequence(row["consequence"]),
        why=row["why"],
        articles=tuple(row["articles"]),
        due=row["due"],
        otherwise=None if row["otherwise"] is None else Consequence(row["otherwise"]),
        digest=row["digest"],
        run=row["run"],
        holder=row["holder"],
        details=row["details"],
    )
    return KeptItem(
        row["id"], row["plan"], item, ItemState(row["state"]), row["obligation"], row["outcome"], row["evidence"],
        row["changed_at"],
    )  # fmt: skip


def _notice(row: dict[str, Any]) -> Notice:
    return Notice(**(row | {"items": tuple(row["items"])}))
