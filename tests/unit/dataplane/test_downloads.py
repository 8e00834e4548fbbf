"""Artefacts fetched from one connector by another over HTTP: whole, in parts, interrupted, refused."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest

from synthema.canonical import digest_bytes
from synthema.clock import FixedClock, SystemClock
from synthema.dataspace import Agreement, Artefact, Process
from synthema.dataspace.dataplane import fetching
from synthema.dataspace.dataplane import store as flows
from synthema.dataspace.dataplane.artefacts import ACCESS_FOR, TOKEN
from synthema.dataspace.dataplane.fetching import Wanted, fetch
from synthema.dataspace.dataplane.ranges import PIECE, etag
from synthema.dataspace.messages import DataAddress
from synthema.dataspace.peer import TRANSFER_HEADER
from synthema.errors import DeniedError, IntegrityError, PeerError
from synthema.identity import tokens
from tests.unit.dataspace.world import DATASET, PATIENCE, World, world
from tests.waiting import until

NAME = "artefact-1"
CONTENT = os.urandom(2 * PIECE + 12345)
MOST = 10 * PIECE


@pytest.fixture
def agreement(two: World) -> Agreement:
    two.hospital.store.artefacts = {NAME: CONTENT}
    return two.hub.dataspace.negotiate(two.hospital.did, DATASET, PATIENCE)


def started(two: World, agreement: Agreement) -> Process:
    process = two.hub.dataspace.request_transfer(agreement)
    return two.hub.dataspace.wait("transfer", process.id, PATIENCE, lambda p: p.state == "STARTED" or p.ended)


def theirs(two: World) -> Process:
    return two.hospital.dataspace.processes("transfer")[0]


def ended(two: World) -> Process:
    return two.hub.dataspace.wait(
        "transfer", two.hub.dataspace.processes("transfer")[0].id, PATIENCE, lambda p: p.ended
    )


class TestOverHttp:
    """What any HTTP client meets."""

    def ask(self, two: World, process: Process, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        address = DataAddress.model_validate(process.details["address"])
        token = address.property(TOKEN)
        path = two.hub.peers.path_of(process.peer, str(address.endpoint))
        answer = two.hub.peers._send(
            "GET", process.peer, f"{path}/{NAME}", headers={TRANSFER_HEADER: token or "", **headers}, max_bytes=MOST
        )
        return answer.status, answer.body, dict(answer.headers)

    def test_the_whole_has_its_digest_as_tag(self, two: World, agreement: Agreement) -> None:
        status, body, headers = self.ask(two, started(two, agreement))
        assert (status, body) == (200, CONTENT)
        assert headers["etag"] == etag(digest_bytes(CONTENT))
        assert headers["accept-ranges"] == "bytes"
        assert headers["cache-control"] == "no-store"

    def test_a_part_says_which_part_it_is(self, two: World, agreement: Agreement) -> None:
        status, body, headers = self.ask(two, started(two, agreement), Range="bytes=100-299")
        assert (status, body) == (206, CONTENT[100:300])
        assert headers["content-range"] == f"bytes 100-299/{len(CONTENT)}"

    def test_a_part_of_other_bytes_is_the_whole(self, two: World, agreement: Agreement) -> None:
        same, other = etag(digest_bytes(CONTENT)), etag(digest_bytes(b"other"))
        process = started(two, agreement)
        assert self.ask(two, process, Range="bytes=100-", **{"If-Range": same})[0] == 206
        status, body, _ = self.ask(two, process, Range="bytes=100-", **{"If-Range": other})
        assert (status, body) == (200, CONTENT)

    def test_a_part_behind_the_end_is_416(self, two: World, agreement: Agreement) -> None:
        status, _, headers = self.ask(two, started(two, agreement), Range=f"bytes={len(CONTENT)}-")
        assert (status, headers["content-range"]) == (416, f"bytes */{len(CONTENT)}")

    def test_without_the_token_there_is_nothing(self, two: World, agreement: Agreement) -> None:
        process = started(two, agreement)
        for token in ("", f"{theirs(two).id}.guess", "transfer-none.guess"):
            assert self.ask(two, process, **{TRANSFER_HEADER: token})[0] == 404

    def test_the_token_is_of_no_use_to_anybody_else(self, two: World, agreement: Agreement) -> None:
        """A stolen access token needs the consumer's own identity token beside it."""
        process = started(two, agreement)
        address = DataAddress.model_validate(process.details["address"])
        stolen = {TRANSFER_HEADER: address.property(TOKEN) or ""}
        import httpx

        bare = httpx.get(f"{address.endpoint}/{NAME}", headers=stolen)
        assert bare.status_code == 404
        third = two.hub.settings.peers[1].did
        forged = tokens.mint(two.hub.signer, third, two.hospital.did, SystemClock(), timedelta(minutes=2))
        known = httpx.get(f"{address.endpoint}/{NAME}", headers=stolen | {"Authorization": f"Bearer {forged}"})
        assert known.status_code == 404

    def test_the_token_dies_of_age(self, tmp_path: Path) -> None:
        clock = FixedClock(SystemClock().now())
        with world(tmp_path, clock=clock) as two:
            two.hospital.store.artefacts = {NAME: b"small"}
            agreement = two.hub.dataspace.negotiate(two.hospital.did, DATASET, PATIENCE)
            process = started(two, agreement)
            assert self.ask(two, process)[0] == 200
            with two.hospital.database.read() as connection:
                access = flows.get(connection, theirs(two).id).access
            assert access is not None
            late = {**access, "until": access["until"].replace("20", "19", 1)}
            two.hospital.database.write(lambda c: flows.change(c, theirs(two).id, clock.now(), access=late))
            assert self.ask(two, process)[0] == 404
            assert timedelta(minutes=1) <= ACCESS_FOR <= timedelta(hours=1)

    def test_what_is_kept_of_the_token_is_a_digest_and_goes_with_the_end(
        self, two: World, agreement: Agreement
    ) -> None:
        process = started(two, agreement)
        token = DataAddress.model_validate(process.details["address"]).property(TOKEN) or "-"
        self.ask(two, process)
        with two.hospital.database.read() as connection:
            flow = flows.get(connection, theirs(two).id)
        assert token not in json.dumps(dict(flow.access or {}))
        two.hub.dataspace.complete(process.id)
        two.hospital.dataspace.wait("transfer", flow.id, PATIENCE, lambda p: p.ended)
        until_told(two, flow.id, "COMPLETED")
        with two.hospital.database.read() as connection:
            assert flows.get(connection, flow.id).access is None
        assert "address" not in two.hub.dataspace.process("transfer", process.id).details


