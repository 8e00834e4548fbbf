"""Merkle trees of RFC 9162 (Certificate Transparency 2.0) §2.1: hashes, proofs and their verification.

Pure arithmetic: nothing here stores or reads. A tree of n leaves is known by
its *complete subtrees* only; whoever asks for a root or a proof passes a
function that looks their hashes up. A proof is a sequence of 32-byte hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from synthema.errors import InputError, IntegrityError

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


class Node(NamedTuple):
    """A complete subtree: it covers the 2^level leaves that start at position × 2^level."""

    level: int
    position: int

    @property
    def last_leaf(self) -> int:
        """The leaf whose arrival completes this subtree."""
        return ((self.position + 1) << self.level) - 1


Lookup = Callable[[Sequence[Node]], Sequence[bytes]]
"""Hashes of complete subtrees, in the order asked for."""


def leaf_hash(data: bytes) -> bytes:
    """Hash of one entry: SHA-256(0x00 ‖ data)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of two subtrees: SHA-256(0x01 ‖ left ‖ right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def completed_by(leaf: int) -> tuple[Node, ...]:
    """The subtrees of two leaves or more that this leaf completes, smallest first."""
    nodes = []
    level = 1
    while (leaf >> (level - 1)) & 1:
        nodes.append(Node(level, leaf >> level))
        level += 1
    return tuple(nodes)


def siblings_completed_by(leaf: int) -> tuple[Node, ...]:
    """The left halves of :func:`completed_by`, in the same order."""
    return tuple(Node(node.level - 1, node.position * 2) for node in completed_by(leaf))


def cover(start: int, end: int) -> tuple[Node, ...]:
    """The fewest complete subtrees that cover the leaves start … end-1, from left to right."""
    nodes = []
    while start < end:
        level = (end - start).bit_length() - 1
        if start:
            level = min(level, (start & -start).bit_length() - 1)
        nodes.append(Node(level, start >> level))
        start += 1 << level
    return tuple(nodes)


def fold(hashes: Sequence[bytes]) -> bytes:
    """Root over neighbouring subtrees that shrink from left to right."""
    if not hashes:
        return EMPTY_ROOT
    total = hashes[-1]
    for left in reversed(hashes[:-1]):
        total = node_hash(left, total)
    return total


def root(size: int, lookup: Lookup) -> bytes:
    """Root of the tree of the first ``size`` leaves."""
    return fold(lookup(cover(0, size)))


def inclusion_proof(index: int, size: int, lookup: Lookup) -> tuple[bytes, ...]:
    """Proof that leaf ``index`` is in the tree of ``size`` leaves (RFC 9162 §2.1.3.1), leaf's sibling first."""
    if not 0 <= index < size:
        raise InputError(f"entry {index} is not in a log of {size}", fix="ask for a size greater than the entry")
    ranges = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    return _hashes_of(reversed(ranges), lookup)


def consistency_proof(old: int, new: int, lookup: Lookup) -> tuple[bytes, ...]:
    """Proof that the tree of ``new`` leaves extends the tree of ``old`` leaves (RFC 9162 §2.1.4.1)."""
    if not 0 <= old <= new:
        raise InputError(f"a log of {new} cannot extend one of {old}", fix="give the smaller size first")
    if old in (0, new):
        return ()
    ranges = []
    start, end = 0, new
    whole = True
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start, whole = middle, False
    if not whole:
        ranges.append((start, end))
    return _hashes_of(reversed(ranges), lookup)


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], expected_root: bytes) -> None:
    """Check a proof of :func:`inclusion_proof` (RFC 9162 §2.1.3.2); raises :class:`IntegrityError`."""
    if not 0 <= index < size:
        raise _broken(f"entry {index} cannot be in a log of {size}")
    _require_hashes(proof)
    position, last = index, size - 1
    total = leaf
    for step in proof:
        if last == 0:
            raise _broken("the inclusion proof is too long")
        if position & 1 or position == last:
            total = node_hash(step, total)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            total = node_hash(total, step)
        position >>= 1
        last >>= 1
    if last:
        raise _broken("the inclusion proof is too short")
    if total != expected_root:
        raise _broken(f"entry {index} is not what the log of {size} holds")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Check a proof of :func:`consistency_proof` (RFC 9162 §2.1.4.2); raises :class:`IntegrityError`."""
    if not 0 <= old <= new:
        raise _broken(f"a log of {new} cannot extend one of {old}")
    _require_hashes(proof)
    if old in (0, new):
        if proof:
            raise _broken("the consistency proof should be empty")
        if old_root != (new_root if old else EMPTY_ROOT):
            raise _broken(f"two logs of {new} differ" if old else "the empty log has another root")
        return
    _walk_consistency(old, new, old_root, new_root, proof)


def _walk_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    # A first tree that is one complete subtree is itself the first step of the path.
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        raise _broken("the consistency proof is too short")
    position, last = old - 1, new - 1
    while position & 1:
        position >>= 1
        last >>= 1
    first_total = second_total = path[0]
    for step in path[1:]:
        if last == 0:
            raise _broken("the consistency proof is too long")
        if position & 1 or position == last:
            first_total = node_hash(step, first_total)
            second_total = node_hash(step, second_total)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            second_total = node_hash(second_total, step)
        position >>= 1
        last >>= 1
    if last:
        raise _broken("the consistency proof is too short")
    if first_total != old_root or second_total != new_root:
        raise _broken(f"the log of {new} does not extend the log of {old}")


def _split(width: int) -> int:
    """The largest power of two smaller than the width."""
    return 1 << ((width - 1).bit_length() - 1)


def _hashes_of(ranges: Iterable[tuple[int, int]], lookup: Lookup) -> tuple[bytes, ...]:
    covers = [cover(start, end) for start, end in ranges]
    found = iter(lookup([node for nodes in covers for node in nodes]))
    return tuple(fold([next(found) for _ in nodes]) for nodes in covers)


def _require_hashes(proof: Sequence[bytes]) -> None:
    if any(len(step) != HASH_BYTES for step in proof):
        raise _broken("a step of the proof is not a SHA-256 hash")


def _broken(message: str) -> IntegrityError:
    return IntegrityError(message, fix="get the proof again from the log; if it stays so, the log was changed")
