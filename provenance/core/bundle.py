"""Bundles: everything that an auditor needs besides their own pinned keys and their own view of the chain.

One canonical JSON file. All proofs are for the bundle's checkpoint. Reading checks the form only; `verify.py` believes.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from provenance.core.caip import Asset, AssetKind
from provenance.core.canonical import Json, canonical_bytes, parse_canonical
from provenance.core.completeness import Absence, Latest, Membership, Placed
from provenance.core.digest import Sha256
from provenance.core.fields import Fields
from provenance.core.refusal import Refusal

SCHEMA = "cadastre.bundle/1"
BUNDLE_LIMIT = 64 * 1_048_576
LIST_LIMIT = 100_000

_ADDRESS = re.compile(r"0x[0-9a-f]{40}")
_KEY = re.compile(r"[0-9a-f]{64}")
_KEYS = (
    "kind", "deployment", "log", "service_key", "checkpoint", "anchors", "consistency", "documents", "entries",
    "completeness", "certificate", "grant", "dataset", "license",
)  # fmt: skip


class BundleRefusal(Refusal):
    """A bundle is malformed, or lacks a document that it refers to."""


class BundleKind(StrEnum):
    """What a bundle proves: one license, or the whole trail of a dataset."""

    LICENSE = "license"
    TRAIL = "trail"


@dataclass(frozen=True, slots=True)
class Deployment:
    """The contracts that judge. Addresses are lower-case 0x texts."""

    chain: int
    registry: str
    market: str
    anchor: str
    first_block: int

    @classmethod
    def from_document(cls, value: Json) -> Self:
        """Read a deployment. Raises FieldRefusal."""
        fields = Fields.of(value, "deployment", ("chain", "registry", "market", "anchor", "first_block"))
        registry, market, anchor = (
            fields.matching(key, _ADDRESS, "an address of 0x and 40 lower-case hex digits")
            for key in ("registry", "market", "anchor")
        )
        return cls(fields.integer("chain", low=1), registry, market, anchor, fields.integer("first_block"))

    def to_document(self) -> dict[str, Json]:
        return {
            "chain": self.chain,
            "registry": self.registry,
            "market": self.market,
            "anchor": self.anchor,
            "first_block": self.first_block,
        }


@dataclass(frozen=True, slots=True)
class Anchor:
    """A head of the log that stands on chain, and the transaction that put it there."""

    tx: str
    block: int
    block_hash: str
    size: int
    root: bytes
    snapshot: Sha256

    @classmethod
    def from_document(cls, value: Json) -> Self:
        """Read an anchor. Raises FieldRefusal."""
        fields = Fields.of(value, "anchor", ("tx", "block", "block_hash", "size", "root", "snapshot"))
        return cls(
            fields.hash32("tx"),
            fields.integer("block"),
            fields.hash32("block_hash"),
            fields.integer("size", low=1),
            fields.digest("root").raw,
            fields.digest("snapshot"),
        )

    def to_document(self) -> dict[str, Json]:
        return {
            "tx": self.tx,
            "block": self.block,
            "block_hash": self.block_hash,
            "size": self.size,
            "root": self.root.hex(),
            "snapshot": self.snapshot.hex,
        }


@dataclass(frozen=True, slots=True)
class Consistency:
    """The proof that the log of `from_size` entries begins the log of `to_size`."""

    from_size: int
    to_size: int
    proof: tuple[bytes, ...]

    @classmethod
    def from_document(cls, value: Json) -> Self:
        """Read a consistency proof. Raises FieldRefusal, BundleRefusal."""
        fields = Fields.of(value, "consistency", ("from", "to", "proof"))
        return cls(fields.integer("from", low=1), fields.integer("to", low=1), _hashes(fields))

    def to_document(self) -> dict[str, Json]:
        return {"from": self.from_size, "to": self.to_size, "proof": [_text(each) for each in self.proof]}


@dataclass(frozen=True, slots=True)
class ProvedEntry:
    """The exact bytes of an entry, its index, and its inclusion proof."""

    index: int
    data: bytes
    proof: tuple[bytes, ...]

    @classmethod
    def from_document(cls, value: Json) -> Self:
        """Read an entry without decoding it. Raises FieldRefusal, BundleRefusal."""
        fields = Fields.of(value, "bundled entry", ("index", "entry", "proof"))
        return cls(fields.integer("index"), _raw(fields.text("entry", most=BUNDLE_LIMIT)), _hashes(fields))

    def to_document(self) -> dict[str, Json]:
        return {"index": self.index, "entry": _text(self.data), "proof": [_text(each) for each in self.proof]}


@dataclass(frozen=True, slots=True)
class Completeness:
    """The entry `index.committed` that commits to the map, and the proof about the bundle's dataset."""

    entry: int
    proof: Membership | Absence

    @classmethod
    def from_document(cls, value: Json) -> Self:
        """Read `{entry, latest, before, after}`: `latest` for membership, else the neighbors, each may be null."""
        fields = Fields.of(value, "completeness", ("entry", "latest", "before", "after"))
        latest, before, after = (_placed(fields.members[key]) for key in ("latest", "before", "after"))
        if latest is not None and (before is not None or after is not None):
            raise BundleRefusal("bundle.completeness", "A subject is either in the map or between its neighbors.")
        proof = Absence(before, after) if latest is None else Membership(latest)
        return cls(fields.integer("entry"), proof)

    def to_document(self) -> dict[str, Json]:
        match self.proof:
            case Membership(leaf=leaf):
                return {"entry": self.entry, "latest": _placed_document(leaf), "before": None, "after": None}
            case Absence(before=before, after=after):
                neighbors = {"before": _placed_document(before), "after": _placed_document(after)}
                return {"entry": self.entry, "latest": None, **neighbors}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """`documents` are exact bytes filed by digest; `certificate` and `grant` name two of them."""

    kind: BundleKind
    deployment: Deployment
    origin: str
    vkey: str
    service_key: bytes
    checkpoint: str
    anchors: tuple[Anchor, ...]
    consistency: tuple[Consistency, ...]
    documents: Mapping[Sha256, bytes]
    entries: tuple[ProvedEntry, ...]
    completeness: Completeness | None
    certificate: Sha256 | None
    grant: Sha256 | None
    dataset: Asset
    license: Asset | None

    def __post_init__(self) -> None:
        if (self.kind is BundleKind.LICENSE) != (self.license is not None and self.certificate is not None):
            raise BundleRefusal("bundle.kind", "A license bundle names a license and its certificate, a trail neither.")
        indices = [entry.index for entry in self.entries]
        if indices != sorted(set(indices)):
            raise BundleRefusal("bundle.entries", "Entries stand in the order of the log, each once.")

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a bundle file, which must be canonical JSON of at most 64 MiB. Raises BundleRefusal and its parts'."""
        fields = Fields.of(parse_canonical(data, limit=BUNDLE_LIMIT), "bundle", _KEYS, schema=SCHEMA)
        log = Fields.of(fields.members["log"], "log", ("origin", "vkey"))
        completeness, name = fields.members["completeness"], fields.members["license"]
        return cls(
            kind=fields.member("kind", BundleKind),
            deployment=Deployment.from_document(fields.members["deployment"]),
            origin=log.text("origin", least=1, most=200),
            vkey=log.text("vkey", least=1, most=400),
            service_key=bytes.fromhex(fields.matching("service_key", _KEY, "a key of 64 lower-case hex digits")),
            checkpoint=fields.text("checkpoint", most=65_536),
            anchors=tuple(map(Anchor.from_document, fields.items("anchors", most=LIST_LIMIT))),
            consistency=tuple(map(Consistency.from_document, fields.items("consistency", most=LIST_LIMIT))),
            documents=_documents(fields.members["documents"]),
            entries=tuple(map(ProvedEntry.from_document, fields.items("entries", most=LIST_LIMIT))),
            completeness=None if completeness is None else Completeness.from_document(completeness),
            certificate=fields.digest_or_none("certificate"),
            grant=fields.digest_or_none("grant"),
            dataset=fields.asset("dataset", AssetKind.DATASET),
            license=None if name is None else fields.asset("license", AssetKind.LICENSE),
        )

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        return canonical_bytes(
            {
                "schema": SCHEMA,
                "kind": self.kind.value,
                "deployment": self.deployment.to_document(),
                "log": {"origin": self.origin, "vkey": self.vkey},
                "service_key": self.service_key.hex(),
                "checkpoint": self.checkpoint,
                "anchors": [each.to_document() for each in self.anchors],
                "consistency": [each.to_document() for each in self.consistency],
                "documents": {digest.hex: _text(raw) for digest, raw in self.documents.items()},
                "entries": [each.to_document() for each in self.entries],
                "completeness": None if self.completeness is None else self.completeness.to_document(),
                "certificate": None if self.certificate is None else self.certificate.hex,
                "grant": None if self.grant is None else self.grant.hex,
                "dataset": str(self.dataset),
                "license": None if self.license is None else str(self.license),
            }
        )

    def document(self, digest: Sha256) -> Json:
        """Return a document of the bundle, parsed. Raises BundleRefusal when it is not there."""
        if digest not in self.documents:
            raise BundleRefusal(
                "bundle.missing",
                "The bundle lacks a document that it refers to.",
                actual=digest.hex,
                todo="Fetch the bundle again.",
            )
        return parse_canonical(self.documents[digest])


