"""Trees equal those of an independent implementation; every proof verifies and no altered one does."""

from __future__ import annotations

from collections.abc import Sequence

import pymerkle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthema.errors import IntegrityError
from synthema.provenance import merkle
from synthema.provenance.merkle import Node

entries = st.lists(st.binary(max_size=40), min_size=1, max_size=70)


class Tree:
    """Complete subtrees in a dictionary, grown leaf by leaf as the log does."""

    def __init__(self, bodies: Sequence[bytes]) -> None:
        self.nodes: dict[Node, bytes] = {}
        for leaf, body in enumerate(bodies):
            total = self.nodes[Node(0, leaf)] = merkle.leaf_hash(body)
            pairs = zip(merkle.completed_by(leaf), merkle.siblings_completed_by(leaf), strict=True)
            for node, left in pairs:
                total = self.nodes[node] = merkle.node_hash(self.nodes[left], total)

    def lookup(self, nodes: Sequence[Node]) -> list[bytes]:
        return [self.nodes[node] for node in nodes]


@given(entries)
def test_roots_equal_those_of_pymerkle(bodies: list[bytes]) -> None:
    tree, oracle = Tree(bodies), pymerkle.InmemoryTree(algorithm="sha256")
    for size, body in enumerate(bodies, start=1):
        oracle.append_entry(body)
        assert merkle.root(size, tree.lookup) == oracle.get_root()


@given(entries, st.data())
def test_every_inclusion_proof_verifies_and_no_altered_one(bodies: list[bytes], data: st.DataObject) -> None:
    tree = Tree(bodies)
    size = data.draw(st.integers(1, len(bodies)))
    root = merkle.root(size, tree.lookup)
    for index in range(size):
        proof = merkle.inclusion_proof(index, size, tree.lookup)
        merkle.verify_inclusion(index, size, merkle.leaf_hash(bodies[index]), proof, root)
    index = data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion_proof(index, size, tree.lookup)
    parts = [bodies[index], *proof, root]
    which, changed = data.draw(_flipped(parts))
    parts[which] = changed
    with pytest.raises(IntegrityError):
        merkle.verify_inclusion(index, size, merkle.leaf_hash(parts[0]), parts[1:-1], parts[-1])


@given(entries, st.data())
def test_every_consistency_proof_verifies_and_no_altered_one(bodies: list[bytes], data: st.DataObject) -> None:
    tree = Tree(bodies)
    new = len(bodies)
    roots = [merkle.root(size, tree.lookup) for size in range(new + 1)]
    for old in range(new + 1):
        proof = merkle.consistency_proof(old, new, tree.lookup)
        merkle.verify_consistency(old, new, roots[old], roots[new], proof)
    old = data.draw(st.integers(1, new))
    proof = merkle.consistency_proof(old, new, tree.lookup)
    parts = [roots[old], *proof, roots[new]]
    which, changed = data.draw(_flipped(parts))
    parts[which] = changed
    with pytest.raises(IntegrityError):
        merkle.verify_consistency(old, new, parts[0], parts[-1], parts[1:-1])


@given(entries, st.data())
def test_a_rewritten_entry_never_extends_the_old_tree(bodies: list[bytes], data: st.DataObject) -> None:
    old = data.draw(st.integers(1, len(bodies)))
    place = data.draw(st.integers(0, old - 1))
    tree = Tree(bodies)
    rewritten = Tree([*bodies[:place], bodies[place] + b"!", *bodies[place + 1 :], b"more"])
    new = len(bodies) + 1
    proof = merkle.consistency_proof(old, new, rewritten.lookup)
    with pytest.raises(IntegrityError):
        merkle.verify_consistency(old, new, merkle.root(old, tree.lookup), merkle.root(new, rewritten.lookup), proof)


@given(st.integers(0, 2**40), st.integers(0, 2**40))
def test_covers_are_complete_and_short(first: int, second: int) -> None:
    start, end = sorted((first, second))
    nodes = merkle.cover(start, end)
    place = start
    for node in nodes:
        assert node.position << node.level == place
        place = node.last_leaf + 1
    assert place == end
    assert len(nodes) <= 2 * 41


@settings(max_examples=20)
@given(st.integers(1, 2**20))
def test_proofs_are_short(size: int) -> None:
    def zeros(nodes: Sequence[Node]) -> list[bytes]:
        return [bytes(32) for _ in nodes]

    assert len(merkle.inclusion_proof(size // 2, size, zeros)) <= 21
    assert len(merkle.consistency_proof(max(1, size // 3), size, zeros)) <= 22


@st.composite
def _flipped(draw: st.DrawFn, parts: Sequence[bytes]) -> tuple[int, bytes]:
    """One part with one byte changed, as (which, the changed part)."""
    which = draw(st.sampled_from([number for number, part in enumerate(parts) if part]))
    place = draw(st.integers(0, len(parts[which]) - 1))
    changed = bytearray(parts[which])
    changed[place] ^= draw(st.integers(1, 255))
    return which, bytes(changed)
