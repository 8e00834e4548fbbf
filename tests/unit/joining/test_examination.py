"""What the doctor finds in a member, and what it says is to be done."""

from __future__ import annotations

import shutil
from collections import namedtuple
from datetime import timedelta

import pytest

from synthema.assembly import examination
from synthema.assembly.examination import CHECKS
from synthema.assembly.joining.certificates import MEMBERS_LIFETIME
from tests.unit.joining.world import Site, Space
from tests.waiting import until

Usage = namedtuple("Usage", "total used free")  # as shutil returns it


def _found(site: Site, *, served: bool = True) -> dict[str, dict[str, str]]:
    return {row["check"]: row for row in site.call("doctor/check", {"served": served})}


def test_a_healthy_member_of_a_data_space(space: Space) -> None:
    first, second = space.member("a"), space.member("b")
    until(lambda: first.knows(second))
    found = _found(first)
    assert tuple(found) == tuple(name for name, _ in CHECKS)
    for name in ("keys", "database", "log", "did document", "clock", "membership", "credentials", "peers"):
        assert found[name]["status"] == "ok", found[name]
        assert found[name]["fix"] == ""
    assert "2 members" in found["membership"]["result"]
    assert found["policies"]["status"] == "warn"
    assert "everything is denied" in found["policies"]["result"]


def test_what_needs_partners_is_not_looked_at_unless_served(space: Space) -> None:
    first, second = space.member("a"), space.member("b")
    until(lambda: first.knows(second))
    found = _found(first, served=False)
    assert found["did document"]["status"] == found["peers"]["status"] == "warn"
    assert "synthema serve" in found["did document"]["fix"]


def test_a_partner_that_is_silent_is_named(space: Space) -> None:
    first, second = space.member("a"), space.member("b")
    until(lambda: first.knows(second))
    second.go_silent()
    found = _found(first)["peers"]
    assert found["status"] == "warn"
    assert "Clinic B" in found["fix"]


def test_a_suspended_member_hears_it_from_its_doctor(space: Space) -> None:
    site = space.member("a")
    space.act("authority/suspend", about=site.did, reason="its machine is being examined")
    until(lambda: site.connector.membership.require()["state"] == "suspended")
    found = _found(site)
    assert found["membership"]["status"] == "fail"
    assert found["credentials"]["status"] == "fail"
    assert "it is suspended" in found["credentials"]["result"]


def test_a_clock_that_is_wrong_and_a_list_that_has_ended(space: Space) -> None:
    site = space.member("a")
    space.clock.advance(MEMBERS_LIFETIME + timedelta(hours=1))
    found = _found(site)
    assert found["clock"]["status"] == "fail"
    assert "+90000" in found["clock"]["result"]
    assert found["membership"]["status"] == "fail"
    assert "no member counts" in found["membership"]["result"]


def test_another_document_at_our_address(space: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    site = space.site("a")
    monkeypatch.setattr(
        examination, "fetch_did_document", lambda *_args, **_more: b'{"id": "did:web:elsewhere.example"}'
    )
    found = _found(site)["did document"]
    assert found["status"] == "fail"
    assert "another document" in found["result"]


@pytest.mark.parametrize(("free", "status"), [(10 * 1024**3, "ok"), (2 * 1024**3, "warn"), (10**6, "fail")])
def test_a_full_disk(space: Space, free: int, status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    site = space.site("a")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(10**12, 0, free))
    assert _found(site, served=False)["disk"]["status"] == status


def test_a_log_that_was_changed_is_an_incident(space: Space) -> None:
    site = space.member("a")
    with site.connector.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE log_entries SET body = X'00' WHERE sequence = 0")
    found = _found(site, served=False)["log"]
    assert found["status"] == "fail"
    assert "incident" in found["fix"]
