from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.core.caip import Asset, AssetKind
from provenance.core.canonical import DOCUMENT_LIMIT, canonical_bytes, parse_canonical
from provenance.core.cid import Cid
from provenance.core.digest import Sha256
from provenance.core.file_record import FileRecord, file_lists, files_root, open_file, records_of_list, sorted_records
from provenance.core.manifest import Manifest, Visibility, all_records, make_manifest
from provenance.core.merkle import MerkleRefusal, leaf_hash, node_hash
from provenance.core.package import Package, PackageKind, manifest_name
from provenance.core.private_manifest import PrivateManifest, private_manifests
from provenance.core.refusal import Refusal
from provenance.core.rights import Basis, Rights
from provenance.core.snapshot import LogSnapshot
from tests.provenance_core.manifests import OWN_WORK, PARENT, description, manifest_of, record, some_records
from tests.provenance_core.statements import ADA, CHAIN, REGISTRY

RECIPIENT = "age1" + "q" * 58


def code_of(action, *arguments, **options):
    with pytest.raises(Refusal) as caught:
        action(*arguments, **options)
    return caught.value.code


def package(**changes):
    said = {
        "owner": ADA.account, "manifest": manifest_of().digest, "version": 1, "number": 1, "kind": PackageKind.SEALED,
        "root": Cid.of(b"root"), "recipient": RECIPIENT, "files": 6, "stored_bytes": 4711,
    }  # fmt: skip
    return Package(**{**said, **changes})


@pytest.mark.parametrize("visibility", Visibility)
def test_a_manifest_reads_back_from_the_block_that_its_digest_names(visibility):
    manifest = manifest_of(visibility=visibility)
    data = manifest.to_bytes()
    assert Manifest.parse(data) == manifest
    assert Cid.of_digest(manifest.digest) == Cid.of(data)
    assert parse_canonical(data)["schema"] == "cadastre.manifest/1"


def test_the_manifest_binds_its_owner_so_that_a_stolen_digest_is_useless():
    mallory = replace(ADA.account, address="0x" + "66" * 20)
    assert manifest_of(owner=mallory).digest != manifest_of().digest


def test_sealed_data_shows_neither_paths_nor_digests_of_its_files():
    records = some_records()
    text = manifest_of(records).to_bytes().decode()
    assert all(record.path not in text and record.sha256.hex not in text for record in records)
    document = parse_canonical(manifest_of(records).to_bytes())
    document["files"] = [record.to_document() for record in records]
    assert code_of(Manifest.from_document, document) == "manifest.sealed_files"


def test_the_same_files_with_other_salts_have_another_root():
    one = [record("a", b"same", salt=b"1" * 16)]
    two = [record("a", b"same", salt=b"2" * 16)]
    assert files_root(one) != files_root(two)


def test_the_files_root_is_that_of_rfc_6962_over_the_canonical_records():
    first, second = some_records(2)
    left, right = (leaf_hash(canonical_bytes(each.to_document())) for each in (first, second))
    assert files_root([first, second]).raw == node_hash(left, right)


@given(st.integers(1, 40), st.data())
def test_one_file_is_opened_without_showing_the_others(count, data):
    records = some_records(count)
    root = files_root(records)
    opening = open_file(records, data.draw(st.integers(0, count - 1)))
    opening.verify(root)
    with pytest.raises(MerkleRefusal):
        replace(opening, record=replace(opening.record, size=opening.record.size + 1)).verify(root)
    with pytest.raises(MerkleRefusal):
        replace(opening, record=replace(opening.record, salt=bytes(16))).verify(root)


def test_records_stand_in_the_order_of_path_bytes_each_once():
    names = ["b", "a/z", "a", "\uffff", "😀"]
    ordered = sorted_records(map(record, names))
    assert [each.path for each in ordered] == ["a", "a/z", "b", "\uffff", "😀"]
    assert code_of(files_root, ordered[::-1]) == "files.unsorted"
    assert code_of(sorted_records, [record("a"), record("a")]) == "file.path"
    assert code_of(files_root, []) == "files.none"


