import os
import subprocess

import pytest

from cadastre.folder import FolderRefusal, cid_of, files_of
from provenance.adapters.local_node import find_ipfs


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "a folder"
    for name, data in {
        "photos/empty.bin": b"",
        "photos/deep/er/three chunks.bin": os.urandom(2_500_000),
        "ünïcode 🦀/line\nbreak": b"x",
        "one.txt": b"one",
        ".hidden/secret": b"not seen",
        "photos/.DS_Store": b"not seen",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    (root / "empty" / "nested").mkdir(parents=True)
    (root / "only hidden").mkdir()
    (root / "only hidden" / ".keep").touch()
    return root


def kubos(node, path):
    words = [find_ipfs(), "add", "--recursive", "--quieter", "--only-hash", path]
    environment = {**os.environ, "IPFS_PATH": str(node.repo)}
    return subprocess.run(words, capture_output=True, text=True, check=True, env=environment).stdout.strip()


def test_a_folder_has_kubos_cid(folder, kubo_node, run):
    assert run("cid", folder).out == f"{kubos(kubo_node, folder)}  {folder}\n"


def test_files_have_kubos_cids(folder, kubo_node, run):
    paths = [folder / "one.txt", folder / "photos" / "empty.bin", folder / "photos/deep/er/three chunks.bin"]
    found = run("--json", "cid", *paths, "--threads", 1).json()
    assert [row["cid"] for row in found] == [kubos(kubo_node, path) for path in paths]
    assert [row["bytes"] for row in found] == [3, 0, 2_500_000]


def test_a_folder_of_many_files_is_sharded_like_kubos(tmp_path, kubo_node):
    root = tmp_path / "many"
    root.mkdir()
    for number in range(6_000):
        (root / f"file number {number:05}").write_bytes(b"%d" % number)
    assert str(cid_of(root).cid) == kubos(kubo_node, root)


def test_an_empty_folder_has_the_cid_of_one(tmp_path):
    assert str(cid_of(tmp_path).cid) == "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"


def test_links_are_refused_by_name(folder):
    (folder / "linked").symlink_to(folder / "one.txt")
    for read in (cid_of, files_of):
        with pytest.raises(FolderRefusal) as refused:
            read(folder)
        assert refused.value.code == "folder.link"
        assert "linked" in refused.value.message


def test_hidden_files_are_not_published(folder):
    assert [file.path for file in files_of(folder)] == [
        "one.txt", "photos/deep/er/three chunks.bin", "photos/empty.bin", "ünïcode 🦀/line\nbreak",
    ]  # fmt: skip


def test_a_folder_of_nothing_is_refused(folder):
    with pytest.raises(FolderRefusal) as refused:
        files_of(folder / "only hidden")
    assert refused.value.code == "folder.empty"


def test_a_path_that_is_not_there_is_refused(run, tmp_path):
    said = run("cid", tmp_path / "nowhere")
    assert said.code == 1
    assert "neither a file nor a folder" in said.err


def test_paths_are_published_in_their_composed_form(tmp_path):
    (tmp_path / "e\u0301.txt").write_bytes(b"x")
    assert [file.path for file in files_of(tmp_path)] == ["é.txt"]