def until_told(two: World, flow: str, state: str) -> None:
    """Wait until the provider's plane was told."""

    def told() -> str:
        with two.hospital.database.read() as connection:
            return flows.get(connection, flow).state

    until(told, lambda seen: seen == state, 10)


def test_a_download_comes_in_pieces_with_its_progress(two: World, agreement: Agreement, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    target = tmp_path / "rows"
    digest = two.hub.dataspace.fetch(
        agreement, Wanted(NAME, MOST), target, timeout=PATIENCE, progress=lambda *now: seen.append(now)
    )
    assert (digest, target.read_bytes()) == (digest_bytes(CONTENT), CONTENT)
    assert seen == [(min(n * PIECE, len(CONTENT)), len(CONTENT)) for n in (1, 2, 3)]
    assert [path.name for path in tmp_path.glob("rows*")] == ["rows"]
    assert ended(two).state == "COMPLETED"
    handed = b"".join(entry.body for entry in two.hospital.log.entries()).count(b"ArtefactHandedOut>")
    assert handed == 1  # one hand-over, however many parts it came in


def test_an_interrupted_download_goes_on_where_it_stopped(
    two: World, agreement: Agreement, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "FIRST_PAUSE", 0.0)
    target, asked = tmp_path / "rows", []
    give = two.hub.peers.get_part

    def cut(did: str, path: str, first: int, last: int, **rest: object) -> object:
        asked.append(first)
        if first and len(asked) < 4:
            raise PeerError("does not answer", fix="wait")
        return give(did, path, first, last, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(two.hub.peers, "get_part", cut)
    monkeypatch.setattr(fetching, "PATIENCE", 2)
    with pytest.raises(PeerError, match="does not answer"):
        two.hub.dataspace.fetch(agreement, Wanted(NAME, MOST), target, timeout=PATIENCE)
    assert target.with_name("rows.part").stat().st_size == PIECE
    assert not target.exists()
    assert ended(two).state == "TERMINATED"

    two.hub.dataspace.fetch(agreement, Wanted(NAME, MOST), target, timeout=PATIENCE)
    assert target.read_bytes() == CONTENT
    assert asked == [0, PIECE, PIECE, PIECE, 2 * PIECE]  # nothing that had come was fetched again


def test_other_bytes_than_before_are_fetched_from_the_beginning(
    two: World, agreement: Agreement, tmp_path: Path
) -> None:
    target = tmp_path / "rows"
    target.with_name("rows.part").write_bytes(b"x" * PIECE)
    note = {"digest": digest_bytes(b"another"), "size": 3 * PIECE}
    target.with_name("rows.part.json").write_text(json.dumps(note))
    two.hub.dataspace.fetch(agreement, Wanted(NAME, MOST), target, timeout=PATIENCE)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("note", [b"", b"{}", b'{"digest": "sha256:0", "size": "many"}', b'{"digest": 1'])
def test_a_note_that_cannot_be_read_is_as_none(two: World, agreement: Agreement, tmp_path: Path, note: bytes) -> None:
    target = tmp_path / "rows"
    target.with_name("rows.part").write_bytes(b"x" * 100)
    target.with_name("rows.part.json").write_bytes(note)
    two.hub.dataspace.fetch(agreement, Wanted(NAME, MOST), target, timeout=PATIENCE)
    assert target.read_bytes() == CONTENT


def test_changed_bytes_are_found_out_and_thrown_away(two: World, agreement: Agreement, tmp_path: Path) -> None:
    target = tmp_path / "rows"
    target.with_name("rows.part").write_bytes(b"x" * PIECE)
    note = {"digest": digest_bytes(CONTENT), "size": len(CONTENT)}
    target.with_name("rows.part.json").write_text(json.dumps(note))
    with pytest.raises(IntegrityError):
        two.hub.dataspace.fetch(agreement, Wanted(NAME, MOST), target, timeout=PATIENCE)
    assert not list(tmp_path.glob("rows*"))


def test_too_much_is_not_taken(two: World, agreement: Agreement, tmp_path: Path) -> None:
    with pytest.raises(PeerError, match="more than 1000 bytes"):
        two.hub.dataspace.fetch(agreement, Wanted(NAME, 1000), tmp_path / "rows", timeout=PATIENCE)


def test_an_empty_artefact_is_fetched_too(two: World, tmp_path: Path) -> None:
    two.hospital.store.artefacts = {NAME: b""}
    agreement = two.hub.dataspace.negotiate(two.hospital.did, DATASET, PATIENCE)
    two.hub.dataspace.fetch(agreement, Wanted(NAME, MOST), tmp_path / "rows", timeout=PATIENCE)
    assert (tmp_path / "rows").read_bytes() == b""


class Halfway:
    """Lets something happen between the first and the second part of a download."""

    def __init__(self, act: object) -> None:
        self.act = act
        self.parts: list[int] = []

    def __call__(self, there: int, _size: int) -> None:
        self.parts.append(there)
        if len(self.parts) == 1:
            self.act()  # type: ignore[operator]


def test_suspension_stops_a_running_download_at_the_next_part(two: World, agreement: Agreement, tmp_path: Path) -> None:
    halfway = Halfway(lambda: two.hospital.dataspace.suspend(theirs(two).id, ("night shift",)))
    with pytest.raises(PeerError, match="404"):
        two.hub.dataspace.fetch(agreement, Wanted(NAME, MOST), tmp_path / "rows", timeout=PATIENCE, progress=halfway)
    assert halfway.parts == [PIECE]


def test_termination_stops_a_running_download(two: World, agreement: Agreement, tmp_path: Path) -> None:
    halfway = Halfway(lambda: two.hospital.dataspace.terminate("transfer", theirs(two).id, ("enough",)))
    with pytest.raises(PeerError, match="404"):
        two.hub.dataspace.fetch(agreement, Wanted(NAME, MOST), tmp_path / "rows", timeout=PATIENCE, progress=halfway)
    assert (halfway.parts, ended(two).reasons) == ([PIECE], ("enough",))


def test_the_end_of_the_agreement_stops_a_running_download(two: World, agreement: Agreement, tmp_path: Path) -> None:
    def end() -> None:
        two.hospital.database.write(lambda c: two.hospital.dataspace.basis_ended(c, agreement.id, "TERMINATED"))

    halfway = Halfway(end)
    with pytest.raises(PeerError, match="404"):
        two.hub.dataspace.fetch(agreement, Wanted(NAME, MOST), tmp_path / "rows", timeout=PATIENCE, progress=halfway)
    assert halfway.parts == [PIECE]
    assert "agreement" in ended(two).reasons[0]


def test_a_denial_in_the_midst_ends_the_transfer_with_its_reason(
    two: World, agreement: Agreement, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(_agreement: Agreement, _artefact: str) -> Artefact:
        raise DeniedError("the policy was withdrawn", fix="ask")

    halfway = Halfway(lambda: monkeypatch.setattr(two.hospital.store, "reopen_artefact", deny))
    with pytest.raises(DeniedError, match="withdrawn"):
        two.hub.dataspace.fetch(agreement, Wanted(NAME, MOST), tmp_path / "rows", timeout=PATIENCE, progress=halfway)
    assert halfway.parts == [PIECE]
    assert theirs(two).reasons == ("the policy was withdrawn",) or ended(two).reasons == ("the policy was withdrawn",)


def test_a_whole_answer_is_cut_in_its_midst(
    two: World, agreement: Agreement, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who asks for everything at once gets no further than the one who asks in parts."""

    def deny(_agreement: Agreement, _artefact: str) -> Artefact:
        raise DeniedError("the policy was withdrawn", fix="ask")

    process = started(two, agreement)
    monkeypatch.setattr(two.hospital.store, "reopen_artefact", deny)
    with pytest.raises(PeerError, match="does not answer"):
        TestOverHttp().ask(two, process)
    assert "ended in its midst" in caplog.text


def test_a_transfer_under_an_ended_agreement_does_not_start(
    two: World, agreement: Agreement, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(two.hospital.office, "why_ended", lambda _: "the agreement has expired")
    process = started(two, agreement)
    assert (process.state, process.reasons) == ("TERMINATED", ("the agreement has expired",))


def test_fetch_without_an_address_says_so(two: World, agreement: Agreement, tmp_path: Path) -> None:
    process = two.hub.dataspace._transfers.draft(agreement, "/dsp", "HttpData-PULL", None)
    with pytest.raises(Exception, match=r"endpoint|address"):
        fetch(two.hub.peers, process, Wanted(NAME, MOST), tmp_path / "rows")
