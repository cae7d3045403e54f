"""The tree: every proof of every small tree holds, and no proof with a bit flipped does."""

from __future__ import annotations

from hashlib import sha256
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.log.tree import (
    Frontier,
    SharedPaths,
    consistency_ids,
    consistency_path,
    frontier_ids,
    inclusion_ids,
    inclusion_path,
    root_at,
    stored_count,
    stored_index,
)
from ledger.verify import (
    EMPTY_ROOT,
    NotVerified,
    check_consistency,
    check_inclusion,
    leaf_hash,
    node_hash,
    root_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# The eight leaves and roots of the reference tests of Certificate Transparency (RFC 6962).
CT_LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
SIZES = 100


def grown(size: int) -> tuple[list[bytes], list[bytes]]:
    """The rows of a tree of ``size`` leaves, and its roots at every size from 0."""
    frontier, rows, roots = Frontier(), list[bytes](), [EMPTY_ROOT]
    for n in range(size):
        rows += frontier.append(leaf_hash(b"entry %d" % n))
        roots.append(frontier.root())
    return rows, roots


ROWS, ROOTS = grown(SIZES)


def read(ids: Sequence[int]) -> list[bytes]:
    """The hashes in these rows."""
    return [ROWS[row] for row in ids]


def flipped(path: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Every path that differs from this one in one bit of one hash (one bit per byte)."""
    for at, node in enumerate(path):
        for byte in range(32):
            bad = bytearray(node)
            bad[byte] ^= 1 << (at + byte) % 8
            yield [*path[:at], bytes(bad), *path[at + 1 :]]


def reference_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962 §2.1, word for word, recursion and all."""
    if not leaves:
        return sha256().digest()
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(reference_root(leaves[:k]), reference_root(leaves[k:]))


def test_the_roots_of_certificate_transparency_come_out() -> None:
    """The first eight trees of the reference tests have the roots published for them."""
    roots = [root_of(leaf_hash(leaf) for leaf in CT_LEAVES[: n + 1]).hex() for n in range(8)]

    assert roots == CT_ROOTS
    assert root_of([]) == EMPTY_ROOT


def test_every_root_is_that_of_the_definition() -> None:
    """Frontier, root_of and root_at agree with RFC 6962's recursive definition at each size."""
    leaves = [b"entry %d" % n for n in range(SIZES)]

    for size in range(SIZES + 1):
        expected = reference_root(leaves[:size])
        assert expected == ROOTS[size]
        assert expected == root_of(leaf_hash(leaf) for leaf in leaves[:size])
        assert expected == root_at(size, read)


def test_an_odd_last_leaf_is_not_duplicated() -> None:
    """A tree of three is not a tree of four with the last leaf twice: that would be forgeable."""
    a, b, c = (leaf_hash(leaf) for leaf in (b"a", b"b", b"c"))

    assert root_of([a, b, c]) == node_hash(node_hash(a, b), c)
    assert root_of([a, b, c]) != root_of([a, b, c, c])


def test_rows_are_numbered_as_they_come_to_be() -> None:
    """Row ids are exactly 0..count, each subtree once, each as the frontier appends it."""
    ids = {}
    for level in range(7):
        for n in range(SIZES >> level):
            ids[stored_index(level, n)] = root_of(
                leaf_hash(b"entry %d" % leaf) for leaf in range(n << level, (n + 1) << level)
            )

    assert list(range(stored_count(SIZES))) == sorted(ids)
    assert [ids[row] for row in sorted(ids)] == ROWS


def test_a_tree_reopened_at_any_size_grows_on_alike() -> None:
    """Rows are never updated, so the frontier of every size is still there to be read."""
    for size in range(SIZES):
        frontier = Frontier.load(size, read)
        assert ROOTS[size] == frontier.root()
        assert ROWS[stored_count(size) : stored_count(size + 1)] == frontier.append(leaf_hash(b"entry %d" % size))
        assert ROOTS[size + 1] == frontier.root()


def test_a_frontier_of_the_wrong_height_is_refused() -> None:
    """A stack that cannot belong to the size is a bug of the store, seen at once."""
    with pytest.raises(ValueError, match="cannot make a tree of size 3"):
        Frontier(3, [bytes(32)])


@pytest.mark.parametrize("size", range(1, SIZES + 1))
def test_inclusion_holds_for_every_leaf_and_no_flipped_bit(size: int) -> None:
    """Each leaf of each tree has a proof; no flipped bit, other index or cut path passes."""
    for index in range(size):
        leaf, root = leaf_hash(b"entry %d" % index), ROOTS[size]
        path = inclusion_path(index, size, read)
        check_inclusion(leaf, index, size, path, root)
        if index % 7 and size != SIZES:  # every leaf is proved; a seventh and the last tree flipped
            continue
        wrong = [*flipped(path), path[:-1] if path else [leaf], [*path, leaf]]
        for bad in wrong:
            with pytest.raises(NotVerified):
                check_inclusion(leaf, index, size, bad, root)
        for other in {index ^ 1, (index + 1) % size, size} - {index}:
            with pytest.raises(NotVerified):
                check_inclusion(leaf, other, size, path, root)


@settings(deadline=None)
@given(size=st.integers(1, SIZES), asked=st.lists(st.integers(0, SIZES - 1), max_size=40))
def test_paths_that_share_their_upper_part_are_the_same_paths(size: int, asked: list[int]) -> None:
    """In whatever order they are asked for, and again: what neighbours share changes no path."""
    paths = SharedPaths(size, read, lambda node: node.hex().encode() + b"\n")
    for index in asked:
        if index < size:
            assert [node.hex().encode() for node in inclusion_path(index, size, read)] == paths.text(index).split()
        else:
            with pytest.raises(ValueError, match=f"no leaf {index}"):
                paths.text(index)


@pytest.mark.parametrize("new", range(1, SIZES + 1))
def test_consistency_holds_for_every_pair_and_no_flipped_bit(new: int) -> None:
    """Each tree extends each earlier one; no flipped bit, other root or cut path passes."""
    for old in range(1, new + 1):
        path = consistency_path(old, new, read)
        check_consistency(old, ROOTS[old], new, ROOTS[new], path)
        wrong_root = node_hash(ROOTS[old], ROOTS[old])
        with pytest.raises(NotVerified):
            check_consistency(old, wrong_root, new, ROOTS[new], path)
        with pytest.raises(NotVerified):
            check_consistency(old, ROOTS[old], new, wrong_root, path)
        for bad in ([*path, ROOTS[old]], path[:-1] if path else [ROOTS[1]]):
            with pytest.raises(NotVerified):
                check_consistency(old, ROOTS[old], new, ROOTS[new], bad)
        if old % 9 == 0 or new == SIZES:
            for bad in flipped(path):
                with pytest.raises(NotVerified):
                    check_consistency(old, ROOTS[old], new, ROOTS[new], bad)


def test_nothing_is_proved_from_an_empty_tree() -> None:
    """The prover gives an empty path from size 0; the verifier takes it for no evidence."""
    assert consistency_path(0, 5, read) == []
    with pytest.raises(NotVerified):
        check_consistency(0, EMPTY_ROOT, 5, ROOTS[5], [])


@pytest.mark.parametrize(("old", "new"), [(-1, 2), (3, 2)])
def test_impossible_sizes_have_no_consistency(old: int, new: int) -> None:
    """Neither prover nor verifier reads backwards."""
    with pytest.raises(ValueError, match="no consistency"):
        consistency_path(old, new, read)
    with pytest.raises(NotVerified):
        check_consistency(old, ROOTS[2], new, ROOTS[2], [])


@pytest.mark.parametrize(("index", "size"), [(-1, 2), (2, 2), (0, 0)])
def test_impossible_leaves_have_no_inclusion(index: int, size: int) -> None:
    """Neither prover nor verifier knows a leaf outside the tree."""
    with pytest.raises(ValueError, match="no leaf"):
        inclusion_path(index, size, read)
    with pytest.raises(NotVerified):
        check_inclusion(ROOTS[1], index, size, [], ROOTS[1])


def test_a_path_longer_than_any_tree_is_rejected_before_hashing() -> None:
    """Sixty-three hashes suffice for every tree there can be."""
    with pytest.raises(NotVerified):
        check_inclusion(ROOTS[1], 0, 2**70, [ROOTS[1]] * 64, ROOTS[1])
    with pytest.raises(NotVerified):
        check_consistency(1, ROOTS[1], 2**70, ROOTS[1], [ROOTS[1]] * 64)


@given(st.integers(1, 2**62), st.data())
@settings(deadline=None)
def test_proofs_of_huge_trees_need_few_rows(size: int, data: st.DataObject) -> None:
    """No recursion, and never more than two rows per level, at sizes no test could grow."""
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))
    limit = 2 * size.bit_length()

    assert len(inclusion_ids(index, size)) <= limit
    assert len(consistency_ids(old, size)) <= limit
    assert len(frontier_ids(size)) == size.bit_count()
    assert all(row < stored_count(size) for row in inclusion_ids(index, size))
    assert all(a < b for a, b in pairwise(frontier_ids(size)))


def test_another_library_builds_the_same_tree() -> None:
    """pymerkle, an independent implementation, has the same roots and paths at each size."""
    from pymerkle import InmemoryTree  # GPL: an oracle here, never shipped

    oracle = InmemoryTree(algorithm="sha256")
    for n in range(40):
        oracle.append_entry(b"entry %d" % n)
    for size in range(1, 41):
        assert oracle.get_root(size) == ROOTS[size]
        for index in range(size):
            proof = oracle.prove_inclusion(index + 1, size).serialize()
            path = [bytes.fromhex(node) for node in proof["path"]]
            assert path[1:] == inclusion_path(index, size, read)
