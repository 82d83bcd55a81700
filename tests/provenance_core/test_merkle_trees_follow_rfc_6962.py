import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.core.merkle import (
    EMPTY_ROOT,
    Frontier,
    MerkleRefusal,
    MerkleTree,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    tree_root,
    verify_consistency,
    verify_inclusion,
)

# The vectors published with the Certificate Transparency reference code.
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAF_1 = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
LEAF_4 = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
NODE_2_3 = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
NODE_4_5 = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
NODE_6_7 = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
NODE_4_7 = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"


def leaves(count):
    return [leaf_hash(number.to_bytes(4, "big")) for number in range(count)]


def naive_root(hashes):
    """MTH as RFC 6962 section 2.1 writes it."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return node_hash(naive_root(hashes[:split]), naive_root(hashes[split:]))


def code_of(action, *arguments):
    with pytest.raises(MerkleRefusal) as caught:
        action(*arguments)
    return caught.value.code


@pytest.fixture(scope="module")
def published():
    return MerkleTree(leaf_hash(bytes.fromhex(data)) for data in INPUTS)


@pytest.mark.parametrize("size", range(9))
def test_published_roots_are_reproduced(published, size):
    assert tree_root(size, published.get_hash).hex() == ROOTS[size]
    assert Frontier.of(size, published.get_hash).root.hex() == ROOTS[size]


@pytest.mark.parametrize(
    ("index", "size", "path"),
    [
        (0, 1, []),
        (0, 8, [LEAF_1, NODE_2_3, NODE_4_7]),
        (5, 8, [LEAF_4, NODE_6_7, ROOTS[4]]),
        (2, 3, [ROOTS[2]]),
        (1, 5, [ROOTS[1], NODE_2_3, LEAF_4]),
    ],
)
def test_published_inclusion_proofs_are_reproduced(published, index, size, path):
    assert [each.hex() for each in inclusion_proof(index, size, published.get_hash)] == path


@pytest.mark.parametrize(
    ("size1", "size2", "path"),
    [
        (1, 1, []),
        (1, 8, [LEAF_1, NODE_2_3, NODE_4_7]),
        (6, 8, [NODE_4_5, NODE_6_7, ROOTS[4]]),
        (2, 5, [NODE_2_3, LEAF_4]),
    ],
)
def test_published_consistency_proofs_are_reproduced(published, size1, size2, path):
    assert [each.hex() for each in consistency_proof(size1, size2, published.get_hash)] == path


@given(st.integers(0, 300), st.data())
def test_a_tree_grown_in_steps_equals_the_recursive_definition(size, data):
    hashes = leaves(size)
    frontier, at, stored = Frontier(), 0, {}
    while at < size:
        step = data.draw(st.integers(1, size - at))
        frontier, completed = frontier.grow(hashes[at : at + step])
        stored |= {(subtree.level, subtree.index): subtree.hash for subtree in completed}
        at += step
    assert frontier.root == naive_root(hashes)
    assert all(
        found == naive_root(hashes[index << level : index + 1 << level]) for (level, index), found in stored.items()
    )
    assert Frontier.of(size, lambda level, index: stored[level, index]) == frontier


@given(st.integers(1, 300), st.data())
def test_every_leaf_is_proved_in_every_later_tree(size, data):
    tree = MerkleTree(leaves(size))
    then = data.draw(st.integers(1, size))
    index = data.draw(st.integers(0, then - 1))
    proof = inclusion_proof(index, then, tree.get_hash)
    verify_inclusion(tree.get_hash(0, index), index, then, proof, naive_root(leaves(then)))


@given(st.integers(1, 300), st.data())
def test_every_earlier_tree_is_a_proved_prefix(size2, data):
    tree = MerkleTree(leaves(size2))
    size1 = data.draw(st.integers(1, size2))
    proof = consistency_proof(size1, size2, tree.get_hash)
    verify_consistency(size1, naive_root(leaves(size1)), size2, tree.root, proof)


@given(st.integers(2, 100), st.data())
def test_no_altered_inclusion_proof_is_accepted(size, data):
    tree = MerkleTree(leaves(size))
    index = data.draw(st.integers(0, size - 1))
    leaf, proof = tree.get_hash(0, index), tree.inclusion_proof(index)
    at = data.draw(st.integers(0, len(proof) - 1))
    flipped = [*proof[:at], bytes([proof[at][0] ^ 1]) + proof[at][1:], *proof[at + 1 :]]
    wrong = [
        (leaf, index, size, flipped, tree.root),
        (leaf, index, size, proof[:-1], tree.root),
        (leaf, index, size, [*proof, proof[0]], tree.root),
        (leaf, index, size, proof, leaf_hash(b"another root")),
        (leaf_hash(b"another leaf"), index, size, proof, tree.root),
    ]
    other = data.draw(st.integers(0, size - 1))
    if other != index:
        wrong.append((leaf, other, size, proof, tree.root))
    for arguments in wrong:
        assert code_of(verify_inclusion, *arguments).startswith("merkle.")


@given(st.integers(1, 100), st.integers(1, 50), st.data())
def test_a_rewritten_log_is_never_consistent(size1, growth, data):
    size2 = size1 + growth
    rewritten = leaves(size2)
    rewritten[data.draw(st.integers(0, size1 - 1))] = leaf_hash(b"rewritten")
    tree = MerkleTree(rewritten)
    proof = consistency_proof(size1, size2, tree.get_hash)
    assert (
        code_of(verify_consistency, size1, naive_root(leaves(size1)), size2, tree.root, proof) == "merkle.consistency"
    )


@given(st.integers(1, 40), st.integers(0, 40), st.lists(st.binary(min_size=32, max_size=32), max_size=8))
def test_an_invented_consistency_proof_is_refused(size1, growth, proof):
    root1, root2 = leaf_hash(b"1"), leaf_hash(b"2")
    assert code_of(verify_consistency, size1, root1, size1 + growth, root2, proof) == "merkle.consistency"


def test_an_empty_first_tree_proves_nothing_and_is_refused():
    tree = MerkleTree(leaves(3))
    assert code_of(verify_consistency, 0, EMPTY_ROOT, 3, tree.root, []) == "merkle.size"
    assert code_of(consistency_proof, 0, 3, tree.get_hash) == "merkle.size"


def test_a_shrinking_log_is_refused():
    tree = MerkleTree(leaves(5))
    assert code_of(consistency_proof, 5, 4, tree.get_hash) == "merkle.size"
    assert code_of(verify_consistency, 5, tree.root, 4, tree.root, []) == "merkle.size"


def test_one_size_with_two_roots_is_refused():
    verify_consistency(3, leaf_hash(b"a"), 3, leaf_hash(b"a"), [])
    assert code_of(verify_consistency, 3, leaf_hash(b"a"), 3, leaf_hash(b"b"), []) == "merkle.consistency"


def test_a_leaf_past_the_end_has_no_proof():
    tree = MerkleTree(leaves(3))
    assert code_of(tree.inclusion_proof, 3) == "merkle.index"
    assert code_of(verify_inclusion, leaf_hash(b""), 3, 3, [], tree.root) == "merkle.index"
    assert code_of(tree.inclusion_proof, -1) == "merkle.index"


def test_hashes_of_another_length_are_refused():
    assert code_of(verify_inclusion, leaf_hash(b""), 0, 2, [b"short"], leaf_hash(b"")) == "merkle.hash"


def test_an_incomplete_subtree_has_no_hash():
    assert code_of(MerkleTree(leaves(3)).get_hash, 2, 0) == "merkle.incomplete"


def test_a_proof_in_a_large_log_reads_few_hashes():
    size = 100_003
    tree = MerkleTree(leaves(size))
    reads = []

    def counted(level, index):
        reads.append((level, index))
        return tree.get_hash(level, index)

    proof = inclusion_proof(77_777, size, counted)
    verify_inclusion(tree.get_hash(0, 77_777), 77_777, size, proof, tree.root)
    assert len(proof) == 17
    assert len(reads) <= 2 * 17