@pytest.mark.parametrize(
    "path", ["", "/a", "a//b", "../a", "a/.", "a\nb", "a\0b", "a\x7f", "a\x85", "e\u0301", "\ud800"]
)
def test_paths_that_mean_different_things_on_different_machines_are_refused(path):
    assert code_of(record, path) == "file.path"


def test_a_path_of_1024_bytes_passes_and_a_longer_one_is_refused():
    assert record("é" * 512).path
    assert code_of(record, "é" * 512 + "x") == "file.path_too_long"


def test_open_files_that_do_not_fit_stand_in_lists_beside_the_manifest():
    records = some_records(9000)
    manifest, lists = make_manifest(description(), records, visibility=Visibility.OPEN)
    assert manifest.files is None
    assert len(lists) >= 2
    assert all(len(each) <= DOCUMENT_LIMIT for each in lists)
    assert manifest.file_lists == tuple(map(Sha256.of, lists))
    assert all_records(manifest, [parse_canonical(each) for each in lists]) == tuple(records)
    assert code_of(all_records, manifest, [parse_canonical(each) for each in lists[1:]]) == "manifest.files_root"
    assert all_records(manifest_of(visibility=Visibility.OPEN), []) == tuple(some_records())


def test_the_largest_manifest_with_its_files_inside_is_not_above_one_mebibyte():
    for count in range(3600, 4800, 60):
        manifest, _ = make_manifest(description(), some_records(count), visibility=Visibility.OPEN)
        assert len(manifest.to_bytes()) <= DOCUMENT_LIMIT


def test_lists_are_packed_full_and_read_back():
    records = some_records(50)
    lists = list(file_lists(records, limit=2000))
    assert all(len(each) <= 2000 for each in lists)
    assert all(len(each) > 1500 for each in lists[:-1])
    assert [read for each in lists for read in records_of_list(parse_canonical(each))] == records


def test_the_private_manifest_names_every_stored_file_and_is_split_when_it_must():
    records = some_records(9000)
    manifest = manifest_of(records)
    parts = private_manifests(manifest, records)
    assert len(parts) > 1
    assert [each for part in parts for each in PrivateManifest.parse(part.to_bytes()).records] == records
    assert {part.manifest for part in parts} == {manifest.digest}
    assert [manifest_name(number) for number in range(2)] == ["manifest.age", "manifest-1.age"]


def test_a_private_manifest_that_renames_a_stored_file_is_refused():
    part = private_manifests(manifest_of(), some_records())[0]
    document = parse_canonical(part.to_bytes())
    document["names"]["photos/00001.jpg"] = "0" * 32 + ".age"
    assert code_of(PrivateManifest.parse, canonical_bytes(document)) == "manifest.names"


def test_a_stored_name_is_opaque_and_depends_on_the_salt():
    here, there = record("ada.jpg", salt=b"1" * 16), record("ada.jpg", salt=b"2" * 16)
    assert here.stored_name != there.stored_name
    assert len(here.stored_name) == 36
    assert Sha256.of(b"cadastre.name/1\x00" + b"1" * 16 + b"\x00ada.jpg").hex[:32] + ".age" == here.stored_name


def test_files_that_are_not_those_of_the_version_are_refused():
    manifest = manifest_of()
    manifest.check_files(some_records())
    assert code_of(manifest.check_files, some_records(4)) == "manifest.files_root"
    lying = replace(manifest, totals=replace(manifest.totals, bytes=1))
    assert code_of(lying.check_files, some_records()) == "manifest.totals"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"title": ""}, "manifest.title"),
        ({"title": "x" * 201}, "manifest.title"),
        ({"creator": ""}, "manifest.creator"),
        ({"description": "x" * 4001}, "manifest.description"),
        ({"version": 2}, "manifest.previous"),
        ({"previous": Sha256.of(b"")}, "manifest.previous"),
        ({"rights": ()}, "manifest.rights"),
        ({"languages": ("pt-BR", "en")}, "manifest.unsorted"),
        ({"languages": ("english language",)}, "manifest.value"),
        ({"collected_from": date(2026, 2, 1), "collected_to": date(2026, 1, 1)}, "manifest.collected"),
        ({"parents": (PARENT, PARENT)}, "manifest.unsorted"),
        ({"parents": tuple(replace(PARENT, number=number) for number in range(10, 27))}, "manifest.parents"),
        ({"parents": (Asset(AssetKind.LICENSE, CHAIN, REGISTRY, 3),)}, "manifest.parents"),
    ],
)
def test_a_description_that_breaks_a_rule_is_refused(changes, code):
    assert code_of(manifest_of, **changes) == code


