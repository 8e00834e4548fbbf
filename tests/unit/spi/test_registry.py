"""Approval: two people, one of them the DPO, bound to exact files; every use looks at the files again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from synthema.clock import Clock
from synthema.errors import ConflictError, DeniedError, IntegrityError, PluginError, StorageError
from synthema.provenance.model import Activity
from synthema.spi import PluginRegistry, approval_bytes
from synthema.storage import Database
from tests.unit.spi.plugin_files import ANALYSIS, write_plugin


class Someone:
    def __init__(self, id: str, roles: tuple[str, ...]) -> None:  # noqa: A002
        self.id = id
        self.roles = roles


class People:
    def verify(self, person_id: str, data: bytes, signature: bytes) -> Someone:
        if signature != data + person_id.encode():
            raise IntegrityError("the signature is not theirs", fix="sign again")
        return Someone(person_id, ("dpo",) if person_id == "officer" else ("operator",))


class Log:
    def __init__(self) -> None:
        self.activities: list[Activity] = []
        self.broken = False

    def append(self, connection: Connection, activity: Activity) -> None:
        if self.broken:
            raise StorageError("the log cannot be written", fix="free some space")
        activity.nquads(self.iri("graph", "1"))
        self.activities.append(activity)

    def iri(self, kind: str, id: str) -> str:  # noqa: A002
        return f"https://site.example/id/{kind}/{id}"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return write_plugin(tmp_path / "site", "subject")


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def registry(database: Database, clock: Clock, log: Log) -> PluginRegistry:
    return PluginRegistry(database, log, clock, People())


def sign(registry: PluginRegistry, *people: str, digest: str | None = None) -> str:
    digest = digest or registry.find_installed("subject").digest
    data = approval_bytes("subject", digest)
    return registry.approve("subject", digest, [(who, data + who.encode()) for who in people])


def standing(registry: PluginRegistry) -> str:
    return next(line.standing for line in registry.listing() if line.name == "subject")


@pytest.mark.article("GDPR 32")
def test_two_people_approve_and_it_may_run(registry: PluginRegistry, package: Path, log: Log) -> None:
    assert standing(registry) == "not approved"
    approval = sign(registry, "officer", "operator")
    plugin = registry.require("subject")
    assert (plugin.approval_id, plugin.folder) == (approval, package)
    (line,) = [line for line in registry.listing() if line.name == "subject"]
    assert (line.standing, line.approved_by) == ("approved", ("officer", "operator"))
    (activity,) = log.activities
    assert activity.type == "PluginApproval"
    assert len(activity.agents) == 2


@pytest.mark.parametrize(
    ("people", "what"),
    [
        (("officer",), "two different people"),
        (("officer", "officer"), "two different people"),
        (("operator", "second"), "data protection officer"),
        ((), "two different people"),
    ],
)
def test_fewer_or_other_people_do_not_suffice(
    registry: PluginRegistry, package: Path, people: tuple[str, ...], what: str
) -> None:
    with pytest.raises(DeniedError, match=what):
        sign(registry, *people)
    with pytest.raises(PluginError, match="not approved"):
        registry.require("subject")


def test_a_false_signature_ends_it(registry: PluginRegistry, package: Path) -> None:
    digest = registry.find_installed("subject").digest
    with pytest.raises(IntegrityError):
        registry.approve("subject", digest, [("officer", b"x"), ("operator", b"y")])


def test_a_signature_over_another_digest_is_no_approval(registry: PluginRegistry, package: Path) -> None:
    with pytest.raises(PluginError, match="not the ones that were signed"):
        sign(registry, "officer", "operator", digest="sha256:" + "0" * 64)


def test_a_changed_file_ends_the_approval_and_restoring_it_brings_it_back(
    registry: PluginRegistry, package: Path
) -> None:
    sign(registry, "officer", "operator")
    (package / "__init__.py").write_text(ANALYSIS + "# changed", encoding="utf-8")
    with pytest.raises(PluginError, match="changed since approval"):
        registry.require("subject")
    assert standing(registry) == "changed since approval"
    (package / "__init__.py").write_text(ANALYSIS, encoding="utf-8")
    assert registry.require("subject").name == "subject"


def test_a_revoked_plugin_may_not_run_until_approved_again(registry: PluginRegistry, package: Path, log: Log) -> None:
    sign(registry, "officer", "operator")
    registry.revoke("subject", "officer", "a flaw was found")
    with pytest.raises(PluginError, match="revoked"):
        registry.require("subject")
    assert log.activities[-1].type == "PluginRevocation"
    with pytest.raises(ConflictError):
        registry.revoke("subject", "officer", "again")
    sign(registry, "officer", "operator")
    assert registry.require("subject").name == "subject"


def test_the_same_files_are_not_approved_twice(registry: PluginRegistry, package: Path) -> None:
    sign(registry, "officer", "operator")
    with pytest.raises(ConflictError):
        sign(registry, "officer", "operator")


@pytest.mark.parametrize("step", ["approve", "revoke"])
def test_what_cannot_be_logged_does_not_happen(registry: PluginRegistry, package: Path, log: Log, step: str) -> None:
    if step == "revoke":
        sign(registry, "officer", "operator")
    log.broken = True
    steps: dict[str, Any] = {
        "approve": lambda: sign(registry, "officer", "operator"),
        "revoke": lambda: registry.revoke("subject", "officer", "a flaw"),
    }
    with pytest.raises(StorageError):
        steps[step]()
    assert standing(registry) == ("not approved" if step == "approve" else "approved")


def test_a_plugin_that_went_away_stays_in_the_list(registry: PluginRegistry, package: Path) -> None:
    sign(registry, "officer", "operator")
    for entry in package.parent.glob("*.dist-info/entry_points.txt"):
        entry.unlink()
    assert standing(registry) == "approved, no longer installed"


def test_what_is_signed_is_pinned() -> None:
    assert approval_bytes("a", "sha256:b") == b'{"approve plugin":"a","digest":"sha256:b"}'
