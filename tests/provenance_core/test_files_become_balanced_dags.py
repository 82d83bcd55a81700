import hashlib
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provenance.core.cid import Cid, Codec
from provenance.core.unixfs.dagpb import decode_node
from provenance.core.unixfs.file import FileDag, FileHasher, hash_file
from provenance.core.unixfs.profile import CHUNK_BYTES, FILE_WIDTH, UnixFsRefusal
from provenance.core.unixfs.reading import file_size, read_file
from tests.provenance_core.dags import Blocks, file_node

DATA = os.urandom(2 * CHUNK_BYTES + 1)


def depth_of(cid, blocks):
    depth = 0
    while cid.codec is Codec.DAG_PB:
        cid = decode_node(blocks[cid]).links[-1].cid
        depth += 1
    return depth


def synthetic(leaves):
    """A file whose leaves are all the same block of one byte: only inner nodes are made."""
    blocks = Blocks()
    leaf = Cid.of(b"x")
    blocks[leaf] = b"x"
    dag = FileDag(blocks.put)
    for _ in range(leaves):
        dag.add_leaf(leaf, 1)
    return dag.finish(), blocks


def test_an_empty_file_is_one_empty_raw_leaf():
    assert str(file_node(b"").cid) == "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"


@pytest.mark.parametrize("size", [1, CHUNK_BYTES - 1, CHUNK_BYTES])
def test_a_file_of_one_chunk_is_its_bare_leaf(size):
    node = file_node(DATA[:size])
    assert node.cid == Cid.of(DATA[:size])
    assert (node.size, node.tsize) == (size, size)


def test_one_byte_more_than_a_chunk_makes_a_parent_of_two_leaves():
    blocks = Blocks()
    node = file_node(DATA[: CHUNK_BYTES + 1], blocks)
    root = decode_node(blocks[node.cid])
    assert [link.cid for link in root.links] == [
        Cid.of(DATA[:CHUNK_BYTES]),
        Cid.of(DATA[CHUNK_BYTES : CHUNK_BYTES + 1]),
    ]
    assert root.data.block_sizes == (CHUNK_BYTES, 1)
    assert root.data.file_size == node.size == CHUNK_BYTES + 1
    assert node.tsize == CHUNK_BYTES + 1 + len(blocks[node.cid])
    assert [link.name for link in root.links] == ["", ""]


@pytest.mark.parametrize(
    ("leaves", "depth"),
    [(1, 0), (2, 1), (FILE_WIDTH - 1, 1), (FILE_WIDTH, 1), (FILE_WIDTH + 1, 2), (2 * FILE_WIDTH, 2)],
)
def test_levels_are_packed_to_1024_and_no_level_is_added_early(leaves, depth):
    node, blocks = synthetic(leaves)
    assert depth_of(node.cid, blocks) == depth
    assert node.size == leaves
    assert sum(map(len, read_file(node.cid, blocks.get_block))) == leaves


def test_a_node_with_one_child_stays_a_node_so_that_leaves_keep_one_depth():
    node, blocks = synthetic(FILE_WIDTH + 1)
    left, right = decode_node(blocks[node.cid]).links
    assert len(decode_node(blocks[left.cid]).links) == FILE_WIDTH
    assert len(decode_node(blocks[right.cid]).links) == 1


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_a_third_level_begins_past_1024_squared_leaves(extra):
    leaves = FILE_WIDTH**2 + extra
    node, blocks = synthetic(leaves)
    assert depth_of(node.cid, blocks) == (3 if extra > 0 else 2)
    assert node.size == leaves
    assert file_size(node.cid, blocks.get_block) == leaves


@settings(max_examples=30)
@given(st.integers(0, len(DATA)), st.lists(st.integers(1, CHUNK_BYTES + 5), max_size=6))
def test_the_cid_does_not_depend_on_how_the_bytes_arrive(size, pieces):
    hasher, at = FileHasher(), 0
    for piece in [*pieces, size]:
        hasher.update(DATA[at : min(at + piece, size)])
        at = min(at + piece, size)
    assert hasher.finish() == file_node(DATA[:size])


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES + 1])
@pytest.mark.parametrize("threads", [1, 2])
def test_threads_change_nothing_but_the_time(tmp_path, size, threads):
    path = tmp_path / "file"
    path.write_bytes(DATA[:size])
    blocks, streamed = Blocks(), Blocks()
    handle = os.open(path, os.O_RDONLY)
    try:
        node = hash_file(
            lambda buffer, offset: os.preadv(handle, [buffer], offset), size, threads=threads, sink=blocks.put
        )
    finally:
        os.close(handle)
    assert node == file_node(DATA[:size], streamed)
    assert blocks == streamed


def test_more_batches_than_threads_keep_the_order_of_leaves():
    size = 40 * CHUNK_BYTES + 3

    def read_at(buffer, offset):
        buffer[:] = hashlib.sha256(offset.to_bytes(8, "big")).digest()[:1] * len(buffer)
        return len(buffer)

    hasher = FileHasher()
    for offset in range(0, size, CHUNK_BYTES):
        length = min(CHUNK_BYTES, size - offset)
        hasher.update(hashlib.sha256(offset.to_bytes(8, "big")).digest()[:1] * length)
    assert hash_file(read_at, size, threads=2) == hasher.finish()


def test_a_file_that_shrinks_while_it_is_read_is_refused():
    with pytest.raises(UnixFsRefusal) as caught:
        hash_file(lambda _buffer, _offset: 0, 10)
    assert caught.value.code == "file.changed"


def test_a_short_read_is_continued_where_it_stopped():
    def one_byte(buffer, offset):
        buffer[:1] = DATA[offset : offset + 1]
        return 1

    assert hash_file(one_byte, 1000) == file_node(DATA[:1000])


def test_a_dag_without_leaves_is_refused():
    with pytest.raises(UnixFsRefusal, match="at least one leaf"):
        FileDag().finish()
