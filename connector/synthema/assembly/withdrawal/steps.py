"""What the connector does by itself: end work, delete files, suspend certificates, follow an issuer.

Each step is one transaction together with its log entry, and may be repeated: what was done before is found done.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import Connection

from synthema.assembly.withdrawal import store
from synthema.assembly.withdrawal.ground import Ground
from synthema.assembly.withdrawal.model import Consequence, ItemState, Kind
from synthema.assembly.withdrawal.outbox import Outbox
from synthema.assembly.withdrawal.store import KeptItem, KeptPlan
from synthema.assembly.withdrawal.tracing import SiteTracer
from synthema.errors import ConflictError, NotFoundError, SynthemaError
from synthema.federation import store as federation_store
from synthema.runs import erasing
from synthema.runs.model import FINAL_STATES

_logger = logging.getLogger(__name__)

REASON: Final = "consent was taken back"
_STOPPED: Final = "a person took back what this run rests on (GDPR Art. 7(3))"


class Steps:
    """Carries out the items of plans that need no person."""

    def __init__(self, ground: Ground, outbox: Outbox, tracer: SiteTracer) -> None:
        self._tracer = tracer
        self._ground = ground
        self._rooms = ground.rooms
        self._outbox = outbox
        self._by_consequence: dict[Consequence, Callable[[KeptPlan, KeptItem], None]] = {
            Consequence.STOP: self._stop,
            Consequence.DROP: self._drop,
            Consequence.DELETE: self._delete,
            Consequence.SUSPEND: self._suspend,
            Consequence.FOLLOW: self._follow,
            Consequence.RENEW: self._renewed,
        }

    def act(self, plan: KeptPlan) -> None:
        """Do what can be done now; what fails is tried again the next time and keeps nothing else from being done."""
        for item in sorted(plan.items, key=lambda each: _ORDER.get(each.item.consequence, 9)):
            step = self._by_consequence.get(item.item.consequence)
            if step is None or item.state not in (ItemState.OPEN, ItemState.WORKING):
                continue
            try:
                step(plan, item)
            except SynthemaError as error:
                _logger.warning("withdrawal: %s of '%s': %s", item.item.consequence, item.item.label, error.message)

    def finish_deletion(self, item: KeptItem) -> None:
        """Delete the file of an item whose deletion was decided, then note that it is gone."""
        digest = str(item.item.details.get("artefact") or "")
        if item.item.run and digest:
            erasing.delete_file(self._rooms.settings.home, item.item.run, digest)
        outcome = f"Deleted on {self._ground.now():%Y-%m-%d}; only its digest stays: {item.item.digest or digest}."
        self._rooms.database.write(lambda connection: self._ground.finish(connection, item, outcome))

    # steps ------------------------------------------------------------------------------

    def _stop(self, plan: KeptPlan, item: KeptItem) -> None:
        run = item.item.run or ""
        if self._rooms.governor.run(run).state not in FINAL_STATES:
            self._rooms.governor.at_work.stop(self._rooms.governor, run, _STOPPED)
        self._say(item, "The run ended without a result; nothing of it leaves, and its files are deleted.")

    def _drop(self, plan: KeptPlan, item: KeptItem) -> None:
        """Done once the run has ended: the session leaves people out by itself before each further contribution."""
        record = self._rooms.governor.run(item.item.run or "")
        if record.state not in FINAL_STATES:
            return
        sent = self._sent_before(plan, item)
        stays = (
            f"{sent} masked sum{'s' if sent != 1 else ''} had left before and stay{'' if sent != 1 else 's'} in what "
            "was opened; nobody can take one person out of a sum again."
            if sent
            else "No masked sum with the record had left."
        )
        self._say(item, f"The run has ended; after the withdrawal nothing rested on the record. {stays}")

    def _sent_before(self, plan: KeptPlan, item: KeptItem) -> int:
        study = item.item.details.get("study")
        return self._tracer.sums_left_before(study, plan.cause.at) if isinstance(study, str) else 0

    def _delete(self, plan: KeptPlan, item: KeptItem) -> None:
        if item.state is ItemState.OPEN:
            self.begin_deletion(item)
        with self._rooms.database.read() as connection:
            item = store.find_item(connection, item.id)
        if item.state is ItemState.WORKING:
            self.finish_deletion(item)

    def begin_deletion(self, item: KeptItem) -> None:
        """From this transaction on the thing is not handed out any more; its file goes right after."""
        self._rooms.database.write(lambda connection: self.begin_deletion_within(connection, item))

    def begin_deletion_within(self, connection: Connection, item: KeptItem) -> None:
        """:meth:`begin_deletion` as part of a larger transaction."""
        now = self._ground.now()
        digest = str(item.item.details.get("artefact") or "")
        if item.item.run and digest:
            erasing.mark_erased(connection, item.item.run, digest)
        study = item.item.details.get("study")
        if item.item.kind is Kind.SYNTHETIC and isinstance(study, str):
            federation_store.forget_result(connection, study)
        self._rooms.log.append(connection, self._ground.records.erased(item, now))
        store.move_item(connection, item, ItemState.WORKING, now)

    def _suspend(self, plan: KeptPlan, item: KeptItem) -> None:
        named = [item.item.subject] if item.item.kind is Kind.CERTIFICATE else item.item.details.get("certificates", [])

        def work(connection: Connection) -> None:
            self.suspend_within(connection, plan, named)
            outcome = "Suspended in this connector's status list; registries that follow it stop serving the dataset."
            self._ground.finish(connection, item, outcome)

        self._rooms.database.write(work)

    def suspend_within(self, connection: Connection, plan: KeptPlan, certificates: Sequence[str]) -> None:
        """Suspend certificates and tell everyone who holds what they certify; those suspended before change nothing."""
        suspended = False
        for certificate in certificates:
            try:
                self._rooms.trust.status.suspend_within(
                    connection, certificate, f"{REASON}; the dataset is assessed or made anew"
                )
                suspended = True
            except ConflictError:
                continue  # it is suspended or revoked already
        if suspended:
            self._note_suspended(connection, plan, certificates)
            self._outbox.tell_again(connection, plan, "look at the status list: the certificate is suspended")

    def _note_suspended(self, connection: Connection, plan: KeptPlan, certificates: Sequence[str]) -> None:
        """A certificate that was to stay valid during the assessment says what became of it."""
        for other in plan.items:
            if other.item.subject in certificates and other.state is ItemState.STAYS:
                store.set_outcome(connection, other.id, "Suspended after all: its dataset does not stay as it is.")

    def _follow(self, plan: KeptPlan, item: KeptItem) -> None:
        registry = self._rooms.trust.registry
        registry.refresh()
        held = [h for h in registry.holdings() if h.certificate == item.item.details.get("certificate")]
        state = held[0].state if held else "gone"
        told = {
            "held": "The issuer's status list shows its certificate as valid: it is served, and the list is watched.",
            "suspended": "It is not served any more: its certificate is suspended.",
            "withdrawn": "It was withdrawn: its certificate is revoked.",
        }.get(state, "It is not held here any more.")
        self._say(item, told)

    def _renewed(self, plan: KeptPlan, item: KeptItem) -> None:
        try:
            version = self._rooms.datasets.version(str(item.item.details.get("version")))
        except NotFoundError:
            version = None
        if version is None or version.erased_at is not None:
            self._say(item, "The rows of this version were erased.")

    def _say(self, item: KeptItem, outcome: str) -> None:
        self._rooms.database.write(lambda connection: self._ground.finish(connection, item, outcome))


_ORDER: Final = {Consequence.STOP: 0, Consequence.SUSPEND: 1, Consequence.DELETE: 2, Consequence.NOTIFY: 3}
