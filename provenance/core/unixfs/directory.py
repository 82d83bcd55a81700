"""From named DAGs to the DAG of a folder.

1. Links stand in the order of their names' UTF-8 bytes.
2. A folder whose block would exceed 262,144 bytes becomes a HAMT (`hamt.py`), each folder by itself.

Source: IPIP-499, threshold estimated from the block itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from provenance.core.cid import Cid, Codec
from provenance.core.unixfs.dagpb import FsData, FsType, encode_data, encode_link, encode_node
from provenance.core.unixfs.hamt import build_shard
from provenance.core.unixfs.profile import DIRECTORY_BLOCK_BYTES, BlockSink, Node, UnixFsRefusal

DEPTH_LIMIT = 128

_DATA = encode_data(FsData(FsType.DIRECTORY))


def build_directory(children: Mapping[str, Node], sink: BlockSink | None = None) -> Node:
    """Return the DAG of one folder whose children are finished DAGs. Raises UnixFsRefusal for impossible names."""
    named = sorted((_name_bytes(name), name) for name in children)
    links = [encode_link(children[name].cid, name, children[name].tsize) for _, name in named]
    block = encode_node(links, _DATA)
    size = sum(child.size for child in children.values())
    if len(block) > DIRECTORY_BLOCK_BYTES:
        shard = build_shard([(raw, name, children[name].cid, children[name].tsize) for raw, name in named], sink)
        return Node(shard.cid, shard.tsize, size)
    cid = Cid.of(block, Codec.DAG_PB)
    if sink is not None:
        sink(cid, block)
    return Node(cid, len(block) + sum(child.tsize for child in children.values()), size)


def build_tree(
    files: Iterable[tuple[str, Node]], sink: BlockSink | None = None, *, empty_directories: Iterable[str] = ()
) -> Node:
    """Return the DAG of a folder from its files' `/`-separated paths and DAGs, whatever their order.

    Folders come from the paths; those without any file are named in `empty_directories`. A path that is both a
    file and a folder, appears twice, or is deeper than 128 is refused. Raises UnixFsRefusal.
    """
    folders: dict[tuple[str, ...], dict[str, Node]] = {(): {}}
    for path, node in files:
        *parents, name = split_path(path)
        folder = _folder(folders, tuple(parents))
        if name in folder:
            raise UnixFsRefusal("folder.duplicate", "Two files have the same path.", actual=path)
        folder[name] = node
    for path in empty_directories:
        _folder(folders, split_path(path))
    for key in sorted(folders, key=len, reverse=True):
        if not key:
            break
        parent = folders[key[:-1]]
        if key[-1] in parent:
            raise UnixFsRefusal("folder.file_and_folder", "A path is both a file and a folder.", actual="/".join(key))
        parent[key[-1]] = build_directory(folders.pop(key), sink)
    return build_directory(folders[()], sink)


def split_path(path: str) -> tuple[str, ...]:
    """Return the names of a relative path. Raises UnixFsRefusal for empty, `.`, `..` names and for depth."""
    names = tuple(path.split("/"))
    if len(names) > DEPTH_LIMIT:
        raise UnixFsRefusal("folder.depth", "A path is too deep.", limit=DEPTH_LIMIT, actual=len(names))
    for name in names:
        _name_bytes(name)
    return names


def _folder(folders: dict[tuple[str, ...], dict[str, Node]], key: tuple[str, ...]) -> dict[str, Node]:
    found = folders.get(key)
    if found is None:
        _folder(folders, key[:-1])
        found = folders[key] = {}
    return found


def _name_bytes(name: str) -> bytes:
    if name in {"", ".", ".."} or "/" in name or "\0" in name:
        raise UnixFsRefusal(
            "folder.name",
            "A file name is empty, '.', '..', or contains '/' or NUL.",
            actual=repr(name)[:80],
            todo="Rename the file.",
        )
    try:
        return name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UnixFsRefusal(
            "folder.name", "A file name is not valid UTF-8.", actual=ascii(name)[:80], todo="Rename the file."
        ) from error
