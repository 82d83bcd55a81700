import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.core.car import CarReader, CarRefusal, car_header, write_car
from provenance.core.cid import Cid, CidRefusal, Codec, HashFunction
from provenance.core.refusal import Refusal
from provenance.core.unixfs.directory import build_tree
from provenance.core.unixfs.reading import walk_blocks
from tests.provenance_core.dags import Blocks, file_node


def car_of(*contents):
    blocks = [(Cid.of(content), content) for content in contents]
    return b"".join(write_car([blocks[0][0]], blocks))


def test_the_header_is_the_dag_cbor_of_the_specification():
    header = car_header([Cid.of(b"")])
    assert header[0] == len(header) - 1
    assert header[1:9] == b"\xa2\x65roots\x81"
    assert header[9:14] == b"\xd8\x2a\x58\x25\x00"
    assert header.endswith(b"\x67version\x01")


@pytest.mark.parametrize("roots", [1, 2, 15])
def test_a_folder_travels_whole(roots):
    blocks = Blocks()
    root = build_tree([("a/b", file_node(b"1", blocks)), ("c", file_node(b"2", blocks))], blocks.put)
    car = b"".join(write_car([root.cid] * roots, walk_blocks(root.cid, blocks.get_block)))
    reader = CarReader(io.BytesIO(car).read)
    assert reader.roots == (root.cid,) * roots
    assert dict(reader) == blocks


def test_a_reader_copes_with_a_source_that_gives_one_byte_at_a_time():
    source = io.BytesIO(car_of(b"one", b"two"))
    assert [block for _, block in CarReader(lambda _: source.read(1))] == [b"one", b"two"]


def test_a_block_that_is_not_what_its_cid_names_is_refused():
    car = bytearray(car_of(b"honest"))
    car[-1] ^= 1
    with pytest.raises(CidRefusal, match="not the block"):
        list(CarReader(io.BytesIO(car).read))


@given(st.integers(0, 10_000))
def test_a_car_cut_anywhere_but_between_sections_is_refused(cut):
    car = car_of(b"one", b"two")
    first_end = len(car_of(b"one"))
    cut %= len(car)
    header_end = len(car_header([Cid.of(b"one")]))
    if cut in {header_end, first_end}:
        return
    with pytest.raises(CarRefusal):
        list(CarReader(io.BytesIO(car[:cut]).read))


@given(st.data())
def test_any_flipped_byte_is_refused(data):
    car = bytearray(car_of(b"one", b"two"))
    start = len(car_header([Cid.of(b"one")]))
    at = data.draw(st.integers(start, len(car) - 1))
    car[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Refusal):
        list(CarReader(io.BytesIO(car).read))


def test_other_versions_and_shapes_are_refused():
    def code_of(raw):
        with pytest.raises(Refusal) as caught:
            CarReader(io.BytesIO(raw).read)
        return caught.value.code

    assert code_of(b"\x0a\xa1\x67version\x02") == "car.version"
    assert code_of(b"") == "car.empty"
    assert code_of(b"\x02{}") == "car.header"
    assert code_of(b"\xff\xff\xff\xff\x0f") == "car.length"
    assert code_of(b"\x00") == "car.length"


def test_a_car_without_roots_or_with_an_inline_root_is_refused():
    with pytest.raises(CarRefusal):
        car_header([])
    with pytest.raises(CarRefusal):
        car_header([Cid(Codec.RAW, HashFunction.IDENTITY, b"x")])
