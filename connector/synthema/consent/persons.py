"""One person: agrees, refuses, takes back, opts out; and what is known of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypedDict, Unpack

from sqlalchemy import Connection

from synthema.consent import store
from synthema.consent.changes import lessened
from synthema.consent.ledger import Room, require_dataset, required_key
from synthema.consent.model import (
    CONSENT_TRANSITIONS,
    VALID_STATES,
    ConsentItem,
    ConsentRecord,
    ConsentState,
    OptOut,
    OptOutState,
    Question,
    Representative,
    WithdrawalLevel,
    machine_for,
    require_consent_step,
    require_opt_out_step,
)
from synthema.errors import InputError
from synthema.ids import new_id
from synthema.provenance import Agent


class Terms(TypedDict, total=False):
    """What a person agrees to; what is left out stays as it was."""

    legal_basis: str | None
    items: Iterable[ConsentItem] | None
    purposes: Iterable[str] | None
    valid_to: datetime | None
    notice_version: str | None
    representative: Representative | None


@dataclass(frozen=True, slots=True)
class Standing:
    """One person's history with a dataset, as shown to whoever knows their key.

    ``refusal`` says why they are left out of a use now, or None where they are not.
    """

    dataset_id: str
    token: str
    history: tuple[tuple[ConsentRecord, datetime], ...]
    opt_out: OptOut | None
    machine: str
    refusal: str | None


class Persons(Room):
    """Changes of one person's consent or opt-out."""

    def give(self, dataset_id: str, patient_key: str, *, by: Agent | None = None, **terms: Unpack[Terms]) -> int:
        """A person agrees, or agrees again; ``terms`` as in :meth:`change`. Returns the list's new version.

        A first consent is *given*; one after it, or after it ended, is *renewed* and lifts what
        was taken back in part before.
        """
        return self._step(dataset_id, patient_key, _given_after, by, **terms)

    def refuse(self, dataset_id: str, patient_key: str, *, by: Agent | None = None) -> int:
        """A person who was asked says no; returns the list's new version."""
        return self.change(dataset_id, patient_key, ConsentState.REFUSED, by=by)

    def withdraw(
        self,
        dataset_id: str,
        patient_key: str,
        level: WithdrawalLevel = WithdrawalLevel.USE,
        *,
        by: Agent | None = None,
    ) -> int:
        """A person takes consent back, wholly or in part, from now on (GDPR Art. 7(3)); returns the list's new version.

        No further use ends the consent. No further access keeps it for data taken in before now; no
        further contact keeps it for all data. Both need a valid consent.
        """
        if level is WithdrawalLevel.USE:
            return self._step(dataset_id, patient_key, lambda _: ConsentState.WITHDRAWN, by, level=level)
        return self._step(dataset_id, patient_key, None, by, level=level)

    def change(
        self, dataset_id: str, patient_key: str, state: ConsentState, *, by: Agent | None = None, **terms: Unpack[Terms]
    ) -> int:
        """Change one person's consent from now on; returns the new version of the exclusion list.

        ``terms`` are ``legal_basis``, ``items``, ``purposes``, ``valid_to``, ``notice_version`` and
        ``representative``; what is not given stays as it was, but a consent that is given again
        counts without the end it had. Raises :class:`ConflictError` on a step the transition
        table does not know.
        """
        return self._step(dataset_id, patient_key, lambda _: state, by, **terms)

    def _step(
        self,
        dataset_id: str,
        patient_key: str,
        state_after: Callable[[ConsentState], ConsentState] | None,
        by: Agent | None,
        *,
        level: WithdrawalLevel | None = None,
        **terms: Unpack[Terms],
    ) -> int:
        """Append a version of a person's consent. ``state_after`` None keeps the state."""
        legal_basis, valid_to = terms.get("legal_basis"), terms.get("valid_to")
        items, purposes = terms.get("items"), terms.get("purposes")
        require_dataset(dataset_id)
        token = self._ledger.consent_token(dataset_id, required_key(patient_key))
        now = self._clock.now()
        if legal_basis is not None:
            machine_for(legal_basis)
        if valid_to is not None and valid_to <= now:
            raise InputError("a consent cannot end before it begins", fix="give a day in the future, or none")

        def work(connection: Connection) -> int:
            old = store.consents_at(connection, dataset_id, now, [token]).get(token)
            last = ConsentRecord("", dataset_id, token, None, ConsentState.UNKNOWN, now) if old is None else old
            state = last.state
            if state_after is not None:
                state = state_after(state)
                require_consent_step(last.state, state)
            agrees = state in VALID_STATES and level is None
            record = replace(
                last,
                id=new_id("consent"),
                state=state,
                effective_at=now,
                legal_basis=legal_basis or last.legal_basis,
                items=last.items if items is None else frozenset(items),
                purposes=last.purposes if purposes is None else frozenset(purposes),
                valid_from=now if agrees else last.valid_from,
                valid_to=valid_to if agrees else valid_to or last.valid_to,
                notice_version=terms.get("notice_version") or last.notice_version,
                # Nobody speaks for a person by default: who agrees again without one agrees themselves.
                representative=terms.get("representative") if agrees else last.representative,
                level=None if agrees else last.level,
                no_new_data_since=None if agrees else last.no_new_data_since,
                source=None,
                source_version=None,
            )
            if level is not None:
                record = lessened(record, level, now)
            label = f"Consent changed to {state} for one person" + (f" ({level})" if level else "")
            return self._ledger.publish(connection, [record], [], label, by, before={record.id: old})

        return self._database.write(work)

    def opt_out(self, patient_key: str, *, by: Agent | None = None) -> int:
        """A person opts out of secondary use from now on (EHDS Art. 71(1)); returns the list's new version."""
        return self._change_opt_out(patient_key, OptOutState.OUT, by)

    def opt_in(self, patient_key: str, *, by: Agent | None = None) -> int:
        """A person takes an opt-out back (EHDS Art. 71(1)); returns the list's new version."""
        return self._change_opt_out(patient_key, OptOutState.REVERSED, by)

    def _change_opt_out(self, patient_key: str, state: OptOutState, by: Agent | None) -> int:
        token = self._ledger.opt_out_token(required_key(patient_key))
        now = self._clock.now()

        def work(connection: Connection) -> int:
            old = store.opt_outs_at(connection, now, [token]).get(token)
            require_opt_out_step(OptOutState.NONE if old is None else old.state, state)
            record = OptOut(new_id("optout"), token, state, now)
            return self._ledger.publish(connection, [], [record], f"One person is now {state}", by)

        return self._database.write(work)

    def standing(self, dataset_id: str, patient_key: str, legal_basis: str) -> Standing:
        """All that is known of one person; ``legal_basis`` is the dataset's. Nobody heard of: no history."""
        require_dataset(dataset_id)
        token, opt_out_token = self._tokens(dataset_id, required_key(patient_key))
        now = self._clock.now()
        with self._database.read() as connection:
            versions = store.history(connection, dataset_id, token)
            current = store.consents_at(connection, dataset_id, now, [token]).get(token)
            out = store.opt_outs_at(connection, now, [opt_out_token]).get(opt_out_token)
        basis = current.legal_basis if current is not None and current.legal_basis else legal_basis
        machine = machine_for(basis)
        if machine == "consent":
            why = str(ConsentState.UNKNOWN) if current is None else current.refusal(now, _least(current))
        else:
            why = str(OptOutState.OUT) if out is not None and out.blocks(None) else None
        return Standing(dataset_id, token, tuple(versions), out, machine, why)

    def expire_due(self) -> int:
        """Note, for everyone whose consent has run out by the clock, that it did; returns their number.

        Filtering does not wait for this: what has run out never counts. The step makes it an event
        that others hear of (:meth:`on_withdrawal`): an end that was agreed, or a person who came of age.
        """
        now = self._clock.now()
        with self._database.read() as connection:
            due = store.run_out(connection, now)
        if not due:
            return 0

        def work(connection: Connection) -> int:
            old = store.run_out(connection, now)
            ended = [
                replace(
                    record,
                    id=new_id("consent"),
                    state=ConsentState.EXPIRED,
                    effective_at=now,
                    source=None,
                    source_version=None,
                )
                for record in old
            ]
            before = {new.id: record for new, record in zip(ended, old, strict=True)}
            self._ledger.publish(
                connection, ended, [], f"Consent of {len(ended)} people ran out by the clock", None, before=before
            )
            return len(ended)

        return self._database.write(work)


def _least(record: ConsentRecord) -> Question:
    """The least that can be asked: secondary use for a purpose agreed to, of data held as long as may be."""
    return Question(purposes=record.purposes, data_as_of=record.no_new_data_since)


def _given_after(state: ConsentState) -> ConsentState:
    """What agreeing makes of a state: the first consent is given, one after it is a renewed one."""
    return ConsentState.GIVEN if ConsentState.GIVEN in CONSENT_TRANSITIONS[state] else ConsentState.RENEWED
