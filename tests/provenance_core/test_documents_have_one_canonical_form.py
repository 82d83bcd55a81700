import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.core.canonical import (
    DOCUMENT_LIMIT,
    INTEGER_LIMIT,
    CanonicalRefusal,
    canonical_bytes,
    document_cid,
    document_digest,
    parse_canonical,
    parse_strict,
)
from provenance.core.cid import Cid

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-INTEGER_LIMIT, INTEGER_LIMIT) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def refused(code, action, *arguments, **options):
    with pytest.raises(CanonicalRefusal) as caught:
        action(*arguments, **options)
    assert caught.value.code == code
    return caught.value


def test_keys_sort_by_utf16_units_as_in_the_example_of_rfc_8785():
    keys = ["€", "\r", "\ufb33", "1", "😀", "\u0080", "ö"]
    written = canonical_bytes(dict.fromkeys(keys, 0)).decode()
    assert list(json.loads(written)) == ["\r", "1", "\u0080", "ö", "€", "😀", "\ufb33"]


def test_strings_escape_only_what_rfc_8785_escapes():
    assert canonical_bytes({"s": "€$\x0f\nA'B\"\\/"}) == '{"s":"€$\\u000f\\nA\'B\\"\\\\/"}'.encode()


@given(json_values)
def test_what_is_written_is_read_back_equal(value):
    assert parse_canonical(canonical_bytes(value)) == value


@given(json_values)
def test_the_digest_does_not_depend_on_the_order_of_keys(value):
    shuffled = json.loads(json.dumps(value), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    assert document_digest(shuffled) == document_digest(value)


def test_a_document_is_found_in_ipfs_by_its_digest_on_chain():
    document = {"schema": "cadastre.manifest/1"}
    assert document_cid(document) == Cid.of(canonical_bytes(document))
    assert document_cid(document).sha256 == document_digest(document)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b'{"a":1,"a":2}', "document.duplicate_key"),
        (b'{"a":1.0}', "document.float"),
        (b'{"a":1e3}', "document.float"),
        (b'{"a":NaN}', "document.float"),
        (b'{"a":-Infinity}', "document.float"),
        (b'{"a":9007199254740992}', "document.integer"),
        (b'{"a":' + b"9" * 5000 + b"}", "document.integer"),
        (b'{"a":"\\ud800"}', "document.surrogate"),
        (b'{"\\udc00":1}', "document.surrogate"),
        (b"\xff", "document.utf8"),
        (b"\xef\xbb\xbf{}", "document.json"),
        (b"{'a':1}", "document.json"),
        (b"", "document.json"),
        (b"[" * 100_000, "document.depth"),
        (b"[" * 40 + b"]" * 40, "document.depth"),
    ],
)
def test_a_parser_refuses_what_python_would_repair(data, code):
    refused(code, parse_strict, data)


@pytest.mark.parametrize("data", [b'{"a": 1}', b'{"b":1,"a":2}', b'{"a":"\\u0041"}', b'{"a":-0}', b'{"a":1}\n'])
def test_another_spelling_of_a_document_is_not_its_canonical_form(data):
    parse_strict(data)
    assert "RFC 8785" in str(refused("document.not_canonical", parse_canonical, data))


def test_the_largest_exact_integer_passes_and_the_next_one_is_refused():
    assert canonical_bytes(INTEGER_LIMIT) == b"9007199254740991"
    assert refused("document.integer", canonical_bytes, {"price": [INTEGER_LIMIT + 1]}).limit == INTEGER_LIMIT


def test_a_refusal_names_the_place_in_the_document():
    assert "$.lines[1].price" in str(refused("document.float", canonical_bytes, {"lines": [{}, {"price": 0.5}]}))


def test_values_that_json_does_not_know_are_refused():
    refused("document.type", canonical_bytes, {"a": {1, 2}})
    refused("document.key", canonical_bytes, {1: "a"})


def test_a_document_of_one_mebibyte_passes_and_one_byte_more_is_refused():
    fitting = "x" * (DOCUMENT_LIMIT - 2)
    assert len(parse_canonical(canonical_bytes(fitting))) == DOCUMENT_LIMIT - 2
    refusal = refused("document.too_large", document_cid, fitting + "x")
    assert (refusal.limit, refusal.actual) == (DOCUMENT_LIMIT, DOCUMENT_LIMIT + 1)
    refused("document.too_large", parse_canonical, canonical_bytes(fitting + "x"))
