"""Notices between connectors: who may send them, what they may be about, and what happens when one comes twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from synthema.assembly import study_store
from synthema.assembly.study_store import ConductState
from synthema.assembly.withdrawal import store
from synthema.assembly.withdrawal.ground import Rooms
from synthema.assembly.withdrawal.model import Cause, Consequence, Derived, ItemState, Kind, Rules, Trace
from synthema.assembly.withdrawal.notices import NoticeContent, make_notice, read_receipt
from synthema.assembly.withdrawal.outbox import FIRST_RETRY
from synthema.assembly.withdrawal.planning import make_plan
from synthema.assembly.withdrawal.propagation import Withdrawals
from synthema.assembly.withdrawal.tracing import Sources, copy_iri
from synthema.clock import FixedClock
from synthema.config import Role, Settings
from synthema.errors import ConflictError, DeniedError, InputError, IntegrityError, NotFoundError, PeerError
from synthema.identity import DidResolver, FileSigner, did_document
from synthema.ids import new_id
from synthema.provenance import Lineage, ProvenanceIndex, ProvenanceLog
from tests.databases import new_database

HUB, SITE, OTHER = (f"http://127.0.0.1:{port}" for port in (8100, 8101, 8102))
DIDS = {url: f"did:web:127.0.0.1%3A{url.rsplit(':', 1)[1]}" for url in (HUB, SITE, OTHER)}
CANDIDATE = "sha256:" + "ab" * 32


class Post:
    """Stands for the way to a partner: hands over what is sent, or does not answer."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.answer: Any = None

    def post(self, did: str, path: str, value: Any) -> tuple[int, Any]:
        self.sent.append((did, path, value))
        if self.answer is None:
            raise PeerError(f"{did} does not answer", fix="try again")
        return 200, self.answer(value)

    def peer(self, did: str) -> Any:
        return SimpleNamespace(url=next(url for url, known in DIDS.items() if known == did))


class Ledger:
    """Stands for the obligations ledger, which is tested by itself."""

    def impose(self, *_: Any, **__: Any) -> None:
        return None


class House:
    """A connector with what notices need, and nothing else."""

    def __init__(
        self, url: str, role: Role, folder: Path, signer: FileSigner, resolver: DidResolver, clock: FixedClock
    ) -> None:
        self.did = DIDS[url]
        self.post = Post()
        self.signer = signer
        self.database = new_database(folder / f"{role}.sqlite")
        log = ProvenanceLog(self.database, signer, url, clock)
        settings = Settings(
            home=folder, mode="demo", name=role, role=role, public_url=url, management_url="http://127.0.0.1:1",
        )  # fmt: skip
        index = ProvenanceIndex(log)
        post: Any = self.post
        ledger: Any = Ledger()
        nothing: Any = SimpleNamespace(agreements=tuple, versions=lambda *_: [])
        rooms = Rooms(
            settings, self.database, log, clock, signer, resolver, post, nothing, nothing, ledger, nothing
        )  # fmt: skip
        ignoring: Any = SimpleNamespace(on_withdrawal=lambda _: None, also=lambda _: None)
        sources = Sources(settings, self.database, log, index, Lineage(index), nothing, nothing, nothing)
        self.withdrawals = Withdrawals(rooms, sources, ignoring, ignoring)
        self.log = log

    def plans(self) -> list[store.KeptPlan]:
        with self.database.read() as connection:
            return store.all_plans(connection)


