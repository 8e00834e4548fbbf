"""Suspended, revoked, left: who is still believed, and what ends with a membership."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest
from sqlalchemy import Connection

from synthema.assembly.joining.certificates import MEMBERS_LIFETIME
from synthema.config import Peer
from synthema.errors import ConflictError, InputError, IntegrityError, SynthemaError
from synthema.identity import credentials
from synthema.permits import Agreement
from synthema.provenance.model import SYNTHEMA
from tests.unit.joining.world import Site, Space
from tests.waiting import until


def _agree(site: Site, other: Site, identifier: str) -> None:
    """An agreement that the negotiation of two members has come to."""
    agreement = Agreement(
        id=identifier, counterparty=other.did, dataset_id="mgus", policy={}, agreed_at=site.connector.clock.now()
    )

    def work(connection: Connection) -> None:
        site.connector.permits.keep_agreement(connection, agreement)

    site.connector.database.write(work)


def _states(site: Site) -> list[str]:
    return [str(each.state) for each in site.connector.permits.agreements()]


def test_a_suspended_member_is_a_stranger_until_it_is_reinstated(space: Space) -> None:
    first, second = space.member("a"), space.member("b")
    until(lambda: first.knows(second))
    _agree(first, second, "urn:agreement:1")
    space.act("authority/suspend", about=second.did, reason="its machine is being examined")
    until(lambda: not first.knows(second))
    with pytest.raises(SynthemaError):
        second.connector.peers.get(first.did, "/dataspace/standing")
    until(lambda: second.call("site/status")["state"] == "suspended")
    assert second.call("site/status")["authoritySees"]["reason"] == "its machine is being examined"
    assert _states(first) == ["FINALIZED"]  # agreements wait
    space.act("authority/reinstate", about=second.did, reason="nothing was found")
    until(lambda: first.knows(second) and second.knows(first))


def test_who_is_barred_is_barred_though_it_stands_in_the_settings(space: Space) -> None:
    first = space.member("a")
    parties = first.connector.parties
    by_hand = Peer(did="did:web:b.example", url="https://b.example", role="site", name="By hand")
    parties.follow([by_hand], {by_hand.did}, {})
    assert by_hand.did not in parties


def test_a_revoked_member_is_out_and_agreements_with_it_end(space: Space) -> None:
    first, second = space.member("a"), space.member("b")
    until(lambda: first.knows(second))
    _agree(first, second, "urn:agreement:1")
    _agree(second, first, "urn:agreement:1")
    space.act("authority/revoke", about=second.did, reason="the contract has ended")
    until(lambda: not first.knows(second) and _states(first) == ["TERMINATED"])
    until(lambda: second.connector.membership.current() is None and _states(second) == ["TERMINATED"])
    with pytest.raises(ConflictError):
        space.act("authority/reinstate", about=second.did, reason="second thoughts")


def test_leaving_revokes_the_credentials_and_ends_the_agreements(space: Space) -> None:
    first, second = space.member("a"), space.member("b")
    until(lambda: first.knows(second))
    _agree(second, first, "urn:agreement:1")
    held = [each["document"] for each in second.connector.membership.require()["credentials"]]
    answer = second.call("site/leave", {"reason": "the study has ended"})
    assert answer["agreementsEnded"] == 1
    assert _states(second) == ["TERMINATED"]
    until(lambda: not first.knows(second))
    rooms = first.connector
    for document in held:
        with pytest.raises(IntegrityError, match="it was revoked"):
            credentials.verify(document, rooms.resolver, space.clock.now(), rooms.trust.status_list)
    assert "DataspaceDeparture" in second.steps()
    assert space.states() == {"Clinic A": "active", "Clinic B": "left"}


def test_nobody_leaves_without_the_authority_hearing_of_it(space: Space) -> None:
    site = space.member("a")
    space.web.stop()
    with pytest.raises(SynthemaError):
        site.call("site/leave", {"reason": "in silence"})
    assert site.connector.membership.require()["state"] == "active"


def test_members_of_a_list_that_has_ended_do_not_count(space: Space) -> None:
    """Otherwise whoever silences the authority stays a member for ever."""
    first, second = space.member("a"), space.member("b")
    until(lambda: first.knows(second))
    space.web.stop()
    for site in (first, second):
        site.connector.membership.follow_quietly()
    assert first.knows(second)  # for a while the data space goes on
    space.clock.advance(MEMBERS_LIFETIME + timedelta(seconds=1))
    first.connector.membership.follow_quietly()
    assert not first.knows(second)


def test_an_older_list_never_replaces_a_newer_one(space: Space) -> None:
    first = space.member("a")
    old = space.authority.signed_members()
    space.member("b")
    until(lambda: len(first.connector.parties) == 1)
    membership = first.connector.membership
    row = membership.require()
    with pytest.raises(IntegrityError, match="older list"):
        membership.read_list(old, row["authority"], row["list_version"])


def test_a_stranger_finds_nothing(space: Space) -> None:
    stranger, member = space.site("s"), space.member("a")
    origin = space.authority.office.settings.public_url
    for path in ("/authority/members", "/authority/standing"):
        assert httpx.get(origin + path, trust_env=False).status_code == 404
        token = stranger.connector.peers.tokens.token(space.authority.office.did, None)
        answer = httpx.get(origin + path, headers={"Authorization": f"Bearer {token}"}, trust_env=False)
        assert answer.status_code == 404
    token = stranger.connector.peers.tokens.token(member.did, None)
    for method, path in (("POST", "/dataspace/changed"), ("GET", "/dataspace/standing")):
        answer = httpx.request(method, member.url + path, headers={"Authorization": f"Bearer {token}"}, trust_env=False)
        assert answer.status_code == 404, path


def test_a_further_credential_reaches_its_member_by_itself(space: Space) -> None:
    member = space.member("a")
    space.act("authority/issue", member=member.did, kind="access-body", facts={"memberState": "DE"})
    until(lambda: any(h.type == "HealthDataAccessBodyCredential" for h in member.connector.claims.wallet.all()))
    with pytest.raises(InputError, match="memberState"):
        space.act("authority/issue", member=member.did, kind="access-body", facts={"memberState": "Germany"})
    with pytest.raises(InputError, match="there is no credential"):
        space.act("authority/issue", member=member.did, kind="crown")


def test_one_credential_is_suspended_without_the_membership(space: Space) -> None:
    member = space.member("a")
    made = space.act("authority/issue", member=member.did, kind="access-body", facts={"memberState": "DE"})
    space.act("authority/suspend", about=made["id"], reason="the mandate is being renewed")
    rooms = member.connector
    with pytest.raises(IntegrityError, match="it is suspended"):
        credentials.verify(made["document"], rooms.resolver, space.clock.now(), rooms.trust.status_list)
    space.act("authority/suspend", about=member.did, reason="all of it")
    space.act("authority/reinstate", about=member.did, reason="all of it is well")
    states = {each["type"]: each["state"] for each in space.act("authority/list")["credentials"]}
    assert states["HealthDataAccessBodyCredential"] == "suspended"  # for a reason of its own
    assert states["MembershipCredential"] == "valid"


def test_every_act_of_an_authority_stands_in_its_log(space: Space) -> None:
    member = space.member("a")
    space.act("authority/suspend", about=member.did, reason="a reason to remember")
    log = space.authority.office.log
    text = "".join(entry.body.decode() for entry in log.entries(limit=1000))
    for step in ("MemberInvitation", "MemberAdmission", "CredentialIssuance", "MemberSuspension"):
        assert f"<{SYNTHEMA}{step}>" in text
    assert "a reason to remember" in text
    assert log.verify().size == log.size()


def test_what_an_authority_does_not_do_is_said(space: Space) -> None:
    with pytest.raises(SynthemaError, match="does not do"):
        space.act("authority/abdicate")
    with pytest.raises(InputError):
        space.act("authority/invite", address="https://a.example/path", role="site", name="A")
    with pytest.raises(InputError):
        space.act("authority/invite", address="https://a.example", role="site", name="A", hours=10_000)
