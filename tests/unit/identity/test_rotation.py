"""A key is replaced while everything goes on: published before it signs, believed as long as it must be."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection

from synthema.clock import FixedClock
from synthema.errors import ConflictError, DeniedError, InputError, IntegrityError, StorageError
from synthema.identity import DidResolver, FileSigner, ReplayStore, did_document, tokens
from synthema.identity.credentials import issue, verify
from synthema.identity.rotation import NOTICE, KeyBook
from synthema.identity.statuslist import CONTEXT
from synthema.identity.versions import OVERLAP, KeyVersion, is_key_of, purpose_of, signing_method
from synthema.storage import Database
from tests.unit.identity.conftest import HOSPITAL, PASSPHRASE, REGISTRY, Web

ORIGIN = "https://hospital.example"


def _told(_connection: Connection, _replaced: KeyVersion, _new: KeyVersion) -> None:
    """A log that takes everything."""


class Rotating:
    """A hospital whose key can be replaced, and a reader that keeps its document for a while."""

    def __init__(self, folder: Path, database: Database, clock: FixedClock) -> None:
        self.folder, self.database, self.clock = folder, database, clock
        self.signer = FileSigner.create(folder, PASSPHRASE)
        self.book = KeyBook(database, self.signer, folder, clock)
        self.web = Web()
        self.publish()
        self.reader = DidResolver(self._fetch, {HOSPITAL: ORIGIN}, clock)

    def _fetch(self, url: str) -> bytes:
        self.publish()
        return self.web.fetch(url)

    def publish(self) -> None:
        self.web.publish(f"{ORIGIN}/.well-known/did.json", did_document(HOSPITAL, self.signer, ORIGIN))

    def rotate(self, **options: object) -> tuple[KeyVersion, KeyVersion]:
        return self.book.rotate("assertion", PASSPHRASE, _told, **options)  # type: ignore[arg-type]

    def token(self) -> str:
        return tokens.mint(self.signer, HOSPITAL, REGISTRY, self.clock, timedelta(minutes=10))

    def accept(self, token: str) -> None:
        tokens.verify(token, REGISTRY, self.reader, self.clock, ReplayStore(self.database))

    def credential(self) -> dict[str, object]:
        document = {"@context": [CONTEXT], "type": ["VerifiableCredential"], "issuer": HOSPITAL,
                    "credentialSubject": {"id": REGISTRY}}  # fmt: skip
        return issue(document, self.signer, signing_method(self.signer, HOSPITAL), self.clock.now())


@pytest.fixture
def house(key_folder: Path, database: Database, clock: FixedClock) -> Rotating:
    return Rotating(key_folder, database, clock)


def test_no_token_is_refused_at_any_moment_of_a_rotation(house: Rotating) -> None:
    """A reader that fetched the document just before the rotation believes every token made during it."""
    house.accept(house.token())
    house.rotate()
    for _ in range(60):
        house.accept(house.token())
        old = house.token()
        house.clock.advance(timedelta(seconds=20))
        house.accept(old)
    assert house.signer.current("assertion") == "assertion-2"


def test_the_new_key_is_published_before_it_signs(house: Rotating) -> None:
    _, new = house.rotate()
    document = did_document(HOSPITAL, house.signer, ORIGIN)
    assert house.signer.current("assertion") == "assertion"
    assert f"{HOSPITAL}#assertion-2" in document["authentication"]
    assert new.begins == house.clock.now() + NOTICE
    house.clock.advance(NOTICE)
    assert house.signer.current("assertion") == "assertion-2"


def test_what_the_old_key_signed_stays_good_and_nothing_later_does(house: Rotating) -> None:
    early = house.credential()
    house.rotate()
    house.clock.advance(NOTICE + OVERLAP + timedelta(seconds=1))
    verify(early, house.reader, house.clock.now())
    unsigned = {name: value for name, value in early.items() if name != "proof"}
    late = issue(unsigned, house.signer, f"{HOSPITAL}#assertion", house.clock.now())
    with pytest.raises(IntegrityError, match="check 4"):
        verify(late, house.reader, house.clock.now())


def test_the_old_key_authenticates_nobody_after_the_overlap(house: Rotating) -> None:
    house.rotate()
    house.clock.advance(NOTICE + OVERLAP + timedelta(seconds=1))
    document = did_document(HOSPITAL, house.signer, ORIGIN)
    assert document["authentication"] == document["capabilityInvocation"] == [f"{HOSPITAL}#assertion-2"]
    assert f"{HOSPITAL}#assertion" in document["assertionMethod"]


def test_a_stolen_key_opens_nothing_whatever_date_it_writes(house: Rotating) -> None:
    early = house.credential()
    house.accept(house.token())
    stolen = house.token()
    house.rotate(compromised=True)
    house.clock.advance(timedelta(minutes=11))
    with pytest.raises(IntegrityError, match="check 4"):
        verify(early, house.reader, house.clock.now())
    with pytest.raises(DeniedError):
        house.accept(stolen)
    house.accept(house.token())


def test_a_compromised_key_takes_the_waiting_one_with_it(house: Rotating) -> None:
    house.rotate()
    house.rotate(compromised=True)
    assert [version.revoked for version in house.signer.versions("assertion")] == [True, True, False]
    assert house.signer.current("assertion") == "assertion-3"


def test_one_rotation_at_a_time(house: Rotating) -> None:
    house.rotate()
    with pytest.raises(ConflictError, match="waits"):
        house.rotate()
    house.clock.advance(NOTICE)
    house.rotate()
    assert [version.name for version in house.signer.versions("assertion")] == [
        "assertion", "assertion-2", "assertion-3",
    ]  # fmt: skip


def test_a_rotation_that_the_log_does_not_take_does_not_happen_and_may_be_tried_again(house: Rotating) -> None:
    def refuse(_connection: Connection, _replaced: KeyVersion, _new: KeyVersion) -> None:
        raise StorageError("the log is full", fix="make room")

    with pytest.raises(StorageError):
        house.book.rotate("assertion", PASSPHRASE, refuse)
    assert [version.name for version in house.signer.versions("assertion")] == ["assertion"]
    again = FileSigner.open(house.folder, PASSPHRASE)
    KeyBook(house.database, again, house.folder, house.clock)
    assert again.current("assertion") == "assertion"
    house.rotate()
    house.clock.advance(NOTICE)
    house.accept(house.token())


def test_a_restart_takes_up_the_versions_where_they_were(house: Rotating) -> None:
    house.rotate()
    house.clock.advance(NOTICE)
    again = FileSigner.open(house.folder, PASSPHRASE)
    KeyBook(house.database, again, house.folder, house.clock)
    assert again.current("assertion") == "assertion-2"
    assert again.public_key("assertion-2") == house.signer.public_key("assertion-2")


def test_a_folder_and_a_database_that_do_not_belong_together_are_refused(house: Rotating) -> None:
    house.rotate()
    house.signer.add_key(house.folder, "assertion-2", PASSPHRASE)
    with pytest.raises(IntegrityError, match="another key"):
        house.book.follow()


def test_a_wrong_passphrase_changes_nothing(house: Rotating) -> None:
    with pytest.raises(InputError):
        house.book.rotate("assertion", b"not the passphrase", _told)
    assert not (house.folder / "assertion-2.pem").exists()


def test_other_keys_are_not_replaced_here(house: Rotating) -> None:
    with pytest.raises(InputError, match="not replaced here"):
        house.book.rotate("log", PASSPHRASE, _told)
    with pytest.raises(InputError):
        house.rotate(notice=timedelta(days=8))


@pytest.mark.parametrize(
    ("method", "ours"),
    [
        (f"{HOSPITAL}#assertion", True),
        (f"{HOSPITAL}#assertion-2", True),
        (f"{HOSPITAL}#assertion-12", True),
        (f"{HOSPITAL}#assertion-1", False),
        (f"{HOSPITAL}#assertion-02", False),
        (f"{HOSPITAL}#assertion-2-3", False),
        (f"{HOSPITAL}#assertions", False),
        (f"{HOSPITAL}#log", False),
        (f"{REGISTRY}#assertion", False),
    ],
)
def test_which_names_are_keys_of_an_identity(method: str, ours: bool) -> None:
    assert is_key_of(method, HOSPITAL) is ours


def test_the_purpose_of_a_numbered_key() -> None:
    assert purpose_of("assertion-2") == purpose_of("assertion") == "assertion"
    assert purpose_of("person-0192") == "person-0192"