class World:
    def __init__(self, folder: Path, clock: FixedClock) -> None:
        self.clock = clock
        self.signers = {}
        for number, url in enumerate((HUB, SITE, OTHER)):
            self.signers[url] = FileSigner.create(folder / f"keys{number}", b"a passphrase of a test")
        own = {DIDS[url]: did_document(DIDS[url], signer, url, []) for url, signer in self.signers.items()}
        resolver = DidResolver(lambda url: b"", dict(zip(DIDS.values(), DIDS, strict=True)), clock, own=own)
        self.hub = House(HUB, "hub", folder, self.signers[HUB], resolver, clock)
        self.site = House(SITE, "site", folder, self.signers[SITE], resolver, clock)
        self.resolver = resolver
        self.study = new_id("study")
        self.hub.database.write(self._conduct)

    def _conduct(self, connection: Any) -> None:
        study_store.insert_study(connection, self.study, "A study", {}, self.clock.now())
        plan = {"members": [{"did": DIDS[SITE]}], "epsilon": 1.0, "delta": 1e-5}
        for state in (ConductState.INVITING, ConductState.RUNNING):
            study_store.note(connection, self.study, self.clock.now(), {}, state=state, plan=plan)

    def finish(self) -> None:
        """The study makes its rows and releases them."""

        def work(connection: Any) -> None:
            now = self.clock.now()
            study_store.note(connection, self.study, now, {}, state=ConductState.QUARANTINED, candidate=CANDIDATE)
            study_store.note(
                connection, self.study, now, {}, state=ConductState.RELEASED, result={"package": CANDIDATE}
            )

        self.hub.database.write(work)

    def content(self, **changes: Any) -> NoticeContent:
        values: dict[str, Any] = {
            "id": f"{SITE}/id/withdrawal-notice/1", "withdrawal": f"{SITE}/id/withdrawal/1", "recipient": DIDS[HUB],
            "number": 1, "answer_by": self.clock.now() + timedelta(days=7), "dataset": f"{SITE}/id/dataset/mgus",
            "exclusion_list": 4, "things": (), "studies": (self.study,), "asks": "follow it", "articles": ("GDPR 19",),
        }  # fmt: skip
        return NoticeContent(**(values | changes))

    def notice(self, by: str = SITE, **changes: Any) -> dict[str, Any]:
        return make_notice(self.content(**changes), DIDS[by], self.signers[by], self.clock.now())


@pytest.fixture
def world(tmp_path: Path, clock: FixedClock) -> World:
    return World(tmp_path, clock)


@pytest.mark.article("GDPR 19")
def test_a_notice_is_answered_with_a_signed_receipt_and_leads_to_a_plan(world: World) -> None:
    world.finish()
    document = world.notice()
    answer = world.hub.withdrawals.inbox.take(DIDS[SITE], document)
    receipt = read_receipt(answer, document, DIDS[HUB], world.resolver, world.clock.now())
    (plan,) = world.hub.plans()
    assert receipt.steps == len(plan.items) == 2
    assert receipt.known == (world.study, f"urn:synthema:candidate:{'ab' * 32}")
    assert {item.item.consequence for item in plan.items} == {Consequence.ASSESS, Consequence.RECORD}
    assert plan.cause.sender == DIDS[SITE]


def test_the_same_notice_again_gets_the_same_receipt_and_changes_nothing(world: World) -> None:
    document = world.notice()
    first = world.hub.withdrawals.inbox.take(DIDS[SITE], document)
    size = world.hub.log.size()
    world.clock.advance(timedelta(hours=1))
    assert world.hub.withdrawals.inbox.take(DIDS[SITE], document) == first
    assert (len(world.hub.plans()), world.hub.log.size()) == (1, size)


def test_another_notice_under_a_known_id_is_refused(world: World) -> None:
    world.hub.withdrawals.inbox.take(DIDS[SITE], world.notice())
    with pytest.raises(ConflictError, match="another notice has this id"):
        world.hub.withdrawals.inbox.take(DIDS[SITE], world.notice(exclusion_list=5))


def test_a_notice_that_never_arrived_is_missed(world: World) -> None:
    document = world.notice(number=3)
    answer = world.hub.withdrawals.inbox.take(DIDS[SITE], document)
    assert read_receipt(answer, document, DIDS[HUB], world.resolver, world.clock.now()).missing == (1, 2)


def test_who_has_no_part_in_a_study_cannot_name_it(world: World) -> None:
    with pytest.raises(NotFoundError):
        world.hub.withdrawals.inbox.take(DIDS[OTHER], world.notice(by=OTHER))
    with pytest.raises(NotFoundError):
        world.hub.withdrawals.inbox.take(DIDS[SITE], world.notice(studies=(new_id("study"),)))
    assert world.hub.plans() == []


