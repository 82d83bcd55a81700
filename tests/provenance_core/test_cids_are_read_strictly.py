import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.core.cid import Cid, CidRefusal, Codec, HashFunction, read_varint, varint, verify_block
from provenance.core.digest import Sha256

HELLO = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
EMPTY_FOLDER = "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"


def text_of(raw):
    return "b" + base64.b32encode(raw).decode().rstrip("=").lower()


def refusal_of(action, *arguments):
    with pytest.raises(CidRefusal) as caught:
        action(*arguments)
    return caught.value


def test_published_cids_are_reproduced():
    assert str(Cid.of(b"hello world")) == HELLO
    assert str(Cid.of(b"\x0a\x02\x08\x01", Codec.DAG_PB)) == EMPTY_FOLDER


@given(st.sampled_from(Codec), st.binary(min_size=32, max_size=32))
def test_text_and_binary_forms_read_back_equal(codec, digest):
    cid = Cid.of_digest(Sha256(digest), codec)
    assert Cid.parse(str(cid)) == cid
    assert Cid.from_bytes(bytes(cid)) == cid
    assert cid.sha256.raw == digest


@given(st.binary(max_size=128))
def test_an_identity_cid_carries_up_to_128_bytes(data):
    cid = Cid(Codec.RAW, HashFunction.IDENTITY, data)
    assert Cid.parse(str(cid)) == cid
    verify_block(cid, data)


def test_an_identity_cid_of_129_bytes_is_refused():
    raw = b"\x01\x55\x00" + varint(129) + b"x" * 129
    refusal = refusal_of(Cid.from_bytes, raw)
    assert (refusal.code, refusal.limit, refusal.actual) == ("cid.identity_too_large", 128, 129)


@pytest.mark.parametrize(
    ("text", "code", "actual"),
    [
        ("QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn", "cid.version", "0"),
        (text_of(b"\x12\x20" + bytes(32)), "cid.version", "0"),
        (text_of(b"\x02\x55\x12\x20" + bytes(32)), "cid.version", 2),
        ("zdj7WkCmCSu6m5aU92UiHHJ9ws7z2GXCsGK3LFfGpYqB9Cng4", "cid.base", "base58btc"),
        (HELLO.upper(), "cid.base", "base32 upper case"),
        (text_of(b"\x01\x71\x12\x20" + bytes(32)), "cid.codec", "dag-cbor"),
        (text_of(b"\x01\x33\x12\x20" + bytes(32)), "cid.codec", "0x33"),
        (text_of(b"\x01\x55\x1b\x20" + bytes(32)), "cid.hash", "keccak-256"),
        (text_of(b"\x01\x55\x12\x1f" + bytes(31)), "cid.digest_length", 31),
        (text_of(b"\x01\x55\x12\x20" + bytes(31)), "cid.truncated", 31),
        (text_of(b"\x01\x55\x12\x20" + bytes(33)), "cid.text", None),
        (text_of(b"\x81\x00\x55\x12\x20" + bytes(32)), "varint.not_minimal", 2),
        ("b", "cid.text", "b"),
        ("", "cid.text", ""),
        ("hello", "cid.text", "hello"),
        (HELLO[:-1] + "f", "cid.text", None),
        (HELLO + "\n", "cid.text", None),
        ("b" + "a" * 300, "cid.too_long", 301),
    ],
)
def test_other_versions_bases_codecs_and_hashes_are_refused_by_name(text, code, actual):
    refusal = refusal_of(Cid.parse, text)
    assert refusal.code == code
    assert actual is None or refusal.actual == actual


def test_bytes_are_the_block_or_are_refused():
    cid = Cid.of(b"hello")
    verify_block(cid, b"hello")
    refusal = refusal_of(verify_block, cid, b"hellO")
    assert refusal.limit == str(cid)
    assert refusal.actual == str(Cid.of(b"hellO"))


@given(st.integers(0, 2**63 - 1), st.binary(max_size=3))
def test_varints_read_back_equal(value, rest):
    raw = varint(value)
    assert read_varint(raw + rest, 0) == (value, len(raw))


def test_a_varint_of_ten_bytes_is_refused():
    assert refusal_of(read_varint, b"\xff" * 9 + b"\x01", 0).code == "varint.too_long"
    assert refusal_of(read_varint, b"\xff", 0).code == "varint.truncated"
