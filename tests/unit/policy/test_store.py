"""Policies are put in force by two people, one of them the data protection officer, and each step is logged."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synthema.clock import FixedClock
from synthema.errors import ConflictError, DeniedError, IntegrityError, NotFoundError, PolicyLoadError, StorageError
from synthema.identity.keys import FileSigner
from synthema.identity.people import People
from synthema.policy import (
    Layer,
    PolicyState,
    PolicyStore,
    PolicyVersion,
    decide,
    example_member_state_law,
    render,
    signing_bytes,
)
from synthema.policy.memberships import Change, Collection, CollectionKind
from synthema.provenance import Activity, Agent, PeopleLog, ProvenanceLog
from synthema.storage import Database
from tests.unit.policy.sample import BASE, DATASET, HUB, VALUES, V, request, template

SITE = render("research-synthetic-data", VALUES["research-synthetic-data"])
SITE_ID = f"{BASE}/id/policy/research"


class House:
    """A connector's policy room with the accounts of a data protection officer, a steward and an operator."""

    def __init__(self, database: Database, clock: FixedClock, folder: Path) -> None:
        self.database, self.clock = database, clock
        self.log = ProvenanceLog(
            database, FileSigner.create(folder / "keys", b"a test passphrase"), origin=BASE, clock=clock
        )
        self.people = People(database, PeopleLog(self.log), clock)
        self.keys: dict[str, Ed25519PrivateKey] = {}
        self.dpo, self.steward, self.operator = (self.register(role) for role in ("dpo", "data steward", "operator"))
        self.store = PolicyStore(database, self.log, clock, self.people, V)

    def register(self, role: str) -> str:
        key = Ed25519PrivateKey.generate()
        person = self.people.register([role], key.public_key().public_bytes_raw())
        self.keys[person.id] = key
        return person.id

    def sign(self, version: PolicyVersion, person: str, *acknowledge: str) -> PolicyVersion:
        data = signing_bytes(version.policy.id, version.policy.version, version.digest)
        signature = self.keys[person].sign(data)
        return self.store.sign(version.policy.id, version.policy.version, person, signature, acknowledge=acknowledge)

    def activate(self, text: str) -> PolicyVersion:
        version = self.store.draft(text)
        self.sign(version, self.steward)
        return self.sign(version, self.dpo)

    def approvals(self, change: Change, *people: str) -> list[tuple[str, bytes]]:
        """The signatures of these people, or of the officer and the steward, under a change to a collection."""
        return [(each, self.keys[each].sign(change.signing_bytes())) for each in people or (self.dpo, self.steward)]

    def put(self, collection: str, member: str, kind: CollectionKind, title: str = "") -> Collection:
        """Put a member into a collection, as two people sign it."""
        register = self.store.collections
        approvals = self.approvals(register.addition(collection, member, kind, title=title))
        return register.add(collection, member, kind, title=title, approvals=approvals)

    def take(self, collection: str, member: str) -> Collection:
        """Take a member out of a collection, as two people sign it."""
        register = self.store.collections
        return register.remove(collection, member, approvals=self.approvals(register.removal(collection, member)))

    def logged(self) -> str:
        with self.database.read() as connection:
            rows = connection.exec_driver_sql("select body from log_entries order by sequence").scalars().all()
        return b"".join(rows).decode()


@pytest.fixture
def house(database: Database, clock: FixedClock, tmp_path: Path) -> House:
    return House(database, clock, tmp_path)


def test_two_people_put_a_policy_in_force_and_each_step_is_logged(house: House) -> None:
    by = Agent(f"{BASE}/id/person/{house.steward}", "Person")
    drafted = house.store.draft(SITE, "research.yaml", by=by)
    assert drafted.state is PolicyState.DRAFT
    assert drafted.policy.id == SITE_ID
    assert house.store.draft(SITE) == drafted
    assert house.sign(drafted, house.steward).state is PolicyState.IN_REVIEW
    active = house.sign(drafted, house.dpo)
    assert active.state is PolicyState.ACTIVE
    assert active.signed_by == (house.steward, house.dpo)
    assert active.activated_at == house.clock.now()
    log = house.logged()
    for step in ("PolicyDraft", "PolicySignature", "PolicyActivation"):
        assert f"ns#{step}>" in log
    assert active.digest in log


