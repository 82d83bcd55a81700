import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pyrage
import pytest

from provenance.adapters.blocks_local import LocalBlocks
from provenance.core.bundle import BundleKind
from provenance.core.cid import Cid
from provenance.core.manifest import Visibility
from tests.client.goods import BUYER, CONTENT_KEY, FILES, Goods
from tests.client.site import Answer, problem
from tests.client.test_downloads_are_checked import files_in
from tests.provenance_core.statements import CHAIN, MARKET, REGISTRY

LICENSE_ID = f"{CHAIN}-{MARKET[2:]}-5"
DATASET_ID = f"{CHAIN}-{REGISTRY[2:]}-12"
ROOT = Path(__file__).parents[2]


def serve(site, goods, owner=f"licenses/{LICENSE_ID}"):
    begin = f"/api/v1/{owner}/blocks/"
    site.on("GET", f"{begin}*", lambda asked: Answer(goods.blocks[Cid.parse(asked.path.removeprefix(begin))]))


@pytest.fixture
def bundle(goods, tmp_path):
    path = tmp_path / "bundle.json"
    path.write_bytes(goods.bundle().to_bytes())
    return path


def test_a_bundle_and_the_site_give_the_files(run, site, cleo, goods, bundle, tmp_path):
    serve(site, goods)
    said = run("--json", "get", bundle, "--to", tmp_path / "data")
    found = said.json()
    assert (said.code, found["sha256_ok"], found["cid_ok"], found["files"]) == (0, True, True, 3)
    assert found["root"] == str(goods.package.root)
    assert files_in(tmp_path / "data") == FILES


def test_a_license_bought_in_the_browser_opens_with_its_recovery_file(run, site, cleo, goods, bundle, tmp_path):
    replace(cleo, identity=str(pyrage.x25519.Identity.generate())).save()
    serve(site, goods)
    assert run("get", bundle, "--to", tmp_path / "data").code == 1
    recovery = tmp_path / "recovery.txt"
    recovery.write_text(f"# Cadastre recovery file\n{BUYER}\n")
    assert run("get", bundle, "--to", tmp_path / "data", "--identity", recovery).code == 0
    assert files_in(tmp_path / "data") == FILES
    recovery.write_text("nothing\n")
    said = run("get", bundle, "--to", tmp_path / "again", "--identity", recovery)
    assert (said.code, "There is no age secret key" in said.err) == (1, True)


def test_a_license_id_fetches_its_bundle_first(run, site, cleo, goods, bundle, tmp_path):
    serve(site, goods)
    site.on("GET", f"/api/v1/licenses/{LICENSE_ID}/bundle", Answer(bundle.read_bytes()))
    assert run("get", LICENSE_ID, "--to", tmp_path / "data").code == 0
    assert files_in(tmp_path / "data") == FILES


def test_somebody_elses_license_is_refused_with_the_sites_reason(run, site, cleo, tmp_path):
    site.on(
        "GET", f"/api/v1/licenses/{LICENSE_ID}/bundle", problem(403, "access.scope", "The key may not read licenses.")
    )
    said = run("get", LICENSE_ID, "--to", tmp_path / "data")
    assert (said.code, said.err) == (1, "cadastre: The key may not read licenses.\n")


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("nonsense", "There is no such file, and it is no id. (actual nonsense) Give a bundle file"),
        ("folder/bundle.json", "There is no such file"),
        (LICENSE_ID, "neither a license of yours nor a dataset here"),
        (f"{LICENSE_ID}0", "neither a license of yours nor a dataset here"),
    ],
)
def test_what_is_neither_a_file_nor_known_is_refused_by_name(run, site, cleo, tmp_path, what, words):
    said = run("get", what, "--to", tmp_path / "data")
    assert (said.code, words in said.err) == (1, True), said.err
    assert not (tmp_path / "data").exists()


def test_locked_data_without_a_license_says_how_to_get_one(run, site, cleo, goods, tmp_path):
    trail = goods.bundle(kind=BundleKind.TRAIL, certificate=None, grant=None, license=None)
    site.on("GET", f"/api/v1/datasets/{DATASET_ID}/trail", Answer(trail.to_bytes()))
    said = run("get", DATASET_ID, "--to", tmp_path / "data")
    assert (said.code, f"License it: cadastre buy {DATASET_ID}" in said.err) == (1, True), said.err
    assert not (tmp_path / "data").exists()


