"""The reference implementation, run offline over the same bytes, must name them as we do."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from provenance.core.unixfs.directory import build_tree
from provenance.core.unixfs.file import FileHasher, hash_file
from provenance.core.unixfs.profile import CHUNK_BYTES, DIRECTORY_BLOCK_BYTES, FILE_WIDTH

ADD = ["add", "--only-hash", "--quieter", "--recursive", "--hidden", "--cid-version=1", "--raw-leaves"]
PROFILE = ["--chunker=size-1048576", "--max-file-links=1024"]
LINK_BYTES = 2 + 38 + 2 + 2  # link header, CID, name header, Tsize of a leaf below 128 bytes
BUILT_HERE = Path(__file__).parents[2] / "var" / "bin" / "ipfs"


@pytest.fixture(scope="session")
def kubo(tmp_path_factory):
    binary = shutil.which("ipfs") or (str(BUILT_HERE) if BUILT_HERE.exists() else None)
    if binary is None:
        if os.environ.get("CADASTRE_REQUIRE") == "all":
            pytest.fail("Kubo is required here and not found: run `make kubo`.")
        pytest.skip("Kubo is not found: run `make kubo`.")
    environment = {**os.environ, "IPFS_PATH": str(tmp_path_factory.mktemp("kubo"))}

    def run(*arguments):
        done = subprocess.run([binary, *arguments], env=environment, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    run("init", "--empty-repo", "--profile=test,unixfs-v1-2025")
    return lambda path: run(*ADD, *PROFILE, str(path))


def sparse(path, size):
    with path.open("wb") as file:
        file.truncate(size)
    return path


def ours(path):
    handle = os.open(path, os.O_RDONLY)
    try:
        return hash_file(lambda buffer, offset: os.preadv(handle, [buffer], offset), path.stat().st_size)
    finally:
        os.close(handle)


def our_tree(root):
    files = [(str(path.relative_to(root)), ours(path)) for path in root.rglob("*") if path.is_file()]
    empty = [str(path.relative_to(root)) for path in root.rglob("*") if path.is_dir() and not any(path.iterdir())]
    return build_tree(files, empty_directories=empty)


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 5_000_000])
def test_a_file_has_the_cid_that_kubo_gives_it(kubo, tmp_path, size):
    path = tmp_path / "file"
    path.write_bytes(os.urandom(size))
    assert str(ours(path).cid) == kubo(path)


@pytest.mark.parametrize("difference", [-1, 0, 1, CHUNK_BYTES + 1])
def test_a_file_of_1024_chunks_has_the_cid_that_kubo_gives_it(kubo, tmp_path, difference):
    path = sparse(tmp_path / "file", FILE_WIDTH * CHUNK_BYTES + difference)
    assert str(ours(path).cid) == kubo(path)


def test_a_folder_has_the_cid_that_kubo_gives_it(kubo, tmp_path):
    root = tmp_path / "data"
    for name in ["a/b/c.txt", "a/z.bin", "é.csv", "Z", "line\nbreak", "🙂/x", ".hidden"]:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 10)
    (root / "big").write_bytes(os.urandom(CHUNK_BYTES + 7))
    (root / "empty").mkdir()
    (root / "zero").write_bytes(b"")
    assert str(our_tree(root).cid) == kubo(root)


@pytest.mark.parametrize("difference", [-1, 0, 1])
def test_a_folder_at_the_border_of_sharding_has_the_cid_that_kubo_gives_it(kubo, tmp_path, difference):
    root = tmp_path / "data"
    root.mkdir()
    each = LINK_BYTES + 60
    room = DIRECTORY_BLOCK_BYTES - 4 + difference
    count = room // each - 1
    for number in range(count):
        (root / f"{number:060}").write_bytes(b"x")
    rest = room - count * each - LINK_BYTES
    if rest > 80:  # a link above 127 bytes needs one more byte for its length
        (root / ("0" * 30)).write_bytes(b"x")
        rest -= LINK_BYTES + 30
    (root / ("z" * rest)).write_bytes(b"x")
    assert str(our_tree(root).cid) == kubo(root)


def test_a_folder_with_shards_below_shards_has_the_cid_that_kubo_gives_it(kubo, tmp_path):
    root = tmp_path / "data"
    photos = root / "photos"
    photos.mkdir(parents=True)
    for number in range(6000):
        (photos / f"{number:06}-🙂.jpg").write_bytes(str(number % 7).encode())
    (root / "readme.md").write_bytes(b"# hello")
    assert str(our_tree(root).cid) == kubo(root)


def test_streamed_bytes_have_the_cid_that_kubo_gives_them(kubo, tmp_path):
    data = os.urandom(3 * CHUNK_BYTES + 11)
    path = tmp_path / "file"
    path.write_bytes(data)
    hasher = FileHasher()
    for at in range(0, len(data), 65_537):
        hasher.update(data[at : at + 65_537])
    assert str(hasher.finish().cid) == kubo(path)
