"""Takes partners' notices: verified, known to be about something here, kept once, answered with a receipt.

A party may name only what it has a part in: a site the studies it is a member of, a hub the certificates it issued.
What a notice leads to here is a plan of this connector's own, under its own rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sqlalchemy import Connection

from synthema.assembly.study_store import ConductedStudy
from synthema.assembly.withdrawal import store
from synthema.assembly.withdrawal.ground import Ground
from synthema.assembly.withdrawal.model import Cause, Derived, Kind, Plan, Trace
from synthema.assembly.withdrawal.notices import NoticeContent, ReceiptContent, make_receipt, read_notice
from synthema.assembly.withdrawal.planning import make_plan
from synthema.assembly.withdrawal.store import KeptPlan
from synthema.assembly.withdrawal.tracing import HubTracer, study_of
from synthema.canonical import digest
from synthema.certification import candidate_iri
from synthema.certification import store as certificate_store
from synthema.errors import ConflictError, InputError, NotFoundError
from synthema.ids import new_id

MOST_MISSING = 100


class Inbox:
    """The notices that partners send to one connector."""

    def __init__(
        self,
        ground: Ground,
        hub: HubTracer,
        keep: Callable[[Connection, Plan, Iterable[str]], str],
        wake: Callable[[], None],
    ) -> None:
        self._ground = ground
        self._rooms = ground.rooms
        self._hub = hub
        self._keep = keep
        self._wake = wake

    def take(self, caller: str, document: Any) -> dict[str, Any]:
        """Take a notice from an authenticated partner; returns the signed receipt, the same however often it asks.

        Raises :class:`NotFoundError` where nothing that the notice names is here and the caller has no part in what
        is here: the two are not told apart. Raises :class:`ConflictError` for another notice under a known id.
        """
        if not isinstance(document, dict):
            raise InputError("a notice is a JSON object", fix="send the signed notice")
        rooms, now = self._rooms, self._ground.now()
        content = read_notice(document, caller, rooms.settings.did, rooms.resolver, now)
        with rooms.database.read() as connection:
            known = store.find_received(connection, caller, content.id)
        if known is not None:
            return _same(known, document)
        trace, named = self._trace(caller, [content])
        if not named:
            raise NotFoundError("nothing that this notice names is here", fix="send it to the party that has it")
        receipt: dict[str, Any] = rooms.database.write(
            lambda connection: self._take(connection, caller, document, content, trace, named)
        )
        self._wake()
        return receipt

    def trace_again(self, plan: KeptPlan) -> Trace:
        """What follows by now from all notices that a plan is about."""
        sender = plan.cause.sender or ""
        with self._rooms.database.read() as connection:
            documents = store.documents_of(connection, plan.id)
        contents = [NoticeContent.model_validate(document["credentialSubject"]) for document in documents]
        return self._trace(sender, contents)[0]

    # tracing ----------------------------------------------------------------------------

    def _trace(self, caller: str, contents: Iterable[NoticeContent]) -> tuple[Trace, tuple[str, ...]]:
        """What follows from notices, and which of the things they name are here."""
        role = self._rooms.settings.role
        named = list(contents)
        if role == "hub":
            return self._at_hub(caller, named)
        if role == "registry":
            return self._at_registry(caller, named)
        return Trace(()), ()

    def _at_hub(self, caller: str, contents: list[NoticeContent]) -> tuple[Trace, tuple[str, ...]]:
        identifiers = sorted({study for content in contents for study in content.studies})
        with self._rooms.database.read() as connection:
            found = [study for one in identifiers if (study := study_of(connection, one)) is not None]
            studies = [study for study in found if caller in _members(study)]
            certificates = {
                study.candidate: tuple(
                    record.id for record in certificate_store.certificates_of_candidate(connection, study.candidate)
                )
                for study in studies
                if study.candidate is not None
            }
        here = [study.id for study in studies]
        here += [candidate_iri(study.candidate) for study in studies if study.candidate is not None]
        return self._hub.trace(studies, certificates), tuple(here)

    def _at_registry(self, caller: str, contents: list[NoticeContent]) -> tuple[Trace, tuple[str, ...]]:
        """The holdings that are named and whose certificate the caller itself issued."""
        issued_at = self._rooms.peers.peer(caller).url.rstrip("/") + "/"
        things = {thing for content in contents for thing in content.things}
        held = [
            holding
            for holding in self._rooms.trust.registry.holdings()
            if holding.certificate.startswith(issued_at)
            and (holding.certificate in things or candidate_iri(holding.artefact) in things)
        ]
        derived = tuple(
            Derived(
                f"{holding.certificate}#held",
                Kind.HOLDING,
                f"dataset {holding.artefact[:23]}…",
                digest=holding.artefact,
                details={"certificate": holding.certificate},
            )
            for holding in held
        )
        return Trace(derived), tuple(holding.certificate for holding in held)

    # keeping ----------------------------------------------------------------------------

    def _take(
        self,
        connection: Connection,
        caller: str,
        document: dict[str, Any],
        content: NoticeContent,
        trace: Trace,
        named: tuple[str, ...],
    ) -> dict[str, Any]:
        rooms, now = self._rooms, self._ground.now()
        known = store.find_received(connection, caller, content.id)
        if known is not None:  # two deliveries of one notice at the same time
            return _same(known, document)
        identifier, steps = self._plan_for(connection, caller, content, trace)
        last = store.last_number(connection, caller)
        receipt = make_receipt(
            ReceiptContent(
                id=rooms.log.iri("withdrawal-receipt", new_id("withdrawalreceipt")),
                notice=content.id,
                notice_digest=digest(document),
                number=content.number,
                missing=tuple(range(last + 1, content.number))[:MOST_MISSING],
                known=named,
                steps=steps,
                received=now,
            ),
            rooms.settings.did,
            rooms.signer,
            now,
        )
        store.insert_received(
            connection,
            sender=caller,
            id=content.id,
            number=content.number,
            digest=digest(document),
            document=document,
            receipt=receipt,
            plan=identifier,
            received_at=now,
        )
        taken = self._ground.records.took(caller, content.id, digest(document), digest(receipt), steps, now)
        rooms.log.append(connection, taken)
        return receipt

    def _plan_for(self, connection: Connection, caller: str, content: NoticeContent, trace: Trace) -> tuple[str, int]:
        """A plan of our own for the sender's withdrawal: a new one, or one more look for a holding."""
        cause = Cause(
            machine="notice",
            dataset=content.dataset,
            list_version=content.exclusion_list,
            at=self._ground.now(),
            notice=content.id,
            sender=caller,
        )
        plan = make_plan(cause, trace, store.rules_for(connection, store.EVERY))
        return self._keep(connection, plan, ()), len(plan.items)


def _members(study: ConductedStudy) -> set[str]:
    members: list[Mapping[str, Any]] = (study.plan or {}).get("members", [])
    return {str(member.get("did")) for member in members}


def _same(known: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """The receipt that a notice got before; raises :class:`ConflictError` where this is another one."""
    if known["digest"] != digest(dict(document)):
        raise ConflictError("another notice has this id", fix="send each notice under an id of its own")
    receipt: dict[str, Any] = known["receipt"]
    return receipt
