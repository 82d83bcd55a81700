from datetime import timedelta

import pytest

from provenance import pinning
from provenance.adapters.blocks_local import LocalBlocks
from provenance.core.cid import Cid
from provenance.core.unixfs.directory import build_tree
from provenance.core.unixfs.file import FileHasher
from provenance.models import Document, PinRow, PinState
from provenance.ports import StoreRefusal
from tests.content.conftest import NOW

pytestmark = pytest.mark.django_db


class Down:
    """A node that does not answer, until it does."""

    def __init__(self, store):
        self._store, self.down = store, False
        self.name = store.name

    def __getattr__(self, name):
        if self.down:
            raise StoreRefusal("store.down", f"The store {self.name} does not answer.")
        return getattr(self._store, name)


@pytest.fixture
def stores(var, limits):
    limits(copies=3)
    return {
        name: Down(LocalBlocks(var / name, name=name, reserve=0, durable=False)) for name in ("one", "two", "three")
    }


@pytest.fixture
def root(stores):
    """A folder of two files, 2.5 MiB and 4 bytes, whose blocks only the first store has."""

    def put(data):
        hasher = FileHasher(stores["one"].put_block)
        hasher.update(data)
        return hasher.finish()

    files = [("large.bin", put(bytes(range(256)) * 10_240)), ("small.txt", put(b"tiny"))]
    return build_tree(files, stores["one"].put_block).cid


def repaired(stores, now=NOW):
    pinning.repair_due(stores, now=now)


def test_three_copies_are_made_from_one(stores, root):
    pinning.want_pins(cid=root, stores=stores, now=NOW)
    assert str(pinning.copies_of(root)) == "0 of 3 copies"
    repaired(stores)
    assert str(pinning.copies_of(root)) == "3 of 3 copies"
    for store in stores.values():
        assert list(store.pins()) == [root]
        assert not store.announced(root)


def test_wanting_twice_is_wanting_once(stores, root):
    for _ in range(2):
        pinning.want_pins(cid=root, stores=stores, now=NOW)
    assert PinRow.objects.count() == 3


def test_a_node_that_is_down_shows_two_of_three_copies_and_its_cause_and_is_tried_again(stores, root):
    stores["three"].down = True
    pinning.want_pins(cid=root, stores=stores, now=NOW)
    repaired(stores)
    copies = pinning.copies_of(root)
    assert str(copies) == "2 of 3 copies"
    assert copies.causes == ("three: The store three does not answer.",)
    stores["three"].down = False
    repaired(stores, NOW + timedelta(seconds=5))
    assert pinning.copies_of(root).seen == 2
    repaired(stores, NOW + timedelta(seconds=11))
    assert pinning.copies_of(root) == pinning.Copies(3, 3)


def test_fewer_stores_than_copies_wanted_is_said(stores, root):
    pinning.want_pins(cid=root, stores=["one"], now=NOW)
    repaired(stores)
    copies = pinning.copies_of(root)
    assert (copies.seen, copies.wanted) == (1, 3)
    assert "2 more copies" in copies.causes[0]


@pytest.mark.parametrize("harm", ["altered", "gone"])
def test_the_audit_finds_bytes_that_a_node_claims_to_have_and_the_repair_brings_them_back(stores, root, var, harm):
    pinning.want_pins(cid=root, stores=stores, now=NOW)
    repaired(stores)
    for block in (var / "two" / "blocks").rglob("b*"):
        if block.is_file() and harm == "altered":
            block.write_bytes(block.read_bytes()[:-1] + b"!")
        elif block.is_file():
            block.unlink()
    later = NOW + timedelta(days=2)
    assert pinning.audit_due(stores, now=later) == 3
    row = PinRow.objects.get(store="two")
    assert row.state == PinState.BROKEN
    assert row.cause.startswith("the audit found: The store two ")
    assert str(pinning.copies_of(root)) == "2 of 3 copies"
    repaired(stores, later)
    assert str(pinning.copies_of(root)) == "3 of 3 copies"
    assert pinning.audit_due(stores, now=later + timedelta(days=2)) == 3
    assert PinRow.objects.filter(state=PinState.PINNED).count() == 3


def test_an_audit_of_sound_copies_finds_nothing_and_comes_back_later(stores, root):
    pinning.want_pins(cid=root, stores=stores, now=NOW)
    repaired(stores)
    assert pinning.audit_due(stores, now=NOW + timedelta(hours=1)) == 0
    assert pinning.audit_due(stores, now=NOW + timedelta(days=1)) == 3
    assert pinning.copies_of(root).seen == 3


def test_bytes_that_no_copy_holds_are_named(stores, root, var):
    pinning.want_pins(cid=root, stores=stores, now=NOW)
    lost = next(block for block in (var / "one" / "blocks").rglob("b*") if block.is_file() and block.name != str(root))
    lost.unlink()
    repaired(stores)
    assert pinning.copies_of(root).seen == 0
    assert PinRow.objects.filter(cause__contains=lost.name).count() == 3


def test_a_pin_that_never_ends_gets_a_cause_that_can_be_seen(stores, root, limits):
    limits(pin_deadline=timedelta(hours=1))
    pinning.want_pins(cid=root, stores=stores, now=NOW)
    assert pinning.call_overdue(now=NOW + timedelta(minutes=59)) == 0
    assert pinning.call_overdue(now=NOW + timedelta(hours=1)) == 3
    assert "has not ended by its deadline" in pinning.copies_of(root).causes[0]
    repaired(stores, NOW + timedelta(hours=1))
    assert pinning.copies_of(root).seen == 3


def test_a_row_taken_by_one_worker_is_left_alone_by_another(stores, root):
    pinning.want_pins(cid=root, stores=stores, now=NOW)
    rows = list(PinRow.objects.all())
    assert pinning.repair_due(stores, now=NOW) == 3
    taken = []
    pinning._each_taken(rows, NOW, taken.append)
    assert taken == []


def test_a_document_is_pinned_from_the_database(stores):
    document = Document.create_from_bytes(b'{"schema":"cadastre.test/1"}', schema="cadastre.test/1")
    cid = Cid.of(document.content)
    pinning.want_pins(cid=cid, stores=stores, now=NOW, announced=True)
    repaired(stores)
    assert pinning.copies_of(cid).seen == 3
    assert stores["two"].get_block(cid) == document.content
    assert stores["two"].announced(cid)


def test_what_becomes_public_is_announced_only_then(stores, root):
    pinning.want_pins(cid=root, stores=stores, now=NOW)
    repaired(stores)
    pinning.want_announced(cid=root, now=NOW)
    assert not stores["one"].announced(root)
    repaired(stores)
    assert all(store.announced(root) for store in stores.values())