def test_two_signatures_without_an_officer_are_not_enough(house: House) -> None:
    drafted = house.store.draft(SITE)
    house.sign(drafted, house.steward)
    with pytest.raises(DeniedError, match="no data protection officer"):
        house.sign(drafted, house.operator)
    with pytest.raises(ConflictError, match="signed already"):
        house.sign(drafted, house.steward)
    assert house.store.version(SITE_ID, "1").state is PolicyState.IN_REVIEW


def test_a_wrong_signature_or_an_unknown_person_changes_nothing(house: House) -> None:
    drafted = house.store.draft(SITE)
    with pytest.raises(IntegrityError):
        house.store.sign(SITE_ID, "1", house.dpo, b"0" * 64)
    house.people.revoke(house.steward)
    with pytest.raises(DeniedError):
        house.sign(drafted, house.steward)
    other = house.store.draft(SITE.replace("version: 1", "version: 2"))
    signature = house.keys[house.dpo].sign(signing_bytes(SITE_ID, "1", drafted.digest))
    with pytest.raises(IntegrityError):
        house.store.sign(SITE_ID, "2", house.dpo, signature)
    assert other.signed_by == house.store.version(SITE_ID, "1").signed_by == ()


def test_the_same_version_never_says_something_else(house: House) -> None:
    house.store.draft(SITE)
    with pytest.raises(ConflictError, match="exists with other words"):
        house.store.draft(SITE.replace("at least: 50", "at least: 51"))
    with pytest.raises(NotFoundError):
        house.store.version(SITE_ID, "9")


def test_findings_stand_in_the_way_until_acknowledged_by_name(house: House) -> None:
    text = SITE.replace("  epsilon: Decided by the data protection officer\n", "")
    drafted = house.store.draft(text)
    review = house.store.review(SITE_ID, "1")
    (finding,) = review.findings
    assert finding.code == "threshold-unconfirmed"
    with pytest.raises(ConflictError, match="site decision required"):
        house.sign(drafted, house.steward)
    house.sign(drafted, house.steward, finding.key)
    assert house.sign(drafted, house.dpo).acknowledged == (finding.key,)


OWN_CASES = f"""
policy: {SITE_ID}
request: {{action: reidentify, target: urn:t, assignee: urn:a}}
cases:
  - {{name: nobody is identified, expect: EXPECTED, because: no-reidentification}}
"""


def test_a_policy_counts_only_if_its_own_cases_pass(house: House) -> None:
    failing = house.store.draft(SITE, cases=OWN_CASES.replace("EXPECTED", "permit"))
    with pytest.raises(ConflictError, match="case failed: nobody is identified: expected permit, got deny"):
        house.sign(failing, house.dpo)
    own = OWN_CASES.replace("EXPECTED", "deny")
    passing = house.store.draft(SITE.replace("version: 1", "version: 2"), cases=own)
    assert house.store.review(SITE_ID, "2").cases[0].passed
    assert house.sign(passing, house.dpo).state is PolicyState.IN_REVIEW
    with pytest.raises(PolicyLoadError, match="these are the cases of"):
        house.store.draft(SITE.replace("version: 1", "version: 3"), cases=own.replace(SITE_ID, "urn:other"))