def test_open_data_is_got_by_name_without_an_account(run, site, monkeypatch, tmp_path):
    goods = Goods(Visibility.OPEN)
    serve(site, goods, f"datasets/{DATASET_ID}")
    trail = goods.bundle(BundleKind.TRAIL, grant=None, certificate=None, license=None).to_bytes()
    site.on("GET", "/api/v1/datasets", {"results": [{"id": DATASET_ID}], "next": None})
    site.on("GET", f"/api/v1/datasets/{DATASET_ID}/trail", Answer(trail))
    monkeypatch.setenv("CADASTRE_SITE", site.url)
    assert run("get", "ada/tide-pools", "--to", tmp_path / "data").code == 0
    assert files_in(tmp_path / "data") == FILES


def test_bundle_and_car_need_no_site(run, site, cleo, goods, bundle, tmp_path):
    (tmp_path / "package.car").write_bytes(goods.car())
    assert run("get", bundle, "--to", tmp_path / "data", "--car", tmp_path / "package.car").code == 0
    assert files_in(tmp_path / "data") == FILES
    assert site.asked == []


def test_a_car_with_an_altered_block_is_refused(run, cleo, goods, bundle, tmp_path):
    car = bytearray(goods.car())
    car[-1] ^= 1
    (tmp_path / "package.car").write_bytes(car)
    said = run("get", bundle, "--to", tmp_path / "data", "--car", tmp_path / "package.car")
    assert said.code == 1
    assert files_in(tmp_path / "data") == {}


def test_bundle_and_block_directory_need_no_site(run, site, cleo, goods, bundle, tmp_path):
    store = LocalBlocks(tmp_path / "shelf")
    for cid, block in goods.blocks.items():
        store.put_block(cid, block)
    assert run("get", bundle, "--to", tmp_path / "data", "--blocks", tmp_path / "shelf").code == 0
    assert files_in(tmp_path / "data") == FILES
    assert site.asked == []


def test_a_folder_that_holds_no_blocks_is_refused_and_left_alone(run, cleo, bundle, tmp_path):
    said = run("get", bundle, "--to", tmp_path / "data", "--blocks", tmp_path / "typo")
    assert (said.code, "is not a block directory" in said.err) == (1, True)
    assert not (tmp_path / "typo").exists()


def test_bundle_and_kubo_node_need_no_site(run, site, cleo, goods, bundle, tmp_path, kubo_node):
    from provenance.adapters.kubo import KuboBlocks

    node = KuboBlocks(kubo_node.api)
    node.put_car([goods.car()])
    node.close()
    assert run("get", bundle, "--to", tmp_path / "data", "--ipfs", kubo_node.api).code == 0
    assert files_in(tmp_path / "data") == FILES
    assert site.asked == []


def test_a_download_that_is_killed_goes_on_with_what_it_has(run, site, cleo, goods, bundle, tmp_path):
    begin = f"/api/v1/licenses/{LICENSE_ID}/blocks/"
    stalled, go_on = threading.Event(), threading.Event()
    large = [cid for cid, block in goods.blocks.items() if len(block) > 1_000_000]

    def block(asked):
        cid = Cid.parse(asked.path.removeprefix(begin))
        if cid == large[-1] and not go_on.is_set():
            stalled.set()
            go_on.wait()
        return Answer(goods.blocks[cid])

    site.on("GET", f"{begin}*", block)
    words = [sys.executable, "-m", "cadastre", "get", str(bundle), "--to", str(tmp_path / "data")]
    process = subprocess.Popen(words, cwd=ROOT, env={**os.environ, "CADASTRE_HOME": str(cleo.home)})
    try:
        assert stalled.wait(60)
        served = len(site.asked)
        while len(site.asked) < len(goods.blocks):  # the others arrive beside the one that does not
            assert process.poll() is None
            served = max(served, len(site.asked))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        go_on.set()
    assert files_in(tmp_path / "data") == {}
    site.asked.clear()
    assert run("get", bundle, "--to", tmp_path / "data").code == 0
    assert files_in(tmp_path / "data") == FILES
    again = {asked.path.removeprefix(begin) for asked in site.asked}
    assert str(large[-1]) in again
    assert len(again) < len(goods.blocks)


def test_the_ordinary_age_tool_opens_the_same_files(goods, tmp_path):
    from shutil import which

    from provenance.core.unixfs.reading import read_file, resolve
    from tests.services.presence import missing

    tool = which("age")
    if tool is None:
        missing("age", "install Debian's package `age`")
    key = tmp_path / "content.key"
    key.write_text(f"{CONTENT_KEY}\n")
    for record in goods.records:
        stored = resolve(goods.package.root, record.stored_name, goods.blocks.__getitem__)
        sealed = b"".join(read_file(stored, goods.blocks.__getitem__))
        done = subprocess.run([tool, "--decrypt", "--identity", key], input=sealed, capture_output=True, check=True)
        assert done.stdout == FILES[record.path]
