"""The privacy-loss ledger: reserve before a run, spend when it starts, never give back what was spent.

A run that reads the data again and again, such as a site's part in a study, is spent part by part instead: each
round in the transaction that notes that its answer may leave, and at the end what no round took is free again.

Every step happens inside the caller's transaction, together with its entry in the
log. On SQLite there is one writer; on PostgreSQL the account's row is locked. So
two runs never both get the last of a budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from synthema.budget import store
from synthema.budget.compose import compose
from synthema.budget.convert import epsilon_of, rho_of
from synthema.budget.mechanisms import Loss, Mechanism, loss_of
from synthema.budget.model import (
    ALERT,
    EVERYONE,
    Account,
    Balance,
    Reservation,
    ReservationState,
    advance,
    units_down,
    units_up,
)
from synthema.budget.outlook import Picture, history
from synthema.budget.parts import charge
from synthema.clock import Clock
from synthema.errors import ConflictError, DeniedError, InputError
from synthema.ids import new_id
from synthema.policy.model import Fact
from synthema.provenance import ProvenanceLog
from synthema.provenance.model import SYNTHEMA, Activity, Agent, Entity, Iri
from synthema.storage import Database


class BudgetLedger:
    """What every recipient may still learn about every dataset."""

    def __init__(self, database: Database, log: ProvenanceLog, clock: Clock) -> None:
        self._database = database
        self._log = log
        self._clock = clock

    def open_account(
        self,
        dataset_id: str,
        recipient: str,
        epsilon: float,
        delta: float,
        *,
        basis: str | None = None,
        failure_delta: float = 0.0,
        by: Agent | None = None,
    ) -> Account:
        """Agree a ceiling of (ε, δ) for one recipient of one dataset under a permit or agreement (``basis``).

        :data:`EVERYONE` as recipient bounds all recipients of the dataset together, colluding ones
        included. ``failure_delta`` is the part of δ kept for mechanisms that may fail outright; without it they
        are refused. Raises :class:`ConflictError` where there is an account already: a
        ceiling is agreed once, and a second account would be a second budget for the same eyes.
        """
        return self._database.write(
            lambda connection: self.open_account_within(
                connection, dataset_id, recipient, epsilon, delta, basis=basis, failure_delta=failure_delta, by=by
            )
        )

    def open_account_within(
        self,
        connection: Connection,
        dataset_id: str,
        recipient: str,
        epsilon: float,
        delta: float,
        *,
        basis: str | None = None,
        failure_delta: float = 0.0,
        by: Agent | None = None,
    ) -> Account:
        """:meth:`open_account` as part of a larger transaction, e.g. the conclusion of an agreement."""
        if not 0 <= failure_delta < delta:
            raise InputError(
                "the part of δ kept for failures is not smaller than δ", fix="give a part of δ, e.g. half of it"
            )
        ceiling = units_down(rho_of(epsilon, delta - failure_delta))
        if ceiling == 0:
            raise InputError("a privacy budget of zero allows no run", fix="give an epsilon above 0, e.g. 1.0")
        if not dataset_id or not recipient:
            raise InputError("a privacy budget needs a dataset and a recipient", fix="name both")
        if store.account_for(connection, dataset_id, basis or "", recipient) is not None:
            raise ConflictError(
                "this recipient has a privacy budget for this dataset already",
                fix="use the budget there is, or conclude a new agreement and open one under it",
            )
        account = Account(
            new_id("budget"), dataset_id, basis or "", recipient, epsilon, delta, ceiling, self._clock.now(),
            failure_delta,
        )  # fmt: skip
        store.insert_account(connection, account)
        ceilings = {"epsilon": float(epsilon), "delta": float(delta), "rho": float(rho_of(epsilon, delta))}
        label = f"Privacy budget opened: ε = {epsilon:g} at δ = {delta:g}"
        self._record(connection, "BudgetOpening", label, self._account_entity(account), ceilings, by)
        return account

    def account(self, dataset_id: str, recipient: str, *, basis: str | None = None) -> Account:
        """The account of a recipient; raises :class:`DeniedError` where none was agreed."""
        with self._database.read() as connection:
            return self.account_for(connection, dataset_id, basis, recipient)

    def account_for(self, connection: Connection, dataset_id: str, basis: str | None, recipient: str) -> Account:
        """:meth:`account` as part of a larger transaction."""
        account = store.account_for(connection, dataset_id, basis or "", recipient)
        if account is None:
            raise DeniedError(
                "no privacy budget was agreed for this recipient and dataset",
                fix="the data protection officer publishes an offer with a privacy budget: synthema offer publish",
            )
        return account

    def accounts(self, dataset_id: str | None = None) -> list[Account]:
        """All accounts, or those of one dataset."""
        with self._database.read() as connection:
            return store.accounts_of(connection, dataset_id)

    def reserve(
        self, connection: Connection, account: Account | str, loss: float | Sequence[Mechanism], run_id: str
    ) -> Reservation:
        """Set privacy aside for a run (its ρ, or its mechanisms), or raise :class:`DeniedError` naming what remains.

        The dataset's account for everyone, where there is one, must have room as well.
        """
        mechanisms = () if isinstance(loss, int | float) else tuple(loss)
        wanted = Loss(units_up(loss), None, 0) if isinstance(loss, int | float) else loss_of(mechanisms)
        kept = store.find_account(connection, account if isinstance(account, str) else account.id, lock=True)
        if kept.recipient == EVERYONE:
            raise InputError("a run reserves on its recipient's account", fix="name the recipient of the run")
        if wanted.units == 0:
            raise InputError("a run that loses no privacy needs no reservation", fix="reserve a rho above 0")
        if store.run_is_known(connection, kept, run_id):
            raise ConflictError("this run has reserved privacy budget before", fix="start a new run")
        for bound in (kept, store.account_for(connection, kept.dataset_id, "", EVERYONE, lock=True)):
            if bound is not None:
                self._require_room(store.balance_of(connection, bound), wanted)
        before = store.balance_of(connection, kept).share
        reservation = Reservation(
            new_id("reservation"), kept.id, run_id, wanted.units, ReservationState.RESERVED, self._clock.now(),
            pure_units=wanted.pure_units, delta_units=wanted.delta_units, mechanisms=mechanisms,
        )  # fmt: skip
        store.insert_reservation(connection, reservation)
        self._record_step(connection, "BudgetReservation", "Privacy budget reserved", kept, reservation)
        self._alert(connection, kept, before)
        return reservation

    def spend(self, connection: Connection, reservation: Reservation | str) -> Reservation:
        """The run has started: from here the loss counts for ever, whatever becomes of the run."""
        return self._settle(connection, reservation, "spend", "the run started")

    def cancel(self, connection: Connection, reservation: Reservation | str) -> Reservation:
        """Free a reservation whose run never started; raises :class:`ConflictError` once it is spent."""
        return self._settle(connection, reservation, "cancel", "the run never started")

    def open_parts(self, connection: Connection, reservation: Reservation | str) -> Reservation:
        """The run has started, and will be spent part by part with :meth:`spend_part`; nothing is spent yet."""
        return self._settle(connection, reservation, "open", "the run started; each part is spent before it is sent")

    def spend_part(self, connection: Connection, reservation: Reservation | str, part: str, rho: float) -> Reservation:
        """Count one part of a run as spent for ever; called in the transaction that notes that it may be sent.

        ``part`` names it among the run's, e.g. the id of a round. Raises :class:`ConflictError` for a part that was
        counted before or a reservation that is not open, :class:`DeniedError` where the parts would cost more than
        was set aside.
        """
        kept = self._locked(connection, reservation)
        if kept.state is not ReservationState.OPEN or not part:
            raise ConflictError("this run is not spent part by part, or has ended", fix="start a new run")
        before = store.parts_of(connection, kept)
        if part in {each.part for each in before}:
            raise ConflictError(f"the part {part[:80]} of this run was counted before", fix="no part is sent twice")
        account = store.find_account(connection, kept.account_id)
        now, charged = self._clock.now(), charge(kept, before, rho)
        spent = Reservation(
            new_id("reservation"), kept.account_id, kept.run_id, charged, ReservationState.SPENT, now, now,
            f"spent by {part}", mechanisms=(Mechanism("zcdp", rho),), part=part,
        )  # fmt: skip
        store.settle(connection, replace(kept, units=kept.units - charged))
        store.insert_reservation(connection, spent)
        self._record_step(connection, "BudgetSpend", f"Privacy budget spent: {part}", account, spent)
        return spent

    def free_rest(self, connection: Connection, reservation: Reservation | str, reason: str) -> Reservation:
        """The run has ended: what none of its parts has spent is free again. One without parts stays as it is."""
        kept = self._locked(connection, reservation)
        if kept.state is not ReservationState.OPEN:
            return kept
        return self._settle(connection, kept, "free", reason)

    def settle_after_restart(self) -> list[Reservation]:
        """Count what a crash left open as spent: nobody can show that the data was not read.

        Not so a run that is spent part by part: what it sent was counted before it was sent.
        """

        def settle(connection: Connection) -> list[Reservation]:
            reason = "open when the connector stopped; counted as spent"
            left = store.unsettled_reservations(connection)
            return [self._settle(connection, each, "spend", reason) for each in left]

        return self._database.write(settle)

    def balance(self, account: Account) -> Balance:
        """What is spent, set aside and left on an account now."""
        with self._database.read() as connection:
            return store.balance_of(connection, store.find_account(connection, account.id))

    def remaining(self, account: Account) -> tuple[int, float]:
        """Units of ρ and ε (at the account's δ) one more run may spend, the dataset's own ceiling included."""
        with self._database.read() as connection:
            return self._remaining(connection, account)

    def facts(self, account: Account) -> dict[str, Fact]:
        """``syn:epsilonRemaining``, with the account as evidence."""
        _, epsilon = self.remaining(account)
        return {SYNTHEMA + "epsilonRemaining": Fact(epsilon, self._log.iri("budget", account.id))}

    def gauge(self, account: Account) -> dict[str, Any]:
        """The numbers of a gauge and a timeline of an account, as JSON (ε at the account's δ)."""
        with self._database.read() as connection:
            kept = store.find_account(connection, account.id)
            balance = store.balance_of(connection, kept)
            reservations = store.reservations_of(connection, kept)
            _, remaining = self._remaining(connection, kept)
        return {
            "account": kept.id,
            "dataset": kept.dataset_id,
            "basis": kept.basis,
            "recipient": kept.recipient,
            "delta": kept.delta,
            "ceiling": kept.epsilon,
            "spent": balance.epsilon_spent,
            "remaining": remaining,
            "rho": {
                "ceiling": kept.ceiling_units / 10**12,
                "spent": balance.spent_units / 10**12,
                "reserved": balance.reserved_units / 10**12,
                "remaining": balance.remaining_units / 10**12,
            },
            "share": balance.share,
            "alert": balance.share >= ALERT,
            "entries": history(Picture(kept, balance, None, tuple(reservations))),
        }

    def picture(self, account_id: str) -> Picture:
        """An account as :mod:`synthema.budget.outlook` looks at it, at one moment; raises :class:`NotFoundError`."""
        with self._database.read() as connection:
            kept = store.find_account(connection, account_id)
            wide = store.account_for(connection, kept.dataset_id, "", EVERYONE)
            shared = None if wide is None or wide.id == kept.id else store.balance_of(connection, wide)
            reservations = tuple(store.reservations_of(connection, kept))
            return Picture(kept, store.balance_of(connection, kept), shared, reservations)

    def total(self, dataset_id: str, *, numeric: bool = True) -> dict[str, Any]:
        """What all recipients of a dataset together were told about one patient: they may pool it.

        Counted at the smallest δ of their accounts; ``ceiling`` is the dataset's own, ``None`` where none was set.
        """
        with self._database.read() as connection:
            accounts = store.accounts_of(connection, dataset_id)
            own = [account for account in accounts if account.recipient != EVERYONE]
            spent = {account.id: store.reservations_of(connection, account) for account in own}
        wide = next((account for account in accounts if account.recipient == EVERYONE), None)
        delta = min((account.delta for account in accounts), default=1e-6)
        done = [entry for entries in spent.values() for entry in entries if entry.state is ReservationState.SPENT]
        mechanisms = [mechanism for entry in done for mechanism in entry.used]
        composed = compose(mechanisms, delta, numeric=numeric)
        ceiling = None if wide is None else wide.epsilon
        bound = "no ceiling was set for all of them together" if ceiling is None else f"their ceiling is {ceiling:g}"
        return {
            "dataset": dataset_id,
            "recipients": [{"recipient": a.recipient, "basis": a.basis, "account": a.id} for a in own],
            "ceiling": ceiling,
            "composition": composed.as_dict(),
            "sentence": (
                f"If all {len({a.recipient for a in own})} recipients pooled what they were told, they would know "
                f"ε = {composed.best_adaptive.epsilon:.3g} at δ = {delta:g} about any one patient; {bound}."
            ),
        }

    def _remaining(self, connection: Connection, account: Account) -> tuple[int, float]:
        kept = store.find_account(connection, account.id)
        own = store.balance_of(connection, kept)
        wide = store.account_for(connection, kept.dataset_id, "", EVERYONE)
        shared = own if wide is None else store.balance_of(connection, wide)
        tightest = min(own, shared, key=lambda balance: balance.remaining_units)
        return tightest.remaining_units, epsilon_of(tightest.remaining_rho, kept.delta)

    def _require_room(self, balance: Balance, wanted: Loss) -> None:
        if balance.has_room_for(wanted):
            return
        if wanted.delta_units > balance.account.failure_ceiling_units:
            raise DeniedError(
                "this run may fail outright with a probability that the privacy budget has no room for",
                fix="use a mechanism without that δ, or agree a budget that keeps a part of its δ for it",
            )
        account = balance.account
        whose = "all recipients together" if account.recipient == EVERYONE else "this recipient"
        left = f"ρ = {balance.remaining_rho:.6g} (ε = {balance.epsilon_remaining:.4g} at δ = {account.delta:g})"
        fix = (
            f"ask for at most {left}"
            if balance.remaining_units
            else "nothing is left: work with what was released before, or conclude a new agreement with its own budget"
        )
        raise DeniedError(
            f"the privacy budget of {whose} for this dataset has {left} left; "
            f"the run asks for ρ = {wanted.units / 10**12:g}",
            fix=fix,
        )

    @staticmethod
    def _locked(connection: Connection, reservation: Reservation | str) -> Reservation:
        """A reservation as it stands, its account locked until the transaction ends."""
        identifier = reservation if isinstance(reservation, str) else reservation.id
        store.find_account(connection, store.find_reservation(connection, identifier).account_id, lock=True)
        return store.find_reservation(connection, identifier)

    def _settle(self, connection: Connection, reservation: Reservation | str, event: str, reason: str) -> Reservation:
        kept = self._locked(connection, reservation)
        account = store.find_account(connection, kept.account_id)
        settled = replace(kept, state=advance(kept.state, event), settled_at=self._clock.now(), reason=reason)
        store.settle(connection, settled)
        label = f"Privacy budget {settled.state}: {reason}"
        self._record_step(connection, f"Budget{event.capitalize()}", label, account, settled)
        return settled

    def _alert(self, connection: Connection, account: Account, before: float) -> None:
        """Say once, in the log, that four fifths of a budget are gone."""
        share = store.balance_of(connection, account).share
        if before < ALERT <= share:
            label = f"{100 * share:.0f} % of a privacy budget are spent or set aside"
            self._record(connection, "BudgetAlert", label, self._account_entity(account), {"share": float(share)}, None)

    def _record_step(
        self, connection: Connection, kind: str, label: str, account: Account, reservation: Reservation
    ) -> None:
        attributes = {
            "rho": reservation.rho,
            "rhoRemaining": store.balance_of(connection, account).remaining_rho,
            "run": Iri(self._log.iri("run", reservation.run_id)),
        }
        self._record(connection, kind, label, self._account_entity(account), attributes, None)

    def _record(
        self,
        connection: Connection,
        kind: str,
        label: str,
        account: Entity,
        attributes: dict[str, Any],
        by: Agent | None,
    ) -> None:
        now = self._clock.now()
        activity = Activity(
            iri=self._log.iri("activity", new_id("activity")),
            type=kind,
            label=label,
            started=now,
            ended=now,
            agents=() if by is None else (by,),
            used=(account,),
            attributes=attributes,
        )
        self._log.append(connection, activity)

    def _account_entity(self, account: Account) -> Entity:
        return Entity(
            self._log.iri("budget", account.id),
            types=("PrivacyBudget",),
            attributes={"dataset": Iri(self._log.iri("dataset", account.dataset_id))},
        )
