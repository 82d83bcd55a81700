"""Packages: how the bytes of a version are stored. A leaked key or a broken cipher is answered by a new package."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from provenance.core.caip import Account
from provenance.core.canonical import Json, document_bytes, parse_canonical
from provenance.core.cid import Cid
from provenance.core.digest import Sha256
from provenance.core.fields import Fields
from provenance.core.refusal import Refusal
from provenance.core.unixfs.profile import PROFILE

SCHEMA = "cadastre.package/1"
AGE_RECIPIENT = re.compile(r"age1[02-9ac-hj-np-z]{58}")

_KEYS = ("owner", "manifest", "version", "package", "kind", "root", "profile", "recipient", "files", "bytes")


class PackageRefusal(Refusal):
    """A package document contradicts itself."""


class PackageKind(StrEnum):
    """Open: the folder of the files. Sealed: a folder of age files under opaque names."""

    OPEN = "open"
    SEALED = "sealed"


def manifest_name(part: int) -> str:
    """Return the name of a part of the private manifest in a sealed package: `manifest.age`, then `manifest-1.age`."""
    return "manifest.age" if part == 0 else f"manifest-{part}.age"


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """What is stored under `root`; `files` and `stored_bytes` count stored files. `recipient` is an age X25519 one."""

    owner: Account
    manifest: Sha256
    version: int
    number: int
    kind: PackageKind
    root: Cid
    recipient: str | None
    files: int
    stored_bytes: int
    profile: str = PROFILE

    def __post_init__(self) -> None:
        if (self.kind is PackageKind.SEALED) != (self.recipient is not None):
            raise PackageRefusal("package.recipient", "A sealed package names its age recipient, an open one none.")
        if self.recipient is not None and AGE_RECIPIENT.fullmatch(self.recipient) is None:
            raise PackageRefusal(
                "package.recipient", "The recipient is not an age X25519 one.", actual=self.recipient[:80]
            )
        if self.profile != PROFILE:
            raise PackageRefusal(
                "package.profile", "The CID profile is not known.", limit=PROFILE, actual=self.profile[:40]
            )
        if min(self.version, self.number, self.files) < 1 or self.stored_bytes < 0:
            raise PackageRefusal(
                "package.counts", "Versions, packages and files count from 1.", limit=1, actual=self.files
            )

    @classmethod
    def from_document(cls, value: Json) -> Self:
        """Read a package document. Raises PackageRefusal, FieldRefusal and what its parts raise."""
        fields = Fields.of(value, "package", _KEYS, schema=SCHEMA)
        return cls(
            owner=fields.account("owner"),
            manifest=fields.digest("manifest"),
            version=fields.integer("version", low=1),
            number=fields.integer("package", low=1),
            kind=fields.member("kind", PackageKind),
            root=Cid.parse(fields.text("root", most=200)),
            profile=fields.text("profile", most=40),
            recipient=fields.text_or_none("recipient", most=100),
            files=fields.integer("files", low=1),
            stored_bytes=fields.integer("bytes"),
        )

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the canonical bytes of a package document."""
        return cls.from_document(parse_canonical(data))

    def to_document(self) -> dict[str, Json]:
        return {
            "schema": SCHEMA,
            "owner": str(self.owner),
            "manifest": self.manifest.hex,
            "version": self.version,
            "package": self.number,
            "kind": self.kind.value,
            "root": str(self.root),
            "profile": self.profile,
            "recipient": self.recipient,
            "files": self.files,
            "bytes": self.stored_bytes,
        }

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        return document_bytes(self.to_document())

    @property
    def digest(self) -> Sha256:
        """What stands on chain."""
        return Sha256.of(self.to_bytes())
