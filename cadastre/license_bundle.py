"""A license bundle as its holder uses it: the documents by digest, the grant, the package to fetch.

Reading it checks that each document has the digest it is filed under. Whether the license stands and the log agrees
is the verifier's work (`cadastre verify`).
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pyrage

from provenance.core.canonical import parse_canonical, parse_strict
from provenance.core.digest import Sha256
from provenance.core.refusal import Refusal

BUNDLE_LIMIT = 64 * 1_048_576


class BundleRefusal(Refusal):
    """A bundle is broken, or was made for somebody else."""


@dataclass(frozen=True, slots=True)
class LicenseBundle:
    """A parsed bundle; `documents` are exact bytes by digest."""

    content: dict[str, Any]
    documents: dict[str, bytes]

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Parse a bundle file. Raises BundleRefusal, CanonicalRefusal."""
        content = parse_strict(data, limit=BUNDLE_LIMIT)
        if not isinstance(content, dict) or content.get("schema") != "cadastre.bundle/1":
            raise BundleRefusal("bundle.schema", "This file is not a Cadastre bundle.", limit="cadastre.bundle/1")
        documents: dict[str, bytes] = {}
        filed = content.get("documents")
        for digest, text in (filed if isinstance(filed, dict) else {}).items():
            try:
                raw = base64.b64decode(str(text), validate=True)
            except binascii.Error as error:
                raise BundleRefusal("bundle.base64", f"The document {digest} is not base64.") from error
            if Sha256.of(raw).hex != digest:
                raise BundleRefusal(
                    "bundle.digest", "A document in the bundle was altered.", limit=digest, actual=Sha256.of(raw).hex,
                    todo="Fetch the bundle again.",
                )  # fmt: skip
            documents[digest] = raw
        return cls(content=content, documents=documents)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a bundle from a file."""
        return cls.read(path.read_bytes())

    def document(self, digest: str) -> Any:
        """Return a document by digest. Raises BundleRefusal when it is not in the bundle."""
        if digest not in self.documents:
            raise BundleRefusal("bundle.missing", f"The bundle lacks the document {digest}.", todo="Fetch it again.")
        return parse_canonical(self.documents[digest])

    def of_schema(self, schema: str) -> list[Any]:
        """Return all documents of a schema."""
        parsed = [parse_canonical(raw) for raw in self.documents.values()]
        return [document for document in parsed if isinstance(document, dict) and document.get("schema") == schema]

    @property
    def license(self) -> str | None:
        """CAIP-19 of the license, None for a trail."""
        return self.content.get("license")

    def package(self) -> dict[str, Any]:
        """The package to fetch: the one that was granted, or of the certificate, else the newest one."""
        if self.content.get("grant"):
            return dict(self.document(self.document(self.content["grant"])["package"]))
        if self.content.get("certificate"):
            return dict(self.document(self.document(self.content["certificate"])["package"]))
        packages = self.of_schema("cadastre.package/1")
        if not packages:
            raise BundleRefusal("bundle.no_package", "The bundle names no stored bytes.")
        return dict(max(packages, key=lambda package: (package["version"], package["package"])))

    def manifest(self) -> dict[str, Any]:
        """The public manifest of the package's version."""
        return dict(self.document(self.package()["manifest"]))

    def content_key(self, identity: str) -> str:
        """Open the grant with an age identity and return the package's content key, also an age identity.

        Raises BundleRefusal when there is no grant, or it was made for another recipient.
        """
        if not self.content.get("grant"):
            raise BundleRefusal("bundle.no_grant", "The bundle holds no key.", todo="Fetch the bundle of the license.")
        grant = self.document(self.content["grant"])
        own = pyrage.x25519.Identity.from_str(identity)
        if str(own.to_public()) != grant["recipient"]:
            raise BundleRefusal(
                "bundle.recipient", "The key in this bundle is for somebody else.",
                limit=grant["recipient"], actual=str(own.to_public()),
                todo="Use the identity that was given when the license was bought.",
            )  # fmt: skip
        try:
            opened = pyrage.decrypt(base64.b64decode(grant["sealed_key"]), [own])
        except pyrage.DecryptError as error:
            raise BundleRefusal("bundle.grant", "The key in this bundle cannot be opened.", todo="Fetch it again.") from error
        return opened.decode().strip()