def test_a_notice_speaks_for_its_sender_only(world: World) -> None:
    take = world.hub.withdrawals.inbox.take
    with pytest.raises(DeniedError, match="signed by another party"):
        take(DIDS[OTHER], world.notice())
    with pytest.raises(DeniedError, match="meant for another"):
        take(DIDS[SITE], world.notice(recipient=DIDS[OTHER]))
    with pytest.raises(InputError):
        take(DIDS[SITE], ["a list"])
    changed = world.notice()
    changed["credentialSubject"]["exclusion_list"] = 9
    with pytest.raises(IntegrityError):
        take(DIDS[SITE], changed)
    extra = world.notice()
    del extra["proof"]
    with pytest.raises(IntegrityError):
        take(DIDS[SITE], extra)
    assert world.hub.plans() == []


def test_what_a_study_makes_later_becomes_part_of_the_plan(world: World) -> None:
    world.hub.withdrawals.inbox.take(DIDS[SITE], world.notice())
    (before,) = world.hub.plans()
    assert before.unfinished
    assert {item.item.kind for item in before.items} == {Kind.MASKED}
    world.finish()
    world.hub.withdrawals.look()
    (after,) = world.hub.plans()
    assert not after.unfinished
    assert {item.item.kind for item in after.items} == {Kind.MASKED, Kind.SYNTHETIC}


# ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def planned(world: World) -> str:
    thing = Derived(
        copy_iri(f"urn:synthema:study:{world.study}", DIDS[HUB]), Kind.COPY, "what the hub made", holder=DIDS[HUB],
        details={"things": [], "studies": [world.study]},
    )  # fmt: skip
    plan = make_plan(Cause("consent", "mgus", 4, world.clock.now()), Trace((thing,)), Rules())
    return world.site.database.write(lambda connection: world.site.withdrawals.keep(connection, plan, {"token"}))


def test_a_notice_is_sent_until_its_receipt_is_here(world: World) -> None:
    planned(world)
    post, work = world.site.post, world.site.withdrawals.work
    work()
    work()
    assert len(post.sent) == 1, "the next attempt is not due yet"
    post.answer = lambda value: world.hub.withdrawals.inbox.take(DIDS[SITE], value)
    world.clock.advance(FIRST_RETRY)
    work()
    work()
    assert len(post.sent) == 2
    assert post.sent[0] == post.sent[1], "the very same notice"
    (plan,) = world.site.plans()
    assert plan.state == "done"
    (item,) = plan.items
    assert item.state is ItemState.DONE
    assert "The holder's receipt" in (item.outcome or "")


def test_a_receipt_for_another_notice_is_not_taken(world: World) -> None:
    planned(world)
    other = world.hub.withdrawals.inbox.take(DIDS[SITE], world.notice())
    world.site.post.answer = lambda _: other
    world.site.withdrawals.work()
    (plan,) = world.site.plans()
    assert plan.items[0].state is ItemState.OPEN
    with world.site.database.read() as connection:
        (notice,) = store.notices_of(connection, plan.id)
    assert "another notice" in (notice.problem or "")


def test_attempts_are_further_apart_each_time(world: World) -> None:
    planned(world)
    waits = []
    for _ in range(4):
        world.site.withdrawals.work()
        with world.site.database.read() as connection:
            (notice,) = store.notices_of(connection, world.site.plans()[0].id)
        waits.append(notice.next_at - world.clock.now())
        world.clock.advance(waits[-1])
    assert waits == [FIRST_RETRY, FIRST_RETRY * 2, FIRST_RETRY * 4, FIRST_RETRY * 8]


def test_no_token_stands_in_a_notice_or_in_the_log(world: World) -> None:
    planned(world)
    world.site.withdrawals.work()
    assert "token" not in str(world.site.post.sent)
    assert not [entry for entry in world.site.log.entries(limit=1000) if b'"token"' in entry.body]


def test_a_step_that_the_table_does_not_know_is_refused(world: World) -> None:
    planned(world)
    (plan,) = world.site.plans()
    ended = replace(plan.items[0], state=ItemState.DONE)
    with pytest.raises(ConflictError):
        world.site.database.write(
            lambda connection: store.move_item(connection, ended, ItemState.OPEN, world.clock.now())
        )
