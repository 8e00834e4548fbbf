from __future__ import annotations

import pytest

from synthema.errors import InputError, IntegrityError
from synthema.provenance import merkle
from synthema.provenance.merkle import Node

# The eight leaves and roots of the Certificate Transparency reference tests (RFC 6962 trees).
LEAVES = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def lookup(nodes: object) -> list[bytes]:
    def total(node: Node) -> bytes:
        if node.level == 0:
            return merkle.leaf_hash(LEAVES[node.position])
        level, position = node.level - 1, node.position * 2
        return merkle.node_hash(total(Node(level, position)), total(Node(level, position + 1)))

    return [total(node) for node in nodes]  # type: ignore[attr-defined]


def test_the_reference_roots() -> None:
    assert [merkle.root(size, lookup).hex() for size in range(1, 9)] == ROOTS
    assert merkle.root(0, lookup) == merkle.EMPTY_ROOT


def test_the_reference_inclusion_proof() -> None:
    # Leaf 0 of 8, from the same tests.
    proof = [step.hex() for step in merkle.inclusion_proof(0, 8, lookup)]
    assert proof == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]


def test_the_reference_consistency_proof() -> None:
    # From 6 to 8 leaves, from the same tests.
    proof = [step.hex() for step in merkle.consistency_proof(6, 8, lookup)]
    assert proof == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


def test_a_tree_is_covered_by_its_complete_subtrees() -> None:
    assert merkle.cover(0, 7) == (Node(2, 0), Node(1, 2), Node(0, 6))
    assert merkle.cover(4, 7) == (Node(1, 2), Node(0, 6))
    assert merkle.cover(3, 3) == ()
    assert merkle.completed_by(7) == (Node(1, 3), Node(2, 1), Node(3, 0))
    assert merkle.siblings_completed_by(7) == (Node(0, 6), Node(1, 2), Node(2, 0))
    assert merkle.completed_by(6) == ()
    assert [node.last_leaf for node in merkle.completed_by(7)] == [7, 7, 7]


def test_what_cannot_be_proven_is_not_asked() -> None:
    for index, size in ((0, 0), (8, 8), (-1, 8)):
        with pytest.raises(InputError):
            merkle.inclusion_proof(index, size, lookup)
        with pytest.raises(IntegrityError):
            merkle.verify_inclusion(index, size, bytes(32), [], bytes(32))
    for old, new in ((3, 2), (-1, 2)):
        with pytest.raises(InputError):
            merkle.consistency_proof(old, new, lookup)
        with pytest.raises(IntegrityError):
            merkle.verify_consistency(old, new, bytes(32), bytes(32), [])


def test_proofs_of_nothing_are_empty() -> None:
    eight = bytes.fromhex(ROOTS[7])
    merkle.verify_consistency(0, 8, merkle.EMPTY_ROOT, eight, ())
    merkle.verify_consistency(8, 8, eight, eight, ())
    for old, root, proof in ((0, eight, ()), (0, merkle.EMPTY_ROOT, (eight,)), (8, merkle.EMPTY_ROOT, ())):
        with pytest.raises(IntegrityError):
            merkle.verify_consistency(old, 8, root, eight, proof)


def test_proofs_of_a_wrong_length_are_refused() -> None:
    eight, six = bytes.fromhex(ROOTS[7]), bytes.fromhex(ROOTS[5])
    leaf = merkle.leaf_hash(LEAVES[2])
    inclusion = merkle.inclusion_proof(2, 8, lookup)
    consistency = merkle.consistency_proof(6, 8, lookup)
    for wrong in (inclusion[:-1], (*inclusion, bytes(32)), (*inclusion[:-1], inclusion[-1][:31])):
        with pytest.raises(IntegrityError):
            merkle.verify_inclusion(2, 8, leaf, wrong, eight)
    for wrong in ((), consistency[:-1], (*consistency, bytes(32))):
        with pytest.raises(IntegrityError):
            merkle.verify_consistency(6, 8, six, eight, wrong)
