import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provenance.core.cid import Cid, CidRefusal, Codec
from provenance.core.refusal import Refusal
from provenance.core.unixfs.dagpb import FsData, FsType, decode_node, encode_data, encode_link, encode_node
from provenance.core.unixfs.hamt import HASH_TYPE, bit_field
from provenance.core.unixfs.profile import BLOCK_LIMIT, CHUNK_BYTES, UnixFsRefusal
from provenance.core.unixfs.reading import file_size, list_directory, read_file, resolve, walk_blocks, walk_files
from tests.provenance_core.dags import Blocks, file_node

DATA = os.urandom(3 * CHUNK_BYTES + 17)


def stored(blocks, links, data):
    block = encode_node(links, encode_data(data))
    cid = Cid.of(block, Codec.DAG_PB)
    blocks[cid] = block
    return cid


def refused(code, action):
    with pytest.raises(Refusal) as caught:
        action()
    assert caught.value.code == code


@pytest.fixture(scope="module")
def blocks():
    return Blocks()


@pytest.fixture(scope="module")
def root(blocks):
    return file_node(DATA, blocks).cid


@settings(max_examples=40)
@given(st.integers(0, len(DATA)), st.integers(0, len(DATA)))
def test_a_range_fetches_and_yields_only_its_own_bytes(blocks, root, start, stop):
    fetched = []

    def get(cid):
        fetched.append(cid)
        return blocks[cid]

    assert b"".join(read_file(root, get, start=start, stop=stop)) == DATA[start:stop]
    assert len(fetched) <= 1 + max(0, stop - start) // CHUNK_BYTES + 2


def test_an_altered_block_is_refused_before_any_of_it_is_yielded(blocks, root):
    leaf = decode_node(blocks[root]).links[1].cid
    reading = read_file(root, lambda cid: blocks[cid][:-1] + b"\x00" if cid == leaf else blocks[cid])
    assert next(reading) == DATA[:CHUNK_BYTES]
    with pytest.raises(CidRefusal, match="not the block"):
        next(reading)


def test_a_block_above_two_mebibytes_is_refused_even_if_its_hash_is_right():
    block = b"x" * (BLOCK_LIMIT + 1)
    refused("block.too_large", lambda: list(read_file(Cid.of(block), lambda _: block)))


def test_a_parent_that_lies_about_its_parts_is_refused():
    blocks = Blocks()
    leaf = file_node(b"four", blocks)
    link = encode_link(leaf.cid, "", 4)
    wrong_part = stored(blocks, [link], FsData(FsType.FILE, file_size=5, block_sizes=(5,)))
    wrong_sum = stored(blocks, [link], FsData(FsType.FILE, file_size=9, block_sizes=(4,)))
    no_sizes = stored(blocks, [link], FsData(FsType.FILE, file_size=4))
    for cid in (wrong_part, wrong_sum, no_sizes):
        refused("file.sizes", lambda cid=cid: list(read_file(cid, blocks.get_block)))
    refused("file.sizes", lambda: file_size(wrong_sum, blocks.get_block))


def test_a_file_with_inline_data_from_another_writer_is_read():
    blocks = Blocks()
    leaf = file_node(b"world", blocks)
    cid = stored(blocks, [encode_link(leaf.cid, "", 5)], FsData(FsType.FILE, b"hello ", file_size=11, block_sizes=(5,)))
    assert b"".join(read_file(cid, blocks.get_block)) == b"hello world"
    assert b"".join(read_file(cid, blocks.get_block, start=4, stop=8)) == b"o wo"


def test_a_file_dag_of_endless_depth_is_refused():
    blocks = Blocks()
    cid, tsize = file_node(b"x", blocks).cid, 1
    for _ in range(30):
        cid = stored(blocks, [encode_link(cid, "", tsize)], FsData(FsType.FILE, file_size=1, block_sizes=(1,)))
    refused("file.depth", lambda: list(read_file(cid, blocks.get_block)))


def test_folders_nested_without_end_are_refused():
    blocks = Blocks()
    cid = file_node(b"x", blocks).cid
    for _ in range(200):
        cid = stored(blocks, [encode_link(cid, "a", 1)], FsData(FsType.DIRECTORY))
    refused("folder.depth", lambda: list(walk_files(cid, blocks.get_block)))


@pytest.mark.parametrize("name", ["..", "", "a/b", "a\0"])
def test_a_folder_that_would_escape_is_refused(name):
    blocks = Blocks()
    cid = stored(blocks, [encode_link(Cid.of(b""), name, 0)], FsData(FsType.DIRECTORY))
    with pytest.raises(UnixFsRefusal):
        list(list_directory(cid, blocks.get_block))


def test_a_folder_that_repeats_a_name_is_refused():
    blocks = Blocks()
    cid = stored(blocks, [encode_link(Cid.of(b""), "a", 0)] * 2, FsData(FsType.DIRECTORY))
    refused("folder.name", lambda: list(list_directory(cid, blocks.get_block)))


@pytest.mark.parametrize(
    ("link_name", "field", "fanout"),
    [
        ("AAname", bit_field([0xAA]), 256),  # the name hashes to another slot
        ("aaname", bit_field([0xAA]), 256),  # lower-case digits
        ("5", bit_field([5]), 256),  # a cut prefix
        ("AAname", bit_field([0xAB]), 256),  # the bit field tells otherwise
        ("AAname", bit_field([0xAA]), 1 << 20),  # a fanout bomb
    ],
)
def test_a_malformed_shard_is_refused(link_name, field, fanout):
    blocks = Blocks()
    data = FsData(FsType.HAMT_SHARD, field, hash_type=HASH_TYPE, fanout=fanout)
    cid = stored(blocks, [encode_link(Cid.of(b""), link_name, 0)], data)
    refused("folder.hamt", lambda: list(list_directory(cid, blocks.get_block)))


def test_a_file_is_not_a_folder_and_a_folder_is_not_a_file():
    blocks = Blocks()
    folder = stored(blocks, [], FsData(FsType.DIRECTORY))
    file = stored(blocks, [], FsData(FsType.FILE, b"x", file_size=1))
    refused("file.not_a_file", lambda: list(read_file(folder, blocks.get_block)))
    refused("folder.not_a_folder", lambda: list(list_directory(file, blocks.get_block)))
    refused("folder.not_found", lambda: resolve(file, "a", blocks.get_block))


def test_a_symlink_is_refused():
    blocks = Blocks()
    cid = stored(blocks, [], FsData(FsType.SYMLINK, b"/etc/passwd"))
    refused("file.not_a_file", lambda: list(read_file(cid, blocks.get_block)))


@given(st.binary(max_size=200))
def test_random_bytes_are_read_or_refused_but_never_crash_the_reader(raw):
    try:
        decode_node(raw)
    except Refusal:
        return


@given(st.data())
def test_every_flipped_byte_of_a_node_is_read_or_refused(blocks, root, data):
    block = bytearray(blocks[root])
    at = data.draw(st.integers(0, len(block) - 1))
    block[at] ^= data.draw(st.integers(1, 255))
    try:
        decode_node(bytes(block))
    except Refusal:
        return


def test_a_shared_block_is_walked_once():
    blocks = Blocks()
    zeros = file_node(bytes(3 * CHUNK_BYTES), blocks)
    assert [len(block) for _, block in walk_blocks(zeros.cid, blocks.get_block)] == [
        len(blocks[zeros.cid]),
        CHUNK_BYTES,
    ]
