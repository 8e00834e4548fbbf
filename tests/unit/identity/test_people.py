from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import Connection

from synthema.clock import FixedClock
from synthema.errors import ConflictError, DeniedError, InputError, IntegrityError, NotFoundError, StorageError
from synthema.identity import AccountChange, FileSigner, People, PersonKey
from synthema.ids import new_id
from synthema.storage import Database
from tests.unit.identity.conftest import PASSPHRASE


@dataclass
class Journal:
    """A log that keeps changes in a list, or cannot be written."""

    changes: list[AccountChange] = field(default_factory=list)
    full: bool = False

    def record_account_change(self, connection: Connection, change: AccountChange) -> None:
        if self.full:
            raise StorageError("no space", fix="make space")
        self.changes.append(change)


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def people(database: Database, journal: Journal, clock: FixedClock) -> People:
    return People(database, journal, clock)


@pytest.fixture
def key(tmp_path: Path) -> PersonKey:
    return PersonKey.create(tmp_path / "dpo.pem", PASSPHRASE)


def test_who_signed_is_known_by_the_key(people: People, key: PersonKey) -> None:
    person = people.register(["operator", "dpo"], key.public_key)
    assert person.roles == ("dpo", "operator")
    assert people.verify(person.id, b"policy", key.sign(b"policy")) == person
    with pytest.raises(IntegrityError):
        people.verify(person.id, b"another policy", key.sign(b"policy"))


def test_a_change_and_its_record_happen_together(people: People, journal: Journal, key: PersonKey) -> None:
    journal.full = True
    with pytest.raises(StorageError):
        people.register(["dpo"], key.public_key)
    assert people.all() == ()
    journal.full = False
    person = people.register(["dpo"], key.public_key, by="https://hospital.example/id/person/operator")
    assert [(change.kind, change.person, change.by) for change in journal.changes] == [
        ("registered", person, "https://hospital.example/id/person/operator")
    ]


def test_an_ended_account_signs_no_more(people: People, journal: Journal, key: PersonKey) -> None:
    person = people.register(["dpo"], key.public_key)
    ended = people.revoke(person.id)
    assert ended.revoked_at is not None
    assert people.get(person.id) == ended
    assert people.all() == ()
    assert [change.kind for change in journal.changes] == ["registered", "revoked"]
    with pytest.raises(DeniedError):
        people.verify(person.id, b"policy", key.sign(b"policy"))
    with pytest.raises(ConflictError):
        people.revoke(person.id)


def test_unknown_and_ended_accounts_are_not_told_apart(people: People, key: PersonKey) -> None:
    person = people.register(["dpo"], key.public_key)
    people.revoke(person.id)
    answers = set()
    for identifier in (person.id, new_id("person"), "nobody"):
        with pytest.raises(DeniedError) as caught:
            people.verify(identifier, b"x", key.sign(b"x"))
        answers.add(str(caught.value))
    assert len(answers) == 1


def test_two_accounts_never_share_a_key(people: People, key: PersonKey) -> None:
    person = people.register(["dpo"], key.public_key)
    with pytest.raises(ConflictError):
        people.register(["data steward"], key.public_key)
    people.revoke(person.id)
    with pytest.raises(ConflictError):
        people.register(["data steward"], key.public_key)


@pytest.mark.parametrize("roles", [[], ["root"], "dpo", ["dpo", "root"]])
def test_roles_are_known_ones(people: People, key: PersonKey, roles: list[str]) -> None:
    with pytest.raises(InputError):
        people.register(roles, key.public_key)


def test_ids_and_keys_have_their_shape(people: People, key: PersonKey) -> None:
    with pytest.raises(InputError):
        people.register(["dpo"], key.public_key, person_id=new_id("run"))
    with pytest.raises(InputError):
        people.register(["dpo"], b"short")
    chosen = new_id("person")
    assert people.register(["dpo"], key.public_key, person_id=chosen).id == chosen
    with pytest.raises(NotFoundError):
        people.get(new_id("person"))


def test_a_role_is_required(people: People, key: PersonKey, signer: FileSigner) -> None:
    officer = people.register(["dpo"], key.public_key)
    steward = people.register(["data steward"], signer.public_key("grant"))
    assert people.all() == (officer, steward)
    assert people.all(role="dpo") == (officer,)
    assert people.require(officer.id, "dpo") == officer
    with pytest.raises(DeniedError):
        people.require(steward.id, "dpo")


def test_a_key_stays_with_its_holder(tmp_path: Path, key: PersonKey) -> None:
    path = tmp_path / "dpo.pem"
    assert PersonKey.load(path, PASSPHRASE).public_key == key.public_key
    assert path.stat().st_mode & 0o777 == 0o600
    assert repr(key) == "PersonKey()"
    with pytest.raises(ConflictError):
        PersonKey.create(path, PASSPHRASE)
    with pytest.raises(InputError):
        PersonKey.load(path, b"wrong passphrase")


def test_a_person_key_signs_as_one_key_only(key: PersonKey) -> None:
    signer = key.as_signer("dpo")
    assert signer.key_ids() == ("dpo",)
    assert signer.public_key("dpo") == key.public_key
    with pytest.raises(NotFoundError):
        signer.sign("log", b"x")
