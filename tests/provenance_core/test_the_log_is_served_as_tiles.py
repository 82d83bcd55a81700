import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.core.merkle import MerkleTree, consistency_proof, inclusion_proof, leaf_hash, tree_root
from provenance.core.tiles import (
    Tile,
    TileReader,
    TileRefusal,
    bundle_bytes,
    bundle_entries,
    new_bundles,
    new_tiles,
    tile_bytes,
    tiles_of,
)
from provenance.core.tlogproof import TlogProof, TlogProofRefusal
from tests.provenance_core.logs import Log


def code_of(action, *arguments):
    with pytest.raises(TileRefusal) as caught:
        action(*arguments)
    return caught.value.code


@pytest.fixture(scope="module")
def large_tree():
    return MerkleTree(leaf_hash(number.to_bytes(4, "big")) for number in range(70_000))


def test_the_worked_example_of_the_specification_holds():
    tiles = list(tiles_of(70_000))
    by_level = {level: [tile for tile in tiles if tile.level == level] for level in range(4)}
    assert [sum(tile.is_full for tile in by_level[level]) for level in range(4)] == [273, 1, 0, 0]
    assert [[tile.width for tile in by_level[level] if not tile.is_full] for level in range(4)] == [
        [112],
        [17],
        [1],
        [],
    ]
    assert [tile.path for tile in tiles_of(256)] == ["tile/0/000", "tile/1/000.p/1"]


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 1_234_067), "tile/0/x001/x234/067"),
        (Tile(1, 999, 17), "tile/1/999.p/17"),
        (Tile(63, 1000, 255), "tile/63/x001/000.p/255"),
        (Tile(None, 42, 1), "tile/entries/042.p/1"),
    ],
)
def test_paths_are_those_of_the_specification(tile, path):
    assert tile.path == path
    assert Tile.parse(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/0",
        "tile/00/000",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/64/000",
        "tile/data/000",
        "tile/0/../000",
        "tile/0/000\n",
        "",
    ],
)
def test_a_tile_has_no_second_name(path):
    with pytest.raises(TileRefusal):
        Tile.parse(path)


@given(st.integers(0, 70_000), st.integers(0, 70_000))
def test_growing_in_steps_writes_all_that_growing_at_once_writes(first, second):
    small, large = sorted((first, second))
    steps = set(new_tiles(0, small)) | set(new_tiles(small, large))
    assert set(tiles_of(large)) <= steps
    assert set(new_bundles(0, large)) <= set(new_bundles(0, small)) | set(new_bundles(small, large))


def test_nothing_is_written_when_nothing_grew():
    assert list(new_tiles(5, 5)) == []
    assert list(new_bundles(256, 256)) == []


@pytest.mark.parametrize("size", [1, 255, 256, 257, 65_535, 65_536, 70_000])
def test_roots_and_proofs_come_from_tiles_alone(large_tree, size):
    files = {tile: tile_bytes(tile, large_tree.get_hash) for tile in tiles_of(size)}
    reader = TileReader(size, files.__getitem__)
    assert tree_root(size, reader.get_hash) == tree_root(size, large_tree.get_hash)
    for index in {0, size // 3, size - 1}:
        assert inclusion_proof(index, size, reader.get_hash) == inclusion_proof(index, size, large_tree.get_hash)
    earlier = size // 2 + 1
    assert consistency_proof(earlier, size, reader.get_hash) == consistency_proof(earlier, size, large_tree.get_hash)


def test_a_reader_asks_only_for_tiles_that_exist_at_its_size(large_tree):
    reader = TileReader(300, lambda tile: tile_bytes(tile, large_tree.get_hash))
    assert code_of(reader.get_hash, 0, 300) == "tile.incomplete"
    assert code_of(reader.get_hash, 9, 0) == "tile.incomplete"
    assert code_of(TileReader(300, lambda _: b"short").get_hash, 0, 0) == "tile.length"


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=256))
def test_bundles_read_back_equal(entries):
    assert bundle_entries(bundle_bytes(entries), len(entries)) == entries


def test_a_bundle_keeps_its_limits():
    assert bundle_entries(bundle_bytes([b"x" * 65_535]), 1) == [b"x" * 65_535]
    assert code_of(bundle_bytes, [b"x" * 65_536]) == "bundle.entry"
    assert code_of(bundle_bytes, []) == "bundle.width"
    assert code_of(bundle_bytes, [b""] * 257) == "bundle.width"
    assert code_of(bundle_entries, bundle_bytes([b"a", b"b"]), 3) == "bundle.width"
    assert code_of(bundle_entries, bundle_bytes([b"abc"])[:-1], 1) == "bundle.truncated"
    assert code_of(bundle_entries, b"\x00", 1) == "bundle.truncated"
    assert code_of(tile_bytes, Tile(None, 0, 1), lambda _level, _index: b"") == "tile.bundle"


def test_a_proof_file_proves_one_entry_offline():
    log = Log(entries=[b"entry %d" % number for number in range(300)])
    proof = TlogProof.parse(log.proof(257).text)
    assert proof.text.startswith("c2sp.org/tlog-proof@v1\nindex 257\n")
    assert proof.verify(b"entry 257", [log.vkey]) == log.checkpoint()


def test_a_proof_is_made_for_a_checkpoint_and_not_for_today():
    log = Log(entries=[b"entry %d" % number for number in range(20)])
    assert log.proof(3, 7).verify(b"entry 3", [log.vkey]).size == 7


def test_a_proof_carries_extra_data_and_may_have_an_empty_path():
    log = Log(entries=[b"only"])
    proof = TlogProof(0, (), log.note(), b"a hint")
    assert TlogProof.parse(proof.text) == proof
    assert TlogProof.parse(proof.text).verify(b"only", [log.vkey]).size == 1


@given(st.data())
def test_any_flipped_byte_of_a_proof_is_refused(data):
    log = Log(entries=[b"entry %d" % number for number in range(5)])
    raw = bytearray(log.proof(2).text.encode())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return
    with pytest.raises(Exception) as caught:
        TlogProof.parse(text).verify(b"entry 2", [log.vkey])
    assert hasattr(caught.value, "as_problem")


@pytest.mark.parametrize(
    "text",
    ["", "c2sp.org/tlog-proof@v2\nindex 0\n\nx", "c2sp.org/tlog-proof@v1\n\nx", "c2sp.org/tlog-proof@v1\nindex 01\n\nx",
     "c2sp.org/tlog-proof@v1\nindex 0\nAAAA\n\nx", "c2sp.org/tlog-proof@v1\nextra A\nindex 0\n\nx", "x" * 140_000],
)  # fmt: skip
def test_a_malformed_proof_file_is_refused(text):
    with pytest.raises(TlogProofRefusal):
        TlogProof.parse(text)
