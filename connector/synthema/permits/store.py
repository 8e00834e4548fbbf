"""Permits and agreements as they are kept, and every step they take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, Literal

from sqlalchemy import Boolean, Column, Connection, Integer, String, Table, Text, func, insert, select, update

from synthema.clock import Clock, to_text
from synthema.errors import ConflictError, InputError, NotFoundError
from synthema.ids import new_id
from synthema.permits.credential import VerifiedPermit
from synthema.permits.model import (
    LONGEST_YEARS,
    Agreement,
    AgreementState,
    Permit,
    PermitContent,
    PermitEvent,
    PermitState,
    advance,
    years_after,
)
from synthema.policy.model import Fact
from synthema.provenance import Activity, Agent, Entity, Iri, ProvenanceLog
from synthema.provenance.model import SYNTHEMA
from synthema.storage import CanonicalJson, Database, UtcDateTime, metadata

permits = Table(
    "permits",
    metadata,
    Column("id", String, primary_key=True),
    Column("content", CanonicalJson, nullable=False),
    Column("issuer", String, nullable=False),
    Column("regime", String, nullable=False),
    Column("state", String, nullable=False, index=True),
    Column("applied_at", UtcDateTime, nullable=False),
    Column("approved_at", UtcDateTime),
    Column("valid_to", String(10), nullable=False),
    Column("extended", Boolean, nullable=False),
    Column("reason", Text),
    Column("decided_at", UtcDateTime),
    Column("credential", CanonicalJson),
    Column("status_index", Integer, nullable=False, server_default="0"),
)

agreements = Table(
    "agreements",
    metadata,
    Column("id", String, primary_key=True),
    Column("counterparty", String, nullable=False, index=True),
    Column("dataset_id", String, nullable=False, index=True),
    Column("policy", CanonicalJson, nullable=False),
    Column("state", String, nullable=False),
    Column("agreed_at", UtcDateTime, nullable=False),
    Column("valid_to", UtcDateTime),
    Column("reason", Text),
)


class PermitStore:
    """The permits and agreements a connector knows."""

    def __init__(self, database: Database, log: ProvenanceLog, clock: Clock) -> None:
        self._database = database
        self._log = log
        self._clock = clock
        self._listeners: list[Callable[[Connection, str, str], None]] = []

    def on_end(self, listener: Callable[[Connection, str, str], None]) -> None:
        """Register what happens when a permit or agreement stops counting: (connection, id, state)."""
        self._listeners.append(listener)

    # permits ----------------------------------------------------------------------------

    def apply(
        self,
        content: PermitContent,
        *,
        issuer: str,
        regime: Literal["pre-EHDS", "EHDS"] = "pre-EHDS",
        by: Agent | None = None,
    ) -> Permit:
        """Keep an application for a permit."""
        permit = Permit(
            id=new_id("permit"),
            content=content,
            issuer=issuer,
            regime=regime,
            state=PermitState.REQUESTED,
            applied_at=self._clock.now(),
            valid_to=content.valid_to,
        )
        return self._database.write(
            lambda connection: self._insert(connection, permit, "PermitApplication", "Permit applied for", by)
        )

    def take_in(self, verified: VerifiedPermit, *, by: Agent | None = None) -> Permit:
        """Keep a permit that another body issued and signed; it counts once a data protection officer admits it.

        Its approval is that of its issuer (EHDS Art. 71(3)). The same permit twice is refused.
        """
        permit = Permit(
            id=new_id("permit"),
            content=verified.content,
            issuer=verified.issuer,
            regime=verified.regime,
            state=PermitState.REQUESTED,
            applied_at=self._clock.now(),
            approved_at=verified.approved_at,
            valid_to=verified.content.valid_to,
            credential=dict(verified.credential),
        )

        def work(connection: Connection) -> Permit:
            known = [p for p in _all_permits(connection) if p.credential and p.credential.get("id") == verified.id]
            if known:
                raise ConflictError(
                    "this permit is here already", fix=f"look at it: synthema permit show {known[0].id}"
                )
            return self._insert(connection, permit, "PermitImport", "Permit of another body taken in", by)

        return self._database.write(work)

    def _insert(self, connection: Connection, permit: Permit, kind: str, label: str, by: Agent | None) -> Permit:
        index = connection.execute(select(func.coalesce(func.max(permits.c.status_index) + 1, 0))).scalar_one()
        permit = permit.model_copy(update={"status_index": int(index)})
        values = permit.model_dump(mode="python", exclude={"content"}) | {"valid_to": permit.valid_to.isoformat()}
        connection.execute(insert(permits).values(content=permit.content.model_dump(mode="json"), **values))
        self._record_permit(connection, kind, label, permit, by)
        return permit

    def keep_credential(self, connection: Connection, permit_id: str, credential: Mapping[str, Any]) -> Permit:
        """Keep the permit as this site signed it, in the transaction that grants or extends it."""
        _update_permit(connection, permit_id, credential=dict(credential))
        signed = _find_permit(connection, permit_id)
        self._record_permit(connection, "PermitSigning", "Permit signed by its issuer", signed, None)
        return signed

    def decide(
        self, permit_id: str, event: PermitEvent, *, reason: str | None = None, by: Agent | None = None
    ) -> Permit:
        """Grant, refuse, suspend, resume or revoke a permit (EHDS Art. 63, 68).

        Refusal, suspension and revocation need a reason. Raises :class:`ConflictError` on a
        step the transition table does not know; an expired permit comes back by no step.
        """
        # Expiry is an event of its own: it must be kept even when the step asked for is then refused.
        self.expire_due()
        return self._database.write(
            lambda connection: self.decide_within(connection, permit_id, event, reason=reason, by=by)
        )

    def decide_within(
        self,
        connection: Connection,
        permit_id: str,
        event: PermitEvent,
        *,
        reason: str | None = None,
        by: Agent | None = None,
    ) -> Permit:
        """:meth:`decide` as part of a larger transaction, e.g. with the policy and the budget a permit comes with."""
        if event == "expire":
            raise InputError("a permit expires by the clock alone", fix="revoke it to end it earlier")
        if event in ("refuse", "suspend", "revoke") and not (reason or "").strip():
            raise InputError(f"to {event} a permit needs a reason", fix="give the reason; the holder may read it")
        now = self._clock.now()
        self._expire(connection, _find_permit(connection, permit_id), now)
        permit = _find_permit(connection, permit_id)
        state = advance(permit.state, event)
        decided = {"decided_at": now} if event in ("grant", "refuse") else {}
        # The approval of an imported permit is its issuer's: what opted out before it stays out of it.
        approved_at = (permit.approved_at or now) if event == "grant" else permit.approved_at
        _update_permit(connection, permit_id, state=state, approved_at=approved_at, reason=reason, **decided)
        changed = _find_permit(connection, permit_id)
        self._record_permit(connection, "PermitDecision", f"Permit: {event}", changed, by)
        self._tell(connection, permit_id, changed.state)
        return changed

    def extend(self, permit_id: str, valid_to: date, *, reason: str, by: Agent | None = None) -> Permit:
        """Extend a permit in force, once, by at most ten years (EHDS Art. 68(12))."""
        self.expire_due()
        return self._database.write(
            lambda connection: self.extend_within(connection, permit_id, valid_to, reason=reason, by=by)
        )

    def extend_within(
        self, connection: Connection, permit_id: str, valid_to: date, *, reason: str, by: Agent | None = None
    ) -> Permit:
        """:meth:`extend` as part of a larger transaction, e.g. with the signature under the longer permit."""
        permit = _as_of(_find_permit(connection, permit_id), self._clock.now())
        if permit.state is not PermitState.ISSUED:
            raise ConflictError(f"a permit in state {permit.state} cannot be extended", fix="apply for a new one")
        if permit.extended:
            raise ConflictError("this permit was extended once already (EHDS Art. 68(12))", fix="apply for a new one")
        if not permit.valid_to < valid_to <= years_after(permit.valid_to, LONGEST_YEARS):
            raise InputError(
                f"an extension ends after {permit.valid_to} and within {LONGEST_YEARS} years of it",
                fix="give another last day",
            )
        _update_permit(connection, permit_id, valid_to=valid_to.isoformat(), extended=True, reason=reason)
        changed = _find_permit(connection, permit_id)
        self._record_permit(connection, "PermitExtension", f"Permit extended to {valid_to}", changed, by)
        return changed

    def expire_due(self) -> list[str]:
        """Expire every permit and agreement whose time has passed, each with its log entry; returns their ids."""
        now = self._clock.now()
        with self._database.read() as connection:
            due = [permit for permit in _running_permits(connection) if permit.is_over(now)]
            if not due and not _agreements_over(connection, now):
                return []

        def work(connection: Connection) -> list[str]:
            ended = [permit.id for permit in _running_permits(connection) if self._expire(connection, permit, now)]
            return ended + [self._expire_agreement(connection, one) for one in _agreements_over(connection, now)]

        return self._database.write(work)

    def permit(self, permit_id: str) -> Permit:
        """One permit as it stands now, counting the clock; raises :class:`NotFoundError`."""
        with self._database.read() as connection:
            return _as_of(_find_permit(connection, permit_id), self._clock.now())

    def permits(self) -> list[Permit]:
        """All permits, newest first, counting the clock."""
        with self._database.read() as connection:
            rows = connection.execute(select(permits).order_by(permits.c.applied_at.desc(), permits.c.id.desc()))
            return [_as_of(_permit(dict(row)), self._clock.now()) for row in rows.mappings()]

    # agreements -------------------------------------------------------------------------

    def keep_agreement(self, connection: Connection, agreement: Agreement) -> None:
        """Keep an agreement in the transaction that concludes the negotiation; the same one twice is one."""
        row = connection.execute(select(agreements).where(agreements.c.id == agreement.id)).mappings().one_or_none()
        if row is not None:
            if _agreement(dict(row)) == agreement:
                return
            raise ConflictError("an agreement of this id says something else", fix="conclude a new agreement")
        connection.execute(insert(agreements).values(**agreement.model_dump(mode="python")))
        self._record_agreement(connection, "AgreementConclusion", "Agreement concluded", agreement, None)

    def terminate_agreement(
        self, connection: Connection, agreement_id: str, reason: str, *, by: Agent | None = None
    ) -> Agreement:
        """End an agreement from now on; ended twice is ended."""
        agreement = _find_agreement(connection, agreement_id)
        if agreement.state is not AgreementState.FINALIZED:
            return agreement
        changes = {"state": AgreementState.TERMINATED, "reason": reason}
        connection.execute(update(agreements).where(agreements.c.id == agreement_id).values(**changes))
        ended = _find_agreement(connection, agreement_id)
        self._record_agreement(connection, "AgreementTermination", "Agreement terminated", ended, by)
        self._tell(connection, agreement_id, ended.state)
        return ended

    def agreement(self, agreement_id: str) -> Agreement:
        """One agreement; raises :class:`NotFoundError`."""
        with self._database.read() as connection:
            return _find_agreement(connection, agreement_id)

    def agreements(self, counterparty: str | None = None) -> list[Agreement]:
        """All agreements, or those with one party, newest first."""
        query = select(agreements).order_by(agreements.c.agreed_at.desc(), agreements.c.id.desc())
        if counterparty is not None:
            query = query.where(agreements.c.counterparty == counterparty)
        with self._database.read() as connection:
            return [_agreement(dict(row)) for row in connection.execute(query).mappings()]

    def ended(self, basis: str | None, at: datetime) -> str | None:
        """Why nothing may go on under a permit or agreement (EHDS Art. 63), in words; ``None`` while it is in force.

        What rests on neither is not ended by them.
        """
        with self._database.read() as connection:
            return self.ended_within(connection, basis, at)

    def ended_within(self, connection: Connection, basis: str | None, at: datetime) -> str | None:
        """:meth:`ended` as part of a transaction that must not outlive the permit."""
        found = _find_basis(connection, basis)
        if found is None:
            return None
        state = found.permit_state(at) if isinstance(found, Agreement) else _as_of(found, at).state
        if state is PermitState.ISSUED:
            return None
        what = "agreement" if isinstance(found, Agreement) else "permit"
        told = {PermitState.REVOKED: "was revoked", PermitState.SUSPENDED: "is suspended"}
        why = f": {found.reason}" if found.reason else ""
        return f"the {what} it rests on {told.get(state, 'has expired')}{why}"

    def of_iri(self, iri: str) -> Permit | None:
        """The permit with this IRI, as others name it: made here, or of another body, by the id it was signed with."""
        found = (p for p in self.permits() if iri in (self._log.iri("permit", p.id), (p.credential or {}).get("id")))
        return next(found, None)

    # facts ------------------------------------------------------------------------------

    def approved_at(self, basis: str | None) -> datetime | None:
        """When the permit or agreement a request rests on was approved (EHDS Art. 71(3)); None when it never was."""
        found = self._basis(basis)
        if isinstance(found, Permit):
            return found.approved_at
        return None if found is None else found.agreed_at

    def facts(
        self, basis: str | None, *, requester: str, dataset_id: str, at: datetime, person: str | None = None
    ) -> dict[str, Fact]:
        """What a decision may rest on: ``syn:permitState``, ``syn:permitDuration``, ``syn:authorisedPerson``.

        Only a permit or agreement of this requester for this dataset counts; for any other,
        an unknown or a not yet valid one there are no facts, and what is missing denies.
        ``syn:authorisedPerson`` is there only for a person the permit names.
        """
        found = self._basis(basis)
        if isinstance(found, Agreement):
            if found.counterparty != requester or found.dataset_id != dataset_id:
                return {}
            evidence = _agreement_iri(self._log, found.id)
            facts = {SYNTHEMA + "permitState": Fact(found.permit_state(at).iri, evidence)}
            if found.valid_to is not None:
                facts[SYNTHEMA + "permitDuration"] = Fact(found.valid_to - found.agreed_at, evidence)
            return facts
        if found is None or found.content.holder != requester or dataset_id not in found.content.data.datasets:
            return {}
        if not found.has_begun(at):
            return {}
        evidence = self._log.iri("permit", found.id)
        state = PermitState.EXPIRED if found.is_over(at) and found.state in _RUNNING else found.state
        facts = {
            SYNTHEMA + "permitState": Fact(state.iri, evidence),
            SYNTHEMA + "permitDuration": Fact(found.valid_to - found.content.valid_from, evidence),
        }
        if person is not None and found.content.authorises(person):
            facts[SYNTHEMA + "authorisedPerson"] = Fact(person, evidence)
        return facts

    def _basis(self, basis: str | None) -> Permit | Agreement | None:
        with self._database.read() as connection:
            found = _find_basis(connection, basis)
        return _as_of(found, self._clock.now()) if isinstance(found, Permit) else found

    def _expire(self, connection: Connection, permit: Permit, now: datetime) -> bool:
        if permit.state not in _RUNNING or not permit.is_over(now):
            return False
        _update_permit(connection, permit.id, state=advance(permit.state, "expire"), reason="its last day has passed")
        expired = _find_permit(connection, permit.id)
        self._record_permit(connection, "PermitExpiry", "Permit expired", expired, None)
        self._tell(connection, permit.id, expired.state)
        return True

    def _expire_agreement(self, connection: Connection, agreement: Agreement) -> str:
        changes = {"state": AgreementState.EXPIRED, "reason": "its last moment has passed"}
        connection.execute(update(agreements).where(agreements.c.id == agreement.id).values(**changes))
        expired = _find_agreement(connection, agreement.id)
        self._record_agreement(connection, "AgreementExpiry", "Agreement expired", expired, None)
        self._tell(connection, agreement.id, expired.state)
        return agreement.id

    def _tell(self, connection: Connection, identifier: str, state: str) -> None:
        if state not in (PermitState.ISSUED, PermitState.REQUESTED):
            for listener in self._listeners:
                listener(connection, identifier, str(state))

    def _record_permit(self, connection: Connection, kind: str, label: str, permit: Permit, by: Agent | None) -> None:
        entity = Entity(
            self._log.iri("permit", permit.id),
            types=("Permit",),
            digest=permit.digest,
            attributes={"permitState": Iri(permit.state.iri), "validTo": permit.valid_to.isoformat()},
        )
        self._record(connection, kind, label, entity, permit.reason, by)

    def _record_agreement(
        self, connection: Connection, kind: str, label: str, agreement: Agreement, by: Agent | None
    ) -> None:
        entity = Entity(
            _agreement_iri(self._log, agreement.id),
            types=("Agreement",),
            digest=agreement.policy_digest,
            attributes={
                "counterparty": Iri(agreement.counterparty),
                "dataset": Iri(self._log.iri("dataset", agreement.dataset_id)),
                "agreedAt": to_text(agreement.agreed_at),
            },
        )
        self._record(connection, kind, label, entity, agreement.reason, by)

    def _record(
        self, connection: Connection, kind: str, label: str, entity: Entity, reason: str | None, by: Agent | None
    ) -> None:
        now = self._clock.now()
        activity = Activity(
            iri=self._log.iri("activity", new_id("activity")),
            type=kind,
            label=label,
            started=now,
            ended=now,
            agents=() if by is None else (by,),
            generated=(entity,),
            attributes={} if reason is None else {"reason": reason},
        )
        self._log.append(connection, activity)


_RUNNING = (PermitState.ISSUED, PermitState.SUSPENDED)


def _as_of(permit: Permit, at: datetime) -> Permit:
    if permit.state in _RUNNING and permit.is_over(at):
        return permit.model_copy(update={"state": PermitState.EXPIRED})
    return permit


def _find_basis(connection: Connection, basis: str | None) -> Permit | Agreement | None:
    """The permit or agreement of this id, if it is one."""
    if basis is None:
        return None
    for find in (_find_permit, _find_agreement):
        try:
            return find(connection, basis)
        except NotFoundError:
            continue
    return None


def _agreements_over(connection: Connection, at: datetime) -> list[Agreement]:
    query = select(agreements).where(agreements.c.state == AgreementState.FINALIZED, agreements.c.valid_to <= at)
    return [_agreement(dict(row)) for row in connection.execute(query).mappings()]


def _all_permits(connection: Connection) -> list[Permit]:
    return [_permit(dict(row)) for row in connection.execute(select(permits)).mappings()]


def _running_permits(connection: Connection) -> list[Permit]:
    rows = connection.execute(select(permits).where(permits.c.state.in_(_RUNNING))).mappings()
    return [_permit(dict(row)) for row in rows]


def _find_permit(connection: Connection, permit_id: str) -> Permit:
    row = connection.execute(select(permits).where(permits.c.id == permit_id)).mappings().one_or_none()
    if row is None:
        raise NotFoundError("there is no such permit", fix="list them with: synthema permit list")
    return _permit(dict(row))


def _find_agreement(connection: Connection, agreement_id: str) -> Agreement:
    row = connection.execute(select(agreements).where(agreements.c.id == agreement_id)).mappings().one_or_none()
    if row is None:
        raise NotFoundError("there is no such agreement", fix="list them with: synthema agreement list")
    return _agreement(dict(row))


def _permit(row: dict[str, Any]) -> Permit:
    return Permit.model_validate(row | {"valid_to": date.fromisoformat(row["valid_to"])})


def _agreement(row: dict[str, Any]) -> Agreement:
    return Agreement.model_validate(row)


def _update_permit(connection: Connection, permit_id: str, **changes: Any) -> None:
    connection.execute(update(permits).where(permits.c.id == permit_id).values(**changes))


def _agreement_iri(log: ProvenanceLog, identifier: str) -> str:
    """An agreement's IRI: in the data space its identifier is one already."""
    return identifier if ":" in identifier else log.iri("agreement", identifier)
