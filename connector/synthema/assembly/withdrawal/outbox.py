"""Notices to partners: signed when the plan is kept, sent until the receipt is here, each exactly once in effect."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection

from synthema.assembly.asking import ask
from synthema.assembly.withdrawal import store
from synthema.assembly.withdrawal.ground import Ground
from synthema.assembly.withdrawal.model import Consequence, ItemState
from synthema.assembly.withdrawal.notices import NoticeContent, ReceiptContent, make_notice, read_receipt
from synthema.assembly.withdrawal.store import KeptItem, KeptPlan, Notice
from synthema.canonical import digest
from synthema.errors import SynthemaError
from synthema.ids import new_id

PATH: Final = "/withdrawals/notices"
FIRST_RETRY: Final = timedelta(seconds=10)
LONGEST_RETRY: Final = timedelta(hours=6)
MOST_ITEMS: Final = 50  # in one notice, each with the few things that it covers
ASKS: Final = (
    "follow what you made of these things, stop using what rests on a consent that was taken back, and send a receipt"
)

_logger = logging.getLogger(__name__)


class Outbox:
    """The notices of one connector."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._rooms = ground.rooms

    # writing ----------------------------------------------------------------------------

    def queue(self, connection: Connection, plan: KeptPlan, items: Sequence[KeptItem]) -> None:
        """One notice to each holder of copies, in the transaction that keeps the plan or more of it."""
        by_holder: dict[str, list[KeptItem]] = defaultdict(list)
        for item in items:
            if item.item.consequence is Consequence.NOTIFY and item.item.holder is not None:
                by_holder[item.item.holder].append(item)
        for holder, own in sorted(by_holder.items()):
            self._write_all(connection, plan, holder, own, ASKS)

    def tell_again(self, connection: Connection, plan: KeptPlan, asks: str) -> None:
        """Another notice to everyone who holds copies, because what they hold has changed its standing."""
        held = [item for item in plan.items if item.item.consequence is Consequence.NOTIFY]
        for holder in sorted({item.item.holder for item in held if item.item.holder is not None}):
            self._write_all(connection, plan, holder, [item for item in held if item.item.holder == holder], asks)

    def _write_all(self, connection: Connection, plan: KeptPlan, holder: str, items: list[KeptItem], asks: str) -> None:
        """As many notices as it takes to name everything."""
        for first in range(0, len(items), MOST_ITEMS):
            self._write(connection, plan, holder, items[first : first + MOST_ITEMS], asks)

    def _write(self, connection: Connection, plan: KeptPlan, holder: str, items: list[KeptItem], asks: str) -> None:
        now, rooms = self._ground.now(), self._rooms
        identifier = new_id("withdrawalnotice")
        answer_by = min((item.item.due for item in items if item.item.due is not None), default=now + timedelta(days=7))
        content = NoticeContent(
            id=rooms.log.iri("withdrawal-notice", identifier),
            withdrawal=self._ground.records.iri(plan.id),
            recipient=holder,
            number=store.next_number(connection, holder),
            answer_by=max(answer_by, now + timedelta(days=1)),
            dataset=self._dataset(plan),
            exclusion_list=plan.cause.list_version,
            things=_named(items, "things"),
            studies=_named(items, "studies"),
            asks=asks,
            articles=("GDPR 7(3)", "GDPR 19") if plan.cause.machine != "opt-out" else ("EHDS 71(3)",),
        )
        document = make_notice(content, rooms.settings.did, rooms.signer, now)
        notice = Notice(
            identifier, plan.id, holder, content.number, document, tuple(item.id for item in items),
            content.answer_by, 0, now, None, None, None,
        )  # fmt: skip
        store.insert_notice(connection, notice)
        rooms.log.append(connection, self._ground.records.notified(notice, digest(document), now))

    def _dataset(self, plan: KeptPlan) -> str:
        """The dataset as partners know it; the one a partner told us of is passed on as it was."""
        dataset = plan.cause.dataset
        return dataset if "://" in dataset else self._rooms.log.iri("dataset", dataset)

    # sending ----------------------------------------------------------------------------

    def deliver(self) -> int:
        """Send what is due; returns how many receipts came in. A partner that does not answer is asked again later."""
        now = self._ground.now()
        with self._rooms.database.read() as connection:
            due = store.due_notices(connection, now)
        return sum(self._send(notice) for notice in due)

    def _send(self, notice: Notice) -> bool:
        rooms = self._rooms
        try:
            answer = ask(rooms.peers, notice.recipient, PATH, notice.document)
            receipt = read_receipt(answer, notice.document, notice.recipient, rooms.resolver, self._ground.now())
        except SynthemaError as error:
            _logger.warning("withdrawal: %s did not take a notice: %s", notice.recipient, error.message)
            self._try_later(notice, error.message)
            return False
        rooms.database.write(lambda connection: self._settle(connection, notice, answer, receipt))
        return True

    def _try_later(self, notice: Notice, problem: str) -> None:
        wait = min(FIRST_RETRY * 2 ** min(notice.attempts, 10), LONGEST_RETRY)
        changes = {"attempts": notice.attempts + 1, "next_at": self._ground.now() + wait, "problem": problem[:500]}
        self._rooms.database.write(lambda connection: store.update_notice(connection, notice.id, **changes))

    def _settle(self, connection: Connection, notice: Notice, answer: dict[str, Any], receipt: ReceiptContent) -> None:
        now, shown = self._ground.now(), digest(answer)
        store.update_notice(
            connection, notice.id, receipt=answer, answered_at=now, attempts=notice.attempts + 1, problem=None
        )
        entry = self._rooms.log.append(connection, self._ground.records.answered(notice, shown, now))
        steps = "1 step follows" if receipt.steps == 1 else f"{receipt.steps} steps follow"
        outcome = (
            f"The holder's receipt of {receipt.received:%Y-%m-%d %H:%M} UTC says: {len(receipt.known)} of what was "
            f"named is there, and {steps} from it there."
        )
        for identifier in notice.items:
            item = store.find_item(connection, identifier)
            if item.state is ItemState.OPEN:
                self._ground.finish(connection, item, outcome, entry=entry)


def _named(items: Sequence[KeptItem], field: str) -> tuple[str, ...]:
    return tuple(sorted({str(each) for item in items for each in item.item.details.get(field, [])}))
