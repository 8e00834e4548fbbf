"""One book of partners: whole at every moment, and up to date for all who read it."""

from __future__ import annotations

from synthema.config import Peer
from synthema.identity import Parties


def _peer(name: str, url: str | None = None) -> Peer:
    return Peer(did=f"did:web:{name}.example", url=url or f"https://{name}.example", role="site", name=name)


def test_members_come_and_go_beside_the_partners_of_the_settings() -> None:
    parties = Parties([_peer("a")], {"did:web:body.example": "https://body.example"})
    origins = parties.origins
    parties.follow([_peer("b")], (), {"did:web:authority.example": "https://authority.example"})
    assert set(parties) == {"did:web:a.example", "did:web:b.example"}
    assert set(origins) == {*parties, "did:web:body.example", "did:web:authority.example"}
    parties.follow((), (), {})
    assert set(parties) == {"did:web:a.example"}
    assert len(origins) == 2


def test_what_two_operators_agreed_goes_before_the_list_unless_it_bars() -> None:
    parties = Parties([_peer("a", "https://by-hand.example")])
    parties.follow([_peer("a")], (), {})
    assert parties["did:web:a.example"].url == "https://by-hand.example"
    assert parties.is_configured("did:web:a.example")
    parties.follow((), {"did:web:a.example"}, {})
    assert "did:web:a.example" not in parties


def test_who_reads_while_it_changes_reads_one_whole_book() -> None:
    parties = Parties([])
    parties.follow([_peer("a"), _peer("b")], (), {})
    seen = []
    for peer in parties.values():
        parties.follow((), (), {})
        seen.append(peer.name)
    assert seen == ["a", "b"]
