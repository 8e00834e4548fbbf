"""Whole connectors in one data space: who is let in by its credentials, and for how long."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from synthema.clock import FixedClock
from synthema.config import Peer
from synthema.dataspace import messages as m
from synthema.identity import tokens
from synthema.identity.dcp import MEMBERSHIP, PERMIT_HOLDER, ROLE
from synthema.identity.dcp.counterparties import STATUS_AGE
from tests.unit.joining.world import Site, Space, data_space


@pytest.fixture
def space(tmp_path: Path, clock: FixedClock) -> Iterator[Space]:
    with data_space(tmp_path, clock) as made:
        yield made


def pair(space: Space) -> tuple[Site, Site]:
    """A site and a hub that know each other."""
    site, hub = space.member("a"), space.member("h", "hub")
    site.connector.membership.follow()
    assert site.knows(hub)
    return site, hub


def ask(caller: Site, called: Site) -> tuple[int, Any]:
    """Ask a partner for its catalogue."""
    body = m.CatalogRequestMessage().wire()
    return caller.connector.peers.post(called.did, "/dsp/catalog/request", body)


def later(space: Space, step: timedelta) -> None:
    space.clock.advance(step)
    space.authority_clock.advance(step)


def test_a_member_is_let_in_and_its_role_rests_on_its_credential(space: Space) -> None:
    site, hub = pair(space)
    status, catalogue = ask(hub, site)
    assert status == 200, catalogue
    shown = {each["type"]: each for each in site.call("credential/partners")}
    assert shown.keys() == {MEMBERSHIP, ROLE}
    role = site.connector.claims.role_of(hub.did, space.clock.now(), "site")
    assert role == ("hub", shown[ROLE]["credential"])
    assert "ClaimVerified" in site.steps()
    assert {each["type"] for each in hub.call("credential/list")} == {MEMBERSHIP, ROLE}


def test_a_revoked_membership_closes_the_door_within_minutes_and_takes_the_role(space: Space) -> None:
    site, hub = pair(space)
    assert ask(hub, site)[0] == 200
    (issued,) = [
        each for each in space.act("authority/list")["credentials"]
        if (each["member"], each["type"]) == (hub.did, MEMBERSHIP)
    ]  # fmt: skip
    space.act("authority/revoke", about=issued["id"], reason="issued by mistake")
    later(space, STATUS_AGE)
    status, said = ask(hub, site)
    assert 400 <= status < 500, said
    assert "check 9 of 12" in " ".join(said["reason"]), said
    assert site.connector.claims.role_of(hub.did, space.clock.now(), "hub") is None


def test_a_token_without_access_is_refused_and_says_why(space: Space) -> None:
    site, hub = pair(space)
    connector = hub.connector
    token = tokens.mint(connector.signer, hub.did, site.did, connector.clock, timedelta(minutes=1))
    headers = {"Authorization": f"Bearer {token}"}
    answer = httpx.post(f"{site.url}/dsp/catalog/request", json=m.CatalogRequestMessage().wire(), headers=headers)
    assert answer.status_code == 400
    assert "token" in answer.text


def test_partners_agreed_by_hand_outside_of_the_data_space_stay_partners(space: Space) -> None:
    site, hub = pair(space)
    settings = site.connector.settings
    outsider = Peer(did="did:web:outside.example", url="https://outside.example", role="hub", name="outside")
    required = site.connector.claims.counterparties.required_of
    assert required(hub.did) == (MEMBERSHIP,)
    site.go_silent()
    site.connector.close()
    again = space.sites["a"] = space.open(settings.model_copy(update={"peers": (outsider,)}))
    required = again.connector.claims.counterparties.required_of
    assert (required(hub.did), required(outsider.did)) == ((MEMBERSHIP,), ())
    assert again.connector.claims.role_of(outsider.did, space.clock.now(), "hub") == ("hub", outsider.did)
    assert again.connector.claims.role_of(settings.did, space.clock.now(), "site") == ("site", settings.did)


def test_a_member_asks_its_authority_for_a_further_credential(space: Space) -> None:
    site = space.member("a")
    authority = space.authority.office.did
    made = site.call("credential/request", {"issuer": authority, "kinds": [PERMIT_HOLDER]})
    (request,) = space.act("authority/requests")
    assert (request["member"], request["asks"], request["state"]) == (site.did, [PERMIT_HOLDER], "RECEIVED")
    facts = {"permit": "HDAB-7", "permitEnds": "2028-12-31"}
    decided = space.act("authority/approve", request=request["request"], facts=facts)
    assert decided["notDelivered"] == []
    assert PERMIT_HOLDER in {each["type"] for each in site.call("credential/list")}
    (seen,) = site.call("credential/requests")["requests"]
    assert (seen["request"], seen["state"]) == (made["request"], "ISSUED")
    assert {"IssuanceRequested", "IssuanceApproved"} <= {
        word for entry in space.authority.office.log.entries(limit=1000) for word in _words(entry.body.decode())
    }


def test_an_authority_refuses_and_the_member_reads_why(space: Space) -> None:
    site = space.member("a")
    site.call("credential/request", {"issuer": space.authority.office.did, "kinds": [PERMIT_HOLDER]})
    (request,) = space.act("authority/requests")
    space.act("authority/refuse", request=request["request"], reason="there is no permit")
    (seen,) = site.call("credential/requests")["requests"]
    assert (seen["state"], seen["reason"]) == ("REJECTED", "there is no permit")


def test_the_did_document_has_the_roles_and_services_of_the_protocol(space: Space) -> None:
    site = space.site("a")
    document = httpx.get(f"{site.url}/.well-known/did.json").json()
    for relationship in ("authentication", "assertionMethod", "capabilityInvocation"):
        assert f"{site.did}#assertion" in document[relationship]
    services = {each["type"]: each["serviceEndpoint"] for each in document["service"]}
    assert services["CredentialService"] == f"{site.url}/dcp"
    authority = httpx.get(f"{space.authority.office.settings.public_url}/.well-known/did.json").json()
    assert "IssuerService" in {each["type"] for each in authority["service"]}


def test_a_program_of_the_house_gets_and_loses_its_client(space: Space) -> None:
    site = space.site("a")
    made = site.call("credential/client")
    assert made["address"].endswith("/token")
    assert site.call("credential/clients") == [
        {"client": made["client"], "made": "2026-11-21T10:00:00.000000Z", "ended": False}
    ]
    site.call("credential/end-client", {"client": made["client"]})
    assert site.call("credential/clients")[0]["ended"]
    assert made["secret"] not in site.steps()


def _words(text: str) -> set[str]:
    return {part.rpartition("#")[2].rstrip(">") for part in text.split()}