def _documents(value: Json) -> dict[Sha256, bytes]:
    if not isinstance(value, Mapping) or len(value) > LIST_LIMIT:
        raise BundleRefusal("bundle.documents", "The documents are not an object of digests.", limit=LIST_LIMIT)
    return {Sha256.from_hex(digest): _raw(raw if isinstance(raw, str) else "%") for digest, raw in value.items()}


def _placed(value: Json) -> Placed | None:
    if value is None:
        return None
    fields = Fields.of(value, "leaf", ("subject", "index", "place", "proof"))
    latest = Latest(fields.text("subject", least=1, most=250), fields.integer("index"))
    return Placed(latest, fields.integer("place"), _hashes(fields))


def _placed_document(placed: Placed | None) -> Json:
    if placed is None:
        return None
    proof = [_text(each) for each in placed.proof]
    return {"subject": placed.latest.subject, "index": placed.latest.index, "place": placed.place, "proof": proof}


def _hashes(fields: Fields) -> tuple[bytes, ...]:
    hashes = tuple(_raw(text if isinstance(text, str) else "%") for text in fields.items("proof", most=64))
    if any(len(each) != 32 for each in hashes):
        raise BundleRefusal("bundle.proof", "A hash in a proof has 32 bytes.", limit=32)
    return hashes


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _raw(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BundleRefusal("bundle.base64", "A member of the bundle is not base64.", actual=text[:40]) from error
    if _text(raw) != text:
        raise BundleRefusal("bundle.base64", "A member of the bundle is not in canonical base64.", actual=text[:40])
    return raw
