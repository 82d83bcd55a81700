import json
import os
import signal
from collections import Counter
from threading import Event

import pyrage
import pytest

from cadastre.download import DownloadRefusal, Progress, block_folder, download
from cadastre.license_bundle import BundleRefusal, LicenseBundle
from provenance.core.bundle import BundleKind
from provenance.core.cid import Cid, CidRefusal
from provenance.core.digest import Sha256
from provenance.core.file_record import FileRecordRefusal
from provenance.core.manifest import ManifestRefusal, Visibility
from provenance.core.private_manifest import PrivateManifest
from provenance.core.refusal import Refusal
from provenance.sealing import seal_bytes
from tests.client.goods import BUYER, CONTENT_KEY, FILES, Goods


class Shelf:
    """Blocks to download; `broken` says what to do with some of them."""

    def __init__(self, goods, broken=None):
        self.goods, self.broken, self.served = goods, broken or {}, Counter()

    def block(self, cid):
        self.served[cid] += 1
        act = self.broken.get(cid)
        return self.goods.blocks[cid] if act is None else act(self.goods.blocks[cid])

    def document(self, digest):
        return self.goods.documents[digest]


def bundle_of(goods, **changes):
    return LicenseBundle.read(goods.bundle(**changes).to_bytes())


def fetch(goods, folder, shelf=None, identity=str(BUYER), **changes):
    bundle = bundle_of(goods, **changes)
    return download(bundle, source=shelf or Shelf(goods), identity=identity, folder=folder)