def test_a_new_version_supersedes_and_its_difference_is_shown(house: House) -> None:
    house.activate(SITE)
    newer = SITE.replace("version: 1", "version: 2").replace("epsilon at most: 6", "epsilon at most: 8")
    house.store.draft(newer)
    assert all(difference.widens for difference in house.store.review(SITE_ID, "2").differences)
    house.activate(newer)
    states = {version.policy.version: version.state for version in house.store.versions()}
    assert states == {"1": PolicyState.SUPERSEDED, "2": PolicyState.ACTIVE}
    with pytest.raises(ConflictError, match="is superseded"):
        house.sign(house.store.version(SITE_ID, "1"), house.operator)


def test_law_and_agreements_are_not_drafted(house: House) -> None:
    with pytest.raises(PolicyLoadError, match="layer L4 is not drafted"):
        house.store.draft(render("study-agreement", VALUES["study-agreement"]))


def _everything(house: House) -> None:
    house.activate(SITE)
    house.activate(render("dataset-consented-research", VALUES["dataset-consented-research"]))
    agreement = template("study-agreement")
    house.database.write(lambda connection: house.store.add_agreement(connection, agreement, "agreement-1"))


def test_what_is_compiled_decides_and_follows_every_change(house: House) -> None:
    assert decide(house.store.compiled(DATASET, "agreement-1"), request()).effect == "deny"
    _everything(house)
    compiled = house.store.compiled(DATASET, "agreement-1")
    assert decide(compiled, request()).effect == "permit"
    assert house.store.compiled(DATASET, "agreement-1") is compiled
    assert decide(house.store.compiled(DATASET), request()).effect == "deny"
    assert decide(house.store.compiled(DATASET, "agreement-2"), request()).effect == "deny"
    other = house.store.compiled(DATASET + "-2", "agreement-1")
    assert {policy.layer for policy in other.policies} == {Layer.UNION, Layer.SITE}
    house.store.withdraw(SITE_ID, "1")
    assert decide(house.store.compiled(DATASET, "agreement-1"), request()).effect == "deny"
    assert "PolicyWithdrawal" in house.logged()


def test_an_agreement_comes_and_goes_within_the_transaction_of_others(house: House) -> None:
    _everything(house)
    agreement = template("study-agreement")

    def interrupted(connection: object) -> None:
        house.store.add_agreement(connection, agreement, "agreement-2")  # type: ignore[arg-type]
        raise ConflictError("something else went wrong", fix="-")

    with pytest.raises(ConflictError, match="something else"):
        house.database.write(interrupted)
    assert decide(house.store.compiled(DATASET, "agreement-2"), request()).effect == "deny"
    with pytest.raises(ConflictError, match="has its policy already"):
        house.database.write(lambda connection: house.store.add_agreement(connection, agreement, "agreement-1"))
    house.database.write(lambda connection: house.store.end_agreement(connection, "agreement-1"))
    assert decide(house.store.compiled(DATASET, "agreement-1"), request()).effect == "deny"


def test_an_offer_becomes_an_agreement_only_with_its_parties(house: House) -> None:
    offer = template("synthetic-data-offer")
    with pytest.raises(PolicyLoadError, match="between named parties"):
        house.database.write(lambda connection: house.store.add_agreement(connection, offer, "agreement-3"))
    site = template("research-synthetic-data")
    with pytest.raises(PolicyLoadError, match="between named parties"):
        house.database.write(lambda connection: house.store.add_agreement(connection, site, "agreement-3"))
    assert HUB


class BrokenLog(ProvenanceLog):
    """A log that cannot be written."""

    def append(self, connection: object, activity: Activity) -> object:  # type: ignore[override]
        raise StorageError("the log is full", fix="make room")


def test_what_cannot_be_logged_does_not_happen(house: House, tmp_path: Path) -> None:
    signer = FileSigner.create(tmp_path / "others", b"a test passphrase")
    broken = BrokenLog(house.database, signer, origin=BASE, clock=house.clock)
    store = PolicyStore(house.database, broken, house.clock, house.people, V)
    with pytest.raises(StorageError, match="log is full"):
        store.draft(SITE)
    with pytest.raises(NotFoundError):
        store.version(SITE_ID, "1")


