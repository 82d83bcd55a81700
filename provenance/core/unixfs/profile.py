"""The figures of the profile, and the values that pass between its builders and readers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from provenance.core.cid import Cid
from provenance.core.refusal import Refusal

PROFILE = "unixfs-v1-2025"
CHUNK_BYTES = 1_048_576
FILE_WIDTH = 1024
DIRECTORY_BLOCK_BYTES = 262_144
HAMT_FANOUT = 256
# Bitswap moves blocks of up to 2 MiB; anything larger is not a block that an honest node offers.
BLOCK_LIMIT = 2 * 1_048_576

Buffer = bytes | bytearray | memoryview
BlockSink = Callable[[Cid, Buffer], None]
"""Receives each block once it is named. The buffer belongs to the caller and is reused after the call."""

GetBlock = Callable[[Cid], bytes]
"""Fetches the bytes of a block from anywhere; readers here check them against the CID."""


class UnixFsRefusal(Refusal):
    """A file, folder or DAG cannot be written or read under the profile."""


@dataclass(frozen=True, slots=True)
class Node:
    """The root of a finished DAG, as its parent needs it.

    `tsize` counts the bytes of all blocks below and including the root, once per link (dag-pb's Tsize);
    `size` counts the content bytes of the files below.
    """

    cid: Cid
    tsize: int
    size: int
