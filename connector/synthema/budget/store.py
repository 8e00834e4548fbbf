"""The privacy-loss ledger as it is kept: accounts, and every loss that was ever set aside."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    ForeignKey,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    insert,
    select,
    update,
)

from synthema.budget.mechanisms import Mechanism
from synthema.budget.model import EVERYONE, Account, Balance, Reservation, ReservationState
from synthema.errors import NotFoundError
from synthema.storage import CanonicalJson, UtcDateTime, metadata

budget_accounts = Table(
    "budget_accounts",
    metadata,
    Column("id", String, primary_key=True),
    Column("dataset_id", String, nullable=False, index=True),
    Column("basis", String, nullable=False),
    Column("recipient", String, nullable=False),
    Column("epsilon", Float, nullable=False),
    Column("delta", Float, nullable=False),
    Column("ceiling_units", BigInteger, nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("failure_delta", Float, nullable=False, server_default="0"),
    UniqueConstraint("dataset_id", "basis", "recipient"),
)

budget_reservations = Table(
    "budget_reservations",
    metadata,
    Column("id", String, primary_key=True),
    Column("account_id", String, ForeignKey("budget_accounts.id"), nullable=False, index=True),
    Column("run_id", String, nullable=False),
    Column("units", BigInteger, nullable=False),
    Column("state", String, nullable=False, index=True),
    Column("reserved_at", UtcDateTime, nullable=False),
    Column("settled_at", UtcDateTime),
    Column("reason", Text),
    Column("pure_units", BigInteger),  # none: the release has no pure ε
    Column("delta_units", BigInteger, nullable=False, server_default="0"),
    Column("mechanisms", CanonicalJson),  # none: known by its ρ only
    Column("part", String, nullable=False, server_default=""),  # of a run, e.g. a round; empty: the run itself
    UniqueConstraint("account_id", "run_id", "part"),
)


def insert_account(connection: Connection, account: Account) -> None:
    """Keep a new account."""
    connection.execute(insert(budget_accounts).values(**{name: getattr(account, name) for name in _ACCOUNT}))


def find_account(connection: Connection, account_id: str, *, lock: bool = False) -> Account:
    """The account of this id, locked against other writers where the database has row locks."""
    query = select(budget_accounts).where(budget_accounts.c.id == account_id)
    row = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    if row is None:
        raise NotFoundError(
            "there is no such privacy budget", fix="list the budgets of a dataset with: synthema budget list"
        )
    return Account(**row)


def account_for(
    connection: Connection, dataset_id: str, basis: str, recipient: str, *, lock: bool = False
) -> Account | None:
    """The account of one recipient for one dataset under one permit or agreement, if any; ``lock`` as above."""
    query = select(budget_accounts).where(
        budget_accounts.c.dataset_id == dataset_id,
        budget_accounts.c.basis == basis,
        budget_accounts.c.recipient == recipient,
    )
    row = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    return None if row is None else Account(**row)


def accounts_of(connection: Connection, dataset_id: str | None = None) -> list[Account]:
    """All accounts, or those of one dataset, oldest first."""
    query = select(budget_accounts).order_by(budget_accounts.c.opened_at, budget_accounts.c.id)
    if dataset_id is not None:
        query = query.where(budget_accounts.c.dataset_id == dataset_id)
    return [Account(**row) for row in connection.execute(query).mappings()]


def balance_of(connection: Connection, account: Account) -> Balance:
    """What is spent and set aside on an account; one for everyone counts all accounts of its dataset."""
    kept = budget_reservations.c
    query = select(
        kept.state,
        func.coalesce(func.sum(kept.units), 0),
        func.coalesce(func.sum(kept.pure_units), 0),
        func.coalesce(func.sum(kept.delta_units), 0),
        func.count() - func.count(kept.pure_units),
    )
    if account.recipient == EVERYONE:
        query = query.join(budget_accounts).where(budget_accounts.c.dataset_id == account.dataset_id)
    else:
        query = query.where(budget_reservations.c.account_id == account.id)
    sums = {row[0]: tuple(map(int, row[1:])) for row in connection.execute(query.group_by(kept.state))}
    nothing = (0, 0, 0, 0)
    spent = sums.get(ReservationState.SPENT, nothing)
    aside = [sums.get(state, nothing) for state in (ReservationState.RESERVED, ReservationState.OPEN)]
    reserved = [sum(column) for column in zip(*aside, strict=True)]
    return Balance(
        account,
        spent_units=spent[0],
        reserved_units=reserved[0],
        spent_pure=None if spent[3] else spent[1],
        reserved_pure=None if reserved[3] else reserved[1],
        spent_delta=spent[2],
        reserved_delta=reserved[2],
    )


def insert_reservation(connection: Connection, reservation: Reservation) -> None:
    """Keep a new reservation."""
    values = {name: getattr(reservation, name) for name in _RESERVATION}
    values["mechanisms"] = [mechanism.as_dict() for mechanism in reservation.mechanisms] or None
    connection.execute(insert(budget_reservations).values(**values))


def find_reservation(connection: Connection, reservation_id: str) -> Reservation:
    """The reservation of this id; raises :class:`NotFoundError`."""
    query = select(budget_reservations).where(budget_reservations.c.id == reservation_id)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise NotFoundError(
            "there is no such reservation", fix="take the reservation's id from the run it was made for"
        )
    return _reservation(row)


def reservations_of(connection: Connection, account: Account) -> list[Reservation]:
    """Everything ever set aside on an account, in order; for everyone's account, on all of its dataset."""
    query = select(budget_reservations).order_by(budget_reservations.c.reserved_at, budget_reservations.c.id)
    if account.recipient == EVERYONE:
        query = query.join(budget_accounts).where(budget_accounts.c.dataset_id == account.dataset_id)
    else:
        query = query.where(budget_reservations.c.account_id == account.id)
    return [_reservation(row) for row in connection.execute(query).mappings()]


