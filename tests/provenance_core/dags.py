"""Blocks in memory, and files without bytes, for the tests of DAGs."""

from provenance.core.cid import Cid
from provenance.core.unixfs.file import FileHasher
from provenance.core.unixfs.profile import Node


class Blocks(dict):
    """A store that keeps what it is given, as builders and readers want it."""

    def put(self, cid, block):
        self[cid] = bytes(block)

    def get_block(self, cid):
        return self[cid]


def file_node(data, blocks=None):
    hasher = FileHasher(blocks.put if blocks is not None else None)
    hasher.update(data)
    return hasher.finish()


def leaf_node(size=1):
    return Node(Cid.of(b"leaf"), size, size)
