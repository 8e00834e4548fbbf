"""Which datasets and parties belong together is the site's to say: each change is logged, none comes from a request."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import synthema
from synthema.assembly.operations import find_operation
from synthema.clock import FixedClock
from synthema.errors import ConflictError, DeniedError, InputError, IntegrityError, NotFoundError, StorageError
from synthema.identity.keys import FileSigner
from synthema.policy import AccessRequest, Decision, Kind, Layer, Policy, Rule, compile_policies, decide
from synthema.policy.decision import read_request, request_digest, request_record
from synthema.policy.memberships import CollectionKind, CollectionRegister
from synthema.policy.model import ANY_DATASET
from synthema.storage import Database
from synthema.vocabulary import expand
from tests.unit.policy.sample import BASE, DATASET, HUB, V, all_policies, moved, request
from tests.unit.policy.test_store import BrokenLog, House

REGISTER, ALL = f"{BASE}/id/collection/anaemias", f"{BASE}/id/collection/all"
NETWORK = f"{BASE}/id/collection/network"
DATASETS, PARTIES = CollectionKind.DATASET, CollectionKind.PARTY


@pytest.fixture
def house(database: Database, clock: FixedClock, tmp_path: Path) -> House:
    return House(database, clock, tmp_path)


@pytest.fixture
def register(house: House) -> CollectionRegister:
    return house.store.collections


def test_membership_reaches_through_collections_and_ends_when_it_is_taken_back(
    house: House, register: CollectionRegister
) -> None:
    house.put(REGISTER, DATASET, DATASETS, "Anaemias ")
    house.put(ALL, REGISTER, DATASETS)
    house.put(NETWORK, HUB, PARTIES)
    assert register.of(DATASET, HUB, "urn:other") == {DATASET: (ALL, REGISTER), HUB: (NETWORK,)}
    assert [(each.iri, each.title, each.members) for each in register.all()] == [
        (ALL, ALL, (REGISTER,)),
        (REGISTER, "Anaemias", (DATASET,)),
        (NETWORK, NETWORK, (HUB,)),
    ]
    house.take(ALL, REGISTER)
    assert register.of(DATASET) == {DATASET: (REGISTER,)}
    assert house.take(REGISTER, DATASET).members == ()
    assert register.of(DATASET) == {}


def test_each_change_takes_two_people_and_one_of_them_an_officer(house: House, register: CollectionRegister) -> None:
    second = house.register("dpo")
    change = register.addition(NETWORK, HUB, PARTIES)
    for people in ((house.dpo,), (house.dpo, house.dpo), (house.steward, house.operator)):
        with pytest.raises(DeniedError, match=r"two different people|no data protection officer"):
            register.add(NETWORK, HUB, PARTIES, approvals=house.approvals(change, *people))
    with pytest.raises(DeniedError):
        register.add(NETWORK, HUB, PARTIES, approvals=())
    assert register.all() == []
    register.add(NETWORK, HUB, PARTIES, approvals=house.approvals(change, house.dpo, second))
    assert register.of(HUB) == {HUB: (NETWORK,)}
    removal = register.removal(NETWORK, HUB)
    with pytest.raises(DeniedError, match="two different people"):
        register.remove(NETWORK, HUB, approvals=house.approvals(removal, house.dpo))
    house.people.revoke(house.steward)
    with pytest.raises(DeniedError):
        register.remove(NETWORK, HUB, approvals=house.approvals(removal))
    assert register.of(HUB) == {HUB: (NETWORK,)}


def test_a_signature_is_for_one_change_and_serves_once(house: House, register: CollectionRegister) -> None:
    first = house.approvals(register.addition(NETWORK, HUB, PARTIES))
    for collection, member in ((NETWORK, HUB + "2"), (NETWORK + "2", HUB)):
        with pytest.raises(IntegrityError):
            register.add(collection, member, PARTIES, approvals=first)
    with pytest.raises(IntegrityError):
        register.add(NETWORK, HUB, PARTIES, title="Another", approvals=first)
    register.add(NETWORK, HUB, PARTIES, approvals=first)
    with pytest.raises(IntegrityError):
        register.remove(NETWORK, HUB, approvals=first)
    out = house.approvals(register.removal(NETWORK, HUB))
    register.remove(NETWORK, HUB, approvals=out)
    # Put in and taken out again, all is as before, but what was signed then is spent.
    with pytest.raises(IntegrityError):
        register.add(NETWORK, HUB, PARTIES, approvals=first)
    house.put(NETWORK, HUB, PARTIES)
    with pytest.raises(IntegrityError):
        register.remove(NETWORK, HUB, approvals=out)
    assert register.of(HUB) == {HUB: (NETWORK,)}


def test_what_was_signed_before_another_change_is_signed_anew(house: House, register: CollectionRegister) -> None:
    house.put(NETWORK, HUB, PARTIES)
    signed = house.approvals(register.addition(NETWORK, "did:web:lab.example", PARTIES))
    house.put(NETWORK, "did:web:other.example", PARTIES)
    with pytest.raises(IntegrityError):
        register.add(NETWORK, "did:web:lab.example", PARTIES, approvals=signed)


def test_each_change_is_logged_with_both_people(house: House) -> None:
    house.put(NETWORK, HUB, PARTIES)
    house.take(NETWORK, HUB)
    log = house.logged()
    assert "ns#CollectionAddition>" in log
    assert "ns#CollectionRemoval>" in log
    assert f"ns#member> <{HUB}>" in log
    for person in (house.dpo, house.steward):
        assert f"{BASE}/id/person/{person}" in log


def test_what_cannot_be_logged_does_not_happen(house: House, tmp_path: Path) -> None:
    broken = BrokenLog(
        house.database, FileSigner.create(tmp_path / "others", b"a test passphrase"), origin=BASE, clock=house.clock
    )
    other = CollectionRegister(house.database, broken, house.clock, house.people)
    with pytest.raises(StorageError, match="log is full"):
        other.add(NETWORK, HUB, PARTIES, approvals=house.approvals(other.addition(NETWORK, HUB, PARTIES)))
    assert house.store.collections.all() == []
    house.put(NETWORK, HUB, PARTIES)
    with pytest.raises(StorageError, match="log is full"):
        other.remove(NETWORK, HUB, approvals=house.approvals(other.removal(NETWORK, HUB)))
    assert house.store.collections.of(HUB) == {HUB: (NETWORK,)}


def test_circles_doubles_and_mixtures_are_refused(house: House, register: CollectionRegister) -> None:
    house.put(REGISTER, DATASET, DATASETS)
    house.put(ALL, REGISTER, DATASETS)
    for collection, member in ((REGISTER, ALL), (ALL, ALL)):
        with pytest.raises(ConflictError, match="in itself"):
            register.addition(collection, member, DATASETS)
    with pytest.raises(ConflictError, match="already"):
        register.addition(ALL, REGISTER, DATASETS)
    with pytest.raises(ConflictError, match="belongs to the dataset collections"):
        register.addition(ALL, HUB, PARTIES)
    with pytest.raises(ConflictError, match="belongs to the dataset collections"):
        register.add(NETWORK, REGISTER, PARTIES, approvals=())
    with pytest.raises(NotFoundError, match="was not put into"):
        register.removal(ALL, DATASET)


@pytest.mark.parametrize(
    ("collection", "member", "kind"),
    [
        (DATASET, DATASET + "-2", DATASETS),
        (ANY_DATASET, DATASET, DATASETS),
        (REGISTER, ANY_DATASET, DATASETS),
        (REGISTER, HUB, DATASETS),
        (NETWORK, DATASET, PARTIES),
        ("network", HUB, PARTIES),
        (NETWORK, "hub", PARTIES),
        (NETWORK + "\n", HUB, PARTIES),
    ],
)
def test_names_that_mean_something_else_are_refused(
    register: CollectionRegister, collection: str, member: str, kind: CollectionKind
) -> None:
    with pytest.raises(InputError):
        register.addition(collection, member, kind)


def test_a_request_cannot_bring_its_own_memberships(house: House) -> None:
    claimed = moved(request(), collections={HUB: (NETWORK,), DATASET: (REGISTER,)})
    assert house.store.placed(claimed).collections == {}
    house.put(REGISTER, DATASET, DATASETS)
    assert house.store.placed(claimed).collections == {DATASET: (REGISTER,)}


def _rule(kind: Kind, layer: Layer, **named: tuple[str, ...]) -> Policy:
    iri = f"urn:policy:{layer}"
    return Policy(iri, layer, "1", "x", (Rule(f"{iri}#r", kind, (expand("odrl:use"),), **named),))  # type: ignore[arg-type]


def test_a_rule_about_a_collection_is_about_its_members() -> None:
    no = _rule(Kind.PROHIBITION, Layer.MEMBER_STATE, targets=(REGISTER,), assignees=(NETWORK,))
    rules = compile_policies([*all_policies(), no], V)
    placed = {DATASET: (REGISTER,), HUB: (NETWORK,)}
    assert decide(rules, request()).permitted
    assert decide(rules, moved(request(), collections={HUB: (NETWORK,)})).permitted
    assert not decide(rules, moved(request(), collections=placed)).permitted
    yes = _rule(Kind.PERMISSION, Layer.SITE, targets=(ALL,), assignees=(NETWORK,))
    others = [policy for policy in all_policies() if policy.layer is not Layer.SITE]
    rules = compile_policies([*others, yes], V)
    assert not decide(rules, request()).permitted
    assert decide(rules, moved(request(), collections={DATASET: (ALL,), HUB: (NETWORK,)})).permitted
    assert not decide(rules, moved(request(), collections={"urn:else": (ALL,), HUB: (NETWORK,)})).permitted


def test_the_name_of_any_dataset_is_no_collection() -> None:
    yes = _rule(Kind.PERMISSION, Layer.SITE, targets=(REGISTER,))
    others = [policy for policy in all_policies() if policy.layer is not Layer.SITE]
    rules = compile_policies([*others, yes], V)
    assert not decide(rules, moved(request(), collections={DATASET: (ANY_DATASET,)})).permitted


def test_records_without_collections_keep_their_digest() -> None:
    plain = request()
    assert "collections" not in request_record(plain)
    assert "collections" not in request_record(replace(plain, collections={DATASET: ()}))
    assert request_digest(replace(plain, collections={DATASET: ()})) == request_digest(plain)
    placed = replace(plain, collections={DATASET: (REGISTER, ALL, ALL)})
    assert request_record(placed)["collections"] == {DATASET: [ALL, REGISTER]}
    assert request_digest(placed) == request_digest(replace(plain, collections={DATASET: (ALL, REGISTER)}))
    assert request_digest(placed) != request_digest(plain)
    assert read_request(request_record(placed)) == placed
    assert read_request(request_record(plain)) == plain


def test_a_policy_about_a_collection_is_compiled_for_every_dataset(house: House) -> None:
    text = f"""