def files_in(folder):
    found = (path for path in folder.rglob("*") if path.is_file() and ".cadastre" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_sealed_data_arrives_decrypted_and_checked(goods, tmp_path):
    done = fetch(goods, tmp_path / "data")
    assert files_in(tmp_path / "data") == FILES
    assert (done.files, done.bytes) == (3, sum(map(len, FILES.values())))
    assert done.root == str(goods.package.root)
    assert [path.name for path in (tmp_path / "data" / ".cadastre").iterdir()] == ["files.json"]


def test_progress_counts_blocks_then_files(goods, tmp_path):
    seen = []
    download(bundle_of(goods), source=Shelf(goods), identity=str(BUYER), folder=tmp_path / "data", progress=seen.append)
    assert seen[-1] == Progress(files=3, files_total=3)
    fetched = [each for each in seen if each.blocks]
    assert fetched[-1].blocks == fetched[-1].blocks_known == len(goods.blocks)


def test_open_data_needs_no_key(tmp_path):
    goods = Goods(Visibility.OPEN)
    fetch(goods, tmp_path / "data", identity=None)
    assert files_in(tmp_path / "data") == FILES


def test_open_data_is_fetched_with_nothing_but_its_trail(tmp_path):
    goods = Goods(Visibility.OPEN)
    fetch(goods, tmp_path / "data", identity=None, kind=BundleKind.TRAIL, certificate=None, grant=None, license=None)
    assert files_in(tmp_path / "data") == FILES


def test_blocks_that_are_there_are_not_fetched_again(goods, tmp_path):
    class Lost(Refusal):
        pass

    def broken(_block):
        raise Lost("test.lost", "The connection broke.")

    folder = tmp_path / "data"
    leaf = max(goods.blocks, key=lambda cid: len(goods.blocks[cid]))
    first = Shelf(goods, {leaf: broken})
    with pytest.raises(Lost):
        fetch(goods, folder, first)
    assert files_in(folder) == {}
    store = block_folder(folder)
    kept = {cid for cid in goods.blocks if store.has(cid)}
    assert kept
    second = Shelf(goods)
    fetch(goods, folder, second)
    assert set(second.served) == set(goods.blocks) - kept
    assert files_in(folder) == FILES


def test_a_block_that_was_altered_between_two_runs_is_fetched_again(goods, tmp_path):
    folder = tmp_path / "data"
    store = block_folder(folder)
    for cid, data in goods.blocks.items():
        store.put_block(cid, data)
    altered = next(cid for cid in goods.blocks if goods.blocks[cid])
    (path,) = (folder / ".cadastre").rglob(str(altered))
    path.write_bytes(bytes([goods.blocks[altered][0] ^ 1]) + goods.blocks[altered][1:])
    shelf = Shelf(goods)
    fetch(goods, folder, shelf)
    assert list(shelf.served) == [altered]
    assert files_in(folder) == FILES


def test_what_is_there_whole_is_not_fetched_again_and_what_was_altered_since_is(goods, tmp_path):
    folder = tmp_path / "data"
    assert not fetch(goods, folder).was_there
    idle = Shelf(goods)
    assert fetch(goods, folder, idle).was_there
    assert not idle.served
    (folder / "readme.txt").write_bytes(b"Scribbled over.\n")
    assert not fetch(goods, folder).was_there
    assert files_in(folder) == FILES


def test_ctrl_c_does_not_wait_for_a_network_that_stands_still(goods, tmp_path):
    over = Event()
    leaf = max(goods.blocks, key=lambda cid: len(goods.blocks[cid]))

    def stalled(block):
        os.kill(os.getpid(), signal.SIGINT)
        over.wait()
        return block

    try:
        with pytest.raises(KeyboardInterrupt):
            fetch(goods, tmp_path / "data", Shelf(goods, {leaf: stalled}))
    finally:
        over.set()


def test_one_altered_block_is_refused(goods, tmp_path):
    for cid in goods.blocks:
        shelf = Shelf(goods, {cid: lambda block: block[:-1] + bytes([block[-1] ^ 1]) if block else b"x"})
        with pytest.raises(CidRefusal):
            fetch(goods, tmp_path / str(cid), shelf)
        assert files_in(tmp_path / str(cid)) == {}


def test_a_file_that_is_not_the_registered_one_is_refused(tmp_path):
    class Swapped(Goods):
        def stored_sealed(self):
            contents = super().stored_sealed()
            name = next(record.stored_name for record in self.records if record.path == "readme.txt")
            return {**contents, name: seal_bytes(b"Something else.", str(CONTENT_KEY.to_public()))}

    with pytest.raises(DownloadRefusal) as refused:
        fetch(Swapped(), tmp_path / "data")
    assert refused.value.code == "download.file"
    assert "readme.txt" not in files_in(tmp_path / "data")


def test_a_file_sealed_with_another_key_is_refused(tmp_path):
    class Sealed(Goods):
        def stored_sealed(self):
            stranger = str(pyrage.x25519.Identity.generate().to_public())
            return {
                name: data if name.startswith("manifest") else seal_bytes(b"x", stranger)
                for name, data in super().stored_sealed().items()
            }

    with pytest.raises(DownloadRefusal) as refused:
        fetch(Sealed(), tmp_path / "data")
    assert refused.value.code == "download.decrypt"


def test_a_list_of_other_files_is_refused(tmp_path):
    class Short(Goods):
        def stored_sealed(self):
            part = PrivateManifest(self.manifest.digest, 1, tuple(self.records[:2])).to_bytes()
            return {**super().stored_sealed(), "manifest.age": seal_bytes(part, str(CONTENT_KEY.to_public()))}

    with pytest.raises(ManifestRefusal) as refused:
        fetch(Short(), tmp_path / "data")
    assert refused.value.code == "manifest.files_root"


def test_a_package_without_a_registered_file_is_refused(tmp_path):
    class Short(Goods):
        def stored_sealed(self):
            contents = super().stored_sealed()
            return {name: data for name, data in contents.items() if name != self.records[-1].stored_name}

    with pytest.raises(DownloadRefusal) as refused:
        fetch(Short(), tmp_path / "data")
    assert (refused.value.code, refused.value.actual) == ("download.missing", "readme.txt")


@pytest.mark.parametrize("path", ["../escaped", "/etc/passwd", "a/../../escaped", "a//b"])
def test_a_path_that_leaves_the_folder_is_refused(tmp_path, path):
    class Traversing(Goods):
        def stored_sealed(self):
            contents = super().stored_sealed()
            part = json.loads(private_manifest(self))
            part["records"][0]["path"] = path
            part["names"] = {}
            altered = json.dumps(part, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
            return {**contents, "manifest.age": seal_bytes(altered, str(CONTENT_KEY.to_public()))}

    with pytest.raises(FileRecordRefusal):
        fetch(Traversing(), tmp_path / "data")
    assert {each.name for each in tmp_path.iterdir()} == {"data"}
    assert files_in(tmp_path / "data") == {}


def private_manifest(goods):
    return PrivateManifest(goods.manifest.digest, 1, tuple(goods.records)).to_bytes()


def test_a_link_in_the_folder_leads_nothing_out_of_it(goods, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "photos").symlink_to(tmp_path / "outside")
    with pytest.raises(DownloadRefusal) as refused:
        fetch(goods, tmp_path / "data")
    assert refused.value.code == "download.path"
    assert list((tmp_path / "outside").iterdir()) == []


def test_data_under_the_name_of_the_download_itself_is_refused(tmp_path):
    goods = Goods(files={".cadastre/files.json": b"[]"})
    with pytest.raises(DownloadRefusal) as refused:
        fetch(goods, tmp_path / "data")
    assert refused.value.code == "download.path"


def test_another_identity_opens_nothing(goods, tmp_path):
    shelf = Shelf(goods)
    with pytest.raises(BundleRefusal) as refused:
        fetch(goods, tmp_path / "data", shelf, identity=str(pyrage.x25519.Identity.generate()))
    assert refused.value.code == "bundle.recipient"
    assert refused.value.limit == str(BUYER.to_public())
    assert not shelf.served


def test_sealed_data_without_an_identity_says_what_is_missing(goods, tmp_path):
    with pytest.raises(DownloadRefusal) as refused:
        fetch(goods, tmp_path / "data", identity=None)
    assert refused.value.code == "download.identity"


def test_a_grant_that_holds_another_key_is_refused_before_anything_is_fetched(tmp_path):
    class Wrong(Goods):
        def make_package(self):
            package = super().make_package()
            stranger = str(pyrage.x25519.Identity.generate().to_public())
            return type(package).from_document({**package.to_document(), "recipient": stranger})

    goods = Wrong()
    shelf = Shelf(goods)
    with pytest.raises(DownloadRefusal) as refused:
        fetch(goods, tmp_path / "data", shelf)
    assert refused.value.code == "download.key"
    assert not shelf.served


def test_a_bundle_with_an_altered_document_is_refused(goods):
    documents = dict(goods.documents)
    digest = goods.package.digest
    documents[digest] = documents[digest].replace(b"sealed", b"opened")
    with pytest.raises(BundleRefusal) as refused:
        LicenseBundle.read(goods.bundle(documents=documents).to_bytes())
    assert refused.value.code == "bundle.digest"


def test_a_long_list_of_open_files_is_taken_from_the_source_and_checked(tmp_path):
    folders = "/".join(letter * 200 for letter in "abcd")
    files = {f"{folders}/{number:05}": b"%d" % number for number in range(1_200)}
    goods = Goods(Visibility.OPEN, files=files)
    lists = goods.manifest.file_lists
    assert len(lists) > 1
    short = {digest: raw for digest, raw in goods.documents.items() if digest not in lists}
    fetch(goods, tmp_path / "data", identity=None, documents=short)
    assert files_in(tmp_path / "data") == files
    lying = Shelf(goods)
    lying.document = lambda digest: goods.documents[digest] if digest == lists[0] else goods.documents[lists[0]]
    with pytest.raises(DownloadRefusal) as refused:
        download(bundle_of(goods, documents=short), source=lying, identity=None, folder=tmp_path / "again")
    assert refused.value.code == "download.document"


def test_documents_are_raw_blocks_of_their_digest():
    data = b'{"a":1}'
    assert Cid.of(data) == Cid.of_digest(Sha256.of(data))
