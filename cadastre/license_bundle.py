"""A bundle as its holder uses it: which package to fetch, what its files are, and the key that opens them.

Reading it checks that each document has the digest it is filed under. Whether the license stands and the log agrees is
the verifier's work (`cadastre verify`).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pyrage

from provenance.core.bundle import Bundle
from provenance.core.canonical import Json
from provenance.core.digest import Sha256
from provenance.core.fields import Fields
from provenance.core.license_audit import CERTIFICATE_SCHEMA, GRANT_SCHEMA
from provenance.core.manifest import Manifest
from provenance.core.package import SCHEMA as PACKAGE_SCHEMA
from provenance.core.package import Package
from provenance.core.refusal import Refusal


class BundleRefusal(Refusal):
    """A bundle is broken, or was made for somebody else."""


@dataclass(frozen=True, slots=True)
class LicenseBundle:
    """A bundle whose documents are what they are filed as."""

    bundle: Bundle

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Parse the bytes of a bundle file. Raises BundleRefusal and what the core raises for a malformed one."""
        bundle = Bundle.parse(data)
        for digest, raw in bundle.documents.items():
            if Sha256.of(raw) != digest:
                raise BundleRefusal(
                    "bundle.digest", "A document in the bundle was altered.", limit=digest.hex,
                    actual=Sha256.of(raw).hex, todo="Fetch the bundle again.",
                )  # fmt: skip
        return cls(bundle)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a bundle from a file. Raises BundleRefusal, which names the file, when it holds something else."""
        try:
            return cls.read(path.read_bytes())
        except BundleRefusal:
            raise
        except Refusal as refusal:
            raise BundleRefusal(
                "bundle.file", f"{path} is not a bundle: {refusal.message}", limit=refusal.limit, actual=refusal.actual,
                todo="Give the file that `cadastre buy` wrote, or fetch it again.",
            ) from refusal  # fmt: skip

    def package(self) -> Package:
        """Return the package to fetch: the one that was granted, or of the certificate, else the newest one."""
        for digest in self._named_packages():
            return Package.from_document(self.bundle.document(digest))
        packages = [Package.from_document(found) for found in self._of_schema(PACKAGE_SCHEMA)]
        if not packages:
            raise BundleRefusal("bundle.no_package", "The bundle names no stored bytes.")
        return max(packages, key=lambda package: (package.version, package.number))

    def manifest(self) -> Manifest:
        """Return the public manifest of the package's version."""
        return Manifest.from_document(self.bundle.document(self.package().manifest))

    @property
    def recipient(self) -> str | None:
        """The age recipient that the key in the bundle was granted to, None without a key."""
        if self.bundle.grant is None:
            return None
        return _grant(self.bundle.document(self.bundle.grant)).text("recipient", most=100)

    def content_key(self, identity: str) -> pyrage.x25519.Identity:
        """Open the grant with an age identity (`AGE-SECRET-KEY-1…`) and return the package's content key.

        Raises BundleRefusal when there is no grant, or it was made for another recipient.
        """
        if self.bundle.grant is None:
            raise BundleRefusal("bundle.no_grant", "The bundle holds no key.", todo="Fetch the bundle of the license.")
        grant = _grant(self.bundle.document(self.bundle.grant))
        own = identity_of(identity)
        if str(own.to_public()) != self.recipient:
            raise BundleRefusal(
                "bundle.recipient", "The key in this bundle is for somebody else.", limit=self.recipient,
                actual=str(own.to_public()), todo="Use the identity that was given when the license was bought.",
            )  # fmt: skip
        try:
            sealed = base64.b64decode(grant.text("sealed_key", most=100_000), validate=True)
        except binascii.Error as error:
            raise BundleRefusal("bundle.base64", "The key in this bundle is not base64.") from error
        return open_grant(sealed, own)

    def _named_packages(self) -> Iterator[Sha256]:
        if self.bundle.grant is not None:
            yield _grant(self.bundle.document(self.bundle.grant)).digest("package")
        if self.bundle.certificate is not None:
            certificate = self.bundle.document(self.bundle.certificate)
            if isinstance(certificate, dict) and certificate.get("schema") == CERTIFICATE_SCHEMA:
                yield Sha256.from_hex(str(certificate.get("package")))

    def _of_schema(self, schema: str) -> Iterator[Json]:
        for digest in self.bundle.documents:
            document = self.bundle.document(digest)
            if isinstance(document, dict) and document.get("schema") == schema:
                yield document


def identity_of(text: str) -> pyrage.x25519.Identity:
    """Return the age identity written as `AGE-SECRET-KEY-1…`. Raises BundleRefusal, which does not repeat the text."""
    try:
        return pyrage.x25519.Identity.from_str(text)
    except pyrage.IdentityError as error:
        raise BundleRefusal("bundle.identity", "The identity is not an age secret key.") from error


def read_identity(path: Path) -> str:
    """Return the age secret key in a file, as age-keygen and the website write it. Raises BundleRefusal."""
    lines = (line.strip() for line in path.read_text().splitlines())
    found = next((line for line in lines if line.upper().startswith("AGE-SECRET-KEY-1")), None)
    if found is None:
        raise BundleRefusal(
            "bundle.identity_file", f"There is no age secret key in {path}.",
            todo="Give the recovery file that was saved when the license was bought.",
        )  # fmt: skip
    return found


def open_grant(sealed: bytes, own: pyrage.x25519.Identity) -> pyrage.x25519.Identity:
    """Return the content key inside a grant. Raises BundleRefusal."""
    try:
        return identity_of(pyrage.decrypt(sealed, [own]).decode("ascii").strip())
    except (pyrage.DecryptError, UnicodeDecodeError) as error:
        raise BundleRefusal(
            "bundle.grant", "The key in this bundle does not open with your identity.", todo="Fetch the bundle again."
        ) from error


def _grant(document: Json) -> Fields:
    return Fields.of(document, "grant", ("license", "package", "recipient", "sealed_key"), schema=GRANT_SCHEMA)
