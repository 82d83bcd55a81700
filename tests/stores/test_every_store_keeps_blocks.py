"""The abstract suite of the content-store port: it runs over every adapter."""

from __future__ import annotations

import os
import random

import pytest

from provenance.core.car import CarRefusal, write_car
from provenance.core.cid import Cid, CidRefusal, Codec
from provenance.core.unixfs.dagpb import FsData, FsType, encode_data, encode_link, encode_node
from provenance.ports import ContentStore, StoreRefusal

Blocks = list[tuple[Cid, bytes]]


@pytest.fixture
def dag() -> Blocks:
    """A file of three chunks of random bytes; its root comes first."""
    leaves = [(Cid.of(data), data) for data in (os.urandom(1000), os.urandom(1000), os.urandom(10))]
    sizes = tuple(len(data) for _, data in leaves)
    links = [encode_link(cid, "", len(data)) for cid, data in leaves]
    root = encode_node(links, encode_data(FsData(FsType.FILE, file_size=sum(sizes), block_sizes=sizes)))
    return [(Cid.of(root, Codec.DAG_PB), root), *leaves]


def _random_block() -> tuple[Cid, bytes]:
    data = os.urandom(random.randrange(1, 5000))
    return Cid.of(data), data


def test_a_block_comes_back_as_it_was_put(store: ContentStore) -> None:
    cid, data = _random_block()
    assert not store.has(cid)
    store.put_block(cid, data)
    assert store.has(cid)
    assert store.get_block(cid) == data


def test_a_block_put_twice_is_kept_once_and_unharmed(store: ContentStore) -> None:
    cid, data = _random_block()
    store.put_block(cid, data)
    store.put_block(cid, memoryview(data))
    assert store.get_block(cid) == data


def test_the_empty_block_and_a_block_of_one_chunk_are_blocks_too(store: ContentStore) -> None:
    for data in (b"", os.urandom(1_048_576)):
        store.put_block(Cid.of(data), bytearray(data))
        assert store.get_block(Cid.of(data)) == data


def test_bytes_under_another_cid_are_refused_before_they_are_kept(store: ContentStore) -> None:
    cid, data = _random_block()
    with pytest.raises(CidRefusal) as refused:
        store.put_block(cid, data + b"!")
    assert refused.value.code == "block.mismatch"
    assert not store.has(cid)


def test_a_block_that_is_not_there_is_missing_by_name(store: ContentStore) -> None:
    cid, _ = _random_block()
    with pytest.raises(StoreRefusal) as refused:
        store.get_block(cid)
    assert refused.value.code == "store.missing"
    assert str(cid) in str(refused.value)


def test_a_car_brings_every_block_and_says_how_many(store: ContentStore, dag: Blocks) -> None:
    root = dag[0][0]
    stored = store.put_car(write_car([root], iter(dag)))
    assert stored.roots == (root,)
    assert stored.blocks == len(dag)
    assert stored.bytes == sum(len(data) for _, data in dag)
    assert all(store.get_block(cid) == data for cid, data in dag)


def test_a_car_with_one_altered_block_is_refused(store: ContentStore, dag: Blocks) -> None:
    car = bytearray(b"".join(write_car([dag[0][0]], iter(dag))))
    car[-1] ^= 1
    with pytest.raises(CidRefusal):
        store.put_car([bytes(car)])
    assert not store.has(dag[-1][0])


def test_a_car_that_breaks_off_is_refused(store: ContentStore, dag: Blocks) -> None:
    car = b"".join(write_car([dag[0][0]], iter(dag)))
    with pytest.raises(CarRefusal) as refused:
        store.put_car([car[:-3]])
    assert refused.value.code == "car.truncated"


def test_a_pin_holds_a_whole_dag_and_is_listed(store: ContentStore, dag: Blocks) -> None:
    root = dag[0][0]
    store.put_car(write_car([root], iter(dag)))
    store.pin(root, announce=False)
    store.pin(root, announce=False)
    assert list(store.pins()).count(root) == 1
    store.unpin(root)
    store.unpin(root)
    assert root not in list(store.pins())


def test_a_dag_with_a_block_missing_is_not_pinned(store: ContentStore, dag: Blocks) -> None:
    root = dag[0][0]
    for cid, data in dag[:-1]:
        store.put_block(cid, data)
    with pytest.raises(StoreRefusal) as refused:
        store.pin(root, announce=False)
    assert refused.value.code == "store.incomplete"
    assert root not in list(store.pins())


def test_only_what_should_be_announced_is(store: ContentStore, dag: Blocks) -> None:
    root = dag[0][0]
    store.put_car(write_car([root], iter(dag)))
    store.pin(root, announce=False)
    assert not store.announced(root)
    store.pin(root, announce=True)
    store.pin(root, announce=True)
    assert store.announced(root)
    store.pin(root, announce=False)
    assert not store.announced(root)


def test_letting_go_of_a_dag_ends_its_announcement(store: ContentStore, dag: Blocks) -> None:
    root = dag[0][0]
    store.put_car(write_car([root], iter(dag)))
    store.pin(root, announce=True)
    store.unpin(root)
    assert not store.announced(root)


def test_deleted_blocks_are_gone_and_counted(store: ContentStore, dag: Blocks) -> None:
    for cid, data in dag:
        store.put_block(cid, data)
    assert store.delete(cid for cid, _ in dag) == len(dag)
    assert not any(store.has(cid) for cid, _ in dag)
    assert store.delete(cid for cid, _ in dag) == 0


def test_a_working_store_says_so(store: ContentStore) -> None:
    health = store.health()
    assert health.ok
    assert health.cause == ""
