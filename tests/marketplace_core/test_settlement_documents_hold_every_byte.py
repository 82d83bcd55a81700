import hashlib
import json
from dataclasses import replace

import pytest

from marketplace.core.facts import PayeeAdded, Registered
from marketplace.core.settlement import first_difference, settle
from marketplace.core.settlement_documents import Documents, read_documents, write_documents
from provenance.core.canonical import DOCUMENT_LIMIT, canonical_bytes, parse_canonical
from provenance.core.refusal import Refusal
from tests.marketplace_core.books import ADA_PAYEE, charge, facts, purchase


@pytest.fixture(scope="module")
def documents():
    bought = [purchase(number, 1 + number % 2, 1_000 + number) for number in range(1, 4)]
    return write_documents(settle(facts(purchases=bought, charges=[charge(1, 5, 70, 70)])))


@pytest.fixture(scope="module")
def large():
    changes = [PayeeAdded(5, number, number, f"0x{number:040x}") for number in range(100, 9_000)]
    changes += [Registered(6, number, number, f"0x{number:040x}", None) for number in range(100, 9_000)]
    bought = [purchase(number, number, 1_000 + number) for number in range(100, 9_000)]
    return settle(facts(purchases=bought, changes=changes))


def read(documents):
    return read_documents(documents.index, documents.shards, digest=documents.digest)


def resigned(documents, shard):
    """Documents whose index names a changed shard: what a proposer could publish."""
    index = parse_canonical(documents.index)
    entry = {**index["shards"][0], "sha256": hashlib.sha256(shard).hexdigest(), "bytes": len(shard)}
    return Documents(canonical_bytes({**index, "shards": [entry]}), (shard,))


def test_every_document_is_in_canonical_form(documents):
    for data in (documents.index, *documents.shards):
        parse_canonical(data)
    index = parse_canonical(documents.index)
    assert set(index) == {
        "schema", "epoch", "token", "deployment", "from", "to", "previous", "totals", "payees", "root", "shards",
    }  # fmt: skip
    assert index["shards"][0]["sha256"] == hashlib.sha256(documents.shards[0]).hexdigest()
    shard = parse_canonical(documents.shards[0])
    assert set(shard) == {"schema", "settlement", "shard", "revenue", "allocations", "balances"}
    assert shard["shard"] == 1
    assert set(shard["revenue"][0]) == {"kind", "license", "dataset", "tx", "log", "block", "gross", "fee"}
    assert set(shard["allocations"][0]) == {"dataset", "net", "payee", "account", "for", "reason", "bps", "amount"}
    assert set(shard["balances"][0]) == {"payee", "account", "amount", "cumulative"}


def test_many_lines_are_split_into_shards_of_at_most_one_mebibyte(large):
    documents = write_documents(large)
    assert len(documents.shards) > 3
    assert all(DOCUMENT_LIMIT - 1_000 < len(shard) <= DOCUMENT_LIMIT for shard in documents.shards[:-1])
    for number, shard in enumerate(documents.shards, start=1):
        assert parse_canonical(shard)["shard"] == number
    assert read(documents) == large


def test_one_flipped_byte_anywhere_is_found(documents):
    for position in range(0, len(documents.index), 7):
        index = bytearray(documents.index)
        index[position] ^= 1
        with pytest.raises(Refusal):
            read_documents(bytes(index), documents.shards, digest=documents.digest)
    for position in range(0, len(documents.shards[0]), 97):
        shard = bytearray(documents.shards[0])
        shard[position] ^= 1
        with pytest.raises(Refusal) as refusal:
            read_documents(documents.index, (bytes(shard),), digest=documents.digest)
        assert refusal.value.code == "settlement.shard_digest"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"log":1', b'"log":1.0'), (b'"log":1', b'"log":true'), (b'"log":1', b'"log":-1'), (b'"log":1', b'"log": 1'),
        (b'"log":1', b'"log":1,"log":1'), (b'"log":1', b'"log":1,"note":1'), (b'"kind":"purchase"', b'"kind":"gift"'),
        (b'"fee":"25"', b'"fee":"025"'), (b'"fee":"25"', b'"fee":"1002"'), (b'"tx":"0x', b'"tx":"0X'),
        (b'"account":"eip155', b'"account":"EIP155'), (b'"shard":1', b'"shard":2'), (b'"epoch":1', b'"epoch":2'),
        (b'"revenue":[', b'"revenue":[5,'), (b'"revenue":[', b'"revenue":[{},'), (b"{", b"[" * 100_000),
    ],
)  # fmt: skip
def test_a_shard_in_another_form_is_refused_even_if_the_index_names_it(documents, old, new):
    assert old in documents.shards[0]
    forged = resigned(documents, documents.shards[0].replace(old, new, 1))
    with pytest.raises(Refusal):
        read(forged)


def test_missing_and_swapped_shards_are_refused(large):
    documents = write_documents(large)
    for shards in (documents.shards[:-1], documents.shards[::-1], (*documents.shards, b"{}")):
        with pytest.raises(Refusal):
            read_documents(documents.index, shards, digest=documents.digest)


@pytest.mark.parametrize(
    "key", ["payees", "root", "totals", "epoch", "token", "deployment", "from", "to", "previous", "shards"]
)
def test_an_index_that_does_not_fit_its_shards_is_refused(documents, key):
    index = parse_canonical(documents.index)
    for wrong in (None, 7, "x", [], {}, "0x" + "00" * 32):
        if index[key] != wrong and not (key == "previous" and wrong is None) and not (key == "epoch" and wrong == 7):
            with pytest.raises(Refusal):
                read(Documents(canonical_bytes({**index, key: wrong}), documents.shards))


def test_a_root_over_other_balances_is_refused(documents):
    index = parse_canonical(documents.index)
    with pytest.raises(Refusal) as refusal:
        read(Documents(canonical_bytes({**index, "root": "0x" + "ab" * 32}), documents.shards))
    assert refusal.value.code == "settlement.root"


def test_the_first_difference_is_named_with_both_values(documents):
    honest = read(documents)
    assert first_difference(honest, honest) is None
    stolen = {1: -1, ADA_PAYEE: 1}
    moved = [
        line._replace(amount=line.amount + by, cumulative=line.cumulative + by)
        for line in honest.balances
        for by in (stolen.get(line.payee, 0),)
    ]
    difference = first_difference(honest, replace(honest, balances=tuple(moved)))
    assert difference.where == "balance 1"
    assert json.loads(difference.ours)["payee"] == 1
    assert difference.sentence.startswith("balance 1: computed {")


def test_a_missing_line_and_another_epoch_are_differences(documents):
    honest = read(documents)
    fewer = settle(facts(purchases=[purchase(number, 1 + number % 2, 1_000 + number) for number in range(1, 4)]))
    difference = first_difference(honest, fewer)
    assert (difference.where, difference.theirs) == ("revenue line 4", None)
    assert "published nothing" in difference.sentence
    assert first_difference(honest, replace(honest, epoch=2)).where == "epoch"