policy: register
title: Register
layer: dataset
version: 1
law: GDPR 9(2)(j)
targets: [{REGISTER}]
forbid: [{{action: use}}]
"""
    house.activate(text)
    assert len(house.store.compiled(DATASET).policies) == 2
    other = text.replace("policy: register", "policy: other").replace(REGISTER, DATASET + "-2")
    house.activate(other)
    assert len(house.store.compiled(DATASET).policies) == 2
    assert len(house.store.compiled(DATASET + "-2").policies) == 3


def test_the_store_decides_on_what_the_site_knows_and_nothing_else(house: House) -> None:
    house.activate(
        f"""
policy: register
title: Register
layer: dataset
version: 1
law: GDPR 9(2)(j)
targets: any dataset in {REGISTER}
forbid: [{{action: use, id: never}}]
"""
    )

    def decided(asked: AccessRequest) -> Decision:
        return house.store.decide(asked)[0]

    def forbidden(asked: AccessRequest) -> bool:
        return any(reason.rule and reason.rule.endswith("#never") for reason in decided(asked).reasons)

    assert not forbidden(moved(request(), collections={DATASET: (REGISTER,)}))
    house.put(REGISTER, DATASET, DATASETS)
    assert forbidden(request())
    assert forbidden(moved(request(), collections={DATASET: ()}))
    assert decided(request()).request.collections == {DATASET: (REGISTER,)}
    house.take(REGISTER, DATASET)
    assert not forbidden(request())


def test_all_of_the_product_decides_through_the_store() -> None:
    """Nobody can forget what the site knows of a request: only the policy room knows how to decide without it."""
    product = Path(synthema.__file__).parent
    bare = re.compile(r"from synthema\.policy import [^\n(]*\bdecide\b|policy\.decide import|\n    decide,\n")
    found = [
        path.relative_to(product).as_posix()
        for path in sorted(product.rglob("*.py"))
        if "policy" not in path.relative_to(product).parts[:1] and bare.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_two_people_manage_collections_by_the_names_of_datasets(house: House) -> None:
    connector: Any = SimpleNamespace(policies=house.store, log=house.log, people=house.people)
    house.activate(
        f"""
