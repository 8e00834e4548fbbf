"""Two people sign a change to a collection, each with their own key, and a third command makes it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from synthema.assembly.operations import find_operation
from synthema.cli import policy_collections
from synthema.clock import FixedClock
from synthema.identity import PersonKey
from synthema.storage import Database
from tests.unit.cli.support import data_of, run
from tests.unit.policy.sample import BASE, HUB
from tests.unit.policy.test_store import House

NETWORK = f"{BASE}/id/collection/network"
GROUP = ("policy", "collection")


@pytest.fixture
def house(database: Database, clock: FixedClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    found = House(database, clock, tmp_path / "house")
    connector: Any = SimpleNamespace(policies=found.store, log=found.log, people=found.people)

    def call(home: Path, name: str, value: dict[str, Any] | None = None) -> Any:
        return find_operation(name).call(connector, value or {})

    monkeypatch.setattr(policy_collections, "call", call)
    (tmp_path / "word").write_text("a test passphrase", encoding="utf-8")
    (tmp_path / "word").chmod(0o600)
    return found


def signed(house: House, folder: Path, name: str, role: str, *command: str) -> Path:
    key = PersonKey.create(folder / f"{name}.pem", b"a test passphrase")
    person = house.people.register([role], key.public_key).id
    file = folder / f"{name}.json"
    options = ("--person", person, "--key", folder / f"{name}.pem", "--passphrase-file", folder / "word", "-o", file)
    run(*GROUP, *command, *options)
    return file


def test_two_people_put_a_party_in_and_take_it_out(house: House, tmp_path: Path) -> None:
    change = ("sign-add", NETWORK, HUB, "--kind", "party", "--title", "Network")
    officer = signed(house, tmp_path, "officer", "dpo", *change)
    steward = signed(house, tmp_path, "steward", "data steward", *change)
    run(*GROUP, "add", "--signature", officer, status=3)
    made = run(*GROUP, "add", "--signature", officer, "--signature", steward).stdout
    assert f"Network ({NETWORK}) now holds: {HUB}" in made
    assert data_of(*GROUP, "list")[0]["members"] == [HUB]
    run(*GROUP, "remove", "--signature", officer, "--signature", steward, status=2)
    out = ("sign-remove", NETWORK, HUB)
    files = [signed(house, tmp_path, name, "dpo", *out) for name in ("first", "second")]
    run(*GROUP, "remove", *(part for file in files for part in ("--signature", file)))
    assert data_of(*GROUP, "list")[0]["members"] == []
    run(*GROUP, "add", "--signature", officer, "--signature", steward, status=6)


def test_signatures_under_different_changes_make_none(house: House, tmp_path: Path) -> None:
    change = ("sign-add", NETWORK, "--kind", "party")
    first = signed(house, tmp_path, "officer", "dpo", *change, HUB)
    second = signed(house, tmp_path, "steward", "data steward", *change, "did:web:other.example")
    result = run(*GROUP, "add", "--signature", first, "--signature", second, status=2)
    assert "under different changes" in result.stderr
    assert house.store.collections.all() == []
