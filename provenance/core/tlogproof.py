"""One file that proves one entry offline: index, inclusion proof, signed checkpoint.

Source: c2sp.org/tlog-proof, version 1; files end in `.tlog-proof`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from provenance.core.checkpoint import Checkpoint, VerifierKey, open_checkpoint
from provenance.core.merkle import HASH_BYTES, leaf_hash, verify_inclusion
from provenance.core.refusal import Refusal

HEADER = "c2sp.org/tlog-proof@v1"
PROOF_LIMIT = 131_072
PATH_LIMIT = 64

_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")


class TlogProofRefusal(Refusal):
    """A proof file is malformed."""


@dataclass(frozen=True, slots=True)
class TlogProof:
    """`path` runs from the leaf's sibling to the root's child. `extra` is not authenticated by anything."""

    index: int
    path: tuple[bytes, ...]
    checkpoint_note: str
    extra: bytes | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a proof file, without believing it yet. Raises TlogProofRefusal."""
        if len(text) > PROOF_LIMIT:
            raise TlogProofRefusal(
                "tlogproof.too_large", "The proof is too large.", limit=PROOF_LIMIT, actual=len(text)
            )
        head, separator, note = text.partition("\n\n")
        lines = head.split("\n")
        if not separator or lines.pop(0) != HEADER:
            raise TlogProofRefusal("tlogproof.header", "The file is not a proof of this version.", limit=HEADER)
        extra = _decoded(lines.pop(0)[6:]) if lines and lines[0].startswith("extra ") else None
        index = _INDEX.fullmatch(lines.pop(0)) if lines else None
        if index is None:
            raise TlogProofRefusal("tlogproof.index", "The proof does not say which entry it proves.")
        path = tuple(_decoded(line) for line in lines)
        if len(path) > PATH_LIMIT or any(len(each) != HASH_BYTES for each in path):
            raise TlogProofRefusal(
                "tlogproof.path", "The inclusion proof is malformed.", limit=PATH_LIMIT, actual=len(path)
            )
        return cls(int(index[1]), path, note, extra)

    def verify(self, entry: bytes, keys: Sequence[VerifierKey]) -> Checkpoint:
        """Accept `entry` only as the entry at `index` of a log that one of `keys` signed; return that checkpoint.

        Raises CheckpointRefusal, MerkleRefusal.
        """
        checkpoint = open_checkpoint(self.checkpoint_note, keys)
        verify_inclusion(leaf_hash(entry), self.index, checkpoint.size, self.path, checkpoint.root)
        return checkpoint

    @property
    def text(self) -> str:
        """The proof file."""
        lines = [HEADER]
        if self.extra is not None:
            lines.append("extra " + base64.b64encode(self.extra).decode())
        lines.append(f"index {self.index}")
        lines += [base64.b64encode(each).decode() for each in self.path]
        return "\n".join(lines) + "\n\n" + self.checkpoint_note


def _decoded(line: str) -> bytes:
    try:
        raw = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError) as error:
        raise TlogProofRefusal("tlogproof.base64", "A line of the proof is not base64.", actual=line[:80]) from error
    if base64.b64encode(raw).decode() != line:
        raise TlogProofRefusal("tlogproof.base64", "A line of the proof is not canonical base64.", actual=line[:80])
    return raw