def run_is_known(connection: Connection, account: Account, run_id: str) -> bool:
    """Whether this run has ever reserved on this account."""
    query = select(budget_reservations.c.id).where(
        budget_reservations.c.account_id == account.id, budget_reservations.c.run_id == run_id
    )
    return connection.execute(query).first() is not None


def unsettled_reservations(connection: Connection) -> list[Reservation]:
    """Reservations that are neither spent nor cancelled, without those that are spent part by part."""
    query = select(budget_reservations).where(budget_reservations.c.state == ReservationState.RESERVED)
    return [_reservation(row) for row in connection.execute(query.order_by(budget_reservations.c.id)).mappings()]


def parts_of(connection: Connection, reservation: Reservation) -> list[Reservation]:
    """What the parts of a run have spent, in the order in which they did."""
    query = select(budget_reservations).where(
        budget_reservations.c.account_id == reservation.account_id,
        budget_reservations.c.run_id == reservation.run_id,
        budget_reservations.c.part != "",
    )
    ordered = query.order_by(budget_reservations.c.reserved_at, budget_reservations.c.id)
    return [_reservation(row) for row in connection.execute(ordered).mappings()]


def settle(connection: Connection, reservation: Reservation) -> None:
    """Keep the end of a reservation, or what is left of one that is spent part by part."""
    connection.execute(
        update(budget_reservations)
        .where(budget_reservations.c.id == reservation.id)
        .values(
            state=reservation.state, settled_at=reservation.settled_at, reason=reservation.reason,
            units=reservation.units,
        )
    )  # fmt: skip


def _reservation(row: Any) -> Reservation:
    mechanisms = tuple(Mechanism.read(value) for value in row["mechanisms"] or ())
    return Reservation(**(dict(row) | {"state": ReservationState(row["state"]), "mechanisms": mechanisms}))


_ACCOUNT = tuple(column.name for column in budget_accounts.columns)
_RESERVATION = tuple(column.name for column in budget_reservations.columns)