policy: register
title: Register
layer: dataset
version: 1
law: GDPR 9(2)(j)
targets: any dataset in {ALL}
forbid: [{{action: use}}]
"""
    )
    house.put(ALL, REGISTER, DATASETS)
    value = {"collection": REGISTER, "member": "mgus", "kind": "dataset", "title": "Anaemias"}

    def signed(act: str, **more: str) -> dict[str, Any]:
        asked = find_operation("collection/signing").call(connector, {"act": act, **more})
        assert f"{DATASET} is" in asked["sentences"][0]
        assert any("Register (L3)" in sentence for sentence in asked["sentences"])
        data = bytes.fromhex(asked["sign"])
        people = (house.dpo, house.steward)
        return {"approvals": [{"person": each, "signature": house.keys[each].sign(data).hex()} for each in people]}

    made = find_operation("collection/add").call(connector, {**value, **signed("add", **value)})
    assert made == {"collection": REGISTER, "kind": "dataset", "title": "Anaemias", "members": [DATASET]}
    assert made in find_operation("collection/list").call(connector, {})
    gone = {"collection": REGISTER, "member": "mgus"}
    with pytest.raises(InputError):
        find_operation("collection/remove").call(connector, gone)
    assert find_operation("collection/remove").call(connector, gone | signed("remove", **gone))["members"] == []
    with pytest.raises(InputError):
        find_operation("collection/signing").call(connector, {**value, "act": "add", "kind": "everything"})
    with pytest.raises(InputError):
        find_operation("collection/add").call(connector, {**value, "approvals": [{"person": "x", "signature": "no"}]})