def test_a_policy_changed_in_the_database_is_never_used(house: House) -> None:
    _everything(house)
    house.database.write(
        lambda connection: connection.exec_driver_sql(
            'update policy_versions set odrl = replace(odrl, \'"@value":"6"\', \'"@value":"60"\')'
        )
    )
    with pytest.raises(IntegrityError, match="was changed"):
        house.store.compiled(DATASET, "agreement-1")


@pytest.mark.article("EHDS 51(4)")
def test_a_member_state_pack_takes_part_in_every_decision(house: House) -> None:
    _everything(house)
    pack = example_member_state_law(V)
    store = PolicyStore(house.database, house.log, house.clock, house.people, V, member_state=pack)
    compiled = store.compiled(DATASET, "agreement-1")
    assert decide(compiled, request()).effect == "permit"
    genomic = decide(compiled, request(data_category=("ehds:GenomicData",)))
    assert genomic.effect == "deny"
    assert genomic.reasons[0].layer is Layer.MEMBER_STATE
    assert decide(compiled, request(data_category=("ehds:GenomicData",), ethics_approval=True)).effect == "permit"


def child(version: str = "1", parent: str = "1", more: str = "") -> str:
    return f"""
policy: child
title: Takes over the research policy
layer: site
version: {version}
law: GDPR 9(2)(j)
inherits: ["{SITE_ID}, version {parent}"]
forbid: [{{id: no-export, action: export}}]
{more}"""


CHILD_ID = f"{BASE}/id/policy/child"


def _only_child_permits(house: House) -> None:
    """The rules of version 1 of the research policy count through the child alone."""
    _everything(house)
    house.activate(child())
    stricter = SITE.replace("version: 1", "version: 2").replace("epsilon at most: 6", "epsilon at most: 0.5")
    house.activate(stricter)


def test_what_is_inherited_decides_and_names_where_it_was_written(house: House) -> None:
    _only_child_permits(house)
    found = decide(house.store.compiled(DATASET, "agreement-1"), request())
    assert found.effect == "permit"
    assert SITE_ID in {reason.policy for reason in found.reasons}
    kept = house.store.version(CHILD_ID, "1").policy
    assert (len(kept.rules), len(kept.inherits)) == (1, 1)


def test_a_parent_is_signed_and_not_withdrawn(house: House) -> None:
    with pytest.raises(PolicyLoadError, match="no such version"):
        house.store.draft(child())
    house.store.draft(SITE)
    with pytest.raises(PolicyLoadError, match="it is draft"):
        house.store.draft(child())
    house.activate(SITE)
    house.store.draft(child())
    house.store.withdraw(SITE_ID, "1")
    with pytest.raises(PolicyLoadError, match="it is withdrawn"):
        house.store.review(CHILD_ID, "1")
    with pytest.raises(PolicyLoadError, match="it is withdrawn"):
        house.sign(house.store.version(CHILD_ID, "1"), house.steward)


def test_a_policy_that_lost_its_parent_stops_decisions_until_it_is_mended(house: House) -> None:
    _everything(house)
    house.activate(child())
    assert decide(house.store.compiled(DATASET, "agreement-1"), request()).effect == "permit"
    house.store.withdraw(SITE_ID, "1")
    with pytest.raises(PolicyLoadError, match="it is withdrawn"):
        house.store.compiled(DATASET, "agreement-1")
    house.activate(child("2").replace(f'inherits: ["{SITE_ID}, version 1"]\n', ""))
    assert decide(house.store.compiled(DATASET, "agreement-1"), request()).effect == "deny"


def test_a_review_sees_inherited_rules(house: House) -> None:
    house.activate(SITE)
    house.activate(child())
    newer = SITE.replace("version: 1", "version: 2").replace("epsilon at most: 6", "epsilon at most: 8")
    house.activate(newer)
    house.store.draft(child("2", parent="2"))
    assert any(difference.widens for difference in house.store.review(CHILD_ID, "2").differences)
