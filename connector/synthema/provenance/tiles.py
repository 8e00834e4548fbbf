"""The log as static files that any web server or USB stick can hold: C2SP ``tlog-tiles``.

A folder holds the signed head (``checkpoint``), the entries (``tile/entries/…``)
and the tree above them (``tile/<level>/…``), 256 to a file. Who has the folder
and knows the log's key needs nothing else: neither the connector nor its
database. Checking such a folder is :mod:`synthema.provenance.tile_check`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from synthema.errors import IntegrityError
from synthema.provenance.checkpoint import HeadKeys, open_checkpoint
from synthema.provenance.log import MAX_ENTRY_BYTES
from synthema.provenance.merkle import EMPTY_ROOT, Node, cover, fold, leaf_hash, node_hash

WIDTH: Final = 256
"""Hashes, or entries, in a full tile; a tile stands for a subtree of height 8."""

CHECKPOINT: Final = "checkpoint"
ENTRIES: Final = "entries"


def write_tiles(folder: Path, note: str, key: HeadKeys, entries: Iterable[bytes]) -> int:
    """Write the log of a signed head; returns the number of files that are new.

    ``entries`` are the bytes of exactly the entries the head was signed for; the
    tree is computed from them, and nothing is written unless its root is the
    signed one. A folder that holds an earlier state of the same log is brought
    up to date. Raises :class:`IntegrityError` when the entries are not those of
    the head, or do not extend what the folder holds.
    """
    head = open_checkpoint(note, key)
    bodies = list(entries)
    leaves = [leaf_hash(body) for body in bodies]
    levels = list(_levels(leaves))
    if len(bodies) != head.size or _root(leaves) != head.root:
        raise IntegrityError(
            f"these {len(bodies)} entries are not those that the checkpoint of {head.size} was signed for",
            where=f"log {key.name}",
            fix="run the log's verification",
        )
    _require_extended(folder, key, leaves)
    files = dict(_tile_files(levels)) | dict(_entry_files(bodies))
    new = sum(_put(folder / path, content) for path, content in files.items())
    _drop_filled(folder)
    _replace(folder / CHECKPOINT, note.encode())  # last: whoever reads it finds all that it is about
    return new


def tile_path(level: int | str, number: int, width: int = WIDTH) -> str:
    """Where a tile lies below the log's prefix; ``level`` is a number, or ``entries``.

    1,234,067 becomes ``x001/x234/067``, so that no folder grows too large.
    """
    digits = f"{number:03d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[start : start + 3] for start in range(0, len(digits), 3)]
    name = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    return f"tile/{level}/{name}" + ("" if width == WIDTH else f".p/{width}")


def tiles_of(size: int) -> Iterator[tuple[int, int, int]]:
    """The tiles of the tree of a log of this size, as (level, number, width): full ones, then a partial one."""
    level, hashes = 0, size
    while hashes:
        full, rest = divmod(hashes, WIDTH)
        yield from ((level, number, WIDTH) for number in range(full))
        if rest:
            yield level, full, rest
        level, hashes = level + 1, full


def tile_root(hashes: Sequence[bytes]) -> bytes:
    """Root over the hashes of a full tile: one hash of the tile above it."""
    row = list(hashes)
    while len(row) > 1:
        row = [node_hash(left, right) for left, right in zip(row[::2], row[1::2], strict=True)]
    return row[0]


def _levels(leaves: list[bytes]) -> Iterator[list[bytes]]:
    row = leaves
    while row:
        yield row
        row = [tile_root(row[start : start + WIDTH]) for start in range(0, len(row) - WIDTH + 1, WIDTH)]


def _root(leaves: Sequence[bytes]) -> bytes:
    return fold([_subtree(leaves, node) for node in cover(0, len(leaves))]) if leaves else EMPTY_ROOT


def _subtree(leaves: Sequence[bytes], node: Node) -> bytes:
    return tile_root(leaves[node.position << node.level : node.last_leaf + 1])


def _tile_files(levels: Sequence[Sequence[bytes]]) -> Iterator[tuple[str, bytes]]:
    for level, number, width in tiles_of(len(levels[0]) if levels else 0):
        start = number * WIDTH
        yield tile_path(level, number, width), b"".join(levels[level][start : start + width])


def _entry_files(bodies: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
    for level, number, width in tiles_of(len(bodies)):
        if level == 0:
            start = number * WIDTH
            within = range(start, start + width)
            yield tile_path(ENTRIES, number, width), b"".join(_prefixed(index, bodies[index]) for index in within)


def _prefixed(index: int, body: bytes) -> bytes:
    if len(body) > MAX_ENTRY_BYTES:
        raise IntegrityError(
            f"entry {index} of {len(body)} bytes does not fit into a tile",
            where=f"log entry {index}",
            fix="export the log as N-Quads instead",
        )
    return len(body).to_bytes(2, "big") + body


def _require_extended(folder: Path, key: HeadKeys, leaves: Sequence[bytes]) -> None:
    try:
        earlier = open_checkpoint((folder / CHECKPOINT).read_bytes().decode(errors="replace"), key)
    except FileNotFoundError:
        return
    if earlier.size > len(leaves) or _root(leaves[: earlier.size]) != earlier.root:
        raise IntegrityError(
            f"the log of {len(leaves)} entries does not extend the {earlier.size} that this folder holds",
            where=str(folder),
            fix="keep the folder as evidence, and compare with the witnesses' checkpoints",
        )


def _put(path: Path, content: bytes) -> bool:
    """Write a tile; one that is there must be the same, for tiles never change."""
    if path.exists():
        if path.read_bytes() != content:
            raise IntegrityError(
                "a tile in this folder is not that of the log",
                where=str(path),
                fix="keep the folder as evidence, and export into an empty one",
            )
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, content)
    return True


def _drop_filled(folder: Path) -> None:
    """Remove partial tiles that have become full; the others stay, for those who hold an earlier head."""
    for path in sorted((folder / "tile").glob("**/*.p/*")):
        if path.parent.with_suffix("").exists():
            path.unlink()
            if not any(path.parent.iterdir()):
                path.parent.rmdir()


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(prefix=".tile-", dir=path.parent)
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(handle)
    Path(draft).chmod(0o644)
    Path(draft).replace(path)
