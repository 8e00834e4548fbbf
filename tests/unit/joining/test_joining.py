"""A connector joins a running data space: whom it knows then, and at which step a join fails."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from synthema.assembly.joining.model import STEPS
from synthema.errors import ConflictError, SynthemaError
from synthema.identity import FileSigner
from synthema.identity.multibase import encode_ed25519_key
from tests.unit.joining.world import Site, Space
from tests.waiting import until

Breaking = Callable[[Space, Site, dict[str, Any], pytest.MonkeyPatch], dict[str, Any]]


def test_members_know_each_other_without_any_settings(space: Space) -> None:
    first = space.member("a")
    second = space.member("b")
    until(lambda: first.knows(second))
    assert second.knows(first)
    for site, other in ((first, second), (second, first)):
        seen = site.call("site/status")
        assert seen["state"] == seen["authoritySees"]["state"] == "active"
        assert [(view["did"], view["knowsUs"]) for view in seen["membersSee"]] == [(other.did, True)]
        assert site.connector.settings.peers == ()
        assert sorted(held.type for held in site.connector.claims.wallet.all()) == [
            "DataspaceRoleCredential", "MembershipCredential",
        ]  # fmt: skip
    assert "DataspaceJoin" in first.steps()
    assert "MembersChange" in first.steps()


def test_a_restart_keeps_the_membership(space: Space) -> None:
    first, second = space.member("a"), space.member("b")
    settings = second.connector.settings
    second.go_silent()
    second.connector.close()
    again = space.sites["b"] = space.open(settings)
    assert again.knows(first)


def _unreadable(space: Space, site: Site, invitation: dict[str, Any], patch: pytest.MonkeyPatch) -> dict[str, Any]:
    return {name: value for name, value in invitation.items() if name != "expires"}


def _another_address(space: Space, site: Site, invitation: dict[str, Any], patch: pytest.MonkeyPatch) -> dict[str, Any]:
    return invitation | {"address": "http://127.0.0.1:1"}


def _another_role(space: Space, site: Site, invitation: dict[str, Any], patch: pytest.MonkeyPatch) -> dict[str, Any]:
    return invitation | {"role": "hub"}


def _too_late(space: Space, site: Site, invitation: dict[str, Any], patch: pytest.MonkeyPatch) -> dict[str, Any]:
    space.clock.advance(timedelta(hours=73))
    return invitation


def _nobody_there(space: Space, site: Site, invitation: dict[str, Any], patch: pytest.MonkeyPatch) -> dict[str, Any]:
    return invitation | {"authority_url": "http://127.0.0.1:1"}


def _another_key(space: Space, site: Site, invitation: dict[str, Any], patch: pytest.MonkeyPatch) -> dict[str, Any]:
    stranger = FileSigner.create(space.folder / "stranger", b"a stranger's keys")
    return invitation | {"key": encode_ed25519_key(stranger.public_key("assertion"))}


def _altered(space: Space, site: Site, invitation: dict[str, Any], patch: pytest.MonkeyPatch) -> dict[str, Any]:
    return invitation | {"space": "Another space"}


def _clocks_apart(space: Space, site: Site, invitation: dict[str, Any], patch: pytest.MonkeyPatch) -> dict[str, Any]:
    space.authority_clock.advance(timedelta(seconds=90))
    return invitation


def _withdrawn(space: Space, site: Site, invitation: dict[str, Any], patch: pytest.MonkeyPatch) -> dict[str, Any]:
    space.act("authority/withdraw", invitation=invitation["invitation"], reason="sent to the wrong office")
    return invitation


def _not_served(space: Space, site: Site, invitation: dict[str, Any], patch: pytest.MonkeyPatch) -> dict[str, Any]:
    site.go_silent()
    return invitation


def _other_keys(space: Space, site: Site, invitation: dict[str, Any], patch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Our address shows the document of somebody else's keys, as with a proxy that leads elsewhere."""
    stranger = FileSigner.create(space.folder / "stranger", b"a stranger's keys")
    patch.setattr(site.connector.signer, "public_key", stranger.public_key)
    return invitation


def _answered(change: Callable[[dict[str, Any]], None]) -> Breaking:
    def breaking(space: Space, site: Site, invitation: dict[str, Any], patch: pytest.MonkeyPatch) -> dict[str, Any]:
        authorities = site.connector.membership.rooms.authorities
        given = authorities.join

        def join(*arguments: str) -> dict[str, Any]:
            answer = copy.deepcopy(given(*arguments))
            change(answer)
            return answer

        patch.setattr(authorities, "join", join)
        return invitation

    return breaking


def _forge_credential(answer: dict[str, Any]) -> None:
    answer["credentials"][0]["document"]["credentialSubject"]["memberOf"] = "did:web:elsewhere.example"


def _keep_back_credential(answer: dict[str, Any]) -> None:
    answer["credentials"].pop()


