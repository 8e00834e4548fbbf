"""An exported log is a folder that a stranger checks; what does not belong to it is seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from synthema.errors import IntegrityError, NotFoundError
from synthema.identity import FileSigner
from synthema.provenance import ProvenanceLog, VerifierKey, verify_tiles, write_tiles
from synthema.provenance.checkpoint import Checkpoint, sign_checkpoint
from synthema.provenance.merkle import EMPTY_ROOT, leaf_hash, node_hash
from synthema.provenance.tile_check import entries_in
from synthema.provenance.tiles import tile_path, tiles_of
from tests.unit.provenance.conftest import ORIGIN, Step


def _bodies(log: ProvenanceLog) -> list[bytes]:
    return [entry.body for entry in log.entries(limit=1000)]


def _export(log: ProvenanceLog, folder: Path) -> int:
    return write_tiles(folder, log.checkpoint(), log.key, _bodies(log))


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def _root(leaves: list[bytes]) -> bytes:
    """RFC 9162 §2.1.1, word for word."""
    if len(leaves) <= 1:
        return leaves[0] if leaves else EMPTY_ROOT
    half = 1 << ((len(leaves) - 1).bit_length() - 1)
    return node_hash(_root(leaves[:half]), _root(leaves[half:]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def key(signer: FileSigner) -> VerifierKey:
    return VerifierKey("127.0.0.1:8101/log", signer.public_key("log"))


def _made_up(folder: Path, size: int, key: VerifierKey, signer: FileSigner) -> list[bytes]:
    """A log of small entries, signed and exported."""
    bodies = [f"entry {number}".encode() for number in range(size)]
    head = Checkpoint(key.name, size, _root([leaf_hash(body) for body in bodies]))
    write_tiles(folder, sign_checkpoint(head, key, lambda data: signer.sign("log", data)), key, bodies)
    return bodies


def test_a_stranger_checks_the_whole_log(filled: ProvenanceLog, folder: Path) -> None:
    assert _export(filled, folder) == 2
    assert _files(folder) == {"checkpoint", "tile/0/000.p/13", "tile/entries/000.p/13"}
    report = verify_tiles(folder, filled.key)
    assert report.sentence() == (
        "All 13 entries of the log 127.0.0.1:8101/log are those that its checkpoint was signed for (3 files)."
    )
    assert list(entries_in(folder, 13)) == _bodies(filled)


def test_the_places_are_those_of_the_specification() -> None:
    assert tile_path(1, 1234067) == "tile/1/x001/x234/067"
    assert tile_path("entries", 273, 112) == "tile/entries/273.p/112"
    tiles = list(tiles_of(70_000))
    assert sum(1 for level, _, width in tiles if (level, width) == (0, 256)) == 273
    assert [(level, width) for level, _, width in tiles if width < 256] == [(0, 112), (1, 17), (2, 1)]
    assert list(tiles_of(256)) == [(0, 0, 256), (1, 0, 1)]
    assert list(tiles_of(0)) == []


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 600, 65_536 + 300])
def test_logs_of_all_heights(size: int, folder: Path, key: VerifierKey, signer: FileSigner) -> None:
    bodies = _made_up(folder, size, key, signer)
    assert verify_tiles(folder, key).checkpoint.size == size
    assert list(entries_in(folder, size)) == bodies


def test_an_entry_in_the_middle_of_a_large_log_is_named(folder: Path, key: VerifierKey, signer: FileSigner) -> None:
    _made_up(folder, 600, key, signer)
    tile = folder / tile_path("entries", 1)
    tile.write_bytes(tile.read_bytes().replace(b"entry 300", b"entry 3oo"))
    with pytest.raises(IntegrityError, match="entry 300"):
        verify_tiles(folder, key)


def test_an_entry_changed_together_with_its_hash_is_found(folder: Path, key: VerifierKey, signer: FileSigner) -> None:
    _made_up(folder, 600, key, signer)
    entries, hashes = folder / tile_path("entries", 1), folder / tile_path(0, 1)
    entries.write_bytes(entries.read_bytes().replace(b"entry 300", b"entry 3oo"))
    hashes.write_bytes(hashes.read_bytes().replace(leaf_hash(b"entry 300"), leaf_hash(b"entry 3oo")))
    with pytest.raises(IntegrityError, match="the entries 256 to 511") as caught:
        verify_tiles(folder, key)
    assert caught.value.where == "log entry 256"


def test_an_export_grows_with_its_log(filled: ProvenanceLog, step: Step, folder: Path) -> None:
    _export(filled, folder)
    assert _export(filled, folder) == 0
    filled.record(step("run-13"))
    _export(filled, folder)
    assert "tile/0/000.p/13" in _files(folder)  # for those who hold the earlier head
    assert verify_tiles(folder, filled.key).files == 5
    earlier = folder / "tile/entries/000.p/13"
    earlier.write_bytes(earlier.read_bytes().replace(b"run-12", b"run-l2"))
    with pytest.raises(IntegrityError, match="earlier head"):
        verify_tiles(folder, filled.key)


def test_partial_tiles_go_when_they_are_full(folder: Path, key: VerifierKey, signer: FileSigner) -> None:
    _made_up(folder, 200, key, signer)
    _made_up(folder, 300, key, signer)
    assert not any(".p/200" in name for name in _files(folder))
    assert verify_tiles(folder, key).checkpoint.size == 300


def test_a_rewritten_log_is_not_written_over_an_export(filled: ProvenanceLog, folder: Path, signer: FileSigner) -> None:
    _export(filled, folder)
    before = {name: (folder / name).read_bytes() for name in _files(folder)}
    bodies = [*_bodies(filled), b"one more"]
    bodies[5] = bodies[5].replace(b"run-5", b"run-6")
    head = Checkpoint(filled.key.name, 14, _root([leaf_hash(body) for body in bodies]))
    note = sign_checkpoint(head, filled.key, lambda data: signer.sign("log", data))
    with pytest.raises(IntegrityError, match="does not extend"):
        write_tiles(folder, note, filled.key, bodies)
    with pytest.raises(IntegrityError, match="not those"):
        write_tiles(folder / "new", filled.checkpoint(), filled.key, bodies[:13])
    assert {name: (folder / name).read_bytes() for name in _files(folder)} == before


def test_what_does_not_belong_is_seen(filled: ProvenanceLog, folder: Path) -> None:
    _export(filled, folder)
    (folder / "tile" / "0" / "001").write_bytes(b"x")
    with pytest.raises(IntegrityError, match="does not belong"):
        verify_tiles(folder, filled.key)
    (folder / "tile" / "0" / "001").unlink()
    (folder / "tile" / "0" / "000.p" / "13").unlink()
    with pytest.raises(IntegrityError, match="missing"):
        verify_tiles(folder, filled.key)
    with pytest.raises(NotFoundError):
        verify_tiles(folder / "elsewhere", filled.key)


def test_a_folder_of_another_log_is_not_believed(filled: ProvenanceLog, folder: Path, other_signer: FileSigner) -> None:
    _export(filled, folder)
    with pytest.raises(IntegrityError):
        verify_tiles(folder, VerifierKey(filled.key.name, other_signer.public_key("log")))
    with pytest.raises(IntegrityError):
        verify_tiles(folder, VerifierKey("other.example/log", filled.key.public_key))


def test_a_step_too_long_for_a_tile_is_not_recorded(log: ProvenanceLog, step: Step) -> None:
    with pytest.raises(Exception, match="too long for the log"):
        log.record(step("run", used=tuple(f"thing-{number}" for number in range(300))))
    assert log.size() == 0
    assert log.origin == ORIGIN
