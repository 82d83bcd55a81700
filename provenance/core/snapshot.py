"""Snapshots of the log: the index that an anchor names, from which a stranger fetches every entry out of IPFS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from provenance.core.canonical import DOCUMENT_LIMIT, Json, document_bytes, parse_canonical
from provenance.core.cid import Cid
from provenance.core.digest import Sha256
from provenance.core.fields import Fields
from provenance.core.refusal import Refusal
from provenance.core.tiles import WIDTH

SCHEMA = "cadastre.log-snapshot/1"

_KEYS = ("origin", "size", "root", "checkpoint", "bundles", "previous")


class SnapshotRefusal(Refusal):
    """A snapshot index contradicts itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSnapshot:
    """The log at `size`: its signed checkpoint and the CID of each entry bundle file, in order."""

    origin: str
    size: int
    root: Sha256
    checkpoint: str
    bundles: tuple[Cid, ...]
    previous: Sha256 | None

    def __post_init__(self) -> None:
        needed = -(-self.size // WIDTH)
        if len(self.bundles) != needed:
            raise SnapshotRefusal(
                "snapshot.bundles",
                "A snapshot names one bundle for each 256 entries.",
                limit=needed,
                actual=len(self.bundles),
            )

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read canonical bytes, without believing the checkpoint yet. Raises SnapshotRefusal, FieldRefusal."""
        fields = Fields.of(parse_canonical(data), "log snapshot", _KEYS, schema=SCHEMA)
        texts = [text if isinstance(text, str) else "" for text in fields.items("bundles", most=DOCUMENT_LIMIT)]
        return cls(
            origin=fields.text("origin", least=1, most=200),
            size=fields.integer("size"),
            root=fields.digest("root"),
            checkpoint=fields.text("checkpoint", most=65_536),
            bundles=tuple(map(Cid.parse, texts)),
            previous=fields.digest_or_none("previous"),
        )

    def to_bytes(self) -> bytes:
        """Return the canonical bytes, at most 1 MiB: up to about four million entries. Raises CanonicalRefusal."""
        document: dict[str, Json] = {
            "schema": SCHEMA,
            "origin": self.origin,
            "size": self.size,
            "root": self.root.hex,
            "checkpoint": self.checkpoint,
            "bundles": [str(cid) for cid in self.bundles],
            "previous": None if self.previous is None else self.previous.hex,
        }
        return document_bytes(document)

    @property
    def digest(self) -> Sha256:
        """What the anchor on chain names."""
        return Sha256.of(self.to_bytes())