def _forge_list(answer: dict[str, Any]) -> None:
    answer["members"]["credentialSubject"]["members"][0]["role"] = "hub"


BREAKING: list[tuple[int, str, Breaking]] = [
    (1, "expires", _unreadable),
    (2, "public_url", _another_address),
    (2, "is a site", _another_role),
    (3, "expired", _too_late),
    (4, "no authority", _nobody_there),
    (4, "another key", _another_key),
    (5, "signature", _altered),
    (6, "90 s behind", _clocks_apart),
    (7, "withdrawn", _withdrawn),
    (8, "did.json", _not_served),
    (8, "signature", _other_keys),
    (9, "signatures fit", _answered(_forge_credential)),
    (9, "DataspaceRoleCredential", _answered(_keep_back_credential)),
    (10, "signatures fit", _answered(_forge_list)),
]


@pytest.mark.parametrize(
    ("number", "words", "breaking"), BREAKING, ids=[f"{n} {b.__name__.strip('_')} {w}" for n, w, b in BREAKING]
)
def test_a_join_that_fails_names_its_step_and_changes_nothing_here(
    space: Space, number: int, words: str, breaking: Breaking, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = space.site("a")
    before = site.connector.log.size()
    with monkeypatch.context() as patch:
        invitation = breaking(space, site, space.invite(site), patch)
        with pytest.raises(SynthemaError) as caught:
            site.call("site/join", {"invitation": invitation})
    assert caught.value.message.startswith(f"step {number} of {len(STEPS)} ({STEPS[number - 1]}): ")
    assert words in caught.value.message
    assert caught.value.fix
    assert site.connector.membership.current() is None
    assert site.connector.log.size() == before
    assert len(site.connector.parties) == 0


def test_every_step_has_been_seen_to_fail() -> None:
    assert {number for number, _, _ in BREAKING} == set(range(1, len(STEPS) + 1))


@pytest.mark.parametrize("breaking", [_not_served, _answered(_forge_credential), _answered(_forge_list)])
def test_the_same_invitation_works_after_a_failure(
    space: Space, breaking: Breaking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the authority has admitted us already and its answer was lost."""
    site = space.site("a")
    invitation = space.invite(site)
    with monkeypatch.context() as patch:
        breaking(space, site, invitation, patch)
        with pytest.raises(SynthemaError):
            site.call("site/join", {"invitation": invitation})
    if site.web is None:
        site.serve()
    assert site.call("site/join", {"invitation": invitation})["space"] == "Rare blood diseases"
    assert len(space.act("authority/list")["credentials"]) == 2


def test_an_invitation_is_for_one_connector_and_works_once(space: Space) -> None:
    first, second = space.site("a"), space.site("b")
    invitation = space.invite(first)
    with pytest.raises(SynthemaError, match="step 2"):
        second.call("site/join", {"invitation": invitation})
    rooms = second.connector.membership.rooms
    with pytest.raises(SynthemaError, match="step 8"):  # whoever steals it cannot show the invited key
        rooms.authorities.join(
            invitation["authority"], invitation["authority_url"], invitation["invitation"], invitation["code"]
        )
    with pytest.raises(SynthemaError, match="step 7"):
        rooms.authorities.join(invitation["authority"], invitation["authority_url"], invitation["invitation"], "0" * 32)
    first.call("site/join", {"invitation": invitation})
    first.call("site/leave", {"reason": "a try"})
    with pytest.raises(SynthemaError, match=r"step 7 .*used already"):
        first.call("site/join", {"invitation": invitation})


def test_one_data_space_at_a_time_and_a_member_is_not_invited_again(space: Space) -> None:
    site = space.member("a")
    with pytest.raises(ConflictError, match="member already"):
        space.invite(site)


def test_who_left_may_come_back_with_a_new_invitation(space: Space) -> None:
    site = space.member("a")
    site.call("site/leave", {"reason": "a pause"})
    site.call("site/join", {"invitation": space.invite(site)})
    assert site.call("site/status")["state"] == "active"
    states = [each["state"] for each in space.act("authority/list")["credentials"]]
    assert states == ["revoked", "revoked", "valid", "valid"]


def test_a_member_proposes_and_people_of_the_authority_decide(space: Space) -> None:
    member, newcomer = space.member("a"), space.site("b")
    made = member.call(
        "site/invite", {"url": newcomer.url, "role": "site", "name": "Clinic B", "reason": "brings patients"}
    )
    listed = space.act("authority/list")["proposals"]
    assert [(each["id"], each["proposer"]) for each in listed] == [(made["proposal"], member.did)]
    newcomer.call("site/join", {"invitation": space.invite(newcomer, proposal=made["proposal"])})
    assert space.states() == {"Clinic A": "active", "Clinic B": "active"}
    with pytest.raises(ConflictError):
        space.site("c").call(
            "site/invite", {"url": newcomer.url, "role": "site", "name": "Clinic B", "reason": "not my place"}
        )
