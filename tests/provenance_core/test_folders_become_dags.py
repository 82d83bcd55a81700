import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.core.murmur3 import murmur3_x64_64
from provenance.core.unixfs.dagpb import FsType, decode_node
from provenance.core.unixfs.directory import build_directory, build_tree
from provenance.core.unixfs.profile import DIRECTORY_BLOCK_BYTES, UnixFsRefusal
from provenance.core.unixfs.reading import is_directory, list_directory, resolve, walk_files
from tests.provenance_core.dags import Blocks, file_node, leaf_node

ENTRY_OVERHEAD = 2 + 2 + 36 + 2 + 2  # link header, CID header, CID, name header, Tsize
names = st.text(min_size=1, max_size=8).filter(lambda n: n not in {".", ".."} and "/" not in n and "\0" not in n)


def refused(code, action, *arguments, **options):
    with pytest.raises(UnixFsRefusal) as caught:
        action(*arguments, **options)
    assert caught.value.code == code


def children_of_block_size(size):
    """Children with names of 70 bytes, and one of another length, whose plain folder block has exactly `size` bytes."""
    each = ENTRY_OVERHEAD + 70
    count = (size - 4) // each - 1
    children = {f"{number:070}": leaf_node() for number in range(count)}
    rest = size - 4 - count * each - ENTRY_OVERHEAD
    if rest > 80:  # a link above 127 bytes needs one more byte for its length
        children["0" * 30] = leaf_node()
        rest -= ENTRY_OVERHEAD + 30
    children["z" * rest] = leaf_node()
    return children


def plain_block(children, blocks):
    node = build_directory(children, blocks.put)
    return blocks[node.cid]


@pytest.mark.parametrize(
    ("data", "hashed"),
    # Published vectors of MurmurHash3_x64_128 with seed 0, first 64 bits.
    [
        (b"", "0000000000000000"),
        (b"hello", "cbd8a7b341bd9b02"),
        (b"hello, world", "342fac623a5ebc8e"),
        (b"19 Jan 2038 at 3:14:07 AM", "b89e5988b737affc"),
        (b"The quick brown fox jumps over the lazy dog.", "cd99481f9ee902c9"),
    ],
)
def test_names_are_hashed_by_murmur3_as_published(data, hashed):
    assert murmur3_x64_64(data).hex() == hashed


def test_links_stand_in_the_order_of_name_bytes():
    blocks = Blocks()
    children = {name: leaf_node() for name in ["é", "a", "Z", "😀", "\uffff", "a\nb", "a b"]}
    written = [link.name for link in decode_node(plain_block(children, blocks)).links]
    assert written == sorted(children, key=str.encode)
    assert written[-1] == "😀"  # in UTF-16 it would stand before U+FFFF


@pytest.mark.parametrize(
    ("size", "kind"),
    [
        (DIRECTORY_BLOCK_BYTES - 1, FsType.DIRECTORY),
        (DIRECTORY_BLOCK_BYTES, FsType.DIRECTORY),
        (DIRECTORY_BLOCK_BYTES + 1, FsType.HAMT_SHARD),
    ],
)
def test_a_folder_is_sharded_only_past_262144_bytes(size, kind):
    blocks = Blocks()
    children = children_of_block_size(size)
    block = plain_block(children, blocks)
    assert decode_node(block).data.type is kind
    if kind is FsType.DIRECTORY:
        assert len(block) == size
    else:
        assert len(children) > 2000
    root = build_directory(children, blocks.put)
    assert {entry.name for entry in list_directory(root.cid, blocks.get_block)} == set(children)


def test_every_name_is_found_in_a_sharded_folder_and_no_other():
    blocks = Blocks()
    leaf = file_node(b"content", blocks)
    files = [(f"photos/{number:040}.jpg", leaf) for number in range(4000)]
    root = build_tree([*files, ("readme.txt", leaf)], blocks.put)
    photos = resolve(root.cid, "photos", blocks.get_block)
    assert decode_node(blocks[photos]).data.type is FsType.HAMT_SHARD
    assert dict(walk_files(root.cid, blocks.get_block)) == {
        **{path: leaf.cid for path, _ in files},
        "readme.txt": leaf.cid,
    }
    assert all(resolve(root.cid, path, blocks.get_block) == leaf.cid for path, _ in files[::97])
    refused("folder.not_found", resolve, root.cid, "photos/none.jpg", blocks.get_block)
    refused("folder.not_found", resolve, root.cid, "readme.txt/below", blocks.get_block)
    assert is_directory(photos, blocks.get_block)
    assert root.size == 4001 * len(b"content")


@given(st.dictionaries(names, st.binary(max_size=4), max_size=8), st.randoms())
def test_the_order_of_files_changes_nothing(files, random):
    nodes = [(f"folder/{name}", file_node(data)) for name, data in files.items()]
    shuffled = nodes[:]
    random.shuffle(shuffled)
    assert build_tree(shuffled) == build_tree(nodes)


def test_an_empty_folder_has_its_known_cid_and_counts_in_its_parent():
    assert str(build_tree([]).cid) == "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"
    blocks = Blocks()
    root = build_tree([], blocks.put, empty_directories=["a/b"])
    assert resolve(root.cid, "a/b", blocks.get_block) == build_tree([]).cid


@pytest.mark.parametrize("path", ["", "/a", "a//b", "a/", "../a", "a/./b", "nul\0", "\ud800"])
def test_impossible_names_are_refused(path):
    refused("folder.name", build_tree, [(path, leaf_node())])


def test_names_with_newlines_and_emoji_work():
    blocks = Blocks()
    leaf = file_node(b"x", blocks)
    root = build_tree([("line\nbreak/🙂.txt", leaf)], blocks.put)
    assert list(walk_files(root.cid, blocks.get_block)) == [("line\nbreak/🙂.txt", leaf.cid)]


def test_two_files_on_one_path_are_refused():
    refused("folder.duplicate", build_tree, [("a", leaf_node()), ("a", leaf_node())])


def test_a_path_that_is_a_file_and_a_folder_is_refused():
    refused("folder.file_and_folder", build_tree, [("a", leaf_node()), ("a/b", leaf_node())])


def test_a_path_of_128_names_works_and_one_of_129_is_refused():
    assert build_tree([("/".join("a" * 128), leaf_node())]).size == 1
    refused("folder.depth", build_tree, [("/".join("a" * 129), leaf_node())])
