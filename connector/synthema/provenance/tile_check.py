"""Checks an exported log (C2SP ``tlog-tiles``) with nothing but the folder and the log's key.

Every byte counts: entries against the hashes of their leaves, each level of the
tree against the one below, the top against the signed head, and the head
against the key and the witnesses. A file that belongs to no tile is reported,
too, so that nothing can hide in the folder. Cosignatures of witnesses who are
not named are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from synthema.errors import IntegrityError, NotFoundError
from synthema.provenance.bundle import require_quorum
from synthema.provenance.checkpoint import Checkpoint, HeadKeys, VerifierKey, open_checkpoint
from synthema.provenance.merkle import EMPTY_ROOT, HASH_BYTES, Node, cover, fold, leaf_hash
from synthema.provenance.tiles import CHECKPOINT, ENTRIES, WIDTH, tile_path, tile_root, tiles_of

_FIX = "get the folder again from its origin; if it stays so, the log or the copy was changed"


@dataclass(frozen=True, slots=True)
class TileReport:
    """What was found unchanged. ``witnessed`` says which witness saw that head, and when."""

    checkpoint: Checkpoint
    files: int
    witnessed: Mapping[str, datetime]

    def sentence(self) -> str:
        """The report for people."""
        return (
            f"All {self.checkpoint.size} entries of the log {self.checkpoint.origin} are those "
            f"that its checkpoint was signed for ({self.files} files)."
        )


def verify_tiles(folder: Path, key: HeadKeys, *, witnesses: Iterable[VerifierKey] = (), quorum: int = 0) -> TileReport:
    """Check a whole folder; raises :class:`IntegrityError` whose ``where`` names the entry or the file."""
    note = _read(folder, CHECKPOINT).decode(errors="replace")
    try:
        head = open_checkpoint(note, key)
        witnessed = require_quorum(note, witnesses, quorum)
    except IntegrityError as error:
        raise IntegrityError(error.message, where=CHECKPOINT, fix=error.fix) from error
    tiles = list(tiles_of(head.size))
    levels: dict[int, list[bytes]] = {}
    for level, number, width in tiles:
        hashes = _hashes(folder, level, number, width)
        if level == 0:
            _check_entries(folder, number, width, hashes)
        else:
            _check_tree(levels[level - 1], level, number, hashes)
        levels.setdefault(level, []).extend(hashes)
    if _root(levels, head.size) != head.root:
        raise _broken("the tree in this folder is not the one that was signed", CHECKPOINT)
    return TileReport(head, _check_other_files(folder, tiles), witnessed)


def entries_in(folder: Path, size: int) -> Iterator[bytes]:
    """The entries in a folder, in order; check it first."""
    for level, number, width in tiles_of(size):
        if level == 0:
            yield from _split(_read(folder, tile_path(ENTRIES, number, width)), number * WIDTH, width)


def _check_entries(folder: Path, number: int, width: int, hashes: list[bytes]) -> None:
    first = number * WIDTH
    bodies = _split(_read(folder, tile_path(ENTRIES, number, width)), first, width)
    for index, (body, expected) in enumerate(zip(bodies, hashes, strict=True), first):
        if leaf_hash(body) != expected:
            raise _broken(f"entry {index} or its hash is not the one that was recorded", f"log entry {index}")


def _check_tree(below: list[bytes], level: int, number: int, hashes: list[bytes]) -> None:
    for place, expected in enumerate(hashes, number * WIDTH):
        if tile_root(below[place * WIDTH : (place + 1) * WIDTH]) != expected:
            span = WIDTH**level
            raise _broken(
                f"the tree over the entries {place * span} to {(place + 1) * span - 1} is not the one that was "
                "recorded: one of them was changed together with its hash, or the tree was",
                f"log entry {place * span}",
            )


def _root(levels: Mapping[int, list[bytes]], size: int) -> bytes:
    def hash_of(node: Node) -> bytes:
        level, height = divmod(node.level, 8)
        start = node.position << height
        return tile_root(levels[level][start : start + (1 << height)])

    return fold([hash_of(node) for node in cover(0, size)]) if size else EMPTY_ROOT


def _hashes(folder: Path, level: int, number: int, width: int) -> list[bytes]:
    path = tile_path(level, number, width)
    content = _read(folder, path)
    if len(content) != width * HASH_BYTES:
        raise _broken(f"a tile holds {len(content)} bytes, not those of {width} hashes", path)
    return [content[start : start + HASH_BYTES] for start in range(0, len(content), HASH_BYTES)]


def _split(content: bytes, first: int, width: int) -> list[bytes]:
    bodies: list[bytes] = []
    place = 0
    while place < len(content) and len(bodies) < width:
        start = place + 2
        place = start + int.from_bytes(content[place:start], "big")
        bodies.append(content[start:place])
    if place != len(content) or len(bodies) != width:
        index = first + max(0, min(len(bodies), width) - 1)
        raise _broken(f"an entry up to {index} does not have the length it was recorded with", f"log entry {index}")
    return bodies


def _check_other_files(folder: Path, tiles: list[tuple[int, int, int]]) -> int:
    """What else lies there must be narrower forms of checked tiles, left for earlier heads; returns how many files."""
    above: list[tuple[int | str, int, int]] = [*tiles]
    entries: list[tuple[int | str, int, int]] = [
        (ENTRIES, number, width) for level, number, width in tiles if level == 0
    ]
    partial = {(level, number): width for level, number, width in (*above, *entries) if width < WIDTH}
    narrower = {
        tile_path(level, number, shown): (level, number, shown)
        for (level, number), width in partial.items()
        for shown in range(1, width)
    }
    wanted = {CHECKPOINT} | {tile_path(*tile) for tile in (*above, *entries)}
    found = [path for path in sorted(folder.rglob("*")) if path.is_symlink() or not path.is_dir()]
    for path in found:
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or name not in wanted | narrower.keys():
            raise _broken("this file does not belong to the log", name)
        if name in narrower:
            level, number, shown = narrower[name]
            whole = _read(folder, tile_path(level, number, partial[level, number]))
            if path.read_bytes() != _first(whole, shown, entries=level == ENTRIES):
                raise _broken("this tile of an earlier head is not that of the log", name)
    return len(found)


def _first(tile: bytes, count: int, *, entries: bool) -> bytes:
    """The first hashes, or the first entries with their lengths, of a tile that was checked."""
    if not entries:
        return tile[: count * HASH_BYTES]
    place = 0
    for _ in range(count):
        place += 2 + int.from_bytes(tile[place : place + 2], "big")
    return tile[:place]


def _read(folder: Path, path: str) -> bytes:
    try:
        return (folder / path).read_bytes()
    except FileNotFoundError as error:
        if path == CHECKPOINT:
            raise NotFoundError(
                "there is no exported log in this folder", where=str(folder), fix="give the folder of an export"
            ) from error
        raise _broken("a tile is missing", path) from error


def _broken(message: str, where: str) -> IntegrityError:
    return IntegrityError(message, where=where, fix=_FIX)