def test_sixteen_parents_and_the_longest_texts_pass():
    parents = tuple(replace(PARENT, number=number) for number in range(10, 26))
    manifest = manifest_of(parents=parents, title="x" * 200, creator="x" * 100, description="🙂" * 4000)
    assert Manifest.parse(manifest.to_bytes()) == manifest


@pytest.mark.parametrize(
    ("basis", "needed"),
    [(Basis.LICENSED, "licensed_from"), (Basis.OPEN_LICENSE, "license"), (Basis.PERSONAL_DATA, "legal_basis"),
     (Basis.SYNTHETIC, "model")],
)  # fmt: skip
def test_a_rights_basis_says_what_it_rests_on(basis, needed):
    assert code_of(Rights, source="s", basis=basis) == "rights.incomplete"
    stated = Rights(source="s", basis=basis, **{needed: "x"})
    assert Rights.from_document(stated.to_document()) == stated
    assert manifest_of(rights=(OWN_WORK, stated)).bases == tuple(sorted({"own-work", basis.value}))


def test_unknown_is_an_answer():
    assert manifest_of(rights=(Rights(source="found on a disk", basis=Basis.UNKNOWN),)).bases == ("unknown",)


@pytest.mark.parametrize("key", ["files", "title", "rights", "schema"])
def test_a_manifest_has_every_key_of_its_schema_and_no_other(key):
    document = parse_canonical(manifest_of().to_bytes())
    assert code_of(Manifest.from_document, {**document, "price": "1"}) == "field.unknown"
    del document[key]
    assert code_of(Manifest.from_document, document).startswith("field.")


@given(st.data())
def test_any_flipped_byte_of_a_manifest_gives_it_another_digest(data):
    raw = bytearray(manifest_of().to_bytes())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    try:
        assert Manifest.parse(bytes(raw)).digest != manifest_of().digest
    except Refusal:
        return


def test_a_package_reads_back_and_names_its_recipient_only_when_sealed():
    sealed = package()
    assert Package.parse(sealed.to_bytes()) == sealed
    opened = package(kind=PackageKind.OPEN, recipient=None)
    assert Package.parse(opened.to_bytes()) == opened
    assert code_of(package, recipient=None) == "package.recipient"
    assert code_of(package, kind=PackageKind.OPEN) == "package.recipient"
    assert code_of(package, recipient="age1" + "b" * 58) == "package.recipient"
    assert code_of(package, profile="unixfs-v0") == "package.profile"
    assert code_of(package, number=0) == "package.counts"


def test_a_snapshot_names_one_bundle_for_each_256_entries():
    snapshot = LogSnapshot(
        origin="log.example", size=257, root=Sha256.of(b""), checkpoint="note", previous=None,
        bundles=(Cid.of(b"1"), Cid.of(b"2")),
    )  # fmt: skip
    assert LogSnapshot.parse(snapshot.to_bytes()) == snapshot
    assert code_of(replace, snapshot, size=513) == "snapshot.bundles"


def test_a_file_record_with_a_malformed_member_is_refused():
    document = record("a").to_document()
    for changes in ({"salt": "00"}, {"sha256": "0x"}, {"bytes": -1}, {"media_type": "image"}, {"records": None}):
        with pytest.raises(Refusal):
            FileRecord.from_document({**document, **changes})
